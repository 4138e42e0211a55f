//! Keys of clients: given to the server, or published by the client at its `jwks_uri` (RFC 7591
//! §2).
//!
//! The handlers wait for nothing. [`Authority::client_keys`] names the key set that a request
//! needs; the router fetches it and stores it before it runs the handler.

#[cfg(feature = "server")]
use core::net::IpAddr;
use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_fetch::{Fetch, Limits};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::Unverified;
use aims_jose::time::UnixTime;
use aims_oauth_wire::assertion::PresentedAssertion;
use aims_oauth_wire::names::Endpoint;
use aims_oauth_wire::token::Form;
use http::header::ACCEPT;
use http::{Request, Response};

use super::documents::age;
use super::registration::RATE;
use super::resource::{ClientMatcher, Registry};
use super::{AuthorizationServer, authorize};
use crate::endpoint::{Methods, RefusalForm};
use crate::identity::add;
use crate::limit::Meter;
use crate::{Authority, Client, Error};

/// Maximum length of a key set in bytes, and of its URL.
const LONGEST: usize = 64 * 1_024;
const LONGEST_URL: usize = 512;
/// Maximum number of keys in a set.
const MOST_KEYS: usize = 32;
/// Maximum number of sets that are kept of clients that described themselves.
const MOST_SETS: usize = 1_024;
/// Maximum time to fetch one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a set is not fetched again for a key that is not in it, and after a failure, in
/// seconds.
const UNKNOWN_KEY_PAUSE: u64 = 60;
const FAILURE_PAUSE: u64 = 10;

/// The keys of a client.
#[derive(Clone, Debug)]
pub(crate) enum ClientKeys {
    Given(Arc<JwkSet>),
    /// The URL at which the client publishes them.
    At(String),
}

/// Returns whether a client may name this URL of its keys: `https`, in its usual spelling.
pub(super) fn is_key_url(url: &str) -> bool {
    url.parse::<Endpoint>().is_ok() && is_usual(url)
}

/// Returns whether the operator may name this URL of a client's keys: also `http` on loopback.
pub(super) fn is_operators_key_url(url: &str) -> bool {
    is_key_url(url) || Endpoint::loopback(url).is_ok() && is_usual(url)
}

fn is_usual(url: &str) -> bool {
    let usual = url.parse::<http::Uri>().map(|it| it.to_string());
    url.len() <= LONGEST_URL && usual.is_ok_and(|usual| usual == url)
}

impl Client {
    /// Creates a client that authenticates by a JWT, `private_key_jwt` (RFC 7523 §2.2), and
    /// publishes its keys at this URL (`jwks_uri`, RFC 7591 §2). Its tokens are bound to the key
    /// that it used.
    ///
    /// Needs [`Builder::client_keys`](crate::Builder::client_keys). The client changes its keys by
    /// publishing other ones.
    ///
    /// ```
    /// use aims_authority::Client;
    ///
    /// let batch = Client::with_keys_at("batch", "https://batch.example/jwks.json")
    ///     .allow("https://tools.example/mcp", ["tools:call"]);
    /// # drop(batch);
    /// ```
    #[must_use]
    pub fn with_keys_at(client_id: impl Into<String>, jwks_uri: impl Into<String>) -> Self {
        Self::new(ClientMatcher::Keys {
            client_id: client_id.into(),
            keys: ClientKeys::At(jwks_uri.into()),
        })
    }
}

/// The sets that clients publish, and the client that fetches them.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "the router fetches")
    )]
    fetch: Arc<dyn Fetch>,
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "the router fetches")
    )]
    meter: Meter,
    /// The URLs that the operator named. Their sets are kept beside the others, of which clients
    /// can name ever new ones.
    named: HashSet<String>,
    sets: Mutex<HashMap<String, Held>>,
    /// The URLs that are being fetched.
    #[cfg(feature = "server")]
    flights: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// One set, and the last attempt to fetch it.
#[derive(Debug)]
struct Held {
    /// The set, and its end.
    keys: Option<(Arc<JwkSet>, UnixTime)>,
    /// The last attempt to fetch it.
    tried: UnixTime,
}

impl Held {
    fn fresh(&self, now: UnixTime) -> Option<&Arc<JwkSet>> {
        let (keys, until) = self.keys.as_ref()?;
        (now < *until).then_some(keys)
    }
}

impl RemoteKeys {
    pub(crate) fn new(fetch: Arc<dyn Fetch>, registry: &Registry) -> Self {
        let url = |client: &Client| match &client.by {
            ClientMatcher::Keys {
                keys: ClientKeys::At(url),
                ..
            } => Some(url.clone()),
            _ => None,
        };
        Self {
            fetch,
            meter: Meter::new(RATE),
            named: registry.clients().filter_map(url).collect(),
            sets: Mutex::default(),
            #[cfg(feature = "server")]
            flights: Mutex::default(),
        }
    }

    fn sets(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, url: &str, now: UnixTime) -> Option<Arc<JwkSet>> {
        self.sets().get(url)?.fresh(now).cloned()
    }

    /// Returns whether the set must be fetched to verify these tokens.
    fn is_due(&self, url: &str, tokens: &[&str], now: UnixTime) -> bool {
        let sets = self.sets();
        let Some(held) = sets.get(url) else {
            return true;
        };
        let is_past = |pause: u64| {
            let (tried, now) = (held.tried.as_secs(), now.as_secs());
            now < tried || now.saturating_sub(tried) >= pause
        };
        match held.fresh(now) {
            Some(keys) => {
                tokens.iter().any(|token| lacks(keys, token)) && is_past(UNKNOWN_KEY_PAUSE)
            }
            None => is_past(FAILURE_PAUSE),
        }
    }

    /// Notes an attempt, so that the next one waits.
    fn note_attempt(&self, url: &str, now: UnixTime) {
        let mut sets = self.sets();
        let is_new = !sets.contains_key(url) && !self.named.contains(url);
        let others = || sets.iter().filter(|(url, _)| !self.named.contains(*url));
        if is_new && others().count() >= MOST_SETS {
            let oldest = others().min_by_key(|(_, held)| held.tried);
            let oldest = oldest.map(|(url, _)| url.clone());
            oldest.map(|url| sets.remove(&url));
        }
        let new = || Held {
            keys: None,
            tried: now,
        };
        sets.entry(url.to_owned()).or_insert_with(new).tried = now;
    }

    fn keep(&self, url: &str, keys: JwkSet, until: UnixTime) {
        if let Some(held) = self.sets().get_mut(url) {
            held.keys = Some((Arc::new(keys), until));
        }
    }
}

/// Returns whether no key of the set fits the header of a token.
fn lacks(keys: &JwkSet, token: &str) -> bool {
    Unverified::parse(token).is_ok_and(|token| {
        let header = token.header();
        keys.select(header.kid(), header.alg()).is_err()
    })
}

impl AuthorizationServer {
    /// Returns the keys of a client, as they are known now.
    pub(super) fn keys_of(
        &self,
        keys: &ClientKeys,
        now: UnixTime,
    ) -> Result<Arc<JwkSet>, &'static str> {
        match keys {
            ClientKeys::Given(keys) => Ok(Arc::clone(keys)),
            ClientKeys::At(url) => {
                let known = self.client_keys.as_ref().and_then(|it| it.find(url, now));
                known.ok_or("the keys of the client could not be fetched")
            }
        }
    }
}

impl Authority {
    /// Returns the key set that must be fetched and [stored](Self::store_client_keys) before
    /// [`handle`](Self::handle) can answer this request, as the request to send.
    ///
    /// It is the `jwks_uri` of a client whose JWT must be verified: its client assertion, or its
    /// signed request. A set is fetched again when it is old, or has no key for the JWT.
    ///
    /// [`router`](Self::router) does it by itself. Send the request without following redirects,
    /// and never to an address of a private network: the client chose the URL.
    #[must_use]
    pub fn client_keys(
        &self,
        request: &Request<Vec<u8>>,
        now: UnixTime,
    ) -> Option<Request<Vec<u8>>> {
        let server = self.oauth();
        let remote = server.client_keys.as_ref()?;
        let form = Form::parse(self.parameters(request)?).ok()?;
        let tokens = ["client_assertion", "request"].map(|name| form.get(name));
        let tokens: Vec<&str> = tokens.into_iter().flatten().collect();
        if tokens.is_empty() {
            return None;
        }
        let client_id = match PresentedAssertion::from_form(&form) {
            Ok(Some(presented)) => presented.unverified_client_id().as_str().to_owned(),
            _ => form.get("client_id")?.to_owned(),
        };
        let client = server.client(&client_id, now).ok()??;
        let ClientMatcher::Keys {
            keys: ClientKeys::At(url),
            ..
        } = &client.by
        else {
            return None;
        };
        if !remote.is_due(url, &tokens, now) {
            return None;
        }
        let mut wanted = Request::get(url)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .body(Vec::new())
            .ok()?;
        let limits = Limits::new().with_max_body(LONGEST).with_timeout(TIMEOUT);
        limits.apply(&mut wanted);
        Some(wanted)
    }

    /// Returns the parameters of a request to an endpoint where clients send signed ones.
    fn parameters<'a>(&self, request: &'a Request<Vec<u8>>) -> Option<&'a [u8]> {
        let path = request.uri().path();
        if path == format!("{}{}", self.oauth().base.path(), authorize::AUTHORIZE) {
            return request.uri().query().map(str::as_bytes);
        }
        let endpoint = self.endpoint_at(path)?;
        let is_for_clients =
            endpoint.refusal == RefusalForm::Oauth && endpoint.methods == Methods::Post;
        is_for_clients.then(|| request.body().as_slice())
    }

    /// Stores a fetched key set, as long as its `Cache-Control` says, between a minute and a day.
    ///
    /// # Errors
    ///
    /// `as.registration` for another status or type, or a set without a usable key. What was stored
    /// before stays until its end.
    pub fn store_client_keys(
        &self,
        url: &str,
        response: &Response<Vec<u8>>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let server = self.oauth();
        let bad = |reason| Error::Registration {
            answer: "invalid_client_metadata",
            reason,
        };
        let remote = server.client_keys.as_ref();
        let remote = remote.ok_or_else(|| bad("key sets are not fetched here"))?;
        remote.note_attempt(url, now);
        let body = aims_fetch::expect_json(response)
            .map_err(|_unexplained| bad("the key set was not answered as JSON with status 200"))?;
        if body.len() > LONGEST {
            return Err(bad("the key set is longer than 64 KiB"));
        }
        let rules = SetRules::oauth().with_max_keys(MOST_KEYS);
        let keys = JwkSet::parse(body, &rules, server.provider);
        let keys = keys.ok().filter(|keys| !keys.is_empty());
        let keys = keys.ok_or_else(|| bad("expected 1 to 32 usable public keys at jwks_uri"))?;
        remote.keep(url, keys, add(now, Duration::from_secs(age(response))));
        Ok(())
    }

    /// Fetches and stores the key set that a request needs, once for all requests that wait for it.
    /// A failure is logged; the handler then refuses the JWT.
    #[cfg(feature = "server")]
    pub(crate) async fn learn_keys(
        &self,
        request: &Arc<Request<Vec<u8>>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) {
        let Some(remote) = &self.oauth().client_keys else {
            return;
        };
        let look = || {
            let asked = Arc::clone(request);
            self.off_thread(move |own| own.client_keys(&asked, now))
        };
        let Some(wanted) = look().await.ok().flatten() else {
            return;
        };
        let url = wanted.uri().to_string();
        let flight = remote.flight(&url);
        let _alone = flight.lock.lock().await;
        // Another request may have fetched it, or failed, meanwhile.
        if let Some(wanted) = look().await.ok().flatten() {
            let learned = match remote.meter.take(source, now) {
                Ok(()) => match remote.fetch.send(wanted).await {
                    Ok(response) => self.store_client_keys(&url, &response, now),
                    Err(error) => {
                        remote.note_attempt(&url, now);
                        Err(Error::unavailable(error))
                    }
                },
                Err(error) => Err(error),
            };
            if let Err(error) = learned {
                let reason = crate::reason::Reason(&error);
                tracing::info!(?url, code = error.code(), %reason, "no keys of a client");
            }
        }
    }
}

#[cfg(feature = "server")]
impl RemoteKeys {
    fn flight<'a>(&'a self, url: &'a str) -> Flight<'a> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(flights.entry(url.to_owned()).or_default());
        Flight {
            remote: self,
            url,
            lock,
        }
    }
}

/// The lock of a URL, which one request holds at a time. It ends with its last request, also with
/// one whose client has gone.
#[cfg(feature = "server")]
struct Flight<'a> {
    remote: &'a RemoteKeys,
    url: &'a str,
    lock: Arc<tokio::sync::Mutex<()>>,
}

#[cfg(feature = "server")]
impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let flights = self.remote.flights.lock();
        let mut flights = flights.unwrap_or_else(PoisonError::into_inner);
        // One is in the map, and one is this.
        if Arc::strong_count(&self.lock) <= 2 {
            flights.remove(self.url);
        }
    }
}

#[cfg(test)]
mod tests {
    use aims_fetch::FetchFuture;

    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl Fetch for Nowhere {
        fn send(&self, _request: Request<Vec<u8>>) -> FetchFuture<'_> {
            Box::pin(core::future::ready(Err(aims_fetch::Error::Timeout)))
        }
    }

    /// Clients that name ever new URLs displace the set of such a client that was asked for longest
    /// ago, and none that the operator named.
    #[test]
    fn the_sets_are_bounded() {
        let own = "https://own.example/keys.json";
        let client = Client::with_keys_at("own", own);
        let registry = Registry::new(Vec::new(), vec![client]).unwrap();
        let remote = RemoteKeys::new(Arc::new(Nowhere), &registry);
        remote.note_attempt(own, aims_jose::time::at(0));
        for second in 0..=MOST_SETS {
            let now = aims_jose::time::at(u64::try_from(second).unwrap());
            remote.note_attempt(&format!("https://{second}.example/"), now);
        }
        assert_eq!(remote.sets().len(), MOST_SETS + 1);
        assert!(remote.sets().contains_key(own));
        assert!(!remote.sets().contains_key("https://0.example/"));
        assert!(remote.sets().contains_key("https://1.example/"));
    }
}
