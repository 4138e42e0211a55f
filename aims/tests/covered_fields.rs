//! Header fields that a tool uses for decisions: a field that no accepted proof covers is not used.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::sync::Arc;

use aims::Principal;
use aims::decision::{Attributes, Authorize, Call, Decision, Denial, Extract, Reason};
use aims::guard::{GuardBuilder, HttpSignatures, Trusting};
use aims::jose::time::UnixTime;
use aims::wpt::Binding;
use common::{CALL, NOW, World, at, told};
use http::request::Parts;
use http::{HeaderName, Request};
use signed::{Meeting, received};

const NAME: &str = "mcp-name";

/// The name of an MCP tool.
#[derive(Debug)]
struct McpName;

impl Extract for McpName {
    fn fields(&self) -> Vec<HeaderName> {
        vec![HeaderName::from_static(NAME)]
    }

    fn extract(&self, request: &Parts, call: &mut Attributes) {
        AnyName.extract(request, call);
    }
}

/// Reads the same field, but does not name it.
#[derive(Debug)]
struct AnyName;

impl Extract for AnyName {
    fn extract(&self, request: &Parts, call: &mut Attributes) {
        if let Some(name) = request.headers.get(NAME).and_then(|it| it.to_str().ok()) {
            call.insert(Attributes::TOOL, name);
        }
    }
}

/// Allows only `weather` and calls without a tool.
#[derive(Debug)]
struct WeatherAlone;

impl Authorize for WeatherAlone {
    fn authorize(&self, _: &Principal, call: &Call<'_>, _: UnixTime) -> Decision {
        match call.attributes.get(Attributes::TOOL) {
            None | Some("weather") => Decision::Allow(Vec::new()),
            Some(other) => {
                let reason = Reason::new("test.tool", other.to_owned());
                Decision::Deny(Denial::Forbidden, vec![reason])
            }
        }
    }
}

fn deciding(builder: GuardBuilder<Trusting>) -> GuardBuilder<Trusting> {
    builder.extract(McpName).authorize(WeatherAlone)
}

fn meeting() -> Meeting {
    Meeting::new(|it, _| deciding(it), HttpSignatures::new())
}

/// Returns a signed call that names a tool. The signature covers the name or not.
fn signed(meeting: &Meeting, tool: Option<&str>, covered: bool) -> Parts {
    let agent = meeting.agent_with(|it| match covered {
        true => it.signed_field(HeaderName::from_static(NAME)),
        false => it,
    });
    let mut request = Request::post(CALL).body(Vec::new()).unwrap();
    if let Some(tool) = tool {
        request.headers_mut().insert(NAME, tool.parse().unwrap());
    }
    drop(agent.sign(&mut request).unwrap());
    received(request).0
}

fn code(meeting: &Meeting, head: &Parts) -> &'static str {
    told(meeting.guard.check((head, b""), at(NOW))).0
}

#[test]
fn a_covered_field_is_decided_by() {
    let meeting = meeting();
    let good = signed(&meeting, Some("weather"), true);
    let who = meeting.guard.check((&good, b""), at(NOW)).unwrap();
    assert!(who.covers_field(&HeaderName::from_static(NAME)));
    assert!(!who.covers_field(&HeaderName::from_static("x-other")));
    let denied = signed(&meeting, Some("payroll"), true);
    assert_eq!(code(&meeting, &denied), "guard.forbidden");
    // A missing field needs no cover.
    assert_eq!(code(&meeting, &signed(&meeting, None, true)), "ok");
    assert_eq!(code(&meeting, &signed(&meeting, None, false)), "ok");
}

/// Each request differs from a valid call in the one field, and its proof is not spent.
#[test]
fn a_field_that_was_changed_on_its_way_is_refused() {
    let meeting = meeting();
    let good = signed(&meeting, Some("weather"), true);
    let mut swapped = good.clone();
    swapped.headers.insert(NAME, "payroll".parse().unwrap());
    assert_eq!(code(&meeting, &swapped), "sig.signature");
    let mut removed = good.clone();
    removed.headers.remove(NAME);
    assert_eq!(code(&meeting, &removed), "sig.component_absent");
    let mut added = signed(&meeting, None, true);
    added.headers.insert(NAME, "weather".parse().unwrap());
    assert_eq!(code(&meeting, &added), "guard.field_uncovered");
    assert_eq!(code(&meeting, &good), "ok");
    // Two lines have the same signature as one line with both values.
    let one = signed(&meeting, Some("weather, payroll"), true);
    let mut split = one.clone();
    split.headers.insert(NAME, "weather".parse().unwrap());
    split.headers.append(NAME, "payroll".parse().unwrap());
    assert_eq!(code(&meeting, &split), "guard.field_uncovered");
    assert_eq!(code(&meeting, &one), "guard.forbidden");
}

/// The refusal says what to do, only in the record, and comes before the proof is spent.
#[test]
fn an_uncovered_field_is_refused() {
    let meeting = meeting();
    let mut head = signed(&meeting, Some("weather"), false);
    let refusal = meeting.guard.check((&head, b""), at(NOW)).unwrap_err();
    assert_eq!(refusal.code(), "guard.field_uncovered");
    assert_eq!(refusal.kind(), aims::ErrorKind::Mismatch);
    assert_eq!(refusal.status().as_u16(), 400);
    for part in ["`mcp-name`", "signed_field"] {
        assert!(refusal.detail().contains(part), "{refusal}");
    }
    head.headers.remove(NAME);
    assert_eq!(code(&meeting, &head), "ok");
}

/// With several proofs the weakest protects: without the one that covers the field, the request is
/// refused.
#[test]
fn a_proof_that_covers_it_cannot_be_taken_away() {
    let meeting = meeting();
    let mut both = signed(&meeting, Some("weather"), true);
    let wpt = meeting.me.wpt(&Binding::to(CALL));
    both.headers
        .insert("workload-proof-token", wpt.parse().unwrap());
    let mut stripped = both.clone();
    assert_eq!(code(&meeting, &both), "ok");
    stripped.headers.remove("signature");
    stripped.headers.remove("signature-input");
    let wpt = meeting.me.wpt(&Binding::to(CALL));
    stripped
        .headers
        .insert("workload-proof-token", wpt.parse().unwrap());
    assert_eq!(code(&meeting, &stripped), "guard.field_uncovered");
    stripped.headers.remove(NAME);
    assert_eq!(code(&meeting, &stripped), "ok");
}

/// A WPT covers fields that carry tokens, and a bearer token covers none.
#[test]
fn other_credentials_cover_what_they_cover() {
    let world = World::new();
    let agent = world.agent(signed::AGENT);
    let guard = deciding(world.guard()).build().unwrap();
    let mut call = agent.call();
    call.headers.insert(NAME, "weather".parse().unwrap());
    assert_eq!(told(guard.check(&call, at(NOW))).0, "guard.field_uncovered");
    let carrying = deciding(world.guard()).token_field(HeaderName::from_static(NAME));
    let carrying = carrying.build().unwrap();
    let wpt = agent.wpt(&Binding::to(CALL).header(NAME, b"weather"));
    let mut call = common::proven(agent.wit.expose(), &wpt, None);
    call.headers.insert(NAME, "payroll".parse().unwrap());
    assert_eq!(told(carrying.check(&call, at(NOW))).0, "wpt.oth");
    call.headers.insert(NAME, "weather".parse().unwrap());
    assert_eq!(told(carrying.check(&call, at(NOW))).0, "ok");

    let bearer = |builder: GuardBuilder<Trusting>| {
        let guard = builder.issuers(Arc::clone(&world.issuers)).accept_bearer();
        let mut claims = World::claims(&agent);
        claims.as_object_mut().unwrap().remove("cnf");
        let mut call = common::bare();
        let token = format!("Bearer {}", world.token(&claims)).parse().unwrap();
        call.headers.insert("authorization", token);
        call.headers.insert(NAME, "weather".parse().unwrap());
        guard.build().unwrap().check(&call, at(NOW))
    };
    let refused = bearer(deciding(world.guard()));
    assert_eq!(told(refused).0, "guard.field_uncovered");
    // A field that carries a token and that no extractor reads is checked with the token.
    let token_field = HeaderName::from_static(NAME);
    assert!(bearer(world.guard().token_field(token_field)).is_ok());
    // An extractor that names no fields returns the received value, and the principal says whether
    // it is covered.
    let who = bearer(world.guard().extract(AnyName)).unwrap();
    assert!(!who.covers_field(&HeaderName::from_static(NAME)));
}

/// A token that a signature covers: the agent can do what the guard requires.
#[test]
fn a_token_field_is_signed() {
    let name = HeaderName::from_static(NAME);
    let meeting = Meeting::new(|it, _| it.token_field(name), HttpSignatures::new());
    assert_eq!(code(&meeting, &signed(&meeting, Some("a.b.c"), true)), "ok");
    let uncovered = signed(&meeting, Some("a.b.c"), false);
    assert_eq!(code(&meeting, &uncovered), "sig.component_required");
}
