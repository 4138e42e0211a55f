//! Why a signature or a field is refused, or cannot be made.

/// A message, a signature or a field was refused, or a signature could not be made.
///
/// No message holds the value of a field. `component` is an identifier as it stands in `Signature-Input`: printable ASCII, cut to 100 bytes.
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
    /// A label stands twice, in one field or in two lines of it (T-063).
    #[error("the field `{field}` has a label twice")]
    LabelRepeated {
        /// Its name, in lower case.
        field: &'static str,
    },
    /// `Signature` and `Signature-Input` do not have the same labels (HMS-07).
    #[error("`signature` and `signature-input` differ in their labels")]
    LabelsDiffer,
    /// A parameter of a signature stands twice.
    #[error("a parameter of the signature stands twice")]
    ParameterRepeated,
    /// A registered parameter has another type than its own, or an empty or overlong value (RFC 9421 §2.3).
    #[error("the parameter `{parameter}` is not of its type")]
    ParameterType {
        /// Its name.
        parameter: &'static str,
    },
    /// More than the limits allow (HMS-08).
    #[error("more {what} than the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },

    // Components.
    /// The name is none of a derived component, or no field name in lower case, or `@signature-params` (HMS-01, HMS-04).
    #[error("`{component}` is no component")]
    ComponentUnknown {
        /// The identifier.
        component: String,
    },
    /// A parameter that the component does not have, of another type, twice, or not together with another one (HMS-03).
    #[error("the parameters of the component `{component}` are wrong")]
    ComponentParameter {
        /// The identifier.
        component: String,
    },
    /// A component is covered twice (HMS-01).
    #[error("the component `{component}` stands twice")]
    ComponentRepeated {
        /// The identifier.
        component: String,
    },
    /// The message does not have the field, the member or the query parameter (HMS-03).
    #[error("the component `{component}` is not there")]
    ComponentAbsent {
        /// The identifier.
        component: String,
    },
    /// A query parameter of that name occurs more than once (HMS-02).
    #[error("the component `{component}` has more than one value")]
    ComponentAmbiguous {
        /// The identifier.
        component: String,
    },
    /// The component is not one of such a message: `@status` of a request, `@method` of a response, `req` without a request (RFC 9421 §2.4).
    #[error("the component `{component}` is not one of this message")]
    ComponentMisplaced {
        /// The identifier.
        component: String,
    },
    /// Nobody said of which structured type the field is, so `sf` and `key` cannot be (HMS-03).
    #[error("the structured type of the component `{component}` is not known")]
    FieldTypeUnknown {
        /// The identifier.
        component: String,
    },
    /// The field is not valid for its structured type (HMS-03).
    #[error("the field of the component `{component}` is not of its structured type")]
    FieldType {
        /// The identifier.
        component: String,
    },
    /// The value has a line end or another byte outside printable ASCII (HMS-04).
    #[error("the value of the component `{component}` cannot be signed")]
    Value {
        /// The identifier.
        component: String,
    },
    /// The request target, scheme or authority is none (RFC 9112 §3.2).
    #[error("the request target is none")]
    Target,

    // What is required.
    /// The message has no signature, or none with that label or tag.
    #[error("no such signature")]
    SignatureMissing,
    /// Several signatures fit, and only one was asked for (HMS-07).
    #[error("several signatures fit")]
    SignatureAmbiguous,
    /// The signature does not cover what is required (HMS-07).
    #[error("the signature does not cover `{component}`")]
    ComponentRequired {
        /// The identifier, as the policy has it.
        component: String,
    },
    /// The signature has not a parameter that is required (HMS-07).
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
    /// The signature has another tag (T-070).
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
    #[error("the signature is too old")]
    TooOld,
    /// `expires` is later than the policy allows.
    #[error("the signature is valid for too long")]
    Lifetime,

    // Keys.
    /// `alg` is not the algorithm of the key, or the key has no algorithm of RFC 9421 (T-068).
    #[error("the algorithm is not that of the key")]
    Algorithm,
    /// The algorithm is not one of those that the policy allows.
    #[error("the algorithm `{algorithm}` is not allowed")]
    AlgorithmForbidden {
        /// Its registered name.
        algorithm: &'static str,
    },
    /// There is no key for this signature.
    #[error("no key for this signature")]
    KeyUnknown,
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
    #[error("the signature does not fit")]
    Signature,
    /// The nonce was seen before, or the memory of nonces refuses.
    #[error("replay: {0}")]
    Replay(#[source] replay::Error),

    // Signing.
    /// A signature cannot be made so.
    #[error("the signature cannot be made: {reason}")]
    Prepare {
        /// What is wrong.
        reason: &'static str,
    },
    /// The message has a signature of that label already.
    #[error("the message has a signature of that label")]
    LabelTaken,
    /// No more fields fit into the header map (T-076).
    #[error("no room for another field")]
    HeadersFull,
    /// The key did not sign, or no randomness is to be had.
    #[error("signing: {0}")]
    Sign(#[source] jose::Error),
    /// `Accept-Signature` asks for what the own profile does not give (T-077).
    #[error("the signature asked for is not one of this profile")]
    NotOffered,
}

impl Error {
    /// All codes of this crate that [`code`](Self::code) gives. Besides, it gives those of `replay`, and those of `jose` where a key does not sign.
    pub const CODES: &'static [&'static str] = &[
        "sig.syntax",
        "sig.label_repeated",
        "sig.labels_differ",
        "sig.parameter_repeated",
        "sig.parameter_type",
        "sig.limit",
        "sig.component_unknown",
        "sig.component_parameter",
        "sig.component_repeated",
        "sig.component_absent",
        "sig.component_ambiguous",
        "sig.component_misplaced",
        "sig.field_type_unknown",
        "sig.field_type",
        "sig.value",
        "sig.target",
        "sig.missing",
        "sig.ambiguous",
        "sig.component_required",
        "sig.parameter_required",
        "sig.parameter_forbidden",
        "sig.tag",
        "sig.created_in_future",
        "sig.expired",
        "sig.expires_before_created",
        "sig.too_old",
        "sig.lifetime",
        "sig.algorithm",
        "sig.algorithm_forbidden",
        "sig.key_unknown",
        "sig.key_ambiguous",
        "sig.shared_key",
        "sig.signature",
        "sig.prepare",
        "sig.label_taken",
        "sig.headers_full",
        "sig.not_offered",
    ];

    /// The stable name of this error, for records, tests and tools.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "sig.syntax",
            Self::LabelRepeated { .. } => "sig.label_repeated",
            Self::LabelsDiffer => "sig.labels_differ",
            Self::ParameterRepeated => "sig.parameter_repeated",
            Self::ParameterType { .. } => "sig.parameter_type",
            Self::Limit { .. } => "sig.limit",
            Self::ComponentUnknown { .. } => "sig.component_unknown",
            Self::ComponentParameter { .. } => "sig.component_parameter",
            Self::ComponentRepeated { .. } => "sig.component_repeated",
            Self::ComponentAbsent { .. } => "sig.component_absent",
            Self::ComponentAmbiguous { .. } => "sig.component_ambiguous",
            Self::ComponentMisplaced { .. } => "sig.component_misplaced",
            Self::FieldTypeUnknown { .. } => "sig.field_type_unknown",
            Self::FieldType { .. } => "sig.field_type",
            Self::Value { .. } => "sig.value",
            Self::Target => "sig.target",
            Self::SignatureMissing => "sig.missing",
            Self::SignatureAmbiguous => "sig.ambiguous",
            Self::ComponentRequired { .. } => "sig.component_required",
            Self::ParameterRequired { .. } => "sig.parameter_required",
            Self::ParameterForbidden { .. } => "sig.parameter_forbidden",
            Self::Tag => "sig.tag",
            Self::CreatedInFuture => "sig.created_in_future",
            Self::Expired => "sig.expired",
            Self::ExpiresBeforeCreated => "sig.expires_before_created",
            Self::TooOld => "sig.too_old",
            Self::Lifetime => "sig.lifetime",
            Self::Algorithm => "sig.algorithm",
            Self::AlgorithmForbidden { .. } => "sig.algorithm_forbidden",
            Self::KeyUnknown => "sig.key_unknown",
            Self::KeyAmbiguous => "sig.key_ambiguous",
            Self::SharedKey { .. } => "sig.shared_key",
            Self::Signature => "sig.signature",
            Self::Replay(source) => source.code(),
            Self::Prepare { .. } => "sig.prepare",
            Self::LabelTaken => "sig.label_taken",
            Self::HeadersFull => "sig.headers_full",
            Self::Sign(source) => source.code(),
            Self::NotOffered => "sig.not_offered",
        }
    }
}
