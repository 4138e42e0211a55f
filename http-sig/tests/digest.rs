//! Digest fields (RFC 9530; HMS-10, SIG-05, T-061).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_http_sig::digest::{Algorithm, ContentDigest, Hasher, ReprDigest};
use aims_http_sig::{Error, HttpResponse, Section};
use serde_json::Value;

const WORLD: &[u8] = b"{\"hello\": \"world\"}\n";
const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
const SHA512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

fn parse(lines: &[&str]) -> Result<ContentDigest, Error> {
    ContentDigest::parse(lines.iter().map(|line| line.as_bytes()))
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A member with this number of zero bytes.
fn zeros(name: &str, bytes: usize) -> String {
    let mut text = "A".repeat((bytes * 4).div_ceil(3));
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    format!("{name}=:{text}:")
}

/// Every printed digest, with its expected result.
#[test]
fn published_digests() {
    let all = include_str!("../../testdata/rfc9530/digests.json");
    let all: Value = serde_json::from_str(all).unwrap();
    let mut accepted = 0;
    for one in all.as_array().unwrap() {
        let content = match one["hex"].as_str() {
            Some(hex) => unhex(hex),
            None => one["content"].as_str().unwrap().as_bytes().to_vec(),
        };
        let line = [one["value"].as_str().unwrap().as_bytes()];
        let outcome = match one["field"].as_str().unwrap() {
            ContentDigest::FIELD => ContentDigest::parse(line).and_then(|it| it.verify(&content)),
            ReprDigest::FIELD => ReprDigest::parse(line).and_then(|it| it.verify(&content)),
            other => panic!("{other}"),
        };
        accepted += usize::from(outcome.is_ok());
        let code = outcome.as_ref().err().map(Error::code);
        assert_eq!(code, one["code"].as_str(), "{one}");
    }
    assert_eq!(accepted, 14);
}

/// The response in the WIMSE draft has the digest of its body: a line and the two line feeds after
/// it.
#[test]
fn the_published_response_has_its_digest() {
    let message = include_bytes!("../../testdata/wimse/sigs-response.txt");
    let head = message.windows(2).position(|two| two == b"\n\n").unwrap();
    let (head, body) = message.split_at(head);
    let line = head
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"Content-Digest: "))
        .unwrap();
    let digest = ContentDigest::parse([line]).unwrap();
    assert_eq!(&body[2..], b"No ice cream today.\n\n");
    assert_eq!(digest.verify(&body[2..]).unwrap().length(), 21);
    let short = digest.verify(&body[2..22]).unwrap_err();
    assert_eq!(short.code(), "digest.mismatch");
}

/// HMS-10: other algorithms do not verify, and do not cause a refusal.
#[test]
fn only_secure_digests_count() {
    let insecure = "md5=:Sd/dVLAcvNLSq16eXua5uQ==:, sha=:07CavjDP4u3/TungoUHJO/Wzr4c=:, unixsum=:GQU=:, \
                    unixcksum=:7zsHAA==:, adler=:OZkGFw==:, crc32c=:Q3lHIA==:, sha-1024=::";
    let body = b"{\"hello\": \"world\"}";
    let read = parse(&[insecure]).unwrap();
    assert_eq!(read.algorithms().count(), 0);
    assert_eq!(read.others().count(), 7);
    assert_eq!(read.verify(body).unwrap_err().code(), "digest.insecure");
    assert_eq!(read.hashing().unwrap_err().code(), "digest.insecure");
    // A wrong digest of another algorithm is ignored next to a correct `sha-256`.
    let with = parse(&[insecure, SHA256]).unwrap();
    let matched = with.verify(WORLD).unwrap();
    let compared: Vec<_> = matched.algorithms().collect();
    assert_eq!(compared, [Algorithm::Sha256]);
    assert_eq!(matched.get(Algorithm::Sha256), with.get(Algorithm::Sha256));
    assert_eq!(matched.get(Algorithm::Sha512), None);
}

/// HMS-10, SIG-05: every `sha-256` and `sha-512` digest is checked, over every byte.
#[test]
fn every_secure_digest_has_to_match() {
    let both = parse(&[SHA256, SHA512]).unwrap().verify(WORLD).unwrap();
    assert_eq!(both.algorithms().collect::<Vec<_>>(), Algorithm::ALL);
    for (lines, wrong) in [
        ([SHA256, &*zeros("sha-512", 64)], Algorithm::Sha512),
        ([&*zeros("sha-256", 32), SHA512], Algorithm::Sha256),
    ] {
        match parse(&lines).unwrap().verify(WORLD).unwrap_err() {
            Error::DigestMismatch { algorithm } => assert_eq!(algorithm, wrong),
            other => panic!("{other}"),
        }
    }
    for digest in [parse(&[SHA256]).unwrap(), parse(&[SHA512]).unwrap()] {
        digest.verify(WORLD).unwrap();
        let mut changed = WORLD.to_vec();
        changed[3] ^= 1;
        let longer = [WORLD, b"\n"].concat();
        for bad in [&*changed, &longer, &WORLD[1..], &WORLD[..18], b""] {
            let error = digest.verify(bad).unwrap_err();
            assert_eq!(error.code(), "digest.mismatch");
        }
    }
}

/// T-061: the digest is over the sent bytes, not over the decoded content.
#[test]
fn the_digest_is_over_the_content_as_sent() {
    let sent = unhex("0B09807B2268656C6C6F223A2022776F726C64227D0A03");
    let digest = ContentDigest::of(&sent);
    digest.verify(&sent).unwrap();
    let decoded = digest.verify(WORLD).unwrap_err();
    assert_eq!(decoded.code(), "digest.mismatch");
}

#[test]
fn no_body_has_a_digest_too() {
    let line = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let digest = parse(&[line]).unwrap();
    assert_eq!(digest, ContentDigest::of(b""));
    assert_eq!(digest.verify(b"").unwrap().length(), 0);
    assert_eq!(digest.verify(b"\n").unwrap_err().code(), "digest.mismatch");
}

#[test]
fn a_digest_is_made() {
    assert_eq!(ContentDigest::of(WORLD).to_string(), SHA256);
    let both = ContentDigest::with(&[Algorithm::Sha512, Algorithm::Sha256], WORLD);
    assert_eq!(both.to_string(), format!("{SHA256}, {SHA512}"));
    assert_eq!(ReprDigest::with(&[], WORLD).to_string(), SHA256);
    let mut hasher = Hasher::new([Algorithm::Sha512]);
    WORLD.chunks(5).for_each(|piece| hasher.update(piece));
    assert_eq!(hasher.length(), 19);
    assert_eq!(format!("{hasher:?}"), "Hasher { length: 19, .. }");
    assert_eq!(hasher.clone().content_digest().to_string(), SHA512);
    assert_eq!(hasher.repr_digest().to_string(), SHA512);
}

#[test]
fn a_field_is_found_in_messages() {
    let response = http::Response::builder()
        .header("content-digest", SHA256)
        .header("Content-Digest", SHA512)
        .header("repr-digest", SHA512)
        .body(())
        .unwrap();
    let (parts, ()) = response.into_parts();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("content-digest", SHA512.parse().unwrap());
    let message = HttpResponse::new(&parts).with_trailers(&trailers);
    let read = ContentDigest::from_message(&message, Section::Headers).unwrap();
    assert_eq!(read, ContentDigest::from_headers(&parts.headers).unwrap());
    assert_eq!(read.algorithms().collect::<Vec<_>>(), Algorithm::ALL);
    let read = ContentDigest::from_message(&message, Section::Trailers).unwrap();
    assert_eq!(read.to_string(), SHA512);
    let absent = ReprDigest::from_message(&message, Section::Trailers).unwrap_err();
    assert_eq!(absent.code(), "digest.missing");
    let read = ReprDigest::from_headers(&parts.headers).unwrap();
    assert_eq!(read.to_string(), SHA512);
}
