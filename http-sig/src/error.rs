//! Why a signature or a field is refused, or cannot be made.

/// A message, a signature or a field was refused, or a signature could not be made.
///
/// No message holds the value of a field, but for what a request says of its signature: the URL of
/// its agent, its audience, and the labels, tags, `alg` and `keyid` of its signatures. `component`
/// is an identifier as it stands in `Signature-Input`: printable ASCII, cut to 100 bytes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // What the fields say.
    /// The field is not what RFC 9421 and RFC 9651 make of it, in its one strict spelling.
    #[error("the field `{field}` is malformed")]
    Syntax {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// A label stands twice, in one field or in two lines of it (RFC 9421 §4.1).
    #[error("the field `{field}` has a label twice")]
    LabelRepeated {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// `Signature` and `Signature-Input` do not have the same labels, or one of the two is missing
    /// (RFC 9421 §4.2).
    #[error("`signature` and `signature-input` differ in their labels, or one of them is missing")]
    LabelsDiffer,
    /// The message is signed by draft-cavage-http-signatures, the draft before RFC 9421, whose
    /// signatures are another format.
    #[error(
        "the message is signed by draft-cavage-http-signatures, the draft before RFC 9421: expected the fields \
         `signature-input` and `signature` of RFC 9421; ask the sender to sign by it"
    )]
    Cavage,
    /// A parameter stands twice, of a signature or of a member of `Signature-Agent`.
    #[error("a parameter stands twice")]
    ParameterRepeated,
    /// A registered parameter has another type than its own, or an empty value (RFC 9421 §2.3).
    #[error("the parameter `{parameter}` is empty, or not of its type")]
    ParameterType {
        /// Its name.
        parameter: &'static str,
    },
    /// More than the limits allow.
    #[error("more {what} than the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },

    // Components.
    /// The name is none of a derived component, or no field name in lower case, or
    /// `@signature-params` (RFC 9421 §2, §2.3).
    #[error("`{component}` is no component: neither a derived one nor a field name in lower case")]
    ComponentUnknown {
        /// The identifier.
        component: String,
    },
    /// A parameter that the component does not have, of another type, twice, or not together with
    /// another one (RFC 9421 §2.1, §2.5).
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
    /// The message does not have the field, the member or the query parameter (RFC 9421
    /// §2.5).
    #[error("the component `{component}` is not there")]
    ComponentAbsent {
        /// The identifier.
        component: String,
    },
    /// A query parameter of that name occurs more than once (RFC 9421 §2.2.8), or a field that
    /// cannot be joined does: `Set-Cookie` (§7.5.6).
    #[error("the component `{component}` has more than one value")]
    ComponentAmbiguous {
        /// The identifier.
        component: String,
    },
    /// The component is not one of such a message: `@status` of a request, `@method` of a response,
    /// `req` without a request (RFC 9421 §2.4).
    #[error("the component `{component}` is not one of this message")]
    ComponentMisplaced {
        /// The identifier.
        component: String,
    },
    /// The structured type of the field is not known, so `sf` and `key` cannot be computed (RFC
    /// 9421 §2.1.1, §2.1.2).
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
    /// The value has a line end or another byte outside printable ASCII (RFC 9421 §2.5).
    #[error("the value of the component `{component}` cannot be signed")]
    Value {
        /// The identifier.
        component: String,
    },
    /// The request target, scheme or authority is none (RFC 9112 §3.2).
    #[error("the request target: {reason}")]
    Target {
        /// What is wrong.
        reason: &'static str,
    },

    // What is required.
    /// The message has no signature, or none with that label or tag. Where neither is required,
    /// those that have a tag are of another purpose (RFC 9421 §7.2.7).
    #[error(
        "the message has no signature with the required label or tag, or, if neither is required, none without a tag: found {found}"
    )]
    SignatureMissing {
        /// The labels and tags that there are: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// Several signatures fit, and only one was asked for (RFC 9421 §3.2).
    #[error("several signatures fit")]
    SignatureAmbiguous,
    /// The signature does not cover what is required (RFC 9421 §3.2, §7.2.1).
    #[error("the signature does not cover `{component}`")]
    ComponentRequired {
        /// The identifier, as the policy has it.
        component: String,
    },
    /// The signature has not a parameter that is required (RFC 9421 §3.2).
    #[error("the signature has no `{parameter}`")]
    ParameterRequired {
        /// Its name, as the policy has it.
        parameter: String,
    },
    /// The signature has a parameter that the policy forbids.
    #[error("the signature must not have `{parameter}`")]
    ParameterForbidden {
        /// Its name, as the policy has it.
        parameter: String,
    },
    /// The signature has another tag (RFC 9421 §2.3, §7.2.7).
    #[error("the signature is for another purpose")]
    Tag,
    /// `created` is in the future by more than the skew.
    #[error("the signature was created in the future")]
    CreatedInFuture,
    /// `expires` is over.
    #[error("the signature has expired")]
    Expired,
    /// `expires` is before `created`.
    #[error("the signature expires before it was created")]
    ExpiresBeforeCreated,
    /// `created` is longer ago than the policy allows.
    #[error(
        "the signature is too old: `created` is {created}, and it is {now}; expected at most {max_age} s; sign anew, or check both clocks"
    )]
    TooOld {
        /// `created`, in Unix seconds.
        created: u64,
        /// The time of the check, in Unix seconds.
        now: u64,
        /// The age that the policy allows, in seconds.
        max_age: u64,
    },
    /// `expires` is later than the policy allows.
    #[error("the signature is valid for too long")]
    Lifetime,

    // Keys.
    /// `alg` is not the algorithm of the key (RFC 9421 §3.2, §7.3.6).
    #[error("the algorithm is not that of the key: found {found}, expected {expected}")]
    Algorithm {
        /// `alg` of the signature: escaped, at most 200 characters.
        found: Box<str>,
        /// The algorithms of the key.
        expected: Box<str>,
    },
    /// The key has no algorithm of RFC 9421: ES512, PS256.
    #[error("there is no algorithm of RFC 9421 for the key")]
    AlgorithmNone,
    /// The key has several algorithms of RFC 9421, and the signature does not say which.
    #[error("the key has several algorithms, and no `alg` says which")]
    AlgorithmAmbiguous,
    /// The algorithm is not one of those that the policy allows.
    #[error("the algorithm `{algorithm}` is not allowed")]
    AlgorithmForbidden {
        /// Its registered name.
        algorithm: &'static str,
    },
    /// There is no key for this signature.
    #[error("no key for this signature")]
    KeyUnknown,
    /// There is no key of this `keyid`.
    #[error("no key has the `keyid` {found} of this signature")]
    KeyIdUnknown {
        /// `keyid` of the signature: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// Several keys fit; none is tried at random.
    #[error("several keys fit this signature")]
    KeyAmbiguous,
    /// A shared key is shorter than 32 bytes.
    #[error("a shared key has at least {least} bytes")]
    SharedKey {
        /// The least length in bytes.
        least: usize,
    },
    /// The signature is not one of this message by this key.
    ///
    /// Which of these it is, is not told; what is usually wrong: the key is another one; scheme or
    /// authority are not those that the sender addressed; the target is in absolute form, as of a
    /// request that was not reduced to path and query on its way to the receiver; a covered
    /// component was changed on its way.
    #[error("the signature does not fit")]
    Signature,
    /// The nonce was seen before, or the memory of nonces refuses.
    #[error("the signature cannot be spent")]
    Replay(#[source] aims_replay::Error),

    // Signing.
    /// A signature cannot be made so.
    #[error("the signature cannot be made: {reason}")]
    Prepare {
        /// What is wrong.
        reason: &'static str,
    },
    /// The label is no key of a structured field (RFC 9651 §3.2).
    #[error(
        "the signature cannot be made: the label {found} is no key of a structured field, which begins with a lower-case letter or `*`, and has lower-case letters, digits, `_`, `-`, `.` and `*`"
    )]
    Label {
        /// The label: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The message has a signature of that label already.
    #[error("the message has a signature of that label")]
    LabelTaken,
    /// No more fields fit into the header map.
    #[error("no room for another field")]
    HeadersFull,
    /// The key did not sign, or no randomness is to be had.
    #[error("signing failed")]
    Sign(#[source] aims_jose::Error),
    /// `Accept-Signature` asks for what the own profile does not give (RFC 9421 §5.2).
    #[error("the signature asked for is not one of this profile")]
    NotOffered,

    // Digest fields.
    /// The message has no such field, or an empty one.
    #[error("the field `{field}` is missing")]
    DigestMissing {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// The field is no dictionary of what it is made of (RFC 9530 §2, §4).
    #[error("the field `{field}` is malformed")]
    DigestSyntax {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// A digest is not in canonical base64 (RFC 9651 §4.1.8).
    #[error("a digest of `{field}` is not in canonical base64")]
    DigestBase64 {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// An algorithm stands twice, in one line of the field or in two (RFC 9530 §2).
    #[error("the field `{field}` has an algorithm twice")]
    DigestRepeated {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// The field is longer, or has more members, than is read.
    #[error("the field `{field}` is too large")]
    DigestSize {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// A digest has not the length of its algorithm.
    #[error("a digest of `{algorithm}` has {found} bytes")]
    DigestLength {
        /// The algorithm.
        algorithm: crate::digest::Algorithm,
        /// The length, in bytes.
        found: usize,
    },
    /// The field has no digest that counts: `sha-256` or `sha-512` (RFC 9530 §5).
    #[error("the field `{field}` has neither `sha-256` nor `sha-512`")]
    DigestInsecure {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// The content is not the one of the digest (RFC 9530 §2).
    #[error("the content does not have its `{algorithm}` digest")]
    DigestMismatch {
        /// The algorithm.
        algorithm: crate::digest::Algorithm,
    },
    /// A preference is no integer from 0 to 10 (RFC 9530 §4).
    #[error("a preference is no integer from 0 to 10")]
    DigestPreference,
    /// A body is longer than its reader allows.
    #[error("the body is longer than {limit} bytes")]
    DigestBodySize {
        /// In bytes.
        limit: u64,
    },

    // Profiles.
    /// `wimse-aud` is none of the configured audiences (draft-ietf-wimse-http-signature §3.1).
    #[error("the signature is for another audience: found {found}, expected {expected}")]
    Audience {
        /// `wimse-aud` of the signature: escaped, at most 200 characters.
        found: Box<str>,
        /// What the receiver is called: escaped, at most 200 characters.
        expected: Box<str>,
    },
    /// `wimse-req-nonce` is not the nonce of the request: the response answers another one
    /// (draft-ietf-wimse-http-signature §3.3).
    #[error("the response answers another request")]
    RequestNonce,
    /// A signed response was asked for, and it is not signed (draft-ietf-wimse-http-signature
    /// §3.4).
    #[error("the response is not signed, as was asked for")]
    ResponseUnsigned,
    /// A signed response was asked for, and cannot be given: the answer is an error, no unsigned
    /// success (draft-ietf-wimse-http-signature §3.4).
    #[error("a signed response was asked for, and cannot be given")]
    ResponseUnsignable,
    /// `Signature-Agent` is malformed, has no member of that key, or one that is no `https` URL of
    /// a known type.
    #[error("`signature-agent` is malformed")]
    SignatureAgent,
    /// A signature covers several members of `Signature-Agent`, none of them under its own label.
    #[error("several members of `signature-agent` are covered, none under the label")]
    SignatureAgentAmbiguous,
    /// The key of that thumbprint is not known for that URL; a look into its directory may help.
    #[error("no such key is known of `{}`", .agent.as_deref().unwrap_or("any agent"))]
    AgentKeyUnknown {
        /// Where the keys are published; none where the request names no agent.
        agent: Option<String>,
        /// The thumbprint, in base64url.
        key_id: String,
    },
    /// The document is no directory: another status, media type or origin, or no key set.
    #[error("no directory of keys: {reason}")]
    Directory {
        /// What is wrong.
        reason: &'static str,
    },
    /// The key set of a directory, or one of the keys that it is to be made of, is refused.
    #[error("the keys of a directory are refused")]
    DirectoryKeys(#[source] aims_jose::Error),
    /// No key of the directory has signed the answer.
    #[error("no key of the directory has signed it")]
    DirectoryUnproven,

    // Raw HTTP/1.1 messages.
    /// A line ends otherwise than the rules have it: a bare CR, a bare LF, or CRLF where LF was
    /// named (RFC 9112 §2.2).
    #[error("a line ends in the wrong way")]
    Http1LineEnd,
    /// The first line is no request line, or no status line (RFC 9112 §3, §4).
    #[error("the first line is malformed")]
    Http1StartLine,
    /// The version is not `HTTP/1.1`.
    #[error("the version is not `HTTP/1.1`")]
    Http1Version,
    /// The method is no token (RFC 9110 §9.1).
    #[error("the method is no token")]
    Http1Method,
    /// The target has a character that is none of a URI, a fragment, or a form that is not the
    /// method's (RFC 9112 §3.2).
    #[error("the request target is malformed")]
    Http1Target,
    /// A field line has no colon, or a name that is no token (RFC 9112 §5).
    #[error("a field line is malformed")]
    Http1Field,
    /// White space stands between the name of a field and its colon (RFC 9112 §5.1).
    #[error("white space before the colon of a field")]
    Http1BlankBeforeColon,
    /// A value has a control character: NUL, or another one but the tab (RFC 9110 §5.5).
    #[error("a control character in a field")]
    Http1Character,
    /// A field is folded over two lines, and the rules do not say that it may be (RFC 9112 §5.2).
    #[error("a field is folded over lines")]
    Http1Folded,
    /// A request has no `Host` (RFC 9112 §3.2).
    #[error("`host` is missing")]
    Http1HostMissing,
    /// A request has more than one `Host` (RFC 9112 §3.2).
    #[error("`host` stands twice")]
    Http1HostRepeated,
    /// `Host` is no host with, at most, a port (RFC 9110 §7.2).
    #[error("`host` is malformed")]
    Http1Host,
    /// The target names another authority than `Host`, or another scheme than the configured one
    /// (RFC 9112 §3.2.2).
    #[error("the request target and `host` differ")]
    Http1HostMismatch,
    /// The head, or the trailer section, is longer than the limit.
    #[error("the head is longer than {limit} bytes")]
    Http1HeadSize {
        /// The limit.
        limit: usize,
    },
    /// There are more field lines than the limit.
    #[error("more than {limit} field lines")]
    Http1Fields {
        /// The limit.
        limit: usize,
    },
    /// The message ends before the empty line behind its head.
    #[error("the head has no end")]
    Http1HeadIncomplete,
    /// `Content-Length` is no decimal number, stands twice, or is there where none may be (RFC 9112
    /// §6.2, §6.3).
    #[error("`content-length` is malformed or misplaced")]
    Http1ContentLength,
    /// `Transfer-Encoding` is not `chunked` alone, or is there where none may be (RFC 9112 §6.1).
    #[error("`transfer-encoding` is not `chunked`, or misplaced")]
    Http1TransferEncoding,
    /// `Content-Length` and `Transfer-Encoding` are both there (RFC 9112 §6.1).
    #[error("`content-length` and `transfer-encoding` are both there")]
    Http1LengthAndCoding,
    /// The content ends before its length says so.
    #[error("the content is cut off")]
    Http1Truncated,
    /// Bytes follow the end of the message.
    #[error("bytes behind the end of the message")]
    Http1Surplus,
    /// The content is longer than the caller allows.
    #[error("the content is longer than {limit} bytes")]
    Http1BodySize {
        /// The limit.
        limit: usize,
    },
    /// A chunk has no size in hex digits, overlong extensions, or other bytes than its size says
    /// (RFC 9112 §7.1).
    #[error("a chunk is malformed")]
    Http1Chunk,
    /// A field may not stand behind the content: it frames, routes or describes the message (RFC
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
