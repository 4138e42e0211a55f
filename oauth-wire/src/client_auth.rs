//! Client authentication at the token endpoint (RFC 6749 §2.3).
//!
//! A client uses one method, which is configured. It never tries several.

use core::fmt::Debug;
use std::error::Error as StdError;

use aims_jose::alg::AlgorithmSet;
use aims_jose::key::AnySigner;
use aims_jose::time::UnixTime;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Response};

use crate::Error;
use crate::attestation::{ATTESTATION, ATTESTATION_POP};
use crate::confirmation::CertificateThumbprint;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

mod attested;
mod audience;
mod certificate;
mod platform;
mod pop;
mod private_key_jwt;
mod public;
mod secret;
mod spiffe;
mod unsigned;

pub use attested::{Attestation, AttestedClient, Freshness};
pub use audience::AssertionAudience;
pub use certificate::{CertificateBound, TlsClientAuth};
pub use platform::PlatformToken;
pub use private_key_jwt::{JWT_BEARER, PrivateKeyJwt};
pub use public::PublicClient;
pub use secret::{ClientSecretBasic, ClientSecretPost};
pub use spiffe::{JWT_SPIFFE, SpiffeJwt, SpiffeWit, WitCredential};
pub use unsigned::{Authentication, UnsignedRequest};

/// Adds the authentication of the client to a token request.
///
/// ```
/// use aims_jose::time::UnixTime;
/// use aims_oauth_wire::client_auth::Authenticate;
/// use aims_oauth_wire::metadata::ServerMetadata;
/// use aims_oauth_wire::names::ClientId;
/// use aims_oauth_wire::token::TokenRequest;
/// use aims_oauth_wire::Error;
///
/// /// A public client, which has only an identifier.
/// #[derive(Debug)]
/// struct Public(ClientId);
///
/// impl Authenticate for Public {
///     fn client_id(&self) -> &ClientId {
///         &self.0
///     }
///
///     fn authenticate(
///         &self,
///         request: &mut TokenRequest,
///         _server: &ServerMetadata,
///         _now: UnixTime,
///     ) -> Result<(), Error> {
///         request.parameter("client_id", self.0.as_str())?;
///         Ok(())
///     }
/// }
/// ```
pub trait Authenticate: Debug + Send + Sync {
    /// Returns the identifier of the client at the server.
    fn client_id(&self) -> &ClientId;

    /// Adds the authentication to a request. Call it for each request, because most proofs are
    /// valid for one request.
    ///
    /// # Errors
    ///
    /// `oauth.authenticate` if the server does not support the method or the key cannot sign;
    /// `oauth.request` if the request is authenticated already or is for another client.
    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error>;

    /// Returns whether the client presents its certificate on the connection (RFC 8705 §2). The
    /// request then goes to the server's endpoint for mutual TLS (§5). Defaults to `false`.
    fn presents_certificate(&self) -> bool {
        false
    }

    /// Returns the certificate to which the client's access tokens must be bound (RFC 8705 §3).
    /// Defaults to none.
    ///
    /// A client that renews its certificate returns the one that its HTTP client presents now.
    fn certificate(&self) -> Option<CertificateThumbprint> {
        None
    }

    /// Returns whether the client must ask the server for a challenge before its next request
    /// (draft-ietf-oauth-attestation-based-client-auth §8.1). Defaults to `false`.
    fn needs_challenge(&self, server: &ServerMetadata) -> bool {
        let _unused = server;
        false
    }

    /// Learns from an answer of the server, such as a challenge. Returns whether the server refused
    /// the request for the lack of it, so that the request is sent once more. Defaults to `false`.
    fn learn(&self, server: &ServerMetadata, answer: &Response<Vec<u8>>) -> bool {
        let _unused = (server, answer);
        false
    }

    /// Starts the authentication of a request for a client whose key may be in a device or behind a
    /// network. The result holds the request and what the key must sign.
    ///
    /// The default calls [`authenticate`](Self::authenticate), which is right for clients that sign
    /// synchronously or not at all.
    ///
    /// # Errors
    ///
    /// Those of [`authenticate`](Self::authenticate).
    fn begin(
        &self,
        mut request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Error> {
        self.authenticate(&mut request, server, now)?;
        Ok(Authentication::Done(request))
    }
}

impl<A: Authenticate + ?Sized> Authenticate for std::sync::Arc<A> {
    fn client_id(&self) -> &ClientId {
        (**self).client_id()
    }

    fn presents_certificate(&self) -> bool {
        (**self).presents_certificate()
    }

    fn certificate(&self) -> Option<CertificateThumbprint> {
        (**self).certificate()
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        (**self).authenticate(request, server, now)
    }

    fn begin(
        &self,
        request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Error> {
        (**self).begin(request, server, now)
    }

    fn needs_challenge(&self, server: &ServerMetadata) -> bool {
        (**self).needs_challenge(server)
    }

    fn learn(&self, server: &ServerMetadata, answer: &Response<Vec<u8>>) -> bool {
        (**self).learn(server, answer)
    }
}

/// The header field of a workload's credential (draft-ietf-wimse-workload-creds §5.1.1).
const WORKLOAD_IDENTITY_TOKEN: HeaderName = HeaderName::from_static("workload-identity-token");

type BoxError = Box<dyn StdError + Send + Sync>;

/// Adds `client_id` of a client that authenticates by its own code.
///
/// # Errors
///
/// `oauth.request` if the request is authenticated already (RFC 6749 §2.3), or names another
/// client.
pub fn name_client(request: &mut TokenRequest, client: &ClientId) -> Result<(), Error> {
    expect_unauthenticated(request, client)?;
    name_in_body(request, client)
}

/// Checks that the request is not authenticated yet (RFC 6749 §2.3) and that its `client_id`, if
/// there is one, is this client (RFC 7523 §2.2).
fn expect_unauthenticated(request: &TokenRequest, client: &ClientId) -> Result<(), Error> {
    let parameters = ["client_assertion", "client_assertion_type", "client_secret"];
    let headers = [
        AUTHORIZATION,
        ATTESTATION,
        ATTESTATION_POP,
        WORKLOAD_IDENTITY_TOKEN,
    ];
    if parameters.iter().any(|it| request.has(it))
        || headers.iter().any(|it| request.has_header(it))
    {
        return Err(Error::Request {
            reason: "authenticated already",
        });
    }
    let named = request.get("client_id");
    if named.is_some_and(|named| named != client.as_str()) {
        return Err(Error::Request {
            reason: "`client_id` is another client",
        });
    }
    Ok(())
}

/// Adds `client_id`, unless the request has it.
fn name_in_body(request: &mut TokenRequest, client: &ClientId) -> Result<(), Error> {
    if !request.has("client_id") {
        request.parameter("client_id", client.as_str())?;
    }
    Ok(())
}

/// Checks that the server supports this method, if its metadata lists methods.
fn expect_method(server: &ServerMetadata, method: &str) -> Result<(), Error> {
    if server.takes_client_auth(method) {
        return Ok(());
    }
    Err(Error::authenticate("the server does not take this method"))
}

/// Checks that the server supports the algorithm of the signer, if its metadata lists algorithms.
fn expect_algorithm(known: Option<AlgorithmSet>, signer: &AnySigner) -> Result<(), Error> {
    if known.is_none_or(|all| all.contains(signer.algorithm())) {
        return Ok(());
    }
    Err(Error::authenticate(
        "the server does not take the key's algorithm",
    ))
}

fn failed(reason: &'static str) -> impl FnOnce(aims_jose::Error) -> Error {
    move |source| Error::Authenticate {
        reason,
        source: Some(source.into()),
    }
}

/// Creates a header value that logs hide.
fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).or(Err(Error::authenticate(
        "a character that no field can have",
    )))?;
    value.set_sensitive(true);
    Ok(value)
}
