//! Reads the contents of answers, within limits.

use aims::agent::{Answer, Error};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use rmcp::transport::streamable_http_client::StreamableHttpError;

pub(crate) const EVENTS: &str = "text/event-stream";
pub(crate) const JSON: &str = "application/json";

/// Returns whether the content has this type, with any parameters.
pub(crate) fn is_of_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).map(|it| it.as_bytes());
    let essence = value.and_then(|it| it.split(|byte| *byte == b';').next());
    essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(expected.as_bytes()))
}

/// Returns `Content-Length`, if there is one.
pub(crate) fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the whole content.
pub(crate) async fn whole(
    body: Answer,
    announced: Option<usize>,
    limit: usize,
) -> Result<Vec<u8>, StreamableHttpError<Error>> {
    let too_large = || StreamableHttpError::ResponseBodyTooLarge { max_size: limit };
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match body.bytes(limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(Error::AnswerTooLong { .. }) => Err(too_large()),
        Err(error) => Err(StreamableHttpError::Client(error)),
    }
}

/// Returns the start of the content, for an error message. It also works if the content breaks off.
pub(crate) async fn start(mut body: Answer, limit: usize) -> String {
    let mut start = Vec::new();
    while start.len() < limit {
        let Some(Ok(frame)) = body.frame().await else {
            break;
        };
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let room = limit.saturating_sub(start.len());
        start.extend(piece.iter().take(room));
    }
    String::from_utf8_lossy(&start).into_owned()
}
