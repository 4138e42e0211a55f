//! What a refused caller is told, and what it is not told.

use std::{borrow::Cow, fmt};

use aims_error::ErrorKind;
use aims_wimse_wpt::fields::CHALLENGE;
use http::{HeaderValue, Response, StatusCode, header};

/// A refused request: the answer for the wire, a stable code, and a detail for the record.
///
/// Only the answer is ever sent. It is the same for an unknown and for a wrong credential, so that
/// a caller learns nothing about which agents, keys or tokens exist.
#[derive(Debug)]
#[must_use = "a refusal is sent with `into_response`"]
pub struct Refusal {
    code: &'static str,
    kind: ErrorKind,
    answer: ErrorResponse,
    detail: Cow<'static, str>,
}

/// The kinds of answer that the standards give to a refused request.
#[derive(Debug)]
pub(crate) enum ErrorResponse {
    /// 400 with RFC 9457 problem details: what a refused WIT or HTTP signature gets.
    Problem(&'static str),
    /// 401 with `WWW-Authenticate: WPT` and problem details (draft-ietf-wimse-wpt-02 §3).
    ProofChallenge(&'static str),
    /// 400, 401 or 403 with `WWW-Authenticate` (RFC 6750 §3).
    Challenge(StatusCode, HeaderValue),
    /// 403 with problem details: nothing the caller can bring helps.
    Forbidden,
    /// 431: refused by size before anything was read.
    TooLarge,
    /// 503: it cannot be decided now.
    Unavailable,
    /// 408: the content did not come in time.
    Timeout,
    /// 501: a signed response was asked for, and cannot be given (draft-ietf-wimse-http-signature
    /// §"Error Conditions").
    Unsigned,
}

impl Refusal {
    /// The codes that only a guard gives. Besides, a refusal has those of `wimse-cred`,
    /// `wimse-wpt`, `oauth-rs`, `replay` and `jose`.
    pub const CODES: &'static [&'static str] = &[
        "guard.content",
        "guard.content_deadline",
        "guard.field_uncovered",
        "guard.fields",
        "guard.forbidden",
        "guard.host",
        "guard.method",
        "guard.proof",
        "guard.scope",
        "guard.signature_not_accepted",
        "guard.streams",
        "guard.target",
        "guard.token_unexpected",
        "guard.unavailable",
    ];

    pub(crate) fn new(
        code: &'static str,
        kind: ErrorKind,
        answer: ErrorResponse,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            kind,
            answer,
            detail: detail.into(),
        }
    }

    /// The stable code, such as `wpt.audience`; [`errors`](crate::errors) explains it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The kind of refusal, for programs to match on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match &self.answer {
            ErrorResponse::Problem(_) => StatusCode::BAD_REQUEST,
            ErrorResponse::ProofChallenge(_) => StatusCode::UNAUTHORIZED,
            ErrorResponse::Challenge(status, _) => *status,
            ErrorResponse::Forbidden => StatusCode::FORBIDDEN,
            ErrorResponse::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ErrorResponse::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorResponse::Timeout => StatusCode::REQUEST_TIMEOUT,
            ErrorResponse::Unsigned => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// What the tool's own people may read; not for the caller.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer for the wire: status, `WWW-Authenticate` or problem details (RFC 9457), never to
    /// be stored.
    pub fn into_response<B: From<Vec<u8>>>(self) -> Response<B> {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Refused");
        let detail = match &self.answer {
            ErrorResponse::Problem(detail) | ErrorResponse::ProofChallenge(detail) => Some(*detail),
            ErrorResponse::Unavailable => Some("the request cannot be judged at the moment"),
            ErrorResponse::Unsigned => Some("a signed response cannot be given"),
            ErrorResponse::Challenge(..)
            | ErrorResponse::Forbidden
            | ErrorResponse::TooLarge
            | ErrorResponse::Timeout => None,
        };
        let body = match detail {
            Some(detail) => {
                format!(
                    r#"{{"title":"{title}","status":{},"detail":"{detail}"}}"#,
                    status.as_u16()
                )
            }
            None => format!(r#"{{"title":"{title}","status":{}}}"#, status.as_u16()),
        };
        let mut response = Response::new(B::from(body.into_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self.answer {
            ErrorResponse::Challenge(_, challenge) => {
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            ErrorResponse::ProofChallenge(_) => {
                headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
            }
            ErrorResponse::Problem(_)
            | ErrorResponse::Forbidden
            | ErrorResponse::TooLarge
            | ErrorResponse::Unavailable
            | ErrorResponse::Timeout
            | ErrorResponse::Unsigned => {}
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Refusal {}
