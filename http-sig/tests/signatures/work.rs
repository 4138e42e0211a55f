//! A component has a short name, but parsing for it may be expensive (HMS-08, T-071).

use aims_http_sig::{Limits, Signing};

use crate::support::{CREATED, Text, at, code, components, post};

/// Prepares a signature with this number of components of one kind.
fn covering(message: &Text, named: &[&str], limits: Limits) -> &'static str {
    let signing = Signing::new("a")
        .covering(components(named))
        .with_limits(limits);
    code(signing.prepare(&message.exchange(), aims_jose::random::SYSTEM, at(CREATED)))
}

/// `long` bytes are parsed for each component of a kind, so the limit allows few of them.
fn are_parsed_within_limits(message: &Text, kind: [&str; 3], long: usize) {
    for (named, expected) in [(&kind[..2], "good"), (&kind[..], "sig.limit")] {
        assert_eq!(covering(message, named, Limits::default()), expected);
    }
    let within = |limit| covering(message, &kind, Limits::default().with_base_len(limit));
    assert_eq!(within(long * 3), "good");
    assert_eq!(within(long * 3 - 1), "sig.limit");
}

#[test]
fn members_are_parsed_within_limits() {
    let dictionary = format!("a=1, b=2, c=3, d=\"{}\"", "x".repeat(30_000));
    let message = post().with(&format!("Priority: {dictionary}"));
    let members = [
        "priority;key=\"a\"",
        "priority;key=\"b\"",
        "priority;key=\"c\"",
    ];
    are_parsed_within_limits(&message, members, dictionary.len());
}

#[test]
fn query_parameters_are_read_within_limits() {
    let query = format!("a=1&b=2&c=3&d={}", "x".repeat(30_000));
    let message = Text::parse(&format!("GET /?{query} HTTP/1.1\nHost: example.com"));
    let parameters = [
        "@query-param;name=\"a\"",
        "@query-param;name=\"b\"",
        "@query-param;name=\"c\"",
    ];
    are_parsed_within_limits(&message, parameters, query.len());
}
