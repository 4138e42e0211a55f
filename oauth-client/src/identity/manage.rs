//! The management of a registration (RFC 7592).

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::token::ResponseRules;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::register::{refused, request, unusable};
use super::{ClientMetadata, Registered};
use crate::{Error, Event, Flow, Step};

/// One request to the client configuration endpoint as a [`Flow`] (RFC 7592 §2).
///
/// The result is the registration as it is now, or `None` after its deletion. An answer may replace
/// the secret and the registration access token, and the old ones then end: store the result before
/// it is used. A [`Connector`](crate::Connector) with a store does so.
///
/// ```
/// use aims_fetch::Fetch;
/// use aims_jose::time::SystemClock;
/// use aims_oauth_client::{Error, ManagementFlow, Registered, drive};
///
/// async fn renewed(old: &Registered, http: &dyn Fetch) -> Result<Option<Registered>, Error> {
///     drive(ManagementFlow::read(old)?, http, &SystemClock::new()).await
/// }
/// ```
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct ManagementFlow {
    registered: Registered,
    action: Action,
    rules: ResponseRules,
}

#[derive(Debug)]
enum Action {
    Read,
    Update(Box<ClientMetadata>),
    Delete,
}

impl ManagementFlow {
    /// Prepares the request for the current state of a registration (§2.1).
    ///
    /// # Errors
    ///
    /// `client.registration` if the server gave no management.
    pub fn read(registered: &Registered) -> Result<Step<Option<Registered>, Self>, Error> {
        Self::begin(registered, Action::Read, Method::GET)
    }

    /// Prepares the replacement of the metadata of a registration by these (§2.2). What they
    /// do not contain is removed. The method of authentication stays.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn update(
        registered: &Registered,
        metadata: &ClientMetadata,
    ) -> Result<Step<Option<Registered>, Self>, Error> {
        let metadata = metadata.of_client(registered.client.as_str(), &registered.method);
        Self::begin(registered, Action::Update(Box::new(metadata)), Method::PUT)
    }

    /// Prepares the deletion of a registration (§2.3).
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn delete(registered: &Registered) -> Result<Step<Option<Registered>, Self>, Error> {
        Self::begin(registered, Action::Delete, Method::DELETE)
    }

    fn begin(
        registered: &Registered,
        action: Action,
        method: Method,
    ) -> Result<Step<Option<Registered>, Self>, Error> {
        let own = &registered.management;
        let (Some(endpoint), Some(token)) = (&own.endpoint, &own.token) else {
            return Err(unusable("the server gave no management of it (RFC 7592)"));
        };
        let mut request = request(method, endpoint, Some(token))?;
        if let Action::Update(metadata) = &action {
            write(&mut request, metadata, registered.secret.as_ref());
        }
        let flow = Self {
            rules: ResponseRules::new().after(&request),
            registered: registered.clone(),
            action,
        };
        Ok(Step::Send(request, flow))
    }

    fn finish(self, answer: &Response<Vec<u8>>) -> Result<Option<Registered>, Error> {
        // The client is not registered any more (§2).
        if let StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND = answer.status() {
            return Err(Error::RegistrationGone);
        }
        let is_permitted = !matches!(
            answer.status(),
            StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
        );
        if !is_permitted {
            return Err(unusable("the server does not permit this management of it"));
        }
        if !answer.status().is_success() {
            return Err(refused(answer, &self.rules));
        }
        let old = self.registered;
        let mut grants = old.asked_grant_types;
        let asked = match self.action {
            Action::Delete => return Ok(None),
            Action::Read => None,
            Action::Update(metadata) => Some(metadata),
        };
        let mut new = Registered::parse(answer.body(), old.issuer, &old.method)?;
        if new.client != old.client {
            return Err(unusable("the answer is about another client"));
        }
        if new.method != old.method {
            return Err(unusable("the server changed the way of authentication"));
        }
        if let Some(asked) = asked {
            new.expect_within(&asked, &old.method)?;
            grants = Some(asked.grants().into());
        }
        new.asked_grant_types = grants;
        // What the answer replaces has ended. The rest stays.
        if new.secret.is_none() {
            (new.secret, new.expires) = (old.secret, old.expires);
        }
        let (own, before) = (&mut new.management, old.management);
        own.token = own.token.take().or(before.token);
        own.endpoint = own.endpoint.take().or(before.endpoint);
        Ok(Some(new))
    }
}

/// Writes the metadata with the current secret, and without what only the server states.
fn write(request: &mut Request<Vec<u8>>, metadata: &ClientMetadata, secret: Option<&SecretText>) {
    let mut document = serde_json::json!(metadata);
    if let (Some(members), Some(secret)) = (document.as_object_mut(), secret) {
        members.insert("client_secret".to_owned(), secret.expose().into());
    }
    *request.body_mut() = document.to_string().into_bytes();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

impl Flow for ManagementFlow {
    type Output = Option<Registered>;

    fn advance(
        self,
        event: Event<'_>,
        _now: UnixTime,
    ) -> Result<Step<Option<Registered>, Self>, Error> {
        match event {
            Event::Answer(answer) => Ok(Step::Done(self.finish(answer)?)),
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Signed(_) | Event::Waited => Err(Error::Interrupted),
        }
    }
}
