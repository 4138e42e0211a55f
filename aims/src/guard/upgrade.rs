//! Requests for another protocol on their connection, such as WebSocket: the guard could not end
//! it.

use aims_error::ErrorKind;
use http::header::UPGRADE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::Guard;
use super::refused::Refused;
use crate::refusal::ErrorResponse;

impl<M> Guard<M> {
    /// Refuses a request for another protocol, where streams end with their credentials.
    pub(super) fn check_upgrade(&self, request: &Parts) -> Result<(), Refused> {
        if self.stream_end().is_none() || !is_asked(&request.method, &request.headers) {
            return Ok(());
        }
        Err(refused(
            "the request asks for another protocol (`Upgrade` or `CONNECT`)",
        ))
    }
}

/// Removes the offer of `h2c` from an accepted request, so that no service acts on it.
pub(super) fn strip(headers: &mut HeaderMap) {
    headers.remove(UPGRADE);
    headers.remove("http2-settings");
}

/// Returns the refusal of a response that switches protocols, where streams end with their
/// credentials.
pub(super) fn switched(status: StatusCode) -> Option<Refused> {
    (status == StatusCode::SWITCHING_PROTOCOLS)
        .then(|| refused("the service has answered with 101, and the request asked for no protocol that it may have"))
}

fn refused(what: &str) -> Refused {
    Refused::new(
        "guard.upgrade",
        ErrorKind::Forbidden,
        ErrorResponse::Forbidden,
        format!(
            "{what}, and the guard cannot end such a connection together with the credentials: expected a request of HTTP; call `Requirements::outlive_credentials` if the service ends its connections itself"
        ),
    )
}

/// Returns whether a request asks for another protocol (RFC 9110 §7.8, RFC 8441).
///
/// `h2c` alone does not count: clients of Java send it with ordinary requests, and servers ignore
/// it (RFC 9113 §3.1).
fn is_asked(method: &Method, headers: &HeaderMap) -> bool {
    let is_ignored = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"h2c");
    *method == Method::CONNECT || !headers.get_all(UPGRADE).iter().all(is_ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_protocol_but_h2c_counts() {
        let asks = |method: Method, values: &[&str]| {
            let values = values.iter().map(|it| (UPGRADE, it.parse().unwrap()));
            is_asked(&method, &values.collect())
        };
        assert!(!asks(Method::GET, &[]));
        assert!(!asks(Method::POST, &["h2c"]));
        assert!(!asks(Method::GET, &["H2C"]));
        assert!(asks(Method::CONNECT, &[]));
        for other in [
            "websocket",
            "WebSocket",
            "h2c, websocket",
            "h2c/1",
            "TLS/1.0",
            "",
        ] {
            assert!(asks(Method::GET, &[other]), "{other}");
        }
        assert!(asks(Method::GET, &["h2c", "websocket"]));
    }
}
