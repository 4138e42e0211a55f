//! Challenges: the vectors, the syntax, and what is refused.

use std::time::Duration;

use aims_oauth_wire::challenge::{
    Challenge, Challenges, MAX_CHALLENGE_BYTES, MAX_CHALLENGES, StepUp,
};
use aims_oauth_wire::{Diagnostic, Error};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

fn parse(values: &[&str]) -> Result<Challenges, Error> {
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    Challenges::parse(&headers)
}

/// Returns one line for each challenge: scheme, token68 in brackets, parameters.
fn shown(values: &[&str]) -> String {
    let all = match parse(values) {
        Ok(all) => all,
        Err(error) => return error.code().to_owned(),
    };
    let line = |it: &Challenge| {
        let token = it.token68().map(|token| format!("[{token}]"));
        let parameters = it
            .parameters()
            .map(|(name, value)| format!("{name}={value}"));
        let parts: Vec<_> = token.into_iter().chain(parameters).collect();
        format!("{}({})", it.scheme(), parts.join("|"))
    };
    all.iter().map(line).collect::<Vec<_>>().join(" ")
}

/// BEAR-03: the published strings have the expected results.
#[test]
fn vectors() {
    let file = include_str!("../../testdata/oauth/challenges.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let vectors = file.get("vectors").and_then(Value::as_array).unwrap();
    assert!(vectors.len() >= 14);
    for vector in vectors {
        let value = vector.get("value").and_then(Value::as_str).unwrap();
        let read = parse(&[value]).unwrap();
        let expected = vector.get("parse").and_then(Value::as_array).unwrap();
        assert_eq!(read.iter().count(), expected.len(), "{value}");
        for (own, expected) in read.iter().zip(expected) {
            let members = expected.get(1).and_then(Value::as_object).unwrap();
            assert_eq!(Some(own.scheme()), expected.get(0).and_then(Value::as_str));
            assert_eq!(own.parameters().count(), members.len(), "{value}");
            for (name, text) in members {
                assert_eq!(own.get(name), text.as_str(), "{value}");
            }
        }
    }
}

/// BEAR-03: several challenges in a field, several fields, token68, quoted commas, unknown schemes,
/// empty elements.
#[test]
fn list_grammar() {
    for (value, expected) in [
        ("Basic", "Basic()"),
        ("Basic , Bearer", "Basic() Bearer()"),
        (",, Basic ,\t,Bearer a=b,", "Basic() Bearer(a=b)"),
        ("Negotiate YWJj==", "Negotiate([YWJj==])"),
        ("Negotiate a=", "Negotiate([a=])"),
        ("Negotiate a=, Bearer b=c", "Negotiate([a=]) Bearer(b=c)"),
        ("A a=b, c=d, B e=f", "A(a=b|c=d) B(e=f)"),
        ("A a=b , , c = d, B", "A(a=b|c=d) B()"),
        ("A a=\"b, C d=\\\"e\"", "A(a=b, C d=\"e)"),
        ("A a=\"\\\\\", B", "A(a=\\) B()"),
        ("A a=\"\"", "A(a=)"),
        ("Newauth Realm=\"x\"", "Newauth(realm=x)"),
        ("A b c=d", "challenge.syntax"),
        ("A b c=d, B e=f", "B(e=f)"),
    ] {
        assert_eq!(shown(&[value]), expected, "{value}");
    }
    assert_eq!(shown(&["A a=b", "Bearer"]), "A(a=b) Bearer()");
    assert_eq!(shown(&[]), "");
    // A parameter does not continue in the next field.
    assert_eq!(shown(&["A a=b", "c=d"]), "A(a=b)");
}

/// BEAR-02: each parameter occurs once, in any case; one with two values counts as absent.
#[test]
fn contradictions_count_as_absent() {
    for (value, expected) in [
        ("Bearer error=a, error=b", "Bearer()"),
        ("Bearer error=a, error=b, error=a", "Bearer()"),
        ("Bearer error=a, ERROR=b, realm=c", "Bearer(realm=c)"),
    ] {
        assert_eq!(shown(&[value]), expected, "{value}");
        let read = parse(&[value]).unwrap();
        let name = "error".into();
        assert_eq!(read.diagnostics(), [Diagnostic::Contradiction { name }]);
    }
    for (value, expected) in [
        ("Bearer error=a, error=a", "Bearer(error=a)"),
        ("Bearer error=a, Error=\"a\"", "Bearer(error=a)"),
        (
            "Bearer scope=\"a\", realm=x, scope=\"a\"",
            "Bearer(scope=a|realm=x)",
        ),
        ("A a=b, B a=c", "A(a=b) B(a=c)"),
    ] {
        assert_eq!(shown(&[value]), expected, "{value}");
        assert!(parse(&[value]).unwrap().diagnostics().is_empty());
    }
}

/// BEAR-03: invalid syntax is not a challenge.
#[test]
fn syntax() {
    for bad in ["=", "\"Bearer\"", "Bearer =b", "Be(arer a=b", "Bearer\"a\""] {
        assert_eq!(shown(&[bad]), "challenge.syntax", "{bad}");
        // Other challenges are unaffected.
        let beside = format!("{bad}, DPoP algs=ES256");
        assert_eq!(shown(&[&beside]), "DPoP(algs=ES256)", "{beside}");
        assert_eq!(shown(&[bad, "DPoP algs=ES256"]), "DPoP(algs=ES256)");
        assert_eq!(parse(&[&beside]).unwrap().diagnostics().len(), 1);
    }
}

/// A malformed parameter is skipped; the others are unaffected.
#[test]
fn malformed_parameters_are_dropped() {
    for (value, expected) in [
        ("Bearer a=\"b", "Bearer()"),
        ("Bearer a=\"b\\", "Bearer()"),
        ("Bearer a=\"b\"c", "Bearer()"),
        ("Bearer a=\"b\"c, d=e", "Bearer(d=e)"),
        ("Bearer a=, b=c=d", "Bearer(b=c=d)"),
        ("Bearer a=\"b, c=\"d\"", "Bearer(c=d)"),
        (
            "Basic realm=\"a, Bearer error=\"x\"",
            "Basic() Bearer(error=x)",
        ),
        ("Bearer a=b\"c, d=e", "Bearer(d=e)"),
        ("Bearer a=\"\u{80}\", d=e", "Bearer(d=e)"),
        ("Bearer a=b junk, d=e", "Bearer(a=b|d=e)"),
    ] {
        let read = shown(&[value]);
        assert_eq!(read, expected, "{value}");
    }
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"Basic realm=\"Caf\xe9\", Bearer error=x").unwrap();
    headers.insert(WWW_AUTHENTICATE, value);
    let read = Challenges::parse(&headers).unwrap();
    assert_eq!(read.bearer().and_then(Challenge::error), Some("x"));
    assert!(read.of("basic").all(|it| it.get("realm").is_none()));
    assert_eq!(read.diagnostics().len(), 1);
}

/// Many servers write values without quotes, blanks around `=`, and no commas.
#[test]
fn loose_parameters_are_read() {
    for (value, expected) in [
        (
            "Bearer a=https://t.example/m?x=1",
            "Bearer(a=https://t.example/m?x=1)",
        ),
        ("Bearer a=@", "Bearer(a=@)"),
        ("Bearer a = \"b\" , c = d", "Bearer(a=b|c=d)"),
        ("Bearer a=b c=d", "Bearer(a=b|c=d)"),
        ("Bearer a=\"b\" c=\"d\"", "Bearer(a=b|c=d)"),
        ("Bearer a=b;c=d", "Bearer(a=b;c=d)"),
        ("Bearer a=b; c=d", "Bearer(a=b|c=d)"),
        ("Bearer a=\"b\"; c=d", "Bearer(a=b|c=d)"),
    ] {
        assert_eq!(shown(&[value]), expected, "{value}");
    }
}

/// Several metadata URLs: at most two are returned, in order. The document decides, so a URL of
/// another party gains nothing.
#[test]
fn at_most_two_places_of_metadata_are_offered() {
    let tool = "https://tools.example/mcp".parse().unwrap();
    let places = |values: &[&str]| {
        let all = parse(values).unwrap().resource_metadata_places(&tool);
        let all: Vec<_> = all.iter().map(ToString::to_string).collect();
        all.join(" ")
    };
    let url = |path: &str| format!("resource_metadata=\"https://tools.example/{path}\"");
    let (a, b, c) = (url("a"), url("b"), url("c"));
    for values in [
        vec![format!("Bearer {a}, error=x, {b}")],
        vec![format!("Bearer {a}, {a}, {b}, {c}")],
        vec![format!("Bearer {a}, DPoP {b}, X {c}")],
        vec![
            format!("Bearer {a}"),
            format!("DPoP {a}"),
            format!("DPoP {b}"),
        ],
        vec![
            format!("Bearer resource_metadata=http://tools.example/x, {a}"),
            format!("DPoP {b}"),
        ],
    ] {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let expected = "https://tools.example/a https://tools.example/b";
        assert_eq!(places(&values), expected, "{values:?}");
        let first = parse(&values).unwrap().resource_metadata(&tool).unwrap();
        assert_eq!(first.unwrap().as_str(), "https://tools.example/a");
    }
    assert_eq!(
        places(&["Bearer resource_metadata=https://t.example/a"]),
        "https://t.example/a"
    );
    assert_eq!(
        places(&["Bearer resource_metadata='https://t.example/a'"]),
        "https://t.example/a"
    );
    assert_eq!(places(&["Bearer resource_metadata=http://t.example/a"]), "");
    assert_eq!(places(&["Bearer"]), "");
}

/// BEAR-03: challenges, parameters and bytes are limited.
#[test]
fn bounds() {
    let many = vec!["A"; MAX_CHALLENGES].join(",");
    assert_eq!(parse(&[&many]).unwrap().iter().count(), MAX_CHALLENGES);
    assert_eq!(shown(&[&many, "A"]), "challenge.size");
    let parameters = |count: usize| {
        let all: Vec<_> = (0..count).map(|it| format!("p{it}=x")).collect();
        format!("A {}", all.join(","))
    };
    assert!(parse(&[&parameters(32)]).is_ok());
    assert_eq!(shown(&[&parameters(33)]), "challenge.size");
    let long = |len: usize| format!("A a=\"{}\"", "x".repeat(len - 6));
    assert!(parse(&[&long(MAX_CHALLENGE_BYTES)]).is_ok());
    assert_eq!(shown(&[&long(MAX_CHALLENGE_BYTES), "A"]), "challenge.size");
}

/// PRM-02: `resource_metadata` may be in a challenge of any scheme. It is https, or http on
/// loopback.
#[test]
fn resource_metadata() {
    let tool = "https://tools.example/mcp".parse().unwrap();
    let of = |value: &str| parse(&[value]).unwrap().resource_metadata(&tool);
    let found = of("Basic, DPoP resource_metadata=\"https://tools.example/m\"").unwrap();
    assert_eq!(found.unwrap().as_str(), "https://tools.example/m");
    assert!(of("Bearer").unwrap().is_none());
    for bad in ["http://tools.example/m", "http://localhost/m", "/m"] {
        let error = of(&format!("Bearer resource_metadata=\"{bad}\"")).unwrap_err();
        assert_eq!(error.code(), "oauth.endpoint", "{bad}");
    }
    let local = aims_oauth_wire::names::Resource::loopback("http://localhost:1/mcp").unwrap();
    let all = parse(&["Bearer resource_metadata=\"http://localhost:1/m\""]).unwrap();
    assert!(all.resource_metadata(&local).unwrap().is_some());
}

/// BEAR-02: values are escaped when written, and refused if that is not possible.
#[test]
fn writing() {
    let url = "https://tools.example/.well-known/oauth-protected-resource";
    let challenge = Challenge::bearer()
        .with_realm("a \"b\" \\c")
        .and_then(|it| it.with_error("invalid_token"))
        .and_then(|it| it.with_error_description("it is over"))
        .and_then(|it| it.with_scope(&"b a".parse()?))
        .and_then(|it| it.with_resource_metadata(&url.parse()?))
        .unwrap();
    assert_eq!(
        challenge.to_header_value().unwrap(),
        format!(
            "Bearer realm=\"a \\\"b\\\" \\\\c\", error=\"invalid_token\", error_description=\"it is over\", scope=\"a b\", resource_metadata=\"{url}\""
        )
    );
    for bad in ["a\"b", "a\\b", "a\r\nb", "\u{e4}", "a\tb", "a\0"] {
        for error in [
            Challenge::bearer().with_error(bad).unwrap_err(),
            Challenge::bearer().with_error_description(bad).unwrap_err(),
        ] {
            assert_eq!(error.code(), "challenge.value", "{bad:?}");
        }
    }
    let code = |it: Result<Challenge, Error>| it.unwrap_err().code();
    assert_eq!(
        code(Challenge::bearer().with_realm("a\r\nb: c")),
        "challenge.value"
    );
    assert_eq!(
        code(Challenge::bearer().with("a b", "c")),
        "challenge.value"
    );
    assert_eq!(code(Challenge::new("Bearer x=y,")), "challenge.value");
    let twice = Challenge::bearer()
        .with_realm("a")
        .and_then(|it| it.with_realm("b"));
    assert_eq!(code(twice), "challenge.repeated");
    let long = Challenge::bearer().with_realm(&"a".repeat(4097));
    assert_eq!(code(long), "challenge.size");
    let read = parse(&["Bearer realm=\"caf\u{e9}\""]).unwrap();
    let error = read.bearer().unwrap().to_header_value().unwrap_err();
    assert_eq!(error.code(), "challenge.value");
    let bare = Challenge::bearer().with_scope(&Default::default()).unwrap();
    assert_eq!(bare.to_string(), "Bearer");
}

proptest! {
    #[test]
    fn never_panics(value in "[ -~\t]{0,200}") {
        let _ = parse(&[&value]);
    }

    #[test]
    fn never_panics_near_the_grammar(value in "((Bearer|A) ?|a=|\"|\\\\|,| |b|=|é){0,30}") {
        if let Ok(all) = parse(&[&value]) {
            // A parsed challenge can be written and parsed again.
            for one in all.iter() {
                let Ok(again) = one.to_header_value() else { continue };
                let read = parse(&[again.to_str().unwrap_or("\"")]).unwrap();
                prop_assert_eq!(read.iter().collect::<Vec<_>>(), vec![one]);
            }
        }
    }

    #[test]
    fn what_is_written_is_read(
        realm in "[ -~]{0,40}",
        description in "[ !#-\\[\\]-~]{0,40}",
        other in "[ -~]{0,40}",
    ) {
        let one = Challenge::bearer()
            .with_realm(&realm)
            .and_then(|it| it.with_error_description(&description))
            .unwrap();
        let two = Challenge::new("DPoP").and_then(|it| it.with("x", &other)).unwrap();
        let all = parse(&[&format!("{one}, {two}")]).unwrap();
        prop_assert_eq!(all.iter().collect::<Vec<_>>(), vec![&one, &two]);
    }
}

/// RFC 9470 §3: `acr_values` in order of preference, and `max_age` in seconds.
#[test]
fn a_step_up_is_written_and_read() {
    let step_up = StepUp::new().acr_values(["urn:a", "b"]).unwrap();
    let step_up = step_up.max_age(Duration::from_millis(5_900));
    let challenge = Challenge::bearer().with_step_up(&step_up).unwrap();
    assert_eq!(
        challenge.to_string(),
        r#"Bearer acr_values="urn:a b", max_age="5""#
    );
    assert_eq!(challenge.step_up(), step_up);
    let nothing = Challenge::bearer().with_step_up(&StepUp::new()).unwrap();
    assert_eq!(nothing.to_string(), "Bearer");
    assert!(nothing.step_up().is_empty());
    // Each value is one that can be written.
    for (values, code) in [
        (vec![""], "challenge.value"),
        (vec!["a b"], "challenge.value"),
        (vec!["caf\u{e9}"], "challenge.value"),
        (vec!["a\t"], "challenge.value"),
        (vec!["a", "b", "a"], "challenge.repeated"),
        (vec![&*"x".repeat(4097)], "challenge.size"),
    ] {
        let refused = StepUp::new().acr_values(values).unwrap_err();
        assert_eq!(refused.code(), code);
    }
    // A server may write them in any way. What is malformed is not there.
    for (value, expected) in [
        (r"Bearer max_age=0", StepUp::new().max_age(Duration::ZERO)),
        (r#"Bearer max_age="-1""#, StepUp::new()),
        (r#"Bearer max_age="1.5""#, StepUp::new()),
        (r#"Bearer max_age="99999999999999999999""#, StepUp::new()),
        (
            r#"Bearer acr_values="a  b ""#,
            StepUp::new().acr_values(["a", "b"]).unwrap(),
        ),
        (r#"Bearer acr_values="a a""#, StepUp::new()),
        (r#"Bearer acr_values="""#, StepUp::new()),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, value.parse().unwrap());
        let read = Challenges::parse(&headers).unwrap();
        assert_eq!(read.bearer().unwrap().step_up(), expected, "{value}");
    }
}
