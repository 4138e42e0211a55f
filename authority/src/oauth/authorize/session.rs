//! The browser session of a consent, and the fields of its pages.

use aims_jose::base64url;
use aims_jose::digest::sha256;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};

use super::page::STYLE;
use crate::base::Base;
use crate::oauth::store::is_secret;

/// The name on loopback, where there is no TLS.
const PLAIN: &str = "aims-session";
/// The name elsewhere. Browsers accept the prefix only with `Secure`, without `Domain` and for the
/// whole host (RFC 6265bis §4.1.3.2), so no other host can set it.
const SECURE: &str = "__Host-aims-session";

fn is_secure(base: &Base) -> bool {
    base.as_str().starts_with("https:")
}

fn name(base: &Base) -> &'static str {
    if is_secure(base) { SECURE } else { PLAIN }
}

/// Returns the session of the request: the only cookie of this name, of the form of this server.
pub(in crate::oauth) fn session<'a>(base: &Base, headers: &'a HeaderMap) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter();
    let pairs = pairs.filter_map(|field| field.to_str().ok());
    let mut found = pairs
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(cookie, _)| *cookie == name(base))
        .map(|(_, value)| value);
    let only = found.next().filter(|value| is_secret(value))?;
    found.next().is_none().then_some(only)
}

/// Returns `Set-Cookie` of a new session. It ends with the browser.
pub(in crate::oauth) fn set_cookie(base: &Base, session: &str) -> String {
    let secure = if is_secure(base) { "; Secure" } else { "" };
    let name = name(base);
    format!("{name}={session}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

/// Returns a page that no other site can frame, and that runs no script.
///
/// `form_action` is where the answer to its form may redirect to.
pub(in crate::oauth) fn html(
    status: StatusCode,
    body: String,
    form_action: &str,
) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    let style = base64url::encode(&sha256(STYLE.as_bytes()));
    let style = style.replace('-', "+").replace('_', "/");
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}='; form-action {form_action}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    insert(headers, CONTENT_SECURITY_POLICY, &policy);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    guard(headers);
    response
}

/// Returns a redirection that is always followed by `GET` (RFC 9700 §4.12).
pub(in crate::oauth) fn redirect(location: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    insert(headers, LOCATION, location);
    guard(headers);
    response
}

fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

pub(in crate::oauth) fn with_cookie(response: &mut Response<Vec<u8>>, cookie: &str) {
    insert(response.headers_mut(), SET_COOKIE, cookie);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
