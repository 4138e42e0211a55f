//! Signs an `http::Request` in one call.

use aims_jose::key::Signer;
use aims_jose::random;
use aims_jose::time::UnixTime;
use http::header::{HeaderName, HeaderValue};
use http::{Request, request};

use crate::digest::ContentDigest;
use crate::{Component, Error, Exchange, HttpRequest, Signing};

/// Signs a request with its content, as it is to be sent (RFC 9421 §3.1).
///
/// If the body is not empty, it sets `Content-Digest` and covers it in addition to the components
/// of `signing`. Then it adds `Signature-Input` and `Signature`.
///
/// ```
/// use aims_http_sig::{Component, Signing, sign_request};
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, time::UnixTime};
///
/// let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
/// let covered = [Component::METHOD, Component::TARGET_URI];
/// let signing = Signing::new("sig1").covering(covered).with_created().with_random_nonce();
///
/// let mut request = http::Request::post("https://tools.example/pay").body("{}")?;
/// sign_request(&mut request, &signing.with_key_id("payer-1"), &key, UnixTime::now())?;
/// assert!(request.headers().contains_key("signature"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Receivers of this crate require `created`. The function does not add it by itself: call
/// [`Signing::with_created`].
///
/// # Errors
///
/// `sig.target` for a URI that is not absolute; the errors of [`Signing::prepare`], of the key and
/// of [`SignatureFields::apply`](crate::SignatureFields::apply). On an error the request is
/// unchanged.
pub fn sign_request<B: AsRef<[u8]>>(
    request: &mut Request<B>,
    signing: &Signing,
    signer: &dyn Signer,
    now: UnixTime,
) -> Result<(), Error> {
    let mut head = head_of(request);
    let mut signing = signing.clone();
    let digest = HeaderName::from_static(ContentDigest::FIELD);
    head.headers.remove(&digest);
    let content = request.body().as_ref();
    if !content.is_empty() {
        let value = HeaderValue::try_from(ContentDigest::of(content).to_string());
        let value = value.or(Err(Error::HeadersFull))?;
        let inserted = head.headers.try_insert(digest, value);
        inserted.or(Err(Error::HeadersFull))?;
        let component = Component::field(ContentDigest::FIELD)?;
        if !signing.covers(&component) {
            signing = signing.covering([component]);
        }
    }
    let message = HttpRequest::to_send(&head)?;
    let prepared = signing.prepare(&Exchange::of(&message), random::SYSTEM, now)?;
    prepared.sign(signer)?.apply(&mut head.headers)?;
    *request.headers_mut() = head.headers;
    Ok(())
}

fn head_of<B>(request: &Request<B>) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    head
}
