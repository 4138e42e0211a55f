//! The HTTP client of rmcp, based on an agent.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use aims::agent::{Answer, Error};
use aims::oauth_wire::call::ToolCall;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError, StreamableHttpClient,
    StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
};

use crate::AgentClient;
use crate::answer::{EVENTS, JSON, is_of_type, length, start, whole};
use crate::events::{Events, events};

type Failed = StreamableHttpError<Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// The parts of a request besides its content.
struct Parts {
    session: Option<Arc<str>>,
    last_event: Option<String>,
    token: Option<String>,
    custom: Headers,
    /// The call of a tool that the content makes.
    call: Option<ToolCall>,
}

impl AgentClient {
    async fn send(
        &self,
        method: Method,
        uri: &str,
        parts: Parts,
        content: Vec<u8>,
    ) -> Result<Response<Answer>, Failed> {
        let call = parts.call;
        let mut request = Request::new(aims::agent::Body::from(content));
        if let Some(call) = call {
            // A person may be asked for exactly this call.
            request.extensions_mut().insert(call);
        }
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().map_err(|error| invalid("the URL", error))?;
        let headers = request.headers_mut();
        for (name, value) in parts.custom {
            if [ACCEPT, SESSION, LAST_EVENT].contains(&name) {
                return Err(Failed::ReservedHeaderConflict(name.to_string()));
            }
            headers.insert(name, value);
        }
        let accepted = HeaderValue::from_static("text/event-stream, application/json");
        headers.insert(ACCEPT, accepted);
        if let Some(session) = parts.session {
            headers.insert(SESSION, value("the session", &session)?);
        }
        if let Some(event) = parts.last_event {
            headers.insert(LAST_EVENT, value("the last event", &event)?);
        }
        if let Some(token) = parts.token {
            let mut token = value("the token", &format!("Bearer {token}"))?;
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        if request.method() == Method::POST {
            let json = HeaderValue::from_static(JSON);
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        self.0.send(request).await.map_err(Failed::Client)
    }

    async fn post(
        &self,
        uri: &str,
        message: &ClientJsonRpcMessage,
        parts: Parts,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let has_session = parts.session.is_some();
        // Serialize once: the agent signs these bytes and sends them.
        let content = serde_json::to_vec(message)?;
        let parts = Parts {
            call: call(message, &content),
            ..parts
        };
        let (head, body) = self
            .send(Method::POST, uri, parts, content)
            .await?
            .into_parts();
        let (status, headers) = (head.status, head.headers);
        check_challenge(status, &headers)?;
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && has_session {
            return Err(Failed::SessionExpired);
        }
        let session = headers.get(SESSION).and_then(|it| it.to_str().ok());
        let session = session.map(str::to_owned);
        if !status.is_success() {
            let asked = Asked {
                message,
                has_session,
            };
            return refused(asked, status, &headers, body, session, limits).await;
        }
        let awaits_nothing = !matches!(message, ClientJsonRpcMessage::Request(_));
        if awaits_nothing && length(&headers) == Some(0) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if is_of_type(&headers, EVENTS) {
            let events = events(body, limits.max_sse_event_size);
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        if !is_of_type(&headers, JSON) {
            return if awaits_nothing {
                Ok(StreamableHttpPostResponse::Accepted)
            } else {
                Err(content_type(&headers))
            };
        }
        let limit = limits.max_json_response_size;
        let content = whole(body, length(&headers), limit).await?;
        match serde_json::from_slice(&content) {
            Ok(answer) => Ok(StreamableHttpPostResponse::Json(answer, session)),
            Err(_unread) if awaits_nothing => Ok(StreamableHttpPostResponse::Accepted),
            Err(error) => {
                // Do not log the content, because it may be confidential.
                let length = content.len();
                let told = format!("{length} bytes of JSON are no message of MCP: {error}");
                Err(Failed::UnexpectedServerResponse(told.into()))
            }
        }
    }

    async fn get(&self, uri: &str, parts: Parts, limit: usize) -> Result<Events, Failed> {
        let (head, body) = self
            .send(Method::GET, uri, parts, Vec::new())
            .await?
            .into_parts();
        let (status, headers) = (head.status, head.headers);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            return Err(Failed::ServerDoesNotSupportSse);
        }
        check_challenge(status, &headers)?;
        check_status(status, &headers)?;
        if !status.is_success() {
            return Err(Failed::UnexpectedServerResponse(
                format!("HTTP {status}").into(),
            ));
        }
        if is_of_type(&headers, EVENTS) || is_of_type(&headers, JSON) {
            Ok(events(body, limit))
        } else {
            Err(content_type(&headers))
        }
    }
}

impl StreamableHttpClient for AgentClient {
    type Error = Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let limits = StreamableHttpResponseLimits::default();
        let parts = parts(session_id, auth_header, custom_headers);
        self.post(&uri, &message, parts, limits).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let mut limits = StreamableHttpResponseLimits::default();
        limits.max_sse_event_size = max_sse_event_size;
        let parts = parts(session_id, auth_header, custom_headers);
        self.post(&uri, &message, parts, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let parts = parts(session_id, auth_header, custom_headers);
        self.post(&uri, &message, parts, limits).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Failed> {
        let parts = parts(Some(session_id), auth_header, custom_headers);
        let answer = self.send(Method::DELETE, &uri, parts, Vec::new()).await?;
        let status = answer.status();
        // A server may refuse to end a session (405).
        if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(());
        }
        let told = format!("HTTP {status} for the end of the session");
        Err(Failed::UnexpectedServerResponse(told.into()))
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<Events, Failed> {
        let limit = StreamableHttpResponseLimits::default().max_sse_event_size;
        let mut parts = parts(session_id, auth_header, custom_headers);
        parts.last_event = last_event_id;
        self.get(&uri, parts, limit).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<Events, Failed> {
        let mut parts = parts(session_id, auth_header, custom_headers);
        parts.last_event = last_event_id;
        self.get(&uri, parts, max_sse_event_size).await
    }
}

const fn parts(session: Option<Arc<str>>, token: Option<String>, custom: Headers) -> Parts {
    Parts {
        session,
        last_event: None,
        token,
        custom,
        call: None,
    }
}

/// Returns the call of a message, as the tool reads it from the same bytes.
///
/// A call without a canonical form, such as one with a number that a double cannot hold, has none.
/// The agent then reports `agent.call` where a person must approve it.
fn call(message: &ClientJsonRpcMessage, content: &[u8]) -> Option<ToolCall> {
    let ClientJsonRpcMessage::Request(request) = message else {
        return None;
    };
    let is_call = matches!(request.request, ClientRequest::CallToolRequest(_));
    is_call
        .then(|| ToolCall::from_mcp(content).ok())
        .flatten()
        .flatten()
}

/// The rules for an answer.
struct Asked<'a> {
    message: &'a ClientJsonRpcMessage,
    has_session: bool,
}

/// Converts a refusal into an error. A JSON-RPC error is an answer.
async fn refused(
    asked: Asked<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: Answer,
    session: Option<String>,
    limits: StreamableHttpResponseLimits,
) -> Result<StreamableHttpPostResponse, Failed> {
    let is_auth = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let is_json = is_of_type(headers, JSON) && !is_auth;
    if !is_json || status == StatusCode::TOO_MANY_REQUESTS {
        check_status(status, headers)?;
    }
    let text = if is_json {
        let content = whole(body, length(headers), limits.max_json_response_size).await;
        let content = match content {
            Ok(content) => content,
            // For a server error, the status says more than that its text is too long.
            Err(error) => return Err(check_status(status, headers).err().unwrap_or(error)),
        };
        if let Ok(answer @ ServerJsonRpcMessage::Error(_)) = serde_json::from_slice(&content) {
            let rejection = discovery_rejection(&asked, status, &content);
            return Ok(rejection.unwrap_or(StreamableHttpPostResponse::Json(answer, session)));
        }
        let limit = limits.max_error_response_size.min(content.len());
        String::from_utf8_lossy(content.get(..limit).unwrap_or_default()).into_owned()
    } else {
        start(body, limits.max_error_response_size).await
    };
    if let Some(rejection) = discovery_rejection(&asked, status, text.as_bytes()) {
        return Ok(rejection);
    }
    check_status(status, headers)?;
    Err(Failed::UnexpectedServerResponse(
        format!("HTTP {status}: {text}").into(),
    ))
}

/// Converts the refusal of `server/discover` by a server that does not know it into the answer that
/// makes rmcp start as with older servers. A proxy in front of such a server cannot know the `id`.
fn discovery_rejection(
    asked: &Asked<'_>,
    status: StatusCode,
    content: &[u8],
) -> Option<StreamableHttpPostResponse> {
    let is_auth = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let ClientJsonRpcMessage::Request(request) = asked.message else {
        return None;
    };
    let is_discovery = matches!(request.request, ClientRequest::DiscoverRequest(_));
    if asked.has_session || is_auth || !status.is_client_error() || !is_discovery {
        return None;
    }
    let error = match serde_json::from_slice(content) {
        Ok(ServerJsonRpcMessage::Error(error)) => error.error,
        _ => ErrorData::invalid_request(format!("discovery rejected with HTTP {status}"), None),
    };
    let answer = ServerJsonRpcMessage::error(error, Some(request.id.clone()));
    Some(StreamableHttpPostResponse::Json(answer, None))
}

/// Returns an error for a refusal with a challenge.
fn check_challenge(status: StatusCode, headers: &HeaderMap) -> Result<(), Failed> {
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter().peekable();
    let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if !refused || challenges.peek().is_none() {
        return Ok(());
    }
    // Several fields form one list (RFC 9110 §5.3).
    let texts: Result<Vec<&str>, _> = challenges.map(HeaderValue::to_str).collect();
    let Ok(texts) = texts else {
        let told = "a `WWW-Authenticate` that is not of visible ASCII";
        return Err(Failed::UnexpectedServerResponse(told.into()));
    };
    let challenge = texts.join(", ");
    if status == StatusCode::UNAUTHORIZED {
        return Err(Failed::AuthRequired(AuthRequiredError::new(challenge)));
    }
    let required = aims::oauth_wire::challenge::Challenges::parse(headers).ok();
    let required = required.and_then(|it| {
        let mut bearer = it.of("Bearer");
        bearer.find_map(|it| it.get("scope").map(str::to_owned))
    });
    let error = InsufficientScopeError::new(challenge, required);
    Err(Failed::InsufficientScope(error))
}

/// Returns an error for a status that asks to try later, or that reports a failure of the server.
fn check_status(status: StatusCode, headers: &HeaderMap) -> Result<(), Failed> {
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return Ok(());
    }
    let after = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    Err(HttpStatusError::new(status.as_u16(), after.map(str::to_owned)).into())
}

fn content_type(headers: &HeaderMap) -> Failed {
    let value = headers.get(CONTENT_TYPE);
    let value = value.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    Failed::UnexpectedContentType(value)
}

fn value(what: &str, text: &str) -> Result<HeaderValue, Failed> {
    HeaderValue::from_str(text).map_err(|error| invalid(what, error))
}

fn invalid(what: &str, error: impl std::error::Error) -> Failed {
    let told = format!("{what} cannot be sent: {error}");
    io::Error::new(io::ErrorKind::InvalidInput, told).into()
}
