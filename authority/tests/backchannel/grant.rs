//! The tokens that a client gets after the decision.

use std::sync::Arc;

use aims_authority::{AuthorizationServer, Client, MemoryState};
use aims_jose::digest::sha256_base64url;
use aims_jose::key::Signer as _;
use aims_oauth_wire::dpop::Binding;
use serde_json::{Value, json};

use super::payer::{
    CIBA, ask, decide, details, good, id, inbox, key, payer, poll, post, submit, with, with_payer,
};
use crate::common::endpoint::{FORM, JWT_BEARER, assertion_of, form, judged, refused, verified};
use crate::common::{BASE, FILES, NOW, TOOLS, at, key_set, now, request, send};
use crate::lines::logged;

/// CIBA-07: denial, expiry, an unknown request, and one of another client.
#[test]
fn what_was_not_approved_gives_no_token() {
    let key = key();
    let other = Client::with_keys("other", key_set(&key))
        .allow(TOOLS, ["call"])
        .backchannel_poll();
    let third = Client::with_keys("third", key_set(&key)).allow(TOOLS, ["call"]);
    let authority = with_payer(payer(&key)).client(other).client(third);
    let authority = authority.build(now()).unwrap();
    let details = details();
    let denied = id(&ask(&authority, &key, &good(&details), now()).unwrap());
    decide(&authority, "deny", now());
    for _ in 0..2 {
        assert_eq!(
            poll(&authority, &key, &denied, now()),
            refused(400, "access_denied")
        );
    }
    let short = with(&good(&details), "requested_expiry", "60");
    let late = ask(&authority, &key, &short, now()).unwrap();
    assert_eq!(late["expires_in"], 60);
    let late = id(&late);
    let page = inbox(&authority, "alice", at(NOW + 60));
    let allow = [("decision", "allow")];
    let answer = submit(&authority, &page, &allow, &[], at(NOW + 61));
    assert_eq!(answer.status(), 403);
    assert!(inbox(&authority, "alice", at(NOW + 61)).fields.is_empty());
    let found = poll(&authority, &key, &late, at(NOW + 61));
    assert_eq!(found, refused(400, "expired_token"));
    assert_eq!(
        poll(&authority, &key, &late, at(NOW + 400)),
        refused(400, "invalid_grant")
    );

    let then = at(NOW + 500);
    let mine = id(&ask(&authority, &key, &good(&details), then).unwrap());
    decide(&authority, "allow", then);
    let all = [("grant_type", CIBA), ("auth_req_id", mine.as_str())];
    for (client, error) in [("other", "invalid_grant"), ("third", "unauthorized_client")] {
        let found = judged(&post(&authority, "/token", (client, &key), &all, then));
        assert_eq!(found, refused(400, error), "{client}");
    }
    let wrong = [
        ("grant_type", CIBA),
        ("auth_req_id", mine.as_str()),
        ("resource", FILES),
    ];
    let found = judged(&post(&authority, "/token", ("payer", &key), &wrong, then));
    assert_eq!(found, refused(400, "invalid_target"));
    let bare = [("grant_type", CIBA)];
    let found = judged(&post(&authority, "/token", ("payer", &key), &bare, then));
    assert_eq!(found, refused(400, "invalid_request"));
    let unknown = sha256_base64url("x");
    assert_eq!(
        poll(&authority, &key, &unknown, then),
        refused(400, "invalid_grant")
    );
    // None of it has used the approval up. It waits for two minutes.
    assert!(poll(&authority, &key, &mine, at(NOW + 620)).is_ok());
    let again = id(&ask(
        &authority,
        &key,
        &with(&short, "requested_expiry", "1"),
        then,
    )
    .unwrap());
    decide(&authority, "allow", then);
    let found = poll(&authority, &key, &again, at(NOW + 621));
    assert_eq!(found, refused(400, "expired_token"));
}

/// CIBA-06, CIBA-07: polling too fast is slowed down for good, and a decision is given at once.
#[test]
fn a_client_that_polls_too_fast_is_slowed_down() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let id = id(&ask(&authority, &key, &good(&details()), now()).unwrap());
    let expected = [
        (0, "authorization_pending"),
        (5, "authorization_pending"),
        (9, "slow_down"),
        (18, "slow_down"),
        (33, "authorization_pending"),
        (48, "authorization_pending"),
    ];
    for (after, error) in expected {
        let found = poll(&authority, &key, &id, at(NOW + after));
        assert_eq!(found, refused(400, error), "{after}");
    }
    decide(&authority, "allow", at(NOW + 48));
    assert!(poll(&authority, &key, &id, at(NOW + 48)).is_ok());
}

/// The scopes and resources of a request without details go into the token that names one.
#[test]
fn scopes_are_approved_as_well() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let all = [
        ("scope", "openid list read"),
        ("resource", TOOLS),
        ("resource", FILES),
        ("login_hint", "alice"),
    ];
    let id = id(&ask(&authority, &key, &all, now()).unwrap());
    decide(&authority, "allow", now());
    assert_eq!(
        poll(&authority, &key, &id, now()),
        refused(400, "invalid_target")
    );
    let one = [
        ("grant_type", CIBA),
        ("auth_req_id", id.as_str()),
        ("resource", FILES),
    ];
    let answer = judged(&post(&authority, "/token", ("payer", &key), &one, now())).unwrap();
    assert_eq!(answer["scope"], "read");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer.get("authorization_details"), None);
}

/// The page shows the scopes beside the one call, and the token has both.
#[test]
fn an_approval_may_have_scopes() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let details = details();
    let asked = with(&good(&details), "scope", "call openid list");
    let id = id(&ask(&authority, &key, &asked, now()).unwrap());
    let page = inbox(&authority, "alice", now());
    for shown in [
        "<dt>It may use</dt><dd>call, list</dd>",
        "<strong>transfer</strong>",
    ] {
        assert!(page.html.contains(shown), "{shown} in {}", page.html);
    }
    decide(&authority, "allow", now());
    let answer = poll(&authority, &key, &id, now()).unwrap();
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    let granted: Value = serde_json::from_str(&details).unwrap();
    assert_eq!(claims["scope"], "call list");
    assert_eq!(claims["authorization_details"], granted);
    // A scope that the client may not have is refused before the person sees it.
    let asked = with(&good(&details), "scope", "openid read");
    let found = ask(&authority, &key, &asked, now());
    assert_eq!(found, refused(400, "invalid_scope"));
}

/// RFC 9449 §5.2: a poll without the required proof spends no approval, and one with it gives a
/// token that is bound to its key.
#[test]
fn an_approval_may_be_bound_to_a_key() {
    let (key, holder) = (key(), key());
    let client = payer(&key).require_dpop();
    let authority = with_payer(client).build(now()).unwrap();
    let details = details();
    let id = id(&ask(&authority, &key, &good(&details), now()).unwrap());
    decide(&authority, "allow", now());
    let missing = refused(400, "invalid_request");
    assert_eq!(poll(&authority, &key, &id, now()), missing);
    let place = format!("{BASE}/token");
    let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
    let random = aims_jose::random::SYSTEM;
    let proof = Binding::to("POST", &place).prepare_with(None, jwk, algorithm, random, now());
    let proof = proof.unwrap().sign(&holder).unwrap();
    let assertion = assertion_of("payer", &key, now());
    let all = form(&[
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
        ("grant_type", CIBA),
        ("auth_req_id", &id),
    ]);
    let fields = [FORM, ("dpop", proof.expose())];
    let answer = send(&authority, &request("POST", "/token", &fields, &all), now());
    let answer = judged(&answer).unwrap();
    assert_eq!(answer["token_type"], "DPoP");
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    let jkt = holder.public_jwk().thumbprint().to_string();
    assert_eq!(claims["cnf"], json!({"jkt": jkt}));
}

/// An approval outlives the process, with the state in a file.
#[cfg(feature = "sqlite")]
#[test]
fn what_waits_survives_the_process() {
    use aims_authority::SqliteState;

    let folder = crate::folder::Folder::new();
    let path = folder.path("state.db");
    let key = key();
    let start = || {
        let state = SqliteState::open(&path).unwrap();
        let builder = with_payer(payer(&key)).state(Arc::new(state));
        builder.build(now()).unwrap()
    };
    let id = id(&ask(&start(), &key, &good(&details()), now()).unwrap());
    let old = inbox(&start(), "alice", now());
    let authority = start();
    // The page of the process before must be loaded again.
    let answer = submit(&authority, &old, &[("decision", "allow")], &[], now());
    assert_eq!(answer.status(), 403);
    decide(&authority, "allow", now());
    drop(authority);
    let authority = start();
    assert!(poll(&authority, &key, &id, now()).is_ok());
    assert_eq!(
        poll(&authority, &key, &id, now()),
        refused(400, "invalid_grant")
    );
    drop(authority);
    // The file has no secret of a client.
    let stored = std::fs::read(&path).unwrap();
    assert!(!stored.windows(id.len()).any(|it| it == id.as_bytes()));
}

/// DEL-12: an approval that its client has not fetched ends with the revocation of its user.
#[test]
fn a_revoked_user_has_approved_nothing() {
    let (key, details) = (key(), details());
    let state = Arc::new(MemoryState::new());
    let authority = with_payer(payer(&key)).state(state.clone());
    let authority = authority.build(now()).unwrap();
    let revoke = |subject: &str, time: u64| {
        AuthorizationServer::revoke_subject_in(state.as_ref(), subject, at(time)).unwrap();
    };
    let approved = |time: u64| {
        let answer = ask(&authority, &key, &good(&details), at(time)).unwrap();
        decide(&authority, "allow", at(time));
        id(&answer)
    };
    let first = approved(NOW);
    revoke("bob", NOW + 1);
    revoke("alice", NOW + 1);
    let ended = refused(400, "invalid_grant");
    assert_eq!(poll(&authority, &key, &first, at(NOW + 2)), ended);
    let second = approved(NOW + 2);
    assert!(poll(&authority, &key, &second, at(NOW + 3)).is_ok());
    // Nor does it serve a client that was revoked.
    let third = approved(NOW + 4);
    revoke("payer", NOW + 5);
    assert_eq!(poll(&authority, &key, &third, at(NOW + 6)), ended);
}

/// A poll before the decision is no refusal in the log. One that comes too early is one, and so is
/// one after a denial.
#[test]
fn a_poll_before_the_decision_is_logged_as_pending() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let id = id(&ask(&authority, &key, &good(&details()), now()).unwrap());
    let line = |after, error: &str| {
        logged(|| {
            let found = poll(&authority, &key, &id, at(NOW + after));
            assert_eq!(found, refused(400, error), "{after}");
        })
    };
    // A subscriber that comes after both events were registered gets them.
    for (after, error) in [(0, "authorization_pending"), (1, "slow_down")] {
        assert_eq!(
            poll(&authority, &key, &id, at(NOW + after)),
            refused(400, error)
        );
    }
    let pending = line(20, "authorization_pending");
    assert!(
        pending.contains("level=DEBUG") && pending.contains("message=pending"),
        "{pending}"
    );
    assert!(
        !pending.contains("refused") && !pending.contains(&id),
        "{pending}"
    );
    let early = line(21, "slow_down");
    decide(&authority, "deny", at(NOW + 60));
    let denied = line(61, "access_denied");
    for refused in [early, denied] {
        assert!(
            refused.contains("level=INFO") && refused.contains("message=refused"),
            "{refused}"
        );
    }
}
