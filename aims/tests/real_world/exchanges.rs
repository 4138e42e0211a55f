//! Cases in which answers lead to further requests: discovery, and renewal of keys and tokens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::fetch::{Fetch, FetchFuture};
use aims::jose::Chain;
use aims::jose::provider;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock, UnixTime};
use aims::keys::PublishedKeys;
use aims::oauth_client::discovery::{self, Discovery};
use aims::oauth_client::{Step, TokenSource, drive};
use aims::oauth_rs::{AccessToken, AccessTokenRules};
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, ScopeSet};
use aims::resolve::{Need, Resolve, Resolved};
use http::{Request, Response, StatusCode};
use tokio::task::JoinSet;

use crate::{Case, NOW, http_text, read};

pub(crate) const KINDS: &[&str] = &["discover", "published_keys", "token_source"];

/// Returns the result of the exchange, in words, or `None` if the case is of another kind.
pub(crate) async fn outcome(case: &Case) -> Option<String> {
    Some(match case.op.as_str() {
        "discover" => discover(case).await,
        "published_keys" => published_keys(case).await,
        "token_source" => token_source(case).await,
        _ => return None,
    })
}

/// Answers by URL, and 404 for others. Records the requests.
#[derive(Clone, Debug)]
struct Web {
    answers: Arc<BTreeMap<String, String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn of(case: &Case) -> Self {
        Self {
            answers: Arc::new(case.answers.clone().unwrap()),
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        let answer = self.answers.get(&url).map_or_else(
            || {
                let mut nothing = Response::new(Vec::new());
                *nothing.status_mut() = StatusCode::NOT_FOUND;
                nothing
            },
            |file| http_text::response(&read(file)),
        );
        let line = format!("{} {url}", answer.status().as_u16());
        self.asked.lock().unwrap().push(line);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(answer)
        })
    }
}

/// A wall clock that a case sets; the monotonic clock of the runtime is stopped.
#[derive(Clone, Debug, Default)]
struct Wall(Arc<AtomicU64>);

impl Wall {
    fn jump(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Wall {
    fn now(&self) -> UnixTime {
        let ahead = self.0.load(Ordering::Relaxed);
        UnixTime::since_unix_epoch(Duration::from_secs(NOW + ahead))
    }
}

fn issuer(case: &Case) -> Issuer {
    case.issuer.as_deref().unwrap().parse().unwrap()
}

async fn discover(case: &Case) -> String {
    let web = Web::of(case);
    let found = match &case.tool {
        Some(tool) => {
            let accepted = case.accepted.iter().flatten();
            let accepted = accepted.map(|it| it.parse::<Issuer>().unwrap());
            let mut discovery = Discovery::new(tool.parse().unwrap(), accepted);
            if case.within == Some(true) {
                discovery = discovery.resource_within();
            }
            let begun = discovery.begin().unwrap();
            let found = drive(begun, &web, &Wall::default()).await;
            found.map(|found| found.into_server())
        }
        None => {
            let (request, pending) = discovery::server(&issuer(case)).unwrap();
            drive(Step::Send(request, pending), &web, &Wall::default()).await
        }
    };
    let asked = web.asked.lock().unwrap().join(", ");
    match found {
        Ok(server) => format!("ok issuer={} [asked {asked}]", server.issuer()),
        Err(error) => format!("{} [asked {asked}]", told!(error)),
    }
}

async fn published_keys(case: &Case) -> String {
    let (web, wall) = (Web::of(case), Wall::default());
    let keys = PublishedKeys::builder(Arc::new(web.clone()), provider::default())
        .clock(wall.clone())
        .issuer(issuer(case))
        .build();
    let mut lines = Vec::new();
    lines.push(match keys.load().await {
        Ok(()) => format!(
            "loaded{}, {} asked",
            judged(case, &keys, &wall),
            web.asked()
        ),
        Err(error) => format!("{}, {} asked", told!(error), web.asked()),
    });
    for jump in case.jumps.iter().flatten() {
        wall.jump(*jump);
        let need = Need::IssuerKeys(case.issuer.clone().unwrap());
        assert_eq!(case.refresh, Some(true), "{}", case.id);
        let news = matches!(keys.resolve(need).await, Resolved::Changed);
        let judged = judged(case, &keys, &wall);
        lines.push(format!(
            "+{jump} s: news={news}{judged}, {} asked",
            web.asked()
        ));
    }
    lines.join("; ")
}

/// Returns the decision of the keys about the token of the case.
fn judged(case: &Case, keys: &PublishedKeys, wall: &Wall) -> String {
    let Some(file) = &case.file else {
        return String::new();
    };
    let token = String::from_utf8(read(file)).unwrap();
    let rules = AccessTokenRules::new(case.audience.clone().unwrap());
    let issuers = keys.issuers().snapshot();
    match AccessToken::verify(token.trim(), &issuers, &rules, wall.now()) {
        Ok(_) => ", token ok".to_owned(),
        Err(error) => format!(", token {}", error.code()),
    }
}

async fn token_source(case: &Case) -> String {
    let (web, wall) = (Web::of(case), Wall::default());
    let issuer: Issuer = "https://as.example".parse().unwrap();
    let server = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
    let server = ServerMetadata::parse(server, &issuer).unwrap();
    let secret = SecretText::new("a secret of the client");
    let client = ClientSecretBasic::new("agent-1".parse().unwrap(), secret);
    let source = TokenSource::new(server, client, web.clone()).with_clock(wall.clone());
    let source = Arc::new(source);
    let mut lines = Vec::new();
    for step in case.steps.iter().flatten() {
        wall.jump(step.wall);
        let mut calls = JoinSet::new();
        for _ in 0..step.calls.unwrap_or(1) {
            let source = Arc::clone(&source);
            calls.spawn(async move {
                let resource = "https://api.example".parse().unwrap();
                source.token_for(&resource, &ScopeSet::new()).await
            });
        }
        let mut outcome = "ok".to_owned();
        while let Some(call) = calls.join_next().await {
            if let Err(error) = call.unwrap() {
                outcome = told!(error);
            }
        }
        lines.push(format!("{outcome} {} requests", web.asked()));
    }
    lines.join("; ")
}
