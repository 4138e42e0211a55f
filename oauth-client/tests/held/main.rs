//! A source whose store fails, whose user logs out elsewhere, and whose tokens are revoked.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::base64url;
use aims_jose::jwk::Thumbprint;
use aims_jose::secret::SecretText;
use aims_oauth_client::{
    ClientCredentials, Error, Grant, Impersonation, JwtBearer, MemoryStore, RevocationSignal,
    StoreFuture, StoreKey, StoredValue, SubjectToken, Target, TokenSource, TokenStore, UserGrant,
};
use aims_oauth_wire::token::Form;
use common::suite::{Code, TOOL, granted};
use common::{LATEST, Paused, Script, client, code, json_answer, server_with, sleep};
use http::Request;
use serde_json::{Value, json};
use tokio::time::Instant;

/// A store whose writes fail as often as the test says, before or after they were done.
#[derive(Clone, Debug)]
struct Faulty(Arc<(MemoryStore, Mutex<(usize, bool)>)>);

impl Faulty {
    fn new() -> Self {
        Self(Arc::new((MemoryStore::new(), Mutex::default())))
    }

    fn fail(&self, times: usize, is_done: bool) {
        *self.0.1.lock().unwrap() = (times, is_done);
    }
}

impl TokenStore for Faulty {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        self.0.0.load(key)
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        Box::pin(async move {
            let has_token = value
                .as_ref()
                .is_some_and(|it| it.text().expose().contains("\"lease\":null"));
            let (fails, is_done) = {
                let mut failing = self.0.1.lock().unwrap();
                let fails = has_token && failing.0 > 0;
                failing.0 -= usize::from(fails);
                (fails, failing.1)
            };
            if fails && !is_done {
                return Err(failed());
            }
            let swapped = self.0.0.swap(key, version, value).await;
            if fails { Err(failed()) } else { swapped }
        })
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        self.0.0.keys(group)
    }
}

fn failed() -> Error {
    Error::Store(Arc::new(std::io::Error::other("the disk is full")))
}

const REVOCATION: &str = "https://as.example/revoke";

fn source(http: impl Fetch + 'static, store: &Arc<dyn TokenStore>, start: Instant) -> TokenSource {
    let server = server_with(&json!({ "revocation_endpoint": REVOCATION }));
    TokenSource::new(server, client(), http)
        .with_clock(Paused(start))
        .with_random(&LATEST)
        .with_store(Arc::clone(store))
}

fn target() -> Target {
    Target::new(TOOL.parse().unwrap(), "read".parse().unwrap()).with_subject("alice")
}

fn user() -> UserGrant {
    UserGrant::new(target())
}

async fn text(source: &TokenSource) -> Result<String, Error> {
    text_for(source, target()).await
}

async fn text_for(source: &TokenSource, target: Target) -> Result<String, Error> {
    let token = source.token(UserGrant::new(target)).await?;
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers)?;
    Ok(headers["authorization"].to_str().unwrap().to_owned())
}

fn memory() -> Arc<dyn TokenStore> {
    Arc::new(MemoryStore::new())
}

fn script() -> Script {
    Script::new(|request, number| match request.uri().path() {
        "/revoke" => json_answer(200, &json!({})),
        _ => granted(number),
    })
}

/// The tokens that the server was asked to revoke.
fn revoked(script: &Script) -> Vec<String> {
    let requests = script.requests();
    let revocations = requests.iter().filter(|it| it.uri().path() == "/revoke");
    let form = |it: &Request<Vec<u8>>| Form::parse(it.body()).unwrap();
    let mut all: Vec<_> = revocations
        .map(|it| form(it).get("token").unwrap().to_owned())
        .collect();
    all.sort();
    all
}

/// A write that fails for a moment is made again. The server is not asked twice.
#[tokio::test(start_paused = true)]
async fn a_failed_write_is_repeated() {
    for is_done in [false, true] {
        let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
        let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
        let source_of = |start| source(script.clone(), &store, start);
        let first = source_of(start);
        faulty.fail(2, is_done);
        first.redeem(Code(target())).await.unwrap();
        assert_eq!(text(&source_of(start)).await.unwrap(), "Bearer access0");
        sleep(300).await;
        faulty.fail(2, is_done);
        assert_eq!(text(&first).await.unwrap(), "Bearer access1");
        assert_eq!(text(&source_of(start)).await.unwrap(), "Bearer access1");
        assert_eq!(script.requests().len(), 2);
    }
}

/// A store that fails for longer: the new refresh token stays in memory, the access token is not
/// used before it is stored, and the next call stores it. Nothing is asked of the server again.
#[tokio::test(start_paused = true)]
async fn a_rotated_token_outlives_a_failing_store() {
    let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
    let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
    let first = source(script.clone(), &store, start);
    first.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    faulty.fail(usize::MAX, false);
    let told = text(&first).await.unwrap_err();
    assert_eq!(
        (told.code(), told.needs_user()),
        ("store.unavailable", false)
    );
    // The source reports it once, until the next attempt.
    assert_eq!(code(text(&first).await), "grant.backing_off");
    sleep(2).await;
    assert_eq!(code(text(&first).await), "store.unavailable");
    faulty.fail(0, false);
    sleep(10).await;
    assert_eq!(text(&first).await.unwrap(), "Bearer access1");
    sleep(300).await;
    assert_eq!(
        text(&source(script.clone(), &store, start)).await.unwrap(),
        "Bearer access2"
    );
    let sent: Vec<_> = script
        .forms()
        .iter()
        .map(|it| it.get("refresh_token").map(String::from))
        .collect();
    assert_eq!(
        sent,
        [
            None,
            Some("refresh0".to_owned()),
            Some("refresh1".to_owned())
        ]
    );
}

/// A login that cannot be stored is stored later, too, and not after a logout.
#[tokio::test(start_paused = true)]
async fn a_login_outlives_a_failing_store() {
    for logs_out in [false, true] {
        let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
        let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
        let first = source(script.clone(), &store, start);
        faulty.fail(usize::MAX, false);
        assert_eq!(
            code(first.redeem(Code(target())).await),
            "store.unavailable"
        );
        faulty.fail(0, false);
        if logs_out {
            first.revoke(&user()).await.unwrap();
            assert_eq!(code(text(&first).await), "grant.needs_user");
            assert_eq!(revoked(&script), ["refresh0"]);
        } else {
            assert_eq!(text(&first).await.unwrap(), "Bearer access0");
            assert_eq!(
                text(&source(script, &store, start)).await.unwrap(),
                "Bearer access0"
            );
        }
    }
}

/// A login of another process replaces a token that could not be stored, which is revoked.
#[tokio::test(start_paused = true)]
async fn a_newer_login_wins() {
    let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
    let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
    let [first, second] = [0, 1].map(|_| source(script.clone(), &store, start));
    first.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    faulty.fail(usize::MAX, false);
    assert_eq!(code(text(&first).await), "store.unavailable");
    faulty.fail(0, false);
    second.redeem(Code(target())).await.unwrap();
    sleep(10).await;
    assert_eq!(text(&first).await.unwrap(), "Bearer access2");
    assert_eq!(revoked(&script), ["refresh1"]);
}

type Then = Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A server during whose answer to a refresh something else happens.
#[derive(Clone)]
struct Meanwhile(Script, Arc<Mutex<Option<Then>>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Fetch for Meanwhile {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            let form = Form::parse(request.body()).unwrap();
            let answer = self.0.send(request).await;
            if form.get("refresh_token").is_some() {
                let then = self.1.lock().unwrap().take();
                if let Some(then) = then {
                    then().await;
                }
            }
            answer
        })
    }
}

/// A logout of another process during a renewal is not undone: neither the old nor the new token
/// can be used, and both are revoked. A login of another process is kept.
#[tokio::test(start_paused = true)]
async fn another_process_logs_out_during_a_renewal() {
    for logs_in_again in [false, true] {
        let (script, store, start) = (script(), memory(), Instant::now());
        let server = Meanwhile(script.clone(), Arc::default());
        let renewing = source(server.clone(), &store, start);
        renewing.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        let other = Arc::new(source(script.clone(), &store, start));
        let then: Then = Box::new(move || {
            Box::pin(async move {
                other.revoke(&user()).await.unwrap();
                if logs_in_again {
                    other.redeem(Code(target())).await.unwrap();
                }
            })
        });
        *server.1.lock().unwrap() = Some(then);
        let found = text(&renewing).await;
        let later = text(&source(script.clone(), &store, start)).await;
        if logs_in_again {
            assert_eq!(
                (found.unwrap(), later.unwrap()),
                ("Bearer access3".into(), "Bearer access3".into())
            );
        } else {
            assert_eq!(code(found), "grant.needs_user");
            assert_eq!(code(later), "grant.needs_user");
        }
        assert_eq!(revoked(&script), ["refresh0", "refresh1"]);
    }
}

/// A token that is bound to the old key of the identity is not taken from the store.
#[tokio::test(start_paused = true)]
async fn the_key_of_the_identity_counts_in_a_store() {
    let (script, store, start) = (script(), memory(), Instant::now());
    let key = |byte: u8| {
        base64url::encode(&[byte; 32])
            .parse::<Thumbprint>()
            .unwrap()
    };
    let with_key = |byte| source(script.clone(), &store, start).with_key(move |_| Some(key(byte)));
    let own = ClientCredentials::new(TOOL.parse().unwrap());
    let first = with_key(1).token(own.clone()).await.unwrap().fingerprint();
    assert_eq!(
        with_key(1).token(own.clone()).await.unwrap().fingerprint(),
        first
    );
    assert_ne!(
        with_key(2).token(own.clone()).await.unwrap().fingerprint(),
        first
    );
    assert_eq!(script.requests().len(), 2);
    let without = source(script.clone(), &store, start);
    without.token(own).await.unwrap();
    assert_eq!(script.requests().len(), 3);
    // The refresh token of a user is used with the new key.
    with_key(1).redeem(Code(target())).await.unwrap();
    assert_eq!(text(&with_key(2)).await.unwrap(), "Bearer access4");
    assert_eq!(script.forms()[4].get("refresh_token"), Some("refresh3"));
}

/// A logout ends all grants of one user for one resource, whatever their scopes, in all processes.
#[tokio::test(start_paused = true)]
async fn a_logout_ends_all_grants() {
    let other_tool = Target::new(
        "https://other.example".parse().unwrap(),
        "read".parse().unwrap(),
    );
    let targets = [
        target(),
        target().with_scopes("read write".parse().unwrap()),
        target().with_subject("bob"),
        other_tool.with_subject("alice"),
    ];
    for has_store in [true, false] {
        let (script, start) = (script(), Instant::now());
        let store = memory();
        let open = || match has_store {
            true => source(script.clone(), &store, start),
            false => {
                let server = server_with(&json!({ "revocation_endpoint": REVOCATION }));
                TokenSource::new(server, client(), script.clone()).with_clock(Paused(start))
            }
        };
        let first = open();
        for target in &targets {
            first.redeem(Code(target.clone())).await.unwrap();
        }
        let logging_out = if has_store { open() } else { first };
        let tool = TOOL.parse().unwrap();
        logging_out.revoke_all(&tool, Some("alice")).await.unwrap();
        assert_eq!(revoked(&script), ["refresh0", "refresh1"]);
        let mut after = Vec::new();
        for target in &targets {
            let renewed = text_for(&logging_out, target.clone()).await;
            after.push(code(renewed));
        }
        let gone = "grant.needs_user";
        assert_eq!(after, [gone, gone, "ok", "ok"], "{has_store}");
    }
}

/// Every grant is removed, and every token is tried, although the server refuses.
#[tokio::test(start_paused = true)]
async fn a_logout_goes_on_after_an_error() {
    let script = Script::new(|request, number| match request.uri().path() {
        "/revoke" => json_answer(400, &json!({"error": "unsupported_token_type"})),
        _ => granted(number),
    });
    let (store, start) = (memory(), Instant::now());
    let source = source(script.clone(), &store, start);
    let wider = target().with_scopes("read write".parse().unwrap());
    source.redeem(Code(target())).await.unwrap();
    source.redeem(Code(wider.clone())).await.unwrap();
    let tool = TOOL.parse().unwrap();
    let refused = source.revoke_all(&tool, Some("alice")).await;
    assert_eq!(code(refused), "oauth.refused");
    assert_eq!(revoked(&script), ["refresh0", "refresh1"]);
    assert_eq!(code(text(&source).await), "grant.needs_user");
    assert_eq!(code(text_for(&source, wider).await), "grant.needs_user");
}

fn id_token(sub: &str, sid: Option<&str>) -> String {
    let claims = json!({"iss": "https://as.example", "sub": sub, "aud": "agent", "sid": sid});
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    [part(&json!({"alg": "ES256"})), part(&claims), "c2ln".into()].join(".")
}

/// A server whose logins are of these users and sessions. A renewal has no ID token.
fn naming(users: &'static [(Option<&'static str>, Option<&'static str>)]) -> Script {
    let logins = Mutex::new(0);
    Script::new(move |request, number| {
        let mut body = json!({"access_token": format!("access{number}"), "token_type": "Bearer",
            "expires_in": 300, "refresh_token": format!("refresh{number}")});
        let form = Form::parse(request.body()).unwrap();
        if form.get("refresh_token").is_none() {
            let mut logins = logins.lock().unwrap();
            let (sub, sid) = users[*logins];
            *logins += 1;
            body["id_token"] = json!(sub.map(|sub| id_token(sub, sid)));
        }
        body.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        json_answer(200, &body)
    })
}

/// A revocation signal drops the tokens of its subject and session, and others stay. Tokens whose
/// subject or session is unknown count as those of the signal, unless the program names the user.
#[tokio::test(start_paused = true)]
async fn a_signal_drops_what_it_is_about() {
    const USERS: &[(Option<&str>, Option<&str>)] = &[
        (Some("u1"), Some("s1")),
        (Some("u1"), Some("s2")),
        (Some("u2"), Some("s3")),
        (Some("u3"), None),
        (None, None),
        (None, None),
    ];
    let names = [Some("a"), Some("b"), Some("c"), Some("d"), Some("u1"), None];
    let of = || RevocationSignal::of_issuer("https://as.example".parse().unwrap());
    let other = RevocationSignal::of_issuer("https://other.example".parse().unwrap());
    for (signal, dropped) in [
        (of(), &[0, 1, 2, 3, 4, 5][..]),
        (of().subject("u1"), &[0, 1, 4, 5]),
        (of().subject("u2"), &[2, 5]),
        (of().subject("nobody"), &[5]),
        (of().session("s1"), &[0, 3, 4, 5]),
        (of().subject("u1").session("s2"), &[1, 4, 5]),
        (of().subject("u2").session("s1"), &[5]),
        (other.subject("u1"), &[]),
    ] {
        for (has_store, is_renewed) in [(true, false), (false, false), (true, true), (false, true)]
        {
            let (script, store, start) = (naming(USERS), memory(), Instant::now());
            let server = server_with(&json!({ "revocation_endpoint": REVOCATION }));
            let source =
                TokenSource::new(server, client(), script.clone()).with_clock(Paused(start));
            let source = if has_store {
                source.with_store(store)
            } else {
                source
            };
            let targets = names.map(|name| {
                let target = Target::new(TOOL.parse().unwrap(), "read".parse().unwrap());
                match name {
                    Some(name) => target.with_subject(name),
                    None => target,
                }
            });
            for target in &targets {
                source.redeem(Code(target.clone())).await.unwrap();
            }
            if is_renewed {
                sleep(300).await;
                for target in &targets {
                    text_for(&source, target.clone()).await.unwrap();
                }
            }
            assert_eq!(source.drop_revoked(&signal).await.unwrap(), dropped.len());
            let asked = script.requests().len();
            for (number, target) in targets.iter().enumerate() {
                let expected = if dropped.contains(&number) {
                    "grant.needs_user"
                } else {
                    "ok"
                };
                let found = text_for(&source, target.clone()).await;
                assert_eq!(
                    code(found),
                    expected,
                    "{signal:?} {number} {has_store} {is_renewed}"
                );
            }
            // Nothing was asked of the server, also no revocation.
            assert_eq!(script.requests().len(), asked);
        }
    }
}

/// A grant counts once, whether it is in memory, in the store, or in both.
#[tokio::test(start_paused = true)]
async fn each_dropped_grant_counts_once() {
    const USERS: &[(Option<&str>, Option<&str>)] =
        &[(Some("u1"), None), (Some("u2"), None), (Some("u3"), None)];
    let (script, store, start) = (naming(USERS), memory(), Instant::now());
    let (own, other) = (
        source(script.clone(), &store, start),
        source(script, &store, start),
    );
    let of = |name: &str| target().with_subject(name);
    own.redeem(Code(of("u1"))).await.unwrap();
    other.redeem(Code(of("u2"))).await.unwrap();
    let all = || RevocationSignal::of_issuer("https://as.example".parse().unwrap());
    // The first is in the memory of `own` alone now, and the second in the store alone for it.
    let signal = all().subject("u1");
    assert_eq!(other.drop_revoked(&signal).await.unwrap(), 1);
    assert_eq!(own.drop_revoked(&all()).await.unwrap(), 2);
    assert_eq!(own.drop_revoked(&all()).await.unwrap(), 0);
    // In both, it is one.
    own.redeem(Code(of("u3"))).await.unwrap();
    assert_eq!(own.drop_revoked(&all()).await.unwrap(), 1);
}

/// Tokens of the client itself have no user: only a signal about the whole issuer drops them.
#[tokio::test(start_paused = true)]
async fn a_signal_about_a_user_keeps_tokens_of_the_client() {
    let (script, store, start) = (script(), memory(), Instant::now());
    let source = source(script.clone(), &store, start);
    let own = ClientCredentials::new(TOOL.parse().unwrap());
    let first = source.token(own.clone()).await.unwrap().fingerprint();
    let all = RevocationSignal::of_issuer(source.issuer().clone());
    for (signal, dropped) in [
        (all.clone().subject("agent"), 0),
        (all.clone().session("s"), 0),
        (all, 1),
    ] {
        assert_eq!(source.drop_revoked(&signal).await.unwrap(), dropped);
        let same = source.token(own.clone()).await.unwrap().fingerprint() == first;
        assert_eq!(same, dropped == 0);
    }
}

/// The subject of an exchanged token is unknown if the program does not name it: the fingerprint of
/// the subject token or of the assertion names no user.
#[tokio::test(start_paused = true)]
async fn a_signal_drops_tokens_of_an_unnamed_subject() {
    let tool = || Target::new(TOOL.parse().unwrap(), "read".parse().unwrap());
    let exchange = |target| Impersonation::new(SubjectToken::access_token("t"), target);
    let assertion = |target| JwtBearer::new(target, "a");
    let grants: [(Arc<dyn Grant>, usize); 6] = [
        (Arc::new(exchange(tool())), 1),
        (Arc::new(exchange(tool().with_subject("u1"))), 1),
        (Arc::new(exchange(tool().with_subject("u2"))), 0),
        (Arc::new(assertion(tool())), 1),
        (Arc::new(assertion(tool().with_subject("u1"))), 1),
        (Arc::new(assertion(tool().with_subject("u2"))), 0),
    ];
    for (grant, dropped) in grants {
        for has_store in [true, false] {
            let script = Script::new(|_, number| {
                let body = json!({"access_token": format!("access{number}"), "expires_in": 300,
                    "token_type": "Bearer", "scope": "read",
                    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"});
                json_answer(200, &body)
            });
            let (store, start) = (memory(), Instant::now());
            let held = TokenSource::new(server_with(&json!({})), client(), script.clone());
            let held = held.with_clock(Paused(start));
            let held = if has_store {
                held.with_store(Arc::clone(&store))
            } else {
                held
            };
            held.token(Arc::clone(&grant)).await.unwrap();
            // Another process, which has the store alone.
            let other = source(script.clone(), &store, start);
            let signal = RevocationSignal::of_issuer(held.issuer().clone()).subject("u1");
            let dropping = if has_store { &other } else { &held };
            assert_eq!(
                dropping.drop_revoked(&signal).await.unwrap(),
                dropped,
                "{grant:?}"
            );
        }
    }
}

/// A renewal that is running when the signal arrives is not used.
#[tokio::test(start_paused = true)]
async fn a_signal_during_a_renewal() {
    for has_store in [true, false] {
        let (script, store, start) = (script(), memory(), Instant::now());
        let server = Meanwhile(script.clone(), Arc::default());
        let metadata = server_with(&json!({ "revocation_endpoint": REVOCATION }));
        let renewing = TokenSource::new(metadata, client(), server.clone());
        let renewing = renewing.with_clock(Paused(start)).with_random(&LATEST);
        let renewing = Arc::new(if has_store {
            renewing.with_store(store)
        } else {
            renewing
        });
        renewing.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        let own = Arc::clone(&renewing);
        let then: Then = Box::new(move || {
            Box::pin(async move {
                let signal = RevocationSignal::of_issuer(own.issuer().clone());
                own.drop_revoked(&signal).await.unwrap();
            })
        });
        *server.1.lock().unwrap() = Some(then);
        let ended = if has_store {
            "grant.needs_user"
        } else {
            "grant.interrupted"
        };
        assert_eq!(code(text(&renewing).await), ended);
        assert_eq!(code(text(&renewing).await), "grant.needs_user");
    }
}
