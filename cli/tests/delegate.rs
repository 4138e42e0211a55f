//! `aims delegate`.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::{base64url, provider};
use common::Folder;
use serde_json::{Value, json};

/// The key of an authorization server, and its set `keys.json`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.ok("key generate --kid as --out as.jwk");
    let public = folder.ok("key public as.jwk");
    folder.write("keys.json", format!("{{\"keys\":[{public}]}}"));
    folder
}

fn claims(changes: &Value) -> Value {
    let mut all = json!({
        "iss": "https://as.example", "sub": "alice", "aud": "https://tools.example",
        "client_id": "agent", "jti": "1", "iat": 1_000, "exp": 2_000, "scope": "read write"
    });
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

/// Signs with the key of the folder, whatever the claims.
fn signed(folder: &Folder, typ: &str, changes: &Value) -> String {
    let key = SigningKey::from_jwk(folder.read("as.jwk").as_bytes(), provider::AWS_LC).unwrap();
    let claims = claims(changes);
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), &claims).unwrap();
    input.sign(&key).unwrap().expose().to_owned()
}

fn tokens(folder: &Folder, child: &Value) {
    folder.write("parent", signed(folder, "at+jwt", &json!({})));
    folder.write("child", signed(folder, "at+jwt", child));
}

const DIMENSIONS: [&str; 9] = [
    "scope",
    "audience",
    "actions",
    "details",
    "lifetime",
    "actors",
    "confirmation",
    "context",
    "other",
];

#[test]
fn the_verdict_is_the_exit_status() {
    let folder = folder();
    for (child, verdict, status, dimension) in [
        (json!({}), "equal", 0, None),
        (json!({"scope": "read"}), "narrower", 0, Some("scope")),
        (json!({"exp": 2_001}), "wider", 1, Some("lifetime")),
        (json!({"x": 1}), "undecidable", 1, Some("other")),
        // A required claim that is missing.
        (json!({"jti": "-"}), "undecidable", 1, Some("other")),
        (json!({"exp": "-"}), "undecidable", 1, Some("lifetime")),
    ] {
        tokens(&folder, &child);
        let ran = folder.run("delegate explain --json parent child");
        let mut expected = json!({
            "verdict": verdict, "signatures": "not verified", "dimensions": {}
        });
        for name in DIMENSIONS {
            expected["dimensions"][name] = json!("equal");
        }
        if let Some(dimension) = dimension {
            expected["dimensions"][dimension] = json!(verdict);
        }
        assert_eq!((ran.status, ran.json()), (status, expected), "{child}");
        let verified = folder.run("delegate explain --keys keys.json --json parent child");
        assert_eq!(verified.status, status);
        assert_eq!(verified.json()["signatures"], "verified");
        assert_eq!(verified.json()["verdict"], verdict);
    }
}

/// For people.
#[test]
fn the_text_begins_with_what_was_verified() {
    let folder = folder();
    tokens(&folder, &json!({"scope": "read"}));
    let text = folder.ok("delegate explain parent child");
    assert!(text.starts_with("signatures not verified\n"), "{text}");
    for line in [
        "verdict       narrower",
        "scope         narrower",
        "audience      equal",
    ] {
        assert!(text.lines().any(|it| it == line), "{text}");
    }
    let text = folder.ok("delegate explain --keys keys.json parent child");
    assert!(text.starts_with("signatures verified\n"), "{text}");
    tokens(&folder, &json!({"exp": 3_000}));
    let ran = folder.run("delegate explain parent child");
    assert_eq!((ran.status, ran.err.as_str()), (1, ""));
    let line = "lifetime      wider: `exp` is after the parent's";
    assert!(ran.out.lines().any(|it| it == line), "{}", ran.out);
}

/// No clock is read: both tokens ended long ago, or are of the future.
#[test]
fn no_clock_is_read() {
    let folder = folder();
    for exp in [2_000_u64, 99_999_999_999] {
        let claims = json!({"exp": exp, "nbf": exp});
        folder.write("parent", signed(&folder, "at+jwt", &claims));
        folder.write("child", signed(&folder, "at+jwt", &claims));
        folder.ok("delegate explain --keys keys.json parent child");
    }
}

#[test]
fn transaction_tokens_are_compared_too() {
    let folder = folder();
    let of = |tctx: Value| {
        let claims = json!({
            "iss": "-", "client_id": "-", "jti": "-", "aud": "trust-domain.example",
            "txn": "t-1", "req_wl": "gateway", "tctx": tctx
        });
        signed(&folder, "txntoken+jwt", &claims)
    };
    folder.write("parent", of(json!({"amount": 1})));
    folder.write("child", of(json!({"amount": 1, "to": "bob"})));
    let ran = folder.run("delegate explain --json parent child");
    assert_eq!(
        (ran.status, &ran.json()["verdict"]),
        (0, &json!("narrower"))
    );
    let ran = folder.run("delegate explain --json child parent");
    assert_eq!((ran.status, &ran.json()["verdict"]), (1, &json!("wider")));
    // What `aims txn issue` makes.
    let issue = "txn issue --key as.jwk --domain d --subject s --scope a --requester r --txn t \
                 --now 1800000000";
    folder.write("parent", folder.ok(&format!("{issue} --lifetime 60")));
    folder.write("child", folder.ok(&format!("{issue} --lifetime 59")));
    folder.ok("delegate explain --keys keys.json parent child");
    assert_eq!(folder.run("delegate explain child parent").status, 1);
}

/// Two kinds, two issuers, or another kind.
#[test]
fn other_tokens_are_undecidable() {
    let folder = folder();
    let at = signed(&folder, "at+jwt", &json!({}));
    let same = signed(&folder, "application/at+jwt", &json!({}));
    let txn = json!({"iss": "-", "txn": "t", "req_wl": "r"});
    for (parent, child, verdict) in [
        (&at, &same, "equal"),
        (&at, &signed(&folder, "txntoken+jwt", &txn), "undecidable"),
        (&at, &signed(&folder, "JWT", &json!({})), "undecidable"),
        (
            &signed(&folder, "JWT", &json!({})),
            &signed(&folder, "JWT", &json!({})),
            "undecidable",
        ),
        (
            &at,
            &signed(&folder, "at+jwt", &json!({"iss": "https://other.example"})),
            "undecidable",
        ),
        (
            &at,
            &signed(&folder, "at+jwt", &json!({"iss": "-"})),
            "undecidable",
        ),
    ] {
        folder.write("parent", parent);
        folder.write("child", child);
        let ran = folder.run("delegate explain --json parent child");
        let answer = ran.json();
        let status = i32::from(verdict == "undecidable");
        assert_eq!((ran.status, &answer["verdict"]), (status, &json!(verdict)));
        for name in DIMENSIONS {
            assert_eq!(answer["dimensions"][name], verdict, "{name}");
        }
    }
}

/// A comparison without keys does not depend on the algorithms of the tokens.
#[test]
fn any_algorithm_is_compared_without_keys() {
    let folder = folder();
    let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
    for alg in ["HS256", "none", "ML-DSA-44"] {
        let header = part(&json!({"alg": alg, "typ": "at+jwt"}));
        let token = format!("{header}.{}.AA", part(&claims(&json!({}))));
        folder.write("parent", &token);
        folder.write("child", &token);
        folder.ok("delegate explain parent child");
        let ran = folder.run("delegate explain --keys keys.json parent child");
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{alg}");
    }
}

/// Usage, no JWT, or a bad signature: 2.
#[test]
fn mistakes_have_the_status_2() {
    let folder = folder();
    tokens(&folder, &json!({}));
    let good = folder.read("child");
    let (head, _) = good.rsplit_once('.').unwrap();
    folder.write("forged", format!("{head}.{}", "A".repeat(86)));
    folder.write("empty", "");
    folder.write("text", "no token");
    folder.write(
        "list",
        format!(
            "{}.{}.AA",
            base64url::encode(b"{}"),
            base64url::encode(b"[]")
        ),
    );
    folder.write("long", "a".repeat(65 * 1024));
    let twice = base64url::encode(br#"{"typ":"at+jwt"}"#);
    let claims = base64url::encode(br#"{"exp":1,"exp":2}"#);
    folder.write("twice", format!("{twice}.{claims}.AA"));
    folder.write("two", format!("{good}\n{good}\n"));
    folder.write("further", format!("{good}\nthis is no part of the token"));
    folder.write("blank", format!("{good} "));
    folder.write("unsigned", format!("{head}.!!!"));
    let (_, rest) = good.split_once('.').unwrap();
    for (name, header) in [
        ("no_alg", json!({"typ": "at+jwt"})),
        ("odd_alg", json!({"typ": "at+jwt", "alg": 5})),
    ] {
        let header = base64url::encode(header.to_string().as_bytes());
        folder.write(name, format!("{header}.{rest}"));
    }
    folder.ok("key generate --kid other --out other.jwk");
    let public = folder.ok("key public other.jwk");
    folder.write("others.json", format!("{{\"keys\":[{public}]}}"));
    for args in [
        "delegate",
        "delegate explain parent",
        "delegate explain parent child child",
        "delegate explain --now 1 parent child",
        "delegate explain parent nowhere",
        "delegate explain - -",
        "delegate explain parent empty",
        "delegate explain text child",
        "delegate explain parent list",
        "delegate explain parent long",
        "delegate explain parent twice",
        "delegate explain parent two",
        "delegate explain parent further",
        "delegate explain parent blank",
        "delegate explain parent unsigned",
        "delegate explain parent no_alg",
        "delegate explain parent odd_alg",
        "delegate explain --keys nowhere parent child",
        "delegate explain --keys parent parent child",
        "delegate explain --keys as.jwk parent child",
        "delegate explain --keys keys.json parent forged",
        "delegate explain --keys keys.json forged child",
        "delegate explain --keys others.json parent child",
    ] {
        let ran = folder.run(args);
        assert_eq!(
            (ran.status, ran.out.as_str()),
            (2, ""),
            "{args} {}",
            ran.err
        );
    }
    // Without keys no signature is looked at.
    folder.ok("delegate explain parent forged");
    let ran = folder.run("delegate explain --json --keys keys.json parent forged");
    assert_eq!(
        (ran.status, &ran.json()["error"]),
        (2, &json!("jws.signature"))
    );
    assert!(ran.json().get("verified").is_none());
    // One of the two may be the standard input.
    let ran = folder.run_with("delegate explain parent -", good.as_bytes());
    assert_eq!(ran.status, 0, "{}", ran.err);
}

/// An access token of a gateway becomes a transaction token, and that one an access token again.
/// The tables say what crosses; each row that is missing makes the child wider.
#[test]
fn a_crossing_is_compared_over_its_tables() {
    const SCOPES: &str = "--scope write=transfer --scope write=balance";
    const AUDIENCE: &str = "--audience https://tools.example=trust-domain.example";
    let folder = folder();
    let txn = |changes: Value| {
        let mut all = json!({
            "client_id": "-", "jti": "-", "aud": "trust-domain.example", "txn": "t-1",
            "req_wl": "gateway", "scope": "transfer",
            "act": {"iss": "https://as.example", "sub": "agent"}
        });
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        signed(&folder, "txntoken+jwt", &all)
    };
    folder.write("parent", signed(&folder, "at+jwt", &json!({})));
    let all = format!("{SCOPES} {AUDIENCE}");
    let own = "--scope write=transfer";
    for (options, changes, verdict, dimension) in [
        (&*all, json!({}), "narrower", "scope"),
        (
            &*all,
            json!({"iss": "https://tts.example"}),
            "narrower",
            "scope",
        ),
        (&*all, json!({"iss": "-"}), "narrower", "scope"),
        (
            &*all,
            json!({"scope": "transfer balance"}),
            "equal",
            "other",
        ),
        (&*all, json!({"scope": "transfer read"}), "wider", "scope"),
        (&*all, json!({"exp": 2_001}), "wider", "lifetime"),
        (
            &*all,
            json!({"act": {"iss": "https://as.example", "sub": "x"}}),
            "wider",
            "actors",
        ),
        (&*all, json!({"x": 1}), "undecidable", "other"),
        (&*all, json!({"sub": "bob"}), "undecidable", "other"),
        (AUDIENCE, json!({}), "wider", "scope"),
        (SCOPES, json!({}), "wider", "audience"),
        (own, json!({"scope": "balance"}), "wider", "scope"),
        ("", json!({}), "undecidable", "scope"),
    ] {
        folder.write("child", txn(changes.clone()));
        let ran = folder.run(&format!("delegate explain --json {options} parent child"));
        let answer = ran.json();
        assert_eq!(
            answer["dimensions"][dimension], verdict,
            "{options} {changes}: {answer}"
        );
        let status = i32::from(!["narrower", "equal"].contains(&verdict));
        assert_eq!(ran.status, status, "{options} {changes}: {answer}");
    }
    // A transaction goes on, and `txn` stays; at the border it ends.
    folder.write("parent", txn(json!({"scope": "transfer balance"})));
    let on = "--scope transfer=pay --audience trust-domain.example=other.example";
    let out = "--scope write=transfer --scope write=balance \
               --audience trust-domain.example=https://out.example";
    let shared = "--scope pay=transfer --scope read=transfer \
                  --audience trust-domain.example=https://out.example";
    let missing = "--scope pay=more --scope read=more \
                   --audience trust-domain.example=https://out.example";
    let access = |scope: &str| {
        let claims = json!({
            "aud": "https://out.example", "scope": scope, "jti": "2",
            "act": {"iss": "https://as.example", "sub": "agent"}
        });
        signed(&folder, "at+jwt", &claims)
    };
    for (options, child, verdict) in [
        (
            on,
            txn(json!({"aud": "other.example", "scope": "pay"})),
            "equal",
        ),
        (
            on,
            txn(json!({"aud": "other.example", "scope": "pay", "txn": "t-2"})),
            "undecidable",
        ),
        (out, access("write"), "equal"),
        (out, access("read"), "wider"),
        (
            &out.replace("write=balance", "read=more"),
            access("write"),
            "equal",
        ),
        // A scope of the domain may permit several scopes outside of it.
        (shared, access("pay read"), "equal"),
        (shared, access("read"), "narrower"),
        (shared, access("pay write"), "wider"),
        (missing, access("pay"), "wider"),
    ] {
        folder.write("child", child);
        let ran = folder.run(&format!("delegate explain --json {options} parent child"));
        assert_eq!(ran.json()["verdict"], verdict, "{options}: {}", ran.out);
    }
    // An access token that is of a transaction stays with it.
    let of = |txn: &str| signed(&folder, "at+jwt", &json!({"txn": txn}));
    let same = "--scope read=read --scope write=write \
                --audience https://tools.example=https://tools.example";
    folder.write("parent", of("t-1"));
    for (options, child, verdict) in [
        (same, of("t-1"), "equal"),
        (same, of("t-2"), "undecidable"),
        (same, signed(&folder, "at+jwt", &json!({})), "undecidable"),
        (&*all, txn(json!({})), "narrower"),
        (&*all, txn(json!({"txn": "t-2"})), "undecidable"),
    ] {
        folder.write("child", child);
        let ran = folder.run(&format!("delegate explain --json {options} parent child"));
        assert_eq!(ran.json()["verdict"], verdict, "{options}: {}", ran.out);
    }
    // A limit that no dimension knows does not stay behind.
    folder.write("parent", signed(&folder, "at+jwt", &json!({"limit": 5})));
    folder.write("child", txn(json!({})));
    let ran = folder.run(&format!("delegate explain --json {all} parent child"));
    assert_eq!(ran.json()["dimensions"]["other"], "undecidable");
    for wrong in [
        "--scope a",
        "--scope =b",
        "--scope a=",
        "--scope a=b=c",
        "--scope a=c --scope a=d --scope b=c",
        "--audience a",
    ] {
        let ran = folder.run(&format!("delegate explain {wrong} parent child"));
        assert_eq!((ran.status, &*ran.out), (2, ""), "{wrong}");
    }
    // Where a transaction begins, each inner scope is of one outer scope.
    folder.write("parent", signed(&folder, "at+jwt", &json!({})));
    folder.write("child", txn(json!({})));
    let twice = "--scope read=transfer --scope write=transfer";
    let ran = folder.run(&format!("delegate explain {twice} parent child"));
    assert_eq!((ran.status, &*ran.out), (2, ""));
    assert!(ran.err.contains("oauth.scope"), "{}", ran.err);
}
