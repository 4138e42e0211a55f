//! A tool, its server, and a user who agrees to everything.

use std::sync::{Arc, Mutex};

use aims_jose::alg::Algorithm;
use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{
    Authorizing, Connector, Error, Identities, Receive, ReceiveFuture, Receiving, RedirectUri,
    Step, Target,
};
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{Paused, Script, client, json_answer, server_with, with};

pub(crate) const TOOL: &str = "https://tools.example/mcp";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:4711/callback";
pub(crate) const DETAILS: &str = r#"[{"type":"pay"}]"#;

pub(crate) fn document(changes: &Value) -> Value {
    let document = json!({"issuer": "https://as.example",
        "token_endpoint": "https://as.example/token",
        "authorization_endpoint": "https://as.example/authorize",
        "device_authorization_endpoint": "https://as.example/device",
        "backchannel_authentication_endpoint": "https://as.example/ciba",
        "code_challenge_methods_supported": ["S256"]});
    with(document, changes)
}

pub(crate) fn server(changes: &Value) -> Arc<ServerMetadata> {
    Arc::new(server_with(&document(changes)))
}

pub(crate) fn target() -> Target {
    Target::new(TOOL.parse().unwrap(), "openid read".parse().unwrap())
}

pub(crate) fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap())
}

/// Returns the claims of a signed request.
pub(crate) fn inside(object: &str) -> Value {
    let token = Unverified::parse(object).unwrap();
    json::from_object(token.unverified_payload().unwrap()).unwrap()
}

/// Returns the form of a request that a flow begins with.
pub(crate) fn form<T, P>(step: Result<Step<T, P>, Error>) -> Form {
    match step.unwrap() {
        Step::Send(request, _) => Form::parse(request.body()).unwrap(),
        _ => unreachable!("it begins with a request"),
    }
}

pub(crate) fn query(url: &str) -> Value {
    let url = url::Url::parse(url).unwrap();
    let pairs = url.query_pairs();
    let pairs = pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())));
    Value::Object(pairs.collect())
}

/// A user who agrees to everything at once. Records the URLs.
#[derive(Clone, Debug, Default)]
pub(crate) struct User(pub(crate) Arc<Mutex<Vec<String>>>);

pub(crate) struct Deciding(RedirectUri, User);

impl Receive for User {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let deciding: Box<dyn Receiving> =
            Box::new(Deciding(REDIRECT.parse().unwrap(), self.clone()));
        Box::pin(std::future::ready(Ok(deciding)))
    }
}

impl Receiving for Deciding {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.0
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        self.1.0.lock().unwrap().push(login.url().to_owned());
        let state = query(login.url())["state"]
            .as_str()
            .unwrap_or("?")
            .to_owned();
        Box::pin(std::future::ready(Ok(format!("code=c&state={state}"))))
    }
}

/// A tool, its server with these members, and tokens.
pub(crate) fn world(members: &Value) -> Script {
    let document = document(members);
    Script::new(move |request, _| {
        let path = request.uri().path();
        if path.contains("oauth-protected-resource") {
            let servers = json!(["https://as.example"]);
            return json_answer(
                200,
                &json!({"resource": TOOL, "authorization_servers": servers}),
            );
        }
        match path {
            "/token" => json_answer(
                200,
                &json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300}),
            ),
            _ => json_answer(200, &document),
        }
    })
}

pub(crate) fn connector(script: &Script) -> Connector {
    let issuer = || "https://as.example".parse().unwrap();
    Connector::new(
        Identities::new().registered(issuer(), client()),
        script.clone(),
    )
    .with_clock(Paused(Instant::now()))
    .accept_issuers([issuer()])
}

pub(crate) async fn token(connector: &Connector) -> Result<(), Error> {
    let tool = TOOL.parse().unwrap();
    let connection = connector.connect(&tool, &Challenges::default()).await?;
    connection.token().await?;
    Ok(())
}
