//! A browser at the authorization endpoint: it opens pages, keeps the cookie, and sends the form of
//! the page. There is no other way to approve.

use aims_authority::{Authority, Builder, Client, DevUser, ToolDetails};
use aims_jose::digest::sha256_base64url;
use aims_jose::time::UnixTime;
use http::Response;
use serde_json::Value;
use std::sync::Arc;

use super::endpoint::{FORM, ask, form};
use super::{BASE, FILES, TOOLS, builder, field, request, send};

pub(crate) const CALLBACK: &str = "http://127.0.0.1:51234/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const USER: &str = "alice";

/// The page of a consent, as a browser has it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    pub(crate) cookie: String,
    pub(crate) fields: Vec<(String, String)>,
}

pub(crate) fn public() -> Client {
    Client::public("cli")
        .redirect_uri("http://127.0.0.1/callback")
        .redirect_uri("https://app.example/cb?tenant=1")
        .allow(TOOLS, ["call", "list"])
        .allow(FILES, ["read"])
        .allow_details("aims_tool")
}

pub(crate) fn with_users() -> Builder {
    builder()
        .users(Arc::new(DevUser::new(USER)))
        .authorization_details(Arc::new(ToolDetails))
        .acr_values(["urn:example:mfa"])
}

pub(crate) fn with_public() -> Authority {
    with_users().client(public()).build(super::now()).unwrap()
}

/// The parameters of a good authorization request.
pub(crate) fn parameters() -> Vec<(&'static str, String)> {
    vec![
        ("response_type", "code".to_owned()),
        ("client_id", "cli".to_owned()),
        ("redirect_uri", CALLBACK.to_owned()),
        ("scope", "call".to_owned()),
        ("state", "s t&=".to_owned()),
        ("code_challenge", sha256_base64url(VERIFIER)),
        ("code_challenge_method", "S256".to_owned()),
        ("resource", TOOLS.to_owned()),
    ]
}

/// Returns the good parameters with this one instead, or without it.
pub(crate) fn with(name: &'static str, value: Option<&str>) -> Vec<(&'static str, String)> {
    let mut all = parameters();
    all.retain(|(own, _)| *own != name);
    all.extend(value.map(|value| (name, value.to_owned())));
    all
}

pub(crate) fn query(parameters: &[(&'static str, String)]) -> String {
    let pairs: Vec<(&str, &str)> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
    form(&pairs)
}

pub(crate) fn open(
    authority: &Authority,
    parameters: &[(&'static str, String)],
    cookie: &str,
    now: UnixTime,
) -> Response<Vec<u8>> {
    let path = format!("/authorize?{}", query(parameters));
    let fields = [("cookie", cookie)];
    let fields = if cookie.is_empty() { &[][..] } else { &fields };
    send(authority, &request("GET", &path, fields, ""), now)
}

/// Opens the consent page.
pub(crate) fn page(
    authority: &Authority,
    parameters: &[(&'static str, String)],
    now: UnixTime,
) -> Page {
    read(&open(authority, parameters, "", now))
}

pub(crate) fn read(response: &Response<Vec<u8>>) -> Page {
    assert_eq!(response.status(), 200, "{response:?}");
    let html = String::from_utf8(response.body().clone()).unwrap();
    let cookie = field(response, "set-cookie").split(';').next().unwrap();
    let hidden = html.split("<input type=\"hidden\" name=\"").skip(1);
    let fields = hidden.map(|it| {
        let (name, rest) = it.split_once("\" value=\"").unwrap();
        (name.to_owned(), rest.split('"').next().unwrap().to_owned())
    });
    Page {
        fields: fields.collect(),
        cookie: cookie.to_owned(),
        html,
    }
}

/// Sends the form of the page, with the fields that a browser adds.
pub(crate) fn submit(
    authority: &Authority,
    page: &Page,
    decision: &str,
    more: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let mut pairs: Vec<(&str, &str)> = page
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    pairs.push(("decision", decision));
    let mut fields = vec![FORM, ("sec-fetch-site", "same-origin"), ("origin", "null")];
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    if !page.cookie.is_empty() {
        fields.push(("cookie", &page.cookie));
    }
    send(
        authority,
        &request("POST", "/consent", &fields, &form(&pairs)),
        now,
    )
}

/// Returns the parameters of a redirection to the client.
pub(crate) fn redirected(response: &Response<Vec<u8>>) -> Vec<(String, String)> {
    assert_eq!(response.status(), 303, "{response:?}");
    assert_eq!(field(response, "cache-control"), "no-store");
    assert_eq!(field(response, "referrer-policy"), "no-referrer");
    let location = field(response, "location");
    assert!(
        location.starts_with("http://127.0.0.1:51234/callback?")
            || location.starts_with("https://app.example/cb?tenant=1&"),
        "{location}"
    );
    let (_, query) = location.split_once('?').unwrap();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), unescape(value)))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().unwrap(), rest.next().unwrap()];
        let digits = std::str::from_utf8(&digits).unwrap();
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn named<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = parameters.iter().filter(|(own, _)| own == name);
    let first = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} twice");
    first
}

/// Returns `error` of an answer to the client, which has `state` and `iss` (RFC 9207).
pub(crate) fn refused_to_client(response: &Response<Vec<u8>>) -> String {
    let all = redirected(response);
    assert_eq!(named(&all, "iss"), Some(BASE));
    assert_eq!(named(&all, "state"), Some("s t&="));
    assert_eq!(named(&all, "code"), None);
    named(&all, "error").unwrap().to_owned()
}

/// Returns the code of an approved request.
pub(crate) fn code(
    authority: &Authority,
    parameters: &[(&'static str, String)],
    now: UnixTime,
) -> String {
    let page = page(authority, parameters, now);
    let all = redirected(&submit(authority, &page, "allow", &[], now));
    assert_eq!(named(&all, "iss"), Some(BASE));
    assert_eq!(named(&all, "error"), None);
    named(&all, "code").unwrap().to_owned()
}

/// Sends the code as the public client does.
pub(crate) fn redeem(
    authority: &Authority,
    code: &str,
    fields: &[(&str, &str)],
    more: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let mut all = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "cli"),
        ("redirect_uri", CALLBACK),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    ask(authority, fields, &all, now)
}

/// Sends a refresh token as the public client does.
pub(crate) fn refresh(
    authority: &Authority,
    token: &str,
    fields: &[(&str, &str)],
    more: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let mut all = vec![
        ("grant_type", "refresh_token"),
        ("client_id", "cli"),
        ("refresh_token", token),
    ];
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more);
    ask(authority, fields, &all, now)
}
