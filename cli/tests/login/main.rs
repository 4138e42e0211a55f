//! `aims login`, `aims token get` and `aims logout` against a server of this test.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod binding;
mod logout;
mod scopes;
mod world;

use std::process::Command;

use world::World;

/// A login, tokens from the store, and a logout. Only `aims token get` prints a token.
#[test]
fn from_login_to_logout() {
    let world = World::new("whole");
    let absent = world.run(&["token", "get"]);
    assert_eq!(absent.status.code(), Some(1));
    let told = String::from_utf8(absent.stderr).unwrap();
    assert!(
        told.contains("grant.needs_user") && told.contains("run `aims login`"),
        "{told}"
    );
    // The login may have been made with another client or for another user.
    assert!(
        told.contains("`--scope`, `--client-id`, `--user`"),
        "{told}"
    );
    let out = world.run(&["logout"]);
    assert!(out.status.success(), "{out:?}");
    assert!(out.stdout.starts_with(b"no login to end"), "{out:?}");

    let (is_good, shown) = world.login(&["login"]);
    assert!(is_good, "{shown}");
    assert!(
        shown.contains("scopes     read\n") && shown.contains("refreshed  yes\n"),
        "{shown}"
    );
    assert!(!shown.contains("planted"), "{shown}");

    for _ in 0..2 {
        let token = world.run(&["token", "get"]);
        let shown = String::from_utf8(token.stdout).unwrap();
        assert!(
            shown.starts_with("planted-access-") && shown.lines().count() == 1,
            "{shown}"
        );
        assert!(!String::from_utf8(token.stderr).unwrap().contains("planted"));
    }
    let count = |path: &str| world.paths().iter().filter(|it| *it == path).count();
    assert_eq!(
        (count("/register"), count("/authorize"), count("/token")),
        (1, 1, 1)
    );

    // The tokens of another user are not there.
    let other = world.run(&["token", "get", "--user", "bob"]);
    assert_eq!(other.status.code(), Some(1));

    let out = world.run(&["logout"]);
    assert!(out.status.success(), "{out:?}");
    let revoked = world.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(revoked.0, "/revoke");
    assert!(revoked.1.contains("token=planted-refresh-"));
    assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
}

/// Without a desktop a login goes by a code on another device, if the server supports that.
#[test]
fn a_login_on_another_device() {
    let world = World::new("device");
    let refused = world.run(&["login", "--device"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("connect.no_way"), "{told}");
    *world.members.lock().unwrap() = format!(
        r#","device_authorization_endpoint":"{}/device","grant_types_supported":
        ["authorization_code","urn:ietf:params:oauth:grant-type:device_code"]"#,
        world.url
    );
    for (arguments, user) in [(&["login", "--device"][..], "alice"), (&["login"], "bob")] {
        let mut command = world.command(arguments);
        command.args(["--user", user]);
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"] {
            command.env_remove(name);
        }
        if cfg!(target_os = "macos") && user == "bob" {
            continue;
        }
        let done = command.output().unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{told}");
        let shown = told.contains(&format!("{}/enter", world.url)) && told.contains("ABCD");
        let server = format!("log in at {}, and at no other", world.url);
        assert!(told.contains(&server), "{told}");
        assert!(shown && !told.contains("planted"), "{told}");
        let token = world.run(&["token", "get", "--user", user]);
        assert!(token.status.success());
    }
    let both = world.run(&["login", "--device", "--no-browser"]);
    assert_eq!(both.status.code(), Some(2));
}

/// Without a keyring the key is not kept elsewhere, no server is asked, and no file is made.
#[test]
fn a_keyring_that_is_not_there() {
    let world = World::new("keyring");
    for words in [
        &["login", "--no-browser"][..],
        &["token", "get"],
        &["logout"],
    ] {
        let mut command = world.command(words);
        command.arg("--keyring");
        // A desktop has a keyring; this session has none.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        let refused = command.output().unwrap();
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("--key-file"), "{told}");
        let (code, status) = match cfg!(feature = "keyring") {
            true => ("keyring.unavailable", 1),
            false => ("cli.usage", 2),
        };
        assert!(told.contains(code), "{told}");
        assert_eq!(refused.status.code(), Some(status), "{told}");
    }
    assert!(world.paths().is_empty());
    assert!(!world.folder.join("tokens").exists());
    assert!(!world.folder.join("tokens.key").exists());
    let both = world.run(&["login", "--keyring", "--key-file", "key"]);
    assert_eq!(both.status.code(), Some(2));
}

/// A refusal names the option that helps.
#[test]
fn refusals_name_an_option() {
    let world = World::new("advice");
    for (members, code, option) in [
        (
            r#","no_register":1"#,
            "client.registration_refused",
            "`--client-id`",
        ),
        (
            r#","no_servers":1"#,
            "discovery.no_server",
            "list its server in `authorization_servers`",
        ),
    ] {
        members.clone_into(&mut world.members.lock().unwrap());
        let refused = world.run(&["login", "--no-browser"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains(code) && told.contains(option), "{told}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_aims"));
    command.args(["login", "--no-browser", "https://10.0.0.1/mcp", "--store"]);
    let private = command.arg(world.folder.join("tokens")).output().unwrap();
    let told = String::from_utf8(private.stderr).unwrap();
    assert!(
        told.contains("fetch.address") && told.contains("add `--allow-private-networks`"),
        "{told}"
    );
}

/// A server that is not accepted gets nothing, and a store that others can read is not used.
#[test]
fn refusals() {
    let world = World::new("refused");
    let refused = world.run(&["login", "--no-browser", "--issuer", "https://as.example"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("discovery.no_server") && told.ends_with("`--issuer` accepts one\n"),
        "{told}"
    );
    assert!(!world.paths().iter().any(|it| it == "/register"));
    let tokens = world.folder.join("tokens.key");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&tokens, open).unwrap();
    let refused = world.run(&["token", "get"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("store.permissions") && told.contains("found 644"),
        "{told}"
    );
}
