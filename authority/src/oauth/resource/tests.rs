use aims_jose::Algorithm;
use aims_jose::jwk::{PublicJwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;

use super::*;

const TOOLS: &str = "https://tools.example/mcp";
const FILES: &str = "https://files.example";

fn resources() -> Vec<Resource> {
    vec![
        Resource::new(TOOLS).with_scopes(["call", "list"]),
        Resource::new(FILES).with_scopes(["read", "write"]),
    ]
}

fn pattern(text: &str) -> IdPattern {
    text.parse().unwrap()
}

fn keys() -> JwkSet {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let json = [key.public_jwk().clone()]
        .into_iter()
        .collect::<PublicJwkSet>()
        .to_json();
    JwkSet::parse(json.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap()
}

fn registry(clients: Vec<Client>) -> Result<Registry, &'static str> {
    Registry::new(resources(), clients).map_err(|error| error.code())
}

#[test]
fn malformed_resources_and_scopes_are_refused() {
    for uri in [
        "",
        "tools",
        "https://tools#f",
        "https://tools/ä",
        "https://a b",
        "1x:y",
        "https:",
        "http://tools.example",
        "https://TOOLS.example",
        "https://tools.example:443/mcp",
        "https://a@tools.example",
        "https://tools.example/a/../b",
    ] {
        let refused = Registry::new(vec![Resource::new(uri)], vec![]).unwrap_err();
        assert_eq!(refused.code(), "authority.resources", "{uri}");
    }
    for scope in ["", "a b", "a\"", "a\\", "ä"] {
        let resource = Resource::new(TOOLS).with_scopes([scope]);
        let refused = Registry::new(vec![resource], vec![]).unwrap_err();
        assert_eq!(refused.code(), "authority.resources", "{scope}");
    }
    for uri in ["http://127.0.0.1:8080/mcp", "urn:example:tool", TOOLS] {
        assert!(Registry::new(vec![Resource::new(uri)], vec![]).is_ok());
    }
    let scopes = |count: usize| (0..count).map(|it| it.to_string());
    let most = vec![Resource::new(TOOLS).with_scopes(scopes(256))];
    assert!(Registry::new(most, vec![]).is_ok());
    let more = vec![Resource::new(TOOLS).with_scopes(scopes(257))];
    assert_eq!(
        Registry::new(more, vec![]).unwrap_err().code(),
        "authority.resources"
    );
    let twice = vec![Resource::new(TOOLS), Resource::new(TOOLS)];
    assert_eq!(
        Registry::new(twice, vec![]).unwrap_err().code(),
        "authority.resources"
    );
}

#[test]
fn clients_get_what_is_registered_only() {
    let client = || Client::spiffe(pattern("spiffe://example.org/a"));
    assert_eq!(
        registry(vec![client().allow("https://other", ["x"])]).unwrap_err(),
        "authority.resources"
    );
    assert_eq!(
        registry(vec![client().allow(TOOLS, ["read"])]).unwrap_err(),
        "authority.resources"
    );
    assert_eq!(
        registry(vec![client(), client()]).unwrap_err(),
        "authority.clients"
    );
    let twice = vec![
        Client::with_keys("a", keys()),
        Client::with_keys("a", keys()),
    ];
    assert_eq!(registry(twice).unwrap_err(), "authority.clients");
    for client_id in [
        "",
        "a b",
        "ä",
        "spiffe://example.org/a",
        "SPIFFE://example.org/a",
        "wimse://example.org/a",
        "wimse:a",
    ] {
        let refused = registry(vec![Client::with_keys(client_id, keys())]).unwrap_err();
        assert_eq!(refused, "authority.clients", "{client_id}");
    }
}

/// The closest pattern decides, and patterns match whole segments.
#[test]
fn the_closest_pattern_decides() {
    let client = |text: &str, scope: &str| Client::spiffe(pattern(text)).allow(FILES, [scope]);
    let registry = registry(vec![
        client("spiffe://example.org/*", "read"),
        client("spiffe://example.org/agents/*", "write"),
        Client::spiffe(pattern("spiffe://example.org/agents/a")).allow(TOOLS, ["call"]),
    ])
    .unwrap();
    let scopes = |id: &str| {
        let client = registry.by_workload(&id.parse().unwrap())?;
        Some(
            client
                .grants
                .values()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    assert_eq!(
        scopes("spiffe://example.org/agents/a").as_deref(),
        Some("call")
    );
    assert_eq!(
        scopes("spiffe://example.org/agents/b").as_deref(),
        Some("write")
    );
    assert_eq!(
        scopes("spiffe://example.org/agentsx/b").as_deref(),
        Some("read")
    );
    assert_eq!(scopes("spiffe://example.com/agents/a"), None);
    assert_eq!(scopes("wimse://example.org/agents/a"), None);
}

/// A token is for one resource and the scopes that are allowed there.
#[test]
fn a_token_is_for_one_resource_and_the_scopes_allowed_there() {
    let registry = registry(vec![]).unwrap();
    let client = Client::spiffe(pattern("spiffe://example.org/a")).allow(TOOLS, ["call", "list"]);
    let permit = |asked: &[&str], scope: Option<&str>| {
        registry
            .permit(&client, asked, scope)
            .map(|it| (it.resource.to_owned(), it.scopes.join(" ")))
            .map_err(|error| error.code())
    };
    let tools = |scopes: &str| Ok((TOOLS.to_owned(), scopes.to_owned()));
    assert_eq!(permit(&[TOOLS], Some("call")), tools("call"));
    assert_eq!(permit(&[TOOLS], Some("list call list")), tools("list call"));
    assert_eq!(permit(&[TOOLS], None), tools("call list"));
    assert_eq!(permit(&[], None), tools("call list"));
    for (asked, scope, code) in [
        (&["https://unknown.example"][..], None, "as.target"),
        (&[FILES], None, "as.target"),
        (&["https://tools.example/mcp/"], None, "as.target"),
        (&[TOOLS, TOOLS], None, "as.target"),
        (&[TOOLS, FILES], None, "as.target"),
        (&[TOOLS], Some("write"), "as.scope"),
        (&[TOOLS], Some("call write"), "as.scope"),
        (&[TOOLS], Some("call  list"), "as.scope"),
        (&[TOOLS], Some(" call"), "as.scope"),
        (&[TOOLS], Some("CALL"), "as.scope"),
    ] {
        assert_eq!(permit(asked, scope), Err(code), "{asked:?} {scope:?}");
    }
    let two = client.clone().allow(FILES, ["read"]);
    assert_eq!(
        registry.permit(&two, &[], None).unwrap_err().code(),
        "as.target"
    );
}

/// The log names the client, the resource and the scopes, escaped.
#[test]
fn a_scope_that_is_not_allowed_is_told() {
    let registry = registry(vec![]).unwrap();
    let client = Client::spiffe(pattern("spiffe://example.org/a")).allow(TOOLS, ["call"]);
    let refused = registry.permit(&client, &[TOOLS], Some("call wr\u{1b}ite"));
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!(
            "a scope is unknown, or not for the client \"spiffe://example.org/a\" at `{TOOLS}`: \
             asked for \"call wr\\u{{1b}}ite\", expected some of \"call\""
        )
    );
}

/// The operator reads which entry is wrong, what was expected and what was found.
#[test]
fn a_wrong_registration_is_named() {
    let told = |resources, clients| {
        let refused = Registry::new(resources, clients).unwrap_err();
        refused.to_string()
    };
    let tools = || Resource::new(TOOLS).with_scopes(["read"]);
    let spiffe = || Client::spiffe(pattern("spiffe://example.org/a"));
    let public = "http://user:secret@tools.example/mcp?key=secret";
    for (message, parts) in [
        (
            told(vec![Resource::new("http://tools.example/mcp")], vec![]),
            [
                "\"http://tools.example/mcp\"",
                "expected an absolute https URL",
            ],
        ),
        (
            told(vec![Resource::new(TOOLS).with_scopes(["a b"])], vec![]),
            [TOOLS, "the malformed scope \"a b\""],
        ),
        (
            told(vec![tools(), tools()], vec![]),
            [TOOLS, "registered twice, expected once"],
        ),
        (
            told(vec![tools()], vec![spiffe().allow("https://other", ["x"])]),
            [
                "\"https://other\" is named by a client",
                "expected one of \"https://tools",
            ],
        ),
        (
            told(vec![], vec![spiffe().allow(TOOLS, ["read"])]),
            [
                "is named by a client, and no resource is registered",
                "call `Builder::resource`",
            ],
        ),
        (
            told(vec![], vec![spiffe().serves(TOOLS)]),
            [
                "is served by a client, and no resource is registered",
                "call `Builder::resource`",
            ],
        ),
        (
            told(vec![tools()], vec![spiffe().allow(TOOLS, ["write"])]),
            ["found \"write\"", "expected some of \"read\""],
        ),
        (
            told(vec![], vec![spiffe(), spiffe()]),
            [
                "\"spiffe://example.org/a\"",
                "registered twice, expected once",
            ],
        ),
        (
            told(vec![], vec![Client::with_keys("a b", keys())]),
            ["\"a b\"", "1 to 512 printable"],
        ),
    ] {
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    }
    let message = told(vec![Resource::new(public)], vec![]);
    assert!(!message.contains("secret"), "{message}");
}
