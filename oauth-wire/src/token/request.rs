//! Token requests (RFC 6749 §4).

use core::{fmt, mem};

use aims_jose::secret::SecretText;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::introspection::{AnswerForm, SIGNED};
use crate::names::{Endpoint, Resource, ScopeSet};
use crate::{Error, media, shown};

/// The parameters of a token request. Only `resource` and `audience` may be repeated. `Debug` hides
/// the values.
///
/// ```
/// use aims_oauth_wire::token::TokenRequest;
///
/// let mut request = TokenRequest::new("client_credentials")?;
/// request.resource(&"https://tools.example/mcp".parse()?)?;
/// request.scope(&"read".parse()?)?;
/// let request = request.into_http(&"https://as.example/token".parse()?)?;
/// assert_eq!(
///     String::from_utf8_lossy(request.body()),
///     "grant_type=client_credentials&resource=https%3A%2F%2Ftools.example%2Fmcp&scope=read",
/// );
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[must_use = "nothing is asked for until the request is sent"]
pub struct TokenRequest {
    parameters: Vec<(String, SecretText)>,
    headers: HeaderMap,
    /// The media types of the answer.
    accept: &'static str,
    /// The endpoint that it goes to, if that is known.
    endpoint: Option<Endpoint>,
    /// Whether the whole request was signed, so that nothing in it may change.
    is_sealed: bool,
}

impl TokenRequest {
    /// Creates a token request with a grant type.
    ///
    /// # Errors
    ///
    /// `oauth.request` if the grant type is empty.
    pub fn new(grant_type: &str) -> Result<Self, Error> {
        let mut request = Self::empty(media::JSON);
        request.parameter("grant_type", grant_type)?;
        Ok(request)
    }

    /// Creates a form without a grant type, for another endpoint that authenticates clients: pushed
    /// authorization requests (RFC 9126), device authorization (RFC 8628), CIBA or revocation (RFC
    /// 7009).
    pub fn form() -> Self {
        Self::empty(media::JSON)
    }

    /// Removes every value of a parameter, for a server that does not accept it.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.parameters.retain(|(own, _)| own != name);
        self
    }

    /// Creates the request that asks an introspection endpoint about an access token (RFC 7662
    /// §2.1), for an answer of this form. The resource server authenticates it like a token
    /// request.
    ///
    /// # Errors
    ///
    /// `oauth.request` for an empty token.
    pub fn introspect(token: SecretText, answer: AnswerForm) -> Result<Self, Error> {
        let mut request = Self::empty(match answer {
            AnswerForm::Json => media::JSON,
            AnswerForm::Signed => SIGNED,
        });
        request.parameter("token", token)?;
        request.parameter("token_type_hint", "access_token")?;
        Ok(request)
    }

    fn empty(accept: &'static str) -> Self {
        Self {
            parameters: Vec::new(),
            headers: HeaderMap::new(),
            accept,
            endpoint: None,
            is_sealed: false,
        }
    }

    /// Names the endpoint that the request goes to. Client authentication that signs the whole
    /// request needs it.
    pub fn for_endpoint(mut self, endpoint: &Endpoint) -> Self {
        self.endpoint = Some(endpoint.clone());
        self
    }

    /// Returns the HTTP request as it is now, for client authentication that signs the whole
    /// request. [`seal`](Self::seal) adds the signature.
    ///
    /// # Errors
    ///
    /// `oauth.request` if its endpoint is not [known](Self::for_endpoint); `oauth.endpoint` as for
    /// [`into_http`](Self::into_http).
    pub fn to_sign(&self) -> Result<Request<Vec<u8>>, Error> {
        let endpoint = self.endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| fail("the endpoint to sign for is not known"))?;
        self.http(endpoint, self.headers.clone())
    }

    /// Adds the header fields of a signature over the whole request. Nothing can be added
    /// afterwards.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if the request has one of the fields.
    pub fn seal(&mut self, fields: HeaderMap) -> Result<&mut Self, Error> {
        if fields.keys().any(|name| self.headers.contains_key(name)) {
            return Err(Error::Repeated);
        }
        self.headers.extend(fields);
        self.is_sealed = true;
        Ok(self)
    }

    /// Adds a resource that the token is for (RFC 8707 §2). May be repeated for other resources.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if the same resource was added before.
    pub fn resource(&mut self, resource: &Resource) -> Result<&mut Self, Error> {
        self.push_distinct("resource", resource.as_str())
    }

    /// Adds the name of a service that the token is for (RFC 8693 §2.1). May be repeated for other
    /// names.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if the same name was added before; `oauth.request` if it is empty.
    pub fn audience(&mut self, audience: &str) -> Result<&mut Self, Error> {
        self.push_distinct("audience", audience)
    }

    /// Sets the scope. An empty set adds nothing.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if the scope is set already.
    pub fn scope(&mut self, scope: &ScopeSet) -> Result<&mut Self, Error> {
        if scope.is_empty() {
            return Ok(self);
        }
        self.parameter("scope", scope.to_string())
    }

    /// Sets any other parameter.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if it is set already; `oauth.request` if the name or value is empty, and
    /// for `resource` and `audience`.
    pub fn parameter(
        &mut self,
        name: &str,
        value: impl Into<SecretText>,
    ) -> Result<&mut Self, Error> {
        if matches!(name, "resource" | "audience") {
            return Err(fail("`resource` and `audience` have methods of their own"));
        }
        if self.has(name) {
            return Err(Error::Repeated);
        }
        self.push(name, value.into())
    }

    /// Sets a header field of the request, such as `authorization`.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if it is set already; `oauth.request` for `accept` and `content-type`,
    /// which this type sets.
    pub fn header(&mut self, name: HeaderName, value: HeaderValue) -> Result<&mut Self, Error> {
        if name == ACCEPT || name == CONTENT_TYPE {
            return Err(fail("a field that is set already"));
        }
        if self.headers.contains_key(&name) {
            return Err(Error::Repeated);
        }
        self.expect_unsealed()?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Returns whether a parameter is set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(own, _)| own == name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(own, _)| own == name)
            .map(|(_, value)| value.expose())
    }

    /// Returns whether a header field is set.
    #[must_use]
    pub fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    pub(crate) fn get_header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// Returns the HTTP request. Its body and header fields may contain secrets, so drop it after
    /// sending.
    ///
    /// # Errors
    ///
    /// `oauth.endpoint` if the endpoint cannot be the URI of an HTTP request; `oauth.request` if
    /// the request was signed for another one.
    pub fn into_http(mut self, endpoint: &Endpoint) -> Result<Request<Vec<u8>>, Error> {
        let is_other = self.endpoint.as_ref().is_some_and(|own| own != endpoint);
        if self.is_sealed && is_other {
            return Err(fail("the request was signed for another endpoint"));
        }
        let headers = mem::take(&mut self.headers);
        self.http(endpoint, headers)
    }

    fn http(&self, endpoint: &Endpoint, headers: HeaderMap) -> Result<Request<Vec<u8>>, Error> {
        let uri = endpoint
            .as_str()
            .parse()
            .map_err(|_invalid| Error::Endpoint {
                found: shown::identifier(endpoint.as_str()),
                reason: "HTTP cannot express it",
            })?;
        let mut body = self.body();
        let mut request = Request::new(mem::take(&mut *body).into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::FORM));
        headers.insert(ACCEPT, HeaderValue::from_static(self.accept));
        Ok(request)
    }

    /// Writes the body. The buffer has its full size from the start, because a buffer that grows
    /// leaves copies of secrets in memory.
    fn body(&self) -> Zeroizing<String> {
        let escaped = |text: &str| text.len().saturating_mul(3).saturating_add(1);
        let pairs = self.parameters.iter();
        let most = pairs.map(|(name, value)| escaped(name).saturating_add(escaped(value.expose())));
        let most = most.fold(0, usize::saturating_add);
        let mut body = Zeroizing::new(String::with_capacity(most));
        let mut writer = Serializer::new(&mut *body);
        for (name, value) in &self.parameters {
            writer.append_pair(name, value.expose());
        }
        writer.finish();
        body
    }

    fn push_distinct(&mut self, name: &str, value: &str) -> Result<&mut Self, Error> {
        let same = |(own, text): &(String, SecretText)| own == name && *text == *value;
        if self.parameters.iter().any(same) {
            return Err(Error::Repeated);
        }
        self.push(name, value.into())
    }

    fn push(&mut self, name: &str, value: SecretText) -> Result<&mut Self, Error> {
        if name.is_empty() || value.is_empty() {
            return Err(fail("a parameter without a name or a value"));
        }
        self.expect_unsealed()?;
        self.parameters.push((name.to_owned(), value));
        Ok(self)
    }
}

impl TokenRequest {
    /// A signature covers the body, so a parameter after it would break it.
    fn expect_unsealed(&self) -> Result<(), Error> {
        if self.is_sealed {
            return Err(fail("the request is signed already"));
        }
        Ok(())
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("TokenRequest")
            .field("parameters", &self.parameters)
            .field("headers", &headers)
            .finish()
    }
}

fn fail(reason: &'static str) -> Error {
    Error::Request { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffer must not grow, because a grown buffer leaves a copy of the assertion in memory.
    #[test]
    fn the_body_does_not_grow() -> Result<(), Error> {
        let mut request = TokenRequest::new("client_credentials")?;
        request.parameter("client_assertion", "a.b+c/d=".repeat(500))?;
        let (names, values) = (
            "grant_typeclient_assertion",
            "client_credentials".len() + 4_000,
        );
        let most = 3 * (names.len() + values) + 4;
        assert_eq!(request.body().capacity(), most);
        Ok(())
    }
}
