//! Error codes: each error has one, and no two errors have the same.

use std::collections::BTreeSet;

use aims_oauth_wire::Error;
use aims_oauth_wire::certificate::FieldProblem;
use aims_oauth_wire::token::TokenError;

fn all() -> Vec<Error> {
    let reason = "";
    let refused = TokenError::new("invalid_grant")
        .map(Box::new)
        .map(Error::Refused);
    let mut all = vec![
        Error::Issuer {
            found: "".into(),
            reason,
        },
        Error::Resource {
            found: "".into(),
            reason,
        },
        Error::Endpoint {
            found: "".into(),
            reason,
        },
        Error::ClientId,
        Error::Confirmation,
        Error::Certificate { reason },
        Error::CertificateField {
            field: http::HeaderName::from_static("client-cert"),
            problem: FieldProblem::Repeated,
        },
        Error::Scope {
            found: "none".into(),
        },
        Error::Form { reason },
        Error::Repeated,
        Error::Request { reason },
        Error::Response {
            reason,
            answer: None,
        },
        Error::TokenType,
        Error::TransactionToken,
        Error::AuthorizationDetails { reason },
        Error::Authenticate {
            reason,
            source: None,
        },
        Error::MetadataResponse {
            expected: "",
            found: "".into(),
        },
        Error::MetadataJson {
            expected: "",
            source: None,
        },
        Error::MetadataSigned(aims_jose::Error::Json),
        Error::MetadataIssuer {
            expected: "".into(),
            found: "".into(),
        },
        Error::MetadataResource {
            expected: "".into(),
            found: "".into(),
        },
        Error::MetadataMember {
            member: "",
            expected: "",
            found: "",
        },
        Error::ChallengeSyntax,
        Error::ChallengeRepeated,
        Error::ChallengeSize,
        Error::ChallengeValue { parameter: "" },
        Error::AssertionJwt(aims_jose::Error::Parts),
        Error::AssertionType,
        Error::AssertionKey(aims_jose::Error::UnknownKey),
        Error::AssertionClient,
        Error::AssertionAudience,
        Error::AssertionId,
        Error::AssertionTime(aims_jose::Error::Expired {
            until: 1,
            now: 100,
            skew: 30,
        }),
        Error::AssertionReplayed(aims_replay::Error::Replayed),
        Error::AssertionUnknown(aims_replay::Error::Full),
        Error::AttestationJwt(aims_jose::Error::Parts),
        Error::AttestationType,
        Error::AttestationAudience,
        Error::AttestationId,
        Error::AttestationTime(aims_jose::Error::Expired {
            until: 1,
            now: 100,
            skew: 30,
        }),
        Error::AttestationReplayed(aims_replay::Error::Replayed),
        Error::AttestationUnknown(aims_replay::Error::Full),
    ];
    all.extend(refused);
    all
}

#[test]
fn codes_are_unique_and_listed() {
    let codes: BTreeSet<_> = all().iter().map(Error::code).collect();
    assert_eq!(codes.len(), all().len());
    assert_eq!(codes, Error::CODES.iter().copied().collect());
    assert_eq!(codes.len(), Error::CODES.len());
    for code in codes {
        let (kind, rest) = code.split_once('.').unwrap();
        let kinds = ["oauth", "metadata", "challenge", "assertion", "attestation"];
        assert!(kinds.contains(&kind));
        assert!(rest.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')));
    }
}

/// JWTA-22, RSC-03: the answers of a server.
#[test]
fn answers() {
    for error in all() {
        let expected = match error.code() {
            "assertion.unknown" | "attestation.unknown" => None,
            code if code.starts_with("assertion.") => Some("invalid_client"),
            code if code.starts_with("attestation.") => Some("invalid_client"),
            "oauth.client_id" | "oauth.form" | "oauth.repeated" | "oauth.request" => {
                Some("invalid_request")
            }
            "oauth.resource" => Some("invalid_target"),
            "oauth.scope" => Some("invalid_scope"),
            "oauth.authorization_details" => Some("invalid_authorization_details"),
            _ => None,
        };
        assert_eq!(error.answer(), expected, "{error}");
    }
}
