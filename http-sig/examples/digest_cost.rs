//! What it costs to compare a body of 64 MiB while it is read, beside SHA-256 alone: `cargo run --release -p aims-http-sig --features body --example digest_cost`.

#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_sig::digest::{ContentDigest, Hasher, VerifiedBody};
use sha2::{Digest as _, Sha256};

const PIECE: usize = 16 * 1024;
const PIECES: usize = 4096;

/// The same piece again and again.
struct Pieces {
    piece: Bytes,
    left: usize,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

/// The shortest of five runs.
fn shortest(mut run: impl FnMut()) -> Duration {
    let times = (0..5).map(|_| {
        let begin = Instant::now();
        run();
        begin.elapsed()
    });
    times.min().unwrap_or_default()
}

fn main() -> Result<(), http_sig::Error> {
    let piece = Bytes::from(vec![7; PIECE]);
    let mut hasher = Hasher::new([]);
    (0..PIECES).for_each(|_| hasher.update(&piece));
    let digest: ContentDigest = hasher.content_digest();

    let alone = shortest(|| {
        let mut hash = Sha256::new();
        (0..PIECES).for_each(|_| hash.update(&piece));
        std::hint::black_box(hash.finalize());
    });
    let mut failed = None;
    let body = shortest(|| {
        let pieces = Pieces {
            piece: piece.clone(),
            left: PIECES,
        };
        failed = read(pieces, &digest).err();
    });
    failed.map_or(Ok(()), Err)?;
    let ratio = body.as_secs_f64() / alone.as_secs_f64();
    println!("SHA-256 alone {alone:?}, a body compared {body:?}: {ratio:.3}");
    Ok(())
}

/// Reads the body to its end.
fn read(pieces: Pieces, digest: &ContentDigest) -> Result<(), http_sig::Error> {
    let mut body = pin!(VerifiedBody::new(pieces, digest, u64::MAX)?);
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        match frame {
            Ok(frame) => drop(std::hint::black_box(frame)),
            Err(http_sig::digest::BodyError::Digest(error)) => return Err(error),
            Err(_) => break,
        }
    }
    Ok(())
}
