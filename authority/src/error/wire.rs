//! The part of an error that clients see.

use aims_oauth_wire::delegate::Dimension;

use super::Error;

/// The status and the `code` of the RFC 9457 problem that an identity endpoint sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wire {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
}

impl Error {
    /// The values of `code` in the problem documents of an identity endpoint.
    pub const WIRE_CODES: &'static [&'static str] =
        aims_wimse_cred::enrolment::messages::PROBLEM_CODES;

    /// Returns the status and `code` of the response to the client. Every defect of an enrolment
    /// gives the same response: `403 identity.refused`.
    #[must_use]
    pub fn wire(&self) -> (u16, &'static str) {
        let wire = self.wire_form();
        (wire.status, wire.code)
    }

    pub(crate) fn wire_form(&self) -> Wire {
        let (status, code, title) = match self {
            Self::Host { .. } => (421, "authority.host", "Misdirected request"),
            Self::Path => (404, "authority.path", "Not found"),
            Self::Method { .. } => (405, "authority.method", "Method not allowed"),
            Self::TooLarge { .. } => (413, "authority.too_large", "Content too large"),
            Self::Slow => (408, "authority.slow", "Request timeout"),
            Self::MediaType { .. } => (415, "authority.media_type", "Unsupported media type"),
            Self::TooMany { .. } => (429, "authority.too_many", "Too many requests"),
            Self::IdentityRequest { .. } => (400, "identity.request", "Malformed identity request"),
            Self::Nonce | Self::NonceUsed => (400, "identity.challenge", "A fresh nonce is needed"),
            Self::Proof(_) | Self::ProofBinding => {
                (400, "identity.proof", "Proof of possession not valid")
            }
            Self::KeyAlgorithm => (
                400,
                "identity.key_algorithm",
                "Key algorithm not allowed in this credential",
            ),
            Self::KeyTaken => (409, "identity.key", "The key cannot be used"),
            Self::Enrolment
            | Self::EnrolmentUsed
            | Self::EnrolmentExpired
            | Self::Withdrawn
            | Self::RenewedTwice { .. }
            | Self::PresentedWit(_)
            | Self::Audience => (403, "identity.refused", "Refused"),
            _ => (503, "identity.unavailable", "Not available now"),
        };
        Wire {
            status,
            code,
            title,
        }
    }

    /// Returns `error` of the token endpoint's response (RFC 6749 §5.2, RFC 8707 §2).
    #[must_use]
    pub const fn oauth(&self) -> &'static str {
        match self {
            Self::Client { .. } => "invalid_client",
            Self::Dpop { answer, .. } => answer,
            Self::GrantType { .. } => "unsupported_grant_type",
            Self::ClientGrant { .. } => "unauthorized_client",
            Self::Assertion { .. }
            | Self::AssertionUsed
            | Self::CodeUsed
            | Self::Grant { .. }
            | Self::RefreshAgain
            | Self::RefreshUsed => "invalid_grant",
            Self::Amplification(found) => match found.dimension {
                Dimension::Scope => "invalid_scope",
                Dimension::Audience => "invalid_target",
                _ => "invalid_request",
            },
            Self::Denied => "access_denied",
            Self::Details { .. } => "invalid_authorization_details",
            Self::ApprovalExpired => "expired_token",
            Self::Backchannel { answer, .. }
            | Self::Login { answer, .. }
            | Self::Pending { answer }
            | Self::Registration { answer, .. } => answer,
            Self::RequestObject { .. } => "invalid_request_object",
            Self::RequestUri => "invalid_request_uri",
            Self::ResponseType => "unsupported_response_type",
            Self::Target | Self::TargetNotAllowed { .. } | Self::TransactionStays => {
                "invalid_target"
            }
            Self::Scope | Self::ScopeNotAllowed { .. } => "invalid_scope",
            Self::Authorization { .. }
            | Self::CertificateField(_)
            | Self::CodeChallenge { .. }
            | Self::Consent { .. }
            | Self::RedirectUri
            | Self::SubjectToken { .. }
            | Self::TokenRequest { .. }
            | Self::Slow
            | Self::MediaType { .. }
            | Self::TooLarge { .. } => "invalid_request",
            Self::TooMany { .. } => "temporarily_unavailable",
            _ => "server_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    /// Every defect of an enrolment gives the same response.
    #[test]
    fn enrolment_refusals_look_alike() {
        for error in [
            Error::Enrolment,
            Error::EnrolmentUsed,
            Error::EnrolmentExpired,
            Error::Withdrawn,
        ] {
            assert_eq!(error.wire(), (403, "identity.refused"), "{error}");
            assert!(Error::WIRE_CODES.contains(&error.wire().1));
        }
    }
}
