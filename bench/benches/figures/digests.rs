//! A body that is compared with its digest while it is read.

use std::convert::Infallible;
use std::error::Error;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use aims::http_sig::digest::{ContentDigest, VerifiedBody};
use aims_bench::sampler::{Case, Samples};
use bytes::Bytes;
use http_body::{Body, Frame};
use sha2::{Digest as _, Sha256};

use super::{Effort, Figure};

/// Size of the pieces of a body, as a server receives them.
const PIECE: usize = 16 * 1024;

/// A body with this number of equal pieces.
struct Pieces(Bytes, usize);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.1.checked_sub(1);
        Poll::Ready(left.map(|left| {
            self.1 = left;
            Ok(Frame::data(self.0.clone()))
        }))
    }
}

fn read(body: impl Body<Data = Bytes>) -> usize {
    let mut body = pin!(body);
    let mut read = 0;
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        let Ok(frame) = frame else { return 0 };
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    read
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let pieces = effort.body / PIECE;
    let piece = Bytes::from(vec![7_u8; PIECE]);
    let digest = ContentDigest::of(&vec![7_u8; pieces * PIECE]);
    let limit = u64::try_from(effort.body)?;
    let verified = || VerifiedBody::new(Pieces(piece.clone(), pieces), &digest, limit);
    assert_eq!(read(verified()?), effort.body);

    let memory = allocation_counter::measure(|| {
        black_box(read(verified().expect("a digest that counts")));
    });
    let mut cases: Vec<Case<'_>> = vec![
        Box::new(|_| {
            let start = Instant::now();
            let mut hash = Sha256::new();
            (0..pieces).for_each(|_| hash.update(black_box(&piece)));
            black_box(hash.finalize());
            start.elapsed()
        }),
        Box::new(|_| {
            let start = Instant::now();
            black_box(read(verified().expect("a digest that counts")));
            start.elapsed()
        }),
    ];
    let samples = Samples::take(&mut cases, effort.rounds.div_ceil(5), 1);
    let ratio = samples.median(|costs| Some(costs.get(1)? / costs.first()?));
    Ok(vec![
        Figure::new("body of 64 MiB: SHA-256 alone", samples.cost(0)),
        Figure::new("body of 64 MiB: compared while it is read", samples.cost(1))
            .to("SHA-256 alone", ratio)
            .at_most(1.1),
        Figure::of(
            "memory that it takes at most",
            format!("{} B", memory.bytes_max),
        ),
    ])
}
