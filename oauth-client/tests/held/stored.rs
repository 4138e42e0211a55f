//! Stored tokens that cannot be used as they are.

use super::world::{memory, script, source, target, text};
use crate::common::suite::{Code, TOOL, granted};
use crate::common::{Script, code, json_answer, sleep};
use aims_jose::base64url;
use aims_jose::jwk::Thumbprint;
use aims_jose::time::UnixTime;
use aims_oauth_client::{ClientCredentials, Grant, Target};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::{Form, TokenRequest};
use serde_json::json;
use tokio::time::Instant;

/// A token that is bound to the old key of the identity is not taken from the store.
#[tokio::test(start_paused = true)]
async fn the_key_of_the_identity_counts_in_a_store() {
    let (script, store, start) = (script(), memory(), Instant::now());
    let key = |byte: u8| {
        base64url::encode(&[byte; 32])
            .parse::<Thumbprint>()
            .unwrap()
    };
    let with_key = |byte| source(script.clone(), &store, start).with_key(move |_| Some(key(byte)));
    let own = ClientCredentials::new(TOOL.parse().unwrap());
    let first = with_key(1).token(own.clone()).await.unwrap().fingerprint();
    assert_eq!(
        with_key(1).token(own.clone()).await.unwrap().fingerprint(),
        first
    );
    assert_ne!(
        with_key(2).token(own.clone()).await.unwrap().fingerprint(),
        first
    );
    assert_eq!(script.requests().len(), 2);
    let without = source(script.clone(), &store, start);
    without.token(own).await.unwrap();
    assert_eq!(script.requests().len(), 3);
    // The refresh token of a user is used with the new key.
    with_key(1).redeem(Code(target())).await.unwrap();
    assert_eq!(text(&with_key(2)).await.unwrap(), "Bearer access4");
    assert_eq!(script.forms()[4].get("refresh_token"), Some("refresh3"));
}

/// A login whose grant can be repeated, such as the assertion of an identity provider.
#[derive(Debug)]
struct Repeatable(Target);

impl Grant for Repeatable {
    fn grant_type(&self) -> &str {
        "urn:example:repeatable"
    }

    fn target(&self) -> &Target {
        &self.0
    }

    fn write(
        &self,
        _: &mut TokenRequest,
        _: &ServerMetadata,
        _: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        Ok(())
    }

    fn cached_as(&self) -> &str {
        "user"
    }
}

/// CORE-12: a refresh token that the server refused is not sent again, also if the grant that
/// follows fails.
#[tokio::test(start_paused = true)]
async fn a_refused_refresh_token_is_dropped_from_the_store() {
    let script = Script::new(|request, number| {
        let form = Form::parse(request.body()).unwrap();
        match (number, form.get("refresh_token")) {
            (0, _) => granted(number),
            (_, Some(_)) => json_answer(400, &json!({"error": "invalid_grant"})),
            (_, None) => json_answer(503, &json!({"error": "temporarily_unavailable"})),
        }
    });
    let (store, start) = (memory(), Instant::now());
    let source = || source(script.clone(), &store, start);
    source().redeem(Code(target())).await.unwrap();
    sleep(300).await;
    for _ in 0..2 {
        let found = source().token(Repeatable(target())).await;
        assert_eq!(code(found), "oauth.refused");
    }
    let sent = script.forms();
    let sent: Vec<_> = sent.iter().map(|it| it.get("refresh_token")).collect();
    assert_eq!(sent, [None, Some("refresh0"), None, None]);
}
