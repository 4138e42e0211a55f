//! The pauses after a failure, and the intervals between refreshes.

use std::time::Duration;

use crate::support::{Act, Script, code, good, key, over, refresh_code, secs};
use aims_fetch::Error;
use tokio::time::advance;

/// T-084, F-19: answers that are not documents. Each differs from a valid answer in one thing.
#[tokio::test(start_paused = true)]
async fn nonsense_is_a_failure() {
    let html = Act::Answer(200, vec![("content-type", "text/html")], "{}");
    for (act, expected) in [
        (good("max-age=60"), "ok"),
        (html, "fetch.content_type"),
        (Act::Answer(500, vec![], "{}"), "fetch.status"),
        (Act::Answer(206, vec![], "{}"), "fetch.status"),
        (Act::Answer(200, vec![], "{\"keys\":[]}"), "fetch.rejected"),
        (
            Act::Answer(200, vec![], "{\"much too long\":1}"),
            "fetch.body_too_long",
        ),
        (Act::Break, "fetch.resolve"),
        (Act::Hang, "fetch.timeout"),
        (Act::Panic, "fetch.interrupted"),
    ] {
        let script = Script::new(&[act]);
        let documents = over(&script)
            .max_document(16)
            .check(|key, body| key.purpose() == "jwks" && body != b"{\"keys\":[]}")
            .build();
        assert_eq!(code(&documents, &key()).await, expected);
        if expected != "ok" {
            assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
        }
        assert_eq!(script.count(), 1);
    }
}

/// T-085: the pause doubles up to its maximum, is at least half of it, and ends with the first
/// success.
#[tokio::test(start_paused = true)]
async fn pauses_double_and_end() {
    let mut acts = vec![Act::Break; 5];
    acts.extend([good("max-age=60"), Act::Break]);
    let script = Script::new(&acts);
    let documents = over(&script).pauses(secs(10), secs(40)).build();
    let pause = async || match documents.get(&key()).await.unwrap_err() {
        Error::BackingOff { retry_in, cause } => {
            assert_eq!(cause.code(), "fetch.resolve");
            retry_in
        }
        other => panic!("{other}"),
    };
    for (count, most) in [(1, 10), (2, 20), (3, 40), (4, 40), (5, 40)] {
        assert_eq!(code(&documents, &key()).await, "fetch.resolve");
        assert_eq!(script.count(), count);
        let left = pause().await;
        assert!(left >= secs(most) / 2 && left <= secs(most), "{left:?}");
        advance(left - Duration::from_millis(1)).await;
        assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
        advance(Duration::from_millis(1)).await;
    }
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.resolve");
    assert!(pause().await <= secs(10));
}

/// Not all instances try again at the same time.
#[tokio::test(start_paused = true)]
async fn pauses_have_jitter() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..32 {
        let documents = over(&Script::new(&[Act::Break])).build();
        documents.get(&key()).await.unwrap_err();
        if let Error::BackingOff { retry_in, .. } = documents.get(&key()).await.unwrap_err() {
            seen.insert(retry_in);
        }
    }
    assert!(seen.len() > 4, "{seen:?}");
}

/// T-085: a thousand invented key names cause one fetch per interval, whatever the server does, and
/// the known document stays.
#[tokio::test(start_paused = true)]
async fn refreshes_are_rate_limited() {
    for act in [
        good("max-age=600"),
        Act::Answer(200, vec![], "{\"keys\":[]}"),
        Act::Answer(500, vec![], ""),
        Act::Hang,
        Act::Panic,
    ] {
        let script = Script::new(&[good("max-age=86400"), act]);
        let documents = over(&script)
            .refresh_interval(secs(30))
            .timeout(secs(20))
            .check(|_, body| body != b"{\"keys\":[]}")
            .build();
        documents.get(&key()).await.unwrap();
        for _ in 0..1000 {
            assert_eq!(refresh_code(&documents, &key()).await, "ok");
        }
        assert_eq!(script.count(), 1);
        advance(secs(30)).await;
        let crowd: Vec<_> = (0..1000)
            .map(|_| {
                let documents = documents.clone();
                tokio::spawn(async move { documents.refresh(&key()).await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        // During the fetch and after its failure, the known document is returned at once.
        let at = tokio::time::Instant::now();
        assert_eq!(code(&documents, &key()).await, "ok");
        assert_eq!(at.elapsed(), Duration::ZERO);
        for one in crowd {
            one.await.unwrap();
        }
        assert_eq!(script.count(), 2);
        assert_eq!(refresh_code(&documents, &key()).await, "ok");
        assert_eq!(code(&documents, &key()).await, "ok");
        assert_eq!(script.count(), 2);
    }
}

/// T-085a: a caller that asks too early for a new key delays it by one interval at most: the next
/// successful refresh has the key, and from then on all callers have it.
#[tokio::test(start_paused = true)]
async fn a_key_that_was_asked_for_early_comes() {
    const OLD: &str = "{\"keys\":[1]}";
    const NEW: &str = "{\"keys\":[1,2]}";
    let day = || vec![("cache-control", "max-age=86400")];
    let script = Script::new(&[
        Act::Answer(200, day(), OLD),
        Act::Answer(200, day(), OLD),
        Act::Answer(200, day(), NEW),
    ]);
    let documents = over(&script).refresh_interval(secs(30)).build();
    let body = async |refreshed: bool| {
        let document = match refreshed {
            true => documents.refresh(&key()).await,
            false => documents.get(&key()).await,
        };
        String::from_utf8(document.unwrap().bytes().to_vec()).unwrap()
    };
    assert_eq!(body(false).await, OLD);
    advance(secs(30)).await;
    assert_eq!(body(true).await, OLD, "it is asked for early");
    advance(secs(29)).await;
    for _ in 0..100 {
        assert_eq!(body(true).await, OLD);
    }
    // Repeated requests do not delay it further.
    advance(secs(1)).await;
    assert_eq!(body(true).await, NEW);
    assert_eq!(
        (body(true).await, body(false).await),
        (NEW.into(), NEW.into())
    );
    assert_eq!(script.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_too_soon_without_a_document() {
    let script = Script::new(&[Act::Break]);
    let documents = over(&script).pauses(secs(1), secs(1)).build();
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.resolve");
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.backing_off");
    advance(secs(1)).await;
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.too_soon");
    assert_eq!(script.count(), 1);
    advance(secs(29)).await;
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.resolve");
    assert_eq!(script.count(), 2);
}
