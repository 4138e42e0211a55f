//! The values that a proof is bound to.

use aims_jose::digest::{Hashed, sha256};

use crate::Revision;

/// The values that a proof is bound to: an audience, and the tokens and header fields sent with it.
///
/// A binding consists of plain values and not of HTTP types, so any protocol can carry proofs. Both
/// sides build the same binding. The sender uses what it sends; the receiver uses its own
/// configuration and what it received. A binding is of draft-ietf-wimse-wpt-02 unless
/// [`revision`](Self::revision) sets another.
///
/// ```
/// use aims_wimse_wpt::Binding;
///
/// let txn_token = "eyJ0eXAiOiJ0eG50b2tlbitqd3QifQ.e30.c2ln"; // sent in the same request
/// let binding = Binding::to("https://tool.example/search")
///     .txn_token(txn_token)
///     .header("x-tenant", b"acme");
/// # let _ = binding;
/// ```
#[derive(Clone)]
pub struct Binding<'a> {
    pub(crate) revision: Revision,
    pub(crate) audiences: Vec<&'a str>,
    pub(crate) access_token: Option<Token<'a>>,
    pub(crate) txn_token: Option<Token<'a>>,
    pub(crate) others: Vec<(&'a str, &'a [u8])>,
}

/// A token, or its SHA-256 if the caller has computed it.
#[derive(Clone, Copy)]
pub(crate) enum Token<'a> {
    Text(&'a str),
    Sha256([u8; 32]),
}

impl Token<'_> {
    pub(crate) fn sha256(self) -> [u8; 32] {
        match self {
            Self::Text(text) => sha256(text.as_bytes()),
            Self::Sha256(hash) => hash,
        }
    }
}

impl<'a> Binding<'a> {
    /// Binds to this audience: the target URI without query and fragment, or a name that both sides
    /// have agreed on.
    ///
    /// A receiver takes the audience from its configuration and never from the request
    /// (draft-ietf-wimse-wpt §2).
    #[must_use]
    pub fn to(audience: &'a str) -> Self {
        Self {
            revision: Revision::default(),
            audiences: vec![audience],
            access_token: None,
            txn_token: None,
            others: Vec::new(),
        }
    }

    /// Sets the revision of the draft. Defaults to [`Revision::Draft02`].
    #[must_use]
    pub const fn revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Accepts this audience too, for a receiver with several names.
    #[must_use]
    pub fn or_to(mut self, audience: &'a str) -> Self {
        self.audiences.push(audience);
        self
    }

    /// Binds this OAuth access token by `ath`. Only [`Revision::Draft01`] can express it.
    ///
    /// With [`Revision::Draft02`], such a binding can neither be signed nor accepted. There, an
    /// agent that sends an access token uses HTTP message signatures, which cover `authorization`.
    #[must_use]
    pub const fn access_token(mut self, token: &'a str) -> Self {
        self.access_token = Some(Token::Text(token));
        self
    }

    /// Binds an access token like [`access_token`](Self::access_token), from its existing hash.
    #[must_use]
    pub fn access_token_hashed(mut self, token: &Hashed<'_>) -> Self {
        self.access_token = Some(Token::Sha256(*token.sha256()));
        self
    }

    /// Binds this transaction token by `tth`.
    #[must_use]
    pub const fn txn_token(mut self, token: &'a str) -> Self {
        self.txn_token = Some(Token::Text(token));
        self
    }

    /// Binds this header field by `oth`: its name in lower case, and its value.
    ///
    /// The receiver adds each field that it uses and understands. The proof must then cover exactly
    /// these fields.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a [u8]) -> Self {
        self.others.push((name, trimmed(value)));
        self
    }
}

impl std::fmt::Debug for Binding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binding")
            .field("revision", &self.revision)
            .field("audiences", &self.audiences)
            .field("access_token", &self.access_token.is_some())
            .field("txn_token", &self.txn_token.is_some())
            .field("others", &self.others.len())
            .finish()
    }
}

/// Removes surrounding spaces and tabs (RFC 9110 §5.5).
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
