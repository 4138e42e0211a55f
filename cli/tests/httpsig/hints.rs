//! The hints of a refused message or signature. None of them was verified.

use crate::common::{Folder, NOW, ORIGIN};

const HEAD: &str = "POST /call HTTP/1.1\r\nHost: tools.example\r\n";

fn folder() -> Folder {
    let folder = Folder::with_agent();
    folder.write("request", format!("{HEAD}\r\n"));
    folder.write("agents.json", folder.ok("key set agent.jwk"));
    folder
}

/// Writes `signed`, made from `request`.
fn sign(folder: &Folder, more: &str) {
    let key = if more.contains("--key ") {
        ""
    } else {
        "--key agent.jwk"
    };
    let args = format!("httpsig sign --request request {key} --created {NOW} {more}");
    folder.write("signed", folder.ok(&args));
}

fn verify(more: &str) -> String {
    format!("httpsig verify --request signed --keys agents.json --now {NOW} {more}")
}

/// Returns the message after the code of a refusal.
fn words(folder: &Folder, args: &str, code: &str) -> String {
    let ran = folder.run(args);
    assert_eq!(ran.code(1, "aims: refused: "), code, "{args}");
    assert!(!ran.err.contains(['\u{1b}', '\u{202e}']), "{}", ran.err);
    ran.err.trim_end().to_owned()
}

fn told(folder: &Folder, args: &str, code: &str, end: &str) {
    let words = words(folder, args, code);
    assert!(words.ends_with(end), "{args}: {words}");
}

/// Possible reasons if a signature does not match; the scheme only if it is covered.
#[test]
fn a_misfit_is_told() {
    let folder = folder();
    let code = "sig.signature";
    let end = "or something that is covered was changed; `aims httpsig base` shows what is signed";
    for (cover, more, scheme) in [
        ("@target-uri", "--scheme http", ", another `--scheme`"),
        ("@scheme", "--scheme http", ", another `--scheme`"),
        ("@method", "", ""),
    ] {
        sign(&folder, &format!("--cover {cover}"));
        let signed = folder.read("signed");
        if more.is_empty() {
            folder.write("signed", signed.replace("POST", "PUT"));
        }
        let end = format!(": another key{scheme}, {end}");
        told(&folder, &verify(more), code, &end);
    }
    // The message shows the part that does not match.
    assert!(
        folder
            .ok("httpsig base --request signed")
            .starts_with("\"@method\": PUT\n")
    );
}

/// T-070: the message lists the signatures, and the options that select them.
#[test]
fn a_missing_signature_is_told() {
    let folder = folder();
    let code = "sig.missing";
    folder.write("signed", folder.read("request"));
    told(&folder, &verify(""), code, ": it has none at all");
    sign(&folder, "--cover @method --tag app");
    let app = ": there is sig1 with the tag app: `--tag`, or `--label`";
    told(&folder, &verify(""), code, app);
    told(&folder, &verify("--tag other"), code, app);
    sign(&folder, "--cover @method");
    let plain = ": there is sig1 without a tag: `--label`";
    told(&folder, &verify("--tag other"), code, plain);
    let bot = "--profile web-bot-auth --directory https://crawler.example";
    let in_bot = ": there is sig1 without a tag: `--label` without a profile";
    told(&folder, &verify(bot), code, in_bot);

    let audience = "https://tools.example/call";
    let wimse = format!("--profile wimse --audience {audience}");
    sign(&folder, &format!("{wimse} --wit wit"));
    let of_wimse = ": there is wimse with the tag wimse-workload-to-workload: `--profile wimse`, or `--tag`, or `--label`";
    told(&folder, &verify(""), code, of_wimse);
    folder.ok("key generate --alg Ed25519 --out bot.jwk");
    sign(&folder, &format!("{bot} --key bot.jwk"));
    let of_bot = ": there is sig1 with the tag web-bot-auth: `--profile web-bot-auth`, or `--tag`, or `--label`";
    told(&folder, &verify(""), code, of_bot);
}

/// T-167: labels and tags are untrusted text: they are escaped, shortened, and limited in number.
#[test]
fn what_is_there_is_shown_in_bounds() {
    let folder = folder();
    let long = "x".repeat(300);
    sign(&folder, &format!("--cover @method --tag {long}"));
    let shown = format!("sig1 with the tag {}…: ", "x".repeat(64));
    let found = words(&folder, &verify(""), "sig.missing");
    assert!(found.contains(&shown), "{found}");
    let signed = folder.read("signed");
    folder.write("signed", signed.replace(&long, "a b\\\\c"));
    let found = words(&folder, &verify(""), "sig.missing");
    assert!(found.contains(r#"with the tag "a b\\c": "#), "{found}");
    folder.write("request", format!("{HEAD}\r\n"));
    for label in ["a", "b", "c", "d", "e"] {
        sign(&folder, &format!("--cover @method --label {label} --tag t"));
        folder.write("request", folder.read("signed"));
    }
    let found = words(&folder, &verify(""), "sig.missing");
    assert!(
        found.contains("c with the tag t, d with the tag t, more: "),
        "{found}"
    );
    assert!(!found.contains(" e "), "{found}");
}

/// A derived component without its `@` is a field, and a digest can be added.
#[test]
fn what_was_meant_is_told() {
    let folder = folder();
    let bot = "--profile web-bot-auth --directory https://crawler.example --key bot.jwk";
    folder.ok("key generate --alg Ed25519 --out bot.jwk");
    let absent = "sig.component_absent";
    for signer in ["--key agent.jwk", bot] {
        let sign = format!("httpsig sign --request request --created {NOW} {signer} --cover");
        for name in ["method", "target-uri", "authority", "status"] {
            let end = format!(": that is a field, and `@{name}` may be meant");
            told(&folder, &format!("{sign} {name}"), absent, &end);
        }
        let end = ": `--digest` adds it";
        for cover in ["content-digest", "content-digest;bs"] {
            told(&folder, &format!("{sign} {cover}"), absent, end);
        }
        folder.ok(&format!("{sign} content-digest --digest sha-256"));
        for other in [
            "x-other",
            "content-digest;tr",
            "content-digest;tr --digest sha-256",
        ] {
            told(&folder, &format!("{sign} {other}"), absent, "is not there");
        }
    }
    folder.write("bots.json", folder.ok("key set bot.jwk"));
    let required = "sig.component_required";
    for (more, verify) in [
        ("--cover @method", verify("")),
        (
            bot,
            format!(
                "{} {}",
                verify("").replace("agents", "bots"),
                bot.replace("--key bot.jwk", "")
            ),
        ),
    ] {
        sign(&folder, more);
        let field = ": that is a field, and `@method` may be meant";
        told(
            &folder,
            &format!("{verify} --require method"),
            required,
            field,
        );
        let other = "does not cover `\"content-digest\"`";
        told(
            &folder,
            &format!("{verify} --require content-digest"),
            required,
            other,
        );
    }
}

/// SIG-08: the message has the actual and the expected audience.
#[test]
fn another_audience_is_told() {
    let folder = folder();
    let trust = format!("--origin {ORIGIN} --keys keys.json");
    let verify = |audience: &str| {
        format!(
            "httpsig verify --profile wimse --request signed --now {NOW} {trust} --audience {audience}"
        )
    };
    sign(
        &folder,
        "--profile wimse --wit wit --audience https://tools.example/call",
    );
    let advice = "; call the receiver by this URL, or add the found name to the receiver (`GuardBuilder::proof_audience`)";
    let end = format!(
        ": found \"https://tools.example/call\", expected \"https://other.example\"{advice}"
    );
    told(
        &folder,
        &verify("https://other.example"),
        "sig.audience",
        &end,
    );
    let long = "x".repeat(300);
    sign(
        &folder,
        &format!("--profile wimse --wit wit --audience {long}"),
    );
    let end = format!(": found \"{}…, expected \"a?\"{advice}", "x".repeat(198));
    told(&folder, &verify("a?"), "sig.audience", &end);
    // A bootstrap token that was given as the audience is not repeated (T-166).
    let end = ": the signature is for another audience";
    told(&folder, &verify(&"A".repeat(43)), "sig.audience", end);
}

/// HMS-11: the announced length of a message, and the number of bytes that follow.
#[test]
fn surplus_is_told() {
    let folder = folder();
    let sign = "httpsig sign --request request --key agent.jwk --cover @method;req --cover @status";
    let unix = HEAD.replace("\r\n", "\n");
    for (request, more, end) in [
        (
            format!("{HEAD}Content-Length: 2\r\n\r\nok\n"),
            "",
            ": Content-Length says 2, 1 more byte follows",
        ),
        (
            format!("{HEAD}content-length:0\r\n\r\nok\n"),
            "",
            ": Content-Length says 0, 3 more bytes follow",
        ),
        (
            format!("{HEAD}\r\nok"),
            "",
            ": there is no Content-Length and 2 bytes follow",
        ),
        (
            format!("{HEAD}\r\n\n"),
            "",
            ": there is no Content-Length and 1 byte follows",
        ),
        (
            format!("{unix}Content-Length: 1\n\nok"),
            "--unix-lines",
            ": Content-Length says 1, 1 more byte follows",
        ),
        (
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx"),
            "",
            ": bytes behind the end of the message",
        ),
    ] {
        folder.write("request", request);
        told(&folder, &format!("{sign} {more}"), "http1.surplus", end);
    }
    let sign = format!("{sign} --response response");
    for (method, status, end) in [
        (
            "POST",
            "200 OK",
            ": Content-Length says 1, 1 more byte follows",
        ),
        (
            "POST",
            "304 Not Modified",
            ": such a response has no content, and 2 bytes follow",
        ),
        (
            "HEAD",
            "200 OK",
            ": such a response has no content, and 2 bytes follow",
        ),
    ] {
        folder.write("request", format!("{HEAD}\r\n").replace("POST", method));
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\nok");
        folder.write("response", response);
        told(&folder, &sign, "http1.surplus", end);
    }
}
