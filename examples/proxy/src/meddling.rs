//! Changes that a proxy may make to messages. Each kind has its own path, so one proxy can make all
//! of them.

/// The change that the proxy makes to requests of a path, and to their answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meddling {
    /// Ends TLS, and changes nothing.
    None,
    /// Adds fields that name the sender of the request.
    Forwarded,
    /// Writes the tool's own name into `Host`, which is the default of nginx.
    Host,
    Path,
    Query,
    Method,
    Body,
    Digest,
    ContentType,
    Answer,
    AnswerUnsigned,
}

/// One row of the table: the change, and the expected results.
pub(crate) struct Row {
    pub(crate) does: Meddling,
    pub(crate) path: &'static str,
    pub(crate) words: &'static str,
    /// The result with a workload proof token.
    pub(crate) wpt: &'static str,
    /// The result with an HTTP signature.
    pub(crate) signature: &'static str,
    /// The result for the answer, at the agent that signs.
    pub(crate) answer: &'static str,
}

/// The message passed, and the change was not detected.
pub(crate) const UNNOTICED: &str = "NOT NOTICED";
pub(crate) const ACCEPTED: &str = "accepted";
/// Refusals are not signed, so an agent that requires signed answers accepts none.
const REFUSED: &str = "sig.response_unsigned";

pub(crate) const ROWS: [Row; 11] = [
    row(
        Meddling::None,
        "/mcp/plain",
        "ends TLS, and nothing else",
        [ACCEPTED, ACCEPTED, "verified"],
    ),
    row(
        Meddling::Forwarded,
        "/mcp/forwarded",
        "adds `Via` and `X-Forwarded-…`",
        [ACCEPTED, ACCEPTED, "verified"],
    ),
    row(
        Meddling::Host,
        "/mcp/host",
        "writes another `Host`",
        [ACCEPTED, ACCEPTED, "verified"],
    ),
    row(
        Meddling::Path,
        "/mcp/path",
        "puts the path beneath another",
        ["wpt.audience", "sig.audience", REFUSED],
    ),
    row(
        Meddling::Query,
        "/mcp/query",
        "adds a query",
        [UNNOTICED, "sig.signature", REFUSED],
    ),
    row(
        Meddling::Method,
        "/mcp/method",
        "makes a PUT of a POST",
        [UNNOTICED, "sig.signature", REFUSED],
    ),
    row(
        Meddling::Body,
        "/mcp/body",
        "changes the body",
        [UNNOTICED, "digest.mismatch", REFUSED],
    ),
    row(
        Meddling::Digest,
        "/mcp/digest",
        "takes `Content-Digest` off",
        [ACCEPTED, "sig.component_absent", REFUSED],
    ),
    row(
        Meddling::ContentType,
        "/mcp/type",
        "changes `Content-Type`",
        [UNNOTICED, "sig.signature", REFUSED],
    ),
    row(
        Meddling::Answer,
        "/mcp/answer",
        "changes the answer",
        [UNNOTICED, ACCEPTED, "digest.mismatch"],
    ),
    row(
        Meddling::AnswerUnsigned,
        "/mcp/unsigned",
        "takes the answer's signature off",
        [ACCEPTED, ACCEPTED, "sig.response_unsigned"],
    ),
];

const fn row(
    does: Meddling,
    path: &'static str,
    words: &'static str,
    [wpt, signature, answer]: [&'static str; 3],
) -> Row {
    Row {
        does,
        path,
        words,
        wpt,
        signature,
        answer,
    }
}
