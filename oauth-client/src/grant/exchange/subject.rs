//! The tokens that a client presents in a token exchange (RFC 8693 §2.1).

use std::sync::Arc;

use aims_jose::digest::Fingerprint;
use aims_jose::time::UnixTime;
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::TokenRequest;
use aims_oauth_wire::transaction::{CarriedTransaction, TRANSACTION_TOKEN};

use super::judge::Answer;
use super::{ACCESS_TOKEN, Secret};
use crate::Token;

const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const SAML1: &str = "urn:ietf:params:oauth:token-type:saml1";
const SAML2: &str = "urn:ietf:params:oauth:token-type:saml2";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const SELF_SIGNED: &str = "urn:ietf:params:oauth:token-type:self_signed";
const UNSIGNED_JSON: &str = "urn:ietf:params:oauth:token-type:unsigned_json";

/// The token of the party in whose name the new token is requested. `Debug` shows its fingerprint.
#[derive(Clone, Debug)]
pub struct SubjectToken {
    text: Text,
    kind: Box<str>,
    /// The end of the token and its scopes, if the server stated them.
    pub(super) expires: Option<UnixTime>,
    pub(super) scopes: Option<ScopeSet>,
}

/// The text of a subject token.
#[derive(Clone, Debug)]
enum Text {
    /// One that the program has.
    Own(Secret),
    /// One that a request brought. Only an exchange can present it.
    Inbound(Arc<InboundToken>),
    /// A transaction token, of this program or of a request.
    Transaction(CarriedTransaction),
}

/// The token of the party that acts for the subject, such as an access token or an identity token
/// of the agent. `Debug` shows its fingerprint.
#[derive(Clone, Debug)]
pub struct ActorToken {
    text: Secret,
    kind: Box<str>,
    pub(super) subject: Option<Box<str>>,
}

impl SubjectToken {
    /// Presents an access token of this client.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self {
            expires: Some(token.expires()),
            scopes: Some(token.scopes().clone()),
            ..Self::other(ACCESS_TOKEN, token.text.clone())
        }
    }

    /// Presents the ID token that the server gave with this token. Returns `None` if it gave none.
    #[must_use]
    pub fn id_token_of(token: &Token) -> Option<Self> {
        token.id_token().cloned().map(Self::id_token)
    }

    /// Presents the refresh token that the server gave with this token. Returns `None` if it gave
    /// none.
    #[must_use]
    pub fn refresh_token_of(token: &Token) -> Option<Self> {
        let text = token.refresh_token().cloned()?;
        Some(Self::other(REFRESH_TOKEN, text))
    }

    /// Presents the access token of a request that this program received as a resource server.
    ///
    /// `Principal::inbound_token` of the crate `aims` returns it. It is the way to call another
    /// service for the same user: the token itself is for this service alone.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims_oauth_client::{Impersonation, SubjectToken, Target};
    /// use aims_oauth_wire::InboundToken;
    ///
    /// fn call_on(inbound: &Arc<InboundToken>) -> Result<Impersonation, aims_oauth_wire::Error> {
    ///     let next = Target::new("https://next.example/mcp".parse()?, "read".parse()?);
    ///     Ok(Impersonation::new(SubjectToken::inbound(Arc::clone(inbound)), next))
    /// }
    /// ```
    #[must_use]
    pub fn inbound(token: Arc<InboundToken>) -> Self {
        Self {
            text: Text::Inbound(token),
            kind: ACCESS_TOKEN.into(),
            expires: None,
            scopes: None,
        }
    }

    /// Presents a transaction token, for its replacement or at the border of its trust domain.
    #[must_use]
    pub fn transaction(token: &CarriedTransaction) -> Self {
        Self {
            text: Text::Transaction(token.clone()),
            kind: TRANSACTION_TOKEN.into(),
            expires: None,
            scopes: None,
        }
    }

    /// Presents a JWT that this workload has signed itself, where a transaction begins without an
    /// access token (draft-ietf-oauth-transaction-tokens §11.1). The service must list this
    /// client.
    #[must_use]
    pub fn self_signed(text: impl Into<Secret>) -> Self {
        Self::other(SELF_SIGNED, text)
    }

    /// Presents a JSON object with `sub`, where a transaction begins without any token
    /// (draft-ietf-oauth-transaction-tokens §11.1). The service must list this client.
    #[must_use]
    pub fn unsigned_json(text: impl Into<Secret>) -> Self {
        Self::other(UNSIGNED_JSON, text)
    }

    /// Presents an access token.
    #[must_use]
    pub fn access_token(text: impl Into<Secret>) -> Self {
        Self::other(ACCESS_TOKEN, text)
    }

    /// Presents an ID token.
    #[must_use]
    pub fn id_token(text: impl Into<Secret>) -> Self {
        Self::other(ID_TOKEN, text)
    }

    /// Presents a SAML 2 assertion, which is passed on unread: base64url of its XML (RFC 8693 §3).
    #[must_use]
    pub fn saml2(text: impl Into<Secret>) -> Self {
        Self::other(SAML2, text)
    }

    /// Presents a SAML 1.1 assertion, which is passed on unread.
    #[must_use]
    pub fn saml1(text: impl Into<Secret>) -> Self {
        Self::other(SAML1, text)
    }

    /// Presents a JWT of any other kind.
    #[must_use]
    pub fn jwt(text: impl Into<Secret>) -> Self {
        Self::other(JWT, text)
    }

    /// Presents a token of this type, a URI (RFC 8693 §3).
    #[must_use]
    pub fn other(kind: impl Into<Box<str>>, text: impl Into<Secret>) -> Self {
        Self {
            text: Text::Own(text.into()),
            kind: kind.into(),
            expires: None,
            scopes: None,
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match &self.text {
            Text::Own(text) => text.fingerprint(),
            Text::Inbound(token) => token.fingerprint(),
            Text::Transaction(token) => token.fingerprint(),
        }
    }

    /// Returns whether the token says that it has expired.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_expired(&self, now: UnixTime) -> bool {
        let stated = self.read().and_then(|it| it.expires());
        self.expires.or(stated).is_some_and(|end| end <= now)
    }

    pub(super) fn is_refresh_token(&self) -> bool {
        &*self.kind == REFRESH_TOKEN
    }

    pub(super) fn is_id_token(&self) -> bool {
        &*self.kind == ID_TOKEN
    }

    pub(super) fn is_transaction(&self) -> bool {
        &*self.kind == TRANSACTION_TOKEN
    }

    /// Reads the token, if it is a JWT.
    pub(super) fn read(&self) -> Option<Answer> {
        match &self.text {
            Text::Own(text) => Answer::read(text),
            Text::Inbound(token) => {
                let (typ, payload) = token.unverified_claims()?;
                Answer::of(typ.as_deref(), payload)
            }
            Text::Transaction(token) => {
                Answer::of(Some("txntoken+jwt"), token.unverified_claims()?)
            }
        }
    }

    pub(super) fn write(&self, request: &mut TokenRequest) -> Result<(), aims_oauth_wire::Error> {
        match &self.text {
            Text::Own(text) => {
                request.parameter("subject_token", text.clone())?;
                request.parameter("subject_token_type", &*self.kind)?;
            }
            Text::Inbound(token) => {
                request.subject_token(token)?;
            }
            Text::Transaction(token) => {
                request.transaction_token(token)?;
            }
        }
        Ok(())
    }
}

impl ActorToken {
    /// Presents an access token of this client.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self::other(ACCESS_TOKEN, token.text.clone())
    }

    /// Presents a JWT, such as a workload identity token.
    #[must_use]
    pub fn jwt(text: impl Into<Secret>) -> Self {
        Self::other(JWT, text)
    }

    /// Presents a token of this type, a URI (RFC 8693 §3).
    #[must_use]
    pub fn other(kind: impl Into<Box<str>>, text: impl Into<Secret>) -> Self {
        Self {
            text: text.into(),
            kind: kind.into(),
            subject: None,
        }
    }

    /// Sets the name of the actor, which `act.sub` of the answer must have. Without it, any `act`
    /// is accepted that the token of a JWT actor does not contradict.
    #[must_use]
    pub fn named(mut self, subject: impl Into<Box<str>>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Returns what tells two actors apart: the token, its type and the expected name.
    pub(super) fn identity(&self) -> (String, &str, Option<&str>) {
        let token = self.text.fingerprint().to_string();
        (token, &self.kind, self.subject.as_deref())
    }

    pub(super) fn text(&self) -> &Secret {
        &self.text
    }

    pub(super) fn write(&self, request: &mut TokenRequest) -> Result<(), aims_oauth_wire::Error> {
        request.parameter("actor_token", self.text.clone())?;
        request.parameter("actor_token_type", &*self.kind)?;
        Ok(())
    }
}
