//! Signatures without a profile: round trips, refusals, options.

use std::fs;

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use serde_json::{Value, json};

use crate::common::{Folder, NOW};

const REQUEST: &str = "POST /pay?amount=5 HTTP/1.1\r\nHost: tools.example\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";

/// A request, and an Ed25519 key `key.jwk` with its set `keys.json`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("request", REQUEST);
    with_key(&folder, "Ed25519");
    folder
}

fn with_key(folder: &Folder, alg: &str) {
    let _ = fs::remove_file(folder.path("key.jwk"));
    folder.ok(&format!("key generate --alg {alg} --kid k1 --out key.jwk"));
    let public = folder.ok("key public key.jwk");
    folder.write("keys.json", format!("{{\"keys\":[{public}]}}"));
}

fn sign(folder: &Folder, more: &str) {
    let args = format!("httpsig sign --request request --key key.jwk --created {NOW} {more}");
    folder.write("signed", folder.ok(&args));
}

fn verify(more: &str) -> String {
    format!("httpsig verify --request signed --keys keys.json --now {NOW} {more}")
}

const COVER: &str =
    "--cover @method --cover \"@target-uri\" --cover content-digest --digest sha-256";

/// HMS-06, T-073: a new signature verifies, with each algorithm.
#[test]
fn each_algorithm_goes_round() {
    let folder = folder();
    for (alg, name) in [
        ("ES256", "ecdsa-p256-sha256"),
        ("ES384", "ecdsa-p384-sha384"),
        ("EdDSA", "ed25519"),
        ("Ed25519", "ed25519"),
        ("PS512", "rsa-pss-sha512"),
        ("RS256", "rsa-v1_5-sha256"),
    ] {
        with_key(&folder, alg);
        for more in ["", "--alg", "--keyid k1", "--alg --keyid k1"] {
            sign(&folder, &format!("{COVER} {more}"));
            let answer = folder
                .run(&verify("--require content-digest --json"))
                .json();
            assert_eq!(answer.get("algorithm"), Some(&json!(name)), "{alg} {more}");
        }
    }
    folder.write(
        "shared.jwk",
        r#"{"kty":"oct","kid":"k1","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}"#,
    );
    let args = format!(
        "httpsig sign --request request --shared-key shared.jwk --created {NOW} --alg --keyid k1 {COVER}"
    );
    folder.write("signed", folder.ok(&args));
    let shared = format!("httpsig verify --request signed --shared-key shared.jwk --now {NOW}");
    assert!(folder.ok(&shared).contains("\nalgorithm  hmac-sha256\n"));
    // A shared key is not accepted as a public one, and the reverse (T-073).
    assert_eq!(folder.refused(&verify("")), "sig.algorithm");
    sign(&folder, &format!("{COVER} --keyid k1"));
    assert_eq!(folder.refused(&shared), "sig.signature");
    with_key(&folder, "ES512");
    let args = "httpsig sign --request request --key key.jwk --cover @method";
    assert_eq!(folder.refused(args), "sig.algorithm");
}

/// The message is unchanged except for the lines that are added at the end of its head.
#[test]
fn the_message_stays_as_it_is() {
    let folder = folder();
    let bytes = [
        REQUEST
            .replace("Content-Type: ", "cOnTeNt-TyPe:\t ")
            .as_bytes(),
        b"",
    ]
    .concat();
    let bytes = [&bytes[..bytes.len() - 7], b"\xff\r\n\r\n\0\n"].concat();
    folder.write("request", &bytes);
    let out = folder
        .command(&format!("httpsig sign --request request --key key.jwk --cover @method --digest sha-512 --created {NOW}"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0));
    let at = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 2;
    let (head, rest) = bytes.split_at(at);
    let added = out
        .stdout
        .strip_prefix(head)
        .unwrap()
        .strip_suffix(rest)
        .unwrap();
    let added = str::from_utf8(added).unwrap();
    let names: Vec<&str> = added
        .split_terminator("\r\n")
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    assert_eq!(names, ["Content-Digest", "Signature-Input", "Signature"]);
    assert!(added.starts_with("Content-Digest: sha-512=:"));
}

/// HMS-05, HMS-07, HMS-10, T-060, T-061, T-067: one thing is wrong, and the code says which.
#[test]
fn refusals_have_codes() {
    let folder = folder();
    sign(&folder, &format!("{COVER} --keyid k1 --expires 1800000060"));
    let good = folder.read("signed");
    assert!(folder.ok(&verify("")).starts_with("verified: "));
    for (from, to, code) in [
        ("POST", "PUT", "sig.signature"),
        ("amount=5", "amount=6", "sig.signature"),
        ("\"a\":1", "\"a\":2", "digest.mismatch"),
        ("Host: tools", "Host: other", "sig.signature"),
        (";keyid=\"k1\"", ";keyid=\"k2\"", "sig.key_unknown"),
        ("created=1800000000", "created=1799999999", "sig.signature"),
        (
            "created=1800000000",
            "created=1800000031",
            "sig.created_in_future",
        ),
        ("created=1800000000;", "", "sig.parameter_required"),
        (
            "Signature-Input: sig1",
            "Signature-Input: sig2",
            "sig.labels_differ",
        ),
        ("Signature: sig1=:", "Other: sig1=:", "sig.labels_differ"),
        (
            "(\"@method\"",
            "(\"@method\" \"@method\"",
            "sig.component_repeated",
        ),
        ("(\"@method\"", "(\"@nothing\"", "sig.component_unknown"),
        ("Content-Length: 7", "Content-Length: 6", "http1.surplus"),
        ("Host: tools.example\r\n", "", "http1.host_missing"),
        (
            "Host: tools.example\r\n",
            "Host: tools.example\n",
            "http1.line_end",
        ),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        folder.write("signed", changed);
        assert_eq!(folder.refused(&verify("")), code, "{from} {to}");
        let ran = folder.run(&verify("--json"));
        let answer = ran.json();
        assert_eq!((ran.status, answer.get("error")), (1, Some(&json!(code))));
        assert_eq!(answer.get("verified"), Some(&json!(false)));
        assert!(answer.get("detail").unwrap().is_string());
    }
    folder.write("signed", &good);
    for (args, code) in [
        ("--require @path".to_owned(), "sig.component_required"),
        ("--label sig2".to_owned(), "sig.missing"),
        ("--tag t".to_owned(), "sig.missing"),
        ("--scheme http".to_owned(), "sig.signature"),
    ] {
        assert_eq!(folder.refused(&verify(&args)), code, "{args}");
    }
    let at = |now| {
        folder.refused(&format!(
            "httpsig verify --request signed --keys keys.json --now {now}"
        ))
    };
    assert_eq!(at(1_800_000_091), "sig.expired");
    assert_eq!(at(1_799_999_969), "sig.created_in_future");
    sign(&folder, COVER);
    assert_eq!(at(1_800_000_331), "sig.too_old");
}

/// HMS-07, T-070: a signature with a tag is accepted only by its tag or its label; of several, one
/// must be selected.
#[test]
fn one_signature_is_chosen() {
    let folder = folder();
    sign(&folder, "--cover @method --tag app --nonce n-1");
    assert_eq!(folder.refused(&verify("")), "sig.missing");
    assert_eq!(folder.refused(&verify("--tag other")), "sig.missing");
    assert_eq!(
        folder.refused(&verify("--label sig1 --tag other")),
        "sig.tag"
    );
    for how in ["--tag app", "--label sig1", "--label sig1 --tag app"] {
        let answer = folder.run(&verify(&format!("{how} --json"))).json();
        let parameters = json!({"created": 1_800_000_000, "nonce": "n-1", "tag": "app"});
        assert_eq!(answer.get("parameters"), Some(&parameters), "{how}");
    }
    folder.write("request", folder.read("signed"));
    let again = format!(
        "httpsig sign --request request --key key.jwk --created {NOW} --cover @path --tag app"
    );
    assert_eq!(folder.refused(&again), "sig.label_taken");
    folder.write("signed", folder.ok(&format!("{again} --label sig2")));
    assert_eq!(folder.refused(&verify("--tag app")), "sig.ambiguous");
    assert!(
        folder
            .ok(&verify("--label sig2"))
            .contains("\n  \"@path\": /pay\n")
    );
    assert_eq!(
        folder.refused("httpsig base --request signed"),
        "sig.ambiguous"
    );
    let base = folder.ok("httpsig base --request signed --label sig2");
    assert_eq!(
        base,
        "\"@path\": /pay\n\"@signature-params\": (\"@path\");created=1800000000;tag=\"app\""
    );
}

/// HMS-07, T-060: a signature that covers no component proves nothing about the message. It is made
/// and accepted only with an explicit option.
#[test]
fn nothing_covered_wants_a_word() {
    let folder = folder();
    let args = format!("httpsig sign --request request --key key.jwk --created {NOW}");
    assert_eq!(folder.failed(&args), "cli.usage");
    let word = "--allow-nothing-covered";
    folder.write("signed", folder.ok(&format!("{args} {word}")));
    assert_eq!(folder.refused(&verify("")), "cli.nothing_covered");
    let ran = folder.run(&verify("--json"));
    let expected = (1, Some(&json!("cli.nothing_covered")));
    assert_eq!((ran.status, ran.json().get("error")), expected);
    assert_eq!(
        folder.refused(&verify("--require @method")),
        "sig.component_required"
    );
    let words = folder.ok(&verify(word));
    assert!(words.contains("\ncovered\n  NOTHING: "), "{words}");
    let answer = folder.run(&verify(&format!("{word} --json"))).json();
    assert_eq!(answer.get("components"), Some(&json!([])));
    let params = "\"@signature-params\": ();created=1800000000";
    let base = format!("httpsig base --request request --created {NOW} {word}");
    assert_eq!(folder.ok(&base), params);
    assert_eq!(folder.ok("httpsig base --request signed"), params);
    // The option accepts no signature that does not match, and is not for a profile.
    let changed = folder
        .read("signed")
        .replace("created=1800000000", "created=1800000001");
    folder.write("signed", changed);
    assert_eq!(folder.refused(&verify(word)), "sig.signature");
    for more in [
        "--profile wimse --audience https://tools.example/pay",
        "--profile web-bot-auth --directory https://a.example",
    ] {
        let more = format!("{word} {more}");
        assert_eq!(folder.failed(&verify(&more)), "cli.usage", "{more}");
        assert_eq!(
            folder.failed(&format!("{args} {more}")),
            "cli.usage",
            "{more}"
        );
    }
    for args in [
        verify(&format!("{word} --require @method")),
        format!("{args} {word} --cover @method"),
    ] {
        assert_eq!(folder.run(&args).status, 2, "{args}");
    }
}

/// HMS-07, T-060: the request is not a part of its response, so a signature that covers only the
/// request is made and accepted only with the option.
#[test]
fn of_a_response_its_request_is_nothing() {
    let folder = folder();
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    folder.write("response", response);
    let sign =
        format!("httpsig sign --request request --response response --key key.jwk --created {NOW}");
    let verify =
        format!("httpsig verify --request request --response signed --keys keys.json --now {NOW}");
    let word = "--allow-nothing-covered";
    let of_request = "--cover @method;req --cover @path;req";
    assert_eq!(folder.failed(&sign), "cli.usage");
    assert_eq!(folder.failed(&format!("{sign} {of_request}")), "cli.usage");
    let signed = folder.ok(&format!("{sign} {of_request} {word}"));
    folder.write("signed", &signed);
    let require = "--require @method;req";
    for more in ["", require] {
        let args = format!("{verify} {more}");
        assert_eq!(folder.refused(&args), "cli.nothing_covered", "{more}");
        let words = folder.ok(&format!("{args} {word}"));
        let nothing = "\ncovered\n  NOTHING OF THE RESPONSE: anyone can";
        assert!(words.contains(nothing), "{words}");
    }
    // It cannot be attached to another response.
    folder.write(
        "signed",
        signed
            .replace("200 OK", "500 No")
            .replace("\r\n\r\nok", "\r\n\r\nno"),
    );
    assert_eq!(folder.refused(&verify), "cli.nothing_covered");
    // One component of the response is enough, and then the option is an error.
    let both = format!("{of_request} --cover @status");
    folder.write("signed", folder.ok(&format!("{sign} {both}")));
    assert!(folder.ok(&verify).starts_with("verified: "));
    for args in [
        format!("{sign} {both} {word}"),
        format!("{verify} {require} --require @status {word}"),
    ] {
        assert_eq!(folder.failed(&args), "cli.usage", "{args}");
    }
    // A request has no request of its own.
    let misplaced = format!("httpsig sign --request request --key key.jwk {of_request}");
    assert_eq!(folder.refused(&misplaced), "sig.component_misplaced");
}

/// The answer shows what is covered; secrets are shown by their hash.
#[test]
fn the_answer_says_what_is_covered() {
    let folder = folder();
    folder.write(
        "request",
        REQUEST.replace(
            "Content-Type: ",
            "Authorization: Bearer tok\r\nContent-Type: ",
        ),
    );
    sign(&folder, "--cover authorization --cover content-type");
    let ran = folder.run(&verify("--json"));
    assert!(!ran.out.contains("tok"), "{}", ran.out);
    let answer = ran.json();
    assert_eq!(answer.get("message"), Some(&json!("request")));
    assert_eq!(answer.get("content"), Some(&json!("not_covered")));
    let hash = "fingerprint";
    let components = answer.get("components").and_then(Value::as_array).unwrap();
    assert!(
        components[0]
            .get(hash)
            .is_some_and(|hash| hash.as_str().unwrap().len() == 16)
    );
    assert_eq!(
        components[1],
        json!({"component": "\"content-type\"", "value": "application/json"})
    );
    let key = answer.get("key").unwrap();
    let thumbprint = folder.ok("key thumbprint key.jwk");
    assert_eq!(key, &json!({"id": "k1", "thumbprint": thumbprint.trim()}));
    let words = folder.ok(&verify(""));
    assert!(words.contains("\ncontent    NOT COVERED: "), "{words}");
    assert!(!words.contains("tok"));
    sign(&folder, COVER);
    assert!(
        folder
            .ok(&verify(""))
            .contains("\ncontent    as it was signed\n")
    );
}

/// HMS-10: each way to cover a digest protects the content, and one without effect is refused.
#[test]
fn content_is_compared_however_its_digest_is_covered() {
    let folder = folder();
    for how in [
        "content-digest",
        "content-digest;sf",
        "content-digest;bs",
        "content-digest;key=\"sha-256\"",
    ] {
        sign(&folder, &format!("--cover {how} --digest sha-256"));
        assert!(
            folder
                .ok(&verify(""))
                .contains("\ncontent    as it was signed\n"),
            "{how}"
        );
        folder.write(
            "signed",
            folder.read("signed").replace("{\"a\":1}", "{\"a\":2}"),
        );
        assert_eq!(folder.refused(&verify("")), "digest.mismatch", "{how}");
    }
    let there = "Content-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:, md5=:AAAA:\r\nContent-Type";
    folder.write("request", REQUEST.replace("Content-Type", there));
    let args = "httpsig sign --request request --key key.jwk --cover @method --digest sha-256";
    assert_eq!(folder.refused(args), "digest.mismatch");
    sign(&folder, "--cover content-digest;key=\"md5\"");
    assert_eq!(folder.refused(&verify("")), "digest.insecure");
}

/// HMS-03: a response with its request; the digests of both are compared.
#[test]
fn responses_cover_their_requests() {
    let folder = folder();
    folder.write("response", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let digest =
        "Content-Digest: sha-256=:AVq9fzFzQhTwSbORwK/lSB1dBrkgQeUrmgZrE7IiRFU=:\r\nContent-Type";
    folder.write("request", REQUEST.replace("Content-Type", digest));
    let args = format!(
        "httpsig sign --request request --response response --key key.jwk --created {NOW} --cover @status --cover @method;req --cover content-digest --digest sha-256"
    );
    folder.write("signed", folder.ok(&args));
    let verify =
        format!("httpsig verify --request request --response signed --keys keys.json --now {NOW}");
    assert!(folder.ok(&verify).contains("\nmessage    response\n"));
    folder.write("request", REQUEST.replace("POST", "PUT"));
    assert_eq!(folder.refused(&verify), "sig.signature");
    folder.write("request", REQUEST.replace("Content-Type", digest));
    folder.write(
        "signed",
        folder.ok(&format!("{args} --cover content-digest;req")),
    );
    assert_eq!(folder.refused(&verify), "digest.mismatch");
}

/// Exit status 2: files that cannot be read, and contradictory command lines.
#[test]
fn usage_is_checked() {
    let folder = folder();
    sign(&folder, "--cover @method");
    for (args, code) in [
        (
            "httpsig verify --request absent --keys keys.json",
            "cli.file",
        ),
        ("httpsig verify --request signed", "cli.usage"),
        (
            "httpsig verify --request signed --keys keys.json --keys keys.json",
            "cli.usage",
        ),
        (
            "httpsig verify --request signed --keys keys.json --audience a",
            "cli.usage",
        ),
        (
            "httpsig verify --request signed --keys keys.json --directory https://a.example",
            "cli.usage",
        ),
        (
            "httpsig verify --request - --response - --keys keys.json",
            "cli.usage",
        ),
        (
            "httpsig sign --request request --cover @method",
            "cli.usage",
        ),
        (
            "httpsig sign --request request --key key.jwk --audience a",
            "cli.usage",
        ),
        (
            "httpsig sign --request request --key key.jwk --pem-alg ES256",
            "cli.usage",
        ),
        (
            "httpsig sign --request request --key key.jwk --created 5 --expires 4",
            "cli.usage",
        ),
        (
            "httpsig base --request request --cover @method --alg",
            "cli.usage",
        ),
    ] {
        assert_eq!(folder.failed(args), code, "{args}");
    }
    for args in [
        "httpsig verify --keys keys.json",
        "httpsig verify --request signed --keys keys.json --shared-key key.jwk",
        "httpsig sign --request request --key key.jwk --cover @nothing",
        "httpsig sign --request request --key key.jwk --shared-key key.jwk",
    ] {
        assert_eq!(folder.run(args).status, 2, "{args}");
    }
    let ran = folder.run("httpsig verify --request absent --keys keys.json --json");
    assert_eq!(
        (ran.status, ran.json().get("error")),
        (2, Some(&json!("cli.file")))
    );
    let ran = folder.run_with(
        &format!("httpsig verify --request - --keys keys.json --now {NOW}"),
        folder.read("signed").as_bytes(),
    );
    assert_eq!(ran.status, 0);
}

/// HMS-11: folded lines and LF are accepted only with their options; keys are PKCS#8 in PEM or JWK,
/// and shared keys are separate.
#[test]
fn keys_and_lines_are_read_as_said() {
    let folder = folder();
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    folder.write("key.pem", key.to_pkcs8_pem().as_bytes());
    let sign =
        format!("httpsig sign --request request --cover @method --created {NOW} --key key.pem");
    assert_eq!(folder.failed(&sign), "cli.usage");
    assert_eq!(
        folder.refused(&format!("{sign} --pem-alg Ed25519")),
        "key.pkcs8"
    );
    folder.write("signed", folder.ok(&format!("{sign} --pem-alg ES256")));
    folder.write(
        "keys.json",
        format!("{{\"keys\":[{}]}}", key.public_jwk().to_json()),
    );
    assert!(folder.ok(&verify("")).starts_with("verified"));

    let k = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";
    for (jwk, code) in [
        (json!({"kty": "oct", "k": "c2hvcnQ"}), "sig.shared_key"),
        (json!({"kty": "OKP", "k": k}), "jwk.kty"),
        (json!({"kty": "oct", "k": k, "alg": "HS512"}), "jwk.alg"),
        (json!({"kty": "oct", "k": k, "use": "enc"}), "jwk.use"),
    ] {
        folder.write("shared.jwk", jwk.to_string());
        let args = "httpsig sign --request request --cover @method --shared-key shared.jwk";
        assert_eq!(folder.refused(args), code);
    }

    let folded = "POST / HTTP/1.1\nHost: tools.example\nX-Folded: a\n   b\n\nbody";
    folder.write("request", folded);
    let sign = format!(
        "httpsig sign --request request --cover x-folded --created {NOW} --key key.pem --pem-alg ES256"
    );
    assert_eq!(folder.refused(&sign), "http1.line_end");
    assert_eq!(
        folder.refused(&format!("{sign} --unix-lines")),
        "http1.folded"
    );
    folder.write(
        "signed",
        folder.ok(&format!("{sign} --unix-lines --folded-lines")),
    );
    let words = folder.ok(&verify("--unix-lines --folded-lines"));
    assert!(words.contains("\n  \"x-folded\": a b\n"), "{words}");
}
