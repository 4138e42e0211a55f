//! Parsing of digest fields: strictly, from their raw lines (RFC 9530 §2, §4; HMS-08, HMS-10,
//! T-061, T-063, T-074).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_http_sig::Error;
use aims_http_sig::digest::{Algorithm, ContentDigest, Wanted};
use proptest::prelude::*;

const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
const SHA512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

fn parse(lines: &[&str]) -> Result<ContentDigest, Error> {
    ContentDigest::parse(lines.iter().map(|line| line.as_bytes()))
}

fn refused(lines: &[&str]) -> &'static str {
    parse(lines).unwrap_err().code()
}

/// T-061: a body without the field, or with an empty one, is unverified.
#[test]
fn what_is_not_there_is_missing() {
    assert_eq!(refused(&[]), "digest.missing");
    for empty in ["", " ", "\t "] {
        assert_eq!(refused(&[empty]), "digest.missing");
    }
    let none = ContentDigest::from_headers(&http::HeaderMap::new());
    assert_eq!(none.unwrap_err().code(), "digest.missing");
}

#[test]
fn the_field_is_a_dictionary_of_byte_sequences() {
    parse(&[SHA256]).unwrap();
    parse(&[&format!(" {SHA256}\t,  {SHA512} ")]).unwrap();
    let value = SHA256.strip_prefix("sha-256=").unwrap();
    for bad in [
        "sha-256",
        "sha-256=",
        "sha-256=?1",
        "sha-256=1",
        "sha-256=\"AA\"",
        "sha-256=:",
        "unixsum=30637",
        &format!("SHA-256={value}"),
        &format!("={value}"),
        &format!("1sha={value}"),
        &format!("sha 256={value}"),
        &format!("sha-256 ={value}"),
        &format!("sha-256= {value}"),
        &format!("sha-256={value};a"),
        &format!("sha-256={value};a=1"),
        &format!("{SHA256},"),
        &format!(",{SHA256}"),
        &format!("{SHA256},,{SHA512}"),
        &format!("{SHA256}\n"),
        &format!("({SHA256})"),
    ] {
        assert_eq!(refused(&[bad]), "digest.syntax", "{bad:?}");
    }
    let bytes = ContentDigest::parse([&b"sha-256=:\xff:"[..]]);
    assert_eq!(bytes.unwrap_err().code(), "digest.syntax");
    // Lines are joined by a comma, so an empty one makes an empty member, and no member continues
    // in the next line.
    for lines in [[SHA256, ""], ["", SHA256]] {
        assert_eq!(refused(&lines), "digest.syntax");
    }
    let (front, back) = SHA256.split_at(20);
    assert_eq!(refused(&[front, back]), "digest.syntax");
}

/// T-074: each digest has one text.
#[test]
fn base64_is_canonical() {
    parse(&["sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"]).unwrap();
    for bad in [
        "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDh=", // trailing bits
        "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg",  // no padding
        "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg==",
        "RK_0qy18MlBSVnWgjwz6lZEWjP_lF5HF9bvEF8FabDg=", // the other alphabet
        "RK/0qy18 MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
        " RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
        "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=\0",
        "é",
    ] {
        let code = refused(&[&format!("sha-256=:{bad}:")]);
        assert_eq!(code, "digest.base64", "{bad:?}");
    }
    for (good, bad) in [("AA==", "AB=="), ("AA==", "AA")] {
        parse(&[SHA256, &format!("md5=:{good}:")]).unwrap();
        let code = refused(&[SHA256, &format!("md5=:{bad}:")]);
        assert_eq!(code, "digest.base64");
    }
}

/// T-063: no algorithm occurs twice, with equal or different values, in one line or two.
#[test]
fn repeats_are_refused() {
    let other = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    for lines in [
        &[&*format!("{other}, {SHA256}")][..],
        &[&*format!("{SHA256},{SHA256}")],
        &[other, SHA256],
        &[SHA256, SHA512, other],
        &[SHA256, "md5=:AA==:", "md5=:AA==:"],
    ] {
        assert_eq!(refused(lines), "digest.repeated", "{lines:?}");
    }
}

#[test]
fn a_digest_has_its_length() {
    let lengths = [("", 0), ("AA==", 1), (&*"AAAA".repeat(16), 48)];
    for (name, text, found) in [
        lengths.map(|(text, found)| ("sha-256", text, found)),
        lengths.map(|(text, found)| ("sha-512", text, found)),
    ]
    .concat()
    {
        let line = format!("{name}=:{text}:");
        match parse(&[&line]).unwrap_err() {
            Error::DigestLength {
                algorithm,
                found: it,
            } => {
                assert_eq!((algorithm.name(), it), (name, found));
            }
            other => panic!("{other}"),
        }
        assert_eq!(refused(&[&line]), "digest.length");
    }
    let value = |line: &str| line.split_once('=').unwrap().1.to_owned();
    let swapped = format!("sha-512={}", value(SHA256));
    assert_eq!(refused(&[&swapped]), "digest.length");
    let swapped = format!("sha-256={}", value(SHA512));
    assert_eq!(refused(&[&swapped]), "digest.length");
}

/// HMS-08.
#[test]
fn sizes_are_bounded() {
    let others = |count| (0..count).map(|n| format!("x{n}=:AA==:"));
    let members = |count| others(count).collect::<Vec<_>>().join(", ");
    parse(&[&members(16)]).unwrap();
    assert_eq!(refused(&[&members(17)]), "digest.size");
    let lines: Vec<String> = others(17).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    parse(&lines[..16]).unwrap();
    assert_eq!(refused(&lines), "digest.size");
    let long = |bytes: usize| format!("{SHA256:<bytes$}");
    parse(&[&long(4096)]).unwrap();
    assert_eq!(refused(&[&long(4097)]), "digest.size");
    let halves = [&*format!("{SHA512:<2048}"), &*long(2049)];
    assert_eq!(refused(&halves), "digest.size");
    // Empty lines count too.
    assert_eq!(refused(&[""; 17]), "digest.size");
}

fn wanted(text: &str) -> Result<Wanted, Error> {
    Wanted::parse([text.as_bytes()])
}

#[test]
fn preferences_are_integers_from_0_to_10() {
    for good in [
        "sha-256=0",
        "sha-256=10",
        "sha=3",
        "sha-512=3, sha-256=10, unixsum=0",
    ] {
        assert_eq!(wanted(good).unwrap().to_string(), good);
    }
    for bad in [
        "11", "-1", "1.0", "?1", "", "01", "+1", "256", "1;a", ":AA==:",
    ] {
        let error = wanted(&format!("sha-256={bad}")).unwrap_err();
        assert_eq!(error.code(), "digest.preference", "{bad}");
    }
    let code = |text: &str| wanted(text).unwrap_err().code();
    assert_eq!(code("sha-256"), "digest.syntax");
    assert_eq!(code("sha-256=1, sha-256=2"), "digest.repeated");
    let many: Vec<String> = (0..17).map(|n| format!("a{n}=1")).collect();
    assert_eq!(code(&many.join(",")), "digest.size");
    let over = Wanted::new().with(Algorithm::Sha256, 11).unwrap_err();
    assert_eq!(over.code(), "digest.preference");
    let changed = Wanted::new().with(Algorithm::Sha256, 1).unwrap();
    let changed = changed.with(Algorithm::Sha256, 2).unwrap();
    assert_eq!(changed.to_string(), "sha-256=2");
}

#[test]
fn the_best_algorithm_is_chosen() {
    use Algorithm::{Sha256, Sha512};
    for (text, best) in [
        ("sha-256=1", Some(Sha256)),
        ("sha-512=3, sha-256=10, unixsum=0", Some(Sha256)),
        ("sha-512=4, sha-256=3", Some(Sha512)),
        ("sha-512=3, sha-256=3", Some(Sha256)),
        ("sha-256=3, sha=10", Some(Sha256)),
        ("sha-256=0, sha-512=1", Some(Sha512)),
        ("sha-256=0, sha-512=0", None),
        ("sha=10", None),
        ("", None),
    ] {
        assert_eq!(wanted(text).unwrap().best(), best, "{text}");
    }
    assert_eq!(wanted("sha=10").unwrap().weight("sha"), Some(10));
    assert_eq!(wanted("sha=10").unwrap().weight("sha-256"), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(body: Vec<u8>, cut in 0_usize..100, two: bool) {
        let algorithms = if two { Algorithm::ALL } else { &[Algorithm::Sha512] };
        let digest = ContentDigest::with(algorithms, &body);
        let read = parse(&[&digest.to_string()]).unwrap();
        prop_assert_eq!(&read, &digest);
        let mut hashing = read.hashing().unwrap();
        let (front, back) = body.split_at(cut.min(body.len()));
        hashing.update(front);
        hashing.update(back);
        prop_assert_eq!(hashing.finish().unwrap(), read.verify(&body).unwrap());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ ,=:a-z0-9A/+*-]{0,60}") {
        if let Ok(read) = parse(&[&text]) {
            prop_assert_eq!(parse(&[&read.to_string()]).unwrap(), read);
        }
        if let Ok(read) = wanted(&text) {
            prop_assert_eq!(wanted(&read.to_string()).unwrap(), read);
        }
    }
}
