//! `aims wpt`, and the examples of the drafts.

mod common;

use common::{AGENT, AUDIENCE, Folder, NOW, ORIGIN};
use serde_json::{Value, json};

/// An agent, and files that a proof can be bound to.
fn folder() -> Folder {
    let folder = Folder::with_agent();
    folder.write("access", "2YotnFZFEjr1zCsicMWpAA\n");
    folder.write("txn", "a.b.c");
    folder.write("digest", "sha-256=:YQ==:\n");
    folder.write("other", "x");
    folder
}

fn new(more: &str) -> String {
    format!("wpt new --wit wit --key agent.jwk --audience {AUDIENCE} --now {NOW} {more}")
}

fn verify(audience: &str, more: &str) -> String {
    format!(
        "wpt verify --wit wit --origin {ORIGIN} --keys keys.json --audience {audience} --now {NOW} {more} wpt"
    )
}

const ALL: &str =
    "--revision 01 --access-token access --txn-token txn --header content-digest=digest";

/// WPT-01, WPT-05, WPT-06, WPT-07: a new proof verifies, in words and in JSON.
#[test]
fn a_new_proof_verifies() {
    let folder = folder();
    for bound in ["", ALL] {
        folder.write("wpt", folder.ok(&new(bound)));
        let answer = folder.ok(&verify(AUDIENCE, bound));
        assert!(answer.starts_with("verified"), "{answer}");
        assert!(answer.contains(&format!("\nid       {AGENT}\n")));
        let answer = folder.ok(&verify(AUDIENCE, &format!("{bound} --json")));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer.get("verified"), Some(&json!(true)));
        assert_eq!(answer.get("id"), Some(&json!(AGENT)));
        assert_eq!(answer.get("expires"), Some(&json!(1_800_000_060)));
        let claims = answer.get("claims").unwrap();
        assert_eq!(claims.get("aud"), Some(&json!(AUDIENCE)));
        assert_eq!(claims.get("tth").is_some(), !bound.is_empty());
    }
    let piped = folder.read("wpt");
    let args = verify(AUDIENCE, ALL);
    let args = args.strip_suffix("wpt").unwrap().to_owned() + "-";
    assert_eq!(folder.run_with(&args, piped.as_bytes()).status, 0);
}

/// WPT-02, WPT-05, WPT-06, WPT-07, T-033: one thing is changed at the receiver.
#[test]
fn a_proof_is_for_its_message() {
    let folder = folder();
    folder.write("wpt", folder.ok(&new(ALL)));
    let [access, txn, digest] = [
        "--revision 01 --access-token access",
        "--txn-token txn",
        "--header content-digest=digest",
    ];
    for (audience, bound, code) in [
        ("https://other.example.com/", ALL.to_owned(), "wpt.audience"),
        (AUDIENCE, format!("--revision 01 {txn} {digest}"), "wpt.ath"),
        (
            AUDIENCE,
            format!("--revision 01 --access-token other {txn} {digest}"),
            "wpt.ath",
        ),
        (AUDIENCE, format!("{access} {digest}"), "wpt.tth"),
        (
            AUDIENCE,
            format!("{access} --txn-token other {digest}"),
            "wpt.tth",
        ),
        (AUDIENCE, format!("{access} {txn}"), "wpt.oth"),
        (
            AUDIENCE,
            format!("{access} {txn} --header content-digest=other"),
            "wpt.oth",
        ),
        (AUDIENCE, format!("{ALL} --header x=other"), "wpt.oth"),
    ] {
        let args = verify(audience, &bound);
        assert_eq!(folder.refused(&args), code, "{args}");
        let ran = folder.run(&format!("{args} --json"));
        assert_eq!(ran.status, 1);
        let answer = ran.json();
        let seen = (answer.get("verified"), answer.get("error"));
        assert_eq!(seen, (Some(&json!(false)), Some(&json!(code))));
    }
    let late = verify(AUDIENCE, ALL).replace(NOW, "1800000090");
    assert_eq!(folder.refused(&late), "wpt.expired");
    let early = verify(AUDIENCE, ALL).replace(NOW, "1799999729");
    assert_eq!(folder.refused(&early), "wit.not_yet_valid");
}

/// T-033: another token of the same agent, a proof of no token, a token as its own proof.
#[test]
fn a_proof_is_for_its_token() {
    let folder = folder();
    folder.write("wpt", folder.ok(&new("")));
    let issue = format!("wit issue --key ca.jwk --id {AGENT} --for agent.pub --now {NOW}");
    let first = folder.read("wit");
    folder.write("wit", folder.ok(&issue));
    assert_eq!(folder.refused(&verify(AUDIENCE, "")), "wpt.wth");
    folder.write("wit", &first);
    folder.write("wpt", &first);
    assert_eq!(folder.refused(&verify(AUDIENCE, "")), "wpt.typ");
    folder.write("wit", "x");
    assert_eq!(folder.refused(&verify(AUDIENCE, "")), "jws.parts");
}

/// WPT-03, WPT-07, WIT-08: proofs that are not made: a key of another agent, an expired token, a
/// long lifetime, a repeated or malformed field name.
#[test]
fn bad_proofs_are_not_made() {
    let folder = folder();
    for (more, code) in [
        ("--lifetime 0", "wpt.prepare"),
        ("--lifetime 301", "wpt.prepare"),
        ("--header x=other --header x=other", "wpt.prepare"),
        ("--header x:y=other", "wpt.prepare"),
    ] {
        assert_eq!(folder.refused(&new(more)), code, "{more}");
    }
    let foreign = new("").replace("agent.jwk", "ca.jwk");
    assert_eq!(folder.refused(&foreign), "source.key");
    let late = new("").replace(NOW, "1800003600");
    assert_eq!(folder.refused(&late), "wit.expired");
    for bad in ["--header X=other", "--header other", "--header =other"] {
        let ran = folder.run(&new(bad));
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{bad}");
    }
    assert_eq!(folder.failed(&new("--header x=missing")), "cli.file");
    assert_eq!(
        folder.failed(&new("--revision 01 --access-token missing")),
        "cli.file"
    );
}

/// One newline at the end of a file is ignored; any other addition is part of the token.
#[test]
fn one_newline_is_stripped() {
    let folder = folder();
    folder.write(
        "wpt",
        folder.ok(&new("--revision 01 --access-token access")),
    );
    for (text, passes) in [
        ("2YotnFZFEjr1zCsicMWpAA", true),
        ("2YotnFZFEjr1zCsicMWpAA\n", true),
        ("2YotnFZFEjr1zCsicMWpAA\n\n", false),
        ("2YotnFZFEjr1zCsicMWpAA ", false),
        ("2YotnFZFEjr1zCsicMWpAA\r\n", false),
    ] {
        folder.write("access", text);
        let ran = folder.run(&verify(AUDIENCE, "--revision 01 --access-token access"));
        assert_eq!(ran.status == 0, passes, "{text:?}");
    }
}

/// WPT-06, WPT-13: revision 02 is the default and covers no access token; only a proof of revision
/// 01 has `ath`.
#[test]
fn the_revision_is_named() {
    let folder = folder();
    for more in [
        "--access-token access",
        "--revision 02 --access-token access",
    ] {
        assert_eq!(folder.failed(&new(more)), "cli.usage", "{more}");
        assert_eq!(
            folder.failed(&verify(AUDIENCE, more)),
            "cli.usage",
            "{more}"
        );
    }
    for bad in ["--revision 03", "--revision 1", "--revision"] {
        let ran = folder.run(&new(bad));
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{bad}");
    }
    let both = "--txn-token txn --header content-digest=digest";
    for more in [both.to_owned(), format!("{both} --revision 02")] {
        folder.write("wpt", folder.ok(&new(&more)));
        let answer = folder.ok(&verify(AUDIENCE, &format!("{both} --json")));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let claims = answer.get("claims").unwrap();
        assert_eq!(claims.get("iat"), Some(&json!(1_800_000_000)));
        assert_eq!(claims.get("ath"), None);
    }
    folder.write("wpt", folder.ok(&new(ALL)));
    assert!(folder.ok(&verify(AUDIENCE, both)).starts_with("verified"));
    let in_01 = verify(AUDIENCE, &format!("--revision 01 {both}"));
    assert_eq!(folder.refused(&in_01), "wpt.ath");
}

/// WIT-01, WPT-01, WPT-05: the token and the proof that draft-ietf-wimse-wpt-02 prints.
#[test]
fn the_published_pair_of_02_verifies() {
    let folder = Folder::new();
    folder.write("wit", include_str!("../../testdata/wimse-2026-09/wit.txt"));
    folder.write("wpt", include_str!("../../testdata/wimse-2026-09/wpt.txt"));
    let issuer = include_str!("../../testdata/wimse-2026-09/wit-issuer.jwk.json");
    folder.write("keys.json", format!("{{\"keys\":[{issuer}]}}"));
    let trusted = "--origin wimse://example.com --keys keys.json --now 1745510000";
    let proof = format!("wpt verify --wit wit {trusted} --audience {AUDIENCE} wpt");
    assert!(folder.ok(&proof).starts_with("verified"));
    assert_eq!(folder.refused(&proof.replace("/path", "/")), "wpt.audience");
}

/// WIT-01, WPT-01, WPT-05, WPT-06: the token and the proof that draft-ietf-wimse-wpt-01 prints.
#[test]
fn the_published_pair_verifies() {
    let folder = Folder::new();
    folder.write("wit", include_str!("../../testdata/wimse/wit.txt"));
    folder.write("wpt", include_str!("../../testdata/wimse/wpt.txt"));
    folder.write("access", "16_mAd0GiwaZokU26_0902100");
    let keys: Value = serde_json::from_str(include_str!("../../testdata/wimse/keys.json")).unwrap();
    let issuer = keys.as_object().unwrap().values();
    let issuer = issuer.into_iter().find(|key| key.get("kid").is_some());
    folder.write("keys.json", json!({"keys": [issuer]}).to_string());
    let trusted = "--origin wimse://example.com --keys keys.json --now 1745510000";
    let wit = folder.ok(&format!("wit verify {trusted} wit"));
    assert!(wit.contains("wimse://example.com/specific-workload"));
    assert!(wit.contains("2025-04-24T16:35:10Z"));
    let bound = format!("--audience {AUDIENCE} --revision 01 --access-token access");
    let proof = format!("wpt verify --wit wit {trusted} {bound} wpt");
    assert!(folder.ok(&proof).starts_with("verified"));
    assert_eq!(folder.refused(&proof.replace("/path", "/")), "wpt.audience");
    let now = proof.replace(" --now 1745510000", "");
    assert_eq!(folder.refused(&now), "wit.expired");
    assert!(folder.ok("token inspect wpt").starts_with("NOT VERIFIED"));
}

/// WPT-02, T-166: the message has both audiences, but not a text that may be a secret given by
/// mistake.
#[test]
fn another_audience_is_told() {
    const ADVICE: &str = "call the receiver by this URL, or add the found name to the receiver (`GuardBuilder::proof_audience`)";
    let folder = Folder::with_agent();
    let wpt = folder.ok(&new(""));
    folder.write("wpt", wpt);
    for (audience, end) in [
        (
            "orders".to_owned(),
            format!(": found {AUDIENCE:?}, expected \"orders\"; {ADVICE}\n"),
        ),
        (
            "A".repeat(43),
            ": the proof is for another audience\n".to_owned(),
        ),
    ] {
        let ran = folder.run(&verify(&audience, ""));
        assert_eq!(ran.code(1, "aims: refused: "), "wpt.audience");
        assert!(ran.err.ends_with(&end), "{}", ran.err);
    }
}
