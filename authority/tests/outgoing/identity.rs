//! Identity assertions for an ID token, and for a refresh token.

use aims_authority::{AuthorizationServer, Client};
use serde_json::{Value, json};

use crate::common::browser::{code, redeem, refresh, with};
use crate::common::endpoint::{ACCESS_TOKEN, JWT_BEARER, assertion_of};
use crate::common::{
    BASE, NOW, TOOLS, at, builder, code as code_of, confirmation, es256, key_set, now, sign,
};
use crate::lines::all_logged;
use crate::world::{
    ACCOUNTS, Answer, BANK, ID_JAG, IDP, JWT, Users, World, every, merged, refused, store, target,
};

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const SAML: &str = "urn:ietf:params:oauth:token-type:saml2";
const ASSERTION: [(&str, &str); 1] = [("requested_token_type", ID_JAG)];

/// The claims of a good ID token of the identity provider, with these changes.
fn claims(changes: &Value) -> Value {
    let claims = json!({
        "iss": IDP, "sub": "u1", "aud": "shop-app", "iat": NOW - 10, "exp": NOW + 100,
        "auth_time": NOW - 20, "acr": "mfa", "amr": ["otp"], "nonce": "n", "email": "a@x.example",
    });
    merged(claims, changes)
}

fn invalid(description: &str) -> Answer {
    refused("invalid_request", description)
}

impl World {
    fn id_token(&self, changes: &Value) -> String {
        sign("JWT", &claims(changes), &self.idp)
    }

    fn by_id_token(&self, changes: &Value) -> Answer {
        self.exchange(
            "agent",
            (&self.id_token(changes), ID_TOKEN),
            &ASSERTION,
            now(),
        )
    }

    fn by_refresh_token(&self, client: &str, token: &str) -> Answer {
        self.exchange(client, (token, REFRESH_TOKEN), &ASSERTION, at(NOW + 5))
    }

    /// The authentication of the agent.
    fn agents(&self) -> String {
        assertion_of("agent", &self.agent, now())
    }

    /// Returns the refresh token of a login.
    fn login(&self) -> String {
        let code = code(&self.authority, &with("client_id", Some("agent")), now());
        let own = self.agents();
        let more = [
            ("client_id", "agent"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &own),
        ];
        let granted = redeem(&self.authority, &code, &[], &more, now()).unwrap();
        granted["refresh_token"].as_str().unwrap().to_owned()
    }

    fn refreshed(&self, token: &str) -> Result<Value, (u16, String)> {
        let own = self.agents();
        let more = [
            ("client_id", "agent"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", own.as_str()),
        ];
        refresh(&self.authority, token, &[], &more, at(NOW + 5))
    }
}

/// JAG-30, JAG-31: the assertion is about the user by the name there, with the login of the ID
/// token and the scopes that the operator names, and ends with the ID token.
#[test]
fn an_id_token_gives_an_assertion() {
    let world = World::new();
    let granted = world.by_id_token(&json!({})).unwrap();
    assert_eq!(granted["issued_token_type"], ID_JAG);
    assert_eq!(granted["token_type"], "N_A");
    let mut claims = world.grant(&granted, "oauth-id-jag+jwt");
    claims.as_object_mut().unwrap().remove("jti");
    let expected = json!({
        "iss": BASE, "sub": "customer-7", "aud": BANK, "client_id": "shop-agent", "iat": NOW,
        "exp": NOW + 60, "scope": "read", "resource": ACCOUNTS, "auth_time": NOW - 20,
        "acr": "mfa", "amr": ["otp"], "act": {"iss": BASE, "sub": "agent"},
        "cnf": confirmation(&world.agent),
    });
    assert_eq!(claims, expected);
    let later = world.by_id_token(&json!({"nbf": NOW + 20})).unwrap();
    assert_eq!(world.grant(&later, "oauth-id-jag+jwt")["nbf"], NOW + 20);
    let short = world.by_id_token(&json!({"exp": NOW + 9})).unwrap();
    assert_eq!(short["expires_in"], 9);
    // An approval at this server gives the client an ID token too.
    let own = claims_of_own();
    let token = sign("JWT", &own, &world.access);
    let granted = world.exchange("agent", (&token, ID_TOKEN), &ASSERTION, now());
    let claims = world.grant(&granted.unwrap(), "oauth-id-jag+jwt");
    assert_eq!(
        (&claims["sub"], &claims["scope"]),
        (&json!("customer-7"), &json!("pay"))
    );
    let found = world.exchange("other", (&token, ID_TOKEN), &ASSERTION, now());
    assert_eq!(found, invalid("its aud is not this client alone"));
}

fn claims_of_own() -> Value {
    json!({"iss": BASE, "sub": "alice", "aud": "agent", "iat": NOW, "exp": NOW + 100})
}

/// JAG-30: an ID token is for this client, by its name at the issuer, and is no other token.
#[test]
fn an_id_token_is_the_clients_own() {
    let world = World::new();
    let audience = "its aud is not this client alone";
    let other = "it has a claim of another kind of token";
    let times = "it has expired or is not valid yet";
    let malformed = "a claim of the ID token is missing or malformed";
    for (changes, reason) in [
        (json!({"aud": "agent"}), audience),
        (json!({"aud": ["shop-app", "other"]}), audience),
        (json!({"aud": TOOLS}), audience),
        (json!({"azp": "other"}), audience),
        (json!({"exp": NOW - 31}), times),
        (json!({"exp": NOW}), "it has expired"),
        (json!({"iat": NOW + 31}), times),
        (
            json!({"iat": NOW - 368 * 86_400}),
            "it is older than revocations are kept",
        ),
        (json!({"iat": null}), malformed),
        (json!({"aud": null}), malformed),
        (json!({"sub": ""}), "its iss or its sub is none"),
        (json!({"sub": "u9"}), "its subject is none of this server"),
        (json!({"scope": "read"}), other),
        (json!({"events": {}}), other),
        (json!({"act": {"sub": "x"}}), other),
        (json!({"may_act": {"sub": "x"}}), other),
        (json!({"cnf": {"jkt": "x"}}), other),
        (json!({"scp": "read"}), other),
        (json!({"appid": "shop-app"}), other),
        (json!({"cid": "shop-app"}), other),
        (json!({"client_id": "shop-app"}), other),
        (json!({"authorization_details": [{"type": "x"}]}), other),
        (json!({"txn": "t-1"}), other),
        (json!({"tctx": {}}), other),
        (json!({"token_use": "access"}), other),
        (json!({"token_use": ["id"]}), other),
    ] {
        assert_eq!(world.by_id_token(&changes), invalid(reason), "{changes}");
    }
    for changes in [
        json!({"aud": ["shop-app"]}),
        json!({"azp": "shop-app"}),
        json!({"token_use": "id"}),
        json!({"ver": "2.0"}),
    ] {
        assert!(world.by_id_token(&changes).is_ok(), "{changes}");
    }
    assert_eq!(
        world.by_id_token(&json!({"sub": "u2"})).unwrap_err().0,
        "server_error"
    );
    // The refusal of another type names those that are accepted.
    let any = [("requested_token_type", ACCESS_TOKEN)];
    let found = world.exchange("agent", ("a", SAML), &any, now());
    let (_, description) = found.unwrap_err();
    for accepted in [
        "access token",
        "transaction token",
        "ID token",
        "refresh token",
        "self_signed",
        "unsigned_json",
    ] {
        assert!(description.contains(accepted), "{description}");
    }
    let sent = |text: &str| world.exchange("agent", (text, ID_TOKEN), &ASSERTION, now());
    let forged = sign("JWT", &claims(&json!({})), &es256());
    assert_eq!(sent(&forged), invalid("its signature is not valid"));
    let forged = sign("JWT", &claims(&json!({})), &es256().with_key_id("x"));
    assert_eq!(sent(&forged), invalid("its key is none of its issuer"));
    let twin = es256().with_key_id(world.idp.public_jwk().key_id().unwrap().to_owned());
    let forged = sign("JWT", &claims(&json!({})), &twin);
    assert_eq!(sent(&forged), invalid("its signature is not valid"));
    for typ in ["at+jwt", "logout+jwt", ID_JAG] {
        let other = sign(typ, &claims(&json!({})), &world.idp);
        assert_eq!(
            sent(&other),
            invalid("its typ is not that of an ID token"),
            "{typ}"
        );
    }
    // A key of the identity provider says nothing about users of this server.
    let own = sign("JWT", &claims_of_own(), &world.idp);
    assert_eq!(sent(&own), invalid("its key is not of this server"));
    assert_eq!(sent("x"), invalid("it is no ID token"));
}

/// JAG-30: what the operator has not named is refused: clients, issuers, scopes and other kinds.
#[test]
fn an_id_token_needs_the_operators_word() {
    let world = World::new();
    let token = world.id_token(&json!({}));
    let found = world.exchange("other", (&token, ID_TOKEN), &ASSERTION, now());
    let reason = "this client may not present ID tokens of that issuer";
    assert_eq!(found, refused("unauthorized_client", reason));
    assert_eq!(
        world.by_id_token(&json!({"iss": "https://x.example"})),
        target()
    );
    let more = [ASSERTION[0], ("scope", "pay")];
    let found = world.exchange("agent", (&token, ID_TOKEN), &more, now());
    assert_eq!(found.unwrap_err().0, "invalid_scope");
    // It gives an identity assertion alone.
    for (kind, asked) in [(ID_TOKEN, JWT), (ID_TOKEN, ACCESS_TOKEN), (SAML, ID_JAG)] {
        let more = [("requested_token_type", asked)];
        let found = world.exchange("agent", (&token, kind), &more, now());
        assert_eq!(found.unwrap_err().0, "invalid_request", "{kind} {asked}");
    }
    let found = world.exchange("agent", (&token, ACCESS_TOKEN), &ASSERTION, now());
    assert_eq!(found.unwrap_err().0, "unauthorized_client");
    let state = world.authority.oauth().state();
    AuthorizationServer::revoke_subject_in(state, "alice", now()).unwrap();
    let reason = "its subject, its client or an actor was revoked or withdrawn";
    assert_eq!(world.by_id_token(&json!({})), invalid(reason));
    let later = json!({"iat": NOW + 1});
    assert!(world.by_id_token(&later).is_ok());
}

/// JAG-30: a refresh token gives assertions of its grant, and stays good.
#[test]
fn a_refresh_token_gives_an_assertion_and_stays() {
    let world = World::new();
    let token = world.login();
    for _ in 0..2 {
        let granted = world.by_refresh_token("agent", &token).unwrap();
        let claims = world.grant(&granted, "oauth-id-jag+jwt");
        assert_eq!(claims["sub"], "customer-7");
        assert_eq!(claims["scope"], "pay");
        assert_eq!(claims["auth_time"], NOW);
        assert_eq!(claims["act"], json!({"iss": BASE, "sub": "agent"}));
        assert_eq!(claims["cnf"], confirmation(&world.agent));
    }
    let more = [ASSERTION[0], ("scope", "read")];
    let found = world.exchange("agent", (&token, REFRESH_TOKEN), &more, at(NOW + 5));
    assert_eq!(found.unwrap_err().0, "invalid_scope");
    let next = world.refreshed(&token).unwrap();
    let next = next["refresh_token"].as_str().unwrap();
    assert!(world.by_refresh_token("agent", next).is_ok());
}

/// DEL-15: the log names an ID token by its own issuer and `jti`, if it has one, and a refresh
/// token by its grant.
#[test]
fn the_log_has_the_own_names_of_a_subject_token() {
    let world = World::new();
    let line = |token: &str, kind| {
        let lines = all_logged(|| {
            let asked = world.exchange("agent", (token, kind), &ASSERTION, at(NOW + 5));
            assert!(asked.is_ok(), "{asked:?}");
        });
        let is_exchange = |it: &String| it.contains("exchanged a token");
        lines.into_iter().find(is_exchange).unwrap()
    };
    let refresh = world.login();
    let granted = world.refreshed(&refresh).unwrap();
    let token = granted["access_token"].as_str().unwrap();
    let access = crate::common::claims(token)["jti"].clone();
    let (grant, _) = access.as_str().unwrap().split_once('.').unwrap();
    let refresh = granted["refresh_token"].as_str().unwrap();
    for (token, kind, issuer, id) in [
        (world.id_token(&json!({"jti": "i-1"})), ID_TOKEN, IDP, "i-1"),
        (world.id_token(&json!({})), ID_TOKEN, IDP, ""),
        (world.id_token(&json!({"jti": 1})), ID_TOKEN, IDP, ""),
        (
            sign("JWT", &claims_of_own(), &world.access),
            ID_TOKEN,
            BASE,
            "",
        ),
        (refresh.to_owned(), REFRESH_TOKEN, BASE, grant),
    ] {
        let line = line(&token, kind);
        let named = format!("parent_iss={issuer:?} parent_id={id:?} ");
        assert!(line.contains(&named), "{named}: {line}");
    }
}

/// JAG-30: the refresh token of another client, an unknown one and that of a revoked grant are
/// refused. One that was used before gives nothing, and later ends its grant.
#[test]
fn other_refresh_tokens_are_refused() {
    let world = World::new();
    let token = world.login();
    let found = world.by_refresh_token("other", &token);
    assert_eq!(
        found,
        invalid("the refresh token was issued to another client")
    );
    let unknown = invalid("the refresh token is unknown, has expired or was revoked");
    assert_eq!(world.by_refresh_token("agent", "x"), unknown);
    let late = at(NOW + 8 * 86_400);
    let found = world.exchange("agent", (&token, REFRESH_TOKEN), &ASSERTION, late);
    assert_eq!(found, unknown);
    let more = [("requested_token_type", JWT)];
    let found = world.exchange("agent", (&token, REFRESH_TOKEN), &more, now());
    assert_eq!(found.unwrap_err().0, "invalid_request");
    let next = world.refreshed(&token).unwrap();
    let next = next["refresh_token"].as_str().unwrap();
    let found = world.by_refresh_token("agent", &token);
    assert_eq!(found.unwrap_err().0, "invalid_grant");
    assert!(world.by_refresh_token("agent", next).is_ok());
    let late = at(NOW + 60);
    let found = world.exchange("agent", (&token, REFRESH_TOKEN), &ASSERTION, late);
    assert_eq!(found.unwrap_err().0, "invalid_grant");
    assert_eq!(world.by_refresh_token("agent", next), unknown);
    let token = world.login();
    let state = world.authority.oauth().state();
    AuthorizationServer::revoke_subject_in(state, "alice", now()).unwrap();
    let found = world.by_refresh_token("agent", &token);
    let reason = "its subject or its client was revoked or withdrawn";
    assert_eq!(found, invalid(reason));
}

/// JAG-30: the keys of an issuer of ID tokens are known at the start.
#[test]
fn issuers_of_id_tokens_are_checked_at_the_start() {
    let key = es256();
    let client = || Client::with_keys("a", key_set(&key)).known_as(BANK, "a");
    let issuers = || builder().subject_issuers(store(&key), std::sync::Arc::new(Users));
    let good = issuers().outgoing_grants(every());
    assert!(
        good.client(client().id_tokens_of(IDP, "b"))
            .build(now())
            .is_ok()
    );
    let without = builder().outgoing_grants(every());
    assert_eq!(code_of(without.build(now())), "authority.domain");
    let other = issuers().outgoing_grants(every());
    let other = other.client(client().id_tokens_of("https://x.example", "b"));
    assert_eq!(code_of(other.build(now())), "authority.domain");
    let other = every().id_token_scopes("https://x.example", ["read"]);
    let other = issuers().outgoing_grants(other);
    assert_eq!(code_of(other.build(now())), "authority.domain");
}
