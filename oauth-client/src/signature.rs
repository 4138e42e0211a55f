//! Client authentication by a signature over the whole request, with the key of a workload.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{Content, RequestSigning};
use aims_http_sig::{Algorithm, HttpRequest, PreparedSignature, SignatureFields};
use aims_jose::key::{AnySigner, Signature};
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::{Authenticate, Authentication, UnsignedRequest, name_client};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ClientId;
use aims_oauth_wire::token::TokenRequest;
use aims_wimse_cred::{Identity, IdentitySource};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::error::BoxError;
use crate::{Error, OfIdentity};

type Wire = aims_oauth_wire::Error;

/// The header field of the credential (draft-ietf-wimse-workload-creds §5.1.1).
const WORKLOAD_IDENTITY_TOKEN: HeaderName = HeaderName::from_static("workload-identity-token");

/// Authenticates a workload by its workload identity token and an HTTP message signature over each
/// request (RFC 9421, draft-ietf-wimse-http-signature). Needs the feature `http-signature`.
///
/// The signature covers the method, the path, the query, the digest of the body, the token and a
/// DPoP proof, and is for this endpoint. A proxy that sees the request can neither change nor use
/// it. No metadata announces this method, so configure it for servers that take it, as
/// `aims-authority` does.
///
/// The key may be in a device or behind a network; [`TokenFlow`](crate::TokenFlow) and
/// `TokenSource` wait for it.
///
/// ```
/// use aims_oauth_client::{Error, HttpSignature, OfIdentity as _};
/// use aims_wimse_cred::source::IdentitySource;
///
/// fn client(source: impl IdentitySource + 'static) -> Result<HttpSignature, Error> {
///     HttpSignature::of(source)
/// }
/// ```
#[derive(Clone)]
pub struct HttpSignature {
    client: ClientId,
    source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    random: &'static dyn SecureRandom,
}

impl OfIdentity for HttpSignature {
    fn of_at(source: impl IdentitySource + 'static, now: UnixTime) -> Result<Self, Error> {
        let identity = source.identity(now).map_err(Error::Identity)?;
        Ok(Self {
            client: identity.id().as_str().parse()?,
            source: Arc::new(source),
            lifetime: Duration::from_secs(60),
            random: random::SYSTEM,
        })
    }
}

impl HttpSignature {
    /// Sets the lifetime of signatures in whole seconds, from 1 s to 10 min. Defaults to 60 s.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the random source of nonces. Defaults to the operating system.
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Wire> {
        let identity = self.source.identity(now);
        identity.map_err(because("the workload has no identity"))
    }

    /// Returns what the key of this identity must sign.
    fn prepare(
        &self,
        request: &mut TokenRequest,
        identity: &Identity,
        now: UnixTime,
    ) -> Result<(PreparedSignature, HeaderMap), Wire> {
        name_client(request, &self.client)?;
        let (mut head, body) = request.to_sign()?.into_parts();
        let digest = ContentDigest::of(&body);
        let mut fields = HeaderMap::new();
        fields.insert(WORKLOAD_IDENTITY_TOKEN, wit(identity)?);
        let value = HeaderValue::try_from(digest.to_string());
        fields.insert(ContentDigest::FIELD, value.map_err(because(UNWRITTEN))?);
        head.headers.extend(fields.clone());
        let message = HttpRequest::to_send(&head).map_err(because(UNWRITTEN))?;
        let prepared = RequestSigning::to(&audience(&head.uri))
            .and_then(|signing| signing.covering_field("dpop"))
            .map(|signing| signing.with_lifetime(self.lifetime))
            .and_then(|signing| {
                signing.prepare(&message, Content::Digest(&digest), self.random, now)
            });
        let (prepared, _unsigned) = prepared.map_err(because(UNWRITTEN))?;
        Ok((prepared, fields))
    }
}

impl Authenticate for HttpSignature {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        _server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Wire> {
        let identity = self.identity(now)?;
        let signer = identity.local_signer().map_err(because(
            "the key signs asynchronously; use `Authenticate::begin`, as `TokenFlow` does",
        ))?;
        let (prepared, fields) = self.prepare(request, &identity, now)?;
        seal(request, fields, prepared.sign(&**signer))
    }

    fn begin(
        &self,
        mut request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Wire> {
        let identity = self.identity(now)?;
        let AnySigner::Remote(signer) = identity.signer().clone() else {
            self.authenticate(&mut request, server, now)?;
            return Ok(Authentication::Done(request));
        };
        let (prepared, fields) = self.prepare(&mut request, &identity, now)?;
        let (base, algorithm) = (prepared.base().as_bytes().to_vec(), signer.algorithm());
        let apply = move |request: &mut TokenRequest, signature: Signature| {
            let algorithm = Algorithm::of_jws(algorithm).ok_or(aims_http_sig::Error::AlgorithmNone);
            let signed = algorithm.and_then(|it| prepared.finish(it, signature.as_ref()));
            seal(request, fields, signed)
        };
        let unsigned = UnsignedRequest::over_bytes(request, base, signer, apply);
        Ok(Authentication::Unsigned(unsigned))
    }
}

/// Adds the credential, the digest and the signature to the request.
fn seal(
    request: &mut TokenRequest,
    mut fields: HeaderMap,
    signed: Result<SignatureFields, aims_http_sig::Error>,
) -> Result<(), Wire> {
    let signed = signed.and_then(|it| it.apply(&mut fields));
    signed.map_err(because("the key does not sign"))?;
    request.seal(fields)?;
    Ok(())
}

/// Returns the audience of the signature: the URL without its query (draft §"The wimse-aud
/// Signature Parameter").
fn audience(uri: &Uri) -> String {
    let (scheme, authority) = (uri.scheme_str(), uri.authority());
    let authority = authority.map_or("", |it| it.as_str());
    format!("{}://{authority}{}", scheme.unwrap_or_default(), uri.path())
}

/// Returns the credential as a header value that logs hide.
fn wit(identity: &Identity) -> Result<HeaderValue, Wire> {
    let value = HeaderValue::from_str(identity.wit().expose());
    let mut value = value.map_err(because(UNWRITTEN))?;
    value.set_sensitive(true);
    Ok(value)
}

fn because<E: Into<BoxError>>(reason: &'static str) -> impl FnOnce(E) -> Wire {
    move |source| Wire::Authenticate {
        reason,
        source: Some(source.into()),
    }
}

const UNWRITTEN: &str = "the signature cannot be written";

impl fmt::Debug for HttpSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSignature")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
