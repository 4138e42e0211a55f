//! The binding of tokens to a key by DPoP, as the program, the tool and its server support it.
//!
//! A tool that knows nothing of DPoP refuses a bound token (RFC 9449 §7.1), so tokens are bound
//! where the tool names DPoP, or where the server or the program demands it.

use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_jose::provider::Provider;
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::metadata::{ResourceMetadata, Switch};
use aims_oauth_wire::names::Resource;

use super::Settings;
use super::find::Found;
use crate::store::{ATTEMPTS, StoreKey, StoredValue};
use crate::{DpopKey, Error};

/// The algorithm of the keys that a connector generates.
const OWN: Algorithm = Algorithm::Es256;

/// The demands of a tool for DPoP: in metadata (RFC 9728 §2), or in a challenge (RFC 9449 §7.1).
#[derive(Clone, Debug)]
pub(super) struct Demanded {
    is_required: bool,
    is_named: bool,
    listed: Option<Box<[String]>>,
}

/// The party that asks for bound tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Demand {
    /// Nothing does.
    Nothing,
    /// The tool names DPoP, or the last login was bound. Without a binding there is a bearer token.
    Named,
    /// The tool takes bound tokens alone.
    ByTool,
    /// The server issues bound tokens alone to this client (RFC 9449 §5.2).
    ByRegistration,
    /// The program requires them everywhere.
    ByProgram,
}

/// Whether the tokens for a tool are bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    demand: Demand,
    /// The reason why they are not.
    hindrance: Option<&'static str>,
}

/// Where the key comes from.
enum Source {
    /// It is generated. If there is a store, it is kept there.
    Own(&'static dyn Provider),
    /// The program holds it.
    OfProgram(DpopKey),
}

impl Demanded {
    /// The demands of a tool, with its metadata if it has any. A challenge can add a binding, and
    /// removes none.
    pub(super) fn by(tool: Option<&ResourceMetadata>, challenges: &Challenges) -> Self {
        let challenge = challenges.of("DPoP").next();
        let algorithms = |it: &Challenge| {
            let all = it.get("algs")?;
            Some(all.split_whitespace().map(str::to_owned).collect())
        };
        let listed = tool.and_then(|it| it.dpop_signing_alg_values_supported());
        let listed = listed.map(Into::into);
        let is_required = tool.is_some_and(|it| it.is_on(Switch::DpopBoundTokens));
        Self {
            is_required,
            is_named: is_required || listed.is_some() || challenge.is_some(),
            listed: listed.or_else(|| challenge.and_then(algorithms)),
        }
    }

    fn takes(&self, algorithm: Algorithm) -> bool {
        let listed = self.listed.as_ref();
        listed.is_none_or(|all| all.iter().any(|it| it == algorithm.name()))
    }
}

impl Source {
    /// Returns the source of the keys for the server of a tool, or why there is none.
    fn of(settings: &Settings, found: &Found) -> Result<Self, &'static str> {
        if let Some(keys) = &settings.dpop_keys {
            let key = keys(found.server.issuer());
            let key = key.ok_or("the program has no key for this server")?;
            return Ok(Self::OfProgram(key));
        }
        let provider = settings.dpop.ok_or("the program does not use DPoP")?;
        let may_keep = settings.store.as_ref().is_none_or(|it| it.is_sealed());
        match may_keep {
            true => Ok(Self::Own(provider)),
            false => Err("the store of the program is not sealed, so that it keeps no keys"),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Own(_) => OWN,
            Self::OfProgram(key) => key.algorithm(),
        }
    }

    /// Returns the key of the tokens for a tool.
    async fn key(self, settings: &Settings, found: &Found) -> Result<DpopKey, Error> {
        let provider = match self {
            Self::Own(provider) => provider,
            Self::OfProgram(key) => return Ok(key),
        };
        let Some(store) = &settings.store else {
            return DpopKey::generate(provider);
        };
        let place = place(settings, found.server.issuer().as_str(), &found.resource);
        for _ in 0..ATTEMPTS {
            if let Some((text, _)) = store.load(&place).await? {
                return DpopKey::read(&text, provider);
            }
            let (key, text) = DpopKey::generate_to_keep(provider)?;
            let value = Some(StoredValue::new(text, None));
            if store.swap(&place, None, value).await?.is_some() {
                return Ok(key);
            }
        }
        Err(Error::Interrupted)
    }
}

/// Returns where the key is stored: one for each server, tool and user.
fn place(settings: &Settings, issuer: &str, resource: &Resource) -> StoreKey {
    let subject = settings.subject.as_deref();
    let parts = [Some(issuer), Some(resource.as_str()), subject];
    StoreKey::of(&[Some("dpop")], &parts)
}

impl Demand {
    /// `is_kept` says that the last login at this server was bound, and `is_registered` that the
    /// registration of the client demands it.
    pub(super) const fn of(
        settings: &Settings,
        found: &Found,
        is_kept: bool,
        is_registered: bool,
    ) -> Self {
        if found.dpop.is_required {
            Self::ByTool
        } else if is_registered {
            Self::ByRegistration
        } else if settings.requires_dpop {
            Self::ByProgram
        } else if found.dpop.is_named || is_kept {
            Self::Named
        } else {
            Self::Nothing
        }
    }

    /// Returns the party that requires bound tokens and takes no others.
    const fn required_by(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Named => None,
            Self::ByTool => Some("the tool"),
            Self::ByRegistration => Some("the registration of the client"),
            Self::ByProgram => Some("the program"),
        }
    }
}

impl Binding {
    pub(super) fn of(settings: &Settings, found: &Found, demand: Demand) -> Self {
        let hindrance = match Source::of(settings, found) {
            _ if demand == Demand::Nothing => Some("the tool does not name DPoP"),
            Ok(source) => hindrance(source.algorithm(), found, demand),
            Err(reason) => Some(reason),
        };
        Self { demand, hindrance }
    }

    pub(super) const fn is_bound(self) -> bool {
        self.hindrance.is_none()
    }

    /// Returns whether the tokens are bound.
    ///
    /// # Errors
    ///
    /// `connect.dpop` if they are not, and that is required.
    pub(super) const fn expect_met(self) -> Result<bool, Error> {
        match (self.hindrance, self.demand.required_by()) {
            (Some(reason), Some(by)) => Err(Error::DpopRequired { by, reason }),
            (hindrance, _) => Ok(hindrance.is_none()),
        }
    }

    /// Returns the key of the tokens, or `None` if they are not bound.
    pub(super) async fn key(
        self,
        settings: &Settings,
        found: &Found,
    ) -> Result<Option<DpopKey>, Error> {
        match Source::of(settings, found) {
            Ok(source) if self.is_bound() => Ok(Some(source.key(settings, found).await?)),
            _ => Ok(None),
        }
    }
}

/// Returns why the tool or its server gets no proofs by this algorithm.
fn hindrance(algorithm: Algorithm, found: &Found, demand: Demand) -> Option<&'static str> {
    let is_own = algorithm == OWN;
    if !found.dpop.takes(algorithm) {
        return Some(match is_own {
            true => "the tool does not accept proofs by ES256",
            false => "the tool does not accept proofs by the key of the program",
        });
    }
    let server = found.server.dpop_signing_algorithms();
    match server.map(|known: AlgorithmSet| known.contains(algorithm)) {
        Some(true) => None,
        Some(false) if is_own => Some("the server does not accept proofs by ES256"),
        Some(false) => Some("the server does not accept proofs by the key of the program"),
        // A server that knows nothing of DPoP gives a token that is not bound, which is refused.
        None if matches!(demand, Demand::ByTool | Demand::ByRegistration) => None,
        None => Some("the server does not announce DPoP"),
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.hindrance, self.demand.required_by()) {
            (None, None) => f.write_str("DPoP"),
            (None, Some(by)) => write!(f, "DPoP, which {by} requires"),
            (Some(_), None) => f.write_str("bearer"),
            (Some(reason), Some(by)) => write!(f, "none: {by} requires DPoP, and {reason}"),
        }
    }
}
