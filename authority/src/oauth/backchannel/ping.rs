//! Pings (OpenID CIBA Core 1.0 §10.2): the server tells a client that the user has decided.
//!
//! A ping has the `auth_req_id` and the token of the client in plaintext. They stay in the memory
//! of the process, and never in the state. A client whose ping is lost polls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aims_fetch::Fetch;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::Endpoint;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde_json::json;

use crate::{Authority, Error, Kind};

/// Maximum number of pings that wait for a decision, and that wait to be sent.
const MOST: usize = 4_096;

#[derive(Debug)]
pub(super) struct Pings {
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "the router sends")
    )]
    fetch: Option<Arc<dyn Fetch>>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    expected: HashMap<String, Ping>,
    due: VecDeque<Ping>,
}

#[derive(Debug)]
struct Ping {
    endpoint: Endpoint,
    token: SecretText,
    id: SecretText,
    until: UnixTime,
}

impl Pings {
    pub(super) fn new(fetch: Option<Arc<dyn Fetch>>) -> Self {
        Self {
            fetch,
            held: Mutex::default(),
        }
    }

    /// Remembers where the ping for a request goes.
    pub(super) fn remember(
        &self,
        key: &str,
        endpoint: Endpoint,
        token: SecretText,
        id: SecretText,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.expected.len() >= MOST {
            held.expected.retain(|_, ping| ping.until >= now);
        }
        if held.expected.len() >= MOST {
            return Err(Error::StateFull {
                kind: Kind::Approval,
            });
        }
        let ping = Ping {
            endpoint,
            token,
            id,
            until,
        };
        held.expected.insert(key.to_owned(), ping);
        Ok(())
    }

    /// Forgets the ping of a request that waits for no decision.
    pub(super) fn forget(&self, key: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.expected.remove(key);
    }

    /// Makes the ping of a decided request due.
    pub(super) fn decided(&self, key: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ping) = held.expected.remove(key)
            && held.due.len() < MOST
        {
            held.due.push_back(ping);
        }
    }

    fn take(&self) -> Option<Request<Vec<u8>>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let ping = held.due.pop_front()?;
        let body = json!({ "auth_req_id": ping.id.expose() }).to_string();
        let bearer = format!("Bearer {}", ping.token.expose());
        let mut bearer = HeaderValue::from_str(&bearer).ok()?;
        bearer.set_sensitive(true);
        Request::post(ping.endpoint.as_str())
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(body.into_bytes())
            .ok()
    }
}

impl Authority {
    /// Returns the next ping to send to a client (OpenID CIBA Core 1.0 §10.2): a decision was
    /// made.
    ///
    /// [`router`](Self::router) sends them by itself if
    /// [`Builder::backchannel_pings`](crate::Builder::backchannel_pings) is set. Send the request
    /// without following redirects. A client that does not answer polls.
    #[must_use]
    pub fn take_ping(&self) -> Option<Request<Vec<u8>>> {
        self.oauth().backchannel.as_ref()?.pings.take()
    }

    /// Sends the pings that are due, without waiting for the answers.
    #[cfg(feature = "server")]
    pub(crate) fn send_pings(&self) {
        let service = self.oauth().backchannel.as_ref();
        let Some(fetch) = service.and_then(|it| it.pings.fetch.as_ref()) else {
            return;
        };
        while let Some(mut ping) = self.take_ping() {
            let fetch = Arc::clone(fetch);
            let limits = aims_fetch::Limits::new()
                .with_max_body(LONGEST_ANSWER)
                .with_timeout(TIMEOUT);
            limits.apply(&mut ping);
            tokio::spawn(async move {
                let endpoint = ping.uri().to_string();
                match fetch.send(ping).await {
                    Ok(answer) if answer.status().is_success() => {}
                    Ok(answer) => {
                        let status = answer.status().as_u16();
                        tracing::info!(?endpoint, status, "a client refused a ping");
                    }
                    Err(error) => {
                        let code = error.code();
                        tracing::info!(?endpoint, code, "a client could not be pinged");
                    }
                }
            });
        }
    }
}

/// The limits of the answer to a ping.
#[cfg(feature = "server")]
const LONGEST_ANSWER: usize = 1_024;
#[cfg(feature = "server")]
const TIMEOUT: core::time::Duration = core::time::Duration::from_secs(5);
