//! Keys of sealed files in a keyring in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_jose::Chain;
use aims_jose::secret::SecretText;
use aims_keyring::keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};
use aims_keyring::keyring_core::{self, CredentialStore, Entry, mock};
use aims_keyring::{Error, Keyring};
use aims_oauth_client::{FileStore, SealingKey, StoreKey, StoredValue, TokenStore as _};

/// A keyring, and a folder for sealed files.
struct Scene {
    store: Arc<CredentialStore>,
    keyring: Keyring,
    folder: PathBuf,
}

impl Scene {
    fn new(name: &str) -> Self {
        let name = format!("aims-keyring-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let store: Arc<CredentialStore> = mock::Store::new().unwrap();
        Self {
            keyring: Keyring::over(Arc::clone(&store)),
            store,
            folder: folder.canonicalize().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    fn entry(&self, path: &Path) -> Entry {
        Entry::new_in_store(&self.store, "aims", path.to_str().unwrap()).unwrap()
    }

    fn code(&self, path: &Path) -> &'static str {
        let key = self.keyring.sealing_key(path);
        key.map_or_else(|error| error.code(), |_| "ok")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// Returns whether what one key sealed is opened by the other.
fn is_same(one: &SealingKey, other: &SealingKey) -> bool {
    let sealed = one.seal(b"place", &SecretText::new("text")).unwrap();
    other.open(b"place", &sealed).is_ok()
}

/// Tokens of one start are there at the next one, and the keyring alone has the key.
#[tokio::test]
async fn a_file_is_opened_again() {
    let scene = Scene::new("again");
    let open = || {
        let key = scene.keyring.sealing_key(&scene.path()).unwrap();
        FileStore::open_with(scene.path(), key)
    };
    let key = StoreKey::of_program(&["a", "b"]);
    let value = StoredValue::new(SecretText::new("planted"), None);
    let kept = open().unwrap().swap(&key, None, Some(value)).await.unwrap();
    assert!(kept.is_some());
    let (text, _) = open().unwrap().load(&key).await.unwrap().unwrap();
    assert_eq!(text.expose(), "planted");
    let secret = scene.entry(&scene.path()).get_secret().unwrap();
    for file in fs::read_dir(&scene.folder).unwrap() {
        let content = fs::read(file.unwrap().path()).unwrap();
        let is_there = |needle: &[u8]| content.windows(needle.len()).any(|it| it == needle);
        assert!(!is_there(&secret) && !is_there(b"planted"));
    }
    assert!(!format!("{:?}", scene.keyring).contains(str::from_utf8(&secret).unwrap()));
}

/// Each file has a key of its own, by its absolute path.
#[test]
fn a_key_is_for_one_file() {
    let scene = Scene::new("one");
    let key = |path: &Path| scene.keyring.sealing_key(path).unwrap();
    let own = key(&scene.path());
    assert!(is_same(&own, &key(&scene.path())));
    assert!(is_same(&own, &key(&scene.folder.join(".").join("tokens"))));
    assert!(!is_same(&own, &key(&scene.folder.join("others"))));
}

/// A store with one entry. Each time that it has none, it is slower to say so.
#[derive(Clone, Debug, Default)]
struct Slow(Arc<Mutex<(Vec<u8>, u64)>>);

impl CredentialStoreApi for Slow {
    fn vendor(&self) -> String {
        "slow".to_owned()
    }

    fn id(&self) -> String {
        self.vendor()
    }

    fn build(
        &self,
        _service: &str,
        _user: &str,
        _modifiers: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        Ok(Entry::new_with_credential(Arc::new(self.clone())))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CredentialApi for Slow {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        self.0.lock().unwrap().0 = secret.to_owned();
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        let mut held = self.0.lock().unwrap();
        if !held.0.is_empty() {
            return Ok(held.0.clone());
        }
        held.1 += 100;
        let pause = Duration::from_millis(held.1);
        drop(held);
        std::thread::sleep(pause);
        Err(keyring_core::Error::NoEntry)
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.set_secret(&[])
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Programs that start at the same time get one key.
#[test]
fn one_key_for_all_that_start() {
    let scene = Scene::new("all");
    let keyring = Keyring::over(Arc::new(Slow::default()));
    let keys: Vec<SealingKey> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| keyring.sealing_key(&scene.path()).unwrap());
        let all: Vec<_> = (0..4).map(|_| start()).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|it| is_same(&keys[0], it)));
}

/// A file that was sealed with another key is not given a new one.
#[test]
fn a_lost_key_is_not_replaced() {
    let scene = Scene::new("lost");
    fs::write(scene.path(), "sealed").unwrap();
    let error = scene.keyring.sealing_key(&scene.path()).unwrap_err();
    assert_eq!(error.code(), "keyring.lost");
    assert!(error.to_string().contains("use the key file"), "{error}");
    let entry = scene.entry(&scene.path());
    assert!(matches!(
        entry.get_secret(),
        Err(keyring_core::Error::NoEntry)
    ));
    fs::remove_file(scene.path()).unwrap();
    assert_eq!(scene.code(&scene.path()), "ok");
    fs::write(scene.path(), "sealed").unwrap();
    assert_eq!(scene.code(&scene.path()), "ok");
}

/// An entry that is no key is not used, and not shown.
#[test]
fn an_entry_that_is_no_key_is_refused() {
    let scene = Scene::new("no-key");
    for secret in [&b""[..], b"planted", b"\xff\xfe"] {
        scene.entry(&scene.path()).set_secret(secret).unwrap();
        let error = scene.keyring.sealing_key(&scene.path()).unwrap_err();
        assert_eq!(error.code(), "keyring.content", "{secret:?}");
        let shown = format!("{error:?} {}", Chain(&error));
        assert!(!shown.contains("planted"), "{shown}");
    }
}

/// A keyring that is locked, ambiguous or broken is not used; nor is a folder that does not exist.
#[test]
fn a_keyring_that_fails_is_told() {
    let scene = Scene::new("fails");
    let fail = |error| {
        let entry = scene.entry(&scene.path());
        let mock = entry.as_any().downcast_ref::<mock::Cred>();
        mock.unwrap_or_else(|| panic!("a mock")).set_error(error);
    };
    for error in [
        keyring_core::Error::NoStorageAccess("locked".into()),
        keyring_core::Error::PlatformFailure("gone".into()),
        keyring_core::Error::Ambiguous(Vec::new()),
        keyring_core::Error::BadEncoding(b"planted".to_vec()),
    ] {
        fail(error);
        let error = scene.keyring.sealing_key(&scene.path()).unwrap_err();
        assert_eq!(error.code(), "keyring.unavailable");
        let shown = format!("{error:?} {}", Chain(&error));
        assert!(
            !shown.contains("planted") && !shown.contains("112, 108"),
            "{shown}"
        );
    }
    assert_eq!(scene.code(&scene.path()), "ok");
    assert_eq!(
        scene.code(&scene.folder.join("absent/tokens")),
        "keyring.file"
    );
    assert_eq!(scene.code(Path::new("/")), "keyring.file");
}

/// Without a session bus there is no keyring. The test runs where there is one, too: it names a bus
/// that does not exist.
#[cfg(feature = "secret-service")]
#[test]
fn there_is_no_keyring_without_a_session() {
    if std::env::var_os("AIMS_KEYRING_NO_BUS").is_some() {
        let refused = Keyring::system().map(drop);
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let test = std::process::Command::new(own)
        .args(["--exact", "there_is_no_keyring_without_a_session"])
        .env("AIMS_KEYRING_NO_BUS", "1")
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .output()
        .unwrap();
    assert!(test.status.success(), "{test:?}");
}

/// The codes are those of the index of errors.
#[test]
fn every_code_is_known() {
    for code in Error::CODES {
        assert!(code.starts_with("keyring."), "{code}");
        assert!(aims_error::index::explain(code).is_some(), "{code}");
    }
    assert_eq!(Error::CODES.len(), 4);
}
