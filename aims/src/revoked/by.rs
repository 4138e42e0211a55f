//! The scopes of revocations.

use aims_jose::jwk::Thumbprint;
use aims_jose::time::{self, UnixTime};
use aims_oauth_rs::AccessToken;
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;

/// The scope of a revocation: one credential, or all credentials up to a time of an agent, subject,
/// client, session, token identifier, key, certificate or issuer.
///
/// ```
/// use aims::revoked::RevokedBy;
///
/// let client = RevokedBy::Client {
///     issuer: "https://as.example".to_owned(),
///     client: "s6BhdRkqt3".to_owned(),
/// };
/// # drop(client);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RevokedBy {
    /// The WIT, access token or transaction token whose header and payload have this SHA-256
    /// ([`Wit::signed_hash`], [`AccessToken::signed_hash`], [`TxnToken::signed_hash`]). The hash
    /// does not depend on the encoding of the signature.
    SignedHash {
        /// The SHA-256 of the header and payload.
        hash: [u8; 32],
        /// When the credential expires. A full list may forget the entry ten minutes later, which
        /// is more than any clock skew of a guard. For a credential without an expiry, use the
        /// greatest time to keep the entry forever.
        expires: UnixTime,
    },
    /// Every WIT of this agent, and every access token that names it: as its client
    /// (`client_id`, or by [`IssuerRules::client_is`](aims_oauth_rs::IssuerRules::client_is)), as
    /// its subject, or in `act`.
    Agent(WorkloadId),
    /// Every access token and transaction token of this subject of this issuer, and every access
    /// token in which it acts for another (`act`).
    Subject {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The subject, as in `sub`.
        subject: String,
    },
    /// Every access token that this issuer issued to this client, or in which it acts for another
    /// (`act`).
    Client {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The identifier of the client, as in `client_id`.
        client: String,
    },
    /// Every access token and transaction token of this issuer.
    Issuer(String),
    /// Every access token of this session of a user, such as one that has logged out.
    Session {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The session, as in `sid`.
        session: String,
    },
    /// The access tokens with this identifier.
    TokenId {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The identifier, as in `jti`.
        token_id: String,
    },
    /// Every WIT of this key, and every access token and transaction token that is bound to it
    /// (`cnf.jwk`, `cnf.jkt`), such as a key that was stolen.
    Key(Thumbprint),
    /// Every credential. It is for emergencies; a full list falls back to it.
    Everything,
    /// Every access token and transaction token that is bound to this certificate (`cnf.x5t#S256`,
    /// RFC 8705 §3.1).
    Certificate(CertificateThumbprint),
}

impl RevokedBy {
    /// Returns the entry that revokes this WIT.
    ///
    /// ```
    /// use aims::jose::time::UnixTime;
    /// use aims::revoked::{RevocationList, RevokedBy};
    ///
    /// /// Revokes the credential of a caller that misbehaves.
    /// fn revoke(list: &RevocationList, who: &aims::Principal) {
    ///     if let Some(wit) = who.wit() {
    ///         list.revoke(RevokedBy::wit(wit), UnixTime::now());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn wit(wit: &Wit) -> Self {
        Self::SignedHash {
            hash: *wit.signed_hash(),
            expires: wit.expires(),
        }
    }

    /// Returns the entry that revokes this transaction token. Another token of the same transaction
    /// is not revoked.
    #[must_use]
    pub fn transaction_token(token: &TxnToken) -> Self {
        Self::SignedHash {
            hash: *token.signed_hash(),
            expires: token.expires(),
        }
    }

    /// Returns the entry that revokes this access token.
    ///
    /// A token without `exp`, as an introspection response may describe it, is kept forever,
    /// because its issuer may report it as active at any later time.
    #[must_use]
    pub fn access_token(token: &AccessToken) -> Self {
        Self::SignedHash {
            hash: *token.signed_hash(),
            expires: token.exp().unwrap_or(time::at(u64::MAX)),
        }
    }
}
