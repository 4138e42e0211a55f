//! The output at the start: the URLs, and what to do next.

use std::fmt::Write as _;
use std::net::SocketAddr;

use aims_wimse_id::TrustDomain;
use zeroize::Zeroizing;

use super::declared::{Agent, PublicClient, Resources};
use crate::text::{escaped, word};

/// The facts that are printed.
pub(super) struct Facts<'a> {
    pub(super) issuer: &'a str,
    pub(super) bound: SocketAddr,
    pub(super) domain: &'a TrustDomain,
    pub(super) agents: &'a [Agent],
    pub(super) clients: &'a [PublicClient],
    pub(super) resources: &'a Resources,
    pub(super) dev_user: Option<&'a str>,
}

/// Returns one line for each URL, then commands to copy.
pub(super) fn tell(facts: &Facts<'_>) -> Zeroizing<String> {
    let Facts {
        issuer,
        bound,
        domain,
        agents,
        clients,
        resources,
        dev_user,
    } = *facts;
    // A buffer that does not grow leaves no copy of a token in memory.
    let mut told = Zeroizing::new(String::with_capacity(64 * 1_024));
    let lines = [
        ("listening", bound.to_string()),
        ("issuer", issuer.to_owned()),
        ("origin", format!("spiffe://{}", domain.as_str())),
        ("bundle", format!("{issuer}/identity/bundle")),
        ("enrolment", format!("{issuer}/identity/challenge")),
        ("token endpoint", format!("{issuer}/token")),
        (
            "metadata",
            format!("{issuer}/.well-known/oauth-authorization-server"),
        ),
    ];
    // Writing to a string cannot fail.
    for (name, value) in lines {
        let _ = writeln!(told, "{name:<16}{}", escaped(&value));
    }
    for (url, scopes) in resources {
        let scopes = scopes.join(" ");
        let _ = writeln!(told, "{:<16}{} {}", "resource", word(url), escaped(&scopes));
    }
    if let Some(name) = dev_user {
        let _ = writeln!(told, "{:<16}{issuer}/authorize", "authorize");
        let _ = writeln!(told, "{:<16}{issuer}/approvals", "approvals");
        let _ = writeln!(told, "{:<16}{} (always signed in)", "user", escaped(name));
    }
    for client in clients {
        let uris = client.redirect_uris.join(" ");
        let _ = writeln!(
            told,
            "{:<16}{} {}",
            "client",
            word(&client.id),
            escaped(&uris)
        );
    }
    for agent in agents {
        let _ = writeln!(told, "{:<16}{}", "agent", agent.id.as_str());
        let _ = match &agent.file {
            Some(path) => writeln!(
                told,
                "{:<16}in {}",
                "",
                escaped(&path.display().to_string())
            ),
            None => writeln!(
                told,
                "{:<16}bootstrap token {}  (said once, here)",
                "",
                agent.token.expose()
            ),
        };
    }
    let _ = write!(
        told,
        "
Keys are new: what an earlier start issued is worth nothing now, \
and what this one issues ends with it.

Next, elsewhere:
    curl {issuer}/identity/bundle > bundle.json
    curl {issuer}/.well-known/oauth-authorization-server

An agent enrols with its bootstrap token by the library `aims_wimse_cred::enrolment`. \
To verify a WIT in a file: \
`aims wit verify --origin spiffe://{} --keys bundle.json`. \
Refusals are told on the standard error. Ctrl-C ends this.
",
        domain.as_str()
    );
    told
}
