//! A client that asks for approvals, and users that decide.

use std::sync::Arc;

use aims_authority::{
    Approver, AuthenticateUser, Authority, Builder, Client, FindApprover, ToolDetails, User,
    UserAnswer, UserRequest,
};
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_wire::call::ToolCall;
use http::Response;
use serde_json::Value;

use crate::common::browser::{Page, read};
use crate::common::endpoint::{FORM, JWT_BEARER, assertion_of, form, judged};
use crate::common::{BASE, FILES, TOOLS, builder, field, key_set, now, request, send};

pub(crate) const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// Users by a header field, as an application knows them by its session.
#[derive(Debug)]
pub(crate) struct ByField;

impl AuthenticateUser for ByField {
    fn authenticate(
        &self,
        request: &UserRequest<'_>,
    ) -> Result<UserAnswer, Box<dyn std::error::Error + Send + Sync>> {
        let Some(name) = request.headers.get("x-user") else {
            return Ok(UserAnswer::SignIn {
                location: "https://app.example/sign-in".to_owned(),
            });
        };
        let user = User::new(name.to_str()?, request.now);
        let has_factor = request.headers.contains_key("x-factor");
        let user = if has_factor {
            user.with_acr("mfa")
        } else {
            user
        };
        if request.accepts(&user) {
            return Ok(UserAnswer::User(user));
        }
        Ok(UserAnswer::SignIn {
            location: "https://app.example/factor".to_owned(),
        })
    }
}

impl FindApprover for ByField {
    fn find(
        &self,
        login_hint: &str,
        _now: UnixTime,
    ) -> Result<Option<Approver>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(match login_hint {
            "alice" | "bob" => Some(Approver::new(login_hint)),
            "carol" => Some(Approver::new("carol").with_user_code("2718")),
            "payer" => Some(Approver::new("payer")),
            _ => None,
        })
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap()
}

pub(crate) fn payer(key: &SigningKey) -> Client {
    Client::with_keys("payer", key_set(key))
        .name("The payer")
        .allow(TOOLS, ["call", "list"])
        .allow(FILES, ["read"])
        .allow_details("aims_tool")
        .backchannel_poll()
}

pub(crate) fn with_payer(client: Client) -> Builder {
    builder()
        .users(Arc::new(ByField))
        .backchannel(Arc::new(ByField))
        .authorization_details(Arc::new(ToolDetails))
        .client(client)
}

pub(crate) fn post(
    authority: &Authority,
    path: &str,
    (client, key): (&str, &SigningKey),
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let assertion = assertion_of(client, key, now);
    let mut all = vec![
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    all.extend(parameters.iter().filter(|(_, value)| !value.is_empty()));
    send(authority, &request("POST", path, &[FORM], &form(&all)), now)
}

pub(crate) fn ask(
    authority: &Authority,
    key: &SigningKey,
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    judged(&post(
        authority,
        "/backchannel",
        ("payer", key),
        parameters,
        now,
    ))
}

pub(crate) fn poll(
    authority: &Authority,
    key: &SigningKey,
    id: &str,
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let all = [("grant_type", CIBA), ("auth_req_id", id)];
    judged(&post(authority, "/token", ("payer", key), &all, now))
}

/// Asks, lets the user allow it, and returns the tokens.
pub(crate) fn approved(authority: &Authority, key: &SigningKey, asked: &[(&str, &str)]) -> Value {
    let id = id(&ask(authority, key, asked, now()).unwrap());
    decide(authority, "allow", now());
    poll(authority, key, &id, now()).unwrap()
}

pub(crate) fn call() -> ToolCall {
    ToolCall::new("transfer", Some(br#"{"to":"bob","amount":10.5}"#)).unwrap()
}

pub(crate) fn details() -> String {
    call().details(TOOLS).to_json()
}

/// The parameters of a good request for one call.
pub(crate) fn good(details: &str) -> Vec<(&str, &str)> {
    vec![
        ("scope", "openid"),
        ("login_hint", "alice"),
        ("resource", TOOLS),
        ("authorization_details", details),
    ]
}

/// Returns the parameters with this one instead. An empty value leaves it out.
pub(crate) fn with<'a>(
    parameters: &[(&'a str, &'a str)],
    name: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let mut all = parameters.to_vec();
    all.retain(|(own, _)| *own != name);
    all.push((name, value));
    all
}

pub(crate) fn id(answer: &Value) -> String {
    answer["auth_req_id"].as_str().unwrap().to_owned()
}

pub(crate) fn open(
    authority: &Authority,
    fields: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    send(authority, &request("GET", "/approvals", fields, ""), now)
}

pub(crate) fn inbox(authority: &Authority, user: &str, now: UnixTime) -> Page {
    read(&open(authority, &[("x-user", user)], now))
}

pub(crate) fn value(page: &Page, name: &str) -> String {
    let mut found = page.fields.iter().filter(|(own, _)| own == name);
    found.next().unwrap().1.clone()
}

/// Sends a form of the inbox with the header fields of a browser, or others in their place.
pub(crate) fn submit(
    authority: &Authority,
    page: &Page,
    pairs: &[(&str, &str)],
    more: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let (key, csrf) = (value(page, "request"), value(page, "csrf"));
    let mut all = vec![("request", key.as_str()), ("csrf", &csrf)];
    all.retain(|(name, _)| !pairs.iter().any(|(other, _)| other == name));
    all.extend(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let mut fields = vec![
        FORM,
        ("sec-fetch-site", "same-origin"),
        ("origin", "null"),
        ("cookie", &page.cookie),
        ("x-user", "alice"),
    ];
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    let asked = request("POST", "/approvals/decision", &fields, &form(&all));
    send(authority, &asked, now)
}

pub(crate) fn decide(authority: &Authority, decision: &str, now: UnixTime) {
    let page = inbox(authority, "alice", now);
    let answer = submit(authority, &page, &[("decision", decision)], &[], now);
    assert_eq!(answer.status(), 303, "{answer:?}");
    assert_eq!(field(&answer, "location"), format!("{BASE}/approvals"));
}
