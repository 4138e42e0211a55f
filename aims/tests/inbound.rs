//! The access token of a request cannot be sent on: handlers do not see it, and its type has no way
//! out but a token exchange.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use aims::guard::{GuardBuilder, Trusting};
use aims::oauth_wire::token::TokenRequest;
use aims::wpt::{Binding, Revision, fields};
use aims::{Guard, Principal, Requirements};
use bytes::Bytes;
use common::{CALL, Then, World, bare};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;
use tower_layer::Layer as _;

/// A handler that tells the `Authorization` that it got.
async fn tell<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.extensions().get::<Principal>().unwrap();
    let has_token = who.inbound_token().is_some();
    let field = request.headers().get("authorization");
    let field = field.map_or("none", |it| it.to_str().unwrap());
    Ok(Response::new(Full::from(format!("{has_token} {field}"))))
}

async fn seen(guard: &Guard, call: impl Fn() -> Parts) -> String {
    let service = guard.layer().layer(tower::service_fn(tell));
    let request = Request::from_parts(call(), Full::<Bytes>::default());
    let whole = text(service.oneshot(request).await.unwrap()).await;
    let service = guard.head_layer().layer(tower::service_fn(tell));
    let request = Request::from_parts(call(), ());
    let head = text(service.oneshot(request).await.unwrap()).await;
    // Each request has a proof of its own.
    assert_eq!(whole.len(), head.len());
    whole
}

async fn text(response: Response<impl http_body::Body<Error: std::fmt::Debug>>) -> String {
    assert_eq!(response.status(), 200);
    let body = Box::pin(response.into_body()).collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

fn guard(world: &World) -> GuardBuilder<Trusting> {
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    guard
        .require(Requirements::new().accept_bearer())
        .clock(Then)
}

fn bearer(world: &World) -> (String, Parts) {
    let mut claims = World::claims(&world.agent("spiffe://example.org/agent"));
    claims["client_id"] = "web".into();
    claims.as_object_mut().unwrap().remove("cnf");
    let token = world.token(&claims);
    let mut call = bare();
    let value = format!("Bearer {token}").parse().unwrap();
    call.headers.insert("authorization", value);
    (token, call)
}

#[tokio::test]
async fn a_handler_does_not_see_the_token() {
    let world = World::new();
    let (token, call) = bearer(&world);
    let by_default = guard(&world).build().unwrap();
    assert_eq!(seen(&by_default, || call.clone()).await, "true none");
    let passing = guard(&world).pass_token_on().build().unwrap();
    let expected = format!("true Bearer {token}");
    assert_eq!(seen(&passing, || call.clone()).await, expected);
    // A proof in the field is spent, and is no token.
    let by_proof = world.guard_by_default().clock(Then).build().unwrap();
    let agent = world.agent("spiffe://example.org/agent");
    let proven = || {
        let mut request = bare();
        let wpt = agent.wpt_of(&Binding::to(CALL));
        let wit = agent.wit.expose();
        fields::apply(&mut request.headers, wit, &wpt, Revision::Draft02).unwrap();
        request
    };
    let seen = seen(&by_proof, proven).await;
    assert!(seen.starts_with("false WPT "), "{seen}");
}

#[test]
fn the_token_goes_into_an_exchange_alone() {
    let world = World::new();
    let (token, call) = bearer(&world);
    let who = guard(&world).build().unwrap();
    let who = who.check(&call, common::at(common::NOW)).unwrap();
    let inbound = who.inbound_token().unwrap();
    // Neither value shows the text.
    for shown in [format!("{inbound:?}"), format!("{who:?}")] {
        assert!(!shown.contains(&token), "{shown}");
    }
    let request = TokenRequest::exchange(&inbound).unwrap();
    assert!(!format!("{request:?}").contains(&token));
    let endpoint = "https://as.example/token".parse().unwrap();
    let sent = request.into_http(&endpoint).unwrap();
    let form = String::from_utf8_lossy(sent.body());
    assert_eq!(
        form,
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
             &subject_token={token}\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
        )
    );
    assert!(sent.headers().get("authorization").is_none());
    // One subject, once.
    let mut request = TokenRequest::exchange(&inbound).unwrap();
    let refused = request.subject_token(&inbound).unwrap_err();
    assert_eq!(refused.code(), "oauth.repeated");
}
