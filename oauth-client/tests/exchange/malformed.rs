//! Answers whose claims are `null`, missing or malformed where the subject token has a limit.

use aims_oauth_client::{Impersonation, SubjectToken};
use serde_json::{Value, json};

use super::tokens::{TOOL, answer, claims, judged, target};
use crate::common::{NOW, jwt};

type Ask = fn(Impersonation) -> Impersonation;

/// Exchanges a token with these claims for one with the same claims and these changes, where `null`
/// stays. A name with `-` is removed.
async fn outcome(parent: &Value, changes: &Value, ask: Ask) -> &'static str {
    let parent = claims(parent);
    let mut child = parent.clone();
    child["scope"] = "read".into();
    for (name, value) in changes.as_object().unwrap() {
        match name.strip_prefix('-') {
            Some(name) => drop(child.as_object_mut().unwrap().remove(name)),
            None => child[name] = value.clone(),
        }
    }
    let subject = SubjectToken::access_token(jwt("at+jwt", &parent));
    let grant = ask(Impersonation::new(subject, target("read")));
    // The server states no scope, so that the JWT alone has one.
    let body = answer(&jwt("at+jwt", &child), &json!({"scope": null}));
    judged(grant, body).await
}

/// TEX-06, DEL-01: what limits the subject token limits the answer: `null` or a malformed value
/// there is no limit. Each deviation is accepted by its name alone.
#[tokio::test(start_paused = true)]
async fn a_limit_is_stated() {
    let same: Ask = |it| it;
    let no = json!({});
    let bound = json!({"cnf": {"jkt": "A".repeat(43)}});
    let chain = json!({"act": {"sub": "agent"}});
    let details = json!({"authorization_details": [{"type": "aims_tool", "actions": ["pay"]}]});
    let start = json!({"nbf": NOW});
    let context = json!({"tctx": {"order": "7"}});
    for (parent, changes, ask, expected) in [
        (&bound, json!({}), same, "ok"),
        (&bound, json!({"cnf": null}), same, "delegate.confirmation"),
        (&bound, json!({"cnf": {}}), same, "delegate.confirmation"),
        (&bound, json!({"cnf": 1}), same, "delegate.confirmation"),
        (
            &bound,
            json!({"cnf": {}}),
            Impersonation::accept_other_key,
            "delegate.confirmation",
        ),
        (
            &bound,
            json!({"cnf": {}}),
            Impersonation::accept_unbound,
            "ok",
        ),
        (&no, json!({"cnf": null}), same, "ok"),
        (&chain, json!({}), same, "ok"),
        (&chain, json!({"act": null}), same, "delegate.actors"),
        // Without `client_id` there is no chain either.
        (
            &chain,
            json!({"-act": 0, "-client_id": 0}),
            same,
            "delegate.actors",
        ),
        (
            &chain,
            json!({"act": null}),
            Impersonation::accept_missing_actors,
            "ok",
        ),
        (&no, json!({"act": null}), same, "ok"),
        (&details, json!({}), same, "ok"),
        (
            &details,
            json!({"authorization_details": null}),
            same,
            "delegate.details",
        ),
        (&no, json!({"authorization_details": null}), same, "ok"),
        (&start, json!({}), same, "ok"),
        (&start, json!({"nbf": null}), same, "delegate.lifetime"),
        (&context, json!({}), same, "ok"),
        (&context, json!({"tctx": null}), same, "delegate.context"),
        (&no, json!({"tctx": null}), same, "ok"),
        (&no, json!({"exp": null}), same, "delegate.lifetime"),
        (
            &no,
            json!({"exp": null}),
            Impersonation::accept_new_lifetime,
            "ok",
        ),
        (&no, json!({"aud": null}), same, "delegate.audience"),
        (
            &no,
            json!({"aud": null}),
            Impersonation::accept_other_audiences,
            "ok",
        ),
    ] {
        let found = outcome(parent, &changes, ask).await;
        assert_eq!(found, expected, "{parent} {changes}");
    }
}

/// TEX-06: one malformed claim does not make a JWT an opaque token, which is compared with nothing.
/// A list of scopes is read like a text of them.
#[tokio::test(start_paused = true)]
async fn a_malformed_answer_is_not_opaque() {
    let same: Ask = |it| it;
    let no = json!({});
    let list = json!({"scope": ["read", "write"]});
    let later = json!({"exp": NOW + 3600});
    for (parent, changes, expected) in [
        (&no, json!({"scope": ["read"]}), "ok"),
        (&no, json!({"scope": ["read", "admin"]}), "grant.scope"),
        (&no, json!({"scope": ["read admin"]}), "grant.scope"),
        (
            &no,
            json!({"scope": ["read"], "exp": NOW + 3600}),
            "grant.lifetime",
        ),
        (&no, json!({"exp": "1900000000"}), "grant.incomparable"),
        (&no, json!({"act": 1}), "grant.incomparable"),
        // The subject token has the list.
        (&list, json!({}), "ok"),
        (&list, json!({"scope": ["read", "admin"]}), "grant.scope"),
        (&list, later, "grant.lifetime"),
        (
            &list,
            json!({"aud": "https://b.example"}),
            "delegate.audience",
        ),
        (&list, json!({"aud": TOOL}), "ok"),
    ] {
        let found = outcome(parent, &changes, same).await;
        assert_eq!(found, expected, "{parent} {changes}");
    }
}
