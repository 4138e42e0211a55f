//! The scopes that a connection requests.

use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::names::{Resource, ScopeSet};

use super::find::Found;
use super::{Settings, Way};
use crate::{Error, TokenSource};

/// The scopes that a connection requests at present, and what was requested before.
#[derive(Default)]
pub(super) struct Requested {
    pub(super) scopes: ScopeSet,
    pub(super) offline: Offline,
    /// The requirements that a login was made for already.
    pub(super) met: Vec<(Option<String>, Option<u64>)>,
    /// The tokens at the servers that the tool had before, for a logout.
    pub(super) earlier: Vec<(TokenSource, Resource)>,
}

/// Why `offline_access` is requested.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Offline {
    /// The program or the tool asks for it, or it is not requested.
    #[default]
    Stated,
    /// The server lists it.
    Listed,
    /// The server lists it, and refused it to this client, so it is not requested again.
    Refused,
}

impl Requested {
    /// Returns what a new connection requests: the scopes that the program names, or those that the
    /// user agreed to before, or those of [`scopes`].
    pub(super) async fn first(
        settings: &Settings,
        tool: &Resource,
        found: &Found,
        challenges: &Challenges,
        way: Way,
    ) -> Result<Self, Error> {
        let before = settings.login_scopes(tool, found.server.issuer()).await?;
        let allowed = settings.allowed.as_ref();
        let is_allowed = |it: &ScopeSet| allowed.is_none_or(|all| it.is_subset(all));
        let scopes = match (&settings.requested, before) {
            (Some(requested), _) => {
                expect_allowed(settings, requested)?;
                requested.clone()
            }
            // What the user agreed to before. More is requested when the tool says so.
            (None, Some(before)) if is_allowed(&before) => before,
            (None, _) => scopes(settings, found, challenges, Some(way))?,
        };
        let named = named_scopes(found, challenges);
        let is_stated = settings.requested.is_some()
            || named.is_some_and(|it| it.contains(OFFLINE_ACCESS))
            || !scopes.contains(OFFLINE_ACCESS);
        let offline = match is_stated {
            true => Offline::Stated,
            false => Offline::Listed,
        };
        Ok(Self {
            scopes,
            offline,
            ..Self::default()
        })
    }

    /// Requests `offline_access` no more.
    pub(super) fn refuse_offline(&mut self) -> Result<(), Error> {
        let mut rest = ScopeSet::new();
        for scope in self.scopes.iter() {
            if scope.as_str() != OFFLINE_ACCESS {
                rest.insert(scope.clone())?;
            }
        }
        self.scopes = rest;
        self.offline = Offline::Refused;
        Ok(())
    }
}

/// Returns the scopes to request: those of the challenge, else all that the tool lists, else none
/// (MCP authorization, scope selection). `offline_access` is added if the server lists it, to get a
/// refresh token of a user. If the server refuses it then, the login is tried without it.
pub(super) fn scopes(
    settings: &Settings,
    found: &Found,
    challenges: &Challenges,
    way: Option<Way>,
) -> Result<ScopeSet, Error> {
    let challenged = challenged_scopes(challenges);
    let mut scopes = match (challenged, &found.scopes) {
        (Some(challenged), _) => {
            expect_allowed(settings, &challenged)?;
            challenged
        }
        (None, Some(listed)) => match &settings.allowed {
            Some(allowed) => listed.intersection(allowed),
            None => listed.clone(),
        },
        (None, None) => ScopeSet::new(),
    };
    let listed = found.server.scopes_supported().unwrap_or_default();
    let is_allowed = settings
        .allowed
        .as_ref()
        .is_none_or(|it| it.contains(OFFLINE_ACCESS));
    let is_listed = listed.iter().any(|it| it == OFFLINE_ACCESS);
    if way.is_some_and(Way::has_user) && is_allowed && is_listed {
        scopes.insert(OFFLINE_ACCESS.parse()?)?;
    }
    Ok(scopes)
}

fn challenged_scopes(challenges: &Challenges) -> Option<ScopeSet> {
    challenges.iter().find_map(|it| it.scope().ok().flatten())
}

/// Returns the scopes of the challenge, or else those that the tool lists.
fn named_scopes(found: &Found, challenges: &Challenges) -> Option<ScopeSet> {
    challenged_scopes(challenges).or_else(|| found.scopes.clone())
}

/// # Errors
///
/// `connect.scope` if a scope is not allowed.
pub(super) fn expect_allowed(settings: &Settings, scopes: &ScopeSet) -> Result<(), Error> {
    match &settings.allowed {
        Some(allowed) if !scopes.is_subset(allowed) => {
            let wider = scopes.iter().map(|it| it.as_str());
            Err(Error::ScopeNotAllowed {
                wider: aims_error::shown(wider.filter(|it| !allowed.contains(it))),
            })
        }
        _ => Ok(()),
    }
}

/// The scope of a refresh token (OpenID Connect Core §11).
const OFFLINE_ACCESS: &str = "offline_access";
