//! JWT grants (RFC 7523), and the exchanges that give one.

use std::sync::{Arc, Mutex};

use aims_jose::provider::AWS_LC;
use aims_oauth_client::{
    DpopKey, ErrorClass, Grant as _, GrantAudience, IdJagRequest, JwtBearer, JwtGrantRequest,
    SubjectToken, TokenRules, TokenSource, drive,
};
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::tokens::{ACCESS_TOKEN, ID_JAG, JWT, TOOL, claims, source, subject, target};
use crate::common::{self, NOW, Paused, Script, client, code, json_answer, jwt, server_with, with};

/// JWTA-10: one assertion, the resource and the scope. Its source decides by the audience.
#[tokio::test(start_paused = true)]
async fn an_assertion_of_the_platform() {
    for (audience, expected) in [
        (GrantAudience::Issuer, "https://as.example"),
        (GrantAudience::TokenEndpoint, "https://as.example/token"),
    ] {
        let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
        let script = Script::new(move |_, _| json_answer(200, &body));
        let grant = JwtBearer::from_source(target("read"), |audience, _| {
            Ok(format!("for {audience}").into())
        });
        let source = source(&script, TokenRules::new());
        source.token(grant.with_audience(audience)).await.unwrap();
        let form = script.forms().remove(0);
        assert_eq!(form.get("assertion"), Some(&*format!("for {expected}")));
        assert_eq!(form.get("resource"), Some(TOOL));
        assert_eq!(form.get("scope"), Some("read"));
    }
    let script = Script::new(|_, _| json_answer(500, &json!({})));
    let grant = JwtBearer::from_source(target("read"), |_, _| Err("no token".into()));
    let failed = source(&script, TokenRules::new()).token(grant).await;
    assert_eq!(code(failed), "oauth.authenticate");
    assert!(script.requests().is_empty());
}

/// A server that takes the same assertion again, or each one once. Returns it and its file.
fn platform(takes_again: bool) -> (Script, Arc<Mutex<String>>) {
    let seen = Mutex::new(Vec::new());
    let script = Script::new(move |request, number| {
        let form = Form::parse(request.body()).unwrap();
        let assertion = form.get("assertion").unwrap().to_owned();
        let mut seen = seen.lock().unwrap();
        let error = match &*assertion {
            "strange" => Some("invalid_grant"),
            "wide" if seen.contains(&assertion) => Some("invalid_scope"),
            _ if !takes_again && seen.contains(&assertion) => Some("invalid_grant"),
            _ => None,
        };
        seen.push(assertion);
        match error {
            Some(error) => {
                let body = json!({"error": error, "error_description": "seen"});
                json_answer(400, &body)
            }
            None => json_answer(
                200,
                &json!({"access_token": format!("t{number}"), "token_type": "Bearer",
                    "expires_in": 300}),
            ),
        }
    });
    (script, Arc::new(Mutex::new("p1".to_owned())))
}

fn from_file(file: &Arc<Mutex<String>>) -> JwtBearer {
    let file = Arc::clone(file);
    JwtBearer::from_source(target("read"), move |_, _| {
        Ok(file.lock().unwrap().clone().into())
    })
}

/// JWTA-10: the token of a platform that it has not replaced is presented again, at a server that
/// takes it while it is valid.
#[tokio::test(start_paused = true)]
async fn a_token_of_the_platform_is_presented_again() {
    let (script, file) = platform(true);
    let (source, grant) = (source(&script, TokenRules::new()), from_file(&file));
    let first = source.token(grant.clone()).await.unwrap();
    let again = source.token(grant.clone()).await.unwrap();
    assert_eq!(
        (script.forms().len(), first.fingerprint()),
        (1, again.fingerprint())
    );
    common::sleep(301).await;
    let next = source.token(grant).await.unwrap();
    assert_ne!(next.fingerprint(), first.fingerprint());
    let forms = script.forms();
    let sent: Vec<_> = forms.iter().map(|it| it.get("assertion")).collect();
    assert_eq!(sent, [Some("p1"), Some("p1")]);
}

/// JWTA-10: a server that takes each token of the platform once refuses it then. The old access
/// token stays until its end; after that, the error says that a new one is awaited.
#[tokio::test(start_paused = true)]
async fn a_used_token_of_the_platform_is_awaited() {
    let (script, file) = platform(false);
    let (source, grant) = (source(&script, TokenRules::new()), from_file(&file));
    let first = source.token(grant.clone()).await.unwrap();
    common::sleep(299).await;
    let early = source.token(grant.clone()).await.unwrap();
    assert_eq!(early.fingerprint(), first.fingerprint());
    common::sleep(60).await;
    for (expected, is_source) in [("grant.assertion_used", false), ("grant.backing_off", true)] {
        let error = source.token(grant.clone()).await.unwrap_err();
        assert_eq!(error.code(), expected);
        assert_eq!(error.class(), ErrorClass::Pending);
        assert!(error.is_retryable() && !error.needs_user());
        let text = aims_jose::Chain(&error).to_string();
        let told = "the platform's token was used; a new one is awaited: invalid_grant (seen)";
        assert!(text.contains(told), "{text}");
        assert_eq!(text.starts_with(told), !is_source);
    }
    *file.lock().unwrap() = "p2".to_owned();
    common::sleep(60).await;
    let next = source.token(grant).await.unwrap();
    assert_ne!(next.fingerprint(), first.fingerprint());
}

/// JWTA-10: nothing else is awaited: an assertion that was never accepted, another error, one that
/// another server accepted, and one without a source.
#[tokio::test(start_paused = true)]
async fn other_refusals_of_an_assertion_are_final() {
    for fixed in [true, false] {
        let (script, file) = platform(false);
        let source = source(&script, TokenRules::new());
        let grant = match fixed {
            true => JwtBearer::new(target("read"), "p1"),
            false => from_file(&file),
        };
        for (content, expected) in [("strange", "invalid_grant"), ("wide", "invalid_scope")] {
            let fixed_text = JwtBearer::new(target("read"), content);
            let grant = if fixed { fixed_text } else { grant.clone() };
            *file.lock().unwrap() = content.to_owned();
            if content == "wide" {
                let token = source.token(grant.clone()).await.unwrap();
                source.forget(&token);
            }
            let error = source.token(grant).await.unwrap_err();
            assert_eq!(error.code(), "oauth.refused", "{content}");
            assert_eq!(error.refusal().unwrap().error(), expected);
            assert_eq!(error.class(), ErrorClass::Rejected);
            common::sleep(60).await;
        }
        let first = source.token(grant.clone()).await;
        if fixed {
            source.forget(&first.unwrap());
            assert_eq!(code(source.token(grant).await), "oauth.refused");
        }
    }
    // What one server accepted, another one refuses.
    let (script, file) = platform(false);
    let grant = from_file(&file);
    let here = source(&script, TokenRules::new());
    here.token(grant.clone()).await.unwrap();
    let issuer = "https://other.example".parse().unwrap();
    let document = json!({"issuer": "https://other.example",
        "token_endpoint": "https://other.example/token"});
    let other = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let there = TokenSource::new(other, client(), script).with_clock(Paused(Instant::now()));
    assert_eq!(code(there.token(grant).await), "oauth.refused");
}

/// The tokens of two assertions are never interchanged, also if no subject is named.
#[tokio::test(start_paused = true)]
async fn each_assertion_has_its_token() {
    let script = Script::new(|_, number| {
        let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer",
            "expires_in": 300});
        json_answer(200, &body)
    });
    let source = source(&script, TokenRules::new());
    let grant = |assertion: &str| JwtBearer::new(target("read"), assertion);
    let alice = source.token(grant("alice")).await.unwrap().fingerprint();
    let bob = source.token(grant("bob")).await.unwrap().fingerprint();
    assert_ne!(alice, bob);
    let again = source.token(grant("alice")).await.unwrap();
    assert_eq!(again.fingerprint(), alice);
    // A subject that is named counts.
    let named = JwtBearer::new(target("read").with_subject("carol"), "c");
    assert_eq!(named.target().subject(), Some("carol"));
}

fn id_jag_claims(changes: &Value) -> Value {
    let claims = json!({"iss": "https://idp.example", "sub": "alice", "aud": "https://b.example",
        "client_id": "agent-at-b", "resource": TOOL, "iat": NOW, "exp": NOW + 300, "jti": "j"});
    with(claims, changes)
}

async fn id_jag(
    typ: &str,
    changes: &Value,
    response: &Value,
    key: Option<&DpopKey>,
) -> &'static str {
    let token = jwt(typ, &id_jag_claims(changes));
    let body = json!({"access_token": token.expose(), "issued_token_type": ID_JAG,
        "token_type": "N_A", "expires_in": 300});
    let body = with(body, response);
    let script = Script::new(move |_, _| json_answer(200, &body));
    let server = "https://b.example".parse().unwrap();
    let subject = SubjectToken::id_token("id");
    let mut request = IdJagRequest::new(subject, server, TOOL.parse().unwrap())
        .scopes("read".parse().unwrap())
        .for_client("agent-at-b".parse().unwrap());
    if let Some(key) = key {
        request = request.bound_to(key.clone());
    }
    let clock = Paused(Instant::now());
    let first = request.begin(
        Arc::new(client()),
        Arc::new(server_with(&json!({}))),
        common::at(NOW),
    );
    let found = drive(first.unwrap(), &script, &clock).await;
    let form = script.forms().remove(0);
    assert_eq!(
        form.get("audience"),
        Some("https://b.example"),
        "JAG-10: the server"
    );
    assert_eq!(form.get("resource"), Some(TOOL), "JAG-10: the tool");
    assert_eq!(form.get("requested_token_type"), Some(ID_JAG));
    if let Ok(found) = &found {
        assert_eq!(found.audience().as_str(), "https://b.example");
        assert!(!format!("{found:?}").contains(token.expose()));
    }
    code(found)
}

/// JAG-10: an assertion of the identity provider is for this server, this client
/// and this key.
#[tokio::test(start_paused = true)]
async fn an_id_jag_is_the_one_that_was_asked_for() {
    let no = json!({});
    const TYP: &str = "oauth-id-jag+jwt";
    for (typ, changes, response, expected) in [
        (TYP, no.clone(), no.clone(), "ok"),
        (TYP, no.clone(), json!({"token_type": "n_a"}), "ok"),
        ("JWT", no.clone(), no.clone(), "grant.assertion"),
        (
            TYP,
            json!({"aud": "https://c.example"}),
            no.clone(),
            "grant.assertion",
        ),
        (TYP, json!({"aud": ["https://b.example"]}), no.clone(), "ok"),
        (
            TYP,
            json!({"aud": ["https://b.example", "https://c.example"]}),
            no.clone(),
            "grant.assertion",
        ),
        (
            TYP,
            json!({"client_id": "other"}),
            no.clone(),
            "grant.assertion",
        ),
        (
            TYP,
            json!({"client_id": null}),
            no.clone(),
            "grant.assertion",
        ),
        (TYP, json!({"exp": NOW - 1}), no.clone(), "grant.expired"),
        (
            TYP,
            no.clone(),
            json!({"token_type": "Bearer"}),
            "grant.token_type",
        ),
        (
            TYP,
            no.clone(),
            json!({"issued_token_type": JWT}),
            "grant.issued_token_type",
        ),
        (
            TYP,
            no.clone(),
            json!({"scope": "read write"}),
            "grant.scope",
        ),
        (
            TYP,
            no.clone(),
            json!({"access_token": "opaque"}),
            "grant.assertion",
        ),
    ] {
        let found = id_jag(typ, &changes, &response, None).await;
        assert_eq!(found, expected, "{typ} {changes} {response}");
    }
    let key = DpopKey::generate(AWS_LC).unwrap();
    let other = DpopKey::generate(AWS_LC).unwrap();
    for (jkt, expected) in [
        (json!({"cnf": {"jkt": key.thumbprint().to_string()}}), "ok"),
        (
            json!({"cnf": {"jkt": other.thumbprint().to_string()}}),
            "grant.assertion",
        ),
        (json!({}), "grant.assertion"),
    ] {
        assert_eq!(id_jag(TYP, &jkt, &no, Some(&key)).await, expected, "{jkt}");
    }
}

/// CHN-02: the other server is named by `resource` or by `audience`, and the answer is a
/// JWT for it, which is no access token.
#[tokio::test(start_paused = true)]
async fn a_grant_for_another_server() {
    let no = json!({});
    for (changes, response, expected) in [
        (no.clone(), no.clone(), "ok"),
        (
            json!({"aud": "https://c.example"}),
            no.clone(),
            "grant.assertion",
        ),
        (
            no.clone(),
            json!({"issued_token_type": ACCESS_TOKEN}),
            "grant.issued_token_type",
        ),
        (
            no.clone(),
            json!({"token_type": "Bearer"}),
            "grant.token_type",
        ),
    ] {
        for by_name in [false, true] {
            let token = jwt("JWT", &id_jag_claims(&changes));
            let body = json!({"access_token": token.expose(), "issued_token_type": JWT,
                "token_type": "N_A", "expires_in": 60});
            let body = with(body, &response);
            let script = Script::new(move |_, _| json_answer(200, &body));
            let server = "https://b.example".parse().unwrap();
            let mut request = JwtGrantRequest::new(subject(), server).unwrap();
            if by_name {
                request = request.as_audience();
            }
            let (client, own) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
            let first = request.begin(client, own, common::at(NOW)).unwrap();
            let found = drive(first, &script, &Paused(Instant::now())).await;
            let form = script.forms().remove(0);
            let named = ["resource", "audience"].map(|it| form.get(it).map(String::from));
            let expected_name = Some("https://b.example".to_owned());
            assert_eq!(named[usize::from(by_name)], expected_name);
            assert_eq!(named[usize::from(!by_name)], None);
            if let Ok(found) = &found {
                let bearer = JwtBearer::of_jwt_grant(target("read"), found);
                assert_eq!(bearer.target().resource().as_str(), TOOL);
            }
            assert_eq!(code(found), expected, "{changes} {response}");
        }
    }
}

/// Asks for a grant with a resource of the other domain.
#[tokio::test(start_paused = true)]
async fn a_resource_of_the_other_domain_is_named() {
    let ask = |it: JwtGrantRequest| it.for_resource(TOOL.parse().unwrap());
    let (found, form) = grant(subject(), ask, &json!({})).await;
    assert_eq!(found, "ok");
    assert_eq!(form.get("audience"), Some("https://b.example"));
    assert_eq!(form.all("resource").collect::<Vec<_>>(), [TOOL]);
}

async fn grant(
    subject: SubjectToken,
    ask: impl FnOnce(JwtGrantRequest) -> JwtGrantRequest,
    changes: &Value,
) -> (&'static str, Form) {
    let token = jwt("JWT", &id_jag_claims(changes));
    let body = json!({"access_token": token.expose(), "issued_token_type": JWT,
        "token_type": "N_A", "expires_in": 60});
    let script = Script::new(move |_, _| json_answer(200, &body));
    let server = "https://b.example".parse().unwrap();
    let request = ask(JwtGrantRequest::new(subject, server).unwrap());
    let (client, own) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
    let first = request.begin(client, own, common::at(NOW)).unwrap();
    let found = drive(first, &script, &Paused(Instant::now())).await;
    (code(found), script.forms().remove(0))
}

/// CHN-02, DEL-01: a grant is no more than the access token that it was given for.
#[tokio::test(start_paused = true)]
async fn a_grant_is_no_more_than_its_subject() {
    for (changes, expected) in [
        (json!({"exp": NOW + 600}), "ok"),
        (json!({"exp": NOW + 601}), "delegate.lifetime"),
        (json!({"exp": null}), "delegate.lifetime"),
        (json!({"scope": "read write"}), "ok"),
        (json!({"scope": "read admin"}), "delegate.scope"),
        (json!({"sub": "customer-7"}), "ok"),
        (json!({"acr": "high"}), "delegate.other"),
    ] {
        assert_eq!(
            grant(subject(), |it| it, &changes).await.0,
            expected,
            "{changes}"
        );
    }
}

/// JAG-10, DEL-01: an assertion is no more than what was asked for, and no more than an access
/// token that it was given for. The provider states the login, and an ID token ends on its own.
#[tokio::test(start_paused = true)]
async fn an_id_jag_is_no_more_than_its_subject() {
    let key = DpopKey::generate(AWS_LC).unwrap();
    let jkt = json!({"cnf": {"jkt": key.thumbprint().to_string()}});
    let other = json!({"cnf": {"jkt": "A".repeat(43)}});
    let of = |changes: &Value| SubjectToken::access_token(jwt("at+jwt", &claims(changes)));
    let login = SubjectToken::id_token(jwt("JWT", &claims(&json!({"exp": NOW + 10}))));
    let opaque = SubjectToken::access_token("opaque");
    let no = json!({});
    type Ask = fn(IdJagRequest) -> IdJagRequest;
    let same: Ask = |it| it;
    for (subject, ask, bound, changes, expected) in [
        (of(&no), same, false, json!({"scope": "read"}), "ok"),
        (
            of(&no),
            same,
            false,
            json!({"scope": "read write"}),
            "grant.scope",
        ),
        (
            opaque,
            same,
            false,
            json!({"scope": "read write"}),
            "grant.scope",
        ),
        (
            of(&no),
            same,
            false,
            json!({"exp": NOW + 601}),
            "delegate.lifetime",
        ),
        (
            of(&no),
            |it| it.accept_new_lifetime(),
            false,
            json!({"exp": NOW + 601}),
            "ok",
        ),
        (login, same, false, no.clone(), "ok"),
        (of(&no), same, false, json!({"acr": "high"}), "ok"),
        (of(&other), same, false, no.clone(), "delegate.confirmation"),
        (
            of(&other),
            |it| it.accept_unbound(),
            false,
            no.clone(),
            "ok",
        ),
        (of(&other), same, false, jkt.clone(), "ok"),
        (of(&other), same, true, jkt.clone(), "ok"),
    ] {
        let token = jwt("oauth-id-jag+jwt", &id_jag_claims(&changes));
        let body = json!({"access_token": token.expose(), "issued_token_type": ID_JAG,
            "token_type": "N_A", "expires_in": 300});
        let script = Script::new(move |_, _| json_answer(200, &body));
        let server = "https://b.example".parse().unwrap();
        let mut request = ask(IdJagRequest::new(subject, server, TOOL.parse().unwrap()))
            .scopes("read".parse().unwrap());
        if bound {
            request = request.bound_to(key.clone());
        }
        let (client, own) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
        let first = request.begin(client, own, common::at(NOW)).unwrap();
        let found = drive(first, &script, &Paused(Instant::now())).await;
        assert_eq!(code(found), expected, "{changes}");
    }
}

/// DEL-01: of an opaque token its end and its scopes are known, and of a JWT of no known kind its
/// end.
#[tokio::test(start_paused = true)]
async fn a_grant_of_an_opaque_token_is_compared() {
    let body = json!({"access_token": "user", "token_type": "Bearer", "expires_in": 600,
        "scope": "read"});
    let script = Script::new(move |_, _| json_answer(200, &body));
    let own = source(&script, TokenRules::new());
    let (tool, scopes) = (TOOL.parse().unwrap(), "read".parse().unwrap());
    let opaque = SubjectToken::of(&own.token_for(&tool, &scopes).await.unwrap());
    let jwt = SubjectToken::access_token(jwt("JWT", &claims(&json!({}))));
    type Ask = fn(JwtGrantRequest) -> JwtGrantRequest;
    let same: Ask = |it| it;
    let table: Ask = |it| it.scopes_by(ScopeTable::new([("read", "order")]).unwrap());
    for (subject, ask, changes, expected) in [
        // The end of an opaque token is one of the client's own clock.
        (&opaque, same, json!({"exp": NOW + 605}), "ok"),
        (&opaque, same, json!({"exp": NOW + 606}), "grant.lifetime"),
        (
            &opaque,
            |it| it.accept_new_lifetime(),
            json!({"exp": NOW + 606}),
            "ok",
        ),
        (&opaque, same, json!({"scope": "read"}), "ok"),
        (&opaque, same, json!({"scope": "read order"}), "grant.scope"),
        (&opaque, table, json!({"scope": "order"}), "ok"),
        (
            &opaque,
            table,
            json!({"scope": "order read"}),
            "grant.scope",
        ),
        (&jwt, same, json!({"exp": NOW + 600}), "ok"),
        (&jwt, same, json!({"exp": NOW + 601}), "grant.lifetime"),
    ] {
        let found = grant(subject.clone(), ask, &changes).await.0;
        assert_eq!(found, expected, "{changes}");
    }
}
