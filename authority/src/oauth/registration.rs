//! Clients that describe themselves: dynamic registration (RFC 7591), and client id metadata
//! documents (draft-ietf-oauth-client-id-metadata-document).

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aims_jose::json;
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::random::id128;
use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::CodeFlow;
use super::client_keys::{ClientKeys, is_key_url};
use super::redirect::RedirectUri;
use super::resource::{Client, ClientMatcher};
use super::store::{self, insert};
use super::{AuthorizationServer, endpoint};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::identity::add;
use crate::limit::{Meter, Rate};
use crate::{Error, Kind, answer};

/// How long a registration lasts that no user has allowed anything, in seconds. A source can so
/// hold 14,420 of the 65,536 entries at most.
const UNUSED_LIFETIME: u64 = 24 * 3_600;
/// How long a registration lasts after a user has allowed it something, in seconds.
const LIFETIME: u64 = 30 * 24 * 3_600;
/// The rate of registrations, and of fetched documents, of one source.
pub(super) const RATE: Rate = Rate {
    burst: 20,
    per_minute: 10,
};
/// The prefix of new client ids. It keeps them apart from URLs and from workloads.
const PREFIX: &str = "dyn-";
/// Maximum number of keys of a client, which each of its requests parses.
const MOST_KEYS: usize = 8;
/// Maximum length of a name in bytes.
const LONGEST_NAME: usize = 200;

/// The rights of clients that describe themselves.
///
/// Such a client acts for users only, and each user sees that the operator has not checked it.
///
/// ```
/// use aims_authority::SelfDescribed;
///
/// let clients = SelfDescribed::new().allow("https://tools.example/mcp", ["tools:call"]);
/// # drop(clients);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "give it to `Builder::dynamic_registration` or `Builder::client_documents`"]
pub struct SelfDescribed {
    pub(crate) grants: HashMap<String, BTreeSet<String>>,
    pub(crate) details: BTreeSet<String>,
}

impl SelfDescribed {
    /// Allows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows the clients to ask users for these scopes of a resource.
    pub fn allow<S: Into<String>>(
        mut self,
        resource: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let allowed = self.grants.entry(resource.into()).or_default();
        allowed.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Allows the clients to ask for `authorization_details` of this type (RFC 9396).
    pub fn allow_details(mut self, name: impl Into<String>) -> Self {
        self.details.insert(name.into());
        self
    }
}

/// Dynamic registration.
#[derive(Debug)]
pub(crate) struct Registration {
    clients: SelfDescribed,
    meter: Meter,
}

impl Registration {
    pub(crate) fn new(clients: SelfDescribed) -> Self {
        Self {
            clients,
            meter: Meter::new(RATE),
        }
    }
}

/// The metadata of a client that are used here (RFC 7591 §2). Other members are ignored.
#[derive(Debug, Deserialize)]
struct ClientMetadata {
    redirect_uris: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    client_name: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    software_statement: Option<Value>,
}

/// A stored client.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct StoredClient {
    name: Option<String>,
    redirect_uris: Vec<String>,
    /// The keys of a client that authenticates by `private_key_jwt`.
    keys: Option<Value>,
    /// The URL at which it publishes them, instead.
    #[serde(default)]
    keys_at: Option<String>,
}

fn bad(reason: &'static str) -> Error {
    Error::Registration {
        answer: "invalid_client_metadata",
        reason,
    }
}

/// Checks metadata, and returns what is kept of them.
pub(crate) fn check(body: &[u8], server: &AuthorizationServer) -> Result<StoredClient, Error> {
    json::check_object(body).map_err(|_unexplained| bad("expected a JSON object"))?;
    let metadata: ClientMetadata = serde_json::from_slice(body)
        .map_err(|_unexplained| bad("a member has another form than RFC 7591 gives it"))?;
    let redirect = |reason| Error::Registration {
        answer: "invalid_redirect_uri",
        reason,
    };
    let uris = metadata.redirect_uris.unwrap_or_default();
    if uris.is_empty() || uris.len() > 32 {
        return Err(redirect("expected 1 to 32 redirect_uris"));
    }
    if uris.iter().any(|uri| RedirectUri::parse(uri).is_err()) {
        return Err(redirect(
            "expected https, http on a loopback host, or a reversed domain name as the scheme",
        ));
    }
    if metadata.software_statement.is_some() {
        return Err(Error::Registration {
            answer: "unapproved_software_statement",
            reason: "no issuer of software statements is trusted here",
        });
    }
    let lacks = |all: &Option<Vec<String>>, due: &str| {
        all.as_ref()
            .is_some_and(|all| !all.iter().any(|it| it == due))
    };
    if lacks(&metadata.grant_types, "authorization_code") || lacks(&metadata.response_types, "code")
    {
        return Err(bad(
            "expected the grant authorization_code with the response code",
        ));
    }
    if metadata
        .client_name
        .as_ref()
        .is_some_and(|it| it.len() > LONGEST_NAME)
    {
        return Err(bad("client_name is longer than 200 bytes"));
    }
    if metadata.jwks_uri.is_some() && server.client_keys.is_none() {
        return Err(bad("expected the keys in jwks, not behind jwks_uri"));
    }
    let (keys, keys_at) = match metadata.token_endpoint_auth_method.as_deref() {
        Some("private_key_jwt") => match (metadata.jwks, metadata.jwks_uri) {
            (Some(_), Some(_)) => return Err(bad("expected jwks or jwks_uri, not both")),
            (None, None) => return Err(bad("expected jwks for private_key_jwt")),
            (None, Some(url)) if is_key_url(&url) => (None, Some(url)),
            (None, Some(_)) => return Err(bad("expected an https URL in jwks_uri")),
            (Some(keys), None) => {
                let usable = server
                    .key_set(&keys)
                    .ok_or_else(|| bad("expected 1 to 8 usable public keys in jwks"))?;
                let usable = serde_json::from_str(&usable.to_json());
                (Some(usable.map_err(Error::unavailable)?), None)
            }
        },
        // There are no shared secrets here, so the answer names the method that there is (RFC 7591
        // §3.2.1).
        None | Some("none" | "client_secret_basic" | "client_secret_post") => (None, None),
        Some(_) => return Err(bad("expected the method none or private_key_jwt")),
    };
    Ok(StoredClient {
        name: metadata.client_name,
        redirect_uris: uris,
        keys,
        keys_at,
    })
}

/// The answer to a registration (RFC 7591 §3.2.1).
#[derive(Serialize)]
struct Registered<'a> {
    client_id: &'a str,
    client_id_issued_at: u64,
    redirect_uris: &'a [String],
    token_endpoint_auth_method: &'static str,
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<&'a str>,
}

/// Registers a client.
pub(crate) fn register(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    answer::check_media_type(call.request.headers(), media::JSON)?;
    let (server, now) = (&inner.oauth, call.now);
    let registration = server.registration.as_ref().ok_or(Error::Path)?;
    registration.meter.take(call.source, now)?;
    let client = check(call.request.body(), server)?;
    let id = id128(server.random).map_err(Error::unavailable)?;
    let client_id = format!("{PREFIX}{id}");
    let until = add(now, Duration::from_secs(UNUSED_LIFETIME));
    let state = server.state.as_ref();
    if !insert(state, Kind::Client, &client_id, &client, until, now)? {
        return Err(Error::unavailable("a random number came twice"));
    }
    tracing::info!(?client_id, redirect_uris = ?client.redirect_uris, "registered a client");
    let body = Registered {
        client_id: &client_id,
        client_id_issued_at: now.as_secs(),
        redirect_uris: &client.redirect_uris,
        token_endpoint_auth_method: client.method(),
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        client_name: client.name.as_deref(),
        jwks: client.keys.as_ref(),
        jwks_uri: client.keys_at.as_deref(),
    };
    let body = serde_json::to_string(&body).map_err(Error::unavailable)?;
    let mut response = answer::json(StatusCode::CREATED, body, "no-store");
    endpoint::finish(response.headers_mut(), None);
    Ok(response)
}

impl StoredClient {
    const fn method(&self) -> &'static str {
        match (&self.keys, &self.keys_at) {
            (None, None) => "none",
            _ => "private_key_jwt",
        }
    }
}

impl AuthorizationServer {
    fn key_set(&self, keys: &Value) -> Option<JwkSet> {
        let json = keys.to_string();
        let rules = SetRules::oauth().with_max_keys(MOST_KEYS);
        let set = JwkSet::parse(json.as_bytes(), &rules, self.provider).ok()?;
        (!set.is_empty()).then_some(set)
    }

    /// Keeps the registration of a client that a user has allowed something, if it has one.
    pub(super) fn keep_registration(&self, client_id: &str, now: UnixTime) -> Result<(), Error> {
        if !client_id.starts_with(PREFIX) || self.registry.named(client_id).is_some() {
            return Ok(());
        }
        let state = self.state.as_ref();
        let found = store::read::<StoredClient>(state, Kind::Client, client_id, now)?;
        let until = add(now, Duration::from_secs(LIFETIME));
        if let Some(found) = found.filter(|it| it.until < until) {
            // If it changed in between, another consent has kept it.
            found.replace(state, Kind::Client, client_id, &found.value, until, now)?;
        }
        Ok(())
    }

    /// Returns a client that described itself.
    pub(super) fn self_described(
        &self,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Option<Arc<Client>>, Error> {
        let registered = self.registration.as_ref().map(|it| &it.clients);
        let documented = self.documents.as_ref().map(|it| &it.clients);
        let (kind, rules) = if client_id.starts_with(PREFIX) {
            (Kind::Client, registered)
        } else if client_id.starts_with("https://") {
            (Kind::ClientDocument, documented)
        } else {
            return Ok(None);
        };
        let Some(rules) = rules else {
            return Ok(None);
        };
        let found = store::read::<StoredClient>(self.state.as_ref(), kind, client_id, now)?;
        let Some(stored) = found.map(|it| it.value) else {
            return Ok(None);
        };
        let client_id = client_id.to_owned();
        let by = match (stored.keys, stored.keys_at) {
            (None, None) => ClientMatcher::Public { client_id },
            (None, Some(url)) => ClientMatcher::Keys {
                client_id,
                keys: ClientKeys::At(url),
            },
            (Some(keys), _) => {
                let keys = self.key_set(&keys);
                let keys = keys.ok_or_else(|| Error::unavailable("a stored key is not usable"))?;
                ClientMatcher::Keys {
                    client_id,
                    keys: ClientKeys::Given(Arc::new(keys)),
                }
            }
        };
        let mut client = Client::new(by);
        client.grants.clone_from(&rules.grants);
        client.flow = CodeFlow {
            redirect_uris: stored.redirect_uris,
            name: stored.name,
            unverified: true,
            details: rules.details.clone(),
            ..CodeFlow::default()
        };
        Ok(Some(Arc::new(client)))
    }
}
