//! A user's token, and the answers of a server to its exchange.

use aims_jose::secret::SecretText;
use aims_oauth_client::{
    ActorToken, Delegation, Grant, Impersonation, SubjectToken, Target, TokenRules, TokenSource,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{NOW, Paused, Script, client, code, json_answer, jwt, server_with, with};

pub(crate) const TOOL: &str = "https://tools.example/mcp";

pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// The claims of the user's token.
pub(crate) fn claims(changes: &Value) -> Value {
    let claims = json!({"iss": "https://as.example", "sub": "alice", "aud": "https://app.example",
        "client_id": "app", "scope": "read write", "iat": NOW, "exp": NOW + 600, "jti": "1"});
    with(claims, changes)
}

pub(crate) fn subject() -> SubjectToken {
    SubjectToken::access_token(jwt("at+jwt", &claims(&json!({}))))
}

pub(crate) fn target(scopes: &str) -> Target {
    let scopes = match scopes {
        "" => aims_oauth_wire::names::ScopeSet::new(),
        scopes => scopes.parse().unwrap(),
    };
    Target::new(TOOL.parse().unwrap(), scopes)
}

/// The claims of the exchanged token.
pub(crate) fn exchanged(changes: &Value) -> SecretText {
    let claims = json!({"iss": "https://as.example", "sub": "alice", "aud": TOOL,
        "client_id": "app", "scope": "read", "iat": NOW, "exp": NOW + 300, "jti": "2",
        "act": {"sub": "agent"}});
    jwt("at+jwt", &with(claims, changes))
}

pub(crate) fn answer(token: &SecretText, changes: &Value) -> Value {
    let body = json!({"access_token": token.expose(), "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer", "expires_in": 300, "scope": "read"});
    with(body, changes)
}

pub(crate) fn source(script: &Script, rules: TokenRules) -> TokenSource {
    TokenSource::new(server_with(&json!({})), client(), script.clone())
        .with_clock(Paused(Instant::now()))
        .with_rules(rules)
}

pub(crate) async fn judged(grant: impl Grant + 'static, body: Value) -> &'static str {
    let script = Script::new(move |_, _| json_answer(200, &body));
    let token = source(&script, TokenRules::new()).token(grant).await;
    if let Err(error) = &token {
        assert!(!error.is_retryable());
    }
    code(token)
}

pub(crate) fn delegation() -> Delegation {
    Delegation::new(
        subject(),
        ActorToken::jwt("agent-token").named("agent"),
        target("read"),
    )
}

pub(crate) fn impersonation() -> Impersonation {
    Impersonation::new(subject(), target("read"))
}
