//! The binding of tokens to a key by DPoP, as the program, the tool and its server support it.

use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_oauth_wire::metadata::{ResourceMetadata, Switch};

use super::Settings;
use super::find::Found;
use crate::Error;

/// The algorithm of the keys that a connector generates.
const OWN: Algorithm = Algorithm::Es256;

/// The metadata of a tool about DPoP (RFC 9728 §2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Demanded {
    is_required: bool,
    takes_own: bool,
}

/// Whether the tokens for a tool are bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    is_required: bool,
    /// The reason why they are not.
    hindrance: Option<&'static str>,
}

impl Demanded {
    /// The demands of a tool without metadata.
    pub(super) const NONE: Self = Self {
        is_required: false,
        takes_own: true,
    };

    pub(super) fn by(tool: &ResourceMetadata) -> Self {
        let listed = tool.dpop_signing_alg_values_supported();
        Self {
            is_required: tool.is_on(Switch::DpopBoundTokens),
            takes_own: listed.is_none_or(|all| all.iter().any(|it| it == OWN.name())),
        }
    }
}

impl Binding {
    pub(super) fn of(settings: &Settings, found: &Found) -> Self {
        let Demanded {
            is_required,
            takes_own,
        } = found.dpop;
        let server = found.server.dpop_signing_algorithms();
        let hindrance = if settings.dpop.is_none() {
            Some("the program does not use DPoP")
        } else if settings.store.is_some() {
            Some("the store of the program keeps tokens without their keys")
        } else if !takes_own {
            Some("the tool does not accept proofs by ES256")
        } else {
            match server.map(|known: AlgorithmSet| known.contains(OWN)) {
                Some(true) => None,
                Some(false) => Some("the server does not accept proofs by ES256"),
                // A server that knows nothing of DPoP gives a token that is not bound, which is
                // refused.
                None if is_required => None,
                None => Some("the server does not announce DPoP"),
            }
        };
        Self {
            is_required,
            hindrance,
        }
    }

    pub(super) const fn is_bound(self) -> bool {
        self.hindrance.is_none()
    }

    /// Returns whether the tokens are bound.
    ///
    /// # Errors
    ///
    /// `connect.dpop` if they are not, and the tool requires it.
    pub(super) fn expect_met(self) -> Result<bool, Error> {
        match self.hindrance {
            Some(reason) if self.is_required => Err(Error::DpopRequired { reason }),
            hindrance => Ok(hindrance.is_none()),
        }
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.hindrance, self.is_required) {
            (None, false) => f.write_str("DPoP"),
            (None, true) => f.write_str("DPoP, which the tool requires"),
            (Some(_), false) => f.write_str("bearer"),
            (Some(reason), true) => write!(f, "none: the tool requires DPoP, and {reason}"),
        }
    }
}
