//! The error type of this crate.

use std::error::Error as StdError;

use http::HeaderName;

use crate::certificate::FieldProblem;

/// Error returned when a message is refused or cannot be created. It never contains a token, a
/// secret or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an issuer identifier (RFC 8414 §2).
    #[error(
        "invalid issuer `{found}`: expected an absolute https URL without query or fragment; \
         {reason}"
    )]
    Issuer {
        /// The text, without user information and query, and cut after 100 characters.
        found: Box<str>,
        /// The problem, or the remedy.
        reason: &'static str,
    },
    /// The text is not a resource identifier (RFC 8707 §2, RFC 9728 §1.2).
    #[error(
        "invalid resource `{found}`: expected an absolute https URL or another URI, without \
         fragment; {reason}"
    )]
    Resource {
        /// The text, without user information and query, and cut after 100 characters.
        found: Box<str>,
        /// The problem, or the remedy.
        reason: &'static str,
    },
    /// The text is not an endpoint that a request may be sent to (RFC 6749 §3.2).
    #[error(
        "invalid endpoint `{found}`: expected an absolute https URL without fragment; {reason}"
    )]
    Endpoint {
        /// The text, without user information and query, and cut after 100 characters.
        found: Box<str>,
        /// The problem, or the remedy.
        reason: &'static str,
    },
    /// The bytes or the text are not one X.509 certificate.
    #[error("malformed certificate: {reason}")]
    Certificate {
        /// The expected form.
        reason: &'static str,
    },
    /// A field with a client certificate does not come from the proxy, occurs twice or is malformed
    /// (RFC 9440 §4).
    #[error("the request has the field `{field}`: {problem}")]
    CertificateField {
        /// The name of the field.
        field: HeaderName,
        /// Why it is refused.
        problem: FieldProblem,
    },
    /// The text is not a client identifier (RFC 6749 §2.2).
    #[error("invalid client identifier: expected 1 to 2048 printable ASCII characters")]
    ClientId,
    /// The text is not a scope (RFC 6749 §3.3).
    #[error(
        "invalid scope: expected at most 256 tokens of printable ASCII without `\"` and `\\`, with \
         one blank between them, found {found}"
    )]
    Scope {
        /// The text or the number of tokens, escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The body is not a form (`application/x-www-form-urlencoded`), or exceeds a limit.
    #[error("not a form: {reason}")]
    Form {
        /// The problem.
        reason: &'static str,
    },
    /// A parameter occurs twice (RFC 6749 §3.2).
    #[error("a parameter stands twice")]
    Repeated,
    /// A request lacks a required part, or has a forbidden one.
    #[error("not a token request: {reason}")]
    Request {
        /// The problem.
        reason: &'static str,
    },
    /// The text is not a transaction token (draft-ietf-oauth-transaction-tokens §9.1).
    #[error(
        "not a transaction token: expected one compact JWT with the `typ` `txntoken+jwt`; an \
         access token gets into `Authorization` alone"
    )]
    TransactionToken,
    /// The answer of a token endpoint is not a token response (RFC 6749 §5).
    #[error("not a token response: {reason}{}", found(answer.as_deref()))]
    Response {
        /// The problem.
        reason: &'static str,
        /// The answer that arrived instead.
        answer: Option<Box<crate::token::UnreadableResponse>>,
    },
    /// The type of the token is not supported (RFC 6749 §7.1).
    #[error("the token is of another `token_type`: expected `Bearer`, `DPoP` or `N_A`")]
    TokenType,
    /// The token endpoint refused the request (RFC 6749 §5.2), with any status.
    #[error("the token endpoint refused: {0}")]
    Refused(Box<crate::token::TokenError>),
    /// `authorization_details` are malformed (RFC 9396 §2).
    #[error(
        "malformed `authorization_details`: {reason}; expected an array of at most 64 objects, each with a `type`"
    )]
    AuthorizationDetails {
        /// The problem.
        reason: &'static str,
    },
    /// The client cannot use its authentication method.
    #[error("cannot authenticate: {reason}")]
    Authenticate {
        /// The reason.
        reason: &'static str,
        /// The underlying error.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The response is not a metadata document (RFC 8414 §3.2, RFC 9728 §3.2).
    #[error("no metadata document: expected {expected}, found {found}")]
    MetadataResponse {
        /// The expected response.
        expected: &'static str,
        /// The response that arrived: status, content type and length.
        found: Box<str>,
    },
    /// A metadata document cannot be parsed.
    #[error("the metadata cannot be read: expected {expected}")]
    MetadataJson {
        /// The expected document.
        expected: &'static str,
        /// The parse error, if the document is not a JSON object.
        #[source]
        source: Option<aims_jose::Error>,
    },
    /// `signed_metadata` cannot be made, or is not by the trusted signer (RFC 9728 §2.2).
    #[error("`signed_metadata` is not good: expected a valid JWT of the trusted signer")]
    MetadataSigned(#[source] aims_jose::Error),
    /// A metadata document is for another issuer (RFC 8414 §3.3).
    #[error("the metadata are of another issuer: expected `{expected}`, found `{found}`")]
    MetadataIssuer {
        /// The issuer that the document was fetched for.
        expected: Box<str>,
        /// The issuer in the document.
        found: Box<str>,
    },
    /// A metadata document is for another resource (RFC 9728 §3.3).
    #[error(
        "the metadata are of another resource: expected `resource` to be byte for byte the tool's \
         URL `{expected}`, found `{found}`"
    )]
    MetadataResource {
        /// The resource that the document was fetched for.
        expected: Box<str>,
        /// The resource in the document.
        found: Box<str>,
    },
    /// A member of a metadata document has an invalid value.
    #[error("the metadata member `{member}` is not usable: expected {expected}, found {found}")]
    MetadataMember {
        /// The name of the member.
        member: &'static str,
        /// The expected value.
        expected: &'static str,
        /// The value that was found.
        found: &'static str,
    },
    /// `cnf` is malformed, contradicts itself, or has a member that cannot be checked.
    #[error("`cnf` cannot be checked: expected `jkt`, `jwk` or `x5t#S256`, and nothing else")]
    Confirmation,
    /// No challenge of a response has the syntax of RFC 9110 §11.6.1.
    #[error(
        "no challenge can be read: expected a scheme with parameters, such as `Bearer error=x`"
    )]
    ChallengeSyntax,
    /// A parameter would occur twice in a challenge (RFC 9110 §11.2).
    #[error("a parameter occurs twice in a challenge")]
    ChallengeRepeated,
    /// The number of challenges or parameters, or their size, exceeds a limit.
    #[error("too many or too long challenges")]
    ChallengeSize,
    /// A challenge cannot carry the value.
    #[error("`{parameter}` of a challenge cannot have this value")]
    ChallengeValue {
        /// The name of the parameter.
        parameter: &'static str,
    },
    /// The assertion is not an accepted JWT, or its signature is not valid.
    #[error("the client assertion was refused")]
    AssertionJwt(#[source] aims_jose::Error),
    /// The assertion has an unexpected `typ`.
    #[error("the client assertion has another `typ`")]
    AssertionType,
    /// No key of the client matches the key that signed.
    #[error("no key of the client for the client assertion")]
    AssertionKey(#[source] aims_jose::Error),
    /// `iss` or `sub` is not the client (RFC 7523 §3).
    #[error("`iss` and `sub` of the client assertion are not the client")]
    AssertionClient,
    /// `aud` is not exactly this issuer.
    #[error("the client assertion is for another audience")]
    AssertionAudience,
    /// `jti` is empty or too long.
    #[error("`jti` of the client assertion is not usable")]
    AssertionId,
    /// The assertion has expired, is not yet valid, or is valid for too long.
    #[error("the client assertion is not valid now")]
    AssertionTime(#[source] aims_jose::Error),
    /// The assertion was used before.
    #[error("the client assertion was used before")]
    AssertionReplayed(#[source] aims_replay::Error),
    /// The replay store cannot tell whether the assertion was used before.
    #[error("whether the client assertion was used before is unknown")]
    AssertionUnknown(#[source] aims_replay::Error),
    /// The proof of a client attestation is not an accepted JWT, or its signature is not valid.
    #[error("the proof of the client attestation was refused")]
    AttestationJwt(#[source] aims_jose::Error),
    /// The proof has an unexpected `typ`.
    #[error("the proof of the client attestation has another `typ`")]
    AttestationType,
    /// `aud` of the proof is not exactly this issuer.
    #[error("the proof of the client attestation is for another audience")]
    AttestationAudience,
    /// `jti` of the proof is empty or too long.
    #[error("`jti` of the proof of the client attestation is not usable")]
    AttestationId,
    /// The proof is too old, or from the future.
    #[error("the proof of the client attestation is not valid now")]
    AttestationTime(#[source] aims_jose::Error),
    /// The proof was used before.
    #[error("the proof of the client attestation was used before")]
    AttestationReplayed(#[source] aims_replay::Error),
    /// The replay store cannot tell whether the proof was used before.
    #[error("whether the proof of the client attestation was used before is unknown")]
    AttestationUnknown(#[source] aims_replay::Error),
}

impl Error {
    pub(crate) fn scope(text: &str) -> Self {
        Self::Scope {
            found: aims_error::shown([text]),
        }
    }

    aims_error::codes! {
        Self::Issuer { .. } => Malformed "oauth.issuer",
        Self::Resource { .. } => Malformed "oauth.resource",
        Self::Endpoint { .. } => Malformed "oauth.endpoint",
        Self::ClientId => Malformed "oauth.client_id",
        Self::Scope { .. } => Malformed "oauth.scope",
        Self::Form { .. } => Malformed "oauth.form",
        Self::Repeated => Malformed "oauth.repeated",
        Self::Request { .. } => Malformed "oauth.request",
        Self::Response { .. } => Malformed "oauth.response",
        Self::TokenType => Forbidden "oauth.token_type",
        Self::TransactionToken => Mismatch "oauth.transaction_token",
        Self::Refused(_) => Forbidden "oauth.refused",
        Self::AuthorizationDetails { .. } => Malformed "oauth.authorization_details",
        Self::Authenticate { .. } => Configuration "oauth.authenticate",
        Self::MetadataResponse { .. } => Malformed "metadata.response",
        Self::MetadataJson { .. } => Malformed "metadata.json",
        Self::MetadataIssuer { .. } => Mismatch "metadata.issuer",
        Self::MetadataResource { .. } => Mismatch "metadata.resource",
        Self::MetadataMember { .. } => Malformed "metadata.member",
        Self::MetadataSigned(_) => Untrusted "metadata.signed",
        Self::Confirmation => Malformed "oauth.confirmation",
        Self::Certificate { .. } => Malformed "oauth.certificate",
        Self::CertificateField { .. } => Malformed "oauth.certificate_field",
        Self::ChallengeSyntax => Malformed "challenge.syntax",
        Self::ChallengeRepeated => Malformed "challenge.repeated",
        Self::ChallengeSize => TooLarge "challenge.size",
        Self::ChallengeValue { .. } => Configuration "challenge.value",
        Self::AssertionJwt(_) => Malformed "assertion.jwt",
        Self::AssertionType => Mismatch "assertion.type",
        Self::AssertionKey(_) => Untrusted "assertion.key",
        Self::AssertionClient => Mismatch "assertion.client",
        Self::AssertionAudience => Mismatch "assertion.audience",
        Self::AssertionId => Malformed "assertion.id",
        Self::AssertionTime(_) => Expired "assertion.time",
        Self::AssertionReplayed(_) => Replayed "assertion.replayed",
        Self::AssertionUnknown(_) => Unavailable "assertion.unknown",
        Self::AttestationJwt(_) => Malformed "attestation.jwt",
        Self::AttestationType => Mismatch "attestation.type",
        Self::AttestationAudience => Mismatch "attestation.audience",
        Self::AttestationId => Malformed "attestation.id",
        Self::AttestationTime(_) => Expired "attestation.time",
        Self::AttestationReplayed(_) => Replayed "attestation.replayed",
        Self::AttestationUnknown(_) => Unavailable "attestation.unknown",
    }

    /// Returns the `error` that a token endpoint answers with (RFC 6749 §5.2, RFC 8707 §2).
    ///
    /// Returns `None` if the client is not at fault. Answer with a status of 500 or 503 then.
    #[must_use]
    pub const fn answer(&self) -> Option<&'static str> {
        match self {
            Self::AssertionJwt(_)
            | Self::AssertionType
            | Self::AssertionKey(_)
            | Self::AssertionClient
            | Self::AssertionAudience
            | Self::AssertionId
            | Self::AssertionTime(_)
            | Self::AssertionReplayed(_)
            | Self::AttestationJwt(_)
            | Self::AttestationType
            | Self::AttestationAudience
            | Self::AttestationId
            | Self::AttestationTime(_)
            | Self::AttestationReplayed(_) => Some("invalid_client"),
            Self::ClientId | Self::Form { .. } | Self::Repeated | Self::Request { .. } => {
                Some("invalid_request")
            }
            Self::Resource { .. } => Some("invalid_target"),
            Self::Scope { .. } => Some("invalid_scope"),
            Self::AuthorizationDetails { .. } => Some("invalid_authorization_details"),
            _ => None,
        }
    }

    pub(crate) const fn authenticate(reason: &'static str) -> Self {
        Self::Authenticate {
            reason,
            source: None,
        }
    }
}

fn found(answer: Option<&crate::token::UnreadableResponse>) -> String {
    answer.map_or_else(String::new, |answer| format!(", found {answer}"))
}
