//! A store that cannot be written.

use std::sync::Arc;

use super::world::{Faulty, revoked, script, source, target, text, user};
use crate::common::suite::Code;
use crate::common::{code, sleep};
use aims_oauth_client::TokenStore;
use tokio::time::Instant;

/// A write that fails for a moment is made again. The server is not asked twice.
#[tokio::test(start_paused = true)]
async fn a_failed_write_is_repeated() {
    for is_done in [false, true] {
        let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
        let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
        let source_of = |start| source(script.clone(), &store, start);
        let first = source_of(start);
        faulty.fail(2, is_done);
        first.redeem(Code(target())).await.unwrap();
        assert_eq!(text(&source_of(start)).await.unwrap(), "Bearer access0");
        sleep(300).await;
        faulty.fail(2, is_done);
        assert_eq!(text(&first).await.unwrap(), "Bearer access1");
        assert_eq!(text(&source_of(start)).await.unwrap(), "Bearer access1");
        assert_eq!(script.requests().len(), 2);
    }
}

/// A store that fails for longer: the new refresh token stays in memory, the access token is not
/// used before it is stored, and the next call stores it. Nothing is asked of the server again.
#[tokio::test(start_paused = true)]
async fn a_rotated_token_outlives_a_failing_store() {
    let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
    let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
    let first = source(script.clone(), &store, start);
    first.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    faulty.fail(usize::MAX, false);
    let told = text(&first).await.unwrap_err();
    assert_eq!(
        (told.code(), told.needs_user()),
        ("store.unavailable", false)
    );
    // The source reports it once, until the next attempt.
    assert_eq!(code(text(&first).await), "grant.backing_off");
    sleep(2).await;
    assert_eq!(code(text(&first).await), "store.unavailable");
    faulty.fail(0, false);
    sleep(10).await;
    assert_eq!(text(&first).await.unwrap(), "Bearer access1");
    sleep(300).await;
    assert_eq!(
        text(&source(script.clone(), &store, start)).await.unwrap(),
        "Bearer access2"
    );
    let sent: Vec<_> = script
        .forms()
        .iter()
        .map(|it| it.get("refresh_token").map(String::from))
        .collect();
    assert_eq!(
        sent,
        [
            None,
            Some("refresh0".to_owned()),
            Some("refresh1".to_owned())
        ]
    );
}

/// A login that cannot be stored is stored later, too, and not after a logout.
#[tokio::test(start_paused = true)]
async fn a_login_outlives_a_failing_store() {
    for logs_out in [false, true] {
        let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
        let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
        let first = source(script.clone(), &store, start);
        faulty.fail(usize::MAX, false);
        assert_eq!(
            code(first.redeem(Code(target())).await),
            "store.unavailable"
        );
        faulty.fail(0, false);
        if logs_out {
            first.revoke(&user()).await.unwrap();
            assert_eq!(code(text(&first).await), "grant.needs_user");
            assert_eq!(revoked(&script), ["refresh0"]);
        } else {
            assert_eq!(text(&first).await.unwrap(), "Bearer access0");
            assert_eq!(
                text(&source(script, &store, start)).await.unwrap(),
                "Bearer access0"
            );
        }
    }
}

/// A login of another process replaces a token that could not be stored, which is revoked.
#[tokio::test(start_paused = true)]
async fn a_newer_login_wins() {
    let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
    let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
    let [first, second] = [0, 1].map(|_| source(script.clone(), &store, start));
    first.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    faulty.fail(usize::MAX, false);
    assert_eq!(code(text(&first).await), "store.unavailable");
    faulty.fail(0, false);
    second.redeem(Code(target())).await.unwrap();
    sleep(10).await;
    assert_eq!(text(&first).await.unwrap(), "Bearer access2");
    assert_eq!(revoked(&script), ["refresh1"]);
}

/// CORE-09: another process renewed by the same refresh token, while this one could not write. The
/// later token is not replaced by the one of this process.
#[tokio::test(start_paused = true)]
async fn a_faster_renewal_stays() {
    let (script, faulty, start) = (script(), Faulty::new(), Instant::now());
    let store: Arc<dyn TokenStore> = Arc::new(faulty.clone());
    let [first, second] = [0, 1].map(|_| source(script.clone(), &store, start));
    first.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    faulty.fail(usize::MAX, false);
    assert_eq!(code(text(&first).await), "store.unavailable");
    faulty.fail(0, false);
    // The lease of the first process ends, and the server accepts the old refresh token again.
    sleep(40).await;
    assert_eq!(text(&second).await.unwrap(), "Bearer access2");
    assert_eq!(script.forms()[2].get("refresh_token"), Some("refresh0"));
    assert_eq!(text(&first).await.unwrap(), "Bearer access2");
    let third = source(script.clone(), &store, start);
    assert_eq!(text(&third).await.unwrap(), "Bearer access2");
    assert_eq!(script.requests().len(), 3);
}
