//! WIMSE: the messages that draft-ietf-wimse-http-signature-07 prints, and our own requests and
//! responses.

use serde_json::json;

use crate::common::{AGENT, Folder, NOW, ORIGIN};

const PRINTED: [(&str, &str); 4] = [
    (
        "request",
        include_str!("../../../testdata/wimse-2026-09/svca-svcb-request.http"),
    ),
    (
        "response",
        include_str!("../../../testdata/wimse-2026-09/svca-svcb-response.http"),
    ),
    (
        "a.jwk",
        include_str!("../../../testdata/wimse-2026-09/svca.private.jwk.json"),
    ),
    (
        "b.jwk",
        include_str!("../../../testdata/wimse-2026-09/svcb.private.jwk.json"),
    ),
];
const AUDIENCE: &str = "https://tools.example/call";
const REQUEST: &str =
    "POST /call?x=y HTTP/1.1\r\nHost: tools.example\r\nContent-Length: 7\r\n\r\n{\"a\":1}";

fn printed() -> Folder {
    let folder = Folder::new();
    for (name, text) in PRINTED {
        folder.write(name, text);
    }
    folder
}

fn verify_printed(more: &str) -> String {
    format!(
        "httpsig verify --profile wimse --request request --now 1789405138 \
         --audience https://svcb.example.com/gimme-ice-cream {more}"
    )
}

/// SIG-01, SIG-02, SIG-09: request and response verify with the printed keys; the answer says that
/// the tokens were not verified.
#[test]
fn the_printed_messages_verify() {
    let folder = printed();
    let words = folder.ok(&verify_printed("--wit-key a.jwk"));
    assert!(
        words.starts_with("verified, BUT NOT THE TOKEN: "),
        "{words}"
    );
    let both = verify_printed("--wit-key a.jwk --response response --response-wit-key b.jwk");
    let answer = folder.run(&format!("{both} --json")).json();
    assert_eq!(answer.get("message"), Some(&json!("response")));
    assert_eq!(answer.get("content"), Some(&json!("covered")));
    assert_eq!(
        answer.get("sender"),
        Some(&json!({"token_not_verified": true}))
    );
    let request_nonce = answer
        .get("parameters")
        .and_then(|all| all.get("wimse-req-nonce"));
    assert_eq!(request_nonce, Some(&json!("abcd1111")));
    for (file, from, to, code) in [
        ("request", "vanilla", "lemon", "sig.signature"),
        ("request", "abcd1111", "abcd1112", "sig.signature"),
        ("response", "404", "403", "sig.signature"),
        ("response", "abcd1111", "abcd1112", "sig.request_nonce"),
        ("response", "No ice", "No ace", "digest.mismatch"),
        (
            "response",
            "Signature: sig1",
            "Other: sig1",
            "sig.labels_differ",
        ),
    ] {
        let good = folder.read(file);
        folder.write(file, good.replace(from, to));
        assert_eq!(folder.refused(&both), code, "{file} {to}");
        folder.write(file, good);
    }
    for (args, code) in [
        ("--wit-key b.jwk", "sig.signature"),
        (
            "--wit-key a.jwk --response response --response-wit-key a.jwk",
            "sig.signature",
        ),
        (
            "--wit-key a.jwk --require content-type",
            "sig.component_required",
        ),
    ] {
        let args = verify_printed(args);
        assert_eq!(folder.refused(&args), code, "{args}");
    }
    let late = verify_printed("--wit-key a.jwk").replace("1789405138", "1789405466");
    assert_eq!(folder.refused(&late), "sig.expired");
}

fn sign(folder: &Folder, more: &str) -> String {
    folder.ok(&format!(
        "httpsig sign --profile wimse --request request --key agent.jwk --created {NOW} {more}"
    ))
}

fn verify(more: &str) -> String {
    format!(
        "httpsig verify --profile wimse --request signed --audience {AUDIENCE} --now {NOW} {more}"
    )
}

const TRUST: &str = "--origin spiffe://example.org --keys keys.json";

/// SIG-05, SIG-06, SIG-08: first the token is verified, then the signature with its key, then the
/// content.
#[test]
fn a_request_goes_round() {
    let folder = Folder::with_agent();
    folder.write("request", REQUEST);
    let signed = sign(&folder, &format!("--wit wit --audience {AUDIENCE}"));
    assert!(signed.starts_with("POST /call?x=y HTTP/1.1\r\nHost: tools.example\r\nContent-Length: 7\r\nContent-Digest: sha-256=:"));
    assert!(signed.ends_with("\r\n\r\n{\"a\":1}"));
    folder.write("signed", &signed);
    let answer = folder.run(&verify(&format!("{TRUST} --json"))).json();
    assert_eq!(answer.get("sender"), Some(&json!({"id": AGENT})));
    assert_eq!(answer.get("content"), Some(&json!("covered")));
    assert!(
        folder
            .ok(&verify(TRUST))
            .contains("\nid         spiffe://example.org/agent\n")
    );

    let wit = folder.read("wit");
    for (from, to, code) in [
        ("{\"a\":1}", "{\"a\":2}", "digest.mismatch"),
        ("x=y", "x=z", "sig.signature"),
        (
            &format!("Workload-Identity-Token: {}\r\n", wit.trim()),
            "",
            "sig.component_absent",
        ),
        (
            "Workload-Identity-Token: eyJ",
            "Workload-Identity-Token: eyK",
            "jws.json",
        ),
        ("Content-Digest: ", "Other: ", "sig.component_absent"),
    ] {
        let changed = signed.replacen(from, to, 1);
        assert_ne!(changed, signed, "{from}");
        folder.write("signed", changed);
        assert_eq!(folder.refused(&verify(TRUST)), code, "{from}");
    }
    folder.write("signed", &signed);
    let other = "--origin spiffe://example.com --keys keys.json";
    assert_eq!(folder.refused(&verify(other)), "trust.unknown_origin");
    let args = verify(TRUST).replace(AUDIENCE, "https://other.example");
    assert_eq!(folder.refused(&args), "sig.audience");
    let late = verify(TRUST).replace(NOW, "1800000091");
    assert_eq!(folder.refused(&late), "sig.expired");
    let later = verify(TRUST).replace(NOW, "1800003631");
    assert_eq!(folder.refused(&later), "wit.expired");
}

/// SIG-02, SIG-09: the response is bound to its request; an unsigned one is refused.
#[test]
fn a_response_goes_round() {
    let folder = Folder::with_agent();
    folder.write("request", REQUEST);
    let asked = sign(
        &folder,
        &format!("--wit wit --audience {AUDIENCE} --ask-signed-response"),
    );
    assert!(asked.contains(";wimse-sign-response\r\n"), "{asked}");
    folder.write("request", &asked);
    folder.write(
        "response",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrain",
    );
    let verify = format!(
        "httpsig verify --profile wimse --request request --audience {AUDIENCE} --now {NOW} {TRUST} --response"
    );
    assert_eq!(
        folder.refused(&format!("{verify} response")),
        "sig.response_unsigned"
    );
    let answer = sign(
        &folder,
        &format!("--response response --wit wit --audience {AUDIENCE} {TRUST}"),
    );
    folder.write("answer", &answer);
    let words = folder.ok(&format!("{verify} answer"));
    assert!(words.contains("\nmessage    response\n"), "{words}");
    assert!(words.contains("\ncontent    as it was signed\n"), "{words}");
    folder.write("answer", answer.replace("rain", "snow"));
    assert_eq!(
        folder.refused(&format!("{verify} answer")),
        "digest.mismatch"
    );
    // The answer to one request does not match another (T-069).
    folder.write("answer", &answer);
    folder.write("request", REQUEST);
    folder.write(
        "request",
        sign(&folder, &format!("--wit wit --audience {AUDIENCE}")),
    );
    assert_eq!(
        folder.refused(&format!("{verify} answer")),
        "sig.request_nonce"
    );
}

/// The required options of this profile, and those that are refused.
#[test]
fn usage_is_checked() {
    let folder = Folder::with_agent();
    folder.write("request", REQUEST);
    folder.write(
        "signed",
        sign(&folder, &format!("--wit wit --audience {AUDIENCE}")),
    );
    let sign = "httpsig sign --profile wimse --request request --key agent.jwk";
    let verify = "httpsig verify --profile wimse --request signed";
    for args in [
        format!("{sign} --wit wit"),
        format!("{sign} --audience {AUDIENCE}"),
        format!("{sign} --wit wit --audience {AUDIENCE} --cover @path"),
        format!("{sign} --wit wit --audience {AUDIENCE} --keyid a"),
        format!("{sign} --wit wit --audience {AUDIENCE} --nonce a"),
        format!("{sign} --wit wit --audience {AUDIENCE} {TRUST}"),
        format!("{sign} --wit wit --audience {AUDIENCE} --response request --ask-signed-response"),
        format!("{verify} {TRUST}"),
        format!("{verify} --audience {AUDIENCE}"),
        format!("{verify} --audience {AUDIENCE} {TRUST} --label wimse"),
        format!("{verify} --audience {AUDIENCE} {TRUST} --origin spiffe://example.com"),
        format!("{verify} --audience {AUDIENCE} --wit-key agent.pub --response request"),
    ] {
        let args = if args.starts_with(sign) || args.contains("--now") {
            args
        } else {
            format!("{args} --now {NOW}")
        };
        assert_eq!(folder.failed(&args), "cli.usage", "{args}");
    }
    let both = format!("{verify} --audience {AUDIENCE} {TRUST} --wit-key agent.pub");
    assert_eq!(folder.run(&both).status, 2);
    // The token must have the key, and must be valid.
    folder.ok("key generate --out other.jwk");
    let other = format!(
        "httpsig sign --profile wimse --request request --wit wit --audience {AUDIENCE} --created {NOW} --key"
    );
    assert_eq!(folder.refused(&format!("{other} other.jwk")), "source.key");
    let late = format!("{other} agent.jwk").replace(NOW, "1800003600");
    assert_eq!(folder.refused(&late), "wit.expired");
    let long = format!("{other} agent.jwk --expires 1800000601");
    assert_eq!(folder.refused(&long), "sig.lifetime");
    assert_eq!(ORIGIN, "spiffe://example.org");
}
