//! The signed messages of RFC 9421, appendix B, from files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};

use crate::common::Folder;

const TEXT: &str = include_str!("../../../testdata/rfc9421/appendix-b.txt");
const NOW: u64 = 1_618_884_480;

/// Returns the blocks below a title, unfolded (RFC 8792 §7.1.2; some do not say that they are
/// folded).
fn blocks(title: &str) -> Vec<String> {
    let (_, rest) = TEXT.split_once(&format!("## {title}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let inner = section.split("-----\n").skip(1).step_by(2);
    inner
        .map(|block| {
            let lines: Vec<&str> = block
                .trim_end_matches('\n')
                .lines()
                .skip_while(|line| line.starts_with("NOTE: "))
                .collect();
            let text = lines.join("\n");
            let mut unfolded = String::new();
            for (at, part) in text.split("\\\n").enumerate() {
                unfolded.push_str(if at == 0 { part } else { part.trim_start() });
            }
            unfolded.trim_start_matches('\n').to_owned()
        })
        .collect()
}

fn jwk(title: &str, alg: &str) -> Map<String, Value> {
    let mut jwk: Map<String, Value> = serde_json::from_str(blocks(title).last().unwrap()).unwrap();
    jwk.insert("alg".to_owned(), alg.into());
    jwk
}

/// Returns a folder with the key set `keys.json`, the shared key `shared.jwk`, and the private
/// `ed25519.jwk`.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut keys = Vec::new();
    for (title, alg) in [
        ("Example RSA PSS Key", "PS512"),
        ("Example ECC P-256 Test Key", "ES256"),
        ("Example Ed25519 Test Key", "EdDSA"),
    ] {
        let mut key = jwk(title, alg);
        folder.write(&format!("{alg}.jwk"), Value::from(key.clone()).to_string());
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            key.remove(private);
        }
        keys.push(key);
    }
    folder.write("keys.json", json!({ "keys": keys }).to_string());
    let secret = blocks("Example Shared Secret").concat().replace('\n', "");
    let secret = secret
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let shared = json!({"kty": "oct", "kid": "test-shared-secret", "k": secret});
    folder.write("shared.jwk", shared.to_string());
    folder
}

/// Returns a message with two more fields, as a file whose lines end in LF.
fn with(message: &str, fields: &str) -> String {
    let (head, content) = message.split_once("\n\n").unwrap_or((message, ""));
    format!("{}\n{}\n\n{content}", head.trim_end(), fields.trim_end())
}

fn verify(more: &str) -> String {
    format!("httpsig verify --request request --unix-lines --now {NOW} {more}")
}

/// HMS-04: B.2.1-B.2.3, B.2.5 and B.2.6 verify, and the output shows what they cover.
#[test]
fn printed_requests_verify() {
    let folder = folder();
    let request = &blocks("Test Cases")[0];
    for (title, label, keys, algorithm) in [
        (
            "Minimal Signature Using rsa-pss-sha512",
            "sig-b21",
            // It covers nothing, which needs the explicit option.
            "--keys keys.json --allow-nothing-covered",
            "rsa-pss-sha512",
        ),
        (
            "Selective Covered Components using rsa-pss-sha512",
            "sig-b22",
            "--keys keys.json",
            "rsa-pss-sha512",
        ),
        (
            "Full Coverage using rsa-pss-sha512",
            "sig-b23",
            "--keys keys.json",
            "rsa-pss-sha512",
        ),
        (
            "Signing a Request using hmac-sha256",
            "sig-b25",
            "--shared-key shared.jwk",
            "hmac-sha256",
        ),
        (
            "Signing a Request using ed25519",
            "sig-b26",
            "--keys keys.json",
            "ed25519",
        ),
    ] {
        let printed = blocks(title);
        folder.write("request", with(request, &printed[1]));
        let answer = folder
            .run(&verify(&format!("{keys} --label {label} --json")))
            .json();
        assert_eq!(
            answer.get("verified"),
            Some(&json!(true)),
            "{title}: {answer}"
        );
        assert_eq!(answer.get("label"), Some(&json!(label)));
        assert_eq!(answer.get("algorithm"), Some(&json!(algorithm)));
        let base = folder.ok(&format!(
            "httpsig base --request request --unix-lines --label {label}"
        ));
        assert_eq!(base, printed[0], "{title}");
    }
}

/// HMS-04: the response of B.2.4 has the printed components, and the request that a proxy signed in
/// B.3 verifies; a changed word is refused.
#[test]
fn printed_responses_and_proxies_verify() {
    let folder = folder();
    let [request, response] = &blocks("Test Cases")[..] else {
        panic!("two messages")
    };
    folder.write("request", request);
    let printed = blocks("Signing a Response using ecdsa-p256-sha256");
    folder.write("response", with(response, &printed[1]));
    let base = folder.ok("httpsig base --request request --response response --unix-lines");
    // The printed base has another digest than the message (RFC 9421, erratum).
    let line = |text: &str| text.lines().last().map(str::to_owned);
    assert_eq!(line(&base), line(&printed[0]));

    let printed = blocks("TLS-Terminating Proxies");
    folder.write("request", &printed[4]);
    let args = verify("--keys keys.json --label ttrp --require \"@authority\"");
    assert!(folder.ok(&args).starts_with("verified: "), "{}", printed[4]);
    for (from, to) in [
        ("service.internal.example", "other.example"),
        ("MEQC", "MEQD"),
        ("POST", "PUT"),
    ] {
        let changed = printed[4].replacen(from, to, 1);
        if changed == printed[4] {
            continue;
        }
        folder.write("request", changed);
        assert_eq!(folder.refused(&args), "sig.signature", "{from}");
    }
}

/// HMS-06: Ed25519 signs the same bytes as printed (B.2.6).
#[test]
fn the_printed_signature_is_made_again() {
    let folder = folder();
    folder.write("request", &blocks("Test Cases")[0]);
    let signed = folder.ok(
        "httpsig sign --request request --unix-lines --key EdDSA.jwk --label sig-b26 --created 1618884473 \
         --keyid test-key-ed25519 --cover date --cover @method --cover @path --cover @authority --cover content-type --cover content-length",
    );
    let printed = &blocks("Signing a Request using ed25519")[1];
    for line in printed.trim_end().lines() {
        assert!(signed.contains(&format!("{line}\n")), "{line}\n{signed}");
    }
    let unchanged: Vec<&str> = signed
        .lines()
        .filter(|line| !line.starts_with("Signature"))
        .collect();
    assert_eq!(unchanged.join("\n"), blocks("Test Cases")[0].trim_end());
}
