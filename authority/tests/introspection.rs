//! Introspection and revocation: who learns what of which token, and what a revocation ends.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../jose/tests/twin/mod.rs"]
mod twin;

use std::sync::Arc;

use aims_authority::{Authority, Builder, Client, MemoryState, Resource};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_wire::introspection::{Introspection, SIGNED, SignedIntrospection};
use common::browser::{USER, code, parameters, public, redeem, refresh, with_users};
use common::endpoint::{FORM, JWT_BEARER, assertion_of, by_assertion, form, judged, refused};
use common::*;
use http::Response;
use serde_json::{Value, json};

const OPAQUE: &str = "https://opaque.example/mcp";
const MEMBERS: &str = "/.well-known/oauth-authorization-server";

struct Setup {
    authority: Authority,
    /// The keys of the clients `tool`, `other` and `batch`.
    tool: SigningKey,
    other: SigningKey,
    batch: SigningKey,
}

fn setup_with(change: impl FnOnce(Builder) -> Builder) -> Setup {
    let [tool, other, batch] = [(); 3].map(|()| es256());
    let builder = with_users()
        .resource(
            Resource::new(OPAQUE)
                .with_scopes(["call"])
                .with_opaque_tokens(),
        )
        .client(public().allow(OPAQUE, ["call"]))
        .client(
            Client::with_keys("tool", key_set(&tool))
                .serves(TOOLS)
                .serves(OPAQUE),
        )
        .client(Client::with_keys("other", key_set(&other)).serves(FILES))
        .client(
            Client::with_keys("batch", key_set(&batch))
                .allow(TOOLS, ["call"])
                .allow(OPAQUE, ["call"]),
        );
    Setup {
        authority: change(builder).build(now()).unwrap(),
        tool,
        other,
        batch,
    }
}

fn setup() -> Setup {
    setup_with(|it| it)
}

impl Setup {
    fn post(
        &self,
        path: &str,
        client: (&str, &SigningKey),
        fields: &[(&str, &str)],
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        let assertion = assertion_of(client.0, client.1, now);
        let mut pairs = vec![
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        pairs.extend(more);
        let mut all = vec![FORM];
        all.extend(fields);
        send(
            &self.authority,
            &request("POST", path, &all, &form(&pairs)),
            now,
        )
    }

    /// Introspects as the tool.
    fn introspect(&self, token: &str, now: UnixTime) -> Value {
        self.introspect_as(("tool", &self.tool), token, now)
    }

    fn introspect_as(&self, client: (&str, &SigningKey), token: &str, now: UnixTime) -> Value {
        let response = self.post("/introspect", client, &[], &[("token", token)], now);
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(field(&response, "cache-control"), "no-store");
        assert_eq!(field(&response, "content-type"), "application/json");
        body(&response)
    }

    fn revoke(&self, client: (&str, &SigningKey), token: &str) -> u16 {
        let response = self.post("/revoke", client, &[], &[("token", token)], now());
        response.status().as_u16()
    }

    /// Returns an access token of the client `batch` for a resource.
    fn token(&self, resource: &str) -> String {
        let assertion = assertion_of("batch", &self.batch, now());
        let more = [("resource", resource)];
        let granted = by_assertion(&self.authority, &assertion, &more, now()).unwrap();
        granted["access_token"].as_str().unwrap().to_owned()
    }

    /// Returns the tokens of a user for the public client.
    fn user_tokens(&self, resource: &str) -> (String, String) {
        let mut all = parameters();
        all.retain(|(name, _)| *name != "resource");
        all.push(("resource", resource.to_owned()));
        let code = code(&self.authority, &all, now());
        let granted = redeem(&self.authority, &code, &[], &[], now()).unwrap();
        let text = |name: &str| granted[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }

    fn public_revoke(&self, token: &str) -> u16 {
        let pairs = [("client_id", "cli"), ("token", token)];
        let request = request("POST", "/revoke", &[FORM], &form(&pairs));
        send(&self.authority, &request, now()).status().as_u16()
    }
}

fn inactive() -> Value {
    json!({"active": false})
}

/// INT-02: the answer has the members of the token's claims, for JWTs and opaque tokens alike.
#[test]
fn an_active_token_is_described() {
    let setup = setup();
    for resource in [TOOLS, OPAQUE] {
        let token = setup.token(resource);
        let answer = setup.introspect(&token, now());
        assert_eq!(answer["active"], true);
        assert_eq!(answer["iss"], BASE);
        assert_eq!(answer["aud"], resource);
        assert_eq!(answer["sub"], "batch");
        assert_eq!(answer["client_id"], "batch");
        assert_eq!(answer["scope"], "call");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["iat"], NOW);
        assert_eq!(answer["exp"], NOW + 300);
        assert_eq!(answer["cnf"], confirmation(&setup.batch));
        assert!(answer["jti"].is_string());
        let (token, _) = setup.user_tokens(resource);
        let answer = setup.introspect(&token, now());
        assert_eq!(
            (&answer["sub"], &answer["auth_time"]),
            (&json!(USER), &json!(NOW))
        );
    }
}

/// An opaque token tells nothing, and the state has its hash alone.
#[test]
fn an_opaque_token_has_no_claims() {
    let state = MemoryState::new();
    let setup = setup_with(|it| it.state(Arc::new(state.clone())));
    let token = setup.token(OPAQUE);
    assert_eq!(token.len(), 43);
    assert!(!token.contains('.'));
    assert_eq!(setup.token(TOOLS).split('.').count(), 3);
    use aims_authority::{Kind, State as _};
    assert_eq!(state.load(Kind::AccessToken, &token, now()).unwrap(), None);
    let key = aims_jose::digest::sha256_base64url(&token);
    assert!(
        state
            .load(Kind::AccessToken, &key, now())
            .unwrap()
            .is_some()
    );
}

/// INT-20: a token of another resource, an expired, an unknown or a malformed one are answered
/// alike, and never with an error.
#[test]
fn every_other_token_is_inactive() {
    let setup = setup();
    let other = ("other", &setup.other);
    let (_, refresh_token) = setup.user_tokens(TOOLS);
    let foreign = sign(
        "at+jwt",
        &json!({
            "iss": BASE, "sub": "batch", "aud": TOOLS, "client_id": "batch",
            "iat": NOW, "exp": NOW + 300, "jti": "1",
        }),
        &es256(),
    );
    for resource in [TOOLS, OPAQUE] {
        let token = setup.token(resource);
        assert_eq!(setup.introspect_as(other, &token, now()), inactive());
        let batch = ("batch", &setup.batch);
        assert_eq!(setup.introspect_as(batch, &token, now()), inactive());
        assert_eq!(setup.introspect(&token, at(NOW + 299))["active"], true);
        assert_eq!(setup.introspect(&token, at(NOW + 300)), inactive());
        let (begin, end) = token.split_at(token.len() - 6);
        let changed = format!("{begin}{}", end.chars().rev().collect::<String>());
        assert_eq!(setup.introspect(&changed, now()), inactive());
    }
    for text in [
        "x",
        "a.b.c",
        &"A".repeat(43),
        &refresh_token,
        &foreign,
        &assertion_of("tool", &setup.tool, now()),
    ] {
        assert_eq!(setup.introspect(text, now()), inactive(), "{text}");
    }
}

/// INT-01: without client authentication there is no answer, and a public client gets none.
#[test]
fn only_an_authenticated_client_is_answered() {
    let setup = setup();
    let token = setup.token(TOOLS);
    let ask = |fields: &[(&str, &str)], pairs: &[(&str, &str)]| {
        let mut all = vec![FORM];
        all.extend(fields);
        let request = request("POST", "/introspect", &all, &form(pairs));
        judged(&send(&setup.authority, &request, now()))
    };
    let token = ("token", token.as_str());
    assert_eq!(ask(&[], &[token]), refused(401, "invalid_client"));
    let public = [token, ("client_id", "cli")];
    assert_eq!(ask(&[], &public), refused(401, "invalid_client"));
    let named = [token, ("client_id", "tool")];
    assert_eq!(ask(&[], &named), refused(401, "invalid_client"));
    // INT-20: a signed answer is for one resource server, so the request without one is malformed.
    let signed = [("accept", SIGNED)];
    assert_eq!(ask(&signed, &[token]), refused(400, "invalid_client"));

    let response = setup.post("/introspect", ("tool", &setup.other), &[], &[token], now());
    assert_eq!(response.status(), 401);
    let response = setup.post("/introspect", ("tool", &setup.tool), &[], &[], now());
    assert_eq!(judged(&response), refused(400, "invalid_request"));
    let get = request("GET", "/introspect?token=x", &[], "");
    assert_eq!(send(&setup.authority, &get, now()).status(), 405);
    // An assertion is good once (JWTA-20).
    let assertion = assertion_of("tool", &setup.tool, now());
    let pairs = [
        token,
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    let first = request("POST", "/introspect", &[FORM], &form(&pairs));
    assert_eq!(send(&setup.authority, &first, now()).status(), 200);
    assert_eq!(ask(&[], &pairs), refused(401, "invalid_client"));
}

/// INT-10: a signed answer is for the resource server that asked, and verifies by the rules of one.
#[test]
fn a_signed_answer_verifies() {
    let setup = setup();
    let token = setup.token(OPAQUE);
    let jwks = setup.authority.oauth().jwks(now());
    let keys = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let verify = |token: &str, audience: &str| {
        let fields = [("accept", "application/token-introspection+jwt, */*;q=0.1")];
        let more = [("token", token)];
        let response = setup.post("/introspect", ("tool", &setup.tool), &fields, &more, now());
        assert_eq!(response.status(), 200);
        assert_eq!(field(&response, "content-type"), SIGNED);
        assert_eq!(field(&response, "cache-control"), "no-store");
        let signed = SignedIntrospection::parse(&response).unwrap();
        let key = keys.select(signed.key_id(), signed.algorithm()).unwrap();
        let issuer = aims_oauth_wire::names::Issuer::loopback(BASE).unwrap();
        let answer = signed.verify(key, &issuer, audience, Skew::MAX, now());
        let text = std::str::from_utf8(response.body()).unwrap();
        let claims = claims(text);
        assert_eq!(header(text)["typ"], "token-introspection+jwt");
        assert!(claims.get("sub").is_none() && claims.get("exp").is_none());
        // INT-11: it is no access token.
        assert_eq!(setup.introspect(text, now()), inactive());
        answer.map_err(|error| error.code())
    };
    let Introspection::Active(active) = verify(&token, "tool").unwrap() else {
        panic!("not active");
    };
    assert_eq!(active.subject(), Some("batch"));
    assert_eq!(active.audiences(), [OPAQUE]);
    assert!(matches!(
        verify("unknown", "tool").unwrap(),
        Introspection::Inactive
    ));
    assert_eq!(
        verify(&token, "other").unwrap_err(),
        "introspection.audience"
    );
}

/// REV-03: a revoked access token is inactive, and so is nothing else.
#[test]
fn a_revoked_access_token_is_inactive() {
    let setup = setup();
    let batch = ("batch", &setup.batch);
    for resource in [TOOLS, OPAQUE] {
        let [one, two] = [(); 2].map(|()| setup.token(resource));
        // Another client cannot revoke it.
        assert_eq!(setup.revoke(("other", &setup.other), &one), 400);
        assert_eq!(setup.public_revoke(&one), 400);
        assert_eq!(setup.introspect(&one, now())["active"], true);
        assert_eq!(setup.revoke(batch, &one), 200);
        assert_eq!(setup.introspect(&one, now()), inactive());
        assert_eq!(setup.introspect(&two, now())["active"], true);
        if resource == TOOLS {
            // The other signature of the same claims verifies too.
            assert_eq!(setup.introspect(&twin::twin(&two), now())["active"], true);
            assert_eq!(setup.introspect(&twin::twin(&one), now()), inactive());
        }
        // It stays revoked, and revoking it again is no error.
        assert_eq!(setup.revoke(batch, &one), 200);
        assert_eq!(setup.introspect(&one, at(NOW + 299)), inactive());
    }
    // REV-02: an unknown token is answered like a revoked one.
    for text in ["x", "a.b.c", &"A".repeat(43)] {
        assert_eq!(setup.revoke(batch, text), 200, "{text}");
    }
    let request = request("POST", "/revoke", &[FORM], "token=x");
    assert_eq!(send(&setup.authority, &request, now()).status(), 401);
}

/// REV-03: a revoked refresh token ends its family: it refreshes no more, and every access token of
/// the grant is inactive.
#[test]
fn a_revoked_refresh_token_ends_its_grant() {
    let setup = setup();
    for resource in [TOOLS, OPAQUE] {
        let (first, refresh_token) = setup.user_tokens(resource);
        let granted = refresh(&setup.authority, &refresh_token, &[], &[], now()).unwrap();
        let second = granted["access_token"].as_str().unwrap();
        let successor = granted["refresh_token"].as_str().unwrap();
        let (unaffected, _) = setup.user_tokens(resource);
        for token in [&*first, second, &unaffected] {
            assert_eq!(setup.introspect(token, now())["active"], true);
        }
        let batch = ("batch", &setup.batch);
        assert_eq!(setup.revoke(batch, successor), 400, "another client's");
        assert_eq!(setup.introspect(second, now())["active"], true);
        assert_eq!(setup.public_revoke(successor), 200);
        for token in [&*first, second] {
            assert_eq!(setup.introspect(token, now()), inactive());
        }
        assert_eq!(setup.introspect(&unaffected, now())["active"], true);
        let again = refresh(&setup.authority, successor, &[], &[], now());
        assert_eq!(again, refused(400, "invalid_grant"));
        assert_eq!(setup.public_revoke(successor), 200);
        let unknown = ["A", "E"].map(|it| it.repeat(43)).join(".");
        assert_eq!(setup.public_revoke(&unknown), 200);
    }
}

/// A token of a workload whose identity was withdrawn is inactive at once.
#[test]
fn a_withdrawn_workload_has_no_active_token() {
    let setup = setup();
    let (wit, key) = wit(&setup.authority, "a", now());
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let pop = json!({"iss": AGENT, "aud": BASE, "jti": jti, "iat": NOW, "exp": NOW + 60});
    let pop = sign("oauth-client-attestation-pop+jwt", &pop, &key);
    let fields = [
        ("oauth-client-attestation", wit.as_str()),
        ("oauth-client-attestation-pop", pop.as_str()),
    ];
    let granted = endpoint::ask(
        &setup.authority,
        &fields,
        &[("grant_type", "client_credentials")],
        now(),
    );
    let granted = granted.unwrap();
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(setup.introspect(token, now())["active"], true);
    let id = AGENT.parse().unwrap();
    assert!(setup.authority.identity().withdraw(&id, now()).unwrap());
    assert_eq!(setup.introspect(token, now()), inactive());
}

/// INT-12: the metadata name both endpoints, with their methods and algorithms. Without a client
/// that serves a resource there is no introspection.
#[test]
fn the_metadata_name_the_endpoints() {
    let setup = setup();
    let metadata = body(&get(&setup.authority, MEMBERS, now()));
    assert_eq!(
        metadata["introspection_endpoint"],
        format!("{BASE}/introspect")
    );
    assert_eq!(metadata["revocation_endpoint"], format!("{BASE}/revoke"));
    let member = "introspection_signing_alg_values_supported";
    assert_eq!(metadata[member], json!(["ES256"]));
    let has = |name: &str, value: &str| {
        let values = metadata[name].as_array().unwrap();
        values.contains(&json!(value))
    };
    for name in ["introspection", "revocation"] {
        let methods = format!("{name}_endpoint_auth_methods_supported");
        assert!(has(&methods, "private_key_jwt"));
        // A public client revokes its own tokens, and introspects none.
        assert_eq!(has(&methods, "none"), name == "revocation");
        let algorithms = format!("{name}_endpoint_auth_signing_alg_values_supported");
        assert!(has(&algorithms, "ES256"));
    }
    let without = authority();
    let metadata = body(&get(&without, MEMBERS, now()));
    assert_eq!(metadata.get("introspection_endpoint"), None);
    assert_eq!(metadata.get("revocation_endpoint"), None);
    assert_eq!(metadata.get(member), None);
    // Without introspection and users, a revocation would have no effect.
    for path in ["/introspect", "/revoke"] {
        let ask = request("POST", path, &[FORM], "token=x");
        assert_eq!(send(&without, &ask, now()).status(), 404);
    }
    let users = with_users().client(public()).build(now()).unwrap();
    let metadata = body(&get(&users, MEMBERS, now()));
    assert_eq!(metadata["revocation_endpoint"], format!("{BASE}/revoke"));
}

/// A client serves registered resources alone.
#[test]
fn an_unregistered_resource_is_served_by_no_client() {
    let client = Client::with_keys("tool", key_set(&es256())).serves("https://nowhere.example");
    let refused = builder().client(client).build(now()).unwrap_err();
    assert_eq!(refused.code(), "authority.resources");
    assert!(refused.to_string().contains("nowhere.example"), "{refused}");
}

/// Keys rotate in mid-traffic: a token of the old key stays active until it ends, and what a new
/// key signs is active as well.
#[test]
fn tokens_stay_active_over_a_rotation() {
    let setup = setup();
    let old = setup.token(TOOLS);
    setup.authority.rotate(now()).unwrap();
    // The new key signs after the refresh hint.
    let later = at(NOW + 299);
    assert_eq!(setup.introspect(&old, later)["active"], true);
    let assertion = assertion_of("batch", &setup.batch, at(NOW + 300));
    let more = [("resource", TOOLS)];
    let granted = by_assertion(&setup.authority, &assertion, &more, at(NOW + 300)).unwrap();
    let new = granted["access_token"].as_str().unwrap();
    assert_ne!(header(new)["kid"], header(&old)["kid"]);
    assert_eq!(setup.introspect(new, at(NOW + 300))["active"], true);
    // Keys that an attacker may know are dropped at once, with all their tokens.
    setup.authority.replace_keys().unwrap();
    assert_eq!(setup.introspect(new, at(NOW + 300)), inactive());
}

/// An operator withdraws an identifier in the state, as from another process: the agent gets no
/// identity and no token, and its tokens are inactive. A reinstated one goes on.
#[test]
fn a_withdrawal_in_the_state_takes_effect_at_once() {
    let state = MemoryState::new();
    let setup = setup_with(|it| it.state(Arc::new(state.clone())));
    let id = "spiffe://example.org/agents/b".parse().unwrap();
    let (wit, key) = wit(&setup.authority, "b", now());
    let renew = || {
        let nonce = nonce(&setup.authority, now());
        let proof = renewal_proof(&nonce, &key, &key, &wit, now());
        let presented = aims_authority::PresentedProof::Wit {
            wit: &wit,
            proof: &proof,
        };
        let key_proof = key_proof(&nonce, &key, now());
        let identity = setup.authority.identity();
        identity
            .issue_wit(&presented, &key_proof, now())
            .map(drop)
            .map_err(|error| error.code())
    };
    let ask = || {
        let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
        let client = "spiffe://example.org/agents/b";
        let pop = json!({"iss": client, "aud": BASE, "jti": jti, "iat": NOW, "exp": NOW + 60});
        let pop = sign("oauth-client-attestation-pop+jwt", &pop, &key);
        let fields = [
            ("oauth-client-attestation", wit.as_str()),
            ("oauth-client-attestation-pop", pop.as_str()),
        ];
        let parameters = [("grant_type", "client_credentials")];
        endpoint::ask(&setup.authority, &fields, &parameters, now())
    };
    let token = ask().unwrap()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(renew(), Ok(()));

    use aims_authority::IdentityServer;
    assert!(IdentityServer::withdraw_in(&state, &id, now()).unwrap());
    assert!(!IdentityServer::withdraw_in(&state, &id, now()).unwrap());
    assert_eq!(renew(), Err("identity.withdrawn"));
    assert_eq!(ask(), refused(401, "invalid_client"));
    assert_eq!(setup.introspect(&token, now()), inactive());
    let again = enrol(&setup.authority, "b", &es256(), now());
    assert_eq!(common::code(again), "identity.withdrawn");
    let svid = jwt_svid(&setup.authority, &wit, &key, BASE, now());
    assert_eq!(common::code(svid), "identity.withdrawn");

    assert!(IdentityServer::reinstate_in(&state, &id, now()).unwrap());
    assert!(!IdentityServer::reinstate_in(&state, &id, now()).unwrap());
    assert_eq!(renew(), Ok(()));
    assert!(ask().is_ok());
    assert_eq!(setup.introspect(&token, now())["active"], true);
}
