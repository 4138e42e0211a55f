//! Test a tool without a network: an issuer that answers from memory, and a clock that stands
//! still.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::sync::Arc;
//!
//! use aims::testing::{FakeIssuer, bearer_call};
//! use aims::{Guard, oauth_rs::JwtProfile};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = FakeIssuer::new("https://kc.example/realms/main")?;
//! let guard = Guard::builder("https://tools.example/mcp")
//!     .issuer_with(issuer.name(), JwtProfile::keycloak("tools"))?
//!     .token_audience("tools")
//!     .accept_bearer()
//!     .fetch(Arc::new(issuer.clone())) // the one line that differs from the program
//!     .start()
//!     .await?;
//! let token = issuer.token(&json!({
//!     "typ": "Bearer", "aud": "tools", "sub": "ada", "azp": "web", "scope": "tools:call",
//! }))?;
//! let (head, ()) = bearer_call(guard.resource(), &token).body(())?.into_parts();
//! assert_eq!(guard.admit(&head).await?.subject(), "ada");
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::guard::target::external_origin;
use aims_fetch::{Error as FetchError, Fetch, FetchFuture};
use aims_jose::alg::Algorithm;
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider;
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_jose::{Error, random};
use aims_wimse_cred::{Error as CredError, Identity, WitIssuer};
use aims_wimse_id::WorkloadId;
use http::{Request, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A clock that stands still until the test moves it. Clones share the time.
///
/// ```
/// use std::time::Duration;
///
/// use aims::jose::time::Clock as _;
/// use aims::testing::TestClock;
///
/// let clock = TestClock::at(1_800_000_000);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().as_secs(), 1_800_000_060);
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// A clock at this time, in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    /// Moves the clock forward, in whole seconds.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        aims_jose::time::at(self.0.load(Ordering::SeqCst))
    }
}

/// An authorization server that answers from memory, and that signs whatever claims a test asks
/// for. Clones share the key.
///
/// It is a [`Fetch`]: given to [`GuardBuilder::fetch`](crate::guard::GuardBuilder::fetch), it
/// answers for the metadata and the keys of the issuer, so that a test runs the guard of the
/// program, with its profile, audiences and scopes. It is also the issuer of the identities of
/// agents: [`identity`](Self::identity) and [`bundle_url`](Self::bundle_url).
#[derive(Clone)]
pub struct FakeIssuer(Arc<Inner>);

struct Inner {
    name: String,
    key: SigningKey,
    clock: Arc<dyn Clock>,
}

impl FakeIssuer {
    /// An issuer of this name, such as `https://as.example`, with a new ES256 key. Its tokens begin
    /// at the time of the system clock.
    ///
    /// # Errors
    ///
    /// `key.generate` if no crypto provider is compiled in: enable the feature `aws-lc-rs` or
    /// `rustcrypto`.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        Self::with_clock(name, SystemClock::new())
    }

    /// As [`new`](Self::new), with this clock for `iat` and `exp` of its tokens.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn with_clock(name: impl Into<String>, clock: impl Clock + 'static) -> Result<Self, Error> {
        let provider = provider::compiled().ok_or(Error::Generate)?;
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            key: SigningKey::generate(Algorithm::Es256, provider)?.with_key_id("test"),
            clock: Arc::new(clock),
        })))
    }

    /// The issuer, as it stands in `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// An access token with these claims and the header `typ` `JWT`, as most servers write it.
    ///
    /// `iss`, `iat`, `exp` (in 5 minutes) and `jti` are added if they are missing. What else the
    /// guard's profile asks for is in the claims.
    ///
    /// # Errors
    ///
    /// `jws.serialize` if the claims are not a JSON object.
    pub fn token(&self, claims: &impl Serialize) -> Result<String, Error> {
        self.token_of_type("JWT", claims)
    }

    /// As [`token`](Self::token), with another header `typ`: `at+jwt` for a server that follows RFC
    /// 9068.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Self::token).
    pub fn token_of_type(&self, typ: &str, claims: &impl Serialize) -> Result<String, Error> {
        let Ok(Value::Object(mut claims)) = serde_json::to_value(claims) else {
            return Err(Error::Serialize);
        };
        self.complete(&mut claims)?;
        let input = SigningInput::new(typ, Algorithm::Es256, Some("test"), &claims)?;
        Ok(input.sign(&self.0.key)?.expose().to_owned())
    }

    fn complete(&self, claims: &mut Map<String, Value>) -> Result<(), Error> {
        let now = self.0.clock.now().as_secs();
        let id = random::id128(random::SYSTEM)?;
        for (name, value) in [
            ("iss", json!(self.0.name)),
            ("iat", json!(now)),
            ("exp", json!(now.saturating_add(LIFETIME.as_secs()))),
            ("jti", json!(id)),
        ] {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// The identity of an agent: a new key, and a WIT of this issuer that names it. A guard trusts
    /// it by [`bundle_url`](Self::bundle_url).
    ///
    /// # Errors
    ///
    /// `cred.sign` if no key can be generated.
    pub fn identity(&self, id: &WorkloadId) -> Result<Identity, CredError> {
        let provider = provider::compiled().ok_or(CredError::Sign(Error::Generate))?;
        let key = SigningKey::generate(Algorithm::Es256, provider).map_err(CredError::Sign)?;
        let public = key.public_jwk().clone();
        let issuer = WitIssuer::new(Arc::new(self.0.key.clone()), None);
        let wit = issuer.issue(id, &public, LIFETIME, self.0.clock.now())?;
        Identity::new(wit.into_secret(), Arc::new(key), &public)
    }

    /// The URL at which this issuer answers with a bundle: the public key of its
    /// [identities](Self::identity).
    #[must_use]
    pub fn bundle_url(&self) -> String {
        format!("{}/bundle", self.0.name.trim_end_matches('/'))
    }

    fn jwks_url(&self) -> String {
        format!("{}/jwks", self.0.name.trim_end_matches('/'))
    }

    fn document(&self, url: &str) -> Option<String> {
        let key = || self.0.key.public_jwk().clone();
        let set = |jwk: String| format!(r#"{{"keys":[{jwk}]}}"#);
        if url == self.bundle_url() {
            return Some(set(key().with_use("wit-svid").to_json()));
        }
        if url == self.jwks_url() {
            return Some(set(key().to_json()));
        }
        let origin = external_origin(&self.0.name);
        let path = url.strip_prefix(origin)?;
        let is_metadata = METADATA.iter().any(|it| path.contains(it));
        let metadata = json!({"issuer": self.0.name, "jwks_uri": self.jwks_url()});
        is_metadata.then(|| metadata.to_string())
    }
}

impl Fetch for FakeIssuer {
    /// Answers for the metadata, the keys and the bundle of this issuer, and 404 for all else.
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let document = self.document(&request.uri().to_string());
        Box::pin(async move {
            let status = match document {
                Some(_) => StatusCode::OK,
                None => StatusCode::NOT_FOUND,
            };
            let answer = Response::builder()
                .status(status)
                .header(header::CONTENT_TYPE, "application/json");
            let body = document.unwrap_or_default().into_bytes();
            answer
                .body(body)
                .map_err(|_unbuilt| FetchError::Interrupted)
        })
    }
}

impl fmt::Debug for FakeIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeIssuer").field(&self.0.name).finish()
    }
}

/// A `POST` to this URL with this bearer token, as a server receives it: path and query as the
/// target, and the authority in `Host`.
///
/// ```
/// let request = aims::testing::bearer_call("https://tools.example/mcp/call", "a.b.c").body(())?;
/// assert_eq!(request.uri().path(), "/mcp/call");
/// assert_eq!(request.headers()["host"], "tools.example");
/// # Ok::<(), http::Error>(())
/// ```
#[must_use = "the request is made by `body`"]
pub fn bearer_call(url: &str, token: &str) -> http::request::Builder {
    let origin = external_origin(url);
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let target = url.strip_prefix(origin).unwrap_or_default();
    let target = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("/{target}"),
    };
    Request::post(target)
        .header(header::HOST, authority)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
}

/// How long tokens and identities are valid.
const LIFETIME: Duration = Duration::from_secs(300);

/// The parts of URLs at which an issuer has its metadata (RFC 8414 §3, OpenID Connect Discovery
/// 1.0 §4).
const METADATA: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];
