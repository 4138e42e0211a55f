//! Access tokens at a resource server: many of them, unknown keys, revocations.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use aims::Requirements;
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::alg::Algorithm;
use aims::jose::jws::SigningInput;
use aims::jose::provider::AWS_LC;
use aims::jose::time::UnixTime;
use aims::keys::PublishedKeys;
use aims::oauth_rs::{AccessTokenRules, TokenCache};
use aims::revoked::{RevocationList, RevokedBy};
use aims_bench::raw::{RawKey, Signed};
use aims_bench::world::{ISSUER, TOOL, World};
use http::request::Parts;
use http::{Request, Response};
use serde_json::json;

use super::{Effort, Figure};

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let world = World::new(UnixTime::now())?;
    let mut all = many_tokens(&world, effort)?;
    all.extend(unknown_keys(&world, effort)?);
    all.extend(revocations(&world, effort)?);
    Ok(all)
}

/// An access token with this number in `sub`, `jti` and `sid`.
fn token(world: &World, kid: &str, number: usize) -> Result<String, Box<dyn Error>> {
    let now = world.now.as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": TOOL, "sub": format!("user-{number}"), "client_id": "web-client",
        "jti": format!("{number:024}"), "sid": format!("session-{number}"),
        "iat": now, "exp": now + 3_600, "scope": "tools:call tools:list",
    });
    let token = SigningInput::new("at+jwt", Algorithm::Es256, Some(kid), &claims)?;
    Ok(token.sign(&world.server)?.expose().to_owned())
}

fn nanos(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e9
}

/// Returns the median of raw verifications.
fn verification(world: &World) -> Result<f64, Box<dyn Error>> {
    let (key, signed) = (RawKey::of(&world.server)?, Signed::of(&world.token)?);
    let mut costs: Vec<f64> = (0..201)
        .map(|_| {
            let start = Instant::now();
            assert!(key.verify(&signed));
            nanos(start)
        })
        .collect();
    Ok(quantile(&mut costs, 0.5))
}

fn quantile(costs: &mut [f64], at: f64) -> f64 {
    costs.sort_unstable_by(f64::total_cmp);
    let last = u32::try_from(costs.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let mut nth = 0_usize;
    while f64::from(u32::try_from(nth).unwrap_or(u32::MAX)) < at * f64::from(last) {
        nth += 1;
    }
    costs.get(nth).copied().unwrap_or(f64::NAN)
}

/// Many distinct tokens through a cache of a tenth of them.
fn many_tokens(world: &World, effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let capacity = effort.entries / 10;
    let cache = TokenCache::new(capacity, AccessTokenRules::new(TOOL));
    let one = verification(world)?;
    let mut costs = Vec::with_capacity(effort.entries);
    let mut most_dropped = 0;
    let mut pass = |number: usize| -> Result<(), Box<dyn Error>> {
        let text = token(world, "as", number)?;
        let before = cache.len();
        let start = Instant::now();
        cache.verify(&text, &world.issuers, world.now)?;
        costs.push(nanos(start));
        most_dropped = most_dropped.max((before + 1).saturating_sub(cache.len()));
        Ok(())
    };
    let mut filled = Ok(());
    let taken = allocation_counter::measure(|| {
        filled = (0..capacity).try_for_each(&mut pass);
    });
    filled?;
    (capacity..effort.entries).try_for_each(&mut pass)?;
    let entries = f64::from(u32::try_from(cache.len())?);
    let bytes = f64::from(u32::try_from(taken.bytes_current)?) / entries;
    let tail = quantile(&mut costs, 0.999) / one;
    let dropped = f64::from(u32::try_from(most_dropped)?);
    Ok(vec![
        Figure::of("a cached token: memory", format!("{bytes:.0} B")),
        Figure::of("many tokens, small cache: p99.9", format!("{tail:.1} V"))
            .to("20 verifications", tail / 20.0)
            .at_most(1.0),
        Figure::of("entries dropped by one step", format!("{dropped:.0}"))
            .to("64", dropped / 64.0)
            .at_most(1.0),
    ])
}

/// Serves the key set of the issuer, and counts how often.
#[derive(Debug)]
struct Counting {
    keys: String,
    fetched: AtomicUsize,
}

impl Fetch for Counting {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let response = Response::builder().header("content-type", "application/jwk-set+json");
        let response = response.body(self.keys.clone().into_bytes());
        Box::pin(std::future::ready(Ok(response.unwrap_or_default())))
    }
}

fn bearer(text: &str) -> Result<Parts, Box<dyn Error>> {
    let request = Request::post("/mcp/call")
        .header("host", "tools.example")
        .header("authorization", format!("Bearer {text}"));
    Ok(request.body(())?.into_parts().0)
}

/// Tokens that name keys which the issuer does not have.
fn unknown_keys(world: &World, effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let count = effort.entries.min(10_000);
    let keys = format!(r#"{{"keys":[{}]}}"#, world.server.public_jwk().to_json());
    let counting = Arc::new(Counting {
        keys,
        fetched: AtomicUsize::new(0),
    });
    let published = PublishedKeys::builder(counting.clone(), AWS_LC)
        .issuer_at(ISSUER.parse()?, &"https://as.example/jwks".parse()?)?
        .build();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    let refused: Result<usize, Box<dyn Error>> = runtime.block_on(async {
        published.load().await?;
        counting.fetched.store(0, Ordering::Relaxed);
        let guard = aims::Guard::builder(TOOL).keys(&published);
        let guard = guard.require(Requirements::new().accept_bearer()).build()?;
        let mut refused = 0;
        for number in 0..count {
            let text = token(world, &format!("unknown-{number}"), number)?;
            refused += usize::from(guard.admit(&bearer(&text)?).await.is_err());
        }
        Ok(refused)
    });
    assert_eq!(refused?, count, "no token of an unknown key is accepted");
    let fetched = counting.fetched.load(Ordering::Relaxed);
    let ratio = f64::from(u32::try_from(fetched)?) / 2.0;
    Ok(vec![
        Figure::of("fetches for 10,000 unknown `kid`s", fetched.to_string())
            .to("2", ratio)
            .at_most(1.0),
    ])
}

/// From a revocation to the refusal of a known token, with many revocations.
fn revocations(world: &World, effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let list = Arc::new(RevocationList::new(effort.entries + effort.rounds + 1));
    let session = |number: usize| RevokedBy::Session {
        issuer: ISSUER.to_owned(),
        session: format!("session-{number}"),
    };
    let taken = allocation_counter::measure(|| {
        for number in 0..effort.entries {
            list.revoke(session(effort.rounds + number), world.now);
        }
    });
    let guard = world.guard().revoked(Arc::clone(&list));
    let guard = guard.require(Requirements::new().accept_bearer()).build()?;
    let one = verification(world)?;
    let mut costs = Vec::new();
    for number in 0..effort.rounds {
        let call = bearer(&token(world, "as", number)?)?;
        guard.check(&call, world.now)?;
        let start = Instant::now();
        list.revoke(session(number), world.now);
        let refused = guard.check(&call, world.now);
        costs.push(nanos(start));
        assert!(refused.is_err_and(|it| it.code() == "token.revoked"));
    }
    let entries = f64::from(u32::try_from(effort.entries)?);
    let bytes = f64::from(u32::try_from(taken.bytes_current)?) / entries;
    let median = quantile(&mut costs, 0.5);
    Ok(vec![
        Figure::of("a revocation: memory", format!("{bytes:.0} B")),
        Figure::new("from revocation to refusal, 1,000,000 known", median)
            .to("20 verifications", median / (20.0 * one))
            .at_most(1.0),
    ])
}
