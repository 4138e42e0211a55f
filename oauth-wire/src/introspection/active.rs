//! What an answer says of an active token (RFC 7662 §2.2).

use core::fmt;

use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::time::UnixTime;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Error, Introspection};
use crate::members::Members;
use crate::names::ScopeSet;

/// What `null` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Absent {
    /// Absent, as in every unsigned document.
    NullToo,
    /// A value of the wrong type, as in everything that is signed.
    NeverNull,
}

/// An active token, as its server describes it. Nothing of it is judged yet.
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
    /// `scope`. Absent where the answer has none.
    #[must_use]
    pub const fn scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// `client_id`: to whom the token was issued.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// `sub`: on whose behalf it was issued.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// `token_type`: how the token is presented, such as `Bearer` or `DPoP`.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// `jti`.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.jwt_id.as_deref()
    }

    /// `aud`. Empty where the answer has none, or an empty list.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// `exp`.
    #[must_use]
    pub const fn exp(&self) -> Option<NumericDate> {
        let [exp, ..] = self.times;
        exp
    }

    /// `nbf`.
    #[must_use]
    pub const fn nbf(&self) -> Option<NumericDate> {
        let [_, nbf, _] = self.times;
        nbf
    }

    /// `iat`.
    #[must_use]
    pub const fn iat(&self) -> Option<NumericDate> {
        let [.., iat] = self.times;
        iat
    }

    /// When it ends, where the answer says it.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.exp().map(Into::into)
    }

    /// Whether the answer was signed, and its signature verified (RFC 9701). Then a member that is
    /// `null` is not absent: it has the wrong type.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        matches!(self.absent, Absent::NeverNull)
    }

    /// All members as they came, one JSON object without a member that occurs twice: for `cnf`,
    /// `act`, `acr`, `auth_time`, `authorization_details` and others.
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

/// Reads the members of an answer. The text is one JSON object without a member that occurs twice.
pub(super) fn read(text: &str, absent: Absent) -> Result<Introspection, Error> {
    let reader = Reader {
        members: Members::of_document(text.as_bytes()).or(Err(Error::Member {
            member: "active",
            expected: "a member of an object",
        }))?,
        absent,
    };
    // Anything but the boolean does not count as `true` (RFC 7662 §2.2).
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

    /// A text; an empty one counts as absent.
    fn text(&self, member: &'static str) -> Result<Option<String>, Error> {
        let text: Option<String> = self.value(member, "a text")?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A text with scope tokens between blanks, or a list of scope tokens.
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
