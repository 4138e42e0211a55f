//! Verifies proofs.

use std::collections::BTreeMap;
use std::time::Duration;

use aims_error::shown;
use aims_jose::base64url;
use aims_jose::digest::sha256;
use aims_jose::json::Text;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, present, required};
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore, Validity};
use aims_wimse_cred::Wit;
use serde::Deserialize;

use crate::binding::Token;
use crate::{Binding, Error, Revision, Revisions, TYP, revision};

/// Rules for verifying proofs, in addition to the binding.
///
/// ```
/// use std::time::Duration;
///
/// use aims_wimse_wpt::{Revisions, WptRules};
///
/// // Accepts both revisions of the draft, and proofs of at most one minute.
/// let rules = WptRules::default()
///     .with_revisions(Revisions::BOTH)
///     .with_max_lifetime(Duration::from_secs(60));
/// assert_eq!(rules.revisions(), Revisions::BOTH);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WptRules {
    revisions: Revisions,
    times: TimeRules,
    max_len: usize,
}

impl Default for WptRules {
    /// Accepts draft-ietf-wimse-wpt-02 only, an `exp` at most 5 min ahead, 30 s of skew, and 8 KiB.
    fn default() -> Self {
        Self {
            revisions: Revisions::default(),
            times: TimeRules::new().with_max_lifetime(Duration::from_secs(300)),
            max_len: 8 * 1024,
        }
    }
}

impl WptRules {
    /// Sets the accepted revisions of the draft. Defaults to [`DRAFT_02`](Revisions::DRAFT_02).
    #[must_use]
    pub const fn with_revisions(mut self, revisions: Revisions) -> Self {
        self.revisions = revisions;
        self
    }

    /// Returns the accepted revisions of the draft.
    #[must_use]
    pub const fn revisions(&self) -> Revisions {
        self.revisions
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets how far `exp` may be in the future, in whole seconds. Defaults to 5 min.
    #[must_use]
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.times = self.times.with_max_lifetime(most);
        self
    }

    /// Sets the maximum length of the text in bytes. Defaults to 8 KiB.
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

/// Verifies a proof against the WIT that was sent with it.
///
/// It checks `typ`; `alg`, which must equal `cnf.jwk.alg`; the signature by the key of the WIT;
/// `exp`; `wth`; and the binding. The binding requires `aud`, and `tth` and `oth` exactly if the
/// request has these tokens (draft-ietf-wimse-wpt §2). [`Revision::Draft01`] also requires `ath`.
/// Unknown claims are ignored; in [`Revision::Draft02`], `ath` is an unknown claim.
///
/// The result is not yet protected against replay. [`UnspentWpt::spend`] spends it and returns the
/// [`WptProof`].
///
/// # Errors
///
/// The codes `wpt.…`; for a malformed token those of `jose`. `wpt.revision` and `wpt.access_token`
/// are mistakes of the calling program: the rules do not accept the revision of the binding, or the
/// binding holds an access token that its revision cannot bind.
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
    // The key was prepared for `cnf.jwk.alg` only, so no other `alg` passes.
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
        valid: Validity::new(
            rules.times.accepted_from(&times),
            rules.times.skew().remember_until(exp.as_secs()),
        ),
        proof: WptProof {
            revision: found,
            wit: wit.clone(),
            expires: exp.into(),
        },
    })
}

/// Returns whether the claim is present exactly if the token is, and is its hash.
fn is_hash_of(claimed: Option<&Text<'_>>, token: Option<Token<'_>>) -> bool {
    match (claimed, token) {
        (None, None) => true,
        (Some(claimed), Some(token)) => claimed.as_str() == base64url::encode(&token.sha256()),
        _ => false,
    }
}

/// Checks that `oth` has the same fields with the same values.
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

/// A verified proof that is not yet checked for replay.
#[derive(Debug)]
#[must_use = "a proof that was not spent can be replayed"]
pub struct UnspentWpt {
    key: ReplayKey,
    valid: Validity,
    proof: WptProof,
}

impl UnspentWpt {
    /// Spends the `jti` of the proof, within the scope of its sender. The store remembers it until
    /// `exp` plus the skew.
    ///
    /// # Errors
    ///
    /// `replay.replayed` if the proof was used before; other `replay.…` codes if the store cannot
    /// remember it. The caller refuses the request for each of them.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<WptProof, Error> {
        aims_replay::spend_proof(store, &self.key, self.valid, now).map_err(Error::Replay)?;
        Ok(self.proof)
    }
}

/// Proof that the sender of one message holds the key of a WIT. It is fresh, for this receiver,
/// bound to these tokens, and used for the first time.
#[derive(Clone, Debug)]
pub struct WptProof {
    revision: Revision,
    wit: Wit,
    expires: UnixTime,
}

impl WptProof {
    /// Returns the revision of the draft by which the proof was accepted.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the credential whose key was proven.
    #[must_use]
    pub const fn wit(&self) -> &Wit {
        &self.wit
    }

    /// Returns `exp` of the proof.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }
}
