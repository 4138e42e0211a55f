//! Tokens that are bound to a key.

use std::process::Command;

use super::world::World;

/// DPOP-12: a login at a server with DPoP is bound, and stays so in other processes. The command
/// says so, and prints the header fields of a request to the tool and to no other.
#[test]
fn a_bound_login() {
    let world = World::new("bound");
    let knows = r#","dpop_signing_alg_values_supported":["ES256"]"#;
    let knows = &format!("{knows}|{knows}");
    *world.members.lock().unwrap() = knows.to_owned();
    let (is_good, shown) = world.login(&["login"]);
    assert!(is_good && shown.contains("bound      DPoP\n"), "{shown}");
    let token = world.run(&["token", "get"]);
    let text = String::from_utf8(token.stdout).unwrap();
    assert!(text.starts_with("planted-access-") && text.lines().count() == 1);
    let told = String::from_utf8(token.stderr).unwrap();
    assert!(
        told.contains("bound to a key") && told.contains("--uri"),
        "{told}"
    );
    assert!(!told.contains("planted"));
    let uri = format!("{}/mcp/call?x=1", world.url);
    let request = [
        "token", "get", "--method", "POST", "--uri", &uri, "--nonce", "n1",
    ];
    let fields = world.run(&request);
    let fields = String::from_utf8(fields.stdout).unwrap();
    let lines: Vec<_> = fields.lines().collect();
    assert_eq!(lines[0], format!("Authorization: DPoP {}", text.trim()));
    let proof = lines[1].strip_prefix("DPoP: ").unwrap();
    let path = world.folder.join("proof");
    std::fs::write(&path, proof).unwrap();
    let mut inspect = Command::new(env!("CARGO_BIN_EXE_aims"));
    let inspected = inspect
        .args(["token", "inspect"])
        .arg(&path)
        .output()
        .unwrap();
    let claims = String::from_utf8(inspected.stdout).unwrap();
    for found in ["POST", &format!("{}/mcp/call", world.url), "n1", "dpop+jwt"] {
        assert!(claims.contains(found), "{found} {claims}");
    }
    let other = [
        "token",
        "get",
        "--method",
        "GET",
        "--uri",
        "https://other.example/mcp",
    ];
    let refused = world.run(&other);
    assert_eq!(
        (refused.status.code(), &*refused.stdout),
        (Some(2), &b""[..])
    );
    for nonce in ["n\n1", "n\u{7f}1"] {
        let args = [
            "token", "get", "--method", "POST", "--uri", &uri, "--nonce", nonce,
        ];
        let refused = world.run(&args);
        assert_eq!(refused.status.code(), Some(2), "{nonce:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("`--nonce` must be"), "{told}");
        assert!(refused.stdout.is_empty());
    }
    // A login without a binding is asked for by name, or found where there is no other.
    assert_eq!(
        world.run(&["token", "get", "--bearer"]).status.code(),
        Some(1)
    );
    let (is_good, shown) = world.login(&["login", "--bearer"]);
    assert!(is_good && shown.contains("bound      no\n"), "{shown}");
    let bearer = world.run(&["token", "get", "--bearer"]);
    assert!(bearer.status.success() && bearer.stderr.is_empty());
    assert_ne!(bearer.stdout, text.as_bytes());
    assert!(world.login(&["login", "--bearer", "--user", "bob"]).0);
    assert!(
        world
            .run(&["token", "get", "--user", "bob"])
            .status
            .success()
    );
    assert!(world.run(&["logout"]).status.success());
    for arguments in [&["token", "get"][..], &["token", "get", "--bearer"]] {
        assert_eq!(world.run(arguments).status.code(), Some(1));
    }
}

/// DPOP-12: a tool that does not name DPoP gets a bearer token, unless the user asks for a bound
/// one. What the last login was is kept.
#[test]
fn a_binding_is_for_tools_that_name_it() {
    let world = World::new("silent");
    let refused = world.visit(&["login", "--dpop"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    let reason =
        "the program requires tokens that are bound by DPoP, and the server does not announce DPoP";
    assert!(
        told.contains("connect.dpop") && told.contains(reason) && told.contains("`--bearer`"),
        "{told}"
    );
    assert!(!world.paths().contains(&"/register".to_owned()));
    let knows = r#","dpop_signing_alg_values_supported":["ES256"]"#;
    *world.members.lock().unwrap() = knows.to_owned();
    let (is_good, shown) = world.login(&["login"]);
    assert!(is_good && shown.contains("bound      no\n"), "{shown}");
    let bearer = world.run(&["token", "get"]);
    assert!(bearer.status.success() && bearer.stderr.is_empty());
    let (is_good, shown) = world.login(&["login", "--dpop"]);
    assert!(is_good && shown.contains("bound      DPoP\n"), "{shown}");
    let bound = world.run(&["token", "get"]);
    let note = String::from_utf8(bound.stderr).unwrap();
    assert!(bound.status.success() && note.contains("DPoP"), "{note}");
    assert_ne!(bound.stdout, bearer.stdout);
    let again = world.run(&["token", "get", "--bearer"]);
    assert_eq!(again.stdout, bearer.stdout);
    let both = world.run(&["login", "--dpop", "--bearer"]);
    assert_eq!(both.status.code(), Some(2));
}
