//! Tests of `aims txn`.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{Folder, NOW};
use serde_json::{Value, json};

const DOMAIN: &str = "trust-domain.example";
const ISSUE: &str = "txn issue --key tts.jwk --domain trust-domain.example --subject alice \
                     --scope trade.stocks --requester gateway --txn t-1 --now 1800000000";

/// The key of a transaction token service, its set `keys.json`, and a call in `call.json`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.ok("key generate --kid tts --out tts.jwk");
    let public = folder.ok("key public tts.jwk");
    folder.write("keys.json", format!("{{\"keys\":[{public}]}}"));
    folder.write("call.json", r#"{"tool":"buy","arguments":{"n":1}}"#);
    folder
}

/// Issues with these further options, verifies with those, and returns the status and the answer.
fn round(folder: &Folder, issue: &str, verify: &str) -> (i32, Value) {
    let token = folder.ok(&format!("{ISSUE} {issue}"));
    folder.write("token", token);
    let args = format!("txn verify --keys keys.json --now {NOW} --json {verify} token");
    let ran = folder.run(&args);
    let answer = ran.json();
    assert_eq!(answer["verified"], ran.status == 0, "{answer}");
    (ran.status, answer)
}

#[test]
fn what_is_issued_is_verified() {
    let folder = folder();
    let domain = format!("--domain {DOMAIN}");
    let (status, answer) = round(&folder, "", &domain);
    assert_eq!(status, 0);
    let expected = json!({
        "verified": true, "txn": "t-1", "subject": "alice", "domain": DOMAIN,
        "scopes": ["trade.stocks"], "requester": "gateway", "issuer": null,
        "issued": 1_800_000_000, "expires": 1_800_000_060, "binding": "none"
    });
    assert_eq!(answer, expected);
    let named = format!("{domain} --issuer https://tts.example --require-scope trade.stocks");
    let (status, answer) = round(&folder, "--issuer https://tts.example", &named);
    assert_eq!(
        (status, &answer["issuer"]),
        (0, &json!("https://tts.example"))
    );
    // The answer for people, too; and from the standard input.
    let token = folder.ok(ISSUE);
    folder.write("token", token);
    let shown = folder.ok(&format!(
        "txn verify --keys keys.json {domain} --now {NOW} token"
    ));
    assert!(
        shown.starts_with("verified") && shown.contains("txn        t-1"),
        "{shown}"
    );
}

#[test]
fn each_difference_is_refused() {
    let folder = folder();
    let domain = format!("--domain {DOMAIN}");
    for (issue, verify, code) in [
        ("", "--domain other.example".to_owned(), "txn.domain"),
        (
            "",
            format!("{domain} --issuer https://tts.example"),
            "txn.issuer",
        ),
        ("", format!("{domain} --require-scope pay"), "cli.scope"),
        (
            "",
            format!("{domain} --parameters call.json"),
            "txn.no_call",
        ),
        ("", format!("{domain} --now 1800000090"), "txn.expired"),
        (
            "",
            format!("{domain} --now 1799999969"),
            "txn.not_yet_valid",
        ),
    ] {
        let token = folder.ok(&format!("{ISSUE} {issue}"));
        folder.write("token", token);
        let now = if verify.contains("--now") {
            ""
        } else {
            "--now 1800000000"
        };
        let ran = folder.run(&format!(
            "txn verify --keys keys.json --json {now} {verify} token"
        ));
        let answer = ran.json();
        assert_eq!(
            (ran.status, &answer["error"]),
            (1, &json!(code)),
            "{answer}"
        );
    }
}

/// Changed parameters are refused, and a file without a call is an error of the command line.
#[test]
fn a_token_is_for_the_call_in_the_file() {
    let folder = folder();
    let verify = format!("--domain {DOMAIN} --parameters");
    let issue = "--parameters call.json";
    let (status, _) = round(&folder, issue, &format!("{verify} call.json"));
    assert_eq!(status, 0);
    folder.write(
        "same.json",
        "{ \"arguments\": {\"n\": 1.0}, \"tool\": \"buy\" }\n",
    );
    let (status, _) = round(&folder, issue, &format!("{verify} same.json"));
    assert_eq!(status, 0);
    folder.write("other.json", r#"{"tool":"buy","arguments":{"n":2}}"#);
    let (status, answer) = round(&folder, issue, &format!("{verify} other.json"));
    assert_eq!((status, &answer["error"]), (1, &json!("txn.call")));
    for no_call in [
        "{}",
        "[]",
        r#"{"tool":"buy"}"#,
        r#"{"tool":"buy","arguments":[]}"#,
        r#"{"tool":"buy","arguments":{},"x":1}"#,
        r#"{"tool":"buy","arguments":{"n":1,"n":2}}"#,
        r#"{"tool":"buy","arguments":{"n":9007199254740993}}"#,
    ] {
        folder.write("no.json", no_call);
        let (status, answer) = round(&folder, issue, &format!("{verify} no.json"));
        assert_eq!(
            (status, &answer["error"]),
            (2, &json!("cli.parameters")),
            "{no_call}"
        );
    }
}

/// Errors of the command line have the status 2.
#[test]
fn mistakes_are_told_apart_from_refusals() {
    let folder = folder();
    folder.write("token", "a.b.c");
    for args in [
        "txn verify --keys keys.json token",
        "txn verify --domain d --keys nowhere.json token",
        "txn verify --domain d --keys keys.json nowhere",
        "txn issue --key tts.jwk --domain d --subject s --scope a\"b --requester r",
    ] {
        assert_eq!(folder.run(args).status, 2, "{args}");
    }
    let refused = folder.run("txn verify --domain d --keys keys.json token");
    assert_eq!(refused.status, 1);
    let refused = folder.run(&format!("{ISSUE} --lifetime 3601"));
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("txn.prepare"), "{}", refused.err);
}
