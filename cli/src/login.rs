//! `aims login`, `aims token get` and `aims logout`: tokens of a user, kept in a sealed file.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use aims_fetch::{Fetch, Fetcher};
use aims_jose::Chain;
use aims_oauth_client::{
    ClientMetadata, Connection, Connector, Error, FileStore, Identities, Loopback, Receive,
    ReceiveFuture, Receiving, TokenRules,
};
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::names::{Scope, ScopeSet};
use http::Request;
use zeroize::Zeroizing;

use crate::args::{GetToken, Login, Logout, Session};
use crate::failure::Failure;

/// Logs the user in and keeps the tokens.
pub(crate) fn login(login: &Login) -> Result<Zeroizing<String>, Failure> {
    let browser = !login.no_browser;
    let shown = move |url: &str| {
        let mut err = io::stderr().lock();
        writeln!(err, "open this URL to log in:\n\n    {url}\n")?;
        if browser {
            open(url);
        }
        Ok(())
    };
    let mut connector = connector(&login.session)?.by_user(Loopback::new(shown));
    if let Some(scopes) = &login.accept_unrequested_scope {
        connector =
            connector.with_rules(TokenRules::new().accept_unrequested_scopes(scopes.clone()));
    }
    run(async {
        let connection = connect(&login.session, &connector, login.scope.as_ref()).await?;
        let token = connection.token().await?;
        let scopes = match token.scopes() {
            scopes if scopes.is_empty() => "those that the server chose".to_owned(),
            scopes => scopes.to_string(),
        };
        let requested = connection.scopes();
        let added = token.scopes().iter().map(Scope::as_str);
        let added: Vec<&str> = added.filter(|it| !requested.contains(it)).collect();
        let added = match &*added {
            added if added.is_empty() || requested.is_empty() => String::new(),
            added => format!("added      {}, by the server\n", added.join(" ")),
        };
        let refreshed = if token.is_refreshable() { "yes" } else { "no" };
        Ok(Zeroizing::new(format!(
            "logged in\nserver     {}\nresource   {}\nscopes     {scopes}\n{added}refreshed  {refreshed}\n",
            connection.issuer().as_str(),
            connection.resource().as_str(),
        )))
    })
}

/// Prints a token. This is the only command that shows one.
pub(crate) fn get(get: &GetToken) -> Result<Zeroizing<String>, Failure> {
    let connector = connector(&get.session)?.by_user(Absent);
    run(async {
        let connection = connect(&get.session, &connector, get.scope.as_ref()).await?;
        let token = connection.token().await?;
        let mut headers = http::HeaderMap::new();
        token.apply(&mut headers)?;
        let value = headers.get(http::header::AUTHORIZATION);
        let value = value.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let text = value.split_once(' ').map_or(value, |(_, token)| token);
        Ok(Zeroizing::new(format!("{text}\n")))
    })
}

/// Revokes all tokens for the tool, whatever their scopes, and removes them.
pub(crate) fn logout(logout: &Logout) -> Result<Zeroizing<String>, Failure> {
    let connector = connector(&logout.session)?.by_user(Absent);
    run(async {
        let connection = connect(&logout.session, &connector, None).await?;
        connection.log_out().await?;
        Ok(Zeroizing::new("logged out\n".to_owned()))
    })
}

/// A user who cannot be asked.
#[derive(Debug)]
struct Absent;

impl Receive for Absent {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        Box::pin(std::future::ready(Err(Error::NeedsUser { last: None })))
    }
}

fn run(
    work: impl Future<Output = Result<Zeroizing<String>, Error>>,
) -> Result<Zeroizing<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(work).map_err(|error| refused(&error))
}

fn refused(error: &Error) -> Failure {
    let advice = if error.needs_user() {
        "; run `aims login` for this resource"
    } else {
        ""
    };
    Failure::Refused {
        code: error.code(),
        detail: format!("{}{advice}", Chain(error)),
    }
}

fn fetcher(session: &Session) -> Result<Fetcher, Failure> {
    let mut fetcher = Fetcher::builder();
    if session.resource.is_loopback() {
        fetcher = fetcher.allow_loopback_http();
    }
    if session.allow_private_networks {
        fetcher = fetcher.allow_private_networks();
    }
    fetcher.build().map_err(|error| Failure::Refused {
        code: error.code(),
        detail: Chain(&error).to_string(),
    })
}

/// Returns the connector that a login uses, with the identities of this program alone.
pub(crate) fn of_user(http: impl Fetch + 'static) -> Connector {
    Connector::new(identities(), http)
        .accept_broader_resource()
        .by_user(Absent)
}

fn identities() -> Identities {
    Identities::new().register(ClientMetadata::native("aims").accept_secret())
}

fn connector(session: &Session) -> Result<Connector, Failure> {
    let store = store(session)?;
    let mut identities = identities();
    if let Some(client) = &session.client_id {
        identities = identities.everywhere(PublicClient::new(client.clone()));
    }
    let mut connector = Connector::new(identities, fetcher(session)?)
        .accept_broader_resource()
        .with_store(Arc::new(store));
    if session.issuer.is_empty() {
        // The user sees in the browser which server it is.
        connector = connector.accept_any_issuer();
    }
    connector = connector.accept_issuers(session.issuer.iter().cloned());
    Ok(match &session.user {
        Some(user) => connector.for_user(user.as_str()),
        None => connector,
    })
}

/// Asks the tool without a token, so that its challenge says what it requires, and connects.
async fn connect(
    session: &Session,
    connector: &Connector,
    scope: Option<&ScopeSet>,
) -> Result<Connection, Error> {
    let connector = match scope {
        Some(scope) => connector.clone().request_scopes(scope.clone()),
        None => connector.clone(),
    };
    let mut challenges = Challenges::default();
    let mut request = Request::new(Vec::new());
    if let (Ok(uri), Ok(fetcher)) = (session.resource.as_str().parse(), fetcher(session)) {
        *request.uri_mut() = uri;
        if let Ok(answer) = fetcher.send(request).await {
            challenges = Challenges::parse(answer.headers()).unwrap_or_default();
        }
    }
    connector.connect(&session.resource, &challenges).await
}

fn store(session: &Session) -> Result<FileStore, Failure> {
    if session.keyring {
        let path = match &session.store {
            Some(store) => store.clone(),
            None => folder("XDG_STATE_HOME", ".local/state")?.join("tokens"),
        };
        return in_keyring(path);
    }
    let (path, key) = match (&session.store, &session.key_file) {
        (Some(store), Some(key)) => (store.clone(), key.clone()),
        (Some(store), None) => (store.clone(), store.with_extension("key")),
        (None, key) => {
            let state = folder("XDG_STATE_HOME", ".local/state")?;
            let config = folder("XDG_CONFIG_HOME", ".config")?;
            let own = || config.join("tokens.key");
            (state.join("tokens"), key.clone().unwrap_or_else(own))
        }
    };
    FileStore::open(path, key).map_err(|error| refused(&error))
}

/// Opens the store whose key is in the keyring. Without a keyring it is not kept elsewhere.
#[cfg(feature = "keyring")]
fn in_keyring(path: PathBuf) -> Result<FileStore, Failure> {
    let keyring = aims_keyring::Keyring::system();
    let key = keyring.and_then(|keyring| keyring.sealing_key(&path));
    let key = key.map_err(|error| Failure::Refused {
        code: error.code(),
        detail: format!(
            "{}; without `--keyring`, the key is in the file of `--key-file`",
            Chain(&error)
        ),
    })?;
    FileStore::open_with(path, key).map_err(|error| refused(&error))
}

#[cfg(not(feature = "keyring"))]
fn in_keyring(_path: PathBuf) -> Result<FileStore, Failure> {
    Err(Failure::Usage(
        "this program was built without the feature `keyring`: keep the key in the file of `--key-file`, or install it with `cargo install --features keyring`",
    ))
}

/// Returns the folder of this program, and creates it for its user alone.
fn folder(variable: &str, beneath_home: &str) -> Result<PathBuf, Failure> {
    let set = std::env::var_os(variable)
        .filter(|it| !it.is_empty())
        .map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(beneath_home));
    let base = set.or_else(home).ok_or_else(|| Failure::Refused {
        code: "store.unavailable",
        detail: "neither HOME nor the XDG folders are set; give --store".to_owned(),
    })?;
    let folder = base.join("aims");
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| Failure::Refused {
        code: "store.unavailable",
        detail: format!("{}: {error}", folder.display()),
    })?;
    Ok(folder)
}

/// Opens a browser without a shell. The URL was shown, so nothing depends on it.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(program);
    let silent = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _no_browser = silent.arg(url).spawn();
}
