//! Errors of parsing, verifying and making signatures and digest fields.

/// A message, a signature or a field was refused, or a signature could not be made.
///
/// A message of this error contains no values of fields, except what a request states about its
/// signature: the URL of its agent, its audience, and the labels, tags, `alg` and `keyid` of its
/// signatures. `component` is an identifier as written in `Signature-Input`: printable ASCII, cut
/// to 100 bytes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Errors of the fields.
    /// The field does not have the canonical form of RFC 9421 and RFC 9651.
    #[error("the field `{field}` is malformed")]
    Syntax {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// A label occurs twice, in one line of the field or in two (RFC 9421 §4.1).
    #[error("the field `{field}` has a label twice")]
    LabelRepeated {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// `Signature` and `Signature-Input` do not have the same labels, or one of the two fields is
    /// missing (RFC 9421 §4.2).
    #[error("`signature` and `signature-input` differ in their labels, or one of them is missing")]
    LabelsDiffer,
    /// The signature is of draft-cavage-http-signatures, which has another format than RFC 9421.
    #[error(
        "the message is signed by draft-cavage-http-signatures, the draft before RFC 9421: expected the fields \
         `signature-input` and `signature` of RFC 9421; ask the sender to sign by it"
    )]
    Cavage,
    /// A parameter occurs twice, in a signature or in a member of `Signature-Agent`.
    #[error("a parameter stands twice")]
    ParameterRepeated,
    /// A registered parameter has a wrong type or an empty value (RFC 9421 §2.3).
    #[error("the parameter `{parameter}` is empty, or not of its type")]
    ParameterType {
        /// The name of the parameter.
        parameter: &'static str,
    },
    /// The message exceeds a limit.
    #[error("more {what} than the limit of {limit}")]
    Limit {
        /// The counted items.
        what: &'static str,
        /// The limit.
        limit: usize,
    },

    // Errors of components.
    /// The name is neither a derived component nor a field name in lower case, or is
    /// `@signature-params` (RFC 9421 §2, §2.3).
    #[error("`{component}` is no component: neither a derived one nor a field name in lower case")]
    ComponentUnknown {
        /// The identifier.
        component: String,
    },
    /// The component does not have this parameter, or the parameter has a wrong type, is repeated,
    /// or conflicts with another one (RFC 9421 §2.1, §2.5).
    #[error("the parameters of the component `{component}` are wrong")]
    ComponentParameter {
        /// The identifier.
        component: String,
    },
    /// A component is covered twice (RFC 9421 §2.5).
    #[error("the component `{component}` stands twice")]
    ComponentRepeated {
        /// The identifier.
        component: String,
    },
    /// The message does not have the field, the member or the query parameter (RFC 9421 §2.5).
    #[error("the component `{component}` is not there")]
    ComponentAbsent {
        /// The identifier.
        component: String,
    },
    /// A query parameter with this name occurs more than once (RFC 9421 §2.2.8), or a field that
    /// cannot be joined does: `Set-Cookie` (§7.5.6).
    #[error("the component `{component}` has more than one value")]
    ComponentAmbiguous {
        /// The identifier.
        component: String,
    },
    /// This kind of message does not have the component: `@status` of a request, `@method` of a
    /// response, `req` without a request (RFC 9421 §2.4).
    #[error("the component `{component}` is not one of this message")]
    ComponentMisplaced {
        /// The identifier.
        component: String,
    },
    /// The structured type of the field is unknown, so `sf` and `key` cannot be computed (RFC 9421
    /// §2.1.1, §2.1.2).
    #[error("the structured type of the component `{component}` is not known")]
    FieldTypeUnknown {
        /// The identifier.
        component: String,
    },
    /// The field is not valid for its structured type (RFC 9421 §2.1.1).
    #[error("the field of the component `{component}` is not of its structured type")]
    FieldType {
        /// The identifier.
        component: String,
    },
    /// The value contains a line end or another byte outside printable ASCII (RFC 9421 §2.5).
    #[error("the value of the component `{component}` cannot be signed")]
    Value {
        /// The identifier.
        component: String,
    },
    /// The request target, the scheme or the authority is invalid (RFC 9112 §3.2).
    #[error("the request target: {reason}")]
    Target {
        /// The defect.
        reason: &'static str,
    },

    // Errors of the policy.
    /// The message has no signature, or none with the required label or tag. If the policy requires
    /// neither, signatures with a tag do not count, because they have another purpose (RFC 9421
    /// §7.2.7).
    #[error(
        "the message has no signature with the required label or tag, or, if neither is required, none without a tag: found {found}"
    )]
    SignatureMissing {
        /// The labels and tags of the message: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// Several signatures fit, and the caller asked for one (RFC 9421 §3.2).
    #[error("several signatures fit")]
    SignatureAmbiguous,
    /// The signature does not cover a required component (RFC 9421 §3.2, §7.2.1).
    #[error("the signature does not cover `{component}`")]
    ComponentRequired {
        /// The identifier, as the policy states it.
        component: String,
    },
    /// The signature does not have a required parameter (RFC 9421 §3.2).
    #[error("the signature has no `{parameter}`")]
    ParameterRequired {
        /// The name of the parameter, as the policy states it.
        parameter: String,
    },
    /// The signature has a parameter that the policy forbids.
    #[error("the signature must not have `{parameter}`")]
    ParameterForbidden {
        /// The name of the parameter, as the policy states it.
        parameter: String,
    },
    /// The signature has another tag (RFC 9421 §2.3, §7.2.7).
    #[error("the signature is for another purpose")]
    Tag,
    /// `created` is in the future by more than the skew.
    #[error("the signature was created in the future")]
    CreatedInFuture,
    /// `expires` is in the past.
    #[error("the signature has expired")]
    Expired,
    /// `expires` is before `created`.
    #[error("the signature expires before it was created")]
    ExpiresBeforeCreated,
    /// `created` is older than the policy allows.
    #[error(
        "the signature is too old: `created` is {created}, and it is {now}; expected at most {max_age} s; sign anew, or check both clocks"
    )]
    TooOld {
        /// `created`, in Unix seconds.
        created: u64,
        /// The time of the check, in Unix seconds.
        now: u64,
        /// The maximum age of the policy, in seconds.
        max_age: u64,
    },
    /// `expires` is later than the policy allows.
    #[error("the signature is valid for too long")]
    Lifetime,

    // Errors of keys.
    /// `alg` is not the algorithm of the key (RFC 9421 §3.2, §7.3.6).
    #[error("the algorithm is not that of the key: found {found}, expected {expected}")]
    Algorithm {
        /// `alg` of the signature: escaped, at most 200 characters.
        found: Box<str>,
        /// The algorithms of the key.
        expected: Box<str>,
    },
    /// The key has no algorithm of RFC 9421, such as a key for ES512 or PS256.
    #[error("there is no algorithm of RFC 9421 for the key")]
    AlgorithmNone,
    /// The key has several algorithms of RFC 9421, and the signature has no `alg`.
    #[error("the key has several algorithms, and no `alg` says which")]
    AlgorithmAmbiguous,
    /// The policy does not allow the algorithm.
    #[error("the algorithm `{algorithm}` is not allowed")]
    AlgorithmForbidden {
        /// The registered name of the algorithm.
        algorithm: &'static str,
    },
    /// There is no key for this signature.
    #[error("no key for this signature")]
    KeyUnknown,
    /// There is no key with this `keyid`.
    #[error("no key has the `keyid` {found} of this signature")]
    KeyIdUnknown {
        /// `keyid` of the signature: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// Several keys fit. The verifier does not try them in turn.
    #[error("several keys fit this signature")]
    KeyAmbiguous,
    /// A shared key is shorter than 32 bytes.
    #[error("a shared key has at least {least} bytes")]
    SharedKey {
        /// The minimum length in bytes.
        least: usize,
    },
    /// The signature is not by this key over this message.
    ///
    /// The error is deliberately unspecific. Usual causes:
    ///
    /// - the key is another one;
    /// - scheme or authority differ from those that the sender used;
    /// - the target is in absolute form, because a proxy did not reduce it to path and query;
    /// - a covered component was changed on the way.
    #[error("the signature does not fit")]
    Signature,
    /// The nonce was seen before, or the replay store refuses it.
    #[error("the signature cannot be spent")]
    Replay(#[source] aims_replay::Error),

    // Errors of signing.
    /// The settings or the message do not allow a signature.
    #[error("the signature cannot be made: {reason}")]
    Prepare {
        /// The defect.
        reason: &'static str,
    },
    /// The label is not a key of a structured field (RFC 9651 §3.2).
    #[error(
        "the signature cannot be made: the label {found} is no key of a structured field, which begins with a lower-case letter or `*`, and has lower-case letters, digits, `_`, `-`, `.` and `*`"
    )]
    Label {
        /// The label: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The message already has a signature with this label.
    #[error("the message has a signature of that label")]
    LabelTaken,
    /// The header map has no room for another field.
    #[error("no room for another field")]
    HeadersFull,
    /// The key did not sign, or no random bytes are available.
    #[error("signing failed")]
    Sign(#[source] aims_jose::Error),
    /// `Accept-Signature` requests a signature that the signer does not offer (RFC 9421 §5.2).
    #[error("the signature asked for is not one of this profile")]
    NotOffered,

    // Errors of digest fields.
    /// The message does not have the field, or it is empty.
    #[error("the field `{field}` is missing")]
    DigestMissing {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// The field is not a dictionary with the types of its standard (RFC 9530 §2, §4).
    #[error("the field `{field}` is malformed")]
    DigestSyntax {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// A digest is not in canonical base64 (RFC 9651 §4.1.8).
    #[error("a digest of `{field}` is not in canonical base64")]
    DigestBase64 {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// An algorithm occurs twice, in one line of the field or in two (RFC 9530 §2).
    #[error("the field `{field}` has an algorithm twice")]
    DigestRepeated {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// The field is too long, or has too many members.
    #[error("the field `{field}` is too large")]
    DigestSize {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// The length of a digest is not that of its algorithm.
    #[error("a digest of `{algorithm}` has {found} bytes")]
    DigestLength {
        /// The algorithm.
        algorithm: crate::digest::Algorithm,
        /// The length of the digest in bytes.
        found: usize,
    },
    /// The field has neither a `sha-256` nor a `sha-512` digest (RFC 9530 §5).
    #[error("the field `{field}` has neither `sha-256` nor `sha-512`")]
    DigestInsecure {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// The content does not match the digest (RFC 9530 §2).
    #[error("the content does not have its `{algorithm}` digest")]
    DigestMismatch {
        /// The algorithm.
        algorithm: crate::digest::Algorithm,
    },
    /// A preference is not an integer from 0 to 10 (RFC 9530 §4).
    #[error("a preference is no integer from 0 to 10")]
    DigestPreference,
    /// A body is longer than its reader allows.
    #[error("the body is longer than {limit} bytes")]
    DigestBodySize {
        /// The limit in bytes.
        limit: u64,
    },

    // Errors of profiles.
    /// `wimse-aud` is not a configured audience (draft-ietf-wimse-http-signature §3.1).
    #[error(
        "the signature is for another audience: found {found}, expected {expected}; call the receiver by this URL, or add the found name to the receiver (`GuardBuilder::proof_audience`)"
    )]
    Audience {
        /// `wimse-aud` of the signature: escaped, at most 200 characters.
        found: Box<str>,
        /// The audiences of the receiver: escaped, at most 200 characters.
        expected: Box<str>,
    },
    /// `wimse-req-nonce` is not the nonce of the request, so the response belongs to another
    /// request (draft-ietf-wimse-http-signature §3.3).
    #[error("the response answers another request")]
    RequestNonce,
    /// The request asked for a signed response, and the response is unsigned
    /// (draft-ietf-wimse-http-signature §3.4).
    #[error("the response is not signed, as was asked for")]
    ResponseUnsigned,
    /// The request asked for a signed response, and the receiver cannot sign. It answers with an
    /// error instead of an unsigned success (draft-ietf-wimse-http-signature §3.4).
    #[error("a signed response was asked for, and cannot be given")]
    ResponseUnsignable,
    /// `Signature-Agent` is malformed, has no member with this key, or the member is not an `https`
    /// URL of a known type.
    #[error("`signature-agent` is malformed")]
    SignatureAgent,
    /// A signature covers several members of `Signature-Agent`, and none under its own label.
    #[error("several members of `signature-agent` are covered, none under the label")]
    SignatureAgentAmbiguous,
    /// The key with this thumbprint is unknown for this URL. Fetching its directory may help.
    #[error("no such key is known of `{}`", .agent.as_deref().unwrap_or("any agent"))]
    AgentKeyUnknown {
        /// The URL of the keys, or `None` if the request names no agent.
        agent: Option<String>,
        /// The thumbprint, in base64url.
        key_id: String,
    },
    /// The response is not a directory of keys: another status, media type or origin, or not a key
    /// set.
    #[error("no directory of keys: {reason}")]
    Directory {
        /// The defect.
        reason: &'static str,
    },
    /// The key set of a directory, or a key for a new directory, is refused.
    #[error("the keys of a directory are refused")]
    DirectoryKeys(#[source] aims_jose::Error),
    /// No key of the directory has signed the response.
    #[error("no key of the directory has signed it")]
    DirectoryUnproven,

    // Errors of raw HTTP/1.1 messages.
    /// A line end is not the configured one: a bare CR, a bare LF, or CRLF instead of LF (RFC 9112
    /// §2.2).
    #[error("a line ends in the wrong way")]
    Http1LineEnd,
    /// The first line is neither a request line nor a status line (RFC 9112 §3, §4).
    #[error("the first line is malformed")]
    Http1StartLine,
    /// The version is not `HTTP/1.1`.
    #[error("the version is not `HTTP/1.1`")]
    Http1Version,
    /// The method is not a token (RFC 9110 §9.1).
    #[error("the method is no token")]
    Http1Method,
    /// The target has a character that a URI cannot have, a fragment, or a form that its method
    /// does not allow (RFC 9112 §3.2).
    #[error("the request target is malformed")]
    Http1Target,
    /// A field line has no colon, or its name is not a token (RFC 9112 §5).
    #[error("a field line is malformed")]
    Http1Field,
    /// White space precedes the colon of a field (RFC 9112 §5.1).
    #[error("white space before the colon of a field")]
    Http1BlankBeforeColon,
    /// A value contains a control character other than the tab (RFC 9110 §5.5).
    #[error("a control character in a field")]
    Http1Character,
    /// A field is folded over two lines, and the reader does not allow it (RFC 9112 §5.2).
    #[error("a field is folded over lines")]
    Http1Folded,
    /// A request has no `Host` (RFC 9112 §3.2).
    #[error("`host` is missing")]
    Http1HostMissing,
    /// A request has more than one `Host` (RFC 9112 §3.2).
    #[error("`host` stands twice")]
    Http1HostRepeated,
    /// `Host` is not a host with an optional port (RFC 9110 §7.2).
    #[error("`host` is malformed")]
    Http1Host,
    /// The target names another authority than `Host`, or another scheme than the configured one
    /// (RFC 9112 §3.2.2).
    #[error("the request target and `host` differ")]
    Http1HostMismatch,
    /// The head or the trailer section exceeds the limit.
    #[error("the head is longer than {limit} bytes")]
    Http1HeadSize {
        /// The limit in bytes.
        limit: usize,
    },
    /// The number of field lines exceeds the limit.
    #[error("more than {limit} field lines")]
    Http1Fields {
        /// The limit.
        limit: usize,
    },
    /// The message ends before the empty line after its head.
    #[error("the head has no end")]
    Http1HeadIncomplete,
    /// `Content-Length` is not a decimal number, is repeated, or is not allowed here (RFC 9112
    /// §6.2, §6.3).
    #[error("`content-length` is malformed or misplaced")]
    Http1ContentLength,
    /// `Transfer-Encoding` is not exactly `chunked`, or is not allowed here (RFC 9112 §6.1).
    #[error("`transfer-encoding` is not `chunked`, or misplaced")]
    Http1TransferEncoding,
    /// The message has both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    #[error("`content-length` and `transfer-encoding` are both there")]
    Http1LengthAndCoding,
    /// The content is shorter than its declared length.
    #[error("the content is cut off")]
    Http1Truncated,
    /// Bytes follow the end of the message.
    #[error("bytes behind the end of the message")]
    Http1Surplus,
    /// The content is longer than the caller allows.
    #[error("the content is longer than {limit} bytes")]
    Http1BodySize {
        /// The limit in bytes.
        limit: usize,
    },
    /// A chunk has no size in hex digits, too long extensions, or another length than its size (RFC
    /// 9112 §7.1).
    #[error("a chunk is malformed")]
    Http1Chunk,
    /// A field is not allowed as a trailer, because it frames, routes or describes the message (RFC
    /// 9110 §6.5.1).
    #[error("a field that may not be a trailer")]
    Http1Trailer,
}

impl Error {
    aims_error::codes! {
        Self::Syntax { .. } => Malformed "sig.syntax",
        Self::LabelRepeated { .. } => Malformed "sig.label_repeated",
        Self::LabelsDiffer => Mismatch "sig.labels_differ",
        Self::Cavage => Malformed "sig.cavage",
        Self::ParameterRepeated => Malformed "sig.parameter_repeated",
        Self::ParameterType { .. } => Malformed "sig.parameter_type",
        Self::Limit { .. } => TooLarge "sig.limit",
        Self::ComponentUnknown { .. } => Malformed "sig.component_unknown",
        Self::ComponentParameter { .. } => Malformed "sig.component_parameter",
        Self::ComponentRepeated { .. } => Malformed "sig.component_repeated",
        Self::ComponentAbsent { .. } => Malformed "sig.component_absent",
        Self::ComponentAmbiguous { .. } => Malformed "sig.component_ambiguous",
        Self::ComponentMisplaced { .. } => Malformed "sig.component_misplaced",
        Self::FieldTypeUnknown { .. } => Malformed "sig.field_type_unknown",
        Self::FieldType { .. } => Malformed "sig.field_type",
        Self::Value { .. } => Malformed "sig.value",
        Self::Target { .. } => Malformed "sig.target",
        Self::SignatureMissing { .. } => Forbidden "sig.missing",
        Self::SignatureAmbiguous => Malformed "sig.ambiguous",
        Self::ComponentRequired { .. } => Forbidden "sig.component_required",
        Self::ParameterRequired { .. } => Forbidden "sig.parameter_required",
        Self::ParameterForbidden { .. } => Forbidden "sig.parameter_forbidden",
        Self::Tag => Mismatch "sig.tag",
        Self::CreatedInFuture => NotYetValid "sig.created_in_future",
        Self::Expired => Expired "sig.expired",
        Self::ExpiresBeforeCreated => Malformed "sig.expires_before_created",
        Self::TooOld { .. } => Expired "sig.too_old",
        Self::Lifetime => Forbidden "sig.lifetime",
        Self::Algorithm { .. } | Self::AlgorithmNone => Untrusted "sig.algorithm",
        Self::AlgorithmForbidden { .. } => Untrusted "sig.algorithm_forbidden",
        Self::KeyUnknown | Self::KeyIdUnknown { .. } => Untrusted "sig.key_unknown",
        Self::AlgorithmAmbiguous | Self::KeyAmbiguous => Untrusted "sig.key_ambiguous",
        Self::SharedKey { .. } => Untrusted "sig.shared_key",
        Self::Signature => Untrusted "sig.signature",
        Self::Prepare { .. } | Self::Label { .. } => Configuration "sig.prepare",
        Self::LabelTaken => Configuration "sig.label_taken",
        Self::HeadersFull => Configuration "sig.headers_full",
        Self::NotOffered => Configuration "sig.not_offered",
        Self::DigestMissing { .. } => Forbidden "digest.missing",
        Self::DigestSyntax { .. } => Malformed "digest.syntax",
        Self::DigestBase64 { .. } => Malformed "digest.base64",
        Self::DigestRepeated { .. } => Malformed "digest.repeated",
        Self::DigestSize { .. } => Malformed "digest.size",
        Self::DigestLength { .. } => Malformed "digest.length",
        Self::DigestInsecure { .. } => Forbidden "digest.insecure",
        Self::DigestMismatch { .. } => Mismatch "digest.mismatch",
        Self::DigestPreference => Configuration "digest.preference",
        Self::DigestBodySize { .. } => TooLarge "digest.body_size",
        Self::Audience { .. } => Mismatch "sig.audience",
        Self::RequestNonce => Mismatch "sig.request_nonce",
        Self::ResponseUnsigned => Forbidden "sig.response_unsigned",
        Self::ResponseUnsignable => Unavailable "sig.response_unsignable",
        Self::SignatureAgent => Malformed "sig.agent",
        Self::SignatureAgentAmbiguous => Malformed "sig.agent_ambiguous",
        Self::AgentKeyUnknown { .. } => Untrusted "sig.agent_key_unknown",
        Self::Directory { .. } => Unavailable "sig.directory",
        Self::DirectoryUnproven => Untrusted "sig.directory_unproven",
        Self::Http1LineEnd => Malformed "http1.line_end",
        Self::Http1StartLine => Malformed "http1.start_line",
        Self::Http1Version => Malformed "http1.version",
        Self::Http1Method => Malformed "http1.method",
        Self::Http1Target => Malformed "http1.target",
        Self::Http1Field => Malformed "http1.field",
        Self::Http1BlankBeforeColon => Malformed "http1.blank_before_colon",
        Self::Http1Character => Malformed "http1.character",
        Self::Http1Folded => Malformed "http1.folded",
        Self::Http1HostMissing => Malformed "http1.host_missing",
        Self::Http1HostRepeated => Malformed "http1.host_repeated",
        Self::Http1Host => Malformed "http1.host",
        Self::Http1HostMismatch => Mismatch "http1.host_mismatch",
        Self::Http1HeadSize { .. } => TooLarge "http1.head_size",
        Self::Http1Fields { .. } => TooLarge "http1.fields",
        Self::Http1HeadIncomplete => Malformed "http1.head_incomplete",
        Self::Http1ContentLength => Malformed "http1.content_length",
        Self::Http1TransferEncoding => Malformed "http1.transfer_encoding",
        Self::Http1LengthAndCoding => Malformed "http1.length_and_coding",
        Self::Http1Truncated => Malformed "http1.truncated",
        Self::Http1Surplus => Malformed "http1.surplus",
        Self::Http1BodySize { .. } => TooLarge "http1.body_size",
        Self::Http1Chunk => Malformed "http1.chunk",
        Self::Http1Trailer => Malformed "http1.trailer",
        ;
        Self::Replay(source) => source.code(), source.kind();
        Self::Sign(source) => source.code(), source.kind();
        Self::DirectoryKeys(source) => source.code(), source.kind();
    }
}
