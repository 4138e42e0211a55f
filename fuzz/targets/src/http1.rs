//! Raw HTTP/1.1 messages.

use aims_http_sig::http1::{RawRequest, RawResponse, Reader};
use aims_http_sig::{Error, Message, Section};

use crate::{Outcome, refused};

const LIMIT: usize = 64 * 1024;

/// Parses a message: a response if it begins like one, else a request. If its first line ends in LF
/// only, it is parsed as a file.
pub fn http1(data: &[u8]) -> Outcome {
    let first = data.split(|b| *b == b'\n').next().unwrap_or_default();
    let wire = first.ends_with(b"\r");
    let reader = if wire {
        Reader::new(LIMIT)
    } else {
        Reader::edited_file(LIMIT)
    };
    let folding = reader.clone().with_folded_fields();
    if data.starts_with(b"HTTP/") {
        let read = reader.response(data, "GET");
        let folded = folding.response(data, "GET");
        return match (read, folded) {
            (Ok(read), Ok(same)) => {
                assert_eq!(fields(&read), fields(&same));
                check_response(&read);
                Outcome::Accepted
            }
            (Err(error), other) => refuse(&error, other.is_ok()),
            (Ok(_), Err(_)) => unreachable!("a laxer rule takes less"),
        };
    }
    match (
        reader.request(data, "https"),
        folding.request(data, "https"),
    ) {
        (Ok(read), Ok(same)) => {
            assert_eq!(
                read.fields(Section::Headers).count(),
                same.fields(Section::Headers).count()
            );
            check_request(&read);
            if wire {
                // The input is exactly one message.
                let longer = [data, b"x"].concat();
                assert!(reader.request(&longer, "https").is_err());
                let shorter = data.split_last().map(|(_, rest)| rest).unwrap_or_default();
                assert!(reader.request(shorter, "https").is_err());
            }
            Outcome::Accepted
        }
        (Err(error), other) => refuse(&error, other.is_ok()),
        (Ok(_), Err(_)) => unreachable!("a laxer rule takes less"),
    }
}

/// A message that only the folding rules accept contains a fold.
fn refuse(error: &Error, taken_when_folded: bool) -> Outcome {
    assert!(!taken_when_folded || error.code() == "http1.folded");
    assert!(error.code().starts_with("http1."));
    refused(error.code(), &[Error::CODES])
}

/// Returns name and value of each line that stays when the message is written anew.
fn kept<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<(&'a str, &'a [u8])> {
    let framing = |name: &str| {
        ["content-length", "transfer-encoding"]
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it))
    };
    all.filter(|(name, _)| !framing(name)).collect()
}

fn fields<'a>(read: &'a RawResponse<'_>) -> Vec<(&'a str, &'a [u8])> {
    kept(read.fields(Section::Headers))
}

/// Writes head and content in the simplest way.
fn write(start: &str, fields: &[(&str, &[u8])], content: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{start}\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", content.len()).as_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// Each line of a message is found by its name.
fn check_lines<'a>(message: &impl Message, all: impl Iterator<Item = (&'a str, &'a [u8])>) {
    for (name, value) in all {
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        let mut found = false;
        message.lines(Section::Headers, &name.to_ascii_lowercase(), &mut |line| {
            found |= line == value;
        });
        assert!(found);
    }
}

fn check_request(read: &RawRequest<'_>) {
    check_lines(read, read.fields(Section::Headers));
    assert!(!read.target().contains('#'));
    let fields = kept(read.fields(Section::Headers));
    let start = format!("{} {} HTTP/1.1", read.method(), read.target());
    let bytes = write(&start, &fields, read.content());
    let Ok(again) = room().request(&bytes, "https") else {
        unreachable!("what was written is not read");
    };
    assert_eq!(
        (
            again.method(),
            again.target(),
            again.authority(),
            again.content()
        ),
        (
            read.method(),
            read.target(),
            read.authority(),
            read.content()
        )
    );
    assert_eq!(kept(again.fields(Section::Headers)), fields);
}

fn check_response(read: &RawResponse<'_>) {
    check_lines(read, read.fields(Section::Headers));
    if read.status() < 200 || matches!(read.status(), 204 | 304) {
        assert!(read.content().is_empty());
        return;
    }
    let start = format!("HTTP/1.1 {} ", read.status());
    let bytes = write(&start, &fields(read), read.content());
    let Ok(again) = room().response(&bytes, "GET") else {
        unreachable!("what was written is not read");
    };
    assert_eq!(
        (again.status(), again.content()),
        (read.status(), read.content())
    );
    assert_eq!(fields(&again), fields(read));
}

/// Creates a reader with room for the bytes that writing adds.
fn room() -> Reader {
    Reader::new(LIMIT)
        .with_head_limit(4 * LIMIT)
        .with_field_limit(256)
}
