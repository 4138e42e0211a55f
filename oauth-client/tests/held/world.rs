//! A source with a store, a store that fails, and a server that takes its time.

use std::sync::{Arc, Mutex};

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::secret::SecretText;
use aims_oauth_client::{
    Error, MemoryStore, StoreFuture, StoreKey, StoredValue, Target, TokenSource, TokenStore,
    UserGrant,
};
use aims_oauth_wire::token::Form;
use http::Request;
use serde_json::json;
use tokio::time::Instant;

use crate::common::suite::{TOOL, granted};
use crate::common::{LATEST, Paused, Script, client, json_answer, server_with};

/// A store whose writes fail as often as the test says, before or after they were done.
#[derive(Clone, Debug)]
pub(crate) struct Faulty(Arc<(MemoryStore, Mutex<(usize, bool)>)>);

impl Faulty {
    pub(crate) fn new() -> Self {
        Self(Arc::new((MemoryStore::new(), Mutex::default())))
    }

    pub(crate) fn fail(&self, times: usize, is_done: bool) {
        *self.0.1.lock().unwrap() = (times, is_done);
    }
}

impl TokenStore for Faulty {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        self.0.0.load(key)
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        Box::pin(async move {
            let has_token = value
                .as_ref()
                .is_some_and(|it| it.text().expose().contains("\"lease\":null"));
            let (fails, is_done) = {
                let mut failing = self.0.1.lock().unwrap();
                let fails = has_token && failing.0 > 0;
                failing.0 -= usize::from(fails);
                (fails, failing.1)
            };
            if fails && !is_done {
                return Err(failed());
            }
            let swapped = self.0.0.swap(key, version, value).await;
            if fails { Err(failed()) } else { swapped }
        })
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        self.0.0.keys(group)
    }
}

pub(crate) fn failed() -> Error {
    Error::Store(Arc::new(std::io::Error::other("the disk is full")))
}

pub(crate) const REVOCATION: &str = "https://as.example/revoke";

pub(crate) fn source(
    http: impl Fetch + 'static,
    store: &Arc<dyn TokenStore>,
    start: Instant,
) -> TokenSource {
    let server = server_with(&json!({ "revocation_endpoint": REVOCATION }));
    TokenSource::new(server, client(), http)
        .with_clock(Paused(start))
        .with_random(&LATEST)
        .with_store(Arc::clone(store))
}

pub(crate) fn target() -> Target {
    Target::new(TOOL.parse().unwrap(), "read".parse().unwrap()).with_subject("alice")
}

pub(crate) fn user() -> UserGrant {
    UserGrant::new(target())
}

pub(crate) async fn text(source: &TokenSource) -> Result<String, Error> {
    text_for(source, target()).await
}

pub(crate) async fn text_for(source: &TokenSource, target: Target) -> Result<String, Error> {
    let token = source.token(UserGrant::new(target)).await?;
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers)?;
    Ok(headers["authorization"].to_str().unwrap().to_owned())
}

pub(crate) fn memory() -> Arc<dyn TokenStore> {
    Arc::new(MemoryStore::new())
}

pub(crate) fn script() -> Script {
    Script::new(|request, number| match request.uri().path() {
        "/revoke" => json_answer(200, &json!({})),
        _ => granted(number),
    })
}

/// The tokens that the server was asked to revoke.
pub(crate) fn revoked(script: &Script) -> Vec<String> {
    let requests = script.requests();
    let revocations = requests.iter().filter(|it| it.uri().path() == "/revoke");
    let form = |it: &Request<Vec<u8>>| Form::parse(it.body()).unwrap();
    let mut all: Vec<_> = revocations
        .map(|it| form(it).get("token").unwrap().to_owned())
        .collect();
    all.sort();
    all
}

pub(crate) type Then =
    Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A server during whose answer to a refresh something else happens.
#[derive(Clone)]
pub(crate) struct Meanwhile(pub(crate) Script, pub(crate) Arc<Mutex<Option<Then>>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Fetch for Meanwhile {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            let form = Form::parse(request.body()).unwrap();
            let answer = self.0.send(request).await;
            if form.get("refresh_token").is_some() {
                let then = self.1.lock().unwrap().take();
                if let Some(then) = then {
                    then().await;
                }
            }
            answer
        })
    }
}
