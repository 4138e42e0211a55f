//! The members of an active token in an introspection answer (RFC 7662 §2.2).

use core::fmt;

use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::time::UnixTime;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Error, Introspection};
use crate::members::Members;
use crate::names::ScopeSet;

/// Selects how `null` is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Absent {
    /// `null` counts as absent, as in every unsigned document.
    NullToo,
    /// `null` is a value of the wrong type, as in everything that is signed.
    NeverNull,
}

/// An active token, as its authorization server describes it. Nothing is checked yet.
#[derive(Clone)]
pub struct ActiveToken {
    json: Box<str>,
    scopes: Option<ScopeSet>,
    client_id: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    token_type: Option<String>,
    jwt_id: Option<String>,
    audiences: Vec<String>,
    times: [Option<NumericDate>; 3],
    absent: Absent,
}

impl ActiveToken {
    /// Returns `scope`, or `None` if the answer has none.
    #[must_use]
    pub const fn scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// Returns `client_id`: the client to which the token was issued.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Returns `sub`: the subject that the token was issued for.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns `token_type`: how the token is presented, such as `Bearer` or `DPoP`.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// Returns `jti`.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.jwt_id.as_deref()
    }

    /// Returns `aud`. It is empty if the answer has none, or an empty list.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Returns `exp`.
    #[must_use]
    pub const fn exp(&self) -> Option<NumericDate> {
        let [exp, ..] = self.times;
        exp
    }

    /// Returns `nbf`.
    #[must_use]
    pub const fn nbf(&self) -> Option<NumericDate> {
        let [_, nbf, _] = self.times;
        nbf
    }

    /// Returns `iat`.
    #[must_use]
    pub const fn iat(&self) -> Option<NumericDate> {
        let [.., iat] = self.times;
        iat
    }

    /// Returns when the token expires, or `None` if the answer does not say.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.exp().map(Into::into)
    }

    /// Returns whether the answer was signed and its signature verified (RFC 9701).
    ///
    /// In a signed answer, a member that is `null` has the wrong type instead of counting as
    /// absent.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        matches!(self.absent, Absent::NeverNull)
    }

    /// Returns all members as one JSON object in which no member occurs twice. Use it for `cnf`,
    /// `act`, `acr`, `auth_time`, `authorization_details` and others.
    ///
    /// ```
    /// use aims_oauth_wire::introspection::ActiveToken;
    ///
    /// fn has_details(token: &ActiveToken) -> bool {
    ///     token.as_json().contains("\"authorization_details\"")
    /// }
    /// ```
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }
}

impl fmt::Debug for ActiveToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveToken")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

/// Reads the members of an answer. The text is one JSON object in which no member occurs twice.
pub(super) fn read(text: &str, absent: Absent) -> Result<Introspection, Error> {
    let reader = Reader {
        members: Members::of_document(text.as_bytes()).or(Err(Error::Member {
            member: "active",
            expected: "a member of an object",
        }))?,
        absent,
    };
    // Only the boolean `true` counts as active (RFC 7662 §2.2).
    match reader.value("active", "a boolean")? {
        Some(true) => {}
        Some(false) => return Ok(Introspection::Inactive),
        None => {
            return Err(Error::Member {
                member: "active",
                expected: "a boolean",
            });
        }
    }
    let audiences: Option<Audience<'_>> = reader.value("aud", "a text or a list of texts")?;
    let audiences = audiences.iter().flat_map(Audience::iter);
    let date = |name| reader.value::<NumericDate>(name, "seconds since 1970");
    Ok(Introspection::Active(Box::new(ActiveToken {
        scopes: reader.scopes()?,
        client_id: reader.text("client_id")?,
        subject: reader.text("sub")?,
        issuer: reader.text("iss")?,
        token_type: reader.text("token_type")?,
        jwt_id: reader.text("jti")?,
        audiences: audiences.map(str::to_owned).collect(),
        times: [date("exp")?, date("nbf")?, date("iat")?],
        json: text.into(),
        absent,
    })))
}

struct Reader<'a> {
    members: Members<'a>,
    absent: Absent,
}

impl<'a> Reader<'a> {
    fn value<T: Deserialize<'a>>(
        &self,
        member: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let raw = match self.absent {
            Absent::NullToo => self.members.raw(member),
            Absent::NeverNull => self.members.raw_or_null(member),
        };
        let value = raw.map(|raw| serde_json::from_str(raw.get()));
        value
            .transpose()
            .or(Err(Error::Member { member, expected }))
    }

    /// Reads a string. An empty one counts as absent.
    fn text(&self, member: &'static str) -> Result<Option<String>, Error> {
        let text: Option<String> = self.value(member, "a text")?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Reads a string with scope tokens separated by blanks, or a list of scope tokens.
    fn scopes(&self) -> Result<Option<ScopeSet>, Error> {
        let malformed = || Error::Member {
            member: "scope",
            expected: "scope tokens with blanks between, or a list of them",
        };
        let Some(raw) = self.value::<&RawValue>("scope", "a value")? else {
            return Ok(None);
        };
        let mut set = ScopeSet::new();
        let insert = |set: &mut ScopeSet, token: &str| {
            let token = token.parse().or(Err(malformed()))?;
            set.insert(token).or(Err(malformed()))
        };
        if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
            let tokens = text.split(' ').filter(|token| !token.is_empty());
            for token in tokens {
                insert(&mut set, token)?;
            }
            return Ok(Some(set));
        }
        let list: Vec<String> = serde_json::from_str(raw.get()).or(Err(malformed()))?;
        for token in &list {
            insert(&mut set, token)?;
        }
        Ok(Some(set))
    }
}
