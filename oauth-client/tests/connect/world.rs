//! A tool, its server, and a user who agrees to everything.

use aims_jose::jws::Unverified;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{ClientMetadata, Connection, Connector, Identities};
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::names::Resource;
use aims_oauth_wire::token::Form;
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{Paused, Script, json_answer, with};
pub(crate) use crate::user::User;

pub(crate) const TOOL: &str = "https://tools.example/mcp";

pub(crate) const DOCUMENT: &str = "https://app.example/client.json";

/// A tool and its server, with these members of their metadata.
pub(crate) fn world(tool: &Value, server: &Value) -> Script {
    let (tool, server) = (tool.clone(), server.clone());
    Script::new(move |request, number| answer(request, number, &tool, &server))
}

pub(crate) fn answer(
    request: &Request<Vec<u8>>,
    number: usize,
    tool: &Value,
    server: &Value,
) -> Response<Vec<u8>> {
    let path = request.uri().path();
    if path.starts_with("/.well-known/oauth-protected-resource") || path == "/elsewhere" {
        let document = json!({"resource": TOOL, "authorization_servers": ["https://as.example"]});
        return match tool.get("none") {
            Some(_) => json_answer(404, &json!({})),
            None => json_answer(200, &with(document, tool)),
        };
    }
    if path.starts_with("/.well-known/") {
        let host = request.uri().host().unwrap();
        let document = json!({"issuer": format!("https://{host}"),
            "authorization_endpoint": format!("https://{host}/authorize"),
            "token_endpoint": format!("https://{host}/token"),
            "registration_endpoint": format!("https://{host}/register"),
            "code_challenge_methods_supported": ["S256"]});
        return match server.get("none") {
            Some(_) => json_answer(404, &json!({})),
            None => json_answer(200, &with(document, server)),
        };
    }
    if path == "/register" {
        let asked: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(asked["application_type"], "native");
        // A secret without `client_secret_expires_at`, as some servers send it.
        let body = json!({"client_id": "registered", "client_secret": "s3cret"});
        return json_answer(201, &body);
    }
    let form = Form::parse(request.body()).unwrap();
    if form.get("requested_token_type").is_some() {
        let mut claims = json!({"aud": "https://as.example", "client_id": "known"});
        if let Some(proof) = request.headers().get("dpop") {
            let proof = Unverified::parse_with_embedded_key(proof.to_str().unwrap(), 4_096);
            let thumbprint = proof.unwrap().header().embedded_key().unwrap().thumbprint();
            claims["cnf"] = json!({"jkt": thumbprint.to_string()});
        }
        let key = SigningKey::generate(aims_jose::Algorithm::Es256, AWS_LC);
        let typ = "oauth-id-jag+jwt";
        let alg = aims_jose::Algorithm::Es256;
        let token = aims_jose::jws::SigningInput::new(typ, alg, None, &claims).unwrap();
        let body = json!({"access_token": token.sign(&key.unwrap()).unwrap().expose(),
            "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A",
            "expires_in": 60});
        return json_answer(200, &body);
    }
    let bound = request.headers().contains_key("dpop");
    let kind = if bound { "DPoP" } else { "Bearer" };
    json_answer(
        200,
        &json!({"access_token": format!("t{number}"), "token_type": kind,
        "expires_in": 300}),
    )
}

pub(crate) fn native() -> Identities {
    Identities::new().register(ClientMetadata::native("agent"))
}

pub(crate) fn connector(identities: Identities, script: &Script, user: &User) -> Connector {
    Connector::new(identities, script.clone())
        .with_clock(Paused(Instant::now()))
        .accept_issuers(["https://as.example".parse().unwrap()])
        .by_user(user.clone())
}

pub(crate) fn tool() -> Resource {
    TOOL.parse().unwrap()
}

pub(crate) fn challenged(text: &'static str) -> Challenges {
    let mut headers = HeaderMap::new();
    headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_static(text));
    Challenges::parse(&headers).unwrap()
}

pub(crate) fn none() -> Challenges {
    Challenges::default()
}

pub(crate) async fn connected(connector: &Connector) -> Connection {
    connector.connect(&tool(), &none()).await.unwrap()
}

pub(crate) fn paths(script: &Script) -> Vec<String> {
    let requests = script.requests();
    requests
        .iter()
        .map(|it| it.uri().path().to_owned())
        .collect()
}
