//! Challenges: what a server says in `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728
//! §5.1).

use core::fmt;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use crate::names::{Endpoint, Resource, ScopeSet, Transport};
use crate::token::sayable;
use crate::{Diagnostic, Error};

mod parse;

/// The most bytes of all fields that are read.
pub const MAX_CHALLENGE_BYTES: usize = 16 * 1024;
/// The most challenges that are read.
pub const MAX_CHALLENGES: usize = 16;
/// The most places of resource metadata that one answer may name.
pub const MAX_RESOURCE_METADATA: usize = 2;
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
pub struct Challenges {
    all: Vec<Challenge>,
    diagnostics: Vec<Diagnostic>,
}

impl Challenges {
    /// Reads all `WWW-Authenticate` fields; none gives no challenge.
    ///
    /// Each challenge and each parameter is read by itself: a malformed one costs only itself.
    /// Values need no quotes. A parameter that occurs with different values counts as absent, apart
    /// from `resource_metadata`, of which two are kept.
    ///
    /// # Errors
    ///
    /// `challenge.syntax` if no challenge can be read; `challenge.size`.
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

    /// What was ignored or skipped.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The challenges in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Challenge> {
        self.all.iter()
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

    /// The first place where the metadata of the resource is said to be:
    /// [`resource_metadata_places`](Self::resource_metadata_places).
    ///
    /// # Errors
    ///
    /// `oauth.endpoint` where none that is named is usable.
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

    /// Where the metadata of the resource is said to be, with whatever scheme (RFC 9728 §5.1): at
    /// most [`MAX_RESOURCE_METADATA`] places, in their order, to be tried in turn.
    ///
    /// They are another party's word: a document counts only if it names the resource that was
    /// requested. Over http only where `requested` itself is on loopback. Places that are not https
    /// are left out.
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

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// One challenge, read or to be written: a scheme with a token68 or with parameters. No parameter
/// occurs twice, apart from `resource_metadata` in a challenge that was read.
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

    /// Adds `error`: `invalid_request`, `invalid_token`, `insufficient_scope` (RFC 6750 §3.1).
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
        self.with(RESOURCE_METADATA, url.as_str())
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

    /// The value of a parameter, by its name in lower case; the first one of `resource_metadata`.
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
const RESOURCE_METADATA: &str = "resource_metadata";
