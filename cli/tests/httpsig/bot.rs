//! Tests of Web Bot Auth.

use serde_json::json;

use crate::common::{Folder, NOW};

const REQUEST: &str = "GET /offers HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const AGENT: &str = "https://crawler.example/keys.json";

/// A signed request, and the directory `keys.json`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("request", REQUEST);
    folder.ok("key generate --alg EdDSA --out key.jwk");
    let public = folder.ok("key public key.jwk");
    folder.write("keys.json", format!("{{\"keys\":[{public}]}}"));
    folder.write("signed", folder.ok(&sign("")));
    folder
}

fn sign(more: &str) -> String {
    format!(
        "httpsig sign --profile web-bot-auth --request request --key key.jwk --directory {AGENT} --created {NOW} {more}"
    )
}

fn verify(more: &str) -> String {
    format!(
        "httpsig verify --profile web-bot-auth --request signed --keys keys.json --directory {AGENT} --now {NOW} {more}"
    )
}

/// The agent is named by the URL of its member of Signature-Agent, and only if that is covered.
#[test]
fn a_request_goes_round() {
    let folder = folder();
    assert!(
        folder
            .read("signed")
            .contains("\r\nSignature-Agent: sig1=\"https://crawler.example/keys.json\"")
    );
    let answer = folder.run(&verify("--json")).json();
    assert_eq!(answer.get("sender"), Some(&json!({"agent": AGENT})));
    let words = folder.ok(&verify("--require @path"));
    assert!(words.contains("\n  \"@path\": /offers\n"), "{words}");
    folder.write(
        "signed",
        folder.ok(&sign(
            "--label bot --nonce n-1 --expires 1800000010 --cover @query",
        )),
    );
    let words = folder.ok(&verify("--require @query"));
    assert!(
        words.contains("\nlabel      bot\n") && words.contains("\n  nonce: \"n-1\"\n"),
        "{words}"
    );
}

/// Each refusal has its code; a key is only for the given URL.
#[test]
fn refusals_have_codes() {
    let folder = folder();
    let good = folder.read("signed");
    for (from, to, code) in [
        ("/offers", "/orders", "sig.signature"),
        ("Host: shop", "Host: shed", "sig.signature"),
        ("crawler", "crawled", "sig.agent_key_unknown"),
        ("tag=\"web-bot-auth\"", "tag=\"web-bot\"", "sig.missing"),
        (
            "Signature-Agent: sig1",
            "Signature-Agent: sig2",
            "sig.agent",
        ),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        folder.write("signed", changed);
        assert_eq!(folder.refused(&verify("")), code, "{from}");
    }
    folder.write("signed", &good);
    assert_eq!(
        folder.refused(&verify("--require @query")),
        "sig.component_required"
    );
    let other = verify("").replace(AGENT, "https://other.example");
    assert_eq!(folder.refused(&other), "sig.agent_key_unknown");
    let late = verify("").replace(NOW, "1800000091");
    assert_eq!(folder.refused(&late), "sig.expired");
}

/// Web Bot Auth -01: a member with parameters, which earlier drafts had, is ignored.
#[test]
fn members_have_no_parameters() {
    let folder = folder();
    let good = folder.read("signed");
    let typed = good.replacen("keys.json\"", "keys.json\";type=jwks_uri", 1);
    assert_ne!(typed, good);
    folder.write("signed", typed);
    assert_eq!(folder.refused(&verify("")), "sig.agent");
}

/// A text that is not an https URL in normal form is an error of the command line, not of the
/// message.
#[test]
fn the_directory_is_a_url() {
    let folder = folder();
    for other in [
        "crawler.example",
        "http://crawler.example",
        "https://crawler.example/./keys",
    ] {
        for args in [sign(""), verify("")] {
            let args = args.replace(AGENT, other);
            assert_eq!(folder.failed(&args), "cli.usage", "{args}");
            let err = folder.run(&args).err;
            assert!(err.contains("`--directory` is an https URL"), "{err}");
        }
    }
}

/// Options that the profile sets itself are refused.
#[test]
fn usage_is_checked() {
    let folder = folder();
    for args in [
        sign("--tag other"),
        sign("--keyid other"),
        sign("--alg"),
        sign("--audience a"),
        sign("").replace(&format!("--directory {AGENT}"), ""),
        verify("--label sig1"),
        verify("--audience a"),
        verify("--response request"),
        verify("").replace(&format!("--directory {AGENT}"), ""),
        verify("--keys keys.json"),
    ] {
        assert_eq!(folder.failed(&args), "cli.usage", "{args}");
    }
}
