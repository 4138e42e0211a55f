//! `Signature-Agent`, read strictly.

use aims_http_sig::profile::web_bot_auth::{Discovery, SignatureAgent};
use aims_jose::random::SYSTEM;

use crate::support::*;

#[test]
fn the_type_says_where_the_keys_are() {
    let agent = SignatureAgent::directory("https://crawler.example:8443/").unwrap();
    assert_eq!(
        agent.location(),
        "https://crawler.example:8443/.well-known/http-message-signatures-directory"
    );
    assert_eq!(agent.discovery(), Discovery::Directory);
    let agent = SignatureAgent::jwks_uri("https://crawler.example/k?v=1").unwrap();
    assert_eq!(agent.location(), "https://crawler.example/k?v=1");
    assert_eq!(agent.identifier(), "https://crawler.example/k");
    assert_eq!(
        agent.to_member("a"),
        r#"a="https://crawler.example/k?v=1";type=jwks_uri"#
    );
    let agent = SignatureAgent::cimd("https://crawler.example/card").unwrap();
    assert_eq!(agent.discovery(), Discovery::Cimd);
    // Another location has other keys, and none are known for it.
    for member in [
        r#"sig1="https://crawler.example/k";type=jwks_uri"#,
        r#"sig1="https://crawler.example/k";type=cimd"#,
    ] {
        assert_eq!(made().code_with(member), Some("sig.agent_key_unknown"));
    }
    let member = r#"sig1="https://crawler.example";type=directory;x=1"#;
    assert_eq!(made().code_with(member), None);
}

#[test]
fn a_url_has_one_spelling() {
    for origin in [
        "http://crawler.example",
        "crawler.example",
        "https://",
        "https://Crawler.example",
        "HTTPS://crawler.example",
        "https://crawler.example:443",
        "https://crawler.example:0",
        "https://crawler.example:08443",
        "https://crawler.example:",
        "https://crawler.example/x",
        "https://crawler.example?x",
        "https://crawler.example#x",
        "https://user@crawler.example",
        "https://crawler.example//",
        "https://[::0]",
        "https://[::1",
        "https://::1",
        "https://127.1",
        "https://127.0.0.01",
        "https://127.0.0.1.",
        "https://0x7f.0.0.1",
        "https://127.0.0.0x1",
        "https://2130706433",
        "https://256.0.0.1",
        "https://cr\u{e4}wler.example",
    ] {
        let error = SignatureAgent::directory(origin).unwrap_err();
        assert_eq!(error.code(), "sig.agent", "{origin}");
    }
    for origin in [
        "https://[::1]:8443",
        "https://127.0.0.1",
        "https://1.example",
        "https://0x7f.example",
    ] {
        SignatureAgent::directory(origin).unwrap();
    }
    for url in [
        "https://crawler.example",
        "https://crawler.example/a/../b",
        "https://crawler.example/./b",
        "https://crawler.example/%7Eb",
        "https://crawler.example/%c3%a9",
        "https://crawler.example/%4",
        "https://crawler.example/a b",
        "https://crawler.example/a#b",
        "https://crawler.example?a",
    ] {
        let error = SignatureAgent::jwks_uri(url).unwrap_err();
        assert_eq!(error.code(), "sig.agent", "{url}");
    }
    SignatureAgent::jwks_uri("https://crawler.example/%C3%A9?a=/b").unwrap();
    let long = format!("https://crawler.example/{}", "a".repeat(2048));
    assert!(SignatureAgent::cimd(&long).is_err());
}

#[test]
fn the_field_is_read_strictly() {
    for (value, code) in [
        (r#"sig1="http://crawler.example""#, "sig.agent"),
        (r#"sig1="https://crawler.example/x""#, "sig.agent"),
        (r#"sig1="https://crawler.example";type=other"#, "sig.agent"),
        (
            r#"sig1="https://crawler.example";type="directory""#,
            "sig.agent",
        ),
        (
            r#"sig1="https://crawler.example", sig1="https://other.example""#,
            "sig.label_repeated",
        ),
        (r#"sig1=token"#, "sig.syntax"),
        // An intermediary could remove one of the two: only the last is signed.
        (
            r#"sig1="https://crawler.example";type=jwks_uri;type=directory"#,
            "sig.parameter_repeated",
        ),
        (
            r#"sig1="https://crawler.example";x;x"#,
            "sig.parameter_repeated",
        ),
        (
            r#"sig1="https://crawler.example", b="https://x.example";type=cimd;type=cimd"#,
            "sig.parameter_repeated",
        ),
    ] {
        assert_eq!(made().code_with(value), Some(code), "{value}");
    }
    // A member of an unknown type is skipped; the others are unaffected.
    let beside = r#"b="https://x.example";type=other, sig1="https://crawler.example""#;
    assert_eq!(made().code_with(beside), None);
}

/// There are no more members than signatures, and no more parameters of a member than of a
/// signature (HMS-08).
#[test]
fn the_field_is_bounded() {
    let members = |count: usize| {
        let mut text = r#"sig1="https://crawler.example""#.to_owned();
        for number in 1..count {
            text += &format!(r#", a{number}="https://x.example""#);
        }
        text
    };
    assert_eq!(made().code_with(&members(8)), None);
    assert_eq!(made().code_with(&members(9)), Some("sig.limit"));
    let parameters = |count: usize| {
        let mut text = r#"sig1="https://crawler.example""#.to_owned();
        for number in 0..count {
            text += &format!(";a{number}");
        }
        text
    };
    assert_eq!(made().code_with(&parameters(32)), None);
    assert_eq!(made().code_with(&parameters(33)), Some("sig.limit"));
    // The agent does not sign a field with more members than a receiver reads.
    let parts = request(Some(&members(9)));
    let error = signing().prepare(&seen(&parts), SYSTEM, at(NOW));
    assert_eq!(error.unwrap_err().code(), "sig.limit");
}
