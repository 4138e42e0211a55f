//! The end of logins.

use super::world::World;

/// REV-04: a logout needs no way to a new token. It ends a login of each kind, also if the tool
/// requires bound tokens since, or its server has no browser login.
#[test]
fn a_logout_needs_no_way_to_a_token() {
    let world = World::new("no-way");
    let revokes = |member: &str| {
        *world.members.lock().unwrap() = member.to_owned();
        let before = world.paths().len();
        let out = world.run(&["logout"]);
        assert!(out.status.success(), "{member} {out:?}");
        let asked = world.paths()[before..].to_vec();
        assert!(asked.contains(&"/revoke".to_owned()), "{member} {asked:?}");
        assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
    };
    assert!(world.login(&["login", "--bearer"]).0);
    revokes(r#"|,"dpop_bound_access_tokens_required":true"#);
    // A tool whose metadata cannot be used keeps no token alive.
    assert!(world.login(&["login"]).0);
    revokes(r#"|,"authorization_servers":["https://moved.invalid"]"#);

    let device = format!(
        r#","no_browser":1,"device_authorization_endpoint":"{}/device","grant_types_supported":
        ["urn:ietf:params:oauth:grant-type:device_code"]"#,
        world.url
    );
    *world.members.lock().unwrap() = device.clone();
    let login = world.run(&["login", "--device"]);
    assert!(login.status.success(), "{login:?}");
    let before = world.paths().len();
    let token = world.run(&["token", "get"]);
    assert!(token.status.success(), "{token:?}");
    // No user can enter a code, so none is requested, and nothing is registered.
    let other = world.run(&["token", "get", "--user", "bob"]);
    let told = String::from_utf8(other.stderr).unwrap();
    assert!(told.contains("grant.needs_user"), "{told}");
    let asked = world.paths()[before..].to_vec();
    let is_asked = |path: &str| asked.iter().any(|it| it == path);
    assert!(!is_asked("/device") && !is_asked("/register"), "{asked:?}");
    revokes(&device);
}

/// A logout ends the logins with all scopes of the user, and no other.
#[test]
fn a_logout_ends_all_scopes() {
    let world = World::new("scopes");
    assert!(world.login(&["login"]).0);
    assert!(world.login(&["login", "--scope", "read write"]).0);
    assert!(world.login(&["login", "--user", "bob"]).0);
    let before = world.paths().len();
    let out = world.run(&["logout"]);
    assert!(out.status.success(), "{out:?}");
    let asked = world.asked.lock().unwrap()[before..].to_vec();
    let mut revoked: Vec<_> = asked.iter().filter(|(path, _)| path == "/revoke").collect();
    revoked.dedup();
    assert_eq!(revoked.len(), 2, "{asked:?}");
    assert!(
        revoked
            .iter()
            .all(|(_, body)| body.contains("token=planted-refresh-"))
    );
    for scope in ["read", "read write"] {
        let get = world.run(&["token", "get", "--scope", scope]);
        assert_eq!(get.status.code(), Some(1), "{scope}");
    }
    assert!(
        world
            .run(&["token", "get", "--user", "bob"])
            .status
            .success()
    );
}

/// Where the server cannot revoke them, the user learns that the tokens are gone here alone.
#[test]
fn a_logout_that_the_server_does_not_learn_of() {
    let world = World::new("not-revoked");
    assert!(world.login(&["login"]).0);
    r#","no_revoke":1"#.clone_into(&mut world.members.lock().unwrap());
    let out = world.run(&["logout"]);
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(
        told.contains("no token for this resource is kept here") && told.contains("not revoked"),
        "{told}"
    );
    assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
}
