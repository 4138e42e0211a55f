//! Tokens in a store that are bound to a DPoP key.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_jose::provider::AWS_LC;
use aims_oauth_client::{DpopKey, MemoryStore, TokenSource, TokenStore};
use common::{Paused, Script, ask, client, json_answer, server_with};
use serde_json::json;
use tokio::time::Instant;

/// DPOP-04: a stored token is given to sources with its own key alone.
#[tokio::test(start_paused = true)]
async fn a_stored_token_belongs_to_its_key() {
    let script = Script::new(|request, number| {
        let bound = request.headers().contains_key("dpop");
        let body = json!({"access_token": format!("t{number}"), "expires_in": 300,
            "token_type": if bound { "DPoP" } else { "Bearer" }});
        json_answer(200, &body)
    });
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let source = |key: Option<&DpopKey>| {
        let source = TokenSource::new(server_with(&json!({})), client(), script.clone());
        let source = source.with_clock(Paused(Instant::now()));
        let source = source.with_store(Arc::clone(&store));
        match key {
            Some(key) => source.with_dpop(key.clone()),
            None => source,
        }
    };
    let keys = [(), ()].map(|()| DpopKey::generate(AWS_LC).unwrap());
    let [one, two] = &keys;
    for (key, requests) in [
        (Some(one), 1),
        (Some(one), 1),
        (Some(two), 2),
        (None, 3),
        (Some(one), 3),
        (None, 3),
    ] {
        ask(&source(key)).await.unwrap();
        assert_eq!(script.requests().len(), requests);
    }
}
