//! Keys and algorithms: the key decides, and public and shared keys stay apart.

use aims_http_sig::{
    Algorithm, Algorithms, Error, Key, Keys, Parameters, Policy, SharedKey, SharedKeys, Signing,
};
use aims_jose::alg::Algorithm as Jws;
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::{Signer as _, SigningKey, VerifyingKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{
    CREATED, ED25519, P256, PROVIDERS, RSA_PSS, Text, at, code, post, public_key, signed,
    signing_key,
};

fn plain(signing: Signing) -> Text {
    signed(post(), &signing, CREATED)
}

fn bare() -> Signing {
    Signing::new("sig1").with_created()
}

fn ask(keys: &dyn Keys, message: &Text) -> &'static str {
    code(Policy::requiring([]).verify(&message.exchange(), keys, at(CREATED)))
}

fn set(keys: &[&VerifyingKey]) -> JwkSet {
    let keys: Vec<String> = keys.iter().map(|key| key.jwk().to_json()).collect();
    let json = format!("{{\"keys\":[{}]}}", keys.join(","));
    JwkSet::parse(json.as_bytes(), &SetRules::oauth().exact(), AWS_LC).unwrap()
}

fn ed25519() -> VerifyingKey {
    public_key(ED25519, "EdDSA", AWS_LC)
}

/// HMS-06: each algorithm signs and verifies, with both backends and between them.
#[test]
fn algorithms() {
    for jws in [
        Jws::Es256,
        Jws::Es384,
        Jws::EdDsa,
        Jws::Ed25519,
        Jws::Ps512,
        Jws::Rs256,
    ] {
        for provider in PROVIDERS {
            let Ok(key) = SigningKey::generate(jws, provider) else {
                assert!(jws.is_rsa(), "{jws}");
                continue;
            };
            let algorithm = Algorithm::of_jws(jws).unwrap();
            let prepared = bare()
                .with_alg(algorithm)
                .prepare(&post().exchange(), SYSTEM, at(CREATED))
                .unwrap();
            let fields = prepared.sign(&key).unwrap();
            let message = post().with(&format!(
                "Signature-Input: {}\nSignature: {}",
                fields.signature_input(),
                fields.signature()
            ));
            for provider in PROVIDERS {
                let key = VerifyingKey::from_jwk(key.public_jwk(), provider).unwrap();
                let verified = Policy::requiring([])
                    .verify(&message.exchange(), &key, at(CREATED))
                    .unwrap()
                    .accept_replays();
                assert_eq!(verified.algorithm(), algorithm);
                let none =
                    Policy::requiring([]).with_algorithms(Algorithms::of(&[Algorithm::HmacSha256]));
                assert_eq!(
                    code(none.verify(&message.exchange(), &key, at(CREATED))),
                    "sig.algorithm_forbidden"
                );
            }
        }
    }
    for jws in [Jws::Es512, Jws::Ps256, Jws::Ps384, Jws::Rs384, Jws::Rs512] {
        assert_eq!(Algorithm::of_jws(jws), None);
    }
    for &algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        assert_eq!(
            Algorithms::PUBLIC_KEY.contains(algorithm),
            algorithm != Algorithm::HmacSha256
        );
    }
}

/// T-068: `alg` must be the algorithm of the key.
#[test]
fn the_key_decides() {
    let message = plain(bare().with_alg(Algorithm::Ed25519));
    assert_eq!(ask(&ed25519(), &message), "good");
    for other in [
        "ecdsa-p256-sha256",
        "hmac-sha256",
        "rsa-v1_5-sha256",
        "Ed25519",
        "none",
        "EdDSA",
        "ed25519 ",
    ] {
        let message = message
            .clone()
            .changed("alg=\"ed25519\"", &format!("alg=\"{other}\""));
        assert_eq!(ask(&ed25519(), &message), "sig.algorithm", "{other}");
        assert_eq!(
            ask(&set(&[&ed25519()]), &message),
            "sig.algorithm",
            "{other}"
        );
    }
    assert_eq!(
        ask(&public_key(P256, "ES256", AWS_LC), &message),
        "sig.algorithm"
    );
    let message = plain(bare());
    assert_eq!(
        ask(&public_key(P256, "ES256", AWS_LC), &message),
        "sig.signature"
    );
    // No algorithm of RFC 9421.
    let ps256 = public_key(RSA_PSS, "PS256", AWS_LC);
    assert_eq!(ask(&ps256, &message), "sig.algorithm");
    let error = Policy::requiring([]).verify(&message.exchange(), &ps256, at(CREATED));
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no algorithm of RFC 9421 for the key"
    );
}

/// An RSA key that was given two algorithms verifies the one that `alg` names.
#[test]
fn a_key_of_two_algorithms() {
    let key = signing_key(RSA_PSS, "PS512", AWS_LC);
    let json = key
        .public_jwk()
        .to_json()
        .replace(",\"alg\":\"PS512\"", "")
        .replace("\"alg\":\"PS512\",", "");
    let rules =
        SetRules::oauth().with_rsa_algorithms([Jws::Ps512, Jws::Rs256].into_iter().collect());
    let set = JwkSet::parse(format!("{{\"keys\":[{json}]}}").as_bytes(), &rules, AWS_LC).unwrap();
    assert_eq!(set.keys().len(), 1);
    let sign = |signing: Signing| {
        let prepared = signing
            .prepare(&post().exchange(), SYSTEM, at(CREATED))
            .unwrap();
        let fields = prepared.sign(&key).unwrap();
        post().with(&format!(
            "Signature-Input: {}\nSignature: {}",
            fields.signature_input(),
            fields.signature()
        ))
    };
    let message = sign(bare().with_alg(Algorithm::RsaPssSha512));
    assert_eq!(ask(&set, &message), "good");
    assert_eq!(
        ask(&set, &message.changed("rsa-pss-sha512", "rsa-v1_5-sha256")),
        "sig.signature"
    );
    // The algorithm is ambiguous.
    assert_eq!(ask(&set, &sign(bare())), "sig.key_ambiguous");
}

#[test]
fn keys_are_found_by_id() {
    let (one, two) = (ed25519(), public_key(P256, "ES256", AWS_LC));
    let named = plain(bare().with_key_id("test-key-ed25519"));
    let unnamed = plain(bare());
    let by_thumbprint = plain(bare().with_key_id(&one.thumbprint().to_string()));
    assert_eq!(ask(&set(&[&one, &two]), &named), "good");
    assert_eq!(ask(&set(&[&one, &two]), &by_thumbprint), "good");
    assert_eq!(ask(&set(&[&one, &two]), &unnamed), "sig.key_ambiguous");
    assert_eq!(ask(&set(&[&one]), &unnamed), "good");
    assert_eq!(ask(&set(&[]), &unnamed), "sig.key_unknown");
    assert_eq!(ask(&set(&[&two]), &named), "sig.key_unknown");
    assert_eq!(ask(&set(&[&one, &one]), &named), "sig.key_ambiguous");
    assert_eq!(ask(&one, &named), "good");
    assert_eq!(ask(&one, &by_thumbprint), "good");
    assert_eq!(ask(&one, &unnamed), "good");
    assert_eq!(
        ask(&one, &plain(bare().with_key_id("another"))),
        "sig.key_unknown"
    );
    // In a set whose keys share a name, `alg` must select the key.
    let same_name = two.jwk().clone().with_key_id("test-key-ed25519");
    let same_name = VerifyingKey::from_jwk(&same_name, AWS_LC).unwrap();
    let both = set(&[&one, &same_name]);
    assert_eq!(ask(&both, &named), "sig.key_ambiguous");
    assert_eq!(
        ask(
            &both,
            &plain(
                bare()
                    .with_key_id("test-key-ed25519")
                    .with_alg(Algorithm::Ed25519)
            )
        ),
        "good"
    );
}

fn mac(message: &Text, secret: &[u8], key_id: &str, alg: bool) -> Text {
    let key = SharedKey::new(key_id, secret).unwrap();
    let mut signing = bare().with_key_id(key_id);
    if alg {
        signing = signing.with_alg(Algorithm::HmacSha256);
    }
    let prepared = signing
        .prepare(&message.exchange(), SYSTEM, at(CREATED))
        .unwrap();
    let fields = prepared.sign_with_shared_key(&key).unwrap();
    message.clone().with(&format!(
        "Signature-Input: {}\nSignature: {}",
        fields.signature_input(),
        fields.signature()
    ))
}

/// T-073: a public key is never a MAC key, and a MAC key never a public key, whatever the
/// parameters say. HMS-06
#[test]
fn kinds_are_apart() {
    let public = ed25519();
    let id = public.key_id().unwrap();
    let x = public.jwk().to_json();
    let (_, x) = x.split_once("\"x\":\"").unwrap();
    let raw = aims_jose::base64url::decode(x.split('"').next().unwrap()).unwrap();
    let one = set(&[&public]);
    let with_mac = Policy::requiring([]).with_algorithms(Algorithms::of(Algorithm::ALL));
    for secret in [raw, public.jwk().to_json().into_bytes()] {
        for alg in [true, false] {
            let message = mac(&post(), &secret, id, alg);
            let expected = if alg {
                "sig.algorithm"
            } else {
                "sig.signature"
            };
            let both: [&dyn Keys; 2] = [&public, &one];
            for keys in both {
                assert_eq!(
                    code(with_mac.verify(&message.exchange(), keys, at(CREATED))),
                    expected
                );
            }
        }
    }
    let shared = SharedKey::new(id, [7; 32]).unwrap();
    let message = plain(bare().with_key_id(id).with_alg(Algorithm::Ed25519));
    assert_eq!(
        code(with_mac.verify(&message.exchange(), &shared, at(CREATED))),
        "sig.algorithm"
    );
    let message = plain(bare().with_key_id(id));
    assert_eq!(
        code(with_mac.verify(&message.exchange(), &shared, at(CREATED))),
        "sig.signature"
    );
}

#[test]
fn shared_keys() {
    let policy = Policy::requiring([]).with_algorithms(Algorithms::of(&[Algorithm::HmacSha256]));
    let verdict = |keys: &dyn Keys, message: &Text| {
        code(policy.verify(&message.exchange(), keys, at(CREATED)))
    };
    let one = SharedKey::new("one", [1; 32]).unwrap();
    let long = SharedKey::new("long", [2; 65]).unwrap();
    let keys: SharedKeys = [one.clone(), long].into_iter().collect();
    let message = mac(&post(), &[1; 32], "one", true);
    assert_eq!(verdict(&one, &message), "good");
    assert_eq!(verdict(&keys, &message), "good");
    assert_eq!(
        verdict(&keys, &mac(&post(), &[2; 65], "long", false)),
        "good"
    );
    assert_eq!(
        verdict(&keys, &mac(&post(), &[2; 64], "long", false)),
        "sig.signature"
    );
    assert_eq!(
        verdict(&keys, &mac(&post(), &[1; 33], "one", false)),
        "sig.signature"
    );
    assert_eq!(
        verdict(&keys, &mac(&post(), &[1; 32], "three", false)),
        "sig.key_unknown"
    );
    assert_eq!(
        verdict(&one, &mac(&post(), &[1; 32], "three", false)),
        "sig.key_unknown"
    );
    let twice: SharedKeys = [one.clone(), one.clone()].into_iter().collect();
    assert_eq!(verdict(&twice, &message), "sig.key_ambiguous");
    // A MAC is accepted only if the policy names it.
    assert_eq!(ask(&one, &message), "sig.algorithm_forbidden");
    // A prefix of the MAC, and an empty one (T-022).
    for len in [0, 16, 31] {
        let fields = &message.headers.last().unwrap().1;
        let text = str::from_utf8(fields).unwrap();
        let (_, value) = text.split_once(":").unwrap();
        let full = STANDARD.decode(value.strip_suffix(':').unwrap()).unwrap();
        let short = format!("sig1=:{}:", STANDARD.encode(&full[..len]));
        assert_eq!(
            verdict(&one, &message.clone().replacing("Signature", &[&short])),
            "sig.signature"
        );
    }
    assert_eq!(code(SharedKey::new("short", [1; 31])), "sig.shared_key");
    assert_eq!(code(SharedKey::new("empty", [])), "sig.shared_key");
    assert_eq!(format!("{one:?} {keys:?}").matches("SharedKey").count(), 4);
    assert!(!format!("{one:?}").contains('1'));
}

/// A custom lookup by parameters.
#[test]
fn own_lookups() {
    #[derive(Debug)]
    struct ByTag(VerifyingKey);
    impl Keys for ByTag {
        fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
            match parameters.tag().as_deref() {
                Some("mine") => Ok(self.0.clone().into()),
                _ => Err(Error::KeyUnknown),
            }
        }
    }
    let keys = ByTag(ed25519());
    let policy = Policy::requiring([]).with_any_tag();
    let mine = plain(bare().with_tag("mine"));
    assert_eq!(
        code(policy.verify(&mine.exchange(), &keys, at(CREATED))),
        "good"
    );
    assert_eq!(
        code(policy.verify(&plain(bare()).exchange(), &keys, at(CREATED))),
        "sig.key_unknown"
    );
}

/// A private key that is not local.
#[test]
fn signers_of_other_algorithms() {
    let key = SigningKey::generate(Jws::Es512, AWS_LC).unwrap();
    let prepared = bare()
        .prepare(&post().exchange(), SYSTEM, at(CREATED))
        .unwrap();
    assert_eq!(code(prepared.sign(&key)), "sig.algorithm");
    let key = signing_key(P256, "ES256", AWS_LC);
    assert_eq!(key.algorithm(), Jws::Es256);
    let prepared = bare()
        .with_alg(Algorithm::Ed25519)
        .prepare(&post().exchange(), SYSTEM, at(CREATED))
        .unwrap();
    assert_eq!(code(prepared.sign(&key)), "sig.algorithm");
}
