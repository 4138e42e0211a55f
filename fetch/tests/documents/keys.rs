//! Cache keys of documents, and the maximum number of documents.

use crate::support::{Act, Script, code, good, key, key_of, over};
use aims_fetch::DocumentKey;

/// T-089: a key accepts no secret in a URL, and no text that is not a URL.
#[test]
fn urls_of_documents() {
    let long = format!("https://as.example/{}", "a".repeat(2048));
    for url in [
        "",
        "/jwks",
        "data:,x",
        "https://u:p@as.example/",
        "https://u@as.example/",
        "https://as.example/#x",
        "https:///",
        &long,
    ] {
        let error = DocumentKey::new("jwks", "x", url).unwrap_err();
        assert_eq!(error.code(), "fetch.url", "{url}");
        assert!(!error.to_string().contains("as.example"));
    }
}

/// T-091: one URL with two owners or two purposes: nothing is shared.
#[tokio::test(start_paused = true)]
async fn owners_and_purposes_stay_apart() {
    let url = "https://as.example/jwks";
    let script = Script::new(&[good("max-age=600")]);
    let documents = over(&script).build();
    for (purpose, owner) in [
        ("jwks", "https://as.example"),
        ("jwks", "https://other.example"),
        ("metadata", "https://as.example"),
    ] {
        let key = DocumentKey::new(purpose, owner, url).unwrap();
        assert_eq!(
            (key.purpose(), key.owner(), key.url()),
            (purpose, owner, url)
        );
        documents.get(&key).await.unwrap();
        documents.get(&key).await.unwrap();
    }
    assert_eq!(script.count(), 3);
}

/// F-18: the number is limited. Entries without a document are removed first, running fetches
/// never.
#[tokio::test(start_paused = true)]
async fn the_room_is_bounded() {
    let script = Script::new(&[good("max-age=600"), Act::Break]);
    let documents = over(&script).capacity(3).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    for at in 0..1000 {
        let url = format!("https://as.example/{at}");
        assert_eq!(code(&documents, &key_of(&url)).await, "fetch.resolve");
    }
    assert_eq!(documents.len(), 3);
    assert_eq!(code(&documents, &key()).await, "ok");
    assert_eq!(script.count(), 1001);

    let script = Script::new(&[Act::Hang]);
    let documents = over(&script).capacity(1).flights(1).build();
    let busy = tokio::spawn({
        let documents = documents.clone();
        async move { code(&documents, &key()).await }
    });
    tokio::task::yield_now().await;
    let other = key_of("https://as.example/other");
    assert_eq!(code(&documents, &other).await, "fetch.busy");
    assert_eq!(busy.await.unwrap(), "fetch.timeout");
    assert_eq!(code(&documents, &other).await, "fetch.timeout");
}
