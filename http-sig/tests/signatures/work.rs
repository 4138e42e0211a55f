//! A component is short to name, however long what is read for it (HMS-08, T-071).

use http_sig::{Limits, Signing};

use crate::support::{CREATED, Text, at, code, components, post};

/// As many components of a kind as are named here, prepared to be signed.
fn covering(message: &Text, named: &[&str], limits: Limits) -> &'static str {
    let signing = Signing::new("a")
        .covering(components(named))
        .with_limits(limits);
    code(signing.prepare(&message.exchange(), jose::random::SYSTEM, at(CREATED)))
}

/// The whole field is parsed for each member of it, so a long one has few.
#[test]
fn members_are_parsed_within_limits() {
    let dictionary = format!("a=1, b=2, c=3, d=\"{}\"", "x".repeat(30_000));
    let message = post().with(&format!("Priority: {dictionary}"));
    let members = [
        "priority;key=\"a\"",
        "priority;key=\"b\"",
        "priority;key=\"c\"",
    ];
    for (named, expected) in [(&members[..2], "good"), (&members[..], "sig.limit")] {
        assert_eq!(covering(&message, named, Limits::default()), expected);
    }
    let roomy = Limits::default().with_base_len(dictionary.len() * 3);
    assert_eq!(covering(&message, &members, roomy), "good");
    let short = Limits::default().with_base_len(dictionary.len() * 3 - 1);
    assert_eq!(covering(&message, &members, short), "sig.limit");
}

/// And the whole query for each parameter.
#[test]
fn query_parameters_are_read_within_limits() {
    let query = format!("a=1&b=2&c=3&d={}", "x".repeat(30_000));
    let message = Text::parse(&format!("GET /?{query} HTTP/1.1\nHost: example.com"));
    let parameters = [
        "@query-param;name=\"a\"",
        "@query-param;name=\"b\"",
        "@query-param;name=\"c\"",
    ];
    for (named, expected) in [(&parameters[..2], "good"), (&parameters[..], "sig.limit")] {
        assert_eq!(covering(&message, named, Limits::default()), expected);
    }
    let roomy = Limits::default().with_base_len(query.len() * 3);
    assert_eq!(covering(&message, &parameters, roomy), "good");
    let short = Limits::default().with_base_len(query.len() * 3 - 1);
    assert_eq!(covering(&message, &parameters, short), "sig.limit");
}
