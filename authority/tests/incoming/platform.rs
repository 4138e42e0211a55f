//! The token of a platform, presented by a public client: it proves nothing, so only the subjects
//! that the operator names for it get a token.

use std::sync::Arc;

use aims_authority::{Authority, Client, DevUser, IncomingGrants, MapSubject, Resource};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::dpop::Binding;
use serde_json::{Value, json};

use crate::common::endpoint::{
    JWT_BEARER as ASSERTION, assertion_of, described, form, send_form, verified,
};
use crate::common::{
    BASE, FILES, NOW, TOOLS, at, builder, code, es256, get, issuer_store, key_set, now, sign,
};
use crate::lines::all_logged;
use crate::world::{Answer, CHAIN, ID_JAG, JWT_BEARER, good, invalid, refused};

const PLATFORM: &str = "https://platform.example";
/// A platform whose rules name no public client.
const CLOUD: &str = "https://cloud.example";
const SITE: &str = "repo:shop/site:environment:production";

#[derive(Debug)]
struct Jobs;

impl MapSubject for Jobs {
    fn subject(&self, _issuer: &str, subject: &str) -> Option<String> {
        let job = subject.strip_prefix("repo:shop/")?;
        (job != "nobody").then(|| format!("job:{job}"))
    }
}

fn rules(issuer: &str, key: &SigningKey) -> IncomingGrants {
    let (store, issuer) = (issuer_store(issuer, key), issuer.parse().unwrap());
    let rows = ScopeTable::new([("run", "call")]).unwrap();
    IncomingGrants::new(issuer, store, Arc::new(Jobs)).scopes(TOOLS, rows)
}

fn every(issuer: &str, key: &SigningKey) -> IncomingGrants {
    let rules = rules(issuer, key).accept_jwt().accept_id_jag();
    let rules = rules.ignore_further_claims();
    rules.accept_transactions().transaction_member("amount")
}

fn public(id: &str) -> Client {
    Client::public(id).allow(TOOLS, ["call", "list"])
}

struct World {
    authority: Authority,
    platform: SigningKey,
    agent: SigningKey,
}

impl World {
    fn new() -> Self {
        let (platform, agent) = (es256(), es256());
        let named = every(PLATFORM, &platform)
            .accept_public_client("deploy", SITE)
            .accept_public_client("deploy", "repo:shop/nobody")
            .accept_public_client("docs", "repo:shop/docs")
            .accept_public_client("bound", SITE);
        let both = |client: Client| client.grants_of(PLATFORM).grants_of(CLOUD);
        let authority = builder()
            .users(Arc::new(DevUser::new("alice")))
            .resource(Resource::new("https://none.example"))
            .incoming_grants(named)
            .incoming_grants(every(CLOUD, &platform))
            .client(both(public("deploy")).allow("https://none.example", [""; 0]))
            .client(
                Client::public("docs")
                    .allow(TOOLS, ["list"])
                    .grants_of(PLATFORM),
            )
            .client(both(public("bound")).require_dpop())
            .client(both(public("unnamed")))
            .client(both(
                Client::with_keys("agent", key_set(&agent)).allow(TOOLS, ["call", "list"]),
            ));
        Self {
            authority: authority.build(now()).unwrap(),
            platform,
            agent,
        }
    }

    fn signed(&self, claims: &Value) -> String {
        sign("JWT", claims, &self.platform)
    }

    /// Presents a token as this client, which does not authenticate, for the tool.
    fn present_as(&self, client_id: &str, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut all = vec![("client_id", client_id), ("resource", TOOLS)];
        all.extend(more);
        self.send(token, &[], &all)
    }

    fn send(&self, token: &str, fields: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
        let mut all = vec![("grant_type", JWT_BEARER), ("assertion", token)];
        all.extend(more);
        described(&send_form(&self.authority, fields, &all, now()))
    }

    fn present(&self, claims: &Value) -> Answer {
        self.present_as("deploy", &self.signed(claims), &[])
    }

    fn claims(&self, answer: &Value) -> Value {
        let text = answer["access_token"].as_str().unwrap();
        verified(&self.authority, text, now())
    }
}

/// The claims of a good token of the platform.
fn job() -> Value {
    let jti = aims_jose::random::id128(SYSTEM).unwrap();
    json!({
        "iss": PLATFORM, "sub": SITE, "aud": BASE, "iat": NOW, "nbf": NOW - 60, "exp": NOW + 100,
        "jti": jti, "repository": "shop/site", "run_attempt": 1,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = job();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = job();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// AIM-02, JWTA-10, JWTA-23: the job gets what the operator allows its client, for as long as the
/// token of the platform is valid, and no refresh token.
#[test]
fn a_job_gets_a_token_for_that_of_its_platform() {
    let world = World::new();
    let granted = world.present(&job()).unwrap();
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["scope"], "call list");
    assert_eq!(granted["expires_in"], 100);
    assert_eq!(granted.get("refresh_token"), None);
    let claims = world.claims(&granted);
    assert_eq!(claims["sub"], "job:site:environment:production");
    assert_eq!(claims["client_id"], "deploy");
    assert_eq!(claims["aud"], TOOLS);
    assert_eq!(claims["scope"], "call list");
    assert_eq!(claims["exp"], NOW + 100);
    assert_eq!(claims.get("cnf"), None);
    assert_eq!(claims.get("repository"), None);
    let less = world.present_as("deploy", &world.signed(&job()), &[("scope", "list")]);
    assert_eq!(less.unwrap()["scope"], "list");
}

/// AIM-02: a subject that the rules do not name for this client gets nothing, nor one that the
/// operator maps to no subject here.
#[test]
fn only_named_subjects_get_a_token() {
    let world = World::new();
    let other = "its sub is none that the rules name for this client";
    for subject in [
        "repo:shop/other",
        "repo:shop/docs",
        "repo:shop/site",
        "repo:shop/site:environment:production:ref",
        "REPO:shop/site:environment:production",
    ] {
        let found = world.present(&with("sub", subject.into()));
        assert_eq!(found, invalid(other), "{subject}");
    }
    let found = world.present_as("docs", &world.signed(&job()), &[]);
    assert_eq!(found, invalid(other));
    let lines = all_logged(|| drop(world.present_as("docs", &world.signed(&job()), &[])));
    let named = format!(r#"client_id="docs" sub={SITE:?} expected="repo:shop/docs" "#);
    assert!(lines.concat().contains(&named), "{lines:?}");
    let docs = world.signed(&with("sub", "repo:shop/docs".into()));
    assert_eq!(
        world.present_as("docs", &docs, &[]).unwrap()["scope"],
        "list"
    );
    let found = world.present(&with("sub", "repo:shop/nobody".into()));
    assert_eq!(found, invalid("its subject is none of this server"));
}

/// JWTA-20: a token for another server, and one that is not good any more, are refused.
#[test]
fn the_token_is_for_this_server_now() {
    let world = World::new();
    for (name, value) in [
        ("aud", json!("https://as.other.example")),
        ("aud", json!([BASE, "https://as.other.example"])),
        ("aud", json!("https://tools.example/mcp")),
        ("exp", json!(NOW)),
        ("exp", json!(NOW + 301)),
        ("nbf", json!(NOW + 31)),
        ("iss", json!("https://other.example")),
        ("client_id", json!("docs")),
    ] {
        let found = world.present(&with(name, value.clone()));
        assert_eq!(found.unwrap_err().0, "invalid_grant", "{name} {value}");
    }
    let forged = sign("JWT", &job(), &es256());
    let found = world.present_as("deploy", &forged, &[]);
    assert_eq!(found, invalid("its signature is not valid"));
}

/// JWTA-20: each token counts once, also one without `jti`.
#[test]
fn a_token_counts_once() {
    let world = World::new();
    let used = invalid("the assertion was used before");
    for claims in [job(), without("jti")] {
        let token = world.signed(&claims);
        assert!(world.present_as("deploy", &token, &[]).is_ok());
        assert_eq!(world.present_as("deploy", &token, &[]), used);
        // Another signature of the same text is not another token.
        assert_eq!(world.present(&claims), used);
    }
    let mut other = without("jti");
    other["run_attempt"] = 2.into();
    assert!(world.present(&other).is_ok());
    let found = world.present(&with("jti", json!("")));
    let names = "its sub or its jti is empty, or its jti is too long";
    assert_eq!(found, invalid(names));
}

/// JWTA-22: a client with keys does not get in without them, and gets no more by a grant that
/// limits nothing.
#[test]
fn a_client_with_keys_authenticates() {
    let world = World::new();
    let found = world.present_as("agent", &world.signed(&job()), &[]);
    let reason = "the client could not be authenticated";
    assert_eq!(found, refused("invalid_client", reason));
    let found = world.present_as("unknown", &world.signed(&job()), &[]);
    assert_eq!(found, refused("invalid_client", reason));
    let by_key = |claims: &Value| {
        let own = assertion_of("agent", &world.agent, now());
        let more = [
            ("client_assertion_type", ASSERTION),
            ("client_assertion", own.as_str()),
            ("resource", TOOLS),
        ];
        world.send(&world.signed(claims), &[], &more)
    };
    let found = by_key(&job());
    assert_eq!(found, invalid("it has no scope, so it limits nothing"));
    let mut unnamed = without("jti");
    unnamed["scope"] = "run".into();
    let found = by_key(&unnamed);
    assert_eq!(found, invalid("a claim is missing or malformed"));
    unnamed["jti"] = "1".into();
    assert_eq!(by_key(&unnamed).unwrap()["scope"], "call");
}

/// JWTA-22: without the operator's word a public client presents nothing.
#[test]
fn a_public_client_needs_the_operators_word() {
    let world = World::new();
    let reason = "this client must authenticate to present grants of that issuer";
    let closed = refused("unauthorized_client", reason);
    let found = world.present(&with("iss", CLOUD.into()));
    assert_eq!(found, closed);
    let found = world.present_as("unnamed", &world.signed(&job()), &[]);
    assert_eq!(found, closed);
    let found = world.present_as("docs", &world.signed(&with("iss", CLOUD.into())), &[]);
    let reason = "this client may not present grants of that issuer";
    assert_eq!(found, refused("unauthorized_client", reason));
}

/// JAG-44, TXC-04: the grants of another domain need a client that authenticates.
#[test]
fn a_public_client_presents_no_other_grants() {
    let world = World::new();
    let reason = "a public client presents tokens of a platform, and no other grants";
    for typ in [ID_JAG, CHAIN] {
        let mut claims = good(typ);
        (claims["iss"], claims["sub"]) = (json!(PLATFORM), json!(SITE));
        if typ == ID_JAG {
            claims["client_id"] = "deploy".into();
        }
        let grant = sign(typ, &claims, &world.platform);
        let found = world.present_as("deploy", &grant, &[]);
        assert_eq!(found, refused("unauthorized_client", reason), "{typ}");
    }
}

/// DEL-01: a token with a scope gives what the table makes of it, and none gives more than the
/// client may have.
#[test]
fn no_more_is_given_than_the_operator_allows() {
    let world = World::new();
    let granted = world.present(&with("scope", "run".into())).unwrap();
    assert_eq!(granted["scope"], "call");
    let token = world.signed(&with("scope", "run".into()));
    let found = world.present_as("deploy", &token, &[("scope", "list")]);
    assert_eq!(found.unwrap_err().0, "invalid_scope");
    let docs = || world.signed(&with("sub", "repo:shop/docs".into()));
    let found = world.present_as("docs", &docs(), &[("scope", "call")]);
    assert_eq!(found.unwrap_err().0, "invalid_scope");
    let found = world.send(&world.signed(&job()), &[], &[("client_id", "deploy")]);
    assert_eq!(found.unwrap_err().0, "invalid_target");
    // The token has its own scopes, and the rules none for this resource.
    let token = world.signed(&with("scope", "run".into()));
    let more = [
        ("client_id", "deploy"),
        ("resource", "https://none.example"),
    ];
    let reason =
        "the grant has its own scopes, expected IncomingGrants::scopes to name this resource";
    assert_eq!(
        world.send(&token, &[], &more),
        refused("invalid_target", reason)
    );
    for (resource, error) in [
        (FILES, "invalid_target"),
        ("https://none.example", "invalid_scope"),
    ] {
        let more = [("client_id", "deploy"), ("resource", resource)];
        let found = world.send(&world.signed(&job()), &[], &more);
        assert_eq!(found.unwrap_err().0, error);
    }
}

/// DPOP-30, JAG-41: the token is bound to the key of a proof, where the client must have one or
/// chooses to.
#[test]
fn a_proof_binds_the_token_of_a_job() {
    let world = World::new();
    let key = es256();
    let proof = || {
        let place = format!("{BASE}/token");
        let (jwk, algorithm) = (key.public_jwk(), key.algorithm());
        let made = Binding::to("POST", &place).prepare(jwk, algorithm, SYSTEM, now());
        made.unwrap().sign(&key).unwrap().expose().to_owned()
    };
    let jkt = key.public_jwk().thumbprint().to_string();
    let bound = |client: &str, claims: &Value| {
        let more = [("client_id", client), ("resource", TOOLS)];
        world.send(&world.signed(claims), &[("dpop", &proof())], &more)
    };
    for client in ["deploy", "bound"] {
        let granted = bound(client, &job()).unwrap();
        assert_eq!(granted["token_type"], "DPoP");
        assert_eq!(world.claims(&granted)["cnf"], json!({"jkt": jkt}));
    }
    let found = world.present_as("bound", &world.signed(&job()), &[]);
    let reason = "this client's requests need a DPoP proof";
    assert_eq!(found, refused("invalid_request", reason));
    let own = with("cnf", json!({"jkt": jkt}));
    let reason = "it is bound to a key that the client has not proven";
    assert_eq!(world.present(&own), invalid(reason));
    assert!(bound("deploy", &own).is_ok());
}

/// A client without a redirect URI gets no code, and a revoked job no token.
#[test]
fn such_a_client_has_no_users() {
    let world = World::new();
    for redirect in ["", "&redirect_uri=http://127.0.0.1/callback"] {
        let query = form(&[
            ("response_type", "code"),
            ("client_id", "deploy"),
            ("resource", TOOLS),
            ("code_challenge_method", "S256"),
            ("code_challenge", &"a".repeat(43)),
        ]);
        let found = get(
            &world.authority,
            &format!("/authorize?{query}{redirect}"),
            now(),
        );
        assert_eq!(found.status(), 400, "{redirect}");
    }
    let state = world.authority.oauth().state();
    let subject = "job:site:environment:production";
    let old = world.signed(&job());
    aims_authority::AuthorizationServer::revoke_subject_in(state, subject, at(NOW)).unwrap();
    let found = world.present_as("deploy", &old, &[]);
    assert_eq!(found.unwrap_err().0, "invalid_grant");
}

/// Rules that would open more than the operator sees are refused at the start.
#[test]
fn the_rules_of_public_clients_are_checked_at_the_start() {
    let key = es256();
    let built = |rules: IncomingGrants, client: Client| {
        let authority = builder().incoming_grants(rules).client(client);
        authority.build(now()).map(drop)
    };
    let named = |rules: IncomingGrants| rules.accept_public_client("deploy", SITE);
    let open = || named(rules(PLATFORM, &key).accept_jwt());
    let good = || public("deploy").grants_of(PLATFORM);
    assert!(built(open(), good()).is_ok());
    let closed = named(rules(PLATFORM, &key).accept_id_jag());
    assert_eq!(code(built(closed, good())), "authority.domain");
    for client in [
        public("deploy").redirect_uri("http://127.0.0.1/callback"),
        public("other").grants_of(PLATFORM),
        Client::with_keys("deploy", key_set(&key)).grants_of(PLATFORM),
    ] {
        assert_eq!(code(built(open(), client)), "authority.domain");
    }
    assert_eq!(code(built(open(), public("deploy"))), "authority.clients");
}
