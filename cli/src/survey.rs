//! `aims resource check` and `aims discover`: the way of a client from a tool's URL to the servers
//! that issue tokens for it, with every document and every mistake on it.

mod nested;
mod report;
mod trail;

use std::sync::Arc;

use aims_fetch::{Fetch, Fetcher};
use aims_jose::Chain;
use aims_jose::time::SystemClock;
use aims_oauth_client::discovery::{resource_within, server};
use aims_oauth_client::{Step, drive};
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::metadata::{ResourceMetadata, ServerMetadata};
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};
use http::{Request, Response, StatusCode};
use zeroize::Zeroizing;

use crate::args::Survey;
use crate::failure::Failure;
use report::{Answered, Mistake, Report, Server};
use trail::Trail;

/// The reader of the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum View {
    /// The operator of the tool, who can mend mistakes.
    Operator,
    /// A client, which wants a token.
    Client,
}

/// The most servers of one tool that are asked.
const MOST_SERVERS: usize = 4;

/// Makes the survey. The text is the report; the flag tells whether a client gets through.
pub(crate) fn run(survey: &Survey, view: View) -> Result<(Zeroizing<String>, bool), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let mut fetcher = Fetcher::builder();
    if survey.url.as_str().starts_with("http://") || survey.url.is_loopback() {
        fetcher = fetcher.allow_loopback_http();
    }
    if survey.allow_private_networks {
        fetcher = fetcher.allow_private_networks();
    }
    let fetcher = fetcher.build().map_err(|error| Failure::Refused {
        code: error.code(),
        detail: Chain(&error).to_string(),
    })?;
    let fetcher: Arc<dyn Fetch> = Arc::new(fetcher);
    let trail = Trail::new(Arc::clone(&fetcher));
    let surveyor = Surveyor {
        resource: &survey.url,
        trail: &trail,
        view,
        challenges: Challenges::default(),
        report: Report::new(&survey.url),
    };
    let (mut report, challenges) = runtime.block_on(surveyor.survey());
    if view == View::Client && report.has_usable_server() {
        let connector = crate::login::of_user(fetcher).accept_any_issuer();
        let explained = runtime.block_on(connector.explain(&survey.url, &challenges));
        report.login = explained.ok().map(|it| it.to_string());
    }
    let text = if survey.shown.json {
        crate::token::json(&report)?
    } else {
        report.text(view)
    };
    Ok((text, report.is_good()))
}

/// Returns whether a tool demands a token by 400 and `invalid_request`, as the example of RFC 9728
/// §5.1 does.
fn is_invalid_request(answer: &Response<Vec<u8>>, resource: &Resource) -> bool {
    let names_metadata = |all: Challenges| {
        let mut errors = all.iter().map(Challenge::error);
        errors.any(|error| error == Some("invalid_request"))
            && !all.resource_metadata_places(resource).is_empty()
    };
    answer.status() == StatusCode::BAD_REQUEST
        && Challenges::parse(answer.headers()).is_ok_and(names_metadata)
}

struct Surveyor<'a> {
    resource: &'a Resource,
    trail: &'a Trail,
    view: View,
    challenges: Challenges,
    report: Report,
}

impl Surveyor<'_> {
    async fn survey(mut self) -> (Report, Challenges) {
        let places = self.knock().await;
        if let Some(document) = self.document(places).await {
            self.report.document(&document);
            self.compare(&document);
            self.servers(document.authorization_servers()).await;
        }
        self.report.asked = self.trail.steps();
        (self.report, self.challenges)
    }

    /// Sends a request without a token, and reads the challenge. Returns the places that it names.
    async fn knock(&mut self) -> Vec<Endpoint> {
        let mut request = Request::new(Vec::new());
        let Ok(uri) = self.resource.as_str().parse() else {
            return Vec::new();
        };
        *request.uri_mut() = uri;
        let answer = match self.trail.send(request).await {
            Ok(answer) => answer,
            Err(error) => {
                self.mistake(Mistake::no_answer(&error));
                return Vec::new();
            }
        };
        self.challenge(&answer)
    }

    fn challenge(&mut self, answer: &Response<Vec<u8>>) -> Vec<Endpoint> {
        let status = answer.status();
        if status != StatusCode::UNAUTHORIZED && !is_invalid_request(answer, self.resource) {
            self.mistake(Mistake::no_challenge(status));
            return Vec::new();
        }
        let all = match Challenges::parse(answer.headers()) {
            Ok(all) => all,
            Err(error) => {
                self.mistake(Mistake::of(error.code(), Chain(&error)));
                return Vec::new();
            }
        };
        let places = all.resource_metadata_places(self.resource);
        let scope = all.iter().find_map(|it| it.scope().ok().flatten());
        self.report.challenge = Some(Answered {
            status: status.as_u16(),
            schemes: all.iter().map(|it| it.scheme().to_owned()).collect(),
            resource_metadata: places.iter().map(|it| it.as_str().to_owned()).collect(),
            scope: scope.map(|it| it.to_string()),
        });
        if all.is_empty() {
            self.mistake(Mistake::bare_401());
        } else if places.is_empty() {
            self.mistake(Mistake::no_place());
        }
        self.challenges = all;
        places
    }

    /// Fetches the tool's metadata, as a client that accepts a broader resource than RFC 9728
    /// permits.
    async fn document(&mut self, places: Vec<Endpoint>) -> Option<ResourceMetadata> {
        let begun = resource_within(self.resource, places);
        let found = match begun {
            Ok((request, pending)) => {
                let first = Step::Send(request, pending);
                drive(first, self.trail, &SystemClock::new()).await
            }
            Err(error) => Err(error),
        };
        match found {
            Ok(document) => Some(document),
            Err(error) => {
                self.mistake(Mistake::of(error.code(), Chain(&error)));
                if self.view == View::Operator
                    && let Some(found) = nested::look(self.resource, self.trail).await
                {
                    self.mistake(found);
                }
                None
            }
        }
    }

    /// Compares the resource that the document names with the URL.
    fn compare(&mut self, document: &ResourceMetadata) {
        let (named, asked) = (document.resource().as_str(), self.resource.as_str());
        if named == asked {
            return;
        }
        self.mistake(Mistake::other_resource(asked, named));
    }

    async fn servers(&mut self, issuers: &[Issuer]) {
        if issuers.is_empty() {
            self.mistake(Mistake::no_servers());
        }
        let mut mistakes = Vec::new();
        for issuer in issuers.iter().take(MOST_SERVERS) {
            let found = match server(issuer) {
                Ok((request, pending)) => {
                    let first = Step::Send(request, pending);
                    drive(first, self.trail, &SystemClock::new()).await
                }
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => {
                    let of_server = self.check_server(&found);
                    let is_usable = !of_server.iter().any(Mistake::keeps_out);
                    mistakes.extend(of_server);
                    self.report.servers.push(Server::of(&found, is_usable));
                }
                Err(error) => mistakes.push(Mistake::of(error.code(), Chain(&error))),
            }
        }
        // A client can use another server than the one with the mistake.
        if self.report.has_usable_server() {
            mistakes = mistakes.into_iter().map(Mistake::not_of_all).collect();
        }
        self.report.mistakes.extend(mistakes);
        if issuers.len() > MOST_SERVERS {
            self.report.servers_left_out = issuers.len().saturating_sub(MOST_SERVERS);
        }
    }

    fn check_server(&self, server: &ServerMetadata) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if let Err(error) = server.token_endpoint() {
            mistakes.push(Mistake::of(error.code(), Chain(&error)));
        }
        if !server.serves(self.resource) {
            mistakes.push(Mistake::not_served(server.issuer(), self.resource));
        }
        let with_code = server.takes_grant("authorization_code");
        let methods = server
            .code_challenge_methods_supported()
            .unwrap_or_default();
        if with_code && !methods.iter().any(|it| it == "S256") {
            mistakes.push(Mistake::no_pkce(server.issuer()));
        }
        mistakes
    }

    fn mistake(&mut self, mistake: Mistake) {
        self.report.mistakes.push(mistake);
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    /// A host whose name begins like one of this machine gets no way to its other servers.
    #[test]
    fn only_this_machine_is_local() {
        for (url, expected) in [
            ("https://localhost/mcp", true),
            ("https://localhost:8443/mcp", true),
            ("https://127.0.0.1:8443/mcp", true),
            ("https://[::1]/mcp", true),
            ("https://localhost.evil.example/mcp", false),
            ("https://127.0.0.1.evil.example/mcp", false),
            ("https://localhostile.example/mcp", false),
            ("https://evil.example/https://localhost", false),
        ] {
            assert_eq!(
                url.parse::<Resource>().unwrap().is_loopback(),
                expected,
                "{url}"
            );
        }
    }
}
