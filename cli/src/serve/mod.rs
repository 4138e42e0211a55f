//! `aims authority serve`.

mod declared;
mod story;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aims_authority::{
    Authority, AuthorizationServer, DevUser, IdentityServer, SelfDescribed, Server, SqliteState,
    ToolDetails,
};
use aims_jose::Chain;
use aims_jose::provider::AWS_LC;
use aims_wimse_id::TrustDomain;
use tokio::net::TcpListener;

use crate::args::{Revoke, Serve, Withdraw};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::time::now;
use crate::{log, print};

/// The interval between rotations of the signing keys.
const ROTATION: Duration = Duration::from_secs(3_600);

/// Serves until the process is asked to end.
pub(crate) fn run(asked: Serve, inputs: &mut Inputs) -> Result<(), Failure> {
    let address = asked.listen;
    let is_local = address.ip().to_canonical().is_loopback();
    if !is_local && !asked.dangerous_reachable_from_network {
        return Err(Failure::Network { address });
    }
    if !is_local && asked.url.is_none() {
        return Err(Failure::Usage(
            "an address of the network needs a `--url`, by which agents and tools reach it",
        ));
    }
    if asked.dev_user.is_some() {
        check_dev_user(&asked, is_local)?;
    }
    log::to_standard_error();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(Failure::Runtime)?.block_on(async {
        let listen = |error| Failure::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        serve(asked, listener, bound, is_local, inputs).await
    })
}

/// Withdraws an identifier in a file of state, or ends its withdrawal.
pub(crate) fn withdraw(asked: &Withdraw) -> Result<String, Failure> {
    let (state, id) = (open(&asked.state)?, &asked.id);
    let told = if asked.undo {
        match IdentityServer::reinstate_in(&state, id, now(None))? {
            true => "reinstated",
            false => "was not withdrawn:",
        }
    } else {
        match IdentityServer::withdraw_in(&state, id, now(None))? {
            true => "withdrawn",
            false => "was withdrawn before:",
        }
    };
    Ok(format!("{told} {}\n", id.as_str()))
}

/// Revokes a subject in a file of state.
pub(crate) fn revoke(asked: &Revoke) -> Result<String, Failure> {
    let (state, subject) = (open(&asked.state)?, asked.subject.as_str());
    AuthorizationServer::revoke_subject_in(&state, subject, now(None))?;
    Ok(format!("revoked {}\n", subject.escape_debug()))
}

fn open(path: &Path) -> Result<SqliteState, Failure> {
    SqliteState::open(path).map_err(|error| Failure::Declared {
        code: error.code(),
        detail: Chain(&error).to_string(),
    })
}

/// Refuses a user who is always signed in where another machine could be that user.
fn check_dev_user(asked: &Serve, is_local: bool) -> Result<(), Failure> {
    // A base URL with `http` is on loopback, or the authority refuses it.
    let is_behind = asked
        .url
        .as_ref()
        .is_some_and(|url| !url.starts_with("http://"));
    if is_local && !is_behind && asked.proxies.is_empty() {
        return Ok(());
    }
    Err(Failure::Usage(
        "`--dev-user` is for loopback alone: expected `--listen` on loopback, no `--proxy`, and no \
         `--url` with https, because everyone who reaches it is that user",
    ))
}

async fn serve(
    asked: Serve,
    listener: TcpListener,
    bound: SocketAddr,
    is_local: bool,
    inputs: &mut Inputs,
) -> Result<(), Failure> {
    let base = asked
        .url
        .clone()
        .unwrap_or_else(|| format!("http://{bound}"));
    let declared::Declared {
        agents,
        clients,
        resources,
    } = declared::read(&asked, inputs).map_err(Failure::declared)?;
    let first = agents
        .first()
        .map(|agent| agent.id.trust_domain().to_owned());
    let Some(domain) = asked.trust_domain.or(first) else {
        return Err(Failure::Usage(
            "whose identities? Give a `--trust-domain`, or an `--agent`",
        ));
    };
    let domain: TrustDomain = domain.try_into()?;
    let mut builder = Authority::builder(&base, AWS_LC).trust_domain(domain.as_str());
    for (url, scopes) in &resources {
        builder = builder.resource(aims_authority::Resource::new(url).with_scopes(scopes));
    }
    for agent in &agents {
        builder = builder.enrol(agent.enrolment()?).client(agent.client()?);
    }
    for client in &clients {
        builder = builder.client(client.client());
    }
    if let Some(name) = &asked.dev_user {
        log::warn(&format!(
            "--dev-user: everyone who opens {base}/authorize or /approvals on this machine is the user {}, \
             without any sign-in; for development only",
            crate::text::escaped(name)
        ));
        builder = builder.users(Arc::new(DevUser::new(name)));
        builder = builder.backchannel(Arc::new(DevUser::new(name)));
        builder = builder.authorization_details(Arc::new(ToolDetails));
    }
    if asked.dynamic_registration {
        let rights = resources.iter();
        let rights = rights.fold(SelfDescribed::new(), |rights, (url, scopes)| {
            rights.allow(url, scopes)
        });
        builder = builder.dynamic_registration(rights.allow_details("aims_tool"));
    }
    if let Some(path) = &asked.state {
        builder = builder.state(Arc::new(open(path)?));
    }
    if asked.refuse_second_renewals {
        builder = builder.refuse_second_renewals();
    }
    let authority = builder.build(now(None))?;
    // A declaration that is refused leaves no file.
    for agent in &agents {
        agent.write_token()?;
    }
    // Register the handler before printing, so that the reader of the output can end the process.
    let end = ended().map_err(Failure::Runtime)?;
    let story = story::tell(&story::Facts {
        issuer: authority.issuer(),
        bound,
        domain: &domain,
        agents: &agents,
        clients: &clients,
        resources: &resources,
        dev_user: asked.dev_user.as_deref(),
    });
    if print(story.as_bytes(), 0) != ExitCode::SUCCESS {
        return Err(Failure::Told);
    }
    drop((story, agents));
    let mut server = Server::new(authority).rotating_every(ROTATION);
    for (address, field) in asked.proxies {
        server = server.behind_proxy(address, field);
    }
    if !is_local {
        server = server.reachable_from_network();
    }
    Ok(server.serve_until(listener, end).await?)
}

/// Returns a future that ends when the process is interrupted or asked to terminate. From this call
/// on, these signals do not end the process.
#[cfg(unix)]
fn ended() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Returns a future that ends when the process is interrupted.
#[cfg(not(unix))]
fn ended() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        // If waiting is not possible, the signal ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
