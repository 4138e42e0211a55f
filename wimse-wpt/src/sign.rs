//! Prepares new proofs.

use std::collections::BTreeMap;
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::digest::{sha256, sha256_base64url};
use aims_jose::jws::SigningInput;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{self, UnixTime};
use serde::Serialize;

use crate::binding::Token;
use crate::{Binding, Error, TYP, revision};

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    iat: u64,
    jti: String,
    wth: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tth: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    oth: BTreeMap<&'a str, String>,
}

impl Binding<'_> {
    /// Prepares the proof for this WIT. The caller then signs it with the key of the WIT, whose
    /// algorithm is `algorithm`.
    ///
    /// The lifetime is in whole seconds, from 1 s to 5 min; one minute suits most uses. `iat` is
    /// `now`, and `jti` has 128 random bits.
    ///
    /// # Errors
    ///
    /// `wpt.prepare`; `wpt.access_token` for a binding that its revision cannot express; the errors
    /// of the random source.
    pub fn prepare(
        &self,
        wit: &str,
        algorithm: Algorithm,
        lifetime: Duration,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let refused = |reason| Err(Error::Prepare { reason });
        revision::check(self)?;
        let &[aud] = self.audiences.as_slice() else {
            return refused("a proof is for one audience");
        };
        if aud.is_empty() {
            return refused("the audience is empty");
        }
        if !(1..=300).contains(&lifetime.as_secs()) {
            return refused("the lifetime must be from 1 second to 5 minutes");
        }
        let mut oth = BTreeMap::new();
        for (name, value) in &self.others {
            if !is_field_name(name) {
                return refused("a field name is not in lower case");
            }
            if oth
                .insert(*name, base64url::encode(&sha256(value)))
                .is_some()
            {
                return refused("a field occurs twice");
            }
        }
        let hash = |token: Token<'_>| base64url::encode(&token.sha256());
        let claims = Claims {
            aud,
            exp: time::after(now, lifetime).as_secs(),
            iat: now.as_secs(),
            jti: random::id128(random).map_err(Error::Wpt)?,
            wth: sha256_base64url(wit),
            ath: self.access_token.map(hash),
            tth: self.txn_token.map(hash),
            oth,
        };
        SigningInput::new(TYP, algorithm, None, &claims).map_err(Error::Wpt)
    }
}

/// Returns whether the text is a field name (RFC 9110 §5.1) in lower case.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| {
            matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte)
        })
}
