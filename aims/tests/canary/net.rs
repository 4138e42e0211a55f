//! A server that repeats in its errors what it was sent, and a tool that refuses calls.

use std::sync::{Arc, Mutex};

use aims::fetch::{Fetch, FetchFuture};
use aims::jose::base64url;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use http::{HeaderMap, Request, Response};
use serde_json::json;

use crate::common::{ISSUER, NOW, TOOL, at};
use crate::planted;
use crate::seen::Given;

/// A server that repeats in its errors what it was sent, and a tool that refuses the first call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net(pub(crate) Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) calls: usize,
    pub(crate) tokens: usize,
    /// How the token endpoint refuses: a status and whether the answer is JSON.
    refuses: Option<(u16, bool)>,
    /// How the tool refuses: a status, the error of the challenge, and what it repeats.
    refusal: Option<(u16, &'static str)>,
    pub(crate) given: Given,
}

impl Net {
    fn answer(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let mut state = self.0.lock().unwrap();
        let path = request.uri().path();
        note(request, &mut state.given);
        let fields = request.headers().values().map(|it| it.to_str().unwrap());
        let fields = fields.collect::<Vec<_>>().join(" ");
        let sent = format!("{} {fields}", String::from_utf8_lossy(request.body()));
        let answer = Response::builder().header("content-type", "application/json");
        let (status, body) = if path.starts_with("/.well-known/oauth-protected-resource") {
            (
                200,
                json!({"resource": TOOL, "authorization_servers": [ISSUER]}),
            )
        } else if path.starts_with("/.well-known/") {
            (200, serde_json::from_str(METADATA).unwrap())
        } else if let Some((status, is_json)) = state.refuses.filter(|_| path != "/mcp/call") {
            let text = format!("refused: {sent}");
            let text = if is_json {
                json!({"error": "invalid_request", "error_description": text, "error_uri": fields})
                    .to_string()
            } else {
                text
            };
            let answer = answer.status(status).header("x-said", planted("field"));
            return answer.body(text.into_bytes()).unwrap();
        } else if path == "/device" {
            (
                200,
                json!({"device_code": planted("device"), "user_code": "AB-CD",
                "verification_uri": "https://as.example/d", "expires_in": 100, "interval": 1}),
            )
        } else if path == "/ciba" {
            (
                200,
                json!({"auth_req_id": planted("ciba"), "expires_in": 100, "interval": 1}),
            )
        } else if path == "/token" {
            state.tokens += 1;
            let number = state.tokens;
            let is_bound = request.headers().contains_key("dpop");
            let claims = json!({"iss": ISSUER, "sub": planted("sub"), "aud": "agent",
                "exp": NOW + 86_400});
            let claims = base64url::encode(claims.to_string().as_bytes());
            (
                200,
                json!({"access_token": planted(&format!("access{number}")),
                "token_type": if is_bound { "DPoP" } else { "Bearer" }, "expires_in": 300,
                "refresh_token": planted(&format!("refresh{number}")),
                "id_token": format!("eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln")}),
            )
        } else if path == "/revoke" {
            (200, json!({}))
        } else {
            state.calls += 1;
            let has_token = request.headers().contains_key("authorization");
            let (status, error) = match state.refusal {
                Some((status, error)) => (status, format!(", error=\"{error}\"")),
                None => (if has_token { 200 } else { 401 }, String::new()),
            };
            let said = sent.replace(['"', '\\'], "");
            let challenge = match error.is_empty() {
                true => "Bearer scope=\"read\"".to_owned(),
                false => format!("Bearer scope=\"read\"{error}, error_description=\"{said}\""),
            };
            let answer = answer.header("www-authenticate", challenge);
            return answer
                .status(status)
                .body(b"{\"result\": 1}".to_vec())
                .unwrap();
        };
        answer
            .status(status)
            .body(body.to_string().into_bytes())
            .unwrap()
    }

    pub(crate) fn refuse(&self, how: Option<(u16, bool)>) {
        self.0.lock().unwrap().refuses = how;
    }

    pub(crate) fn refuse_calls(&self, how: Option<(u16, &'static str)>) {
        self.0.lock().unwrap().refusal = how;
    }
}

const METADATA: &str = r#"{"issuer": "https://as.example",
    "authorization_endpoint": "https://as.example/authorize",
    "token_endpoint": "https://as.example/token",
    "revocation_endpoint": "https://as.example/revoke",
    "device_authorization_endpoint": "https://as.example/device",
    "backchannel_authentication_endpoint": "https://as.example/ciba",
    "backchannel_user_code_parameter_supported": true,
    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"],
    "code_challenge_methods_supported": ["S256"]}"#;

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let answer = self.answer(&request);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Parameters and fields that carry secrets, which a program makes or was given.
const SECRETS: [&str; 4] = [
    "client_assertion",
    "code_verifier",
    "refresh_token",
    "auth_req_id",
];
const FIELDS: [&str; 5] = [
    "authorization",
    "dpop",
    "txn-token",
    "workload-identity-token",
    "workload-proof-token",
];

fn note(request: &Request<Vec<u8>>, given: &mut Given) {
    for pair in String::from_utf8_lossy(request.body()).split('&') {
        let (name, value) = pair.split_once('=').unwrap_or_default();
        if SECRETS.contains(&name) {
            given.note(name, value);
        }
    }
    note_fields(request.headers(), given);
}

pub(crate) fn note_fields(headers: &HeaderMap, given: &mut Given) {
    for name in FIELDS {
        for value in headers.get_all(name) {
            given.note(name, value.to_str().unwrap().rsplit(' ').next().unwrap());
        }
    }
}

pub(crate) fn client() -> ClientSecretBasic {
    ClientSecretBasic::new("agent".parse().unwrap(), planted("secret").into())
}

pub(crate) fn server() -> ServerMetadata {
    ServerMetadata::parse(METADATA.as_bytes(), &ISSUER.parse().unwrap()).unwrap()
}

/// A clock that the test moves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved(pub(crate) Arc<Mutex<u64>>);

impl Clock for Moved {
    fn now(&self) -> UnixTime {
        at(NOW + *self.0.lock().unwrap())
    }
}
