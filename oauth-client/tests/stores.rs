//! One suite for every kind of token store.

#![cfg(all(feature = "tokio", feature = "file-store", feature = "sqlite"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_oauth_client::{
    Error, FileStore, MemoryStore, SealingKey, SqliteStore, StoreKey, StoreLease, StoredValue,
    Target, TokenSource, TokenStore, UserGrant,
};
use common::suite::{Code, SCOPED, TOOL, granted};
use common::{LATEST, NOW, Paused, Script, at, client, code, server_with};
use serde_json::json;
use tokio::time::Instant;

/// A kind of store, of which each call opens another handle.
struct Kind {
    folder: PathBuf,
    open: Box<Open>,
}

type Open = dyn Fn(&Path) -> Arc<dyn TokenStore>;

impl Kind {
    fn new(name: &str, open: impl Fn(&Path) -> Arc<dyn TokenStore> + 'static) -> Self {
        let folder =
            std::env::temp_dir().join(format!("aims-stores-{name}-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            open: Box::new(open),
        }
    }

    fn handle(&self) -> Arc<dyn TokenStore> {
        (self.open)(&self.folder)
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

fn kinds(test: &str) -> Vec<Kind> {
    let memory: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    vec![
        Kind::new(&format!("{test}-memory"), move |_| Arc::clone(&memory)),
        Kind::new(&format!("{test}-file"), |folder| {
            Arc::new(FileStore::open(folder.join("tokens"), folder.join("key")).unwrap())
        }),
        Kind::new(&format!("{test}-sqlite"), |folder| {
            let key = SealingKey::from_file(folder.join("key")).unwrap();
            Arc::new(SqliteStore::open(folder.join("tokens.db"), key).unwrap())
        }),
    ]
}

fn key(group: char, number: usize) -> StoreKey {
    let group = String::from_iter([group; 43]);
    format!("{group}.{number:0>43}").parse().unwrap()
}

fn value(text: &str) -> Option<StoredValue> {
    Some(StoredValue::new(text.into(), None))
}

async fn text(store: &dyn TokenStore, key: &StoreKey) -> Option<String> {
    let found = store.load(key).await.unwrap();
    found.map(|(text, _)| text.expose().to_owned())
}

/// A value is replaced only by who knows its version, and no version comes back.
#[tokio::test]
async fn compare_and_swap() {
    for kind in kinds("swap") {
        let [one, two] = [kind.handle(), kind.handle()];
        let key = key('A', 1);
        assert!(one.load(&key).await.unwrap().is_none());
        assert_eq!(one.swap(&key, Some(1), value("no")).await.unwrap(), None);
        let first = one.swap(&key, None, value("1")).await.unwrap().unwrap();
        assert_eq!(two.swap(&key, None, value("no")).await.unwrap(), None);
        assert_eq!(two.load(&key).await.unwrap().unwrap().1, first);
        let second = two.swap(&key, Some(first), value("2")).await.unwrap();
        assert_eq!(
            one.swap(&key, Some(first), value("no")).await.unwrap(),
            None
        );
        assert_eq!(one.swap(&key, Some(first), None).await.unwrap(), None);
        assert_eq!(text(&*one, &key).await.unwrap(), "2");
        assert!(one.swap(&key, second, None).await.unwrap().is_some());
        assert!(two.load(&key).await.unwrap().is_none());
        let third = two.swap(&key, None, value("3")).await.unwrap();
        assert!(third != Some(first) && third != second);
        assert_eq!(one.swap(&key, second, value("no")).await.unwrap(), None);
        assert_eq!(text(&*kind.handle(), &key).await.unwrap(), "3");
    }
}

/// The keys of a group are those of the group alone, and malformed keys are refused.
#[tokio::test]
async fn keys_of_a_group() {
    for kind in kinds("keys") {
        let store = kind.handle();
        for (group, number) in [('A', 1), ('A', 2), ('B', 1)] {
            let key = key(group, number);
            store.swap(&key, None, value("x")).await.unwrap().unwrap();
        }
        let mut keys = kind.handle().keys(key('A', 1).group()).await.unwrap();
        keys.sort_by(|one, two| one.as_str().cmp(two.as_str()));
        assert_eq!(keys, [key('A', 1), key('A', 2)]);
        assert!(store.keys(key('C', 1).group()).await.unwrap().is_empty());
    }
    let good = key('A', 1);
    for bad in [
        "",
        ".",
        good.as_str().trim_start_matches('A'),
        &good.as_str().replace('.', "-"),
    ] {
        assert_eq!(code(bad.parse::<StoreKey>()), "store.content");
    }
}

/// 32 tasks on two handles change one value 5 times each: no change is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_is_lost() {
    for kind in kinds("lost") {
        let handles = [kind.handle(), kind.handle()];
        let key = key('A', 1);
        handles[0].swap(&key, None, value("0")).await.unwrap();
        let tasks: Vec<_> = (0..32)
            .map(|number| {
                let (store, key) = (Arc::clone(&handles[number % 2]), key.clone());
                tokio::spawn(async move {
                    let mut done = 0;
                    while done < 5 {
                        let (text, version) = store.load(&key).await.unwrap().unwrap();
                        let next: u32 = text.expose().parse::<u32>().unwrap() + 1;
                        let value = value(&next.to_string());
                        let swapped = store.swap(&key, Some(version), value).await.unwrap();
                        done += u32::from(swapped.is_some());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(text(&*handles[1], &key).await.unwrap(), "160");
    }
}

/// One program at a time has a lease, and it ends when it is dropped, or after its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_program_has_the_lease() {
    for kind in kinds("lease") {
        let key = StoreKey::of_program(&["agent", "report"]);
        assert_ne!(key, StoreKey::of_program(&["agent", "other"]));
        let inside = Arc::new(std::sync::Mutex::new((0, 0)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (store, key, inside) = (kind.handle(), key.clone(), Arc::clone(&inside));
                tokio::spawn(async move {
                    let longest = std::time::Duration::from_secs(60);
                    let lease = StoreLease::acquire(store, key, longest).await.unwrap();
                    inside.lock().unwrap().0 += 1;
                    tokio::task::yield_now().await;
                    {
                        let mut inside = inside.lock().unwrap();
                        assert_eq!(inside.0, 1);
                        *inside = (0, inside.1 + 1);
                    }
                    drop(lease);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(inside.lock().unwrap().1, 8);
        // The lease of a program that was killed.
        let second = std::time::Duration::from_secs(1);
        let killed = StoreLease::acquire(kind.handle(), key.clone(), second)
            .await
            .unwrap();
        std::mem::forget(killed);
        let next = StoreLease::acquire(kind.handle(), key.clone(), second).await;
        assert_eq!(code(next), "ok");
        let kept = StoredValue::new(format!("{}", u64::MAX).into(), None);
        let other = StoreKey::of_program(&["agent", "kept"]);
        kind.handle().swap(&other, None, Some(kept)).await.unwrap();
        let instant = std::time::Duration::ZERO;
        let waiting =
            tokio::time::timeout(second, StoreLease::acquire(kind.handle(), other, instant));
        assert!(waiting.await.is_err());
    }
}

/// A new value makes expired ones go. A full store removes the value that ends first, never one
/// without an end, and refuses a new one if there is nothing to remove.
#[tokio::test]
async fn stores_are_bounded() {
    let folder = Kind::new("bounded", |_| Arc::new(MemoryStore::new()));
    let clock = || Paused(Instant::now());
    let seal = SealingKey::from_file(folder.folder.join("key")).unwrap();
    let sqlite = SqliteStore::open(folder.folder.join("tokens.db"), seal).unwrap();
    let stores: [Arc<dyn TokenStore>; 2] = [
        Arc::new(MemoryStore::new().with_clock(clock()).with_capacity(3)),
        Arc::new(sqlite.with_clock(clock()).with_capacity(3)),
    ];
    for store in stores {
        let put = async |number: usize, until: Option<u64>| {
            let value = StoredValue::new("x".into(), until.map(|it| at(NOW + it)));
            let swapped = store.swap(&key('A', number), None, Some(value)).await;
            swapped.map(|it| it.unwrap())
        };
        let held = async || {
            let mut keys = store.keys(key('A', 1).group()).await.unwrap();
            keys.sort_by(|one, two| one.as_str().cmp(two.as_str()));
            keys
        };
        put(1, Some(0)).await.unwrap();
        put(2, Some(1_000)).await.unwrap();
        let version = put(3, None).await.unwrap();
        put(4, Some(2_000)).await.unwrap();
        assert_eq!(held().await, [key('A', 2), key('A', 3), key('A', 4)]);
        put(5, None).await.unwrap();
        assert_eq!(held().await, [key('A', 3), key('A', 4), key('A', 5)]);
        put(6, None).await.unwrap();
        assert_eq!(held().await, [key('A', 3), key('A', 5), key('A', 6)]);
        assert_eq!(code(put(7, Some(1_000)).await), "store.full");
        assert!(Error::StoreFull.is_retryable());
        // What is there can still be replaced.
        let replaced = store.swap(&key('A', 3), Some(version), value("y")).await;
        assert!(replaced.unwrap().is_some());
        assert_eq!(held().await, [key('A', 3), key('A', 5), key('A', 6)]);
    }
}

/// A stored value cannot be read without the key, nor moved to another place.
#[tokio::test]
async fn values_are_sealed() {
    let kind = kinds("sealed").pop().unwrap();
    let store = kind.handle();
    store
        .swap(&key('A', 1), None, value("planted"))
        .await
        .unwrap();
    store
        .swap(&key('A', 2), None, value("other"))
        .await
        .unwrap();
    for file in fs::read_dir(&kind.folder).unwrap() {
        let path = file.unwrap().path();
        let content = fs::read(&path).unwrap();
        assert!(!content.windows(7).any(|it| it == b"planted"), "{path:?}");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    let key_of_others = SealingKey::from_text(&SealingKey::generate().unwrap()).unwrap();
    let wrong = SqliteStore::open(kind.folder.join("tokens.db"), key_of_others).unwrap();
    assert_eq!(code(wrong.load(&key('A', 1)).await), "store.content");
    for shown in [format!("{store:?}"), format!("{:?}", value("planted"))] {
        assert!(!shown.contains("planted"), "{shown}");
    }
    let database = aims_sqlite::rusqlite::Connection::open(kind.folder.join("tokens.db")).unwrap();
    let moved =
        "UPDATE tokens SET value = (SELECT value FROM tokens WHERE key = ?1) WHERE key = ?2";
    let moved = database.execute(moved, [key('A', 1).as_str(), key('A', 2).as_str()]);
    assert_eq!(moved.unwrap(), 1);
    assert_eq!(code(store.load(&key('A', 2)).await), "store.content");
    // A file that others can read is refused.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(kind.folder.join("tokens.db"), open).unwrap();
    let seal = SealingKey::from_text(&SealingKey::generate().unwrap()).unwrap();
    let refused = SqliteStore::open(kind.folder.join("tokens.db"), seal);
    assert_eq!(code(refused), "store.unavailable");
}

/// 32 tasks on two handles want one expired token: one request, by the newest refresh token, which
/// is stored before any of them has the access token.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_renewal_for_two_handles() {
    for kind in kinds("renewal") {
        let script = Script::new(|_, number| granted(number));
        let source = |store| {
            let source = TokenSource::new(server_with(&json!({})), client(), script.clone());
            Arc::new(source.with_random(&LATEST).with_store(store))
        };
        let target = Target::new(TOOL.parse().unwrap(), SCOPED.parse().unwrap());
        let grant = UserGrant::new(target.clone());
        let both = [kind.handle(), kind.handle()].map(source);
        both[0].redeem(Code(target)).await.unwrap();
        for round in 1..4 {
            for source in &both {
                let token = source.token(grant.clone()).await.unwrap();
                source.forget(&token);
            }
            let tasks: Vec<_> = (0..32)
                .map(|number| {
                    let (source, grant) = (Arc::clone(&both[number % 2]), grant.clone());
                    let other = Arc::clone(&both[(number + 1) % 2]);
                    tokio::spawn(async move {
                        let token = source.token(grant.clone()).await.unwrap();
                        // The other handle finds it, without a request.
                        let same = other.token(grant).await.unwrap();
                        assert_eq!(token.fingerprint(), same.fingerprint());
                        token.fingerprint().to_string()
                    })
                })
                .collect();
            let expected = SecretText::new(format!("access{round}")).fingerprint();
            for task in tasks {
                assert_eq!(task.await.unwrap(), expected.to_string());
            }
            assert_eq!(script.requests().len(), round + 1);
            let sent = script.forms().pop().unwrap();
            let before = format!("refresh{}", round - 1);
            assert_eq!(sent.get("refresh_token"), Some(&*before));
        }
    }
}
