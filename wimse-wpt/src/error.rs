//! Errors of verifying and making proofs.

use crate::Revision;

/// A workload proof token was refused, or could not be made.
///
/// No message contains a token. No message repeats its source; [`aims_jose::Chain`] prints both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The WPT is not a well-formed JWS, or its `typ`, `alg`, signature, a claim or a time is
    /// wrong.
    #[error("workload proof token")]
    Wpt(#[source] aims_jose::Error),
    /// `aud` is not an audience that this receiver is configured with.
    #[error(
        "the proof is for another audience: found {found}, expected {expected}; call the receiver by \
         this URL, or add the found name to the receiver (`GuardBuilder::proof_audience`)"
    )]
    Audience {
        /// `aud` of the proof, escaped, at most 200 characters.
        found: Box<str>,
        /// The configured audiences of the receiver, escaped, at most 200 characters.
        expected: Box<str>,
    },
    /// `wth` is not the hash of the WIT in the same request.
    #[error(
        "`wth` is not the hash of the presented WIT: expected a proof made for it; make the proof \
         when the request is sent, from the WIT that goes with it"
    )]
    WitHash,
    /// `ath` is missing, or not the hash of the access token, or is there without an access token.
    #[error(
        "`ath` does not fit the access token: expected its hash, and no `ath` without a token; \
         attach the token before the request is proven"
    )]
    AccessTokenHash,
    /// `tth` is missing, or not the hash of the transaction token, or is there without one.
    #[error(
        "`tth` does not fit the transaction token: expected its hash, and no `tth` without one; \
         set `Txn-Token` before the request is proven"
    )]
    TxnTokenHash,
    /// `oth` does not cover a required field, has another hash for it, or names a field that is
    /// absent or unknown to the receiver.
    #[error(
        "`oth` does not fit the other fields: expected the hash of each that both sides agreed on; \
         let no intermediary change them"
    )]
    OtherHash,
    /// The binding holds an access token, which draft-ietf-wimse-wpt-02 cannot bind.
    #[error(
        "a proof of draft-ietf-wimse-wpt-02 does not go with an access token: use HTTP message \
         signatures for both, or configure `Revision::Draft01` on both sides"
    )]
    AccessToken,
    /// The proof is of a revision that this receiver does not accept.
    #[error(
        "unexpected workload proof token of draft-ietf-wimse-wpt-{}, expected one of -{}; accept \
         both by `Revisions::BOTH` (`WptRules::with_revisions`, `GuardBuilder::wpt_revisions`), or \
         let the sender make the other one",
        found.as_str(),
        found.other().as_str()
    )]
    Revision {
        /// The revision of the proof.
        found: Revision,
    },
    /// The request has both `Authorization: WPT` and `Workload-Proof-Token`.
    #[error(
        "the request has a proof in `authorization` and another in `workload-proof-token`: expected \
         one of them"
    )]
    BothForms,
    /// The request already has an `Authorization` field, so the proof cannot be added.
    #[error(
        "the request has an `Authorization` field, where the proof would go: remove it, or prove \
         the request by an HTTP message signature"
    )]
    Authorization,
    /// The proof was seen before, or the replay store refuses it.
    #[error("the proof cannot be spent")]
    Replay(#[source] aims_replay::Error),
    /// One of the two header fields is missing.
    #[error("the field `{field}` is missing: expected a WIT together with its proof")]
    FieldMissing {
        /// The name of the missing field in lower case; `authorization: WPT` for the proof of
        /// draft-ietf-wimse-wpt-02.
        field: &'static str,
    },
    /// The field occurs more than once, or holds several values.
    #[error("the field `{field}` occurs more than once: expected one")]
    FieldRepeated {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// The value of the field is not three parts of base64url.
    #[error(
        "the field `{field}` does not hold a compact JWT: expected three parts of base64url and dots between, and nothing else"
    )]
    FieldSyntax {
        /// The name of the field, in lower case.
        field: &'static str,
    },
    /// The value of the field is longer than the limit.
    #[error(
        "the field `{field}` is too long: expected at most {limit} bytes; issue a smaller token"
    )]
    FieldTooLong {
        /// The name of the field, in lower case.
        field: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The target is not an absolute URI with a host, or has user information.
    #[error(
        "no audience can be made of the target, which {reason}: expected an absolute URL with a \
         host, such as `https://tools.example/mcp`"
    )]
    Target {
        /// The defect of the target.
        reason: &'static str,
    },
    /// The binding or the lifetime does not allow a proof: no audience or several, a lifetime
    /// outside the limits, a repeated field, or an invalid field name.
    #[error("the proof cannot be made: {reason}")]
    Prepare {
        /// The defect.
        reason: &'static str,
    },
}

impl Error {
    aims_error::codes! {
        Self::Audience { .. } => Mismatch "wpt.audience",
        Self::WitHash => Mismatch "wpt.wth",
        Self::AccessTokenHash => Mismatch "wpt.ath",
        Self::TxnTokenHash => Mismatch "wpt.tth",
        Self::OtherHash => Mismatch "wpt.oth",
        Self::AccessToken => Configuration "wpt.access_token",
        Self::Revision { .. } => Mismatch "wpt.revision",
        Self::BothForms => Malformed "wpt.both_forms",
        Self::Authorization => Configuration "wpt.authorization",
        Self::FieldMissing { .. } => Malformed "wpt.field_missing",
        Self::FieldRepeated { .. } => Malformed "wpt.field_repeated",
        Self::FieldSyntax { .. } => Malformed "wpt.field_syntax",
        Self::FieldTooLong { .. } => TooLarge "wpt.field_too_long",
        Self::Target { .. } => Configuration "wpt.target",
        Self::Prepare { .. } => Configuration "wpt.prepare",
        ;
        Self::Wpt(source) => aims_jose::token_code!("wpt", source), source.kind();
        Self::Replay(source) => source.code(), source.kind();
        ; [
            "wpt.algorithm",
            "wpt.claim",
            "wpt.expired",
            "wpt.lifetime",
            "wpt.not_yet_valid",
            "wpt.signature",
            "wpt.typ",
        ]
    }
}
