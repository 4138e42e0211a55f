//! Digest fields, and their content.

use aims_http_sig::Error;
use aims_http_sig::digest::{ContentDigest, ReprDigest, Wanted};

use crate::{Outcome, refused};

/// Parses the lines of a field, an empty line, and content. Accepted if the content matches the
/// digests. The lines are also parsed as preferences.
pub fn digest_field(data: &[u8]) -> Outcome {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, content) = data.split_at(end.unwrap_or(data.len()));
    let content = content.get(2..).unwrap_or_default();
    let lines = || head.split(|b| *b == b'\n');
    check_wanted(lines());

    let read = match ContentDigest::parse(lines()) {
        Ok(read) => read,
        Err(error) => {
            let other = ReprDigest::parse(lines()).map_err(|error| error.code());
            assert_eq!(other, Err(error.code()), "the two fields differ");
            return refused(error.code(), &[Error::CODES]);
        }
    };
    let text = read.to_string();
    assert!(ContentDigest::parse([text.as_bytes()]).is_ok_and(|again| again == read));
    assert!(ReprDigest::parse(lines()).is_ok_and(|other| other.to_string() == text));
    assert!(read.others().all(|name| !name.starts_with("sha-256=")));

    let whole = read.verify(content);
    if let Ok(mut hashing) = read.hashing() {
        content.chunks(7).for_each(|piece| hashing.update(piece));
        match (hashing.finish(), &whole) {
            (Ok(pieces), Ok(whole)) => assert_eq!(&pieces, whole),
            (Err(_), Err(_)) => (),
            _ => unreachable!("pieces and the whole differ"),
        }
    }
    match whole {
        Ok(matched) => {
            assert_eq!(usize::try_from(matched.length()), Ok(content.len()));
            assert!(matched.algorithms().count() > 0);
            assert!(read.verify(&[content, b"\n"].concat()).is_err());
            for algorithm in matched.algorithms() {
                let own = ContentDigest::with(&[algorithm], content);
                assert_eq!(own.get(algorithm), read.get(algorithm));
            }
            Outcome::Accepted
        }
        Err(error) => refused(error.code(), &[Error::CODES]),
    }
}

/// Parsed preferences are written so that they parse to the same, and the best one is acceptable to
/// the peer.
fn check_wanted<'a>(lines: impl Iterator<Item = &'a [u8]>) {
    let wanted = match Wanted::parse(lines) {
        Ok(wanted) => wanted,
        Err(error) => {
            refused(error.code(), &[Error::CODES]);
            return;
        }
    };
    let text = wanted.to_string();
    assert!(Wanted::parse([text.as_bytes()]).is_ok_and(|again| again == wanted));
    if let Some(best) = wanted.best() {
        let weight = wanted.weight(best.name());
        let other = |name| wanted.weight(name) <= weight;
        assert!(weight > Some(0) && other("sha-256") && other("sha-512"));
    }
}
