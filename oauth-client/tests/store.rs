//! Tokens that sources share by a store: one renewal, and no lost refresh token.

#![cfg(all(feature = "tokio", feature = "file-store"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aims_oauth_client::{
    ClientCredentials, Error, FileStore, MemoryStore, SealingKey, Target, TokenSource, TokenStore,
    UserGrant,
};
use aims_oauth_wire::token::Form;
use common::suite::{Code, TOOL, granted};
use common::{LATEST, Paused, Script, client, code, json_answer, server_with, sleep};
use serde_json::json;
use tokio::time::Instant;

fn source(script: &Script, store: &Arc<dyn TokenStore>, start: Instant) -> TokenSource {
    TokenSource::new(server_with(&json!({})), client(), script.clone())
        .with_clock(Paused(start))
        .with_random(&LATEST)
        .with_store(Arc::clone(store))
}

fn target() -> Target {
    Target::new(TOOL.parse().unwrap(), "read".parse().unwrap()).with_subject("alice")
}

async fn text(source: &TokenSource) -> Result<String, Error> {
    let token = source.token(UserGrant::new(target())).await?;
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers)?;
    Ok(headers["authorization"].to_str().unwrap().to_owned())
}

fn memory() -> Arc<dyn TokenStore> {
    Arc::new(MemoryStore::new())
}

/// A server that grants every request, an empty store, and the time.
fn granting() -> (Script, Arc<dyn TokenStore>, Instant) {
    let script = Script::new(|_, number| granted(number));
    (script, memory(), Instant::now())
}

/// Logs the user in at a source that is dropped afterwards.
async fn log_in(script: &Script, store: &Arc<dyn TokenStore>, start: Instant) {
    let source = source(script, store, start);
    source.redeem(Code(target())).await.unwrap();
}

/// A thousand tasks of two sources want one expired token: one request. The refresh token of the
/// last answer is the one that is used next, by whichever source.
#[tokio::test(start_paused = true)]
async fn two_sources_renew_once() {
    let (script, store, start) = granting();
    let both = [0, 1].map(|_| Arc::new(source(&script, &store, start)));
    both[0].redeem(Code(target())).await.unwrap();
    assert_eq!(text(&both[1]).await.unwrap(), "Bearer access0");
    for round in 1..4 {
        sleep(300).await;
        let tasks: Vec<_> = (0..1_000)
            .map(|number| {
                let source = Arc::clone(&both[number % 2]);
                tokio::spawn(async move { text(&source).await })
            })
            .collect();
        for task in tasks {
            assert_eq!(
                task.await.unwrap().unwrap(),
                format!("Bearer access{round}")
            );
        }
        assert_eq!(script.requests().len(), round + 1);
        let form = script.forms().pop().unwrap();
        assert_eq!(
            form.get("refresh_token"),
            Some(&*format!("refresh{}", round - 1))
        );
    }
}

/// A restart keeps the login.
#[tokio::test(start_paused = true)]
async fn a_restart_keeps_the_login() {
    let (script, store, start) = granting();
    log_in(&script, &store, start).await;
    assert_eq!(
        text(&source(&script, &store, start)).await.unwrap(),
        "Bearer access0"
    );
    sleep(300).await;
    assert_eq!(
        text(&source(&script, &store, start)).await.unwrap(),
        "Bearer access1"
    );
    // Another user, client or set of scopes has another key.
    let other = Target::new(TOOL.parse().unwrap(), "read".parse().unwrap());
    let restarted = source(&script, &store, start);
    for target in [
        other.clone(),
        other.with_subject("bob"),
        target().with_scopes("write".parse().unwrap()),
    ] {
        assert_eq!(
            code(restarted.token(UserGrant::new(target)).await),
            "grant.needs_user"
        );
    }
}

/// A refused refresh token is removed for all, told once, and not sent again; a server that fails
/// keeps it, and the next source may try at once.
#[tokio::test(start_paused = true)]
async fn refused_or_kept_for_all() {
    let script = Script::new(|request, number| {
        let form = Form::parse(request.body()).unwrap();
        match (form.get("refresh_token"), number) {
            (None, _) => granted(number),
            (Some(_), 1) => json_answer(503, &json!({"error": "temporarily_unavailable"})),
            (Some(_), 2) => granted(number),
            _ => json_answer(400, &json!({"error": "invalid_grant"})),
        }
    });
    let (store, start) = (memory(), Instant::now());
    let [first, second] = [0, 1].map(|_| source(&script, &store, start));
    first.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    assert_eq!(code(text(&first).await), "oauth.refused");
    assert_eq!(text(&second).await.unwrap(), "Bearer access2");
    assert_eq!(script.forms()[2].get("refresh_token"), Some("refresh0"));
    sleep(300).await;
    assert_eq!(code(text(&first).await), "grant.needs_user");
    assert_eq!(code(text(&second).await), "grant.needs_user");
    assert_eq!(script.requests().len(), 4);
    // A login is there for both, at once.
    first.redeem(Code(target())).await.unwrap();
    assert_eq!(text(&second).await.unwrap(), "Bearer access4");
}

/// A token that its resource refused is not taken from the store again.
#[tokio::test(start_paused = true)]
async fn a_refused_access_token_is_renewed() {
    let (script, store, start) = granting();
    let source = source(&script, &store, start);
    source.redeem(Code(target())).await.unwrap();
    let token = source.token(UserGrant::new(target())).await.unwrap();
    source.forget(&token);
    assert_eq!(text(&source).await.unwrap(), "Bearer access1");
}

/// A process that ends during a renewal holds the others up until its lease is over.
#[tokio::test(start_paused = true)]
async fn a_lease_ends() {
    let (script, store, start) = granting();
    log_in(&script, &store, start).await;
    sleep(300).await;
    let hanging = TokenSource::new(
        server_with(&json!({})),
        client(),
        common::Server::of(&[common::Answer::Hangs]),
    );
    let hanging = hanging
        .with_clock(Paused(start))
        .with_store(Arc::clone(&store));
    let killed = tokio::spawn(async move { text(&hanging).await.map(drop) });
    sleep(1).await;
    killed.abort();
    let other = source(&script, &store, start).with_timeout(std::time::Duration::from_secs(60));
    let began = Instant::now();
    assert_eq!(text(&other).await.unwrap(), "Bearer access1");
    assert!(began.elapsed().as_secs() >= 30);
}

/// The time of waiting for a lease does not cut the renewal that follows: its answer is stored,
/// although its caller has given up.
#[tokio::test(start_paused = true)]
async fn a_late_renewal_is_stored() {
    let (script, store, start) = granting();
    log_in(&script, &store, start).await;
    sleep(300).await;
    let hanging = common::Server::of(&[common::Answer::Hangs]);
    let killed = TokenSource::new(server_with(&json!({})), client(), hanging)
        .with_clock(Paused(start))
        .with_store(Arc::clone(&store));
    let killed = tokio::spawn(async move { text(&killed).await.map(drop) });
    sleep(1).await;
    killed.abort();
    // The lease ends after 35 s, two seconds before this source gives up. Its server takes 10 s.
    let slow = common::Server::of(&[common::Answer::After(10)]);
    let late = TokenSource::new(server_with(&json!({})), client(), slow.clone())
        .with_clock(Paused(start))
        .with_store(Arc::clone(&store))
        .with_timeout(std::time::Duration::from_secs(36));
    assert_eq!(code(text(&late).await), "grant.transport");
    sleep(20).await;
    text(&late).await.unwrap();
    assert_eq!(slow.calls(), 1);
    text(&source(&script, &store, start)).await.unwrap();
    assert_eq!(script.requests().len(), 1);
}

/// A logout removes the token for all.
#[tokio::test(start_paused = true)]
async fn a_logout_is_for_all() {
    let (script, store, start) = granting();
    log_in(&script, &store, start).await;
    let user = UserGrant::new(target());
    source(&script, &store, start).revoke(&user).await.unwrap();
    assert_eq!(
        code(source(&script, &store, start).token(user).await),
        "grant.needs_user"
    );
    // Tokens of the client itself are shared, too.
    let own = ClientCredentials::new(TOOL.parse().unwrap());
    source(&script, &store, start)
        .token(own.clone())
        .await
        .unwrap();
    source(&script, &store, start).token(own).await.unwrap();
    assert_eq!(script.requests().len(), 2);
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aims-store-{name}-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Result<FileStore, Error> {
        FileStore::open(self.0.join("tokens"), self.0.join("key"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The file is for its owner alone, and shows nothing.
#[tokio::test]
async fn a_file_is_sealed() {
    let folder = Folder::new("sealed");
    let script = Script::new(|_, number| granted(number));
    let store: Arc<dyn TokenStore> = Arc::new(folder.open().unwrap());
    log_in(&script, &store, Instant::now()).await;
    for file in fs::read_dir(&folder.0).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
        let content = fs::read(&path).unwrap();
        for planted in [&b"access0"[..], b"refresh0", b"alice", TOOL.as_bytes()] {
            assert!(
                !content.windows(planted.len()).any(|it| it == planted),
                "{path:?}"
            );
        }
    }
    let again: Arc<dyn TokenStore> = Arc::new(folder.open().unwrap());
    let reopened = source(&script, &again, Instant::now());
    assert_eq!(text(&reopened).await.unwrap(), "Bearer access0");
    assert!(!format!("{again:?}").contains("access0"));
}

/// A changed file, another key, and files that others can read are refused.
#[tokio::test]
async fn a_changed_file_is_refused() {
    let folder = Folder::new("changed");
    let script = Script::new(|_, number| granted(number));
    let store: Arc<dyn TokenStore> = Arc::new(folder.open().unwrap());
    log_in(&script, &store, Instant::now()).await;
    let (tokens, key) = (folder.0.join("tokens"), folder.0.join("key"));
    let good = fs::read(&tokens).unwrap();
    for position in [0, 15, 40, good.len() - 1] {
        let mut bad = good.clone();
        bad[position] ^= 1;
        fs::write(&tokens, bad).unwrap();
        assert_eq!(code(folder.open()), "store.content", "{position}");
    }
    fs::write(&tokens, &good[..20]).unwrap();
    assert_eq!(code(folder.open()), "store.content");
    fs::write(&tokens, &good).unwrap();
    assert_eq!(code(folder.open()), "ok");
    let own_key = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert_eq!(code(folder.open()), "store.content");
    fs::write(&key, "short").unwrap();
    assert_eq!(code(folder.open()), "store.content");
    fs::write(&key, own_key).unwrap();
    assert_eq!(code(folder.open()), "ok");
    for file in [&tokens, &key] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(code(folder.open()), "store.permissions", "{file:?}");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(
        code(FileStore::open(folder.0.join("no/tokens"), &key)),
        "store.unavailable"
    );
}

/// Many processes that start at once make one key file, which no one sees incomplete.
#[test]
fn one_key_file_for_all_that_start() {
    for round in 0..20 {
        let folder = Folder::new(&format!("starting{round}"));
        let path = folder.0.join("key");
        let sealed: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                let key = SealingKey::from_file(&path).unwrap();
                key.seal(b"place", &"token".into()).unwrap()
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            all.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let key = SealingKey::from_file(&path).unwrap();
        for sealed in sealed {
            assert!(key.open(b"place", &sealed).unwrap() == "token");
            assert_eq!(code(key.open(b"other", &sealed)), "store.content");
        }
        // The names under which it was written are gone.
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        assert_eq!(mode(&path), 0o600);
    }
    // A key file that is incomplete is refused, and stays.
    let folder = Folder::new("incomplete");
    fs::write(folder.0.join("key"), "").unwrap();
    fs::set_permissions(folder.0.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(code(folder.open()), "store.content");
    assert!(fs::read(folder.0.join("key")).unwrap().is_empty());
}

/// Many writers of one file: each swap succeeds for one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_writers_is_first() {
    let folder = Folder::new("writers");
    let script = Script::new(|_, number| granted(number));
    let stores: Vec<Arc<dyn TokenStore>> = (0..4)
        .map(|_| {
            let store: Arc<dyn TokenStore> = Arc::new(folder.open().unwrap());
            store
        })
        .collect();
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let (store, script) = (Arc::clone(&stores[number % 4]), script.clone());
            tokio::spawn(async move {
                let own = ClientCredentials::new(TOOL.parse().unwrap());
                let source = source(&script, &store, Instant::now());
                source.token(own).await.unwrap().fingerprint().to_string()
            })
        })
        .collect();
    let mut tokens = std::collections::HashSet::new();
    for task in tasks {
        tokens.insert(task.await.unwrap());
    }
    assert_eq!((tokens.len(), script.requests().len()), (1, 1));
}
