//! Workload identity tokens.

use std::time::Duration;

use aims_jose::digest;
use aims_wimse_cred::{Error, JwtSvid, Wit, WitRules};
use aims_wimse_id::Scheme;
use serde::Deserialize;

use crate::known::{NOW, at, known, sign};
use crate::{NO_TEXT, Outcome, refused, text};

/// Verifies a token, or claims that a trusted issuer signs: as a WIT, as a WIT-SVID and as a
/// JWT-SVID. Accepted if it is a WIT.
pub fn wit(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let key = &known().issuer;
    let signed = text.starts_with('{').then(|| sign("wit+jwt", text, key));
    let token = signed.flatten().unwrap_or_else(|| text.to_owned());
    let read = verify(&token, &WitRules::wit(), NOW);
    match &read {
        Ok(wit) => check(wit, &token),
        // Only a WIT-SVID may have an `iat` in the future.
        Err(error) => assert!(
            error.code() == "wit.not_yet_valid"
                || error.code() == "wit.claim"
                || verify(&token, &WitRules::wit_svid(), NOW).is_err(),
            "{error}"
        ),
    }
    if let Some(token) = sign("JWT", text, key) {
        jwt_svid(&token);
    }
    match read {
        Ok(_) => Outcome::Accepted,
        Err(error) => refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]),
    }
}

fn verify(token: &str, rules: &WitRules, now: u64) -> Result<Wit, Error> {
    let read = Wit::verify(token, &known().trust, rules, at(now));
    if let Err(error) = &read {
        refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]);
    }
    read
}

fn check(wit: &Wit, token: &str) {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }

    assert!(
        wit.claims::<Claims>()
            .is_ok_and(|it| it.sub == wit.id().as_str())
    );
    assert_eq!(*wit.hash(), digest::sha256(token.as_bytes()));
    assert!(wit.key().algorithms().contains(wit.algorithm()));
    assert_eq!(wit.key().jwk().algorithm(), Some(wit.algorithm()));
    let bundle = known().trust.bundle(wit.id().origin_str());
    assert!(bundle.is_some());

    // A WIT-SVID is a WIT of SPIFFE without Ed25519.
    if let Ok(svid) = verify(token, &WitRules::wit_svid(), NOW) {
        assert_eq!(svid.id().scheme(), Scheme::Spiffe);
        assert!(aims_jose::AlgorithmSet::SVID.contains(svid.algorithm()));
        assert_eq!((svid.id(), svid.hash()), (wit.id(), wit.hash()));
    }
    // It expires at `exp` plus the skew, and not a second before.
    let end = wit.expires().as_secs() + 30;
    assert!(end > NOW);
    let code = |now| verify(token, &WitRules::wit(), now).map_or_else(|it| it.code(), |_| "ok");
    assert_eq!((code(end - 1), code(end)), ("ok", "wit.expired"));
    let most = Duration::from_secs(3600);
    let short = verify(token, &WitRules::wit().with_max_lifetime(most), NOW);
    if end > NOW + 3600 + 60 {
        assert_eq!(short.map_or_else(|it| it.code(), |_| "ok"), "wit.lifetime");
    }
    let len = WitRules::wit().with_max_len(token.len() - 1);
    let long = verify(token, &len, NOW).map_or_else(|it| it.code(), |_| "ok");
    assert_eq!(long, "jws.too_long");
    // A WIT is not accepted as a bearer token.
    assert!(JwtSvid::verify(token, &known().trust, "a", at(NOW)).is_err());
}

/// No key here is for JWT-SVIDs, so none verifies.
fn jwt_svid(token: &str) {
    match JwtSvid::verify(token, &known().trust, "a", at(NOW)) {
        Ok(svid) => unreachable!("{svid:?} by a key for WITs"),
        Err(error) => drop(refused(
            error.code(),
            &[Error::CODES, aims_jose::Error::CODES],
        )),
    }
}
