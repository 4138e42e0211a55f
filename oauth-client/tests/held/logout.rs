//! A user who logs out, in this process or in another one.

use std::sync::Arc;

use super::world::{
    Meanwhile, REVOCATION, Then, memory, revoked, script, source, target, text, text_for, user,
};
use crate::common::suite::{Code, TOOL, granted};
use crate::common::{Paused, Script, client, code, json_answer, server_with, sleep};
use aims_oauth_client::{Target, TokenSource};
use serde_json::json;
use tokio::time::Instant;

/// A logout of another process during a renewal is not undone: neither the old nor the new token
/// can be used, and both are revoked. A login of another process is kept.
#[tokio::test(start_paused = true)]
async fn another_process_logs_out_during_a_renewal() {
    for logs_in_again in [false, true] {
        let (script, store, start) = (script(), memory(), Instant::now());
        let server = Meanwhile(script.clone(), Arc::default());
        let renewing = source(server.clone(), &store, start);
        renewing.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        let other = Arc::new(source(script.clone(), &store, start));
        let then: Then = Box::new(move || {
            Box::pin(async move {
                other.revoke(&user()).await.unwrap();
                if logs_in_again {
                    other.redeem(Code(target())).await.unwrap();
                }
            })
        });
        *server.1.lock().unwrap() = Some(then);
        let found = text(&renewing).await;
        let later = text(&source(script.clone(), &store, start)).await;
        if logs_in_again {
            assert_eq!(
                (found.unwrap(), later.unwrap()),
                ("Bearer access3".into(), "Bearer access3".into())
            );
        } else {
            assert_eq!(code(found), "grant.needs_user");
            assert_eq!(code(later), "grant.needs_user");
        }
        assert_eq!(revoked(&script), ["refresh0", "refresh1"]);
    }
}

/// A logout ends all grants of one user for one resource, whatever their scopes, in all processes.
#[tokio::test(start_paused = true)]
async fn a_logout_ends_all_grants() {
    let other_tool = Target::new(
        "https://other.example".parse().unwrap(),
        "read".parse().unwrap(),
    );
    let targets = [
        target(),
        target().with_scopes("read write".parse().unwrap()),
        target().with_subject("bob"),
        other_tool.with_subject("alice"),
    ];
    for has_store in [true, false] {
        let (script, start) = (script(), Instant::now());
        let store = memory();
        let open = || match has_store {
            true => source(script.clone(), &store, start),
            false => {
                let server = server_with(&json!({ "revocation_endpoint": REVOCATION }));
                TokenSource::new(server, client(), script.clone()).with_clock(Paused(start))
            }
        };
        let first = open();
        for target in &targets {
            first.redeem(Code(target.clone())).await.unwrap();
        }
        let logging_out = if has_store { open() } else { first };
        let tool = TOOL.parse().unwrap();
        logging_out.revoke_all(&tool, Some("alice")).await.unwrap();
        assert_eq!(revoked(&script), ["refresh0", "refresh1"]);
        let mut after = Vec::new();
        for target in &targets {
            let renewed = text_for(&logging_out, target.clone()).await;
            after.push(code(renewed));
        }
        let gone = "grant.needs_user";
        assert_eq!(after, [gone, gone, "ok", "ok"], "{has_store}");
    }
}

/// Every grant is removed, and every token is tried, although the server refuses.
#[tokio::test(start_paused = true)]
async fn a_logout_goes_on_after_an_error() {
    let script = Script::new(|request, number| match request.uri().path() {
        "/revoke" => json_answer(400, &json!({"error": "unsupported_token_type"})),
        _ => granted(number),
    });
    let (store, start) = (memory(), Instant::now());
    let source = source(script.clone(), &store, start);
    let wider = target().with_scopes("read write".parse().unwrap());
    source.redeem(Code(target())).await.unwrap();
    source.redeem(Code(wider.clone())).await.unwrap();
    let tool = TOOL.parse().unwrap();
    let refused = source.revoke_all(&tool, Some("alice")).await;
    assert_eq!(code(refused), "oauth.refused");
    assert_eq!(revoked(&script), ["refresh0", "refresh1"]);
    assert_eq!(code(text(&source).await), "grant.needs_user");
    assert_eq!(code(text_for(&source, wider).await), "grant.needs_user");
}
