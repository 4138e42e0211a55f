//! Agents: how they are declared, enrol and are withdrawn.

use super::served::{Served, TOOL, ended, enrol, get, token};
use crate::common::{AGENT, Folder, ORIGIN};

/// A complete use: the bundle over HTTP, an identity for the printed token, verified by the program
/// itself, and an access token.
#[tokio::test]
async fn an_agent_gets_its_identity_and_a_token() {
    let folder = Folder::new();
    let resource = format!("{TOOL} tools:call tools:read");
    let args = [
        "--agent",
        AGENT,
        "--resource",
        &resource,
        "--lifetime",
        "600",
    ];
    let served = Served::start(&folder, &args);
    let issuer = served.said("issuer");
    assert_eq!(issuer, format!("http://{}", served.said("listening")));
    assert_eq!(served.said("origin"), ORIGIN);
    assert_eq!(served.said("token endpoint"), format!("{issuer}/token"));
    folder.write("bundle.json", get(&served.said("bundle")).await);

    let tokens = served.printed_tokens();
    let [bootstrap] = tokens.as_slice() else {
        panic!("{tokens:?}")
    };
    let (key, wit) = enrol(&issuer, bootstrap).await.unwrap();
    folder.write("wit", wit.expose());
    let verify = format!("wit verify --origin {ORIGIN} --keys bundle.json --json wit");
    let answer = folder.run(&verify).json();
    assert_eq!(answer["id"], AGENT);
    let claims = &answer["claims"];
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 600);
    for (scope, expected) in [
        ("tools:call", Ok(())),
        ("tools:delete", Err("oauth.refused".to_owned())),
    ] {
        let got = token(&issuer, key.clone(), wit.clone(), scope).await;
        assert_eq!(got, expected, "{scope}");
    }
    // T-049: a token is accepted once. The second caller learns nothing, and the operator learns
    // why.
    let again = enrol(&issuer, bootstrap).await.unwrap_err();
    assert!(again.contains("403"), "{again}");
    #[cfg(unix)]
    {
        let (status, told) = served.end_by("TERM");
        assert_eq!(status, Some(0));
        assert!(told.contains("identity.enrolment_used"), "{told}");
        assert!(!told.contains(bootstrap.as_str()), "a token in the log");
    }
}

/// T-160: keys are new at each start, and the output says so.
#[tokio::test]
async fn keys_are_new_at_each_start() {
    let folder = Folder::new();
    let (first, second) = (
        Served::start(&folder, &["--agent", AGENT]),
        Served::start(&folder, &["--agent", AGENT]),
    );
    let mut keys = Vec::new();
    for served in [&first, &second] {
        let bundle = get(&served.said("bundle")).await;
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        keys.push(bundle["keys"][0]["x"].clone());
    }
    assert!(keys[0].is_string());
    assert_ne!(keys[0], keys[1]);
    assert_ne!(first.printed_tokens(), second.printed_tokens());
    assert!(
        first
            .lines
            .iter()
            .any(|line| line.starts_with("Keys are new"))
    );
}

/// A file can declare more than options: each agent with its lifetime and its rights.
#[tokio::test]
async fn a_file_declares_agents() {
    let folder = Folder::new();
    folder.write(
        "authority.json",
        format!(
            r#"{{"agents": [{{"id": "{AGENT}", "token_file": "t", "lifetime": 60, "may": {{"{TOOL}": ["tools:call"]}}}},
            {{"id": "{ORIGIN}/idle"}}], "resources": {{"{TOOL}": ["tools:call", "tools:read"]}}}}"#
        ),
    );
    let served = Served::start(&folder, &["--config", "authority.json"]);
    assert_eq!(served.printed_tokens().len(), 1);
    let issuer = served.said("issuer");
    let (key, wit) = enrol(&issuer, &folder.read("t")).await.unwrap();
    for (scope, expected) in [
        ("tools:call", Ok(())),
        ("tools:read", Err("oauth.refused".to_owned())),
    ] {
        assert_eq!(
            token(&issuer, key.clone(), wit.clone(), scope).await,
            expected
        );
    }
    for (text, code) in [
        ("{", "jws.json"),
        (r#"{"agents":[],"agents":[]}"#, "jws.duplicate_member"),
        (r#"{"agent":[]}"#, "cli.config"),
        (r#"{"agents":[{"id":"https://a"}]}"#, "id.scheme"),
        (
            r#"{"agents":[{"id":"spiffe://a/b","lifetime":0}]}"#,
            "authority.lifetime",
        ),
        (
            r#"{"agents":[{"id":"spiffe://a/b"},{"id":"spiffe://a/b"}]}"#,
            "authority.identifier_held",
        ),
        (
            r#"{"agents":[{"id":"spiffe://a/b"},{"id":"spiffe://c/d"}]}"#,
            "authority.enrolment_origin",
        ),
        (
            r#"{"agents":[{"id":"spiffe://a/b","may":{"https://t":["x"]}}]}"#,
            "authority.resources",
        ),
    ] {
        folder.write("bad.json", text);
        let args = "authority serve --listen 127.0.0.1:0 --config bad.json";
        let (status, told) = ended(&folder, args);
        assert_eq!(status, Some(2), "{text}");
        assert!(told.contains(code), "{text}: {told}");
    }
    // The entry that is wrong is named, and no file is made.
    let args = [
        &format!("authority serve --listen 127.0.0.1:0 --agent {AGENT}=new-token"),
        "--resource http://tools.example/mcp",
    ];
    let (status, told) = ended(&folder, &args.join(" "));
    assert_eq!(status, Some(2), "{told}");
    for part in [
        "authority.resources",
        "\"http://tools.example/mcp\"",
        "expected an absolute https URL",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(!folder.path("new-token").exists());
}

/// An operator withdraws an agent of a running authority. It stays withdrawn over a restart, until
/// the withdrawal is undone. The file of state is for its owner alone.
#[tokio::test]
async fn an_agent_is_withdrawn_while_it_runs() {
    let folder = Folder::new();
    folder.write("agent.token", "A".repeat(43));
    #[cfg(unix)]
    {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt as _;
        set_permissions(folder.path("agent.token"), Permissions::from_mode(0o600)).unwrap();
    }
    let agent = format!("{AGENT}=agent.token");
    let args = [
        "--agent",
        agent.as_str(),
        "--reusable-tokens",
        "--state",
        "state.db",
    ];
    let served = Served::start(&folder, &args);
    let secret = "A".repeat(43);
    assert!(enrol(&served.said("issuer"), &secret).await.is_ok());
    let withdraw = format!("authority withdraw --state state.db {AGENT}");
    let told = folder.ok(&withdraw);
    assert_eq!(told, format!("withdrawn {AGENT}\n"));
    let refused = enrol(&served.said("issuer"), &secret).await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    drop(served);
    let served = Served::start(&folder, &args);
    let refused = enrol(&served.said("issuer"), &secret).await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    let undo = format!("authority withdraw --undo --state state.db {AGENT}");
    let told = folder.ok(&undo);
    assert_eq!(told, format!("reinstated {AGENT}\n"));
    assert!(enrol(&served.said("issuer"), &secret).await.is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path("state.db")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
}
