//! Compact JWS.

use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::key::{Signer as _, VerifyingKey};
use aims_jose::{Algorithm, Error, base64url, digest};
use serde_json::json;

use crate::known::known;
use crate::{NO_TEXT, Outcome, refused, text};

/// Splits a token, prints it, and verifies it with two keys and both providers. Accepted if it
/// parses, whether its signature is valid or not.
pub fn jws(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let read = match Unverified::parse(text) {
        Ok(read) => read,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    assert_eq!(read.text(), text);
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    // Each value has one text.
    for part in &parts {
        if let Ok(bytes) = base64url::decode(part) {
            assert_eq!(base64url::encode(&bytes), *part);
        }
    }
    check_header(&read);
    let mut accepted = 0;
    for [one, other] in &known().printed {
        let verified = verify(text, one);
        assert_eq!(verified, verify(text, other), "the providers disagree");
        accepted += usize::from(verified.is_ok());
    }
    assert!(accepted < 2, "two keys verify one signature");
    Outcome::Accepted
}

/// Returns the payload of a token that the key verifies, or the code of the error.
fn verify(text: &str, key: &VerifyingKey) -> Result<Vec<u8>, &'static str> {
    let read = Unverified::parse(text).map_err(|error| error.code())?;
    let peeked = read.unverified_payload().map(<[u8]>::to_vec);
    let signed_hash = read.signed_hash();
    let verified = match read.verify(key) {
        Ok(verified) => verified,
        Err(error) => {
            assert!(matches!(
                error.code(),
                "jws.algorithm" | "jws.base64" | "jws.signature"
            ));
            return Err(error.code());
        }
    };
    assert!(key.algorithms().contains(verified.header().alg()));
    assert!(peeked.is_ok_and(|peeked| peeked == verified.payload()));
    let signed = text.rsplit_once('.').map(|(signed, _)| signed);
    assert_eq!(
        signed.map(|signed| digest::sha256(signed.as_bytes())),
        Some(signed_hash)
    );
    Ok(verified.payload().to_vec())
}

/// A header of ours with the same members parses to the same.
fn check_header(read: &Unverified<'_>) {
    let header = read.header();
    assert_eq!(
        Algorithm::from_name(header.alg().name()),
        Some(header.alg())
    );
    assert!(
        header
            .kid()
            .is_none_or(|kid| (1..=256).contains(&kid.len()))
    );
    let Some(typ) = header.typ() else {
        assert!(header.expect_typ("JWT").is_err());
        return;
    };
    assert!((1..=128).contains(&typ.len()));
    let short = typ.get(.."application/".len());
    let prefixed = short.is_some_and(|short| short.eq_ignore_ascii_case("application/"));
    assert_ne!(header.is_typ(typ), prefixed);
    assert_eq!(
        header.is_typ("wit+jwt"),
        header.expect_typ("wit+jwt").is_ok()
    );

    let key = &known().workload;
    let claims = json!({ "kid": header.kid() });
    let signed = SigningInput::new(typ, key.algorithm(), header.kid(), &claims)
        .and_then(|input| input.sign(key));
    let Ok(signed) = signed else {
        unreachable!("what was read cannot be signed");
    };
    let Ok(again) = Unverified::parse(signed.expose()) else {
        unreachable!("what was signed cannot be read");
    };
    let own = again.header();
    assert_eq!((own.typ(), own.kid()), (Some(typ), header.kid()));
    assert!(again.verify(key.verifying_key()).is_ok());
}
