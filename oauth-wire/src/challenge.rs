//! Challenges: what a server says in `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728
//! §5.1).

use core::fmt;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use crate::Error;
use crate::names::{Endpoint, Resource, ScopeSet, Transport};
use crate::token::sayable;

mod parse;

/// The most bytes of all fields that are read.
pub const MAX_CHALLENGE_BYTES: usize = 16 * 1024;
/// The most challenges that are read.
pub const MAX_CHALLENGES: usize = 16;
/// The most parameters of one challenge that are read.
pub const MAX_CHALLENGE_PARAMETERS: usize = 32;

/// All challenges of a response, in their order.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
/// use aims_oauth_wire::challenge::Challenges;
///
/// let mut headers = HeaderMap::new();
/// let value = r#"Negotiate a5==, Bearer error="invalid_token", scope="read write""#;
/// headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
/// let all = Challenges::parse(&headers)?;
/// let bearer = all.bearer().ok_or("no bearer")?;
/// assert_eq!(bearer.error(), Some("invalid_token"));
/// assert!(bearer.scope()?.is_some_and(|scope| scope.contains("write")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Challenges(Vec<Challenge>);

impl Challenges {
    /// Reads all `WWW-Authenticate` fields; none gives no challenge.
    ///
    /// # Errors
    ///
    /// `challenge.syntax`, `challenge.repeated`, `challenge.size`.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Error> {
        let fields = || headers.get_all(WWW_AUTHENTICATE).iter();
        if fields().map(HeaderValue::len).sum::<usize>() > MAX_CHALLENGE_BYTES {
            return Err(Error::ChallengeSize);
        }
        let mut all = Vec::new();
        for field in fields() {
            let text = core::str::from_utf8(field.as_bytes()).or(Err(Error::ChallengeSyntax))?;
            parse::field(text, &mut all)?;
        }
        Ok(Self(all))
    }

    /// The challenges in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Challenge> {
        self.0.iter()
    }

    /// The challenges of a scheme; its case does not matter.
    pub fn of<'a>(&'a self, scheme: &'a str) -> impl Iterator<Item = &'a Challenge> {
        self.iter().filter(move |it| it.is(scheme))
    }

    /// The first of the scheme `Bearer`.
    #[must_use]
    pub fn bearer(&self) -> Option<&Challenge> {
        self.iter().find(|it| it.is("Bearer"))
    }

    /// Where the metadata of the resource is said to be, with whatever scheme (PRM-02). Another
    /// party's word: what is found there has to name the resource that was asked for. Over http
    /// only where `requested` itself is on loopback.
    ///
    /// # Errors
    ///
    /// `oauth.endpoint` where it is no https URL.
    pub fn resource_metadata(&self, requested: &Resource) -> Result<Option<Endpoint>, Error> {
        let mut all = self.iter().filter_map(|it| it.get("resource_metadata"));
        let transport = Transport::of(requested.as_str());
        let found = all.next().map(|text| Endpoint::over(text, transport));
        found.transpose()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One challenge, read or to be written: a scheme with a token68 or with parameters, none of which
/// stands twice.
///
/// ```
/// use aims_oauth_wire::challenge::Challenge;
///
/// let challenge = Challenge::bearer()
///     .with_error("insufficient_scope")?
///     .with_scope(&"files:write".parse()?)?;
/// assert_eq!(challenge.to_string(), r#"Bearer error="insufficient_scope", scope="files:write""#);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    scheme: String,
    token68: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A challenge of the scheme `Bearer` (RFC 6750 §3).
    #[must_use]
    pub fn bearer() -> Self {
        Self::of_scheme("Bearer".to_owned())
    }

    /// A challenge of another scheme.
    ///
    /// # Errors
    ///
    /// `challenge.value` for what is no token.
    pub fn new(scheme: &str) -> Result<Self, Error> {
        if !parse::is_token(scheme) {
            return Err(Error::ChallengeValue {
                parameter: "scheme",
            });
        }
        Ok(Self::of_scheme(scheme.to_owned()))
    }

    const fn of_scheme(scheme: String) -> Self {
        Self {
            scheme,
            token68: None,
            parameters: Vec::new(),
        }
    }

    /// Adds `realm`.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    pub fn with_realm(self, realm: &str) -> Result<Self, Error> {
        self.with("realm", realm)
    }

    /// Adds `error`: `invalid_request`, `invalid_token`, `insufficient_scope` (BEAR-02).
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with); `challenge.value` for `"` and `\` too.
    pub fn with_error(self, error: &str) -> Result<Self, Error> {
        self.with_words("error", error)
    }

    /// Adds `error_description`. Words for a developer: nothing secret.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with); `challenge.value` for `"` and `\` too.
    pub fn with_error_description(self, words: &str) -> Result<Self, Error> {
        self.with_words("error_description", words)
    }

    /// Adds `scope`: what is needed. An empty set adds nothing.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    pub fn with_scope(self, scope: &ScopeSet) -> Result<Self, Error> {
        if scope.is_empty() {
            return Ok(self);
        }
        self.with("scope", &scope.to_string())
    }

    /// Adds `resource_metadata`: where the metadata of the resource is (RFC 9728 §5.1).
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    pub fn with_resource_metadata(self, url: &Endpoint) -> Result<Self, Error> {
        self.with("resource_metadata", url.as_str())
    }

    /// Adds another parameter: printable ASCII, escaped where needed.
    ///
    /// # Errors
    ///
    /// `challenge.value` for a name that is no token, and for other characters;
    /// `challenge.repeated`; `challenge.size` for more than [`MAX_CHALLENGE_PARAMETERS`] or a value
    /// of more than 4096 bytes.
    pub fn with(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let printable = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if !parse::is_token(name) || !printable || self.token68.is_some() {
            return Err(Error::ChallengeValue { parameter: name });
        }
        if value.len() > MAX_VALUE {
            return Err(Error::ChallengeSize);
        }
        self.push(name.to_ascii_lowercase(), value.to_owned())?;
        Ok(self)
    }

    fn with_words(self, name: &'static str, words: &str) -> Result<Self, Error> {
        if !sayable(words) {
            return Err(Error::ChallengeValue { parameter: name });
        }
        self.with(name, words)
    }

    fn push(&mut self, name: String, value: String) -> Result<(), Error> {
        if self.get(&name).is_some() {
            return Err(Error::ChallengeRepeated);
        }
        if self.parameters.len() == MAX_CHALLENGE_PARAMETERS {
            return Err(Error::ChallengeSize);
        }
        self.parameters.push((name, value));
        Ok(())
    }

    /// The scheme as it was written.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether it is of this scheme; case does not matter.
    #[must_use]
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The token68, of schemes such as `Negotiate`.
    #[must_use]
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// The value of a parameter, by its name in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// All parameters in their order, with names in lower case.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.parameters.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `error`.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.get("error")
    }

    /// `scope`: what is needed.
    ///
    /// # Errors
    ///
    /// `oauth.scope`
    pub fn scope(&self) -> Result<Option<ScopeSet>, Error> {
        self.get("scope").map(str::parse).transpose()
    }

    /// The value of the field.
    ///
    /// # Errors
    ///
    /// `challenge.value` for a challenge that was read with other characters than ASCII.
    pub fn to_header_value(&self) -> Result<HeaderValue, Error> {
        let refused = Error::ChallengeValue { parameter: "value" };
        let text = self.to_string();
        if !text.is_ascii() {
            return Err(refused);
        }
        HeaderValue::from_str(&text).or(Err(refused))
    }
}

impl fmt::Display for Challenge {
    /// As the field is written: every value quoted, `"` and `\` escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        if let Some(token) = &self.token68 {
            write!(f, " {token}")?;
        }
        for (index, (name, value)) in self.parameters().enumerate() {
            let before = if index == 0 { " " } else { ", " };
            write!(f, "{before}{name}=\"")?;
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

const MAX_VALUE: usize = 4096;
