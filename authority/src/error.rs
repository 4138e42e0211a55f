//! The error type of the crate.

mod wire;

use core::time::Duration;

/// The authority refused a request, or could not be built.
///
/// Each variant has a stable [`code`](Self::code). The response to the client is less specific: see
/// [`wire`](Self::wire). The precise code is written to `tracing` only, so that a response never
/// reveals which enrolments or clients exist.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Errors of the configuration.
    /// The base URL is neither `https` nor `http` with a loopback host, or has a query, a fragment,
    /// user information or a trailing slash.
    #[error(
        "invalid base URL: found {found}, expected `https`, or `http` on loopback, without query, fragment, user, default port or trailing slash"
    )]
    BaseUrl {
        /// The text without user information and query, escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The trust domain is missing or invalid.
    #[error("the trust domain is missing or not valid")]
    TrustDomain(#[source] Option<aims_wimse_id::Error>),
    /// The identifier of an enrolment is not within the authority's trust domain.
    #[error("`{id}` does not lie beneath this authority's trust domain")]
    EnrolmentOrigin {
        /// The identifier.
        id: aims_wimse_id::WorkloadId,
    },
    /// The identifier already has an enrolment, or its former holder still has valid credentials.
    #[error("`{id}` has a holder whose enrolment or credentials still live")]
    IdentifierHeld {
        /// The identifier.
        id: aims_wimse_id::WorkloadId,
    },
    /// The bootstrap token is shorter than 22 or longer than 256 characters, or the bootstrap token
    /// or key belongs to another enrolment.
    #[error("unusable bootstrap token or key: {reason}")]
    EnrolmentSecret {
        /// The expectation, and the value that was found.
        reason: &'static str,
    },
    /// The limit on enrolments is reached.
    #[error("no room for another enrolment")]
    EnrolmentsFull,
    /// A lifetime is zero, or longer than allowed.
    #[error("a lifetime must be between 1 s and {longest:?}")]
    Lifetime {
        /// The maximum lifetime.
        longest: Duration,
    },
    /// Two clients have the same `client_id` or pattern, or there are more than 1,024 clients.
    #[error("the client {client} {reason}")]
    Clients {
        /// The client: escaped, at most 200 characters.
        client: Box<str>,
        /// The defect, and what was expected.
        reason: &'static str,
    },
    /// A resource is not an absolute URI without fragment, is registered twice, or has a malformed
    /// scope; or a client names an unregistered resource.
    #[error("the resource {resource} {reason}")]
    Resources {
        /// The resource, without user information and query: escaped, at most 200 characters.
        resource: Box<str>,
        /// The defect, and what was expected.
        reason: Box<str>,
    },
    /// The rules about another domain cannot be used.
    #[error("the other domain {domain} {reason}")]
    Domain {
        /// The issuer of the other domain, or the setting that names none: escaped, at most 200
        /// characters.
        domain: Box<str>,
        /// The defect, and what was expected.
        reason: &'static str,
    },
    /// A method of the builder was called without another one that it needs.
    #[error("`Builder::{called}` needs `Builder::{missing}`: call both, or neither")]
    Incomplete {
        /// The method that was called.
        called: &'static str,
        /// The method that was not called.
        missing: &'static str,
    },
    /// The certificate of an authority that issues certificates of clients cannot be used.
    #[error("the certificate of an authority of clients cannot be used: {reason}")]
    ClientAuthority {
        /// The problem.
        reason: &'static str,
    },
    /// A key could not be generated, or does not fit its purpose.
    #[error("a signing key could not be made or does not fit its purpose")]
    Key(#[source] aims_jose::Error),
    /// The signing key for WIT-SVIDs or JWT-SVIDs is not RS, PS or ES.
    #[error("SVIDs are signed with RS, PS or ES algorithms only")]
    KeyAlgorithmForSvid,
    /// The key of the last rotation is not yet in use.
    #[error("the key published last is not yet in use")]
    RotationEarly,
    /// A bundle is not usable.
    #[error("a bundle is not usable")]
    Bundle(#[source] aims_wimse_cred::Error),

    // Errors of any request.
    /// `Host` is missing, repeated, or not a configured host (RFC 9110 §7.4).
    #[error("the request is for another host: found {found}, expected {expected}")]
    Host {
        /// The host of the request: escaped, at most 200 characters.
        found: Box<str>,
        /// The configured hosts.
        expected: Box<str>,
    },
    /// No endpoint has this path.
    #[error("no such path")]
    Path,
    /// The endpoint at this path does not allow the method.
    #[error("the method is not allowed, expected {allow}")]
    Method {
        /// The allowed methods, as in `Allow`.
        allow: &'static str,
    },
    /// The body is longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// `Content-Type` is not the expected one.
    #[error("the body must be `{due}`")]
    MediaType {
        /// The expected media type.
        due: &'static str,
    },
    /// One source sent too many requests, or too many with a wrong token.
    #[error("too many requests, retry in {retry_after} s")]
    TooMany {
        /// Seconds until the next request may be sent.
        retry_after: u64,
    },
    /// The [`State`](crate::State) has no room for another entry.
    #[error("no room for another entry of the kind `{}`", kind.name())]
    StateFull {
        /// The kind of the entry.
        kind: crate::Kind,
    },
    /// Random bytes, a signature, the state or the replay store failed.
    #[error("the authority cannot do this now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),

    // Errors of the identity server.
    /// The request does not have a known form.
    #[error("the identity request is malformed: {reason}")]
    IdentityRequest {
        /// The defect.
        reason: &'static str,
    },
    /// The nonce is not of this server, or has expired.
    #[error("the nonce is not of this server or has expired")]
    Nonce,
    /// The nonce was used before.
    #[error("the nonce was used")]
    NonceUsed,
    /// A proof is malformed, of another kind, for another audience, expired, valid for too long, or
    /// not signed by its key.
    #[error("a proof of possession is not valid")]
    Proof(#[source] aims_jose::Error),
    /// The authorizing proof is about another key or credential.
    #[error("the two proofs do not belong together")]
    ProofBinding,
    /// No enrolment has this token or key.
    #[error("no such enrolment")]
    Enrolment,
    /// The token of the enrolment was used before.
    #[error("the bootstrap token was used")]
    EnrolmentUsed,
    /// The enrolment has expired.
    #[error("the enrolment has expired")]
    EnrolmentExpired,
    /// The operator has withdrawn the identity.
    #[error("the identity was withdrawn")]
    Withdrawn,
    /// The same key has renewed its WIT for another key before: an attacker may have a copy of it.
    #[error(
        "this key has renewed for another key before, so an attacker may have a copy of it; enrol again"
    )]
    RenewedTwice {
        /// The other key.
        earlier: aims_jose::jwk::Thumbprint,
    },
    /// The credential to be renewed is not valid.
    #[error("the presented WIT is not valid")]
    PresentedWit(#[source] aims_wimse_cred::Error),
    /// The requested credential does not allow the algorithm of the key: a WIT-SVID takes RS, PS
    /// and ES only.
    #[error("the key's `alg` is missing or not allowed in this kind of credential")]
    KeyAlgorithm,
    /// The key belongs to another identifier.
    #[error("the key belongs to another identifier")]
    KeyTaken,
    /// The operator did not allow JWT-SVIDs for this audience.
    #[error("no JWT-SVID is issued for this audience")]
    Audience,
    /// The limit on credentials is reached.
    #[error("no room for another credential")]
    CredentialsFull,

    // Errors of the token endpoint.
    /// The token request is malformed (`invalid_request`).
    #[error("the token request is malformed: {reason}")]
    TokenRequest {
        /// The defect.
        reason: &'static str,
    },
    /// A field with a client certificate does not come from the named proxy, or is malformed
    /// (`invalid_request`).
    #[error("a field with a client certificate is not accepted")]
    CertificateField(#[source] aims_oauth_wire::Error),
    /// The client could not be authenticated (`invalid_client`).
    #[error("the client could not be authenticated")]
    Client {
        /// Whether the client used `Authorization`, which requires `WWW-Authenticate` (RFC 6749
        /// §5.2).
        by_authorization: bool,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The DPoP proof of a token request is not valid (RFC 9449 §5).
    #[error("the DPoP proof of the token request was refused")]
    Dpop {
        /// `error` of the response: `invalid_dpop_proof` or `use_dpop_nonce`.
        answer: &'static str,
        /// The nonce for the client's next proof.
        nonce: Option<aims_oauth_wire::dpop::Nonce>,
        /// The defect.
        #[source]
        source: aims_oauth_wire::dpop::Error,
    },
    /// The grant type is not supported (`unsupported_grant_type`).
    #[error("the grant type is not supported, expected one of {supported:?}")]
    GrantType {
        /// The supported grant types.
        supported: Vec<&'static str>,
    },
    /// The authorization request is malformed (`invalid_request`, RFC 6749 §4.1.2.1).
    #[error("the authorization request is malformed: {reason}")]
    Authorization {
        /// The defect.
        reason: &'static str,
    },
    /// A signed authorization request (RFC 9101) is not valid.
    #[error("the signed authorization request is not valid: {reason}")]
    RequestObject {
        /// The defect.
        reason: &'static str,
    },
    /// The redirect URI is not exactly one of the client's. The browser is sent nowhere.
    #[error("the redirect URI is not registered for this client")]
    RedirectUri,
    /// The `request_uri` is unknown, used, expired, or of another client (RFC 9126 §4).
    #[error("the request URI is unknown, used, expired, or of another client")]
    RequestUri,
    /// `response_type` is not `code` (`unsupported_response_type`).
    #[error("the response type is not supported, expected `code`")]
    ResponseType,
    /// The request has no code challenge by `S256` (RFC 7636 §4.4.1).
    #[error("no usable code challenge: {reason}")]
    CodeChallenge {
        /// The defect.
        reason: &'static str,
    },
    /// `authorization_details` is malformed, of an unknown type, or more than was granted
    /// (`invalid_authorization_details`, RFC 9396 §5).
    #[error("the authorization details are refused: {reason}")]
    Details {
        /// The defect.
        reason: &'static str,
    },
    /// The sign-in of the user does not suffice.
    #[error("the sign-in does not suffice: {reason}")]
    Login {
        /// `error` of the response: `login_required`, `consent_required` or
        /// `unmet_authentication_requirements` (RFC 9470 §5).
        answer: &'static str,
        /// The defect.
        reason: &'static str,
    },
    /// The user denied the request, or may authorize no client (`access_denied`).
    #[error("the user denied the request")]
    Denied,
    /// The form was not sent from its page by its user. The browser is sent nowhere.
    #[error("the form of the consent page was refused: {reason}")]
    Consent {
        /// The defect.
        reason: &'static str,
    },
    /// [`AuthenticateUser`](crate::AuthenticateUser) returned a `sub` that could be a client.
    #[error(
        "the `sub` of the user is unusable, expected 1 to 255 printable ASCII characters, and no client or workload"
    )]
    Subject,
    /// The code or refresh token is not valid for this request (`invalid_grant`).
    #[error("the grant is not valid: {reason}")]
    Grant {
        /// The defect.
        reason: &'static str,
    },
    /// The code was used before. Its grant was revoked (`invalid_grant`, RFC 6749 §4.1.2).
    #[error("the code was used before, its grant is revoked")]
    CodeUsed,
    /// The refresh token was used before. Its grant was revoked (`invalid_grant`, RFC 9700 §4.14).
    #[error("the refresh token was used before, its grant is revoked")]
    RefreshUsed,
    /// The refresh token was used a moment ago by the holder of its key. Nothing was revoked
    /// (`invalid_grant`).
    #[error("the refresh token was used a moment ago; use its successor")]
    RefreshAgain,
    /// A request for the approval of a user is refused (OpenID CIBA Core 1.0 §13).
    #[error("the request for an approval is refused: {reason}")]
    Backchannel {
        /// `error` of the response, such as `unknown_user_id`.
        answer: &'static str,
        /// The defect.
        reason: &'static str,
    },
    /// The user has not decided yet (OpenID CIBA Core 1.0 §11).
    #[error("the user has not decided yet")]
    Pending {
        /// `error` of the response: `authorization_pending` or `slow_down`.
        answer: &'static str,
    },
    /// The user has not decided in time (`expired_token`, OpenID CIBA Core 1.0 §11).
    #[error("the user has not decided in time")]
    ApprovalExpired,
    /// The subject token of an exchange is not valid, or not of this server (`invalid_request`, RFC
    /// 8693 §2.2.2).
    #[error("the subject token is refused: {reason}")]
    SubjectToken {
        /// The defect.
        reason: &'static str,
    },
    /// The authorization grant of another issuer is not valid for this request (`invalid_grant`,
    /// RFC 7523 §3.1).
    #[error("the assertion is refused: {reason}")]
    Assertion {
        /// The defect.
        reason: &'static str,
    },
    /// The authorization grant of another issuer was used before (`invalid_grant`).
    #[error("the assertion was used before")]
    AssertionUsed,
    /// A transaction has a member of `tctx` that a token of another domain would not have, so it
    /// stays within its trust domain (`invalid_target`).
    #[error("the transaction has a `tctx` that cannot leave its trust domain")]
    TransactionStays,
    /// An exchanged token would permit more than its subject token.
    #[error("an exchanged token must not permit more than its subject token")]
    Amplification(#[source] aims_oauth_wire::delegate::Amplification),
    /// The metadata of a client are refused (RFC 7591 §3.2.2).
    #[error("the metadata of a client are refused: {reason}")]
    Registration {
        /// `error` of the response: `invalid_redirect_uri`, `invalid_client_metadata` or
        /// `unapproved_software_statement`.
        answer: &'static str,
        /// The defect.
        reason: &'static str,
    },
    /// This client may not use the grant (`unauthorized_client`).
    #[error("the client may not use this grant: {reason}")]
    ClientGrant {
        /// The rule, and what the client can do.
        reason: &'static str,
    },
    /// The resource is unknown, malformed, repeated, missing, or not for this client
    /// (`invalid_target`).
    #[error("the resource is unknown, or not for this client")]
    Target,
    /// The target is named as it should be, and another rule refuses it (`invalid_target`).
    #[error("the target is refused: {reason}; found {found}")]
    TargetNotAllowed {
        /// The rule, and what was expected. It becomes `error_description`.
        reason: Box<str>,
        /// The found names, escaped.
        found: Box<str>,
    },
    /// A scope is malformed, unknown, or not for this client (`invalid_scope`).
    #[error("a scope is unknown, or not for this client")]
    Scope,
    /// A known client asked for a scope that it may not have at a known resource (`invalid_scope`).
    #[error(
        "a scope is unknown, or not for the client {client} at `{resource}`: asked for {asked}, expected some of {allowed}"
    )]
    ScopeNotAllowed {
        /// The client, formatted for the message.
        client: Box<str>,
        /// The requested resource.
        resource: Box<str>,
        /// The requested scopes: escaped, at most 200 characters.
        asked: Box<str>,
        /// The scopes that the client may have there.
        allowed: Box<str>,
    },

    // Errors of the server.
    /// Other machines can reach the listener.
    #[error(
        "refusing to listen on `{address}`: an authority that holds its keys and enrolments in memory is meant for one machine; `Server::reachable_from_network` overrules this"
    )]
    NotLoopback {
        /// The address of the listener.
        address: std::net::SocketAddr,
    },
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

impl Error {
    aims_error::codes! {
        Self::BaseUrl { .. } => Configuration "authority.base_url",
        Self::TrustDomain(_) => Configuration "authority.trust_domain",
        Self::EnrolmentOrigin { .. } => Configuration "authority.enrolment_origin",
        Self::IdentifierHeld { .. } => Configuration "authority.identifier_held",
        Self::EnrolmentSecret { .. } => Configuration "authority.enrolment_secret",
        Self::EnrolmentsFull => Configuration "authority.enrolments_full",
        Self::Lifetime { .. } => Configuration "authority.lifetime",
        Self::Clients { .. } => Configuration "authority.clients",
        Self::Resources { .. } => Configuration "authority.resources",
        Self::Domain { .. } => Configuration "authority.domain",
        Self::Incomplete { .. } => Configuration "authority.incomplete",
        Self::ClientAuthority { .. } => Configuration "authority.client_authority",
        Self::Key(_) => Unavailable "authority.key",
        Self::KeyAlgorithmForSvid => Configuration "authority.key_algorithm",
        Self::RotationEarly => Unavailable "authority.rotation_early",
        Self::Bundle(_) => Configuration "authority.bundle",
        Self::Host { .. } => Mismatch "authority.host",
        Self::Path => Forbidden "authority.path",
        Self::Method { .. } => Forbidden "authority.method",
        Self::TooLarge { .. } => TooLarge "authority.too_large",
        Self::Slow => Unavailable "authority.slow",
        Self::MediaType { .. } => Malformed "authority.media_type",
        Self::TooMany { .. } => Unavailable "authority.too_many",
        Self::StateFull { .. } => Unavailable "authority.state_full",
        Self::Unavailable(_) => Unavailable "authority.unavailable",
        Self::IdentityRequest { .. } => Malformed "identity.request",
        Self::Nonce => Malformed "identity.nonce",
        Self::NonceUsed => Replayed "identity.nonce_used",
        Self::Proof(_) => Malformed "identity.proof",
        Self::ProofBinding => Mismatch "identity.proof_binding",
        Self::Enrolment => Untrusted "identity.enrolment",
        Self::EnrolmentUsed => Replayed "identity.enrolment_used",
        Self::EnrolmentExpired => Expired "identity.enrolment_expired",
        Self::Withdrawn => Revoked "identity.withdrawn",
        Self::RenewedTwice { .. } => Revoked "identity.renewed_twice",
        Self::PresentedWit(_) => Untrusted "identity.presented_wit",
        Self::KeyAlgorithm => Forbidden "identity.key_algorithm",
        Self::KeyTaken => Forbidden "identity.key_taken",
        Self::Audience => Forbidden "identity.audience",
        Self::CredentialsFull => Unavailable "identity.credentials_full",
        Self::TokenRequest { .. } => Malformed "as.request",
        Self::Client { .. } => Forbidden "as.client",
        Self::Dpop { .. } => Forbidden "as.dpop",
        Self::CertificateField(_) => Malformed "as.certificate_field",
        Self::GrantType { .. } => Forbidden "as.grant_type",
        Self::Authorization { .. } => Malformed "as.authorization",
        Self::RequestObject { .. } => Malformed "as.request_object",
        Self::RedirectUri => Mismatch "as.redirect_uri",
        Self::RequestUri => Mismatch "as.request_uri",
        Self::ResponseType => Forbidden "as.response_type",
        Self::CodeChallenge { .. } => Malformed "as.code_challenge",
        Self::Details { .. } => Forbidden "as.details",
        Self::Login { .. } => Forbidden "as.login",
        Self::Denied => Forbidden "as.denied",
        Self::Consent { .. } => Mismatch "as.consent",
        Self::Subject => Configuration "as.subject",
        Self::Grant { .. } => Forbidden "as.grant",
        Self::CodeUsed => Replayed "as.code_used",
        Self::RefreshUsed => Replayed "as.refresh_used",
        Self::RefreshAgain => Replayed "as.refresh_again",
        Self::Backchannel { .. } => Forbidden "as.backchannel",
        Self::Pending { .. } => Unavailable "as.pending",
        Self::ApprovalExpired => Expired "as.approval_expired",
        Self::SubjectToken { .. } => Untrusted "as.subject_token",
        Self::Assertion { .. } => Untrusted "as.assertion",
        Self::AssertionUsed => Replayed "as.assertion_used",
        Self::TransactionStays => Forbidden "as.transaction_stays",
        Self::Amplification(_) => Forbidden "as.amplification",
        Self::Registration { .. } => Forbidden "as.registration",
        Self::ClientGrant { .. } => Forbidden "as.client_grant",
        Self::Target | Self::TargetNotAllowed { .. } => Forbidden "as.target",
        Self::Scope | Self::ScopeNotAllowed { .. } => Forbidden "as.scope",
        Self::NotLoopback { .. } => Configuration "server.not_loopback",
        Self::Listener(_) => Unavailable "server.listener",
    }

    pub(crate) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Error;

    #[test]
    fn codes_are_unique() {
        let unique: HashSet<_> = Error::CODES.iter().collect();
        assert_eq!(unique.len(), Error::CODES.len());
    }
}
