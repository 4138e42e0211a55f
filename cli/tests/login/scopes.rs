//! The scopes of logins.

use super::world::World;

/// The token of the last login serves for some of its scopes, and a note shows all of them.
#[test]
fn some_scopes_of_the_last_login() {
    let world = World::new("some");
    *world.granted.lock().unwrap() = ("read write", 300);
    let (is_good, shown) = world.login(&["login", "--scope", "read write"]);
    assert!(is_good, "{shown}");
    let get = |scope: &str| {
        let out = world.run(&["token", "get", "--scope", scope]);
        let shown = String::from_utf8(out.stderr).unwrap();
        (out.status.code(), out.stdout, shown)
    };
    let (status, whole, shown) = get("write read");
    assert_eq!((status, &*shown), (Some(0), ""));
    let (status, token, shown) = get("read");
    assert_eq!((status, token), (Some(0), whole));
    assert!(
        shown.ends_with("of the last login: read write\n"),
        "{shown}"
    );
    for scope in ["admin", "read admin"] {
        let (status, token, shown) = get(scope);
        assert_eq!((status, token), (Some(1), Vec::new()), "{scope}");
        assert!(shown.contains("grant.needs_user"), "{shown}");
    }
}

/// A server that adds scopes to each token is accepted only for the scopes that are named, which
/// are shown and stored with the token. A renewal needs no option, and grants nothing more.
#[test]
fn scopes_that_a_server_adds() {
    let world = World::new("added");
    let grant = |scope, lifetime| *world.granted.lock().unwrap() = (scope, lifetime);
    let names = "--accept-unrequested-scope";
    grant("read profile email", 300);
    for arguments in [
        &["login", "--scope", "read"][..],
        &["login", "--scope", "read", names, "profile"],
        &["login", "--scope", "read", names, "profile admin"],
    ] {
        assert!(!world.login(arguments).0, "{arguments:?}");
        assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
    }
    grant("read profile email", 3);
    let login = ["login", "--scope", "read", names, "profile email"];
    let (is_good, shown) = world.login(&login);
    assert!(is_good, "{shown}");
    assert!(
        shown.contains("scopes     email profile read\nadded      email profile, by the server\n"),
        "{shown}"
    );
    // The token has expired.
    std::thread::sleep(std::time::Duration::from_secs(4));
    grant("read profile email admin", 300);
    let wider = world.run(&["token", "get"]);
    let told = String::from_utf8(wider.stderr).unwrap();
    assert!(
        told.contains("grant.scope") && told.contains("asked for: \"admin\""),
        "{told}"
    );
    assert!(wider.stdout.is_empty());
    grant("read profile email", 300);
    let renewed = world.run(&["token", "get"]);
    assert!(renewed.status.success(), "{renewed:?}");
}
