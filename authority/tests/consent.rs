//! The consent page: its defences, and every way to send its form wrongly.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims_authority::{AuthenticateUser, Authority, Client, DevUser, User, UserAnswer, UserRequest};
use aims_jose::provider::AWS_LC;
use common::browser::{
    Page, named, open, page, parameters, query, read, redirected, refused_to_client, submit, with,
    with_public, with_users,
};
use common::{NOW, TOOLS, at, builder, field, now, request, send};
use http::Response;

fn text(response: &Response<Vec<u8>>) -> String {
    String::from_utf8(response.body().clone()).unwrap()
}

#[test]
fn the_page_cannot_be_framed_scripted_or_cached() {
    let authority = with_public();
    let response = open(&authority, &parameters(), "", now());
    let policy = field(&response, "content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self' http://127.0.0.1:51234",
        "style-src 'sha256-",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
    assert_eq!(field(&response, "x-frame-options"), "DENY");
    assert_eq!(field(&response, "referrer-policy"), "no-referrer");
    assert_eq!(field(&response, "cache-control"), "no-store");
    assert_eq!(field(&response, "x-content-type-options"), "nosniff");
    assert_eq!(field(&response, "access-control-allow-origin"), "");
    let html = text(&response);
    for absent in ["<script", "http-equiv", "src=", "onclick", "<a "] {
        assert!(!html.contains(absent), "{absent}");
    }
    let cookie = field(&response, "set-cookie");
    assert!(cookie.starts_with("aims-session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    // The error page has the same fields, and no form.
    let response = open(&authority, &with("client_id", None), "", now());
    let policy = field(&response, "content-security-policy");
    assert!(policy.contains("form-action 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!text(&response).contains("<form"));
}

#[test]
fn off_loopback_the_cookie_is_secure() {
    let authority = Authority::builder("https://as.example", AWS_LC)
        .trust_domain("example.org")
        .users(Arc::new(DevUser::new("alice")))
        .resource(aims_authority::Resource::new(TOOLS).with_scopes(["call"]))
        .client(
            Client::public("cli")
                .redirect_uri("http://127.0.0.1/callback")
                .allow(TOOLS, ["call"]),
        )
        .build(now())
        .unwrap();
    let path = format!("/authorize?{}", query(&parameters()));
    let asked = request("GET", &path, &[("host", "as.example")], "");
    let response = send(&authority, &asked, now());
    let cookie = field(&response, "set-cookie");
    assert!(cookie.starts_with("__Host-aims-session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
}

/// Text of the client shows up as text, whatever it contains, and is marked as unverified.
#[test]
fn text_of_the_client_is_escaped_and_marked() {
    let client = Client::public("cli")
        .name("<b>Your bank</b>\u{202e}")
        .redirect_uri("http://127.0.0.1/callback")
        .allow(TOOLS, ["call"])
        .allow_details("aims_tool");
    let authority = with_users().client(client).build(now()).unwrap();
    let details = r#"[{"type":"aims_tool","actions":["</pre><script>alert(1)</script>"]}]"#;
    let page = page(
        &authority,
        &with("authorization_details", Some(details)),
        now(),
    );
    assert!(page.html.contains("&lt;b&gt;Your bank&lt;/b&gt;\\u{202e}"));
    assert!(page.html.contains("&lt;/pre&gt;&lt;script&gt;alert(1)"));
    assert!(!page.html.contains("<script") && !page.html.contains("<b>"));
    assert!(page.html.contains("unverified"));
    for shown in ["alice", "cli", TOOLS, "call", "http://127.0.0.1:51234"] {
        assert!(page.html.contains(shown), "{shown}");
    }
}

fn with_field(page: &Page, name: &str, value: Option<&str>) -> Page {
    let mut page = page.clone();
    page.fields.retain(|(own, _)| own != name);
    page.fields
        .extend(value.map(|it| (name.to_owned(), it.to_owned())));
    page
}

/// A page, a decision, and header fields.
type Case<'a> = (Page, &'a str, Vec<(&'a str, &'a str)>);

/// Each form differs from the page's own in one property. The user can still decide afterwards.
#[test]
fn a_form_of_another_page_session_or_site_is_refused() {
    let authority = with_public();
    let good = page(&authority, &parameters(), now());
    let other = page(&authority, &parameters(), now());
    let value = |page: &Page, name: &str| {
        page.fields
            .iter()
            .find(|(own, _)| own == name)
            .unwrap()
            .1
            .clone()
    };
    let foreign_csrf = value(&other, "csrf");
    let two_cookies = format!("{}; {}", good.cookie, other.cookie);
    let cases: Vec<Case<'_>> = vec![
        (with_field(&good, "csrf", None), "allow", vec![]),
        (with_field(&good, "csrf", Some("")), "allow", vec![]),
        (
            with_field(&good, "csrf", Some(&foreign_csrf)),
            "allow",
            vec![],
        ),
        (with_field(&good, "request", None), "allow", vec![]),
        (
            with_field(&good, "request", Some(&value(&other, "request"))),
            "allow",
            vec![],
        ),
        (
            Page {
                cookie: String::new(),
                ..good.clone()
            },
            "allow",
            vec![],
        ),
        (
            Page {
                cookie: other.cookie.clone(),
                ..good.clone()
            },
            "allow",
            vec![],
        ),
        (
            Page {
                cookie: two_cookies,
                ..good.clone()
            },
            "allow",
            vec![],
        ),
        (
            Page {
                cookie: "aims-session=x".to_owned(),
                ..good.clone()
            },
            "allow",
            vec![],
        ),
        (good.clone(), "", vec![]),
        (good.clone(), "ALLOW", vec![]),
        (
            good.clone(),
            "allow",
            vec![("sec-fetch-site", "cross-site")],
        ),
        (good.clone(), "allow", vec![("sec-fetch-site", "same-site")]),
        (good.clone(), "allow", vec![("sec-fetch-site", "none")]),
        (
            good.clone(),
            "allow",
            vec![("origin", "https://evil.example")],
        ),
        (
            good.clone(),
            "allow",
            vec![("origin", "http://127.0.0.1:9")],
        ),
    ];
    for (page, decision, more) in cases {
        let response = submit(&authority, &page, decision, &more, now());
        assert_eq!(
            response.status(),
            403,
            "{:?} {decision} {more:?}",
            page.fields
        );
        assert_eq!(field(&response, "location"), "");
        assert!(!text(&response).contains("<form"));
    }
    // Nothing above used the request up. A browser without these fields sends it too.
    let bare = [("sec-fetch-site", ""), ("origin", "")];
    let answer = submit(&authority, &good, "allow", &bare, now());
    assert!(named(&redirected(&answer), "code").is_some());
    // It was decided once.
    let again = submit(&authority, &good, "allow", &[], now());
    assert_eq!(again.status(), 403);
}

/// There is no way to approve by a query, or by another content type.
#[test]
fn only_the_form_approves() {
    let authority = with_public();
    let page = page(&authority, &parameters(), now());
    let mut all = parameters();
    all.push(("decision", "allow".to_owned()));
    let response = open(&authority, &all, &page.cookie, now());
    assert_eq!(response.status(), 200);
    let path = format!(
        "/consent?{}&decision=allow",
        common::endpoint::form(
            &page
                .fields
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect::<Vec<_>>(),
        )
    );
    let fields = [("cookie", page.cookie.as_str())];
    let got = send(&authority, &request("GET", &path, &fields, ""), now());
    assert_eq!(got.status(), 405);
    let fields = [
        ("cookie", page.cookie.as_str()),
        ("content-type", "text/plain"),
    ];
    let sent = send(&authority, &request("POST", &path, &fields, ""), now());
    assert_eq!(sent.status(), 415);
}

/// A session stays for several pages, so that two tabs do not disturb each other.
#[test]
fn two_tabs_share_a_session() {
    let authority = with_public();
    let first = page(&authority, &parameters(), now());
    let response = open(&authority, &parameters(), &first.cookie, now());
    assert_eq!(field(&response, "set-cookie"), "");
    let second = Page {
        cookie: first.cookie.clone(),
        ..read(&response)
    };
    for page in [&second, &first] {
        let answer = submit(&authority, page, "allow", &[], now());
        assert!(named(&redirected(&answer), "code").is_some());
    }
    // A cookie that this server did not set is replaced.
    let response = open(&authority, &parameters(), "aims-session=chosen", now());
    assert!(field(&response, "set-cookie").starts_with("aims-session="));
}

/// An application whose user changes.
#[derive(Debug)]
struct Application(Mutex<Option<User>>);

impl Application {
    fn with(user: Option<User>) -> (Arc<Self>, Authority) {
        let application = Arc::new(Self(Mutex::new(user)));
        let authority = builder()
            .users(application.clone())
            .client(common::browser::public())
            .build(now())
            .unwrap();
        (application, authority)
    }

    fn set(&self, user: Option<User>) {
        *self.0.lock().unwrap() = user;
    }
}

impl AuthenticateUser for Application {
    fn authenticate(
        &self,
        request: &UserRequest<'_>,
    ) -> Result<UserAnswer, Box<dyn std::error::Error + Send + Sync>> {
        match self.0.lock().unwrap().clone() {
            Some(user) if user == User::new("locked", at(NOW)) => Ok(UserAnswer::Refused),
            Some(user) => Ok(UserAnswer::User(user)),
            None => Ok(UserAnswer::SignIn {
                location: format!("https://app.example/sign-in#{}", request.return_to),
            }),
        }
    }
}

fn user(subject: &str) -> Option<User> {
    Some(User::new(subject, at(NOW)))
}

#[test]
fn the_user_who_saw_the_page_decides() {
    let (application, authority) = Application::with(user("alice"));
    let page = page(&authority, &parameters(), now());
    for other in [user("bob"), None] {
        application.set(other);
        let answer = submit(&authority, &page, "allow", &[], now());
        assert_eq!(answer.status(), 403);
    }
    application.set(user("alice"));
    let answer = submit(&authority, &page, "allow", &[], now());
    assert!(named(&redirected(&answer), "code").is_some());
}

#[test]
fn a_user_signs_in_at_the_application() {
    let (application, authority) = Application::with(None);
    let response = open(&authority, &parameters(), "", now());
    assert_eq!(response.status(), 303);
    let location = field(&response, "location").to_owned();
    let back = location
        .strip_prefix("https://app.example/sign-in#")
        .unwrap();
    assert_eq!(field(&response, "set-cookie"), "");
    let silent = open(&authority, &with("prompt", Some("none")), "", now());
    assert_eq!(refused_to_client(&silent), "login_required");
    application.set(user("alice"));
    let path = back.strip_prefix(common::BASE).unwrap();
    let response = send(&authority, &request("GET", path, &[], ""), now());
    assert!(read(&response).html.contains("alice"));
    application.set(user("locked"));
    let response = open(&authority, &parameters(), "", now());
    assert_eq!(refused_to_client(&response), "access_denied");
}

/// BCP-43: a user whose `sub` is a client's, or a workload's, gets no token.
#[test]
fn no_user_is_named_like_a_client() {
    let long = "a".repeat(256);
    for bad in [
        "",
        "cli",
        "spiffe://example.org/agents/a",
        "wimse://x/y",
        "SPIFFE://example.org/agents/a",
        "a b",
        &long,
    ] {
        let (_, authority) = Application::with(user(bad));
        let response = open(&authority, &parameters(), "", now());
        assert_eq!(refused_to_client(&response), "server_error", "{bad}");
    }
}

/// The pages of one user leave room for those of the others.
#[test]
fn consent_pages_are_limited_by_user() {
    let authority = with_public();
    let open = |now| open(&authority, &parameters(), "", now).status().as_u16();
    let shown = (0..100).filter(|_| open(now()) == 200).count();
    assert_eq!(shown, 60);
    assert_eq!(open(at(now().as_secs() + 60)), 200);
}

/// RFC 9470: a token has the context that was asked for, or there is none.
#[test]
fn a_step_up_is_met_or_refused() {
    const MFA: &str = "urn:example:mfa";
    let (application, authority) = Application::with(user("alice"));
    let stronger = with("acr_values", Some("urn:example:mfa urn:example:hw"));
    let ask = || open(&authority, &stronger, "", now());
    assert_eq!(
        refused_to_client(&ask()),
        "unmet_authentication_requirements"
    );
    let strong = User::new("alice", at(NOW - 100))
        .with_acr(MFA)
        .with_amr(["pwd", "otp"]);
    application.set(Some(strong));
    let answer = submit(
        &authority,
        &page(&authority, &stronger, now()),
        "allow",
        &[],
        now(),
    );
    let code = named(&redirected(&answer), "code").unwrap().to_owned();
    let granted = common::browser::redeem(&authority, &code, &[], &[], now()).unwrap();
    let claims =
        common::endpoint::verified(&authority, granted["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["acr"], MFA);
    assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp"]));
    assert_eq!(claims["auth_time"], NOW - 100);
    // 100 s are within 70 s and the skew of 30 s, and beyond 69 s.
    assert_eq!(
        open(&authority, &with("max_age", Some("70")), "", now()).status(),
        200
    );
    let late = open(&authority, &with("max_age", Some("69")), "", now());
    assert_eq!(
        refused_to_client(&late),
        "unmet_authentication_requirements"
    );
    let login = open(&authority, &with("prompt", Some("login")), "", now());
    assert_eq!(
        refused_to_client(&login),
        "unmet_authentication_requirements"
    );
}
