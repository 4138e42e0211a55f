//! Identifiers: texts that are refused.

use aims_oauth_wire::names::{ClientId, Endpoint, Issuer, MAX_SCOPES, Resource, Scope, ScopeSet};

fn issuer(text: &str) -> &'static str {
    text.parse::<Issuer>().map_or_else(|it| it.code(), |_| "ok")
}

fn resource(text: &str) -> &'static str {
    text.parse::<Resource>()
        .map_or_else(|it| it.code(), |_| "ok")
}

/// META-01, T-092: https, no query, no fragment, and no text that two readers read differently.
#[test]
fn issuers_are_plain_https_urls() {
    for good in [
        "https://as.example",
        "https://as.example/",
        "https://as.example/tenant",
        "https://as.example:8443/t/",
        "https://127.0.0.1",
        "https://[::1]:8443/a",
    ] {
        assert_eq!(issuer(good), "ok", "{good}");
    }
    for bad in [
        "",
        "as.example",
        "//as.example",
        "http://as.example",
        "http://localhost",
        "urn:as",
        "spiffe://as.example",
        "https://",
        "https://as.example?",
        "https://as.example?a",
        "https://as.example#",
        "https://as.example/#a",
        "https://user@as.example",
        "https://u:p@as.example",
        "https://AS.example",
        "HTTPS://as.example",
        "https:as.example",
        "https:///as.example",
        "https://as.example:443",
        "https://as.example/a/../b",
        "https://as.example/%2e%2e/b",
        "https://as.example/a\\b",
        "https://as.example/a b",
        " https://as.example",
        "https://as.example\n",
        "https://as.ex\u{e4}mple",
        "https://0x7f.1",
        "https://as..example",
        "https://as.example.",
        "https://-as.example",
        "https://as-.example",
        "https://as_1.example",
    ] {
        assert_eq!(issuer(bad), "oauth.issuer", "{bad:?}");
    }
    let long = format!("https://as.example/{}", "a".repeat(2048));
    assert_eq!(issuer(&long), "oauth.issuer");
}

/// META-01: http is accepted only for loopback, and only if the caller permits it.
#[test]
fn loopback_is_named() {
    for good in [
        "http://localhost:8080",
        "http://127.0.0.1:1/a",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "https://as.example",
    ] {
        assert!(Issuer::loopback(good).is_ok(), "{good}");
        assert!(Resource::loopback(good).is_ok(), "{good}");
        assert!(Endpoint::loopback(good).is_ok(), "{good}");
    }
    for bad in [
        "http://as.example",
        "http://128.0.0.1",
        "http://localhost.example",
        "http://10.0.0.1",
        "http://[::2]",
    ] {
        assert_eq!(Issuer::loopback(bad).unwrap_err().code(), "oauth.issuer");
        assert_eq!(
            Resource::loopback(bad).unwrap_err().code(),
            "oauth.resource"
        );
        assert_eq!(
            Endpoint::loopback(bad).unwrap_err().code(),
            "oauth.endpoint"
        );
    }
}

/// RSC-01: an absolute URI without fragment. RSC-02: a final slash is significant.
#[test]
fn resources_are_absolute() {
    for good in [
        "https://tools.example/mcp",
        "https://tools.example?tenant=a",
        "https://tools.example/a?b",
        "urn:example:tool",
        "spiffe://example.org/tool",
    ] {
        assert_eq!(resource(good), "ok", "{good}");
    }
    for bad in [
        "",
        "/mcp",
        "tools",
        "https://tools.example/#",
        "urn:a#b",
        "http://tools.example",
        "https://TOOLS.example",
        "https://a@tools.example",
        "https://tools.example:443?x",
        "https://tools.example/a\tb",
        "https://tools..example",
        "https://tools_1.example",
    ] {
        assert_eq!(resource(bad), "oauth.resource", "{bad:?}");
    }
    let [bare, slash] = ["https://a.example/mcp", "https://a.example/mcp/"];
    assert_ne!(
        bare.parse::<Resource>().unwrap(),
        slash.parse::<Resource>().unwrap()
    );
}

/// PRM-03: the same origin, and a path prefix that ends at a slash.
#[test]
fn within_ends_at_a_slash_and_at_the_origin() {
    let within = |own: &str, outer: &str| {
        let own: Resource = own.parse().unwrap();
        own.is_within(&outer.parse().unwrap())
    };
    assert!(within("https://a.example/mcp", "https://a.example"));
    assert!(within("https://a.example/mcp", "https://a.example/"));
    assert!(within("https://a.example/mcp/b", "https://a.example/mcp"));
    assert!(within("https://a.example/mcp", "https://a.example/mcp"));
    assert!(within("https://a.example/mcp/", "https://a.example/mcp"));
    assert!(within("https://a.example/mcp/", "https://a.example/mcp/"));
    assert!(within("https://a.example/mcp/b", "https://a.example/mcp/"));
    assert!(within("urn:a", "urn:a"));
    for (own, outer) in [
        ("https://a.example/mcp2", "https://a.example/mcp"),
        ("https://a.example/mcp", "https://a.example/mcp/"),
        ("https://a.example/mcp2", "https://a.example/mcp/"),
        ("https://a.example", "https://a.example/mcp"),
        ("https://a.example/mcp", "https://b.example"),
        ("https://a.example.evil/mcp", "https://a.example"),
        ("https://a.example/mcp", "https://a.example:8443"),
        ("https://a.example/mcp", "https://a.example?x"),
        ("urn:a/b", "urn:a"),
        ("spiffe://a.example/b", "spiffe://a.example"),
    ] {
        assert!(!within(own, outer), "{own} {outer}");
    }
}

/// RFC 6749 §3.1, §3.2: https and no fragment.
#[test]
fn endpoints_are_https() {
    for bad in [
        "http://as.example/token",
        "https://as.example/token#a",
        "/token",
        "javascript:alert(1)",
        "https://u@as.example/",
    ] {
        let error = bad.parse::<Endpoint>().unwrap_err();
        assert_eq!(error.code(), "oauth.endpoint", "{bad}");
    }
}

/// The limit also applies to the escaped text that is sent.
#[test]
fn endpoints_are_bounded() {
    let url = |quotes: usize| format!("https://as.example/?{}", "'".repeat(quotes));
    let most = (2048 - url(0).len()) / 3;
    let read: Endpoint = url(most).parse().unwrap();
    assert_eq!(read.as_str().parse::<Endpoint>().unwrap(), read);
    let error = url(most + 1).parse::<Endpoint>().unwrap_err();
    assert_eq!(error.code(), "oauth.endpoint");
}

/// RFC 6749 appendix A.1.
#[test]
fn client_ids_are_printable() {
    for good in [
        "a",
        "https://client.example/a",
        "spiffe://example.org/a",
        "~ ",
    ] {
        assert!(good.parse::<ClientId>().is_ok(), "{good}");
    }
    for bad in ["", "a\n", "\u{e4}", "\u{7f}", &"a".repeat(2049)] {
        let error = bad.parse::<ClientId>().unwrap_err();
        assert_eq!(error.code(), "oauth.client_id", "{bad:?}");
    }
}

/// RFC 6749 §3.3: one blank between tokens; the order has no meaning.
#[test]
fn scopes_are_a_set() {
    let set = |text: &str| text.parse::<ScopeSet>();
    assert_eq!(set("a b").unwrap(), set("b a b").unwrap());
    assert_ne!(set("a b").unwrap(), set("a B").unwrap());
    for bad in [
        "", " ", "a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "\u{e4}",
    ] {
        assert_eq!(set(bad).unwrap_err().code(), "oauth.scope", "{bad:?}");
    }
    assert!("a b".parse::<Scope>().is_err());
    let most: Vec<_> = (0..MAX_SCOPES).map(|it| it.to_string()).collect();
    assert_eq!(set(&most.join(" ")).unwrap().len(), MAX_SCOPES);
    let more = format!("{} more", most.join(" "));
    assert_eq!(set(&more).unwrap_err().code(), "oauth.scope");
}

/// Deserializing uses the parser.
#[test]
fn deserializing_checks() {
    let scopes: ScopeSet = serde_json::from_str(r#""b a""#).unwrap();
    assert_eq!(serde_json::to_string(&scopes).unwrap(), r#""a b""#);
    assert!(serde_json::from_str::<ScopeSet>(r#""a  b""#).is_err());
}

/// The error for an invalid scope shows it, escaped and shortened.
#[test]
fn a_refused_scope_is_shown() {
    let told = |text: &str| text.parse::<ScopeSet>().unwrap_err().to_string();
    assert!(told("read  wr\u{1b}ite").ends_with(r#"found "read  wr\u{1b}ite""#));
    assert!(told("").ends_with(r#"found """#));
    assert!(told(&"\u{1b}".repeat(5_000)).len() < 400);
    let many: Vec<String> = (0..300).map(|it| format!("s{it}")).collect();
    let many = told(&many.join(" "));
    assert!(many.ends_with("found more than 256 tokens"), "{many}");
}
