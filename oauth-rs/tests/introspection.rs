//! Opaque access tokens, as their issuer describes them.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../jose/tests/twin/mod.rs"]
mod twin;

use std::time::Duration;

use aims_jose::Algorithm;
use aims_jose::digest::Hashed;
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_rs::{
    AccessToken, Confirmation, Error, IssuerRules, IssuerStore, JwtProfile, Marker, TokenCache,
    TokenSource,
};
use aims_oauth_wire::introspection::{Introspection, SIGNED, SignedIntrospection};
use common::{ISSUER, NOW, RESOURCE, World, at};
use http::Response;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use twin::twin;

const TEXT: &str = "opaque-1";
const CEILING: Duration = Duration::from_secs(60);
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

fn good() -> Value {
    json!({
        "active": true, "iss": ISSUER, "sub": "alice", "client_id": "agent", "aud": RESOURCE,
        "scope": "read write", "exp": NOW + 300, "iat": NOW - 10, "jti": "1",
        "token_type": "Bearer"
    })
}

/// Returns a valid answer with these members: `"-"` removes one.
fn with(changes: &Value) -> Value {
    let mut all = good();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

fn answer(body: &Value) -> Introspection {
    Introspection::parse(&Response::new(body.to_string().into_bytes())).unwrap()
}

fn judge(world: &World, body: &Value, now: UnixTime) -> Result<AccessToken, Error> {
    judge_text(world, TEXT, body, now)
}

fn judge_text(
    world: &World,
    text: &str,
    body: &Value,
    now: UnixTime,
) -> Result<AccessToken, Error> {
    let issuers = world.issuers.snapshot();
    AccessToken::introspected(
        &Hashed::of(text),
        &answer(body),
        &ISSUER.parse().unwrap(),
        &issuers,
        &world.rules,
        CEILING,
        now,
    )
}

/// Returns the code for a valid answer with these changes.
fn of(changes: &Value) -> &'static str {
    code(judge(&World::new(), &with(changes), at(NOW)))
}

fn code(result: Result<AccessToken, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn an_active_token_is_an_access_token() {
    let token = judge(&World::new(), &good(), at(NOW)).unwrap();
    assert_eq!(token.source(), TokenSource::Introspected);
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!((token.subject(), token.client_id()), ("alice", "agent"));
    assert_eq!(
        (token.audiences(), token.jwt_id()),
        (&[RESOURCE.to_owned()][..], Some("1"))
    );
    assert_eq!(token.scopes().to_string(), "read write");
    assert_eq!(
        (token.expires(), token.issued_at()),
        (at(NOW + 300), Some(at(NOW - 10)))
    );
    assert!(!token.is_bound() && token.actors().is_empty() && token.roles().is_empty());
    assert_eq!(token.hash(), Hashed::of(TEXT).sha256());
    let all: Value = token.claims().unwrap();
    assert_eq!(all["scope"], "read write");
    assert!(!format!("{token:?}").contains(TEXT));
}

#[test]
fn an_inactive_token_is_refused() {
    let refused = judge(&World::new(), &json!({"active": false}), at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "token.inactive");
    assert!(refused.to_string().contains(ISSUER), "{refused}");
}

/// An answer is checked like a JWT.
#[test]
fn the_answer_is_judged_like_a_token() {
    assert_eq!(of(&json!({})), "ok");
    assert_eq!(of(&json!({"iss": "-"})), "ok");
    for iss in ["https://other.example", "https://as.example/"] {
        assert_eq!(of(&json!({"iss": iss})), "token.unknown_issuer", "{iss}");
    }
    for aud in [
        json!("https://tools.example"),
        json!(["a", "b"]),
        json!("agent"),
    ] {
        assert_eq!(of(&json!({"aud": aud})), "token.audience", "{aud}");
    }
    // Without `aud`, the answer does not say that the token is for this resource.
    for aud in [json!("-"), json!(null)] {
        assert_eq!(of(&json!({"aud": aud})), "token.claim");
    }
    assert_eq!(of(&json!({"aud": ["a", RESOURCE]})), "ok");
    assert_eq!(of(&json!({"client_id": "-"})), "token.claim");
    assert_eq!(of(&json!({"exp": NOW - 29, "iat": "-"})), "ok");
    assert_eq!(of(&json!({"exp": NOW - 30, "iat": "-"})), "token.expired");
    assert_eq!(of(&json!({"nbf": NOW + 31})), "token.not_yet_valid");
    assert_eq!(of(&json!({"iat": NOW + 31})), "token.not_yet_valid");
    assert_eq!(of(&json!({"scope": "-", "jti": "-", "iat": "-"})), "ok");
}

/// RFC 9068 §2.2: with client credentials the client is the subject.
#[test]
fn without_a_subject_the_client_is_it() {
    let token = judge(&World::new(), &with(&json!({"sub": "-"})), at(NOW)).unwrap();
    assert_eq!(token.subject(), "agent");
}

/// `jkt` and `token_type` must agree (RFC 9449 §6.2), and an unknown member of `cnf` is refused.
#[test]
fn the_binding_is_read() {
    let bound = json!({"cnf": {"jkt": JKT}, "token_type": "DPoP"});
    let token = judge(&World::new(), &with(&bound), at(NOW)).unwrap();
    let jkt = Confirmation::DpopJkt(JKT.parse().unwrap());
    assert_eq!(token.confirmations(), [jkt]);
    for (cnf, presented, expected) in [
        (json!({"jkt": JKT}), json!("dpop"), "ok"),
        (json!({"jkt": JKT}), json!("-"), "ok"),
        (json!({"jkt": JKT}), json!("Bearer"), "token.type"),
        (json!("-"), json!("DPoP"), "token.type"),
        (json!("-"), json!("bearer"), "ok"),
        (json!("-"), json!("-"), "ok"),
        (json!("-"), json!("N_A"), "token.type"),
        (json!("-"), json!("mac"), "token.type"),
        (json!({"x5t#S256": JKT}), json!("Bearer"), "ok"),
        (json!({"x5t#S256": JKT}), json!("DPoP"), "token.type"),
        (json!(null), json!("Bearer"), "ok"),
        (json!({}), json!("Bearer"), "token.confirmation"),
        (json!({"kid": "1"}), json!("Bearer"), "token.confirmation"),
        (json!("x"), json!("Bearer"), "token.confirmation"),
    ] {
        let changes = json!({"cnf": cnf, "token_type": presented});
        assert_eq!(of(&changes), expected, "{changes}");
    }
}

/// A server that is asked about a refresh token or an ID token may report it as active.
#[test]
fn another_kind_of_token_is_refused() {
    for changes in [
        json!({"typ": "Refresh"}),
        json!({"typ": "ID"}),
        json!({"token_use": "refresh_token"}),
        json!({"token_use": "id"}),
        json!({"events": {}}),
    ] {
        assert_eq!(of(&changes), "token.not_access_token", "{changes}");
    }
    for changes in [
        json!({"typ": "Bearer"}),
        json!({"token_use": "access_token"}),
        json!({"token_use": "access", "typ": "at+jwt"}),
    ] {
        assert_eq!(of(&changes), "ok", "{changes}");
    }
}

/// An access token has no claims of ID tokens or other kinds, with any profile.
#[test]
fn claims_of_other_tokens_are_refused() {
    for claim in ["at_hash", "c_hash", "s_hash", "events"] {
        assert_eq!(
            of(&json!({claim: "x"})),
            "token.not_access_token",
            "{claim}"
        );
        // An unsigned `null` counts as absent.
        assert_eq!(of(&json!({claim: null})), "ok", "{claim}");
    }
}

/// Returns the code for a valid answer with these changes, by a profile.
fn under(profile: JwtProfile, changes: &Value) -> &'static str {
    let world = World::new();
    let rules = IssuerRules::new().profile(profile);
    world
        .issuers
        .set_rules(&ISSUER.parse().unwrap(), rules)
        .unwrap();
    code(judge(&world, &with(changes), at(NOW)))
}

/// A marker that no answer here has.
fn profile() -> JwtProfile {
    JwtProfile::new(Marker::typ("x+jwt").unwrap())
}

#[test]
fn required_claims_are_required_of_an_answer() {
    assert_eq!(under(profile(), &json!({})), "ok");
    let tenant = || profile().require_claim("tid", "t1");
    assert_eq!(under(tenant(), &json!({"tid": "t1"})), "ok");
    for tid in [json!("-"), json!("t2"), json!(null), json!(["t1"])] {
        assert_eq!(
            under(tenant(), &json!({"tid": tid})),
            "token.claim",
            "{tid}"
        );
    }
    for value in [json!("-"), json!(null), json!("")] {
        let changes = json!({"jti": value});
        assert_eq!(under(profile(), &changes), "ok", "{changes}");
        let refused = under(profile().require_jwt_id(), &changes);
        assert_eq!(refused, "token.claim", "{changes}");
    }
    for value in [json!("-"), json!(null)] {
        let changes = json!({"iat": value});
        assert_eq!(under(profile(), &changes), "ok", "{changes}");
        let refused = under(profile().require_issued_at(), &changes);
        assert_eq!(refused, "token.claim", "{changes}");
    }
}

#[test]
fn a_nonce_is_refused_unless_the_profile_allows_it() {
    let nonce = json!({"nonce": "n"});
    assert_eq!(under(profile(), &nonce), "token.not_access_token");
    assert_eq!(under(profile().accept_nonce(), &nonce), "ok");
    assert_eq!(under(profile(), &json!({"nonce": null})), "ok");
    for claim in ["at_hash", "c_hash", "s_hash", "events"] {
        let refused = under(profile().accept_nonce(), &json!({claim: "x"}));
        assert_eq!(refused, "token.not_access_token", "{claim}");
    }
    for changes in [json!({"typ": "ID"}), json!({"token_use": "id"})] {
        assert_eq!(under(profile(), &changes), "token.not_access_token");
    }
}

#[test]
fn claims_that_name_the_client_agree_in_an_answer() {
    for claim in ["azp", "cid", "appid"] {
        assert_eq!(under(profile(), &json!({claim: "agent"})), "ok", "{claim}");
        for other in [json!("other"), json!(1)] {
            let changes = json!({claim: other});
            assert_eq!(under(profile(), &changes), "token.claim", "{changes}");
        }
        assert_eq!(under(profile(), &json!({claim: null})), "ok", "{claim}");
    }
    let own = profile().client_in(["party"]);
    assert_eq!(
        under(own.clone(), &json!({"party": "other"})),
        "token.claim"
    );
    assert_eq!(under(own, &json!({"azp": "other"})), "ok");
}

/// Returns the same answer, signed by its issuer (RFC 9701).
fn signed_answer(body: &Value) -> Introspection {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let claims = json!({
        "iss": ISSUER, "aud": "tool", "iat": NOW, "token_introspection": body
    });
    let typ = "token-introspection+jwt";
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), &claims).unwrap();
    let text = input.sign(&key).unwrap();
    let mut response = Response::new(text.expose().as_bytes().to_vec());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, SIGNED.parse().unwrap());
    let read = SignedIntrospection::parse(&response).unwrap();
    let issuer = ISSUER.parse().unwrap();
    let (key, skew) = (key.verifying_key(), Skew::default());
    read.verify(key, &issuer, "tool", skew, at(NOW)).unwrap()
}

/// A signed answer must not have `null`, which could turn a bound token into an unbound one.
#[test]
fn a_signed_null_is_refused_and_an_unsigned_one_is_absent() {
    let world = World::new();
    let of_signed = |changes: &Value| {
        code(AccessToken::introspected(
            &Hashed::of(TEXT),
            &signed_answer(&with(changes)),
            &ISSUER.parse().unwrap(),
            &world.issuers.snapshot(),
            &world.rules,
            CEILING,
            at(NOW),
        ))
    };
    assert_eq!(of_signed(&json!({})), "ok");
    for member in ["cnf", "act", "typ", "token_use", "may_act", "roles"] {
        let null = json!({member: null});
        assert_eq!(of_signed(&null), "token.claim", "{member}");
        assert_eq!(of(&null), "ok", "{member}");
    }
    let bound = json!({"cnf": {"jkt": JKT}, "token_type": "DPoP"});
    assert_eq!(of_signed(&bound), "ok");
    assert_eq!(
        of_signed(&json!({"events": null})),
        "token.not_access_token"
    );
}

/// Without `exp` the answer expires, but the token does not.
#[test]
fn an_answer_without_an_end_has_no_exp() {
    let token = judge(&World::new(), &with(&json!({"exp": "-"})), at(NOW)).unwrap();
    assert_eq!((token.exp(), token.expires()), (None, at(NOW + 60)));
    let token = judge(&World::new(), &good(), at(NOW)).unwrap();
    assert_eq!(token.exp(), Some(at(NOW + 300)));
}

#[test]
fn rights_are_read_by_the_profile() {
    let world = World::new();
    let roles = json!({"roles": ["a"], "realm_access": {"roles": ["b"]}});
    let token = judge(&world, &with(&roles), at(NOW)).unwrap();
    assert_eq!(token.roles().iter().collect::<Vec<_>>(), ["a"]);
    let issuer = ISSUER.parse().unwrap();
    let rules = IssuerRules::new().profile(JwtProfile::keycloak("api"));
    world.issuers.set_rules(&issuer, rules).unwrap();
    let token = judge(&world, &with(&roles), at(NOW)).unwrap();
    assert_eq!(token.roles().iter().collect::<Vec<_>>(), ["b"]);
}

/// Actors as in a JWT (RFC 8693 §4.1).
#[test]
fn actors_are_read() {
    let act = json!({"act": {"sub": "one", "act": {"sub": "two"}}});
    let token = judge(&World::new(), &with(&act), at(NOW)).unwrap();
    let subjects: Vec<&str> = token
        .actors()
        .iter()
        .map(|it| it.subject.as_str())
        .collect();
    assert_eq!(subjects, ["one", "two"]);
    assert_eq!(of(&json!({"act": "x"})), "token.claim");
}

#[test]
fn the_issuer_is_a_configured_one() {
    let world = World::new();
    let other = "https://other.example".parse().unwrap();
    let refused = AccessToken::introspected(
        &Hashed::of(TEXT),
        &answer(&with(&json!({"iss": "-"}))),
        &other,
        &world.issuers.snapshot(),
        &world.rules,
        CEILING,
        at(NOW),
    );
    assert_eq!(code(refused), "token.unknown_issuer");
}

/// An answer is trusted up to the ceiling, and never after `exp`. Then the issuer is asked again.
#[test]
fn an_answer_is_believed_for_some_time() {
    for (exp, last) in [
        (json!(NOW + 300), NOW + 59),
        (json!(NOW + 20), NOW + 49),
        (json!("-"), NOW + 59),
    ] {
        let world = World::new();
        let cache = TokenCache::new(10, world.rules.clone());
        let body = with(&json!({"exp": exp}));
        let mut asked = 0;
        let mut ask = |now: u64| {
            let described = cache.introspect(
                TEXT,
                &world.issuers,
                |_, _| {
                    asked += 1;
                    judge(&world, &body, at(now))
                },
                at(now),
            );
            (code(described), asked)
        };
        assert_eq!(ask(NOW), ("ok", 1));
        assert_eq!(ask(last), ("ok", 1), "{exp}");
        assert_eq!(ask(last + 1).1, 2, "{exp}");
    }
}

/// New rules, and the removal of an issuer, end a cached token.
#[test]
fn a_known_answer_falls_with_its_issuer() {
    let world = World::new();
    let cache = TokenCache::new(10, world.rules.clone());
    let issuer = ISSUER.parse().unwrap();
    let known = || {
        let described = cache.introspect(
            TEXT,
            &world.issuers,
            |_, _| judge(&world, &good(), at(NOW)),
            at(NOW),
        );
        code(described)
    };
    assert_eq!(known(), "ok");
    world.issuers.remove(&issuer);
    assert_eq!(known(), "token.unknown_issuer");
    assert!(cache.is_empty());
}

/// An introspected text does not pass as one whose signature was verified.
#[test]
fn an_introspected_text_is_no_verified_jwt() {
    let world = World::new();
    let cache = TokenCache::new(10, world.rules.clone());
    let text = "a.b.c";
    let described = cache.introspect(
        text,
        &world.issuers,
        |_, _| judge(&world, &good(), at(NOW)),
        at(NOW),
    );
    assert_eq!(code(described), "ok");
    let verified = cache.verify(text, &world.issuers, at(NOW));
    assert_ne!(code(verified), "ok");
}

/// The maximum lifetime of an issuer also applies to its opaque tokens.
#[test]
fn a_lifetime_is_bounded() {
    for (most, expected) in [(310, "ok"), (309, "token.lifetime")] {
        let world = World::new();
        let rules = IssuerRules::new().max_lifetime(Duration::from_secs(most));
        world
            .issuers
            .set_rules(&ISSUER.parse().unwrap(), rules)
            .unwrap();
        assert_eq!(code(judge(&world, &good(), at(NOW))), expected, "{most}");
    }
}

/// An `aud` that is only the token's own client is that of an ID token.
#[test]
fn the_own_client_is_no_audience() {
    let own = json!({"client_id": RESOURCE});
    assert_eq!(under(profile(), &own), "token.not_access_token");
    let allowed = profile().accept_own_client_as_audience();
    assert_eq!(under(allowed, &own), "ok");
}

/// Before discovery has decided, the issuer that is asked has the spelling of its configuration.
#[test]
fn the_issuer_is_spelled_as_it_was_configured() {
    let mut world = World::new();
    world.issuers = IssuerStore::new();
    world.issuers.name_undiscovered(&ISSUER.parse().unwrap());
    let asked = |issuer: &str| {
        let answer = answer(&with(&json!({"iss": "-"})));
        let issuers = world.issuers.snapshot();
        let issuer = issuer.parse().unwrap();
        let token = Hashed::of(TEXT);
        let (rules, now) = (&world.rules, at(NOW));
        code(AccessToken::introspected(
            &token, &answer, &issuer, &issuers, rules, CEILING, now,
        ))
    };
    assert_eq!(asked(ISSUER), "ok");
    assert_eq!(asked(&format!("{ISSUER}/")), "token.unknown_issuer");
}

/// The login, the actors and the details of an answer are those of a JWT.
#[test]
fn the_login_and_the_actors_are_read() {
    let world = World::new();
    let details = json!([{"type": "a"}]);
    let token = judge(
        &world,
        &with(&json!({
            "acr": "urn:mfa", "amr": ["otp"], "auth_time": NOW - 5, "txn": "t-1",
            "may_act": {"sub": "agent"}, "act": {"sub": "a", "act": {"sub": "b"}},
            "authorization_details": details,
        })),
        at(NOW),
    );
    let token = token.unwrap();
    assert_eq!(token.acr(), Some("urn:mfa"));
    assert_eq!(token.amr(), ["otp"]);
    assert_eq!(token.auth_time(), Some(at(NOW - 5)));
    assert_eq!(token.transaction_id(), Some("t-1"));
    assert_eq!(token.may_act("agent", None), Some(true));
    assert_eq!(token.may_act("other", None), Some(false));
    assert_eq!(token.current_actor().subject, "a");
    assert_eq!(token.history()[0].subject, "b");
    let types = token.authorization_details().unwrap();
    assert_eq!(types.types().collect::<Vec<_>>(), ["a"]);
    // Absent in an unsigned answer.
    let null = with(&json!({"acr": null, "may_act": null, "authorization_details": null}));
    let token = judge(&world, &null, at(NOW)).unwrap();
    assert_eq!((token.acr(), token.may_act("a", None)), (None, None));
    assert!(token.authorization_details().unwrap().is_empty());
    assert_eq!(token.current_actor().subject, "agent");
}

/// An issuer is asked about its JWTs where its rules say so. Its keys then accept none.
#[test]
fn jwts_are_introspected_by_rules_alone() {
    let world = World::new();
    let token = world.token();
    let asks = |text: &str| AccessToken::asks_about(text, &world.issuers.snapshot(), &world.rules);
    assert_eq!(asks(&token), None);
    assert_eq!(world.code(&token), "ok");
    let rules = IssuerRules::new().introspect_jwts();
    assert!(rules.introspects_jwts() && !IssuerRules::new().introspects_jwts());
    world
        .issuers
        .set_rules(&ISSUER.parse().unwrap(), rules)
        .unwrap();
    assert_eq!(asks(&token).as_deref(), Some(ISSUER));
    assert_eq!(world.code(&token), "token.not_introspected");
    // Of another issuer, and no JWT.
    let other = world.token_with(&json!({"iss": "https://as.example/"}));
    assert_eq!(asks(&other), None);
    assert_eq!(asks(TEXT), None);
    assert_eq!(asks("eyJ.eyJ.x"), None);
}

/// T-029, T-142: an issuer may report a JWT as active with each encoding of its signature:
/// (r, n − s), and base64url with other trailing bits. All have one hash for revocations and
/// approvals.
#[test]
fn an_introspected_jwt_has_one_signed_hash() {
    let world = World::new();
    let hashes = |text: &str| {
        let token = judge_text(&world, text, &good(), at(NOW)).unwrap();
        (*token.hash(), *token.signed_hash())
    };
    let text = world.token();
    // The last of 86 characters has four bits that no byte uses.
    let mut padded = text.clone();
    padded.pop();
    padded.push(if text.ends_with('B') { 'C' } else { 'B' });
    let (hash, signed_hash) = hashes(&text);
    for other in [twin(&text), padded] {
        assert_ne!(hashes(&other).0, hash);
        assert_eq!(hashes(&other).1, signed_hash);
    }
    // Another token, and an opaque text.
    assert_ne!(
        hashes(&world.token_with(&json!({"jti": "2"}))).1,
        signed_hash
    );
    let (hash, signed_hash) = hashes("a.b.c");
    assert_eq!(hash, signed_hash);
    assert_ne!(hashes("a.b.d").1, signed_hash);
}
