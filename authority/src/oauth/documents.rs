//! Client id metadata documents: a `client_id` that is the URL of the client's own metadata.
//!
//! The handlers wait for nothing. [`Authority::client_document`] names the document that a request
//! needs; the router fetches it and stores it before it runs the handler.

#[cfg(feature = "server")]
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use aims_fetch::{Fetch, Limits};
use aims_jose::time::UnixTime;
use aims_oauth_wire::token::Form;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{Request, Response, StatusCode};
use serde::Deserialize;

use super::registration::{RATE, SelfDescribed, check};
use super::{AuthorizationServer, authorize, revoke};
use crate::identity::add;
use crate::limit::Meter;
use crate::{Authority, Change, Entry, Error, Kind};

/// Maximum length of a document in bytes.
const LONGEST: usize = 5 * 1_024;
/// Maximum length of a client id in bytes.
const LONGEST_URL: usize = 512;
/// Maximum time to fetch one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a document without `max-age` counts, and the bounds for one with it, in seconds.
const DEFAULT_AGE: u64 = 3_600;
const LEAST_AGE: u64 = 60;
const MOST_AGE: u64 = 24 * 3_600;

/// The rules of client id metadata documents, and the client that fetches them.
#[derive(Debug)]
pub(crate) struct ClientDocuments {
    pub(crate) clients: SelfDescribed,
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
}

impl ClientDocuments {
    pub(crate) fn new(clients: SelfDescribed, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            clients,
            fetch,
            meter: Meter::new(RATE),
        }
    }
}

#[derive(Deserialize)]
struct Named {
    client_id: String,
    client_secret: Option<serde_json::Value>,
    token_endpoint_auth_method: Option<String>,
}

/// Returns whether a text is the URL of a document: `https`, with a path, without dot segments,
/// user information, query and fragment.
fn is_document(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else {
        return false;
    };
    let Some((authority, path)) = rest.split_once('/') else {
        return false;
    };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?@\\^`{|}%".contains(&byte);
    text.len() <= LONGEST_URL
        && !authority.is_empty()
        && !path.is_empty()
        && text.bytes().all(is_plain)
        && !path
            .split('/')
            .any(|segment| segment == "." || segment == "..")
}

impl Authority {
    /// Returns the document that must be fetched and [stored](Self::store_client_document) before
    /// [`handle`](Self::handle) can answer this request, as the request to send.
    ///
    /// [`router`](Self::router) does it by itself. Send the request without following redirects,
    /// and never to an address of a private network: the client chose the URL.
    #[must_use]
    pub fn client_document(
        &self,
        request: &Request<Vec<u8>>,
        now: UnixTime,
    ) -> Option<Request<Vec<u8>>> {
        let server = self.oauth();
        server.documents.as_ref()?;
        let path = request.uri().path();
        let at = |place: &str| path == format!("{}{place}", server.base.path());
        let parameters = if at(authorize::AUTHORIZE) {
            request.uri().query().unwrap_or_default().as_bytes()
        } else if at(authorize::PUSHED) || at("/token") || at(revoke::REVOKE) {
            request.body().as_slice()
        } else {
            return None;
        };
        let form = Form::parse(parameters).ok()?;
        let url = form.get("client_id").filter(|it| is_document(it))?;
        let is_known = server.client(url, now).is_ok_and(|it| it.is_some());
        if is_known {
            return None;
        }
        let mut wanted = Request::get(url)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .ok()?;
        let limits = Limits::new().with_max_body(LONGEST).with_timeout(TIMEOUT);
        limits.apply(&mut wanted);
        Some(wanted)
    }

    /// Stores the client of a fetched document, as long as its `Cache-Control` says, between a
    /// minute and a day.
    ///
    /// # Errors
    ///
    /// `as.registration` for another status or type, another `client_id` than the URL, or
    /// metadata that this server does not accept; nothing is stored then.
    pub fn store_client_document(
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
        if server.documents.is_none() || !is_document(url) {
            return Err(bad("the client_id is no URL of a document"));
        }
        if response.status() != StatusCode::OK {
            return Err(bad("the document was not answered with status 200"));
        }
        let body = aims_fetch::expect_json(response)
            .map_err(|_unexplained| bad("the document is no JSON"))?;
        if body.len() > LONGEST {
            return Err(bad("the document is longer than 5 KiB"));
        }
        let client = check(body, server)?;
        let named: Named = serde_json::from_slice(body)
            .map_err(|_unexplained| bad("the document has no client_id"))?;
        if named.client_id != url {
            return Err(bad("the document names another client_id"));
        }
        let method = named.token_endpoint_auth_method.as_deref();
        if named.client_secret.is_some()
            || !matches!(method, None | Some("none" | "private_key_jwt"))
        {
            return Err(bad("a document has no shared secret"));
        }
        let until = add(now, Duration::from_secs(age(response)));
        server.keep_document(url, &client, until, now)
    }

    /// Fetches and stores the document that a request needs. A failure is logged; the handler then
    /// answers that the client is unknown.
    #[cfg(feature = "server")]
    pub(crate) async fn learn_client(
        &self,
        request: &Arc<Request<Vec<u8>>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) {
        let Some(documents) = &self.oauth().documents else {
            return;
        };
        let asked = Arc::clone(request);
        let wanted = self.off_thread(move |own| own.client_document(&asked, now));
        let Some(wanted) = wanted.await.ok().flatten() else {
            return;
        };
        let url = wanted.uri().to_string();
        let learned = match documents.meter.take(source, now) {
            Ok(()) => match documents.fetch.send(wanted).await {
                Ok(response) => {
                    let place = url.clone();
                    let store = move |own: &Self| own.store_client_document(&place, &response, now);
                    self.off_thread(store).await.and_then(|stored| stored)
                }
                Err(error) => Err(Error::unavailable(error)),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = learned {
            let reason = crate::reason::Reason(&error);
            tracing::info!(?url, code = error.code(), %reason, "no document of a client");
        }
    }
}

impl AuthorizationServer {
    /// Stores a document, in place of an older one.
    fn keep_document<T: serde::Serialize>(
        &self,
        url: &str,
        client: &T,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), Error> {
        let state = self.state.as_ref();
        // Another request may have stored it at the same moment; both are fresh.
        let value = serde_json::to_vec(client).map_err(Error::unavailable)?;
        let entry = Entry::new(value, until);
        state.swap(Kind::ClientDocument, url, Change::Insert(&entry), now)?;
        Ok(())
    }
}

/// Returns how long a document counts, in seconds.
pub(super) fn age(response: &Response<Vec<u8>>) -> u64 {
    let fields = response.headers().get_all(CACHE_CONTROL).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let mut age = DEFAULT_AGE;
    for directive in fields.flat_map(|field| field.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return LEAST_AGE;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().unwrap_or(age);
        }
    }
    age.clamp(LEAST_AGE, MOST_AGE)
}
