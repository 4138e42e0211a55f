//! The hints of a refusal besides its code: what was found, when it was, and what to do.

mod common;

use aims_jose::base64url::encode;
use common::{AGENT, AUDIENCE, Folder, NOW, ORIGIN};
use serde_json::{Value, json};

/// Checks that a refusal has this code and these words, as a line and in JSON.
fn told(folder: &Folder, args: &str, code: &str, words: &str) {
    let ran = folder.run(args);
    assert_eq!(ran.code(1, "aims: refused: "), code, "{args}");
    assert!(ran.err.contains(words), "{args}: {}", ran.err);
}

fn verify_wit(more: &str) -> String {
    format!("wit verify --origin {ORIGIN} --keys keys.json {more}")
}

fn verify_wpt(more: &str) -> String {
    format!("wpt verify --wit wit --origin {ORIGIN} --keys keys.json --audience {AUDIENCE} {more}")
}

/// An agent with a proof that it made at the time of its token.
fn folder() -> Folder {
    let folder = Folder::with_agent();
    let args = format!("wpt new --wit wit --key agent.jwk --audience {AUDIENCE} --now {NOW}");
    folder.write("wpt", folder.ok(&args));
    folder
}

/// T-167: for a token of another type, the message has the found and the expected type, whatever
/// text the type is.
#[test]
fn the_type_is_told() {
    let folder = folder();
    let now = format!("--now {NOW}");
    let wit = "found \"wpt+jwt\", expected \"wit+jwt\"";
    let wpt = "found \"wit+jwt\", expected \"wpt+jwt\"";
    told(&folder, &verify_wit(&format!("{now} wpt")), "wit.typ", wit);
    told(&folder, &verify_wpt(&format!("{now} wit")), "wpt.typ", wpt);
    let ran = folder.run(&verify_wit(&format!("{now} --json wpt")));
    let answer = ran.json();
    let detail = answer.get("detail").and_then(Value::as_str).unwrap();
    assert!(detail.contains(wit), "{detail}");

    let claims = folder.read("wit").split('.').nth(1).unwrap().to_owned();
    for (typ, shown) in [
        (
            json!("\u{1b}[31m\u{202e}x"),
            r#"found "\u001b[31m\u202ex","#.to_owned(),
        ),
        (
            json!("x".repeat(100)),
            format!("found \"{}…,", "x".repeat(63)),
        ),
    ] {
        let header = json!({"alg": "ES256", "kid": "ca", "typ": typ}).to_string();
        folder.write(
            "odd",
            format!("{}.{claims}.c2ln", encode(header.as_bytes())),
        );
        let ran = folder.run(&verify_wit(&format!("{now} odd")));
        assert_eq!(ran.status, 1);
        assert!(!ran.err.contains(['\u{1b}', '\u{202e}']), "{}", ran.err);
        assert!(ran.err.contains(&shown), "{}", ran.err);
    }
    let header = encode(br#"{"alg":"ES256","kid":"ca"}"#);
    folder.write("odd", format!("{header}.{claims}.c2ln"));
    let args = verify_wit(&format!("{now} odd"));
    told(
        &folder,
        &args,
        "wit.typ",
        "found none, expected \"wit+jwt\"",
    );
}

/// The message for an expired token, proof or signature says when it expired, and also that for a
/// new proof of an expired token.
#[test]
fn the_time_is_told() {
    let folder = folder();
    let wit = "`exp` is 2027-01-15T09:00:00Z, 60 min ago";
    told(
        &folder,
        &verify_wit("--now 1800007200 wit"),
        "wit.expired",
        wit,
    );
    let wpt = "`exp` is 2027-01-15T08:01:00Z, 60 s ago";
    told(
        &folder,
        &verify_wpt("--now 1800000120 wpt"),
        "wpt.expired",
        wpt,
    );
    let new = format!("wpt new --wit wit --key agent.jwk --audience {AUDIENCE} --now 1800007200");
    told(&folder, &new, "wit.expired", wit);

    folder.write("request", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    folder.write("agents.json", folder.ok("key set agent.jwk"));
    let sign = "httpsig sign --request request --key agent.jwk --cover @method";
    let args = format!("{sign} --created {NOW} --expires 1800000100");
    folder.write("signed", folder.ok(&args));
    let at = |now: u64| format!("httpsig verify --request signed --keys agents.json --now {now}");
    let expired = "`expires` is 2027-01-15T08:01:40Z, 100 s ago";
    told(&folder, &at(1_800_000_200), "sig.expired", expired);
    let future = "`created` is 2027-01-15T08:00:00Z, in 100 s";
    told(&folder, &at(1_799_999_900), "sig.created_in_future", future);
    let old = "`created` is 2027-01-15T08:00:00Z, 6 min ago";
    folder.write("signed", folder.ok(&format!("{sign} --created {NOW}")));
    told(&folder, &at(1_800_000_400), "sig.too_old", old);

    // Of two signatures, the selected one.
    folder.write("request", folder.read("signed"));
    let other = format!("{sign} --label sig2 --tag t --created 1800000390");
    folder.write("signed", folder.ok(&other));
    told(&folder, &at(1_800_000_400), "sig.too_old", old);
    let second = format!("{} --label sig2", at(1_800_000_800));
    let of_second = "`created` is 2027-01-15T08:06:30Z, 6 min ago";
    told(&folder, &second, "sig.too_old", of_second);

    let wimse = format!("--profile wimse --audience {AUDIENCE}");
    let to = "GET /path HTTP/1.1\r\nHost: workload.example.com\r\n\r\n";
    folder.write("request", to);
    let sign = format!("httpsig sign {wimse} --request request --wit wit --key agent.jwk");
    told(
        &folder,
        &format!("{sign} --created 1800007200"),
        "wit.expired",
        wit,
    );
    folder.write("signed", folder.ok(&format!("{sign} --created {NOW}")));
    let verify =
        format!("httpsig verify {wimse} --request signed --origin {ORIGIN} --keys keys.json --now");
    told(&folder, &format!("{verify} 1800007200"), "wit.expired", wit);
    let ran = folder.run(&format!("{verify} 1800001200"));
    assert!(
        ran.err.contains(", 1") && ran.err.contains(" min ago"),
        "{}",
        ran.err
    );
}

/// T-019: a private key instead of a public one, alone or in a set, and one key instead of a set;
/// the message repeats nothing of a key.
#[test]
fn wrong_keys_are_told() {
    let folder = folder();
    let secret: Value = serde_json::from_str(&folder.read("ca.jwk")).unwrap();
    let secret = secret.get("d").and_then(Value::as_str).unwrap();
    let now = format!("--now {NOW}");
    let private = "a private key is in it";
    let issue = format!("wit issue --key ca.jwk --id {AGENT} --for agent.jwk");
    told(
        &folder,
        &issue,
        "jwk.private",
        "this is the private key, and the public one is wanted",
    );
    let key = folder.read("ca.jwk");
    folder.write("one.json", folder.ok("key public ca.jwk"));
    folder.write(
        "set.json",
        format!("{{\"keys\":[{},{key}]}}", folder.read("agent.pub")),
    );
    folder.write("request", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let sign =
        format!("httpsig sign --request request --key ca.jwk --cover @method --created {NOW}");
    folder.write("signed", folder.ok(&sign));
    let public = folder.read("agent.pub");
    folder.write(
        "post-quantum.json",
        r#"{"keys":[PUBLIC,{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","priv":"AA"}]}"#
            .replace("PUBLIC", &public),
    );
    folder.write(
        "beside.json",
        format!("{{\"keys\":[{public}],\"backup\":{{\"old\":[{key}]}}}}"),
    );
    for keys in ["ca.jwk", "set.json", "post-quantum.json", "beside.json"] {
        for args in [
            format!("wit verify --origin {ORIGIN} --keys {keys} {now} wit"),
            format!("httpsig verify --request signed --keys {keys} {now}"),
            format!(
                "httpsig verify --profile web-bot-auth --directory https://a.example --request signed --keys {keys} {now}"
            ),
        ] {
            told(&folder, &args, "jwk.private", private);
            assert!(!folder.run(&args).err.contains(secret));
        }
    }
    let one = "this is one key, and a set of keys is wanted: `aims key set` makes it";
    let wit = format!("wit verify --origin {ORIGIN} --keys one.json {now} wit");
    told(&folder, &wit, "bundle.syntax", one);
    let http = format!("httpsig verify --request signed --keys one.json {now}");
    told(&folder, &http, "jwks.json", one);
    folder.write("one.json", folder.ok("key set ca.jwk"));
    assert!(folder.ok(&wit).starts_with("verified"));
    assert!(folder.ok(&http).starts_with("verified"));
}

/// Lines that end in LF, in CRLF, and in both: the message has the expected line end, and where it
/// differs.
#[test]
fn line_ends_are_told() {
    let folder = Folder::with_agent();
    let sign = "httpsig sign --request request --key agent.jwk --cover @method";
    for (request, more, words) in [
        (
            "GET / HTTP/1.1\nHost: a.example\n\n",
            "",
            "ends in CRLF, and here the first ends in LF alone; `--unix-lines` takes",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.example\nX: y\r\n\r\n",
            "",
            "ends in CRLF, and line 2 does not",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "--unix-lines",
            "with `--unix-lines` each line of the head ends in LF alone",
        ),
    ] {
        folder.write("request", request);
        let args = format!("{sign} {more}");
        told(&folder, &args, "http1.line_end", words);
    }
    folder.write("request", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    folder.write("response", "HTTP/1.1 200 OK\nContent-Length: 0\n\n");
    let args = "httpsig sign --request request --response response --key agent.jwk --cover @status";
    told(
        &folder,
        args,
        "http1.line_end",
        "response: a line ends in the wrong way: each line",
    );
}
