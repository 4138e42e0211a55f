//! The result of a survey, and its text.

use std::fmt::{Display, Write as _};

use aims_fetch::Error;
use aims_jose::Chain;
use aims_oauth_wire::metadata::{EndpointKind, ResourceMetadata, ServerMetadata};
use aims_oauth_wire::names::{Issuer, Resource};
use http::StatusCode;
use serde::Serialize;
use zeroize::Zeroizing;

use super::View;
use super::trail::Asked;
use crate::text;

/// The result of a survey.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    resource: String,
    /// The answer to a request without a token.
    pub(super) challenge: Option<Answered>,
    pub(super) asked: Vec<Asked>,
    document: Option<Document>,
    pub(super) servers: Vec<Server>,
    /// The number of servers that were not asked.
    pub(super) servers_left_out: usize,
    /// The way that `aims login` would use, and the reasons.
    pub(super) login: Option<String>,
    pub(super) mistakes: Vec<Mistake>,
}

/// A challenge (RFC 9110 §11.6.1).
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) schemes: Vec<String>,
    pub(super) resource_metadata: Vec<String>,
    pub(super) scope: Option<String>,
}

/// The metadata of the tool.
#[derive(Debug, Serialize)]
struct Document {
    resource: String,
    authorization_servers: Vec<String>,
    scopes: Option<String>,
    diagnostics: Vec<String>,
}

/// The metadata of one server.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    issuer: String,
    token_endpoint: Option<String>,
    authorization_endpoint: Option<String>,
    grants: Vec<String>,
    client_authentication: Option<Vec<String>>,
    pkce: Option<Vec<String>>,
    diagnostics: Vec<String>,
    /// Nothing keeps clients from getting a token for the tool here.
    usable: bool,
}

/// Something that keeps clients out, or some of them.
#[derive(Debug, Serialize)]
pub(super) struct Mistake {
    code: &'static str,
    detail: String,
    /// Some clients get through nevertheless.
    tolerated: bool,
}

impl Mistake {
    /// The error of a step, which keeps every client out.
    pub(super) fn of(code: &'static str, detail: impl Display) -> Self {
        let detail = detail.to_string();
        let tolerated = false;
        Self {
            code,
            detail,
            tolerated,
        }
    }

    /// Returns whether the mistake keeps every client out.
    pub(super) const fn keeps_out(&self) -> bool {
        !self.tolerated
    }

    /// Returns the mistake of one server, where clients can use another one.
    pub(super) fn not_of_all(self) -> Self {
        Self {
            tolerated: true,
            ..self
        }
    }

    fn tolerated(code: &'static str, detail: String) -> Self {
        Self {
            code,
            detail,
            tolerated: true,
        }
    }

    pub(super) fn no_answer(error: &Error) -> Self {
        let advice = match error {
            Error::Address { .. } => {
                "; for a tool in your own network, add `--allow-private-networks`"
            }
            _ => "",
        };
        Self::of(
            error.code(),
            format!("the tool does not answer: {}{advice}", Chain(error)),
        )
    }

    pub(super) fn no_challenge(status: StatusCode) -> Self {
        let detail = format!(
            "a request without a token is answered with {}, expected 401 with `WWW-Authenticate`: \
             check that the guard's layer is around this path",
            status.as_u16()
        );
        Self::tolerated("resource.no_challenge", detail)
    }

    pub(super) fn bare_401() -> Self {
        let detail = "401 without `WWW-Authenticate` (RFC 9110 §11.6.1): check that no proxy removes the field";
        Self::tolerated("resource.no_challenge", detail.to_owned())
    }

    pub(super) fn no_place() -> Self {
        let detail = "the challenge has no usable `resource_metadata` (RFC 9728 §5.1): clients derive the URL of the metadata from the tool's URL";
        Self::tolerated("resource.no_metadata_url", detail.to_owned())
    }

    pub(super) fn nested(found: &str, expected: &str) -> Self {
        let detail = format!(
            "the metadata are at `{found}`, where no client looks: expected `{expected}`. Serve \
             them outside of the nested router (`guard.metadata_routes()`)"
        );
        Self::of("resource.nested", detail)
    }

    /// The document names another resource than the URL that was asked.
    pub(super) fn other_resource(asked: &str, named: &str) -> Self {
        let by_slash = asked.trim_end_matches('/') == named.trim_end_matches('/');
        let advice = if by_slash {
            "they differ in the final slash: use one spelling for both, as clients compare them byte for byte (RFC 9728 §3.3)"
        } else {
            "only clients that accept a broader resource get through (RFC 9728 §3.3); if a proxy changes the URL, give the guard the URL that callers use"
        };
        let detail =
            format!("the metadata name the resource `{named}`, expected `{asked}`: {advice}");
        Self::tolerated("resource.other_resource", detail)
    }

    pub(super) fn no_servers() -> Self {
        let detail = "the metadata name no authorization server: clients cannot find out where to get a token; add `authorization_servers`";
        Self::of("resource.no_servers", detail)
    }

    pub(super) fn not_served(issuer: &Issuer, resource: &Resource) -> Self {
        let detail = format!(
            "`{}` lists the resources that it serves, and `{}` is not one of them (RFC 9728 §4): \
             register it there",
            issuer.as_str(),
            resource.as_str()
        );
        Self::of("resource.not_served", detail)
    }

    pub(super) fn no_pkce(issuer: &Issuer) -> Self {
        let detail = format!(
            "`{}` does not list S256 in `code_challenge_methods_supported`: clients of MCP refuse \
             to log users in there",
            issuer.as_str()
        );
        Self::tolerated("resource.no_pkce", detail)
    }
}

impl Server {
    pub(super) fn of(server: &ServerMetadata, usable: bool) -> Self {
        let endpoint = |kind| server.endpoint(kind).map(|it| it.as_str().to_owned());
        let diagnostics = server.diagnostics().iter();
        Self {
            issuer: server.issuer().as_str().to_owned(),
            token_endpoint: endpoint(EndpointKind::Token),
            authorization_endpoint: endpoint(EndpointKind::Authorization),
            grants: server.grant_types_supported().to_vec(),
            client_authentication: server
                .token_endpoint_auth_methods_supported()
                .map(<[String]>::to_vec),
            pkce: server
                .code_challenge_methods_supported()
                .map(<[String]>::to_vec),
            diagnostics: diagnostics.map(ToString::to_string).collect(),
            usable,
        }
    }
}

impl Report {
    pub(super) fn new(resource: &Resource) -> Self {
        Self {
            resource: resource.as_str().to_owned(),
            challenge: None,
            asked: Vec::new(),
            document: None,
            servers: Vec::new(),
            servers_left_out: 0,
            login: None,
            mistakes: Vec::new(),
        }
    }

    pub(super) fn document(&mut self, document: &ResourceMetadata) {
        let servers = document.authorization_servers().iter();
        let diagnostics = document.diagnostics().iter();
        self.document = Some(Document {
            resource: document.resource().as_str().to_owned(),
            authorization_servers: servers.map(|it| it.as_str().to_owned()).collect(),
            scopes: document.scopes_supported().map(ToString::to_string),
            diagnostics: diagnostics.map(ToString::to_string).collect(),
        });
    }

    /// Whether a client that follows the standards finds a server.
    pub(super) fn is_good(&self) -> bool {
        self.has_usable_server() && !self.mistakes.iter().any(Mistake::keeps_out)
    }

    pub(super) fn has_usable_server(&self) -> bool {
        self.servers.iter().any(|it| it.usable)
    }

    /// The report for people: a line for each fact.
    pub(super) fn text(&self, view: View) -> Zeroizing<String> {
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn Display| {
            let value = value.to_string();
            let _infallible = writeln!(text, "{name:<11}{}", text::escaped(&value));
        };
        line("resource", &self.resource);
        for asked in &self.asked {
            match (asked.status, &asked.error) {
                (Some(status), _) => line("asked", &format_args!("{} {status}", asked.url)),
                (None, error) => {
                    let error = error.as_deref().unwrap_or("no answer");
                    line("asked", &format_args!("{} {error}", asked.url));
                }
            }
        }
        if let Some(challenge) = &self.challenge {
            let scope = challenge
                .scope
                .as_deref()
                .map_or_else(String::new, |it| format!(", scope {it}"));
            let schemes = challenge.schemes.join(", ");
            line(
                "challenge",
                &format_args!("{} {schemes}{scope}", challenge.status),
            );
        }
        if let Some(document) = &self.document {
            line("names", &document.resource);
            for server in &document.authorization_servers {
                line("server", server);
            }
            if let Some(scopes) = &document.scopes {
                line("scopes", scopes);
            }
            for diagnostic in &document.diagnostics {
                line("tolerated", diagnostic);
            }
        }
        for server in &self.servers {
            line("issuer", &server.issuer);
            if let Some(endpoint) = &server.token_endpoint {
                line("tokens", endpoint);
            }
            line("grants", &server.grants.join(", "));
            if let Some(methods) = &server.client_authentication {
                line("clients", &methods.join(", "));
            }
            for diagnostic in &server.diagnostics {
                line("tolerated", diagnostic);
            }
        }
        if self.servers_left_out > 0 {
            line(
                "server",
                &format_args!("{} more, which were not asked", self.servers_left_out),
            );
        }
        for used in self.login.iter().flat_map(|it| it.lines()) {
            line("login", &used);
        }
        for mistake in &self.mistakes {
            let name = if mistake.tolerated {
                "warning"
            } else {
                "wrong"
            };
            line(name, &format_args!("{}: {}", mistake.code, mistake.detail));
        }
        line(
            if self.is_good() { "good" } else { "bad" },
            &self.conclusion(view),
        );
        Zeroizing::new(text)
    }

    /// Returns the outcome for a client.
    fn conclusion(&self, view: View) -> String {
        let Some(server) = self.servers.iter().find(|it| it.usable && self.is_good()) else {
            return match view {
                View::Operator => "clients that know this URL alone get no token".to_owned(),
                View::Client => "no server was found that issues tokens for this tool".to_owned(),
            };
        };
        let named = self
            .document
            .as_ref()
            .map_or(&self.resource, |it| &it.resource);
        let scope = self.challenge.as_ref().and_then(|it| it.scope.as_deref());
        let scope = scope.or_else(|| self.document.as_ref()?.scopes.as_deref());
        let scope = scope.map_or_else(String::new, |it| format!(", with the scope {it}"));
        format!(
            "a client asks {} for a token for {named}{scope}",
            server.issuer
        )
    }
}
