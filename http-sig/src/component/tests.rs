use proptest::prelude::*;

use super::{Component, ComponentId};
use crate::Error;

fn code(text: &str) -> &'static str {
    ComponentId::parse(text).map_or_else(|error| error.code(), |_id| "good")
}

/// Valid components, and invalid ones that differ from a valid one in one property.
#[test]
fn names_are_known_and_lower_case() {
    for good in [
        "\"@method\"",
        "\"content-type\"",
        "\"x_a.b\"",
        "\"@query-param\";name=\"a\"",
        "\"signature\";key=\"sig1\"",
    ] {
        assert_eq!(code(good), "good", "{good}");
    }
    for bad in [
        "\"@Method\"",
        "\"@methods\"",
        "\"@\"",
        "\"@signature-params\"",
        "\"Content-Type\"",
        "\"content type\"",
        "\"\"",
        "\"a:b\"",
        "content-type",
        "\"a\" ",
        "\"a\";",
        "\"a\\\"b\"",
        "\"a\"; sf",
        "\"ä\"",
    ] {
        assert_eq!(code(bad), "sig.component_unknown", "{bad}");
    }
}

/// Unknown, repeated and conflicting parameters are refused.
#[test]
fn parameters_are_known_and_go_together() {
    for good in [
        "\"a\";sf;req;tr",
        "\"a\";key=\"k\";sf",
        "\"a\";bs;tr;req",
        "\"@path\";req",
        "\"@query-param\";req;name=\"\"",
    ] {
        assert_eq!(code(good), "good", "{good}");
    }
    for bad in [
        "\"a\";foo",
        "\"a\";sf;sf",
        "\"a\";sf=1",
        "\"a\";sf=?0",
        "\"a\";bs;sf",
        "\"a\";bs;key=\"k\"",
        "\"a\";key",
        "\"a\";key=k",
        "\"a\";key=\"k\";key=\"l\"",
        "\"a\";name=\"n\"",
        "\"@method\";sf",
        "\"@method\";tr",
        "\"@method\";bs",
        "\"@method\";key=\"a\"",
        "\"@status\";req",
        "\"@query-param\"",
        "\"@query-param\";name",
        "\"@query-param\";name=\"a\";name=\"b\"",
        "\"@query\";name=\"a\"",
    ] {
        assert_eq!(code(bad), "sig.component_parameter", "{bad}");
    }
}

#[test]
fn the_order_of_parameters_does_not_matter_for_equality() {
    let id = |text| ComponentId::parse(text).unwrap();
    assert_eq!(id("\"a\";sf;req"), id("\"a\";req;sf"));
    assert_ne!(id("\"a\";sf;req"), id("\"a\";sf"));
    assert_ne!(id("\"a\";key=\"k\""), id("\"a\";key=\"l\""));
    assert_ne!(id("\"a\""), id("\"b\""));
}

#[test]
fn components_are_made_and_read() {
    let digest = Component::field("content-digest").unwrap();
    assert_eq!(
        digest.of_request().unwrap().as_str(),
        "\"content-digest\";req"
    );
    assert_eq!(
        digest.member("sha-256").unwrap().as_str(),
        "\"content-digest\";key=\"sha-256\""
    );
    assert_eq!(
        digest.binary().unwrap().structured().unwrap_err().code(),
        "sig.component_parameter"
    );
    assert_eq!(
        digest
            .of_trailers()
            .unwrap()
            .of_trailers()
            .unwrap_err()
            .code(),
        "sig.component_parameter"
    );
    assert_eq!(
        digest.member("\n").unwrap_err().code(),
        "sig.component_parameter"
    );
    for (name, encoded) in [
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a%20b", "a%2520b"),
        ("ü\"\n", "%C3%BC%22%0A"),
        ("", ""),
    ] {
        let made = Component::query_param(name);
        let text = format!("\"@query-param\";name=\"{encoded}\"");
        let read = ComponentId::parse(&text).unwrap();
        assert_eq!((made.as_str(), made.id()), (&*text, read));
        assert_eq!(made.id().kind(), read.kind());
        assert_eq!(made.id().query_param().as_deref(), Some(encoded));
    }
    assert_eq!(
        Component::field("@method").unwrap_err().code(),
        "sig.component_unknown"
    );
    assert_eq!(
        Component::STATUS.of_request().unwrap_err().code(),
        "sig.component_parameter"
    );
    assert_eq!(
        "@method;req".parse::<Component>().unwrap(),
        Component::METHOD.of_request().unwrap()
    );
    assert_eq!(
        "@nothing".parse::<Component>().unwrap_err().code(),
        "sig.component_unknown"
    );
    for fixed in [
        Component::METHOD,
        Component::TARGET_URI,
        Component::AUTHORITY,
        Component::SCHEME,
        Component::REQUEST_TARGET,
        Component::PATH,
        Component::QUERY,
        Component::STATUS,
    ] {
        let parsed = ComponentId::parse(fixed.as_str()).unwrap();
        assert_eq!((fixed.id(), fixed.id().kind()), (parsed, parsed.kind()));
    }
}

#[test]
fn identifiers_tell_their_parameters() {
    let id = |text| ComponentId::parse(text).unwrap();
    let tell = |text| {
        let id = id(text);
        (
            id.is_structured(),
            id.is_binary(),
            id.key(),
            id.query_param(),
        )
    };
    assert_eq!(tell("\"a\""), (false, false, None, None));
    assert_eq!(tell("\"a\";sf"), (true, false, None, None));
    assert_eq!(tell("\"a\";bs"), (false, true, None, None));
    let member = "\"a\";key=\"say \\\"k\\\"\"";
    assert_eq!(tell(member), (false, false, Some("say \"k\"".into()), None));
    let parameter = "\"@query-param\";name=\"n\"";
    assert_eq!(tell(parameter), (false, false, None, Some("n".into())));
}

#[test]
fn an_error_has_a_short_excerpt() {
    let hidden = "\u{1b}[2J\u{202e}\u{7f}\r\nä";
    let long = format!("\"{hidden}{}\"", "A".repeat(1000));
    let Err(Error::ComponentUnknown { component }) = ComponentId::parse(&long) else {
        unreachable!("it is none");
    };
    assert_eq!(component, format!("\"[2J{}", "A".repeat(96)));
    let error = Component::field("Content-Type").unwrap_err().to_string();
    assert!(error.ends_with("nor a field name in lower case"), "{error}");
}

proptest! {
    /// A serialized identifier parses to itself.
    #[test]
    fn identifiers_come_back(name in "[a-z][a-z0-9_-]{0,12}", key in "[ -~]{0,12}", tr in any::<bool>(), req in any::<bool>()) {
        let mut component = Component::field(&name).unwrap().member(&key).unwrap();
        if tr { component = component.of_trailers().unwrap(); }
        if req { component = component.of_request().unwrap(); }
        let again: Component = component.as_str().parse().unwrap();
        prop_assert_eq!(again.as_str(), component.as_str());
        prop_assert_eq!(again.id().is_of_trailers(), tr);
        prop_assert_eq!(again.id().is_of_request(), req);
        prop_assert_eq!(again.id().name(), name.as_str());
        prop_assert_eq!(again.id().key(), Some(key.into()));
        prop_assert_eq!(again, component);
    }
}
