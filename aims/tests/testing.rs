//! Tokens as five servers write them, at a guard of each profile, without a network: what the pages
//! of the guide say of refusals.

#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use aims::fetch::Fetch as _;
use aims::guard::{GuardBuilder, Trusting};
use aims::oauth_rs::{JwtProfile, TokenProfile};
use aims::testing::{FakeIssuer, TestClock, bearer_call};
use aims::{Guard, Requirements};
use serde_json::{Value, json};

const TOOL: &str = "https://tools.example/mcp";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";

struct Server {
    issuer: FakeIssuer,
    guard: Guard,
}

impl Server {
    async fn new(
        name: &str,
        profile: impl Into<TokenProfile>,
        settings: impl FnOnce(GuardBuilder<Trusting>) -> GuardBuilder<Trusting>,
    ) -> Self {
        let issuer = FakeIssuer::new(name).unwrap();
        let guard = Guard::builder(TOOL).issuer_with(name, profile).unwrap();
        let guard = settings(guard)
            .accept_bearer()
            .fetch(Arc::new(issuer.clone()));
        let guard = guard.start().await.unwrap();
        Self { issuer, guard }
    }

    /// The code of the verdict over a token with these claims, where a change is made to them.
    async fn code(&self, claims: &Value, change: Value) -> &'static str {
        let mut claims = claims.clone();
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => drop(
                    claims
                        .as_object_mut()
                        .unwrap()
                        .insert(name.clone(), value.clone()),
                ),
            }
        }
        let token = self.issuer.token(&claims).unwrap();
        let call = bearer_call(TOOL, &token).body(()).unwrap();
        let verdict = self.guard.admit(&call.into_parts().0).await;
        verdict.map_or_else(|refused| refused.code(), |_| "ok")
    }

    async fn expect<const N: usize>(&self, claims: Value, rows: [(Value, &str); N]) {
        assert_eq!(self.code(&claims, json!({})).await, "ok");
        for (change, code) in rows {
            let found = self.code(&claims, change.clone()).await;
            assert_eq!(found, code, "{change}");
        }
    }
}

#[tokio::test]
async fn keycloak() {
    let profile = JwtProfile::keycloak("tools");
    let server = Server::new("https://kc.example/realms/main", profile, |it| {
        it.token_audience("tools").scopes("tools:call").unwrap()
    });
    let claims = json!({
        "typ": "Bearer", "aud": ["tools", "account"], "sub": "5a1f", "azp": "web",
        "scope": "tools:call profile",
    });
    let rows = [
        (json!({"aud": "account"}), "token.audience"),
        (json!({"scope": "profile"}), "guard.scope"),
        (
            json!({"iss": "http://kc.example/realms/main"}),
            "token.unknown_issuer",
        ),
        (json!({"typ": "ID"}), "token.not_access_token"),
    ];
    server.await.expect(claims, rows).await;
}

#[tokio::test]
async fn entra() {
    let name = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let server = Server::new(&name, JwtProfile::entra_v2(TENANT).unwrap(), |it| {
        let roles = Requirements::new().roles(["Tools.Call.All"]);
        it.token_audience("0b0f3a1c").require(roles)
    });
    let claims = json!({
        "ver": "2.0", "tid": TENANT, "azpacr": "1", "aud": "0b0f3a1c", "azp": "7c9e",
        "sub": "9d2b", "roles": ["Tools.Call.All"],
    });
    let first = format!("https://sts.windows.net/{TENANT}/");
    let rows = [
        (json!({"iss": first, "ver": "1.0"}), "token.unknown_issuer"),
        (json!({"aud": "api://0b0f3a1c"}), "token.audience"),
        (
            json!({"roles": null, "scp": "Tools.Call"}),
            "guard.forbidden",
        ),
        (
            json!({"azpacr": null, "nonce": "n"}),
            "token.not_access_token",
        ),
    ];
    server.await.expect(claims, rows).await;
}

#[tokio::test]
async fn auth0() {
    let name = "https://tenant.eu.auth0.com/";
    let server = Server::new(name, JwtProfile::auth0(), |it| {
        it.scopes("tools:call").unwrap()
    });
    let server = server.await;
    let claims = json!({
        "aud": TOOL, "sub": "Jr7K@clients", "azp": "Jr7K", "scope": "tools:call",
        "gty": "client-credentials",
    });
    let rows = [
        (json!({"aud": "https://other.example"}), "token.audience"),
        (json!({"scope": "profile"}), "guard.scope"),
        (
            json!({"iss": "https://login.example.org/"}),
            "token.unknown_issuer",
        ),
    ];
    server.expect(claims, rows).await;
    let call = bearer_call(TOOL, "opaque").body(()).unwrap().into_parts().0;
    let refused = server.guard.admit(&call).await.unwrap_err();
    assert_eq!(refused.code(), "jws.parts");
}

#[tokio::test]
async fn okta() {
    let name = "https://dev-1.okta.com/oauth2/default";
    let server = Server::new(name, JwtProfile::okta(), |it| {
        it.scopes("tools:call").unwrap()
    });
    let claims = json!({
        "ver": 1, "aud": TOOL, "sub": "ada@example.org", "cid": "0oa1", "uid": "00u1",
        "scp": ["tools:call"],
    });
    let rows = [
        (
            json!({"iss": "https://dev-1.okta.com"}),
            "token.unknown_issuer",
        ),
        (json!({"aud": "api://default"}), "token.audience"),
        (json!({"scp": ["profile"]}), "guard.scope"),
        (
            json!({"cid": null, "scp": null, "nonce": "n"}),
            "token.not_access_token",
        ),
    ];
    server.await.expect(claims, rows).await;
}

#[tokio::test]
async fn cognito() {
    let name = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf";
    let server = Server::new(name, JwtProfile::cognito(["1example"]).unwrap(), |it| {
        it.scopes("tools/call").unwrap()
    });
    let claims = json!({
        "token_use": "access", "sub": "1example", "client_id": "1example", "scope": "tools/call",
    });
    let rows = [
        (json!({"client_id": "2example"}), "token.audience"),
        (json!({"scope": "call"}), "guard.scope"),
        (json!({"token_use": "id"}), "token.not_access_token"),
    ];
    server.await.expect(claims, rows).await;
}

/// Keys and tokens age by the one clock that issuer and guard have.
#[tokio::test]
async fn time_is_the_tests() {
    let clock = TestClock::at(1_800_000_000);
    let issuer = FakeIssuer::with_clock("https://as.example", clock.clone()).unwrap();
    let guard = Guard::builder(TOOL).issuer(issuer.name()).unwrap();
    let guard = guard.accept_bearer().clock(clock.clone());
    let guard = guard.fetch(Arc::new(issuer.clone())).start().await.unwrap();
    let claims = json!({"aud": TOOL, "sub": "ada", "client_id": "web"});
    let token = issuer.token_of_type("at+jwt", &claims).unwrap();
    let (head, ()) = bearer_call(TOOL, &token).body(()).unwrap().into_parts();
    assert_eq!(guard.admit(&head).await.unwrap().subject(), "ada");
    clock.advance(Duration::from_secs(331));
    assert_eq!(
        guard.admit(&head).await.unwrap_err().code(),
        "token.expired"
    );
}

/// The keys of other issuers are not served, and claims that are not an object are refused.
#[tokio::test]
async fn a_fake_issuer_answers_for_itself() {
    let issuer = FakeIssuer::new("https://as.example").unwrap();
    for (url, status) in [
        (
            "https://as.example/.well-known/oauth-authorization-server",
            200,
        ),
        ("https://as.example/jwks", 200),
        ("https://as.example/bundle", 200),
        ("https://other.example/jwks", 404),
        (
            "https://other.example/.well-known/oauth-authorization-server",
            404,
        ),
        ("https://as.example/token", 404),
    ] {
        let request = http::Request::get(url).body(Vec::new()).unwrap();
        assert_eq!(
            issuer.send(request).await.unwrap().status(),
            status,
            "{url}"
        );
    }
    assert_eq!(issuer.token(&"text").unwrap_err().code(), "jws.serialize");
}

/// A client of a server counts as the workload that the issuer's rules name, and as no other.
#[cfg(feature = "agent")]
#[tokio::test]
async fn a_client_is_the_workload_that_the_rules_name() {
    use aims::agent::{Agent, RequestAuth};
    use aims::cred::FixedSource;
    use aims::guard::HttpSignatures;
    use aims::oauth_rs::IssuerRules;

    let name = "https://kc.example/realms/main";
    let issuer = FakeIssuer::new(name).unwrap();
    let id: aims::id::WorkloadId = "spiffe://example.org/agent".parse().unwrap();
    let claims = json!({
        "typ": "Bearer", "aud": TOOL, "sub": "5a1f", "azp": "web", "scope": "tools:call",
    });
    let token = issuer.token(&claims).unwrap();
    for (client, expected) in [("web", "ok"), ("other", "token.not_bound")] {
        let rules = IssuerRules::new().profile(JwtProfile::keycloak("tools"));
        let rules = rules.client_is(client, id.clone());
        let guard = Guard::builder(TOOL).issuer_with_rules(name, rules).unwrap();
        let origin = "spiffe://example.org".parse().unwrap();
        let guard = guard
            .bundle(origin, issuer.bundle_url())
            .http_signatures(HttpSignatures::new())
            .accept_proofs_before_start()
            .fetch(Arc::new(issuer.clone()));
        let guard = guard.start().await.unwrap();
        let identity = FixedSource::new(issuer.identity(&id).unwrap());
        let agent = Agent::builder(identity).proof(RequestAuth::HttpSignature);
        let mut request = http::Request::post(TOOL)
            .header("authorization", format!("Bearer {token}"))
            .body(b"{}".to_vec())
            .unwrap();
        let _no_signed_answer_is_asked_for = agent.build().unwrap().sign(&mut request).unwrap();
        let (mut head, _) = request.into_parts();
        head.uri = "/mcp".parse().unwrap();
        head.headers
            .insert("host", "tools.example".parse().unwrap());
        let verdict = guard.admit((&head, b"{}")).await;
        let code = verdict.map_or_else(|refused| refused.code(), |_| "ok");
        assert_eq!(code, expected, "{client}");
    }
}
