//! A credential in one header field, and a new proof of its key in another
//! (draft-ietf-oauth-attestation-based-client-auth §5).

use core::fmt;

use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;

use super::{Authentication, expect_algorithm, failed, name_in_body, sensitive, unsigned};
use crate::Error;
use crate::attestation::{ATTESTATION, ATTESTATION_POP, POP_TYPE, PopClaims};
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// The text of a credential and the private key of its `cnf.jwk`.
#[derive(Clone)]
pub(super) struct Credential {
    pub(super) text: SecretText,
    signer: AnySigner,
}

impl Credential {
    pub(super) fn new(text: impl Into<SecretText>, signer: impl Into<AnySigner>) -> Self {
        Self {
            text: text.into(),
            signer: signer.into(),
        }
    }

    /// Returns what the key must sign to prove itself to this server, once.
    pub(super) fn input(
        &self,
        server: &ServerMetadata,
        challenge: Option<&SecretText>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        expect_algorithm(server.client_attestation_pop_algorithms(), &self.signer)?;
        let claims = PopClaims {
            aud: server.issuer().as_str(),
            jti: random::id128(random).map_err(failed("no random bytes"))?,
            iat: now.as_secs(),
            challenge: challenge.map(SecretText::expose),
        };
        let input = SigningInput::new(POP_TYPE, self.signer.algorithm(), None, &claims);
        input.map_err(failed("the proof cannot be written"))
    }

    /// Signs the proof by a synchronous key, and adds both to the request.
    pub(super) fn authenticate(
        &self,
        request: &mut TokenRequest,
        input: SigningInput,
        client: &ClientId,
    ) -> Result<(), Error> {
        let pop = unsigned::sign(input, &self.signer)?;
        present(request, client, &self.text, &pop)
    }

    /// Adds both to the request, if the key is synchronous. Otherwise returns what must be signed.
    pub(super) fn begin(
        self,
        request: TokenRequest,
        input: SigningInput,
        client: ClientId,
    ) -> Result<Authentication, Error> {
        let Self { text, signer } = self;
        unsigned::begin(request, input, signer, move |request, pop| {
            present(request, &client, &text, &pop)
        })
    }
}

/// Adds a credential and the proof of its key to the request.
fn present(
    request: &mut TokenRequest,
    client: &ClientId,
    text: &SecretText,
    pop: &CompactJws,
) -> Result<(), Error> {
    request.header(ATTESTATION, sensitive(text.expose())?)?;
    request.header(ATTESTATION_POP, sensitive(pop.expose())?)?;
    name_in_body(request, client)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}
