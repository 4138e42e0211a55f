//! Tests of `aims token`.

mod common;

use aims_jose::base64url::encode;
use common::{Folder, NOW};
use serde_json::{Value, json};

fn token(header: &str, claims: &str) -> String {
    let (header, claims) = (encode(header.as_bytes()), encode(claims.as_bytes()));
    format!("{header}.{claims}.c2ln")
}

const HEADER: &str = r#"{"alg":"ES256"}"#;

fn inspect(folder: &Folder, header: &str, claims: &str, more: &str) -> String {
    folder.write("token", token(header, claims));
    folder.ok(&format!("token inspect token --now {NOW} {more}"))
}

/// Header, claims and times of any JWT, after a warning.
#[test]
fn tokens_are_shown_and_not_believed() {
    let folder = Folder::new();
    let claims = r#"{ "sub" : "a", "exp":1800000250, "iat":1799992800.5, "nbf":"x", "n":1e2,
        "o":{"b": [1, "x y"]} }"#;
    let shown = inspect(&folder, r#"{"alg":"HS256","typ":"JWT"}"#, claims, "");
    let expected = r#"NOT VERIFIED: anyone can have written this

header
  alg: "HS256"
  typ: "JWT"

claims
  sub: "a"
  exp: 1800000250  (2027-01-15T08:04:10Z, in 4 min)
  iat: 1799992800.5  (2027-01-15T06:00:00Z, 2 h ago)
  nbf: "x"
  n: 1e2
  o: {"b":[1,"x y"]}
"#;
    assert_eq!(shown, expected);
    let unsigned = encode(br#"{"alg":"none"}"#);
    let input = format!("{unsigned}.e30.\n");
    let ran = folder.run_with("token inspect -", input.as_bytes());
    assert_eq!(ran.status, 0);
    assert!(ran.out.starts_with("NOT VERIFIED"));
}

/// The answer in JSON says that nothing was verified.
#[test]
fn json_is_one_object() {
    let folder = Folder::new();
    let text = inspect(&folder, HEADER, r#"{"exp":1, "a":[null]}"#, "--json");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "verified": false, "header": {"alg": "ES256"}, "claims": {"exp": 1, "a": [null]},
    });
    assert_eq!(answer, expected);
    folder.write("token", "a.b");
    let ran = folder.run("token inspect --json token");
    assert_eq!(ran.status, 1);
    let expected = json!({
        "verified": false,
        "error": "jws.parts",
        "detail": "token: a compact JWS has three parts, none of them empty",
    });
    assert_eq!(ran.json(), expected);
}

/// T-009, T-167: no control characters are printed: in names and values, in header and claims, raw
/// and in messages.
#[test]
fn hostile_text_is_escaped() {
    let folder = Folder::new();
    let hostile = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{9b}31m",
        "\u{202e}gpj.exe",
        "\u{2066}\u{2069}",
        "\u{200b}\u{feff}",
        "\r\nverified",
        "\u{7f}\u{8}",
        "\u{e0041}",
        "\u{2028}",
    ];
    for text in hostile {
        let (header, claims) = (
            json!({"kid": text, text: 1}),
            json!({"sub": text, text: [text]}),
        );
        let raw: String = text.chars().filter(|char| *char >= '\u{7f}').collect();
        let raw = format!(r#"{{"a":"{raw}","{raw}x":{{"{raw}":1}}}}"#);
        for claims in [claims.to_string(), raw] {
            for more in ["", "--json"] {
                let shown = inspect(&folder, &header.to_string(), &claims, more);
                for char in text
                    .chars()
                    .filter(|char| !char.is_ascii_graphic() && *char != '\n')
                {
                    assert!(!shown.contains(char), "{char:?} in {shown:?}");
                }
                assert!(!shown.contains("\nverified"), "{shown:?}");
                if more == "--json" {
                    let answer: Value = serde_json::from_str(&shown).unwrap();
                    let same: Value = serde_json::from_str(&claims).unwrap();
                    assert_eq!(answer.get("claims"), Some(&same));
                }
            }
        }
    }
}

/// T-167: a file name in a message is escaped as well.
#[cfg(unix)]
#[test]
fn hostile_file_names_are_escaped() {
    let folder = Folder::new();
    let name = "\u{1b}[31mx\u{202e}";
    let ran = folder.run(&format!("token inspect {name}"));
    assert_eq!(ran.code(2, "aims: failed: "), "cli.file");
    assert!(ran.err.contains("\\u001b[31mx\\u202e: "), "{}", ran.err);
    folder.write(name, "x");
    let ran = folder.run(&format!("token inspect --json {name}"));
    assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{}", ran.out);
    assert_eq!(ran.json().get("error"), Some(&json!("jws.parts")));
}

/// A text that is not a JWT is refused with its code.
#[test]
fn other_text_is_refused() {
    let folder = Folder::new();
    let good = token(HEADER, "{}");
    for (text, code) in [
        (String::new(), "jws.parts"),
        ("opaque".to_owned(), "jws.parts"),
        ("a.b.c.d.e".to_owned(), "jws.parts"),
        (format!(" {good}"), "jws.base64"),
        (good.replacen('.', "=.", 1), "jws.base64"),
        (token("[]", "{}"), "jws.not_an_object"),
        (token(HEADER, "\"x\""), "jws.not_an_object"),
        (token(HEADER, r#"{"a":1,"a":2}"#), "jws.duplicate_member"),
        (token(HEADER, "{"), "jws.json"),
    ] {
        folder.write("token", &text);
        assert_eq!(folder.refused("token inspect token"), code, "{text}");
    }
}
