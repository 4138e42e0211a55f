//! Verifying proofs.

use std::collections::BTreeMap;
use std::time::Duration;

use aims_error::shown;
use aims_jose::base64url;
use aims_jose::digest::sha256;
use aims_jose::json::Text;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, present, required};
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore};
use aims_wimse_cred::Wit;
use serde::Deserialize;

use crate::binding::Token;
use crate::{Binding, Error, Revision, Revisions, TYP, revision};

/// What is asked of a proof, beside its binding.
#[derive(Clone, Copy, Debug)]
pub struct WptRules {
    revisions: Revisions,
    times: TimeRules,
    max_len: usize,
}

impl Default for WptRules {
    /// draft-ietf-wimse-wpt-02 alone, an `exp` at most 5 min ahead, 30 s of skew, 8 KiB.
    fn default() -> Self {
        Self {
            revisions: Revisions::default(),
            times: TimeRules::new().with_max_lifetime(Duration::from_secs(300)),
            max_len: 8 * 1024,
        }
    }
}

impl WptRules {
    /// Sets the revisions of the draft that are accepted. Defaults to
    /// [`DRAFT_02`](Revisions::DRAFT_02) alone.
    #[must_use]
    pub const fn with_revisions(mut self, revisions: Revisions) -> Self {
        self.revisions = revisions;
        self
    }

    /// The revisions of the draft that are accepted.
    #[must_use]
    pub const fn revisions(&self) -> Revisions {
        self.revisions
    }

    /// Sets the skew.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets how far ahead `exp` may be, in whole seconds.
    #[must_use]
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.times = self.times.with_max_lifetime(most);
        self
    }

    /// Sets the greatest length of the text, in bytes.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<Audience<'a>>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(borrow, default, deserialize_with = "present")]
    jti: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    wth: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    tth: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    oth: Option<BTreeMap<Text<'a>, Text<'a>>>,
}

/// Verifies a proof against the WIT that came with it: `typ`, `alg` equal to `cnf.jwk.alg`, the
/// signature by the WIT's key, `exp`, `wth`, and the binding: `aud`, and `tth` and `oth` exactly
/// where the tokens are there (draft-ietf-wimse-wpt §2), in [`Revision::Draft01`] also `ath`.
/// Unknown claims are ignored, and `ath` is one in [`Revision::Draft02`].
///
/// It is not yet spent: only [`UnspentWpt::spend`] gives the proof.
///
/// # Errors
///
/// The codes `wpt.…`; for a malformed token those of `jose`. `wpt.revision` and `wpt.access_token`
/// are mistakes of the caller: the binding is of a revision that the rules do not accept, or holds
/// an access token that its revision cannot bind.
pub fn verify(
    text: &str,
    wit: &Wit,
    binding: &Binding<'_>,
    rules: &WptRules,
    now: UnixTime,
) -> Result<UnspentWpt, Error> {
    let found = binding.revision;
    if !rules.revisions.accepts(found) {
        return Err(Error::Revision { found });
    }
    revision::check(binding)?;
    let token = Unverified::parse_within(text, rules.max_len).map_err(Error::Wpt)?;
    token.header().expect_typ(TYP).map_err(Error::Wpt)?;
    // The key was prepared for `cnf.jwk.alg` alone, so no other `alg` passes.
    let verified = token.verify(wit.key()).map_err(Error::Wpt)?;
    let claims: Claims<'_> = verified.claims().map_err(Error::Wpt)?;
    let aud = required(claims.aud, "aud").map_err(Error::Wpt)?;
    let exp = required(claims.exp, "exp").map_err(Error::Wpt)?;
    let jti = claims.jti.filter(|jti| !jti.is_empty());
    let jti = required(jti, "jti").map_err(Error::Wpt)?;
    let wth = required(claims.wth, "wth").map_err(Error::Wpt)?;
    let times = Times::new(Some(exp), claims.nbf, claims.iat);
    rules.times.check(&times, now).map_err(Error::Wpt)?;
    let is_own = |audience| binding.audiences.contains(&audience);
    if !aud.sole().is_some_and(is_own) {
        return Err(Error::Audience {
            found: shown(aud.iter()),
            expected: shown(binding.audiences.iter().copied()),
        });
    }
    if wth.as_str() != base64url::encode(wit.hash()) {
        return Err(Error::WitHash);
    }
    let ath = revision::ath(&verified, found, rules.revisions)?;
    if !is_hash_of(ath.as_ref(), binding.access_token) {
        return Err(Error::AccessTokenHash);
    }
    if !is_hash_of(claims.tth.as_ref(), binding.txn_token) {
        return Err(Error::TxnTokenHash);
    }
    check_others(claims.oth.as_ref(), &binding.others)?;
    Ok(UnspentWpt {
        key: ReplayKey::new("wpt", wit.id().as_str(), &[jti.as_str()]),
        skew: rules.times.skew(),
        proof: WptProof {
            revision: found,
            wit: wit.clone(),
            expires: exp.into(),
        },
    })
}

/// There exactly when the token is there, and its hash.
fn is_hash_of(claimed: Option<&Text<'_>>, token: Option<Token<'_>>) -> bool {
    match (claimed, token) {
        (None, None) => true,
        (Some(claimed), Some(token)) => claimed.as_str() == base64url::encode(&token.sha256()),
        _ => false,
    }
}

/// The same fields, with the same values.
fn check_others(
    claimed: Option<&BTreeMap<Text<'_>, Text<'_>>>,
    others: &[(&str, &[u8])],
) -> Result<(), Error> {
    let covered = |(name, value): &(&str, &[u8])| {
        claimed
            .and_then(|claimed| claimed.get(&Text::from(*name)))
            .is_some_and(|hash| hash.as_str() == base64url::encode(&sha256(value)))
    };
    if claimed.map_or(0, BTreeMap::len) == others.len() && others.iter().all(covered) {
        Ok(())
    } else {
        Err(Error::OtherHash)
    }
}

/// A proof that is good, if it is the first of its `jti`.
#[derive(Debug)]
#[must_use = "a proof that was not spent can be replayed"]
pub struct UnspentWpt {
    key: ReplayKey,
    skew: Skew,
    proof: WptProof,
}

impl UnspentWpt {
    /// Spends the proof's `jti`, scoped to its sender. It is remembered until `exp` plus the skew.
    ///
    /// # Errors
    ///
    /// `replay.replayed`, and all other `replay.…`: what cannot be remembered is refused.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<WptProof, Error> {
        let until = self.skew.remember_until(self.proof.expires.as_secs());
        aims_replay::spend(store, &self.key, until, now).map_err(Error::Replay)?;
        Ok(self.proof)
    }
}

/// Proof that the sender of one message holds the key of a WIT: now, to this receiver, with these
/// tokens, and for the first time.
#[derive(Clone, Debug)]
pub struct WptProof {
    revision: Revision,
    wit: Wit,
    expires: UnixTime,
}

impl WptProof {
    /// The revision of the draft by which the proof was accepted.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The credential whose key was proven.
    #[must_use]
    pub const fn wit(&self) -> &Wit {
        &self.wit
    }

    /// `exp` of the proof.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }
}
