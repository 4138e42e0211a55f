//! The caching of a response.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aims_fetch::{DocumentKey, Documents, Error, Fetch, FetchFuture};
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, EXPIRES};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tokio::time;

use crate::head::{append_line, lines, whole};
use crate::{Outcome, refused};

/// Stores a response: a status line, fields, an empty line and the body; or the fields of a JSON
/// document only, one per line. Accepted if it is fresh for longer than the default, and may be
/// used for longer still.
pub fn freshness(data: &[u8]) -> Outcome {
    let answer = whole(data).unwrap_or_else(|| {
        let mut answer = Response::new(b"{}".to_vec());
        lines(data).for_each(|line| append_line(answer.headers_mut(), line));
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        answer
    });
    let kept = match keep(&answer) {
        Ok(kept) => kept,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    assert!((LEAST..=MOST).contains(&kept.lifetime));
    check(&answer, kept);
    match kept {
        Kept { strict: true, .. } => Outcome::Refused("strict"),
        Kept { lifetime, .. } if lifetime == LEAST => Outcome::Refused("stale"),
        _ => Outcome::Accepted,
    }
}

const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Kept {
    lifetime: Duration,
    /// Whether the response must not be used once it is older.
    strict: bool,
}

/// Returns one response, then none.
#[derive(Debug)]
struct Once {
    answer: Response<Vec<u8>>,
    given: AtomicBool,
}

impl Fetch for Once {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        let mut answer = self.answer.clone();
        if self.given.swap(true, Ordering::Relaxed) {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Stores a response with a clock that stands still.
#[expect(clippy::expect_used, reason = "neither needs anything of the system")]
fn keep(answer: &Response<Vec<u8>>) -> Result<Kept, Error> {
    static KEY: LazyLock<DocumentKey> = LazyLock::new(|| {
        let url = "https://as.example/jwks";
        DocumentKey::new("jwks", "https://as.example", url).expect("a constant")
    });
    let runtime: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let once = Once {
        answer: answer.clone(),
        given: AtomicBool::new(false),
    };
    runtime.block_on(async {
        let documents = Documents::builder(Arc::new(once))
            .serve_stale(Duration::from_secs(3600))
            .build();
        let document = documents.get(&KEY).await?;
        assert_eq!(document.bytes(), answer.body());
        let lifetime = document.fresh_until() - document.fetched();
        time::advance(lifetime - Duration::from_millis(1)).await;
        assert!(documents.get(&KEY).await.is_ok_and(|it| !it.is_stale()));
        time::advance(Duration::from_millis(2)).await;
        let strict = match documents.get(&KEY).await {
            Ok(stale) => {
                assert!(stale.is_stale() && stale.is_same(&document));
                false
            }
            Err(_not_given) => true,
        };
        Ok(Kept { lifetime, strict })
    })
}

/// Further directives only shorten the time, and their spelling does not matter.
fn check(answer: &Response<Vec<u8>>, kept: Kept) {
    let with = |change: &dyn Fn(&mut HeaderMap)| {
        let mut other = answer.clone();
        change(other.headers_mut());
        match keep(&other) {
            Ok(kept) => kept,
            Err(error) => unreachable!("{error}"),
        }
    };
    let stale = |strict| Kept {
        lifetime: LEAST,
        strict,
    };
    let say = |directive: &'static str| {
        move |headers: &mut HeaderMap| {
            drop(headers.try_append(CACHE_CONTROL, HeaderValue::from_static(directive)));
        }
    };
    assert_eq!(with(&say("No-Store")), stale(true));
    assert_eq!(with(&say("max-age=0")), stale(kept.strict));
    let strict = with(&say("must-revalidate"));
    assert_eq!((strict.lifetime, strict.strict), (kept.lifetime, true));
    let aged = with(&|headers| {
        drop(headers.insert(AGE, HeaderValue::from_static("99999999999999999999999999")))
    });
    assert_eq!(aged, stale(kept.strict));

    let rewritten = with(&|headers| {
        let mut other = HeaderMap::new();
        for name in [AGE, DATE, EXPIRES, CONTENT_TYPE] {
            // The first value counts; the type occurs once.
            if let Some(value) = headers.get(&name) {
                other.insert(name, value.clone());
            }
        }
        let values: Vec<_> = headers.get_all(CACHE_CONTROL).iter().rev().collect();
        for value in values {
            let upper = HeaderValue::from_bytes(&value.as_bytes().to_ascii_uppercase());
            other.extend(upper.ok().map(|value| (CACHE_CONTROL, value)));
        }
        *headers = other;
    });
    assert_eq!(rewritten, kept);
}
