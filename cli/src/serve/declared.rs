//! The agents and tools that the authority knows, from options and a file.

use std::collections::BTreeMap;
#[cfg(unix)]
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aims_authority::{Client, Enrolment};
use aims_jose::random;
use aims_jose::secret::SecretText;
use aims_wimse_id::{IdPattern, WorkloadId};
use serde::Deserialize;

use crate::args::Serve;
use crate::failure::Failure;
use crate::input::Inputs;
use crate::key::write_new;
#[cfg(unix)]
use crate::log;

/// Tools by their URL, with their scopes.
pub(super) type Resources = BTreeMap<String, Vec<String>>;

/// An agent that may enrol.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) id: WorkloadId,
    pub(super) token: SecretText,
    /// The file of the token. `None` for a new token that must be printed.
    pub(super) file: Option<PathBuf>,
    /// The file is not there yet.
    is_new: bool,
    lifetime: Duration,
    reusable: bool,
    redirect_uris: Vec<String>,
    may: Resources,
}

/// A public client of users.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublicClient {
    pub(super) id: String,
    name: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    #[serde(default)]
    may: Resources,
}

/// All that the authority knows at its start.
pub(super) struct Declared {
    pub(super) agents: Vec<Agent>,
    pub(super) clients: Vec<PublicClient>,
    pub(super) resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    agents: Vec<Described>,
    clients: Vec<PublicClient>,
    resources: Resources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    id: String,
    token_file: Option<PathBuf>,
    lifetime: Option<u64>,
    #[serde(default)]
    reusable: bool,
    /// Where answers to its authorization requests go. Empty for an agent that acts for itself.
    #[serde(default)]
    redirect_uris: Vec<String>,
    /// The scopes of each resource that the agent may request. Empty by default.
    #[serde(default)]
    may: Resources,
}

/// Returns the agents, each with its token, the clients, and all resources.
pub(super) fn read(asked: &Serve, inputs: &mut Inputs) -> Result<Declared, Failure> {
    let mut resources = Resources::new();
    for (url, scopes) in &asked.resources {
        let known = resources.entry(url.clone()).or_default();
        known.extend(scopes.iter().cloned());
    }
    let mut agents = Vec::new();
    for (id, file) in &asked.agents {
        let (token, is_new) = token(file.as_deref(), inputs)?;
        agents.push(Agent {
            id: id.clone(),
            token,
            file: file.clone(),
            is_new,
            lifetime: Duration::from_secs(asked.lifetime),
            reusable: asked.reusable_tokens,
            redirect_uris: Vec::new(),
            may: resources.clone(),
        });
    }
    let named = asked
        .clients
        .iter()
        .map(|(id, redirect_uris)| PublicClient {
            id: id.clone(),
            name: None,
            redirect_uris: redirect_uris.clone(),
            may: resources.clone(),
        });
    let mut clients: Vec<PublicClient> = named.collect();
    let config = match &asked.config {
        Some(path) => config(path, inputs)?,
        None => Config::default(),
    };
    for described in config.agents {
        let lifetime = described.lifetime.unwrap_or(asked.lifetime);
        let id = WorkloadId::parse(&described.id)?;
        let (token, is_new) = token(described.token_file.as_deref(), inputs)?;
        agents.push(Agent {
            id,
            token,
            file: described.token_file,
            is_new,
            lifetime: Duration::from_secs(lifetime),
            reusable: described.reusable,
            redirect_uris: described.redirect_uris,
            may: described.may,
        });
    }
    for (url, scopes) in config.resources {
        resources.entry(url).or_default().extend(scopes);
    }
    let acts_for_users = |agent: &Agent| !agent.redirect_uris.is_empty();
    clients.extend(config.clients);
    if asked.dev_user.is_none() && (!clients.is_empty() || agents.iter().any(acts_for_users)) {
        return Err(Failure::Usage(
            "clients with redirect URIs ask users: give a `--dev-user`",
        ));
    }
    Ok(Declared {
        agents,
        clients,
        resources,
    })
}

fn config(path: &Path, inputs: &mut Inputs) -> Result<Config, Failure> {
    let bytes = inputs.bytes(path)?;
    // Anyone who can write the file can declare agents. It contains no secrets.
    warn_of_others(
        path,
        0o022,
        "others can write this file, and so declare agents",
    );
    aims_jose::json::check_object(&bytes).map_err(|error| Failure::from(error).of(path))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::Config {
        path: path.to_owned(),
        error,
    })
}

/// Returns the token of a file, or a new one, and whether the file is still to be made.
fn token(file: Option<&Path>, inputs: &mut Inputs) -> Result<(SecretText, bool), Failure> {
    let Some(path) = file else {
        return Ok((Enrolment::random_token(random::SYSTEM)?, false));
    };
    match inputs.bootstrap_token(path) {
        Ok(text) => {
            #[cfg(unix)]
            warn_of_link(path);
            Ok((SecretText::new(text.as_str()), false))
        }
        Err(Failure::File { error, .. }) if error.kind() == ErrorKind::NotFound => {
            Ok((Enrolment::random_token(random::SYSTEM)?, true))
        }
        Err(failure) => Err(failure),
    }
}

/// Warns if other users can access a file in one of these ways, or can replace it.
#[cfg(unix)]
fn warn_of_others(path: &Path, ways: u32, danger: &str) {
    use std::os::unix::fs::PermissionsExt as _;

    // A pipe of a shell is not a file.
    let Some(target) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else {
        return;
    };
    let name = path.display();
    let mode = target.permissions().mode() & 0o7777;
    if mode & ways != 0 {
        log::warn(&format!("{name}: mode {mode:04o}: {danger}"));
    }
    warn_of_link(path);
}

/// Warns if a name is that of a symbolic link.
#[cfg(unix)]
fn warn_of_link(path: &Path) {
    let name = path.display();
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) {
        log::warn(&format!(
            "{name}: a symbolic link: who can change it says which file is taken; name the file itself"
        ));
    }
}

/// On this platform, the access rights of other users are not checked.
#[cfg(not(unix))]
const fn warn_of_others(_: &Path, _: u32, _: &str) {}

impl Agent {
    /// Makes the file with the token, where there is none yet.
    pub(super) fn write_token(&self) -> Result<(), Failure> {
        match &self.file {
            Some(path) if self.is_new => write_new(path, self.token.expose().as_bytes())
                .map_err(|error| Failure::file(path, error)),
            _ => Ok(()),
        }
    }

    pub(super) fn enrolment(&self) -> Result<Enrolment, Failure> {
        let enrolment = Enrolment::by_token(self.id.clone(), &self.token)?;
        let enrolment = enrolment.with_lifetime(self.lifetime);
        Ok(if self.reusable {
            enrolment.reusable()
        } else {
            enrolment
        })
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        let pattern: IdPattern = self.id.as_str().parse()?;
        let client = with_uris(Client::spiffe(pattern), &self.redirect_uris);
        // Both have an effect only if there are users.
        let client = client.allow_details("aims_tool").backchannel_poll();
        Ok(allowed(client, &self.may))
    }
}

impl PublicClient {
    pub(super) fn client(&self) -> Client {
        let client = Client::public(&self.id);
        let client = match &self.name {
            Some(name) => client.name(name),
            None => client,
        };
        let client = with_uris(client, &self.redirect_uris).allow_details("aims_tool");
        allowed(client, &self.may)
    }
}

fn with_uris(client: Client, uris: &[String]) -> Client {
    uris.iter()
        .fold(client, |client, uri| client.redirect_uri(uri))
}

fn allowed(client: Client, may: &Resources) -> Client {
    let may = may.iter();
    may.fold(client, |client, (url, scopes)| client.allow(url, scopes))
}
