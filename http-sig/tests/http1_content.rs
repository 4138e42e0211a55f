//! The content of raw HTTP/1.1 messages: its length, stated in one way (RFC 9112 §6, §7; HMS-08,
//! T-064).

#![expect(
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use aims_http_sig::http1::Reader;
use aims_http_sig::{Error, Message as _, Section};
use proptest::prelude::*;

const LIMIT: usize = 100;

/// Returns the content of a request with these lines and this rest, or the code.
fn request(lines: &str, rest: &str) -> Result<String, &'static str> {
    let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{rest}");
    let read = Reader::new(LIMIT).request(text.as_bytes(), "https");
    read.map(|it| String::from_utf8(it.content().to_vec()).unwrap())
        .map_err(|error| error.code())
}

/// Returns the content of a response with these lines and this rest, or the code.
fn response(method: &str, status: u16, lines: &str, rest: &str) -> Result<String, &'static str> {
    let text = format!("HTTP/1.1 {status} x\r\n{lines}\r\n{rest}");
    let read = Reader::new(LIMIT).response(text.as_bytes(), method);
    read.map(|it| String::from_utf8(it.content().to_vec()).unwrap())
        .map_err(|error| error.code())
}

fn chunked(rest: &str) -> Result<String, &'static str> {
    request("Transfer-Encoding: chunked\r\n", rest)
}

fn good(content: &str) -> Result<String, &'static str> {
    Ok(content.to_owned())
}

#[test]
fn content_has_its_length() {
    let five = "Content-Length: 5\r\n";
    assert_eq!(request(five, "hello"), good("hello"));
    assert_eq!(request("Content-Length: 005\r\n", "hello"), good("hello"));
    assert_eq!(request("Content-Length: 0\r\n", ""), good(""));
    assert_eq!(request("", ""), good(""));
    assert_eq!(request(five, "hell"), Err("http1.truncated"));
    assert_eq!(request(five, ""), Err("http1.truncated"));
    assert_eq!(request(five, "hello!"), Err("http1.surplus"));
    assert_eq!(request(five, "hello\r\n"), Err("http1.surplus"));
    assert_eq!(request("", "hello"), Err("http1.surplus"));
}

/// T-064.
#[test]
fn a_length_is_said_once_and_in_one_way() {
    for bad in [
        "",
        "+5",
        "-5",
        "5.0",
        "0x5",
        "5 ,5",
        "5, 5",
        "5,6",
        "５",
        "5a",
        "18446744073709551616",
    ] {
        let line = format!("Content-Length: {bad}\r\n");
        assert_eq!(
            request(&line, "hello"),
            Err("http1.content_length"),
            "{bad}"
        );
    }
    for twice in ["5", "6"] {
        let lines = format!("Content-Length: 5\r\ncontent-length: {twice}\r\n");
        assert_eq!(request(&lines, "hello"), Err("http1.content_length"));
    }
    for bad in [
        "",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked;a",
    ] {
        let line = format!("Transfer-Encoding: {bad}\r\n");
        assert_eq!(
            request(&line, "0\r\n\r\n"),
            Err("http1.transfer_encoding"),
            "{bad}"
        );
    }
    let twice = "Transfer-Encoding: chunked\r\n".repeat(2);
    assert_eq!(request(&twice, "0\r\n\r\n"), Err("http1.transfer_encoding"));
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    for rest in ["0\r\n\r\n", "hello"] {
        assert_eq!(request(both, rest), Err("http1.length_and_coding"));
        assert_eq!(
            response("GET", 200, both, rest),
            Err("http1.length_and_coding")
        );
    }
}

#[test]
fn some_responses_have_no_content() {
    let five = "Content-Length: 5\r\n";
    let coded = "Transfer-Encoding: chunked\r\n";
    assert_eq!(response("GET", 200, five, "hello"), good("hello"));
    assert_eq!(response("GET", 200, "", "to the end"), good("to the end"));
    assert_eq!(
        response("GET", 200, coded, "1\r\na\r\n0\r\n\r\n"),
        good("a")
    );
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 304)] {
        for lines in ["", five, coded] {
            assert_eq!(response(method, status, lines, ""), good(""));
            assert_eq!(
                response(method, status, lines, "hello"),
                Err("http1.surplus")
            );
        }
    }
    for (method, status) in [("GET", 100), ("GET", 103), ("GET", 204), ("CONNECT", 200)] {
        assert_eq!(response(method, status, "", ""), good(""));
        assert_eq!(response(method, status, "", "hello"), Err("http1.surplus"));
        assert_eq!(
            response(method, status, five, ""),
            Err("http1.content_length")
        );
        assert_eq!(
            response(method, status, coded, ""),
            Err("http1.transfer_encoding")
        );
    }
    assert_eq!(response("CONNECT", 407, five, "hello"), good("hello"));
}

/// HMS-08.
#[test]
fn content_is_bounded() {
    let long = |bytes: usize| request(&format!("Content-Length: {bytes}\r\n"), &"x".repeat(bytes));
    assert_eq!(long(LIMIT).map(|it| it.len()), Ok(LIMIT));
    assert_eq!(long(LIMIT + 1), Err("http1.body_size"));
    // The announced length is enough for a refusal.
    let huge = format!("Content-Length: {}\r\n", u64::MAX);
    assert_eq!(request(&huge, ""), Err("http1.body_size"));
    assert_eq!(
        response("GET", 200, "", &"x".repeat(LIMIT)).map(|it| it.len()),
        Ok(LIMIT)
    );
    assert_eq!(
        response("GET", 200, "", &"x".repeat(LIMIT + 1)),
        Err("http1.body_size")
    );
    let chunk = format!("32\r\n{}\r\n", "x".repeat(50));
    assert_eq!(
        chunked(&format!("{chunk}{chunk}0\r\n\r\n")).map(|it| it.len()),
        Ok(100)
    );
    assert_eq!(
        chunked(&format!("{chunk}{chunk}1\r\nx\r\n0\r\n\r\n")),
        Err("http1.body_size")
    );
    assert_eq!(chunked("ffffffffffffffff\r\n"), Err("http1.body_size"));
}

#[test]
fn chunks_have_their_size() {
    assert_eq!(
        chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        good("hello world")
    );
    assert_eq!(chunked("0\r\n\r\n"), good(""));
    assert_eq!(chunked("000\r\n\r\n"), good(""));
    assert_eq!(
        chunked("00a\r\n0123456789\r\n0\r\n\r\n"),
        good("0123456789")
    );
    assert_eq!(chunked("A\r\n0123456789\r\n0\r\n\r\n"), good("0123456789"));
    assert_eq!(chunked("2 ; a=b;c=\"d\"\r\nxy\r\n0;e\r\n\r\n"), good("xy"));
    for bad in [
        "\r\n",
        "x\r\n",
        " 2\r\nxy\r\n0\r\n\r\n",
        "2 \r\nxy\r\n0\r\n\r\n",
        "+2\r\nxy\r\n0\r\n\r\n",
        "0x2\r\nxy\r\n0\r\n\r\n",
        "2,\r\nxy\r\n0\r\n\r\n",
        "2;a\u{0}\r\nxy\r\n0\r\n\r\n",
        "2\r\nxyz\r\n0\r\n\r\n",
        "2\r\nxy0\r\n\r\n",
        "00000000000000002\r\nxy\r\n0\r\n\r\n",
    ] {
        assert_eq!(chunked(bad), Err("http1.chunk"), "{bad:?}");
    }
    let whole = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for cut in 0..whole.len() {
        assert_eq!(chunked(&whole[..cut]), Err("http1.truncated"), "{cut}");
    }
    assert_eq!(chunked(&format!("{whole}x")), Err("http1.surplus"));
    for bad in [
        "5\nhello\r\n0\r\n\r\n",
        "5;\n\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "0\r\n\n",
    ] {
        assert_eq!(chunked(bad), Err("http1.line_end"), "{bad:?}");
    }
}

/// HMS-08.
#[test]
fn extensions_of_chunks_are_bounded() {
    let one = |bytes: usize| chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(bytes)));
    assert_eq!(one(1020), good("x"));
    assert_eq!(one(1021), Err("http1.chunk"));
    let many = |count: usize| {
        chunked(&format!(
            "{}0\r\n\r\n",
            format!("1;{}\r\nx\r\n", "a".repeat(1019)).repeat(count)
        ))
    };
    assert_eq!(many(16).map(|it| it.len()), Ok(16));
    assert_eq!(many(17), Err("http1.chunk"));
}

#[test]
fn trailers_are_fields_of_their_own() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nDigest: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = format!("{head}1\r\nx\r\n0\r\nContent-Digest: y\r\n\r\n");
    let read = Reader::new(LIMIT)
        .request(text.as_bytes(), "https")
        .unwrap();
    let lines = |section, name: &str| {
        let mut found = 0;
        read.lines(section, name, &mut |_| found += 1);
        found
    };
    assert_eq!(lines(Section::Trailers, "content-digest"), 1);
    assert_eq!(lines(Section::Headers, "content-digest"), 0);
    assert_eq!(lines(Section::Trailers, "digest"), 0);
    let trailer = |line: &str| chunked(&format!("0\r\n{line}\r\n\r\n"));
    assert_eq!(trailer("Signature: a"), good(""));
    for bad in [
        "Content-Length: 0",
        "transfer-encoding: chunked",
        "Host: a",
        "Authorization: Bearer a",
        "Content-Type: a/b",
        "Content-Encoding: gzip",
        "Cookie: a=b",
        "Trailer: a",
        "TE: trailers",
    ] {
        assert_eq!(trailer(bad), Err("http1.trailer"), "{bad}");
    }
    assert_eq!(trailer("a"), Err("http1.field"));
    assert_eq!(trailer("a : b"), Err("http1.blank_before_colon"));
    assert_eq!(trailer("a: b\r\n c"), Err("http1.folded"));
    assert_eq!(trailer(" a: b"), Err("http1.folded"));
}

/// HMS-08: trailers get the remainder of the limits of the head.
#[test]
fn trailers_are_bounded() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = format!("{head}0\r\nA: b\r\n\r\n");
    let bytes = text.len() - "0\r\n".len();
    let reader = Reader::new(LIMIT)
        .with_head_limit(bytes)
        .with_field_limit(3);
    reader.request(text.as_bytes(), "https").unwrap();
    let code = |reader: Reader| {
        reader
            .request(text.as_bytes(), "https")
            .map_err(|it| it.code())
            .unwrap_err()
    };
    assert_eq!(
        code(reader.clone().with_head_limit(bytes - 1)),
        "http1.head_size"
    );
    assert_eq!(code(reader.with_field_limit(2)), "http1.fields");
}

/// In an edited file without a length, everything after the head is content.
#[test]
fn the_rest_of_an_edited_file_is_content() {
    let file = Reader::edited_file(LIMIT);
    let read = |text: &str| -> Result<String, Error> {
        let read = file.request(text.as_bytes(), "https")?;
        Ok(String::from_utf8(read.content().to_vec()).unwrap())
    };
    let head = "POST / HTTP/1.1\nHost: a\n";
    assert_eq!(read(&format!("{head}\nhello\n")).unwrap(), "hello\n");
    assert_eq!(
        read(&format!("{head}Content-Length: 5\n\nhello")).unwrap(),
        "hello"
    );
    let surplus = read(&format!("{head}Content-Length: 5\n\nhello\n")).unwrap_err();
    assert_eq!(surplus.code(), "http1.surplus");
    let coded = format!("{head}Transfer-Encoding: chunked\n\n");
    assert_eq!(
        read(&format!("{coded}5\nhello\n0\nA: b\n\n")).unwrap(),
        "hello"
    );
    let mixed = read(&format!("{coded}5\r\nhello\r\n0\r\n\r\n")).unwrap_err();
    assert_eq!(mixed.code(), "http1.line_end");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        method in "[A-Z]{1,8}",
        path in "/[a-z0-9/?=&]{0,20}",
        fields in prop::collection::vec(("x-[A-Za-z-]{1,9}", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..9),
        content: Vec<u8>,
        chunks: Option<u8>,
        unix: bool,
    ) {
        prop_assume!(method != "CONNECT");
        let end = if unix { "\n" } else { "\r\n" };
        let mut text = format!("{method} {path} HTTP/1.1{end}hOsT: a.example:1{end}");
        for (name, value) in &fields {
            text.push_str(&format!("{name}:\t {value} {end}"));
        }
        let mut bytes = text.into_bytes();
        match chunks {
            None => bytes.extend(format!("content-length: {}{end}{end}", content.len()).bytes()),
            Some(size) => {
                bytes.extend(format!("transfer-encoding: Chunked{end}{end}").bytes());
                for chunk in content.chunks(usize::from(size).max(1)) {
                    bytes.extend(format!("{:x}{end}", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(end.bytes());
                }
                bytes.extend(format!("0{end}{end}").bytes());
            }
        }
        if chunks.is_none() {
            bytes.extend_from_slice(&content);
        }
        let reader = if unix { Reader::edited_file(1 << 20) } else { Reader::new(1 << 20) };
        let read = reader.request(&bytes, "https").unwrap();
        prop_assert_eq!((read.method(), read.target()), (&*method, &*path));
        prop_assert_eq!(read.authority(), "a.example:1");
        prop_assert_eq!(read.content(), content);
        let found = read.fields(Section::Headers).skip(1).take(fields.len());
        let found: Vec<(&str, &[u8])> = found.collect();
        let written = fields.iter().map(|(name, value)| (&**name, value.as_bytes()));
        let written: Vec<(&str, &[u8])> = written.collect();
        prop_assert_eq!(found, written);
    }

    #[test]
    fn any_bytes_are_read_or_refused(start in "(GET / HTTP/1.1\r\nHost: a\r\n|HTTP/1.1 200 x\r\n|)", rest: Vec<u8>) {
        let bytes = [start.as_bytes(), &rest].concat();
        for reader in [Reader::new(LIMIT), Reader::edited_file(LIMIT).with_folded_fields()] {
            let request = reader.request(&bytes, "https").map(drop);
            let response = reader.response(&bytes, "GET").map(drop);
            for outcome in [request, response] {
                let code = outcome.err().map(|error| error.code());
                prop_assert!(code.is_none_or(|code| code.starts_with("http1.") && Error::CODES.contains(&code)));
            }
        }
    }
}
