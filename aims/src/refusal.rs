//! Refusals: the answer for the caller, and the details that stay with the tool.

use std::{borrow::Cow, fmt};

use aims_error::ErrorKind;
use aims_oauth_wire::dpop::DPOP_NONCE;
use aims_wimse_wpt::fields::CHALLENGE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// A refused request: the answer for the caller, a stable code, and a detail for the record.
///
/// Only the answer is sent. It is the same for an unknown and for a wrong credential, so a caller
/// learns nothing about which agents, keys or tokens exist. The code and the detail are for the
/// logs of the tool.
///
/// ```
/// # fn example(guard: &aims::Guard, head: &http::request::Parts) {
/// use aims::jose::time::UnixTime;
///
/// if let Err(refusal) = guard.check(head, UnixTime::now()) {
///     eprintln!("{}: {}", refusal.code(), refusal.detail());
///     let answer: http::Response<Vec<u8>> = refusal.into_response();
///     assert!(answer.status().is_client_error() || answer.status().is_server_error());
/// }
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a refusal is sent with `into_response`"]
pub struct Refusal {
    code: &'static str,
    kind: ErrorKind,
    answer: ErrorResponse,
    detail: Cow<'static, str>,
}

/// The kinds of answers that the standards define for a refused request.
#[derive(Debug)]
pub(crate) enum ErrorResponse {
    /// 400 with RFC 9457 problem details, for a refused WIT or HTTP signature.
    Problem(&'static str),
    /// 401 with `WWW-Authenticate: WPT` and problem details (draft-ietf-wimse-wpt-02 §3).
    ProofChallenge(&'static str),
    /// 400, 401 or 403 with `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1).
    Challenge(StatusCode, Box<Challenges>),
    /// 403 with problem details. No credential would change the decision.
    Forbidden,
    /// 403 with problem details that say what the request lacks.
    Incomplete(&'static str),
    /// 413. The content is longer than the limit.
    ContentTooLarge,
    /// 431. The head is too large, and the guard did not parse it.
    TooLarge,
    /// 503. The guard cannot decide now.
    Unavailable,
    /// 503 with `Retry-After` (RFC 9110 §10.2.3): the next attempt may be decided.
    TryLater,
    /// 408. The content did not arrive in time.
    Timeout,
    /// 501. The caller demands a signed response, and the guard cannot sign it
    ///      (draft-ietf-wimse-http-signature, "Error Conditions").
    Unsigned,
}

/// The challenges of an answer, each in a field of its own.
#[derive(Debug)]
pub(crate) struct Challenges {
    fields: Vec<HeaderValue>,
    /// `DPoP-Nonce` (RFC 9449 §9).
    pub(crate) nonce: Option<HeaderValue>,
    /// `authorization_details` that would be allowed, as a JSON array.
    pub(crate) details: Option<Box<str>>,
}

impl Challenges {
    pub(crate) fn of(fields: Vec<HeaderValue>) -> Box<Self> {
        Box::new(Self {
            fields,
            nonce: None,
            details: None,
        })
    }
}

impl Refusal {
    /// The codes that only a guard produces.
    ///
    /// A refusal can also have the codes of the crates `aims-wimse-cred`, `aims-wimse-wpt`,
    /// `aims-http-sig`, `aims-oauth-rs`, `aims-txn-token`, `aims-replay` and `aims-jose`.
    pub const CODES: &'static [&'static str] = &[
        "guard.approval",
        "guard.approval_call",
        "guard.approval_used",
        "guard.authentication",
        "guard.call",
        "guard.call_malformed",
        "guard.call_too_large",
        "guard.certificate_field",
        "guard.content",
        "guard.content_deadline",
        "guard.details",
        "guard.field_uncovered",
        "guard.fields",
        "guard.forbidden",
        "guard.host",
        "guard.method",
        "guard.proof",
        "guard.revocations_stale",
        "guard.scope",
        "guard.signature_not_accepted",
        "guard.streams",
        "guard.target",
        "guard.token_unexpected",
        "guard.transaction",
        "guard.transaction_keys_stale",
        "guard.transaction_uncovered",
        "guard.unavailable",
        "guard.upgrade",
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

    /// Returns the stable code, such as `wpt.audience`. [`errors`](crate::errors) explains it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the kind of the refusal, for programs to match on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match &self.answer {
            ErrorResponse::Problem(_) => StatusCode::BAD_REQUEST,
            ErrorResponse::ProofChallenge(_) => StatusCode::UNAUTHORIZED,
            ErrorResponse::Challenge(status, _) => *status,
            ErrorResponse::Forbidden | ErrorResponse::Incomplete(_) => StatusCode::FORBIDDEN,
            ErrorResponse::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorResponse::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ErrorResponse::Unavailable | ErrorResponse::TryLater => StatusCode::SERVICE_UNAVAILABLE,
            ErrorResponse::Timeout => StatusCode::REQUEST_TIMEOUT,
            ErrorResponse::Unsigned => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// Returns what was wrong, for the logs of the tool. Do not send it to the caller.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Converts the refusal into the answer for the caller.
    ///
    /// The answer has the status, `WWW-Authenticate` or problem details (RFC 9457), and
    /// `Cache-Control: no-store`.
    pub fn into_response<B: From<Vec<u8>>>(self) -> Response<B> {
        let status = self.status();
        let mut response = Response::new(B::from(self.problem().into_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        self.add_fields(headers);
        response
    }

    /// Converts the refusal into the answer to a gRPC call: HTTP status 200 without content, and
    /// the status of the call in `grpc-status` ("Trailers-Only" of the gRPC protocol over HTTP/2).
    ///
    /// [`Guard::layer`](crate::Guard::layer) answers so if the request has the content type
    /// `application/grpc`. The other fields are those of [`into_response`](Self::into_response).
    pub fn into_grpc_response<B: From<Vec<u8>>>(self) -> Response<B> {
        let message = self.status().canonical_reason().unwrap_or("Refused");
        let mut response = Response::new(B::from(Vec::new()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
        headers.insert(GRPC_STATUS, self.grpc_status());
        // The phrases are plain ASCII without `%`, which need no percent-encoding.
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        self.add_fields(headers);
        response
    }

    /// Returns problem details (RFC 9457).
    fn problem(&self) -> String {
        use std::fmt::Write as _;

        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Refused");
        let mut json = format!(r#"{{"title":"{title}","status":{}"#, status.as_u16());
        let detail = match &self.answer {
            ErrorResponse::Problem(detail)
            | ErrorResponse::ProofChallenge(detail)
            | ErrorResponse::Incomplete(detail) => Some(*detail),
            ErrorResponse::Unavailable | ErrorResponse::TryLater => {
                Some("the request cannot be judged at the moment")
            }
            ErrorResponse::Unsigned => Some("a signed response cannot be given"),
            ErrorResponse::Challenge(..)
            | ErrorResponse::Forbidden
            | ErrorResponse::ContentTooLarge
            | ErrorResponse::TooLarge
            | ErrorResponse::Timeout => None,
        };
        // Writing to a string cannot fail.
        if let Some(detail) = detail {
            let _written = write!(json, r#","detail":"{detail}""#);
        }
        if let ErrorResponse::Challenge(_, challenges) = &self.answer
            && let Some(details) = &challenges.details
        {
            let _written = write!(json, r#","authorization_details":{details}"#);
        }
        json.push('}');
        json
    }

    /// Returns the status code of gRPC.
    fn grpc_status(&self) -> HeaderValue {
        HeaderValue::from_static(match &self.answer {
            ErrorResponse::Challenge(StatusCode::FORBIDDEN, _)
            | ErrorResponse::Forbidden
            | ErrorResponse::Incomplete(_) => "7",
            ErrorResponse::Problem(_)
            | ErrorResponse::ProofChallenge(_)
            | ErrorResponse::Challenge(..) => "16",
            ErrorResponse::TooLarge | ErrorResponse::ContentTooLarge => "8",
            ErrorResponse::Unavailable | ErrorResponse::TryLater => "14",
            ErrorResponse::Timeout => "4",
            ErrorResponse::Unsigned => "12",
        })
    }

    fn add_fields(self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.answer {
            ErrorResponse::Challenge(_, challenges) => {
                for field in challenges.fields {
                    headers.append(header::WWW_AUTHENTICATE, field);
                }
                if let Some(nonce) = challenges.nonce {
                    headers.insert(DPOP_NONCE, nonce);
                }
            }
            ErrorResponse::ProofChallenge(_) => {
                headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
            }
            ErrorResponse::TryLater => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            ErrorResponse::Problem(_)
            | ErrorResponse::Forbidden
            | ErrorResponse::Incomplete(_)
            | ErrorResponse::ContentTooLarge
            | ErrorResponse::TooLarge
            | ErrorResponse::Unavailable
            | ErrorResponse::Timeout
            | ErrorResponse::Unsigned => {}
        }
    }
}

/// The content type of gRPC.
pub(crate) const GRPC: &str = "application/grpc";
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Refusal {}
