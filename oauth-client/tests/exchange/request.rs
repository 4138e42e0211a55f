//! The requests for an exchange.

use std::sync::Arc;

use aims_oauth_client::{
    ActorToken, Delegation, Grant as _, Impersonation, SubjectToken, TokenRules,
};
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::delegate::{Crossing, Kind};
use serde_json::json;

use super::tokens::{
    ACCESS_TOKEN, JWT, TOOL, answer, claims, delegation, exchanged, impersonation, judged, source,
    subject, target,
};
use crate::common::{NOW, Script, code, json_answer, jwt};

/// TEX-01: all parameters, and no type of an actor without an actor.
#[tokio::test(start_paused = true)]
async fn the_request_has_all_parameters() {
    let body = answer(&exchanged(&json!({})), &json!({}));
    let script = Script::new(move |_, _| json_answer(200, &body));
    let source = source(&script, TokenRules::new());
    let full = delegation().audience("tools").audience("more");
    source
        .token(full.also_for("https://b.example".parse().unwrap()))
        .await
        .unwrap();
    source.token(impersonation()).await.unwrap();
    let forms = script.forms();
    let all = |form: usize, name: &str| forms[form].all(name).map(String::from).collect::<Vec<_>>();
    assert_eq!(all(0, "resource"), [TOOL, "https://b.example"]);
    assert_eq!(all(0, "audience"), ["tools", "more"]);
    assert_eq!(all(0, "scope"), ["read"]);
    assert_eq!(all(0, "requested_token_type"), [ACCESS_TOKEN]);
    assert_eq!(all(0, "subject_token_type"), [ACCESS_TOKEN]);
    assert_eq!(all(0, "actor_token"), ["agent-token"]);
    assert_eq!(all(0, "actor_token_type"), [JWT]);
    assert_eq!(
        all(0, "grant_type"),
        ["urn:ietf:params:oauth:grant-type:token-exchange"]
    );
    assert!(all(1, "actor_token").is_empty() && all(1, "actor_token_type").is_empty());
    // A delegation and an impersonation of one subject are two tokens.
    assert_eq!(forms.len(), 2);
}

/// Exchanges that ask for or accept something else have tokens of their own.
#[tokio::test(start_paused = true)]
async fn an_exchange_is_cached_as_what_it_is() {
    let script = Script::new(|_, number| {
        let token = exchanged(&json!({"jti": number.to_string(), "act": {"sub": "agent"}}));
        json_answer(200, &answer(&token, &json!({})))
    });
    let source = source(&script, TokenRules::new());
    let minutes = |count: u64| std::time::Duration::from_secs(60 * count);
    let (user, other) = (subject(), ActorToken::jwt("other").named("agent"));
    let own = || {
        let actor = ActorToken::jwt("agent-token").named("agent");
        Delegation::new(user.clone(), actor, target("read"))
    };
    let further = || "https://b.example".parse().unwrap();
    let crossing = || {
        let crossing = Crossing::new(Kind::AccessToken, Some("https://as.example"));
        let scopes = aims_oauth_wire::delegate::ScopeTable::new([("read", "read")]).unwrap();
        let crossing = crossing.audience("https://app.example", TOOL);
        crossing.scopes_inward(scopes)
    };
    let alone = || Impersonation::new(user.clone(), target("read"));
    // The crossing tells the actors of the answer from those of the subject token.
    let refused = source.token(own().judged_by(crossing())).await;
    assert_eq!(code(refused), "delegate.actors");
    let delegations = || {
        [
            own(),
            Delegation::new(user.clone(), other.clone(), target("read")),
            own().audience("a"),
            own().audience("b"),
            own().audience("a").audience("b"),
            own().audience("ab"),
            own().also_for(further()),
            own().max_lifetime(minutes(5)),
            own().max_lifetime(minutes(6)),
            own().accept_new_lifetime(),
            own().accept_opaque_answer(),
        ]
    };
    let mut seen = std::collections::HashSet::new();
    for grant in delegations() {
        seen.insert(source.token(grant).await.unwrap().fingerprint());
    }
    seen.insert(source.token(alone()).await.unwrap().fingerprint());
    assert_eq!(seen.len(), 12);
    // A grant that was used and then changed is another one.
    let used = own();
    source.token(own()).await.unwrap();
    assert_ne!(used.cached_as(), used.clone().audience("c").cached_as());
    // Each one is found again.
    for grant in delegations() {
        assert!(!seen.insert(source.token(grant).await.unwrap().fingerprint()));
    }
}

/// TEX-02: the types of subject tokens; a SAML assertion is passed on unread.
#[tokio::test(start_paused = true)]
async fn subject_tokens_have_types() {
    let kinds = [
        (SubjectToken::id_token("x"), "id_token"),
        (SubjectToken::saml2("PHNhbWw+"), "saml2"),
        (SubjectToken::saml1("PHNhbWw+"), "saml1"),
        (SubjectToken::jwt("x"), "jwt"),
        (SubjectToken::access_token("x"), "access_token"),
    ];
    for (subject, kind) in kinds {
        let body = answer(&exchanged(&json!({})), &json!({}));
        let script = Script::new(move |_, _| json_answer(200, &body));
        let source = source(&script, TokenRules::new());
        source
            .token(Impersonation::new(subject, target("read")))
            .await
            .unwrap();
        let form = script.forms().remove(0);
        let expected = format!("urn:ietf:params:oauth:token-type:{kind}");
        assert_eq!(form.get("subject_token_type"), Some(&*expected));
    }
}

/// DEL-11: the token of a request is presented in an exchange, and the answer is compared with it.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_received_is_exchanged() {
    let inbound = jwt("at+jwt", &claims(&json!({})));
    let text = inbound.expose().to_owned();
    let inbound = Arc::new(InboundToken::new(inbound));
    let grant = || {
        let subject = SubjectToken::inbound(Arc::clone(&inbound));
        Impersonation::new(subject, target("read"))
    };
    assert!(!format!("{:?}", grant()).contains(&text));
    let body = answer(&exchanged(&json!({"act": null})), &json!({}));
    let script = Script::new(move |_, _| json_answer(200, &body));
    let source = source(&script, TokenRules::new());
    source.token(grant()).await.unwrap();
    let form = script.forms().remove(0);
    assert_eq!(form.get("subject_token"), Some(&*text));
    assert_eq!(form.get("subject_token_type"), Some(ACCESS_TOKEN));
    assert_eq!(form.all("actor_token").count(), 0);
    // Longer than the token that was received.
    let longer = exchanged(&json!({"exp": NOW + 900, "act": null}));
    let body = answer(&longer, &json!({"expires_in": 900}));
    assert_eq!(judged(grant(), body).await, "grant.lifetime");
}
