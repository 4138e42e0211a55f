//! Access tokens (RFC 9068): each refused one differs in one thing from a valid one.

mod common;

use aims_jose::time::Skew;
use aims_oauth_rs::{AccessToken, AccessTokenRules, IssuerStore, ProfileName, TokenSource};
use common::{ISSUER, NOW, RESOURCE, World, at, claims, code, sign, sign_raw};
use serde::Deserialize;
use serde_json::{Value, json};

/// ATJ-07: the claims of a valid token are available.
#[test]
fn a_good_token_says_what_was_signed() {
    let world = World::new();
    let actor = json!({"sub": "agent", "iss": "https://other.example", "act": {"sub": "front"}});
    let text = world.token_with(&json!({"act": actor, "groups": ["staff"]}));
    let token = world.verify(&text, NOW).unwrap();
    assert_eq!(
        (token.issuer(), token.subject(), token.client_id()),
        (ISSUER, "alice", "s6BhdRkqt3")
    );
    assert_eq!(
        (token.jwt_id(), token.expires()),
        (Some("t1"), at(NOW + 300))
    );
    assert_eq!(token.scopes(), &"tools:call tools:list".parse().unwrap());
    assert!(token.confirmations().is_empty() && token.roles().is_empty());
    assert_eq!(token.issued_at(), Some(at(NOW)));
    assert_eq!(token.source(), TokenSource::Jws);
    assert_eq!(token.profile(), ProfileName::Rfc9068);
    let actors: Vec<_> = token.actors().iter().collect();
    assert_eq!((actors.len(), actors[0].subject.as_str()), (2, "agent"));
    assert_eq!(actors[0].issuer.as_deref(), Some("https://other.example"));
    assert_eq!(
        (actors[1].subject.as_str(), &actors[1].issuer),
        ("front", &None)
    );
    assert_eq!(token.hash(), &aims_jose::digest::sha256(text.as_bytes()));
    let (signed, _) = text.rsplit_once('.').unwrap();
    assert_eq!(
        token.signed_hash(),
        &aims_jose::digest::sha256(signed.as_bytes())
    );
    #[derive(Deserialize)]
    struct More {
        groups: Vec<String>,
    }
    assert_eq!(token.claims::<More>().unwrap().groups, ["staff"]);
    let shown = format!("{token:?}");
    assert!(!shown.contains("t1") && !text.split('.').any(|part| shown.contains(part)));
}

/// ATJ-01: `typ` is the media type of access tokens, in any case and with or without its prefix.
#[test]
fn the_type_is_at_jwt() {
    let world = World::new();
    for typ in ["at+jwt", "AT+jwt", "application/at+jwt"] {
        assert_eq!(world.code(&sign(typ, &world.key, &claims())), "ok", "{typ}");
    }
    for typ in ["JWT", "at", "at+jwt+x", "id+jwt", "wpt+jwt", "text/at+jwt"] {
        let text = sign(typ, &world.key, &claims());
        assert_eq!(world.code(&text), "token.typ", "{typ}");
    }
    let header = r#"{"alg":"ES256","kid":"as"}"#;
    let untyped = sign_raw(header, &claims().to_string(), &world.key);
    assert_eq!(world.code(&untyped), "token.typ");
}

/// ATJ-07: each required claim, missing, `null`, empty or of another type.
#[test]
fn required_claims_are_there() {
    let world = World::new();
    for claim in ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"] {
        assert_eq!(
            world.code_of(&json!({claim: "-"})),
            "token.claim",
            "{claim}"
        );
        assert_eq!(
            world.code_of(&json!({claim: null})),
            "token.claim",
            "{claim}"
        );
        assert_eq!(world.code_of(&json!({claim: {}})), "token.claim", "{claim}");
    }
    for claim in ["sub", "client_id", "jti"] {
        assert_eq!(world.code_of(&json!({claim: ""})), "token.claim", "{claim}");
        assert_eq!(world.code_of(&json!({claim: 1})), "token.claim", "{claim}");
    }
    for claim in ["exp", "iat", "nbf"] {
        assert_eq!(
            world.code_of(&json!({claim: "1800000000"})),
            "token.claim",
            "{claim}"
        );
    }
}

/// ATJ-03: `iss` is exactly a configured issuer.
#[test]
fn the_issuer_is_a_configured_one() {
    let world = World::new();
    for issuer in [
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "http://as.example",
        "https://as.example.evil",
        "",
    ] {
        let code = world.code_of(&json!({"iss": issuer}));
        assert_eq!(code, "token.unknown_issuer", "{issuer}");
    }
    let nobody = IssuerStore::new().snapshot();
    let refused = AccessToken::verify(&world.token(), &nobody, &world.rules, at(NOW));
    assert_eq!(code(refused), "token.unknown_issuer");
}

/// ATJ-04: `aud` contains an identifier of this resource, byte for byte.
#[test]
fn the_audience_is_this_resource() {
    let mut world = World::new();
    let other = "https://other.example";
    for aud in [json!([RESOURCE]), json!([other, RESOURCE])] {
        assert_eq!(world.code_of(&json!({"aud": aud})), "ok", "{aud}");
    }
    for aud in [
        json!(other),
        json!("https://tools.example/mcp/"),
        json!("https://tools.example"),
        json!("https://tools.example/MCP"),
        json!(""),
        json!([other]),
    ] {
        let code = world.code_of(&json!({"aud": aud}));
        assert_eq!(code, "token.audience", "{aud}");
    }
    world.rules = AccessTokenRules::new(RESOURCE).or_for(other);
    assert_eq!(world.code_of(&json!({"aud": other})), "ok");
    assert_eq!(world.code(&world.token()), "ok");
}

/// ATJ-06: `exp`, `nbf` and `iat` are exact to the second, with one skew.
#[test]
fn times_are_checked_to_the_second() {
    let mut world = World::new();
    let text = world.token();
    assert_eq!(code(world.verify(&text, NOW + 329)), "ok");
    assert_eq!(code(world.verify(&text, NOW + 330)), "token.expired");
    assert_eq!(code(world.verify(&text, NOW - 30)), "ok");
    assert_eq!(code(world.verify(&text, NOW - 31)), "token.not_yet_valid");
    assert_eq!(world.code_of(&json!({"nbf": NOW + 30})), "ok");
    let early = world.code_of(&json!({"nbf": NOW + 31}));
    assert_eq!(early, "token.not_yet_valid");
    for name in ["iat", "nbf"] {
        let backwards = world.code_of(&json!({name: NOW + 301}));
        assert_eq!(backwards, "token.claim", "{name}");
    }
    assert_eq!(world.code_of(&json!({"nbf": null})), "token.claim");
    world.rules = AccessTokenRules::new(RESOURCE).with_skew(Skew::ZERO);
    assert_eq!(code(world.verify(&text, NOW + 299)), "ok");
    assert_eq!(code(world.verify(&text, NOW + 300)), "token.expired");
    assert_eq!(code(world.verify(&text, NOW - 1)), "token.not_yet_valid");
}

/// ATJ-05, ATJ-12: a token with a repeated member, its own key or a critical extension is refused.
#[test]
fn the_token_is_read_strictly() {
    let world = World::new();
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"as"}"#;
    let payload = claims().to_string();
    assert_eq!(world.code(&sign_raw(header, &payload, &world.key)), "ok");
    let members = payload.strip_prefix('{').unwrap();
    for claim in ["iss", "aud", "sub", "scope", "cnf"] {
        let twice = format!(r#"{{"{claim}":"x","{claim}":"x",{members}"#);
        let text = sign_raw(header, &twice, &world.key);
        assert_eq!(world.code(&text), "jws.duplicate_member", "{claim}");
    }
    let array = format!("[{payload}]");
    let text = sign_raw(header, &array, &world.key);
    assert_eq!(world.code(&text), "jws.not_an_object");
    let open = header.strip_suffix('}').unwrap();
    let with = |member: &str| {
        let header = format!("{open},{member}}}");
        world.code(&sign_raw(&header, &payload, &world.key))
    };
    assert_eq!(with(r#""x":1"#), "ok");
    assert_eq!(with(r#""jku":"https://evil.example""#), "ok");
    assert_eq!(with(r#""crit":["x"],"x":1"#), "jws.crit");
    assert_eq!(world.code("x"), "jws.parts");
}

/// The limit of the length applies before anything is parsed.
#[test]
fn the_length_is_bounded() {
    let mut world = World::new();
    let text = world.token();
    world.rules = AccessTokenRules::new(RESOURCE).with_max_len(text.len());
    assert_eq!(world.code(&text), "ok");
    world.rules = AccessTokenRules::new(RESOURCE).with_max_len(text.len() - 1);
    assert_eq!(world.code(&text), "token.too_long");
    // It also applies beyond the limit of `jose`.
    let long = world.token_with(&json!({"x": "a".repeat(15_000)}));
    assert!(long.len() > aims_jose::jws::MAX_LENGTH);
    world.rules = AccessTokenRules::new(RESOURCE).with_max_len(long.len());
    assert_eq!(world.code(&long), "ok");
    world.rules = AccessTokenRules::new(RESOURCE).with_max_len(long.len() - 1);
    assert_eq!(world.code(&long), "token.too_long");
    world.rules = AccessTokenRules::new(RESOURCE);
    assert_eq!(world.code(&"a".repeat(8 * 1024)), "jws.parts");
    assert_eq!(world.code(&"a".repeat(8 * 1024 + 1)), "token.too_long");
}

/// ATJ-09: `scope` is a list of scope tokens, or absent.
#[test]
fn the_scope_is_well_formed() {
    let world = World::new();
    let none = world.verify(&world.token_with(&json!({"scope": "-"})), NOW);
    assert!(none.unwrap().scopes().is_empty());
    for scope in ["", " ", "a  b", "a\"b", "a\\b", "a\tb", "ä"] {
        let code = world.code_of(&json!({"scope": scope}));
        assert_eq!(code, "token.claim", "{scope:?}");
    }
    for scope in [
        json!(null),
        json!(1),
        json!({}),
        json!(["a b"]),
        json!([""]),
        json!(["a", 1]),
    ] {
        assert_eq!(
            world.code_of(&json!({"scope": scope})),
            "token.claim",
            "{scope}"
        );
    }
    for (scope, count) in [
        (json!(["tools:call"]), 1),
        (json!(["a", "b"]), 2),
        (json!([]), 0),
    ] {
        let token = world.verify(&world.token_with(&json!({"scope": scope})), NOW);
        assert_eq!(token.unwrap().scopes().len(), count, "{scope}");
    }
}

/// T-117: `act` has at most five nested actors with identifiers, each once.
#[test]
fn the_chain_of_actors_is_bounded() {
    let world = World::new();
    let chain = |length: usize| -> Value {
        (1..length).fold(
            json!({"sub": "a0"}),
            |act, number| json!({"sub": format!("a{number}"), "act": act}),
        )
    };
    let five = world.verify(&world.token_with(&json!({"act": chain(5)})), NOW);
    let five = five.unwrap();
    assert_eq!(five.actors().len(), 5);
    assert_eq!(five.current_actor().subject, "a4");
    let history: Vec<_> = five.history().iter().map(|it| &*it.subject).collect();
    assert_eq!(history, ["a3", "a2", "a1", "a0"]);
    assert_eq!(world.code_of(&json!({"act": chain(6)})), "token.claim");
    // An actor without `iss` is one of the token's issuer.
    let own = json!({"sub": "a", "act": {"sub": "a", "iss": ISSUER}});
    assert_eq!(world.code_of(&json!({"act": own})), "token.claim");
    // A cycle is refused; the same name at another issuer is another actor.
    let cycle = json!({"sub": "a", "act": {"sub": "b", "act": {"sub": "a"}}});
    assert_eq!(world.code_of(&json!({"act": cycle})), "token.claim");
    let other =
        json!({"sub": "a", "act": {"sub": "b", "act": {"sub": "a", "iss": "https://b.example"}}});
    assert_eq!(world.code_of(&json!({"act": other})), "ok");
    for act in [
        json!({}),
        json!("a"),
        json!([]),
        json!(["a"]),
        json!({"sub": 1}),
        json!({"sub": ""}),
        json!({"sub": "a", "iss": null}),
        json!({"sub": "a", "act": {}}),
    ] {
        assert_eq!(world.code_of(&json!({"act": act})), "token.claim", "{act}");
    }
}

/// Without `act`, the client is the current actor, and there is no history.
#[test]
fn the_client_is_the_first_actor() {
    let world = World::new();
    let token = world.verify(&world.token(), NOW).unwrap();
    assert!(token.actors().is_empty() && token.history().is_empty());
    assert_eq!(token.current_actor().subject, token.client_id());
    assert_eq!(token.current_actor().issuer, None);
    let acted = json!({"act": {"sub": "a", "iss": "https://b.example"}});
    let token = world.verify(&world.token_with(&acted), NOW).unwrap();
    assert_eq!(token.current_actor().subject, "a");
    let issuer = token.current_actor().issuer.as_deref();
    assert_eq!(issuer, Some("https://b.example"));
}

/// TEX-21: an actor has claims of its identity alone (RFC 8693 §4.1). Others, such as an `exp` in
/// the past or the `aud` of this resource, neither end nor extend the token.
#[test]
fn other_claims_of_an_actor_mean_nothing() {
    let world = World::new();
    let act = json!({"sub": "a", "exp": 1, "nbf": NOW + 900, "aud": "x", "scope": "admin"});
    let token = world.verify(&world.token_with(&json!({"act": act})), NOW);
    let token = token.unwrap();
    assert_eq!(token.current_actor().subject, "a");
    assert_eq!(token.expires(), at(NOW + 300));
    assert!(!token.scopes().contains("admin"));
    let own = json!({"sub": "a", "aud": RESOURCE, "exp": NOW + 9_000, "client_id": "c"});
    let other = json!({"act": own, "aud": "https://other.example"});
    assert_eq!(world.code_of(&other), "token.audience");
    let ended = world.token_with(&json!({"act": own}));
    assert_eq!(code(world.verify(&ended, NOW + 330)), "token.expired");
}

/// BCP-32: the subject of a client that acts for itself is no user.
#[test]
fn a_client_for_itself_is_no_user() {
    let world = World::new();
    let of_client = |changes: Value| {
        let token = world.verify(&world.token_with(&changes), NOW);
        token.unwrap().subject_is_client()
    };
    assert!(!of_client(json!({})));
    let client = "s6BhdRkqt3";
    assert!(of_client(json!({"sub": client})));
    assert!(!of_client(json!({"sub": "S6BhdRkqt3"})));
    // After an exchange, the first client is one of the actors.
    assert!(of_client(json!({"sub": client, "act": {"sub": "a"}})));
    let exchanged = json!({"sub": "b", "act": {"sub": "a", "act": {"sub": "b"}}});
    assert!(of_client(exchanged));
    let other = json!({"sub": "b", "act": {"sub": "b", "iss": "https://b.example"}});
    assert!(!of_client(other));
    // The marks of other servers mean nothing here.
    assert!(!of_client(json!({"gty": "client-credentials"})));
}

/// Each member of `may_act` must be one of the party. A claim that cannot be read permits none.
#[test]
fn may_act_permits_one_party() {
    let world = World::new();
    let token = |may_act: Value| {
        let token = world.token_with(&json!({"may_act": may_act}));
        world.verify(&token, NOW).unwrap()
    };
    let by_name = token(json!({"sub": "a"}));
    assert_eq!(by_name.may_act("a", None), Some(true));
    // Without `iss`, it is a party of the token's issuer.
    assert_eq!(by_name.may_act("a", Some(ISSUER)), Some(true));
    assert_eq!(by_name.may_act("a", Some("https://b.example")), Some(false));
    assert_eq!(by_name.may_act("b", None), Some(false));
    let whole = token(json!({"sub": "a", "iss": ISSUER}));
    assert_eq!(whole.may_act("a", None), Some(true));
    assert_eq!(whole.may_act("a", Some(ISSUER)), Some(true));
    assert_eq!(whole.may_act("a", Some("https://b.example")), Some(false));
    let foreign = token(json!({"sub": "a", "iss": "https://b.example"}));
    assert_eq!(foreign.may_act("a", None), Some(false));
    assert_eq!(foreign.may_act("a", Some("https://b.example")), Some(true));
    let client = by_name.client_id();
    let by_client = token(json!({"client_id": client}));
    assert_eq!(by_client.may_act(client, None), Some(true));
    assert_eq!(
        by_client.may_act(client, Some("https://b.example")),
        Some(false)
    );
    assert_eq!(by_client.may_act("a", None), Some(false));
    for malformed in [
        json!({}),
        json!({"iss": ISSUER}),
        json!("a"),
        json!(["a"]),
        json!({"sub": ["a"]}),
        json!(1),
    ] {
        let permitted = token(malformed.clone()).may_act("a", None);
        assert_eq!(permitted, Some(false), "{malformed}");
    }
    let without = world.verify(&world.token(), NOW).unwrap();
    assert_eq!(without.may_act("a", None), None);
    assert_eq!(world.code_of(&json!({"may_act": null})), "token.claim");
}

/// `acr`, `amr`, `auth_time` and `txn` are read. One that is malformed counts as absent, so that it
/// meets no requirement.
#[test]
fn the_login_is_read() {
    let world = World::new();
    let token = |changes: Value| world.verify(&world.token_with(&changes), NOW).unwrap();
    let whole = token(json!({
        "acr": "urn:mfa", "amr": ["pwd", "otp"], "auth_time": NOW - 5, "txn": "t-1",
    }));
    assert_eq!(whole.acr(), Some("urn:mfa"));
    assert_eq!(whole.amr(), ["pwd", "otp"]);
    assert_eq!(whole.auth_time().map(|it| it.as_secs()), Some(NOW - 5));
    assert_eq!(whole.transaction_id(), Some("t-1"));
    // Some servers write one method as a text.
    assert_eq!(token(json!({"amr": "pwd"})).amr(), ["pwd"]);
    assert_eq!(token(json!({"acr": ""})).acr(), None);
    let other = token(json!({"acr": 1, "amr": [1], "auth_time": "now", "txn": {}}));
    assert_eq!((other.acr(), other.auth_time()), (None, None));
    assert!(other.amr().is_empty());
    assert_eq!(other.transaction_id(), None);
    for claim in ["acr", "amr", "auth_time", "txn"] {
        assert_eq!(
            world.code_of(&json!({claim: null})),
            "token.claim",
            "{claim}"
        );
    }
}

/// The details are read where they are needed. Malformed ones are an error there.
#[test]
fn authorization_details_are_read() {
    let world = World::new();
    let details = |value: Value| {
        let token = world.token_with(&json!({"authorization_details": value}));
        let details = world.verify(&token, NOW).unwrap().authorization_details();
        details.map(|it| it.types().map(str::to_owned).collect::<Vec<_>>())
    };
    let two = details(json!([{"type": "a"}, {"type": "b", "actions": ["x"]}]));
    assert_eq!(two.unwrap(), ["a", "b"]);
    for malformed in [
        json!({"type": "a"}),
        json!("a"),
        json!([{}]),
        json!([1]),
        json!([{"type": ""}]),
    ] {
        let refused = details(malformed.clone()).unwrap_err();
        assert_eq!(refused.code(), "oauth.authorization_details", "{malformed}");
    }
    let without = world.verify(&world.token(), NOW).unwrap();
    assert!(without.authorization_details().unwrap().is_empty());
}
