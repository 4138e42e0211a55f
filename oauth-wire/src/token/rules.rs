//! The rules by which a client reads a token response.

use aims_jose::secret::SecretText;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

/// Rules for reading a token response.
///
/// By default they accept what RFC 6749 §5.1 permits, and spellings that do not change its meaning.
/// Each method that starts with `accept` relaxes one rule for a server that needs it.
///
/// ```
/// use aims_oauth_wire::token::{ResponseRules, TokenRequest};
///
/// let mut request = TokenRequest::new("client_credentials")?;
/// request.parameter("client_secret", "hunter2")?;
/// let request = request.into_http(&"https://as.example/token".parse()?)?;
/// let rules = ResponseRules::new().after(&request).accept_commas_in_scope();
/// # let _ = rules;
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResponseRules {
    pub(super) has_commas: bool,
    pub(super) is_bearer_by_default: bool,
    pub(super) is_bound: bool,
    pub(super) secrets: Vec<SecretText>,
}

impl ResponseRules {
    /// Creates the default rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the request that the response answers.
    ///
    /// No error message that quotes the response shows the secrets of this request. If the request
    /// has a DPoP proof, the response must have a `token_type`.
    #[must_use]
    pub fn after(mut self, request: &Request<Vec<u8>>) -> Self {
        self.is_bound |= request.headers().contains_key("dpop");
        let form = url::form_urlencoded::parse(request.body());
        let values = form.filter(|(name, _)| !PLAIN_PARAMETERS.contains(&&**name));
        let values = values.map(|(_, value)| value.into_owned());
        self.secrets.extend(values.map(SecretText::new));
        for (name, value) in request.headers() {
            let Ok(text) = value.to_str() else { continue };
            if name == ACCEPT || name == CONTENT_TYPE {
                continue;
            }
            self.secrets.push(text.into());
            if name == AUTHORIZATION {
                self.credentials(text);
            }
        }
        self.secrets.retain(|it| !it.is_empty());
        self
    }

    /// States that the client presented a certificate with the request. The response must then have
    /// a `token_type`.
    #[must_use]
    pub const fn after_client_certificate(mut self) -> Self {
        self.is_bound = true;
        self
    }

    /// Accepts commas between scopes, for a server that writes `repo,read:org`.
    #[must_use]
    pub const fn accept_commas_in_scope(mut self) -> Self {
        self.has_commas = true;
        self
    }

    /// Accepts a response without `token_type` as one with a bearer token.
    ///
    /// It has no effect after a DPoP proof or a client certificate, because such a response could
    /// turn a bound token into an unbound one.
    #[must_use]
    pub const fn accept_missing_token_type(mut self) -> Self {
        self.is_bearer_by_default = true;
        self
    }

    /// Adds the secrets in `Authorization`: what follows the scheme, and the password of `Basic`.
    fn credentials(&mut self, text: &str) {
        let Some((scheme, credentials)) = text.split_once(' ') else {
            return;
        };
        self.secrets.push(credentials.trim().into());
        if !scheme.eq_ignore_ascii_case("basic") {
            return;
        }
        let decoded = STANDARD.decode(credentials.trim()).unwrap_or_default();
        let decoded = String::from_utf8(decoded).map(SecretText::new);
        let password = decoded
            .as_ref()
            .ok()
            .and_then(|it| it.expose().split_once(':'));
        if let Some((_, password)) = password {
            // The password is encoded as in a form (RFC 6749 §2.3.1).
            let pair = ["p=", password].concat();
            let plain = url::form_urlencoded::parse(pair.as_bytes()).next();
            let plain = plain.map(|(_, value)| SecretText::new(value.into_owned()));
            self.secrets.extend(plain);
            self.secrets.push(password.into());
        }
    }
}

/// The parameters whose values are not secret.
const PLAIN_PARAMETERS: [&str; 20] = [
    "acr_values",
    "actor_token_type",
    "audience",
    "authorization_details",
    "binding_message",
    "client_assertion_type",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "grant_type",
    "max_age",
    "prompt",
    "redirect_uri",
    "requested_expiry",
    "requested_token_type",
    "resource",
    "response_type",
    "scope",
    "subject_token_type",
];
