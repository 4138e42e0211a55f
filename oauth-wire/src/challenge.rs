//! Challenges: reads and writes `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

use core::fmt;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use crate::names::{Endpoint, Resource, ScopeSet, Transport};
use crate::token::sayable;
use crate::{Diagnostic, Error};

mod parse;
mod step_up;

pub use step_up::StepUp;

/// The maximum size of all `WWW-Authenticate` fields together, in bytes.
pub const MAX_CHALLENGE_BYTES: usize = 16 * 1024;
/// The maximum number of challenges that are read.
pub const MAX_CHALLENGES: usize = 16;
/// The maximum number of resource metadata URLs in one response.
pub const MAX_RESOURCE_METADATA: usize = 2;
/// The maximum number of parameters that are read in one challenge.
pub const MAX_CHALLENGE_PARAMETERS: usize = 32;

/// All challenges of a response, in order.
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
pub struct Challenges {
    all: Vec<Challenge>,
    diagnostics: Vec<Diagnostic>,
}

impl Challenges {
    /// Reads all `WWW-Authenticate` fields. Without such a field the result is empty.
    ///
    /// Challenges and parameters are read one by one: a malformed one is skipped, and the others
    /// are unaffected. Values need no quotes. A parameter that occurs with different values counts
    /// as absent, except `resource_metadata`, of which two values are kept.
    ///
    /// # Errors
    ///
    /// `challenge.syntax` if no challenge can be read; `challenge.size` if one of the limits of
    /// this module is exceeded.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Error> {
        let fields = || headers.get_all(WWW_AUTHENTICATE).iter();
        if fields().map(HeaderValue::len).sum::<usize>() > MAX_CHALLENGE_BYTES {
            return Err(Error::ChallengeSize);
        }
        let mut read = Self::default();
        for field in fields() {
            let text = String::from_utf8_lossy(field.as_bytes());
            parse::field(&text, &mut read.all, &mut read.diagnostics)?;
        }
        if read.all.is_empty() && !read.diagnostics.is_empty() {
            return Err(Error::ChallengeSyntax);
        }
        Ok(read)
    }

    /// Returns what was ignored or skipped.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Iterates over the challenges in order.
    pub fn iter(&self) -> impl Iterator<Item = &Challenge> {
        self.all.iter()
    }

    /// Iterates over the challenges of a scheme. Case is ignored.
    pub fn of<'a>(&'a self, scheme: &'a str) -> impl Iterator<Item = &'a Challenge> {
        self.iter().filter(move |it| it.is(scheme))
    }

    /// Returns the first challenge of the scheme `Bearer`.
    #[must_use]
    pub fn bearer(&self) -> Option<&Challenge> {
        self.iter().find(|it| it.is("Bearer"))
    }

    /// Returns the first URL of [`resource_metadata_places`](Self::resource_metadata_places), or
    /// `None` if the challenges name none.
    ///
    /// # Errors
    ///
    /// `oauth.endpoint` if URLs are named but none of them is usable.
    pub fn resource_metadata(&self, requested: &Resource) -> Result<Option<Endpoint>, Error> {
        let mut found = Ok(None);
        for place in self.places(requested) {
            match place {
                Ok(url) => return Ok(Some(url)),
                Err(error) if found.is_ok() => found = Err(error),
                Err(_) => {}
            }
        }
        found
    }

    /// Returns the URLs of the resource's metadata that challenges of any scheme name (RFC 9728
    /// §5.1): at most [`MAX_RESOURCE_METADATA`], in the order in which to try them.
    ///
    /// The URLs are not trusted: accept a document only if it names the resource that was
    /// requested. Plain `http` is accepted only if `requested` itself is on loopback. Other URLs
    /// that are not `https` are left out.
    ///
    /// ```
    /// use aims_oauth_wire::challenge::Challenges;
    /// use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
    ///
    /// let url = "https://tools.example/.well-known/oauth-protected-resource/mcp";
    /// let mut headers = HeaderMap::new();
    /// let value = format!(r#"Bearer resource_metadata="{url}""#);
    /// headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(&value)?);
    /// let tool = "https://tools.example/mcp".parse()?;
    /// let places = Challenges::parse(&headers)?.resource_metadata_places(&tool);
    /// assert_eq!(places.first().map(|it| it.as_str()), Some(url));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn resource_metadata_places(&self, requested: &Resource) -> Vec<Endpoint> {
        let mut places = Vec::new();
        for url in self.places(requested).flatten() {
            if places.len() < MAX_RESOURCE_METADATA && !places.contains(&url) {
                places.push(url);
            }
        }
        places
    }

    fn places(&self, requested: &Resource) -> impl Iterator<Item = Result<Endpoint, Error>> {
        let transport = Transport::of(requested.as_str());
        let all = self.iter().flat_map(Challenge::parameters);
        let named = all.filter(|(name, _)| *name == RESOURCE_METADATA);
        named.map(move |(_, text)| {
            // Some servers write single quotes, which RFC 9110 makes a part of the value.
            let bare = text.strip_prefix('\'').and_then(|it| it.strip_suffix('\''));
            Endpoint::over(bare.unwrap_or(text), transport)
        })
    }

    /// Returns whether there is no challenge.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// One challenge: a scheme with a token68 or with parameters.
///
/// No parameter occurs twice, except `resource_metadata` in a challenge that was read.
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
    /// Creates a challenge of the scheme `Bearer` (RFC 6750 §3).
    #[must_use]
    pub fn bearer() -> Self {
        Self::of_scheme("Bearer".to_owned())
    }

    /// Creates a challenge of any scheme.
    ///
    /// # Errors
    ///
    /// `challenge.value` if the scheme is not a token (RFC 9110 §5.6.2).
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
    /// Those of [`with`](Self::with).
    pub fn with_realm(self, realm: &str) -> Result<Self, Error> {
        self.with("realm", realm)
    }

    /// Adds `error`: `invalid_request`, `invalid_token`, `insufficient_scope` (RFC 6750 §3.1).
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with), and `challenge.value` for `"` and `\`.
    pub fn with_error(self, error: &str) -> Result<Self, Error> {
        self.with_words("error", error)
    }

    /// Adds `error_description`, a text for developers. It must not contain secrets.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with), and `challenge.value` for `"` and `\`.
    pub fn with_error_description(self, words: &str) -> Result<Self, Error> {
        self.with_words("error_description", words)
    }

    /// Adds `scope`, the required scopes. An empty set adds nothing.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with).
    pub fn with_scope(self, scope: &ScopeSet) -> Result<Self, Error> {
        if scope.is_empty() {
            return Ok(self);
        }
        self.with("scope", &scope.to_string())
    }

    /// Adds `resource_metadata`, the URL of the resource's metadata (RFC 9728 §5.1).
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with).
    pub fn with_resource_metadata(self, url: &Endpoint) -> Result<Self, Error> {
        self.with(RESOURCE_METADATA, url.as_str())
    }

    /// Adds a parameter. The value is printable ASCII and is escaped if necessary.
    ///
    /// # Errors
    ///
    /// - `challenge.value` if the name is not a token or the value has other characters.
    /// - `challenge.repeated` if the parameter is there already.
    /// - `challenge.size` for more than [`MAX_CHALLENGE_PARAMETERS`] parameters or a value of more
    ///   than 4096 bytes.
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

    /// Returns the scheme as it was written.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns whether the challenge has this scheme. Case is ignored.
    #[must_use]
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// Returns the token68, which schemes such as `Negotiate` use.
    #[must_use]
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// Returns the value of a parameter, by its name in lower case. Of `resource_metadata`, it
    /// returns the first one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Iterates over all parameters in order, with names in lower case.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.parameters.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns `error`.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.get("error")
    }

    /// Returns `scope`, the required scopes.
    ///
    /// # Errors
    ///
    /// `oauth.scope` if the value is not a list of scopes.
    pub fn scope(&self) -> Result<Option<ScopeSet>, Error> {
        self.get("scope").map(str::parse).transpose()
    }

    /// Returns the challenge as a header value.
    ///
    /// # Errors
    ///
    /// `challenge.value` if the challenge was read and has characters other than ASCII.
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
    /// Writes the challenge in the syntax of the header field: every value quoted, `"` and `\`
    /// escaped.
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
const RESOURCE_METADATA: &str = "resource_metadata";
