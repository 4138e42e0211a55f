//! How long a document is returned, and how it is confirmed.

use crate::support::{Act, Script, code, good, key, over, refresh_code, secs};
use tokio::time::advance;

#[tokio::test(start_paused = true)]
async fn a_document_is_kept_while_fresh() {
    let script = Script::new(&[good("max-age=600")]);
    let documents = over(&script).build();
    let first = documents.get(&key()).await.unwrap();
    assert_eq!(first.bytes(), b"{\"good\":1}");
    assert!(!first.is_stale());
    assert_eq!(first.fresh_until() - first.fetched(), secs(600));
    advance(secs(599)).await;
    assert!(documents.get(&key()).await.unwrap().is_same(&first));
    assert_eq!(script.count(), 1);
    advance(secs(1)).await;
    assert!(!documents.get(&key()).await.unwrap().is_same(&first));
    assert_eq!(script.count(), 2);
}

/// T-088: neither "never" nor "for ever" is accepted as a lifetime.
#[tokio::test(start_paused = true)]
async fn the_bounds_hold() {
    for (control, lifetime) in [
        ("no-store", 60),
        ("max-age=0", 60),
        ("max-age=31536000", 24 * 3600),
    ] {
        let script = Script::new(&[good(control)]);
        let documents = over(&script).build();
        documents.get(&key()).await.unwrap();
        advance(secs(lifetime - 1)).await;
        documents.get(&key()).await.unwrap();
        assert_eq!(script.count(), 1, "{control}");
        advance(secs(1)).await;
        documents.get(&key()).await.unwrap();
        assert_eq!(script.count(), 2, "{control}");
    }
    let script = Script::new(&[good("max-age=31536000")]);
    let documents = over(&script).lifetime(secs(1), secs(2)).build();
    documents.get(&key()).await.unwrap();
    advance(secs(2)).await;
    documents.get(&key()).await.unwrap();
    assert_eq!(script.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_unchanged_is_not_sent_again() {
    let tagged = Act::Answer(
        200,
        vec![("cache-control", "max-age=100"), ("etag", "\"a\"")],
        "{}",
    );
    let unchanged = Act::Answer(304, vec![("cache-control", "max-age=200")], "");
    let changed = Act::Answer(200, vec![("etag", "\"b\"")], "{\"b\":1}");
    let script = Script::new(&[tagged, unchanged, changed.clone(), changed]);
    let documents = over(&script).build();
    let first = documents.get(&key()).await.unwrap();
    advance(secs(100)).await;
    let second = documents.get(&key()).await.unwrap();
    assert!(second.is_same(&first));
    assert_eq!(second.fresh_until() - second.fetched(), secs(200));
    advance(secs(200)).await;
    assert_eq!(documents.get(&key()).await.unwrap().bytes(), b"{\"b\":1}");
    advance(secs(300)).await;
    documents.get(&key()).await.unwrap();
    assert_eq!(script.asked_with(0), None);
    assert_eq!(script.asked_with(1).as_deref(), Some("\"a\""));
    assert_eq!(script.asked_with(2).as_deref(), Some("\"a\""));
    assert_eq!(script.asked_with(3).as_deref(), Some("\"b\""));
}

/// A server that answers 304 to a request without an entity tag.
#[tokio::test(start_paused = true)]
async fn unchanged_from_nothing_is_an_error() {
    let unchanged = Act::Answer(304, vec![], "");
    let script = Script::new(std::slice::from_ref(&unchanged));
    assert_eq!(code(&over(&script).build(), &key()).await, "fetch.status");
    let script = Script::new(&[good("max-age=60"), unchanged]);
    let documents = over(&script).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.status");
}

/// F-01: stale documents are returned only if that is allowed, and for a limited time.
#[tokio::test(start_paused = true)]
async fn stale_documents_are_given_by_name_alone() {
    let script = Script::new(&[good("max-age=60"), Act::Break]);
    let documents = over(&script).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.resolve");

    let script = Script::new(&[good("max-age=60"), Act::Break]);
    let documents = over(&script).serve_stale(secs(1000)).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    // The failure itself, and the pause after it.
    assert_eq!(code(&documents, &key()).await, "stale");
    assert_eq!(code(&documents, &key()).await, "stale");
    assert_eq!(script.count(), 2);
    advance(secs(999)).await;
    assert_eq!(code(&documents, &key()).await, "stale");
    advance(secs(1)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
}

/// If the server forbids it, no stale document is returned.
#[tokio::test(start_paused = true)]
async fn what_must_be_revalidated_is_not_given_stale() {
    for control in ["no-store", "no-cache", "max-age=60, must-revalidate"] {
        let script = Script::new(&[good(control), Act::Break]);
        let documents = over(&script).serve_stale(secs(1000)).build();
        assert_eq!(code(&documents, &key()).await, "ok");
        advance(secs(60)).await;
        assert_eq!(code(&documents, &key()).await, "fetch.resolve", "{control}");
    }
}

/// A caller that knows about a suspension causes a new fetch, without the minimum interval; pauses
/// after failures stay, and a newer document is unaffected.
#[tokio::test(start_paused = true)]
async fn what_is_expired_is_fetched_anew() {
    let script = Script::new(&[good("max-age=600"), good("max-age=600"), Act::Break]);
    let documents = over(&script).build();
    let first = documents.get(&key()).await.unwrap();
    assert_eq!(refresh_code(&documents, &key()).await, "ok");
    assert_eq!(script.count(), 1);
    documents.expire(&key(), &first);
    advance(secs(1)).await;
    let second = documents.get(&key()).await.unwrap();
    assert_eq!(script.count(), 2);
    // The first document is no longer the cached one.
    documents.expire(&key(), &first);
    assert!(!documents.get(&key()).await.unwrap().is_stale());
    assert_eq!(script.count(), 2);
    documents.expire(&key(), &second);
    assert_eq!(code(&documents, &key()).await, "fetch.resolve");
    for _ in 0..10 {
        documents.expire(&key(), &second);
        assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
        assert_eq!(refresh_code(&documents, &key()).await, "fetch.backing_off");
    }
    assert_eq!(script.count(), 3);
}
