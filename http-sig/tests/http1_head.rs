//! Heads of raw HTTP/1.1 messages (RFC 9112; HMS-08, HMS-12, T-064). Each message differs from a
//! good one in just one thing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_http_sig::http1::{RawRequest, Reader};
use aims_http_sig::{Component, Error, Exchange, Message as _, Section, Start, component_value};

const GOOD: &str = "GET /a?b HTTP/1.1\r\nHost: tools.example\r\nAccept: x\r\n\r\n";

fn strict() -> Reader {
    Reader::new(100)
}

fn request(text: &[u8]) -> Result<RawRequest<'_>, Error> {
    strict().request(text, "https")
}

/// Returns the code of the valid request after replacing `from` with `to`.
fn changed(from: &str, to: &str) -> &'static str {
    changed_bytes(from, to.as_bytes())
}

fn changed_bytes(from: &str, to: &[u8]) -> &'static str {
    let (front, back) = GOOD.split_once(from).unwrap();
    let text = [front.as_bytes(), to, back.as_bytes()].concat();
    request(&text).map_or_else(|error| error.code(), |read| signable(&read))
}

/// Every parsed message can be signed: parser and signer have the same rules for targets and hosts.
fn signable(read: &RawRequest<'_>) -> &'static str {
    for component in [Component::TARGET_URI, Component::AUTHORITY] {
        component_value(&Exchange::of(read), component.id()).unwrap();
    }
    "good"
}

fn status(line: &str) -> Result<u16, &'static str> {
    let text = format!("{line}\r\n\r\n");
    let read = strict().response(text.as_bytes(), "GET");
    read.map(|it| it.status()).map_err(|error| error.code())
}

#[test]
fn a_request_is_read() {
    let read = request(GOOD.as_bytes()).unwrap();
    assert_eq!((read.method(), read.target()), ("GET", "/a?b"));
    let start = Start::Request {
        method: "GET",
        target: "/a?b",
        scheme: "https",
        authority: "tools.example",
    };
    assert_eq!(read.start(), start);
    assert_eq!(read.content(), b"");
    let fields: Vec<_> = read.fields(Section::Headers).collect();
    assert_eq!(fields, [("Host", &b"tools.example"[..]), ("Accept", b"x")]);
    assert_eq!(read.fields(Section::Trailers).count(), 0);
    assert_eq!(read.with_authority("other").authority(), "other");
}

#[test]
fn a_request_line_has_three_words() {
    for bad in [
        "GET /a?b  HTTP/1.1",
        "GET  /a?b HTTP/1.1",
        " GET /a?b HTTP/1.1",
        "GET /a?b HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET /a?b",
        "GET\t/a?b HTTP/1.1",
        "",
    ] {
        let code = changed("GET /a?b HTTP/1.1", bad);
        assert_eq!(code, "http1.start_line", "{bad:?}");
    }
    for bad in [
        "HTTP/1.0",
        "HTTP/2",
        "http/1.1",
        "HTTP/1.10",
        "HTTP/1.1\t",
        "",
    ] {
        assert_eq!(changed("HTTP/1.1", bad), "http1.version", "{bad:?}");
    }
    for bad in ["", "G\tT", "GET:", "G(T", "G\u{0}T", "GÉT"] {
        assert_eq!(changed("GET", bad), "http1.method", "{bad:?}");
    }
    for good in ["get", "M-SEARCH", "A!#$%&'*+-.^_`|~9"] {
        assert_eq!(changed("GET", good), "good", "{good:?}");
    }
}

/// T-064: a target has no fragment, only characters of a URI, and a form that its method allows.
#[test]
fn a_target_is_well_formed() {
    for good in [
        "/",
        "//",
        "/a%2Fb?c=%e4&d=:@!$'()*+,;=/?~",
        "https://tools.example/a?b",
        "HTTPS://Tools.Example?b",
        "https://tools.example",
    ] {
        assert_eq!(changed("/a?b", good), "good", "{good:?}");
    }
    for bad in [
        "/a#b",
        "/a\"b",
        "/a<b",
        "/a\\b",
        "/a^b",
        "/a`b",
        "/a{b",
        "/a|b",
        "/a[b",
        "/ä",
        "/a\tb",
        "/a\u{0}b",
        "/a\u{7f}b",
        "/%",
        "/%4",
        "/%4g",
        "/?%zz",
        "a",
        "?b",
        "",
        "*",
        "tools.example:443",
        "https:/a",
        "1https://tools.example/",
        "://tools.example/",
        "https:///a",
        "https://u@tools.example/",
        "https://tools.example:x/",
        "https://tools.example/#a",
    ] {
        assert_eq!(changed("/a?b", bad), "http1.target", "{bad:?}");
    }
    assert_eq!(changed_bytes("/a?b", b"/a\xff"), "http1.target");
    let with = |method: &str, target: &str| changed("GET /a?b", &format!("{method} {target}"));
    assert_eq!(with("OPTIONS", "*"), "good");
    assert_eq!(with("OPTIONS", "**"), "http1.target");
    assert_eq!(with("CONNECT", "/a"), "http1.target");
    assert_eq!(with("CONNECT", "tools.example"), "http1.target");
    assert_eq!(with("CONNECT", "tools.example:"), "http1.target");
    assert_eq!(with("CONNECT", "tools.example:443"), "http1.host_mismatch");
    let tunnel = b"CONNECT tools.example:443 HTTP/1.1\r\nHost: tools.example:443\r\n\r\n";
    assert_eq!(request(tunnel).unwrap().target(), "tools.example:443");
}

/// T-064: there is one `Host`, and the target agrees with it.
#[test]
fn there_is_one_host() {
    let line = "Host: tools.example\r\n";
    assert_eq!(changed(line, ""), "http1.host_missing");
    assert_eq!(changed(line, &line.repeat(2)), "http1.host_repeated");
    let other = format!("{line}hOST: other.example\r\n");
    assert_eq!(changed(line, &other), "http1.host_repeated");
    for good in [
        "a",
        "a:1",
        "a:",
        "A.example.",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:8080",
        "a_b",
    ] {
        assert_eq!(changed("tools.example", good), "good", "{good}");
    }
    for bad in [
        "", ":1", "a:65536", "a:x", "a:-1", "u@a", "a/b", "a?b", "a#b", "a b", "a,b", "a%2e",
        "[::1", "::1", "[g]", "[]", "[::1]x", "ä", "a:1:2", "a:0443",
    ] {
        assert_eq!(changed("tools.example", bad), "http1.host", "{bad}");
    }
    for other in [
        "https://other.example/a?b",
        "https://tools.example:80/a?b",
        "http://tools.example/a?b",
    ] {
        assert_eq!(changed("/a?b", other), "http1.host_mismatch", "{other}");
    }
    // Two spellings of one authority are equal, as in signatures.
    for same in [
        "HTTPS://Tools.Example/a?b",
        "https://tools.example:443/a?b",
        "https://tools.example:/a?b",
    ] {
        assert_eq!(changed("/a?b", same), "good", "{same}");
    }
    let over = |scheme| {
        let read = strict().request(GOOD.as_bytes(), scheme);
        read.map_or_else(|error| error.code(), |_| "good")
    };
    assert_eq!(over("http"), "good");
    for scheme in ["ftp", "tools.example", ""] {
        assert_eq!(over(scheme), "sig.target", "{scheme}");
    }
}

#[test]
fn a_field_has_a_name_and_a_colon() {
    for bad in [
        ": x",
        "x",
        "a b: x",
        "a(: x",
        "ä: x",
        "\u{0}: x",
        "a\u{7f}: x",
    ] {
        assert_eq!(changed("Accept: x", bad), "http1.field", "{bad:?}");
    }
    for bad in ["Accept : x", "Accept\t: x"] {
        assert_eq!(changed("Accept: x", bad), "http1.blank_before_colon");
    }
    for control in ["\u{0}", "\u{1}", "\u{b}", "\u{1b}", "\u{7f}"] {
        let bad = format!("Accept: a{control}b");
        assert_eq!(changed("Accept: x", &bad), "http1.character", "{bad:?}");
    }
    for (line, value) in [
        ("A:", ""),
        ("A: \t", ""),
        ("A:b\tc", "b\tc"),
        ("A: \t b : c\t ", "b : c"),
    ] {
        let text = GOOD.replace("Accept: x", line);
        let read = request(text.as_bytes()).unwrap();
        let found = read.fields(Section::Headers).last().unwrap();
        assert_eq!(found, ("A", value.as_bytes()), "{line:?}");
    }
    assert_eq!(changed_bytes("Accept: x", b"Accept: \xff\xc3"), "good");
}

/// RFC 9421 §2.1: a fold is one space, where folds are read at all.
#[test]
fn folds_are_refused_unless_named() {
    assert_eq!(changed("Accept: x", "Accept: x\r\n y"), "http1.folded");
    assert_eq!(changed("Accept: x", "Accept: x\r\n\ty"), "http1.folded");
    assert_eq!(changed("Host", " Host"), "http1.folded");
    let folding = strict().with_folded_fields();
    for (folded, value) in [
        ("Obsolete\r\n    line folding.", "Obsolete line folding."),
        ("a \t\r\n \tb\r\n c ", "a b c"),
        ("\r\n a", "a"),
        ("a\r\n ", "a"),
        ("a\r\n \r\n b", "a  b"),
    ] {
        let text = GOOD.replace("Accept: x", &format!("Accept: {folded}"));
        let read = folding.request(text.as_bytes(), "https").unwrap();
        let mut found = Vec::new();
        read.lines(Section::Headers, "accept", &mut |line| found.push(line));
        assert_eq!(found, [value.as_bytes()]);
    }
    // A fold before the first field has nothing to continue.
    let text = GOOD.replace("Host", " Host");
    let first = folding.request(text.as_bytes(), "https").unwrap_err();
    assert_eq!(first.code(), "http1.folded");
    let text = GOOD.replace("Accept: x", "Accept: x\r\n \u{0}");
    let control = folding.request(text.as_bytes(), "https").unwrap_err();
    assert_eq!(control.code(), "http1.character");
}

/// T-064: all lines have the same kind of end.
#[test]
fn line_ends_are_of_one_kind() {
    for (from, to) in [
        ("x\r\n", "x\n"),
        ("HTTP/1.1\r\n", "HTTP/1.1\n"),
        ("x\r\n\r\n", "x\r\n\n"),
        ("x\r\n", "x\ry\r\n"),
        ("x\r\n", "x\r\r\n"),
        ("GET", "\rGET"),
    ] {
        assert_eq!(changed(from, to), "http1.line_end", "{to:?}");
    }
    let unix = GOOD.replace("\r\n", "\n");
    let file = Reader::edited_file(100);
    assert_eq!(
        request(unix.as_bytes()).unwrap_err().code(),
        "http1.line_end"
    );
    let read = file.request(unix.as_bytes(), "https").unwrap();
    assert_eq!(read.target(), "/a?b");
    for mixed in [
        GOOD.to_owned(),
        unix.replace("x\n", "x\r\n"),
        unix.replace('x', "x\ry"),
    ] {
        let error = file.request(mixed.as_bytes(), "https").unwrap_err();
        assert_eq!(error.code(), "http1.line_end", "{mixed:?}");
    }
}

#[test]
fn a_head_has_an_end() {
    for cut in [
        0,
        3,
        18,
        19,
        25,
        GOOD.len() - 3,
        GOOD.len() - 2,
        GOOD.len() - 1,
    ] {
        let error = request(&GOOD.as_bytes()[..cut]).unwrap_err();
        assert_eq!(error.code(), "http1.head_incomplete", "{cut}");
    }
    // An empty line before the request line is refused.
    assert_eq!(changed("GET", "\r\nGET"), "http1.start_line");
}

/// HMS-08.
#[test]
fn heads_are_bounded() {
    let exact = strict().with_head_limit(GOOD.len()).with_field_limit(2);
    exact.request(GOOD.as_bytes(), "https").unwrap();
    let less = exact.clone().with_head_limit(GOOD.len() - 1);
    let error = less.request(GOOD.as_bytes(), "https").unwrap_err();
    assert_eq!(error.code(), "http1.head_size");
    let fewer = exact.with_field_limit(1);
    let error = fewer.request(GOOD.as_bytes(), "https").unwrap_err();
    assert_eq!(error.code(), "http1.fields");
    let many = |count| changed("Accept: x", &vec!["Accept: x"; count].join("\r\n"));
    assert_eq!((many(127), many(128)), ("good", "http1.fields"));
    let long = |bytes| changed("Accept: x", &format!("Accept: {}", "x".repeat(bytes)));
    let room = 64 * 1024 - GOOD.len() + 1;
    assert_eq!((long(room), long(room + 1)), ("good", "http1.head_size"));
    let endless = vec![b'x'; 1 << 20];
    assert_eq!(request(&endless).unwrap_err().code(), "http1.head_size");
}

#[test]
fn a_status_line_has_its_form() {
    for (line, code) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 404 ", 404),
        ("HTTP/1.1 599 Not  so\tbad \u{e4}", 599),
    ] {
        assert_eq!(status(line), Ok(code), "{line}");
    }
    for bad in [
        "HTTP/1.1 200",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 O\u{0}K",
        "HTTP/1.1",
        "200 OK",
        "",
        "GET / HTTP/1.1",
    ] {
        assert_eq!(status(bad), Err("http1.start_line"), "{bad:?}");
    }
    for bad in ["HTTP/1.0 200 OK", "HTTP/2.0 200 OK", "HTTP/1.12 200 OK"] {
        let expected = if bad.contains("1.12") {
            "http1.start_line"
        } else {
            "http1.version"
        };
        assert_eq!(status(bad), Err(expected), "{bad:?}");
    }
}

/// The messages in the WIMSE draft.
#[test]
fn published_messages_are_read() {
    let file = Reader::edited_file(100);
    let bytes = include_bytes!("../../testdata/wimse/sigs-request.txt");
    let request = file.request(bytes, "https").unwrap();
    assert_eq!(request.authority(), "svcb.example.com");
    assert_eq!(request.target(), "/gimme-ice-cream?flavor=vanilla");
    let bytes = include_bytes!("../../testdata/wimse/sigs-response.txt");
    let response = file.response(bytes, request.method()).unwrap();
    assert_eq!(response.start(), Start::Response { status: 404 });
    assert_eq!(response.content(), b"No ice cream today.\n\n");
    let digest = aims_http_sig::digest::ContentDigest::from_message(&response, Section::Headers);
    digest.unwrap().verify(response.content()).unwrap();
}
