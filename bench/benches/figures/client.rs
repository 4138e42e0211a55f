//! The client's side: tokens that are held, and proofs that are made.

use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aims::fetch::{Fetch, FetchFuture};
use aims::jose::Algorithm;
use aims::jose::digest::Hashed;
use aims::jose::random;
use aims::jose::secret::SecretText;
use aims::jose::time::UnixTime;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::dpop::Binding;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Resource, ScopeSet};
use aims_bench::raw::{RawKey, RawSigner, Signed};
use aims_bench::sampler::{Case, Samples};
use aims_bench::world::{CALL, ISSUER, World};
use http::{HeaderMap, Request, Response};
use serde_json::json;
use tokio::runtime::Builder;

use super::{Effort, Figure};

/// The number of tokens that are held, and the memory that they may take in bytes.
const HELD: usize = 10_000;
const ROOM: f64 = 10.0 * 1024.0 * 1024.0;

/// Answers each request with another token, of the length of a JWT.
#[derive(Debug, Default)]
struct Server(AtomicUsize);

impl Fetch for Server {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let token = format!("{number:0>600}");
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3_600});
        let answer = Response::builder()
            .header("content-type", "application/json")
            .header("cache-control", "no-store")
            .body(body.to_string().into_bytes());
        Box::pin(std::future::ready(Ok(answer.unwrap_or_default())))
    }
}

fn source() -> Result<TokenSource, Box<dyn Error>> {
    let metadata = json!({"issuer": ISSUER, "token_endpoint": format!("{ISSUER}/token")});
    let metadata = ServerMetadata::parse(metadata.to_string().as_bytes(), &ISSUER.parse()?)?;
    let client = ClientSecretBasic::new("agent".parse()?, SecretText::new("secret"));
    Ok(TokenSource::new(metadata, client, Server::default()).with_capacity(HELD))
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let world = World::new(UnixTime::now())?;
    let (raw_key, raw_token) = (RawKey::of(&world.server)?, Signed::of(&world.token)?);
    let raw_signer = RawSigner::of(&world.agent)?;
    let (key, token) = (world.agent.public_jwk(), Hashed::of(&world.token));
    let binding = Binding::to("POST", CALL).access_token(&token);
    let input = || binding.prepare(key, Algorithm::Es256, random::SYSTEM, world.now);
    let message = input()?;
    let source = source()?;
    let scopes: ScopeSet = "tools:call".parse()?;
    let tool = |number: usize| format!("https://tools.example/{number}").parse::<Resource>();
    let first = tool(0)?;
    let mut held = Ok(());
    let taken = allocation_counter::measure(|| {
        held = runtime.block_on(async {
            for number in 0..HELD {
                source.token_for(&tool(number)?, &scopes).await?;
            }
            Ok::<_, Box<dyn Error>>(())
        });
    });
    held?;
    let timed = |batch: usize, once: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..batch).for_each(|_| once());
        start.elapsed()
    };
    let mut cases: Vec<Case<'_>> = vec![
        // 0: one verification by the backend
        Box::new(|n| timed(n, &mut || assert!(raw_key.verify(black_box(&raw_token))))),
        // 1: one signature by the backend
        Box::new(|n| {
            timed(n, &mut || {
                let message = black_box(message.as_bytes());
                black_box(raw_signer.sign(message).expect("a signature"));
            })
        }),
        // 2: a token that is held, in a request
        Box::new(|n| -> Duration {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..n {
                    let token = source.token_for(black_box(&first), &scopes).await;
                    let mut headers = HeaderMap::new();
                    let token = token.expect("a token");
                    token.apply(&mut headers).expect("a field");
                    black_box(headers);
                }
                start.elapsed()
            })
        }),
        // 3: a DPoP proof
        Box::new(|n| {
            timed(n, &mut || {
                let input = input().expect("a proof");
                black_box(input.sign(&world.agent).expect("a signature"));
            })
        }),
    ];
    let samples = Samples::take(&mut cases, effort.rounds, effort.batch);
    let ratio =
        |of: usize, to: usize| samples.median(|costs| Some(costs.get(of)? / costs.get(to)?));
    let bytes = f64::from(u32::try_from(taken.bytes_current)?);
    Ok(vec![
        Figure::new("backend: one verification", samples.cost(0)),
        Figure::new("backend: one signature", samples.cost(1)),
        Figure::new("a held token, attached", samples.cost(2))
            .to("one verification", ratio(2, 0))
            .at_most(0.02),
        Figure::new("a DPoP proof", samples.cost(3))
            .to("one signature", ratio(3, 1))
            .at_most(1.1),
        Figure::of("10,000 held tokens: memory", format!("{bytes:.0} B"))
            .to("10 MiB", bytes / ROOM)
            .at_most(1.0),
    ])
}
