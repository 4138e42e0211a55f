//! `aims login`, `aims token get` and `aims logout`: tokens of a user, kept in a sealed file.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use aims_fetch::{Fetch, Fetcher};
use aims_jose::Chain;
use aims_jose::provider::AWS_LC;
use aims_jose::time::{UnixTime, until};
use aims_oauth_client::{
    ClientMetadata, Connection, Connector, Error, FileStore, Identities, Loopback, Progress, Token,
    TokenRules,
};
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::names::{Resource, Scope, ScopeSet};
use http::{Request, Response};
use zeroize::Zeroizing;

use crate::args::{GetToken, Login, Logout, Session};
use crate::failure::Failure;

/// Logs the user in and keeps the tokens.
pub(crate) fn login(login: &Login) -> Result<Zeroizing<String>, Failure> {
    let mut connector = connector(&login.session)?.on_progress(show);
    if !login.bearer {
        connector = connector.with_dpop(AWS_LC);
    }
    if login.dpop {
        connector = connector.require_dpop();
    }
    if let Some(scopes) = &login.accept_unrequested_scope {
        connector =
            connector.with_rules(TokenRules::new().accept_unrequested_scopes(scopes.clone()));
    }
    let has_browser = !login.no_browser && has_browser();
    let browser = Loopback::new(move |url| {
        if has_browser {
            open(url);
        }
        Ok(())
    });
    // The code is shown as each other wait is.
    let by_code = connector.clone().by_device(|_| Ok(()));
    let by_browser = by_code.clone().by_user(browser);
    let comes_first = login.device || !(has_browser || login.no_browser);
    run(async {
        let scope = login.scope.as_ref();
        let first = if comes_first { &by_code } else { &by_browser };
        let connection = match connect(&login.session, first, scope).await {
            // No server has to support codes: the user can open the URL elsewhere on this machine.
            Err(Error::NoWay { .. }) if comes_first && !login.device => {
                connect(&login.session, &by_browser, scope).await?
            }
            connected => connected?,
        };
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
        let bound = if token.is_bound() { "DPoP" } else { "no" };
        Ok(Zeroizing::new(format!(
            "logged in\nserver     {}\nresource   {}\nscopes     {scopes}\n{added}refreshed  {refreshed}\nbound      {bound}\n",
            connection.issuer().as_str(),
            connection.resource().as_str(),
        )))
    })
}

/// Prints a token. This is the only command that shows one.
///
/// A bound token is of use with a proof alone, so the command can also print the header fields of
/// one request.
pub(crate) fn get(get: &GetToken) -> Result<Zeroizing<String>, Failure> {
    let request = request_of(get)?;
    let demand = demand_of(get)?;
    let bearer = connector(&get.session)?.by_stored_login();
    let bound = bearer.clone().with_dpop(AWS_LC);
    run(async {
        let scope = get.scope.as_ref();
        let first = if get.bearer { &bearer } else { &bound };
        let token = match kept(&get.session, [first, &bearer], scope).await {
            Err(error) if error.needs_user() && scope.is_some() => {
                let last = kept(&get.session, [first, &bearer], None).await;
                let covers = |it: &Token| scope.is_some_and(|scope| scope.is_subset(it.scopes()));
                let token = last.ok().filter(|it| covers(it)).ok_or(error)?;
                let mut err = io::stderr().lock();
                let _closed = writeln!(err, "{WIDER}: {}", token.scopes());
                token
            }
            token => token?,
        };
        print(&token, request, demand.as_ref(), get).await
    })
}

/// Returns the token of a kept login, which may have been made without a binding.
async fn kept(
    session: &Session,
    [first, bearer]: [&Connector; 2],
    scope: Option<&ScopeSet>,
) -> Result<Arc<Token>, Error> {
    let connection = connect(session, first, scope).await?;
    match connection.token().await {
        Err(error) if error.needs_user() && connection.is_bound() => {
            connect(session, bearer, scope).await?.token().await
        }
        token => token,
    }
}

/// The note about a token of a login with further scopes.
const WIDER: &str =
    "note: no login has these scopes alone, and this token has all those of the last login";

/// Returns the request that the header fields are for.
fn request_of(get: &GetToken) -> Result<Request<()>, Failure> {
    let (Some(method), Some(uri)) = (&get.method, &get.uri) else {
        return Ok(Request::new(()));
    };
    let resource = uri.parse::<Resource>();
    let resource = resource.or_else(|_not_https| Resource::loopback(uri));
    if !resource.is_ok_and(|it| it.is_within(&get.session.resource)) {
        return Err(Failure::Usage(
            "`--uri` must be the URL of the resource, or one beneath it: a token is sent to no other",
        ));
    }
    let request = Request::builder().method(&**method).uri(uri);
    request
        .body(())
        .map_err(|_invalid| Failure::Usage("`--method` or `--uri` is none of HTTP"))
}

/// Returns the answer by which the tool demands the nonce, if one is given.
fn demand_of(get: &GetToken) -> Result<Option<Response<()>>, Failure> {
    let Some(nonce) = &get.nonce else {
        return Ok(None);
    };
    let answer = Response::builder().header("dpop-nonce", nonce).body(());
    let answer = answer.map_err(|_invalid| {
        Failure::Usage(
            "`--nonce` must be the value of a header field, as in the answer of the tool",
        )
    })?;
    Ok(Some(answer))
}

async fn print(
    token: &Token,
    mut request: Request<()>,
    demand: Option<&Response<()>>,
    get: &GetToken,
) -> Result<Zeroizing<String>, Error> {
    if let Some(demand) = demand {
        token.demands_nonce(request.uri(), demand);
    }
    token.authorize(&mut request, UnixTime::now()).await?;
    let value = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    };
    let credentials = value("authorization");
    if get.uri.is_none() {
        if token.is_bound() {
            let mut err = io::stderr().lock();
            let _closed = writeln!(err, "{BOUND}");
        }
        let text = credentials.split_once(' ');
        let text = text.map_or(credentials, |(_, token)| token);
        return Ok(Zeroizing::new(format!("{text}\n")));
    }
    let mut fields = Zeroizing::new(format!("Authorization: {credentials}\n"));
    if token.is_bound() {
        fields.push_str("DPoP: ");
        fields.push_str(value("dpop"));
        fields.push('\n');
    }
    Ok(fields)
}

/// The note about a bound token.
const BOUND: &str = "note: this token is bound to a key in the store (DPoP), and a tool accepts it with a proof alone; \
     `--method` and `--uri` print the header fields of one request, and `aims login --bearer` gets a token without a binding";

/// Revokes all tokens for the tool, whatever their scopes, and removes them.
pub(crate) fn logout(logout: &Logout) -> Result<Zeroizing<String>, Failure> {
    let connector = connector(&logout.session)?;
    let ended = run(async {
        let challenges = challenges(&logout.session).await;
        let ended = connector.log_out(&logout.session.resource, &challenges);
        let told = match ended.await {
            // The client is not registered at the server either.
            Err(Error::NeedsUser { .. }) => "no login to end: none is kept for this resource\n",
            ended => ended.map(|()| "logged out\n")?,
        };
        Ok(Zeroizing::new(told.to_owned()))
    });
    ended.map_err(not_revoked)
}

/// Adds what has become of the tokens to the failure of a logout.
fn not_revoked(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { code, detail } if !code.starts_with("store.") => Failure::Refused {
            code,
            detail: format!(
                "{detail}; no token for this resource is kept here, and one that the server has \
                 not revoked is valid until it expires"
            ),
        },
        other => other,
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
    let advice = match error {
        // A login is found by these options.
        Error::NeedsUser { last: None } => {
            "; run `aims login` for this resource, or repeat the options of the login: \
             `--scope`, `--client-id`, `--user`"
        }
        error if error.needs_user() => "; run `aims login` for this resource",
        error if error.code() == "client.registration_refused" => {
            "; register a public client at the server, and give `--client-id`"
        }
        Error::NoServer { named, .. } if !named.is_empty() => "; `--issuer` accepts one",
        error if is_private(error) => {
            "; for a tool in your own network, add `--allow-private-networks`"
        }
        error if error.code() == "connect.dpop" => {
            "; `aims login` has `--dpop` and `--bearer`, and binds without them where the tool names DPoP"
        }
        _ => "",
    };
    Failure::Refused {
        code: error.code(),
        detail: format!("{}{advice}", Chain(error)),
    }
}

/// Returns whether nothing was sent because the address is private.
fn is_private(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(aims_fetch::Error::Address { .. }) = error.downcast_ref() {
            return true;
        }
        next = error.source();
    }
    false
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
        .with_dpop(AWS_LC)
        .by_stored_login()
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

/// Connects, by what the tool requires.
async fn connect(
    session: &Session,
    connector: &Connector,
    scope: Option<&ScopeSet>,
) -> Result<Connection, Error> {
    let connector = match scope {
        Some(scope) => connector.clone().request_scopes(scope.clone()),
        None => connector.clone(),
    };
    let challenges = challenges(session).await;
    connector.connect(&session.resource, &challenges).await
}

/// Asks the tool without a token, so that its challenge says what it requires.
async fn challenges(session: &Session) -> Challenges {
    let mut challenges = Challenges::default();
    let mut request = Request::new(Vec::new());
    if let (Ok(uri), Ok(fetcher)) = (session.resource.as_str().parse(), fetcher(session)) {
        *request.uri_mut() = uri;
        if let Ok(answer) = fetcher.send(request).await {
            challenges = Challenges::parse(answer.headers()).unwrap_or_default();
        }
    }
    challenges
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

/// Shows the waits of a login.
fn show(progress: &Progress<'_>) {
    let mut err = io::stderr().lock();
    let _closed = match progress {
        Progress::WaitingForBrowser { issuer, url, .. } => {
            let issuer = issuer.as_str();
            writeln!(
                err,
                "open this URL to log in at {issuer}, and at no other server:\n\n    {url}\n"
            )
        }
        Progress::WaitingForDevice {
            url,
            complete_url,
            code,
            expires,
            issuer,
        } => {
            let issuer = issuer.as_str();
            let seconds = until(*expires, UnixTime::now()).as_secs();
            let or =
                complete_url.map(|url| format!("\nor open\n\n    {url}\n\nand compare the code\n"));
            writeln!(
                err,
                "to log in at {issuer}, and at no other server, open this URL on another device, and enter the code within {seconds} s:\n\n    {url}\n\n    {code}\n{}",
                or.unwrap_or_default()
            )
        }
        _ => Ok(()),
    };
}

/// Returns whether a browser can be opened: on macOS, and where there is a desktop.
fn has_browser() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|it| !it.is_empty());
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
            .into_iter()
            .any(is_set)
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
