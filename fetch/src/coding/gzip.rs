//! Decodes the gzip format (RFC 1952), within a limit.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::Error;

/// Decodes all members (RFC 1952 §2.2). It never holds much more than `limit` bytes.
pub(super) fn decode(coded: &[u8], limit: usize, plain: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = coded;
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    let mut chunk = vec![0; CHUNK];
    for _ in 0..MAX_MEMBERS {
        if rest.is_empty() {
            return Ok(());
        }
        let data = after_header(rest).ok_or_else(malformed)?;
        let begin = plain.len();
        state.reset(DataFormat::Raw);
        let trailer = inflate_member(&mut state, data, &mut chunk, plain, limit)?;
        let member = plain.get(begin..).unwrap_or_default();
        rest = after_trailer(trailer, member).ok_or_else(malformed)?;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(malformed())
    }
}

/// Decodes the data of one member and returns the rest.
fn inflate_member<'a>(
    state: &mut InflateState,
    mut data: &'a [u8],
    chunk: &mut [u8],
    plain: &mut Vec<u8>,
    limit: usize,
) -> Result<&'a [u8], Error> {
    loop {
        let step = inflate(state, data, chunk, MZFlush::None);
        data = data.get(step.bytes_consumed..).unwrap_or_default();
        let written = chunk.get(..step.bytes_written).unwrap_or_default();
        if plain.len().saturating_add(written.len()) > limit {
            plain.extend_from_slice(written);
            return Err(Error::BodyTooLong {
                limit,
                answer: None,
            });
        }
        plain.extend_from_slice(written);
        match step.status {
            Ok(MZStatus::StreamEnd) => return Ok(data),
            Ok(_) if step.bytes_written > 0 || step.bytes_consumed > 0 => {}
            // The output may continue, because the chunk was full.
            Err(MZError::Buf) if step.bytes_written > 0 => {}
            _ => return Err(malformed()),
        }
    }
}

/// Returns what follows the header (RFC 1952 §2.3). Its optional fields are skipped.
fn after_header(member: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = member.split_at_checked(10)?;
    let [0x1f, 0x8b, 8, flags, ..] = *head else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_at_checked(2)?;
        let length = u16::from_le_bytes(length.try_into().ok()?);
        rest = after.get(usize::from(length)..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end..)?.get(1..)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

/// Returns what follows the trailer, or `None` if the trailer does not match the data.
fn after_trailer<'a>(rest: &'a [u8], plain: &[u8]) -> Option<&'a [u8]> {
    let (trailer, rest) = rest.split_at_checked(8)?;
    let (sum, length) = trailer.split_at_checked(4)?;
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    let length = u32::from_le_bytes(length.try_into().ok()?);
    // A body is always shorter than 4 GiB.
    let fits = usize::try_from(length).ok()? == plain.len() && sum == crc32(plain);
    fits.then_some(rest)
}

/// Computes the cyclic redundancy check of RFC 1952 §8.
fn crc32(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            let low = sum & 1;
            (sum >> 1) ^ (POLYNOMIAL * low)
        })
    });
    !sum
}

fn malformed() -> Error {
    Error::content_encoding("malformed gzip")
}

const POLYNOMIAL: u32 = 0xedb8_8320;

/// The number of bytes that are decoded at a time.
const CHUNK: usize = 16 * 1024;

/// The maximum number of members. Each needs a fixed amount of work, however short it is.
const MAX_MEMBERS: usize = 64;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn decode(coded: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        super::decode(coded, limit, &mut plain).map(|()| plain)
    }

    /// The output of `printf 'hello hello hello hello' | gzip -n`.
    pub(in super::super) const HELLO: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
        0x57, 0xc8, 0x40, 0x27, 0x01, 0xe3, 0x51, 0x3d, 0x8d, 0x17, 0x00, 0x00, 0x00,
    ];

    const PLAIN: &[u8] = b"hello hello hello hello";

    /// Returns a member whose deflate data is one stored block (RFC 1951 §3.2.4).
    fn stored(flags: u8, optional: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut member = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        member.extend_from_slice(optional);
        let length = u16::try_from(plain.len()).unwrap();
        member.push(1);
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(plain);
        member.extend_from_slice(&crc32(plain).to_le_bytes());
        member.extend_from_slice(&u32::from(length).to_le_bytes());
        member
    }

    fn code(coded: &[u8], limit: usize) -> &'static str {
        decode(coded, limit).map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn what_gzip_writes_is_read() {
        assert_eq!(decode(HELLO, PLAIN.len()).unwrap(), PLAIN);
        assert_eq!(decode(&stored(0, b"", b"{}"), 2).unwrap(), b"{}");
        assert_eq!(decode(&stored(0, b"", b""), 0).unwrap(), b"");
        let optional = b"\x02\x00xyname\0comment\0\0\0";
        let all = EXTRA | NAME | COMMENT | HEADER_CRC;
        assert_eq!(decode(&stored(all, optional, b"{}"), 2).unwrap(), b"{}");
        // Members follow each other (RFC 1952 §2.2).
        let two = [HELLO, &stored(0, b"", b"!")].concat();
        assert_eq!(decode(&two, 64).unwrap(), [PLAIN, b"!"].concat());
    }

    #[test]
    fn what_is_not_gzip_is_refused() {
        let not = "fetch.content_encoding";
        for end in 1..HELLO.len() {
            assert_eq!(code(&HELLO[..end], 64), not, "{end}");
        }
        // Each bit of the trailer and of the fixed fields matters.
        let counted = (0..4).chain(HELLO.len() - 8..HELLO.len());
        for at in counted {
            for bit in 0..8 {
                let mut wrong = HELLO.to_vec();
                wrong[at] ^= 1 << bit;
                // The flag for text does not announce a field.
                let expected = if (at, bit) == (3, 0) { "ok" } else { not };
                assert_eq!(code(&wrong, 1 << 20), expected, "{at} {bit}");
            }
        }
        let trailing = [HELLO, b"{}"].concat();
        assert_eq!(code(&trailing, 64), not);
        assert_eq!(code(b"{\"keys\":[]}", 64), not);
    }

    /// A few bytes that expand to many use no more memory than the limit.
    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        assert_eq!(code(HELLO, PLAIN.len() - 1), "fetch.body_too_long");
        let zeros = miniz_oxide::deflate::compress_to_vec(&vec![0; 64 << 20], 9);
        let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        bomb.extend_from_slice(&zeros);
        bomb.extend_from_slice(&[0; 8]);
        assert!(bomb.len() < 100_000);
        assert_eq!(code(&bomb, 256 * 1024), "fetch.body_too_long");
        // Many small members do not either.
        let many = stored(0, b"", &[0; 16 * 1024]).repeat(17);
        assert_eq!(code(&many, 256 * 1024), "fetch.body_too_long");
        let empty = stored(0, b"", b"");
        assert_eq!(code(&empty.repeat(MAX_MEMBERS), 0), "ok");
        let more = empty.repeat(MAX_MEMBERS + 1);
        assert_eq!(code(&more, 0), "fetch.content_encoding");
    }

    fn compressed(plain: &[u8], level: u8) -> Vec<u8> {
        let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        member.extend_from_slice(&miniz_oxide::deflate::compress_to_vec(plain, level));
        member.extend_from_slice(&crc32(plain).to_le_bytes());
        member.extend_from_slice(&u32::try_from(plain.len()).unwrap().to_le_bytes());
        member
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// Compressed data is decoded if the limit is its length, and refused below.
        #[test]
        fn what_was_compressed_is_read(
            plain in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..3_000),
            repeated in 1_usize..4,
            level in 0_u8..10,
        ) {
            let plain = plain.repeat(repeated);
            let coded = compressed(&plain, level);
            proptest::prop_assert_eq!(&decode(&coded, plain.len()).unwrap(), &plain);
            proptest::prop_assert_eq!(code(&coded, plain.len() - 1), "fetch.body_too_long");
        }

        /// Every input has one of three outcomes, and none is longer than the limit.
        #[test]
        fn whatever_arrives_is_bounded(
            mut coded in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000),
            begins in 0_usize..11,
            limit in 0_usize..5_000,
        ) {
            let good = compressed(b"{}", 6);
            coded.splice(0..0, good[..begins].iter().copied());
            match decode(&coded, limit) {
                Ok(plain) => proptest::prop_assert!(plain.len() <= limit),
                Err(error) => proptest::prop_assert!(matches!(
                    error.code(),
                    "fetch.body_too_long" | "fetch.content_encoding"
                )),
            }
        }
    }
}
