//! The classes of the errors that a connection has, and when a user is needed.

use aims_oauth_client::{Error, ErrorClass, Identities, SubjectToken};
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::token::{Form, TokenError};
use serde_json::json;

use super::world::{User, answer, connected, connector};
use crate::common::{Script, json_answer, jwt, server_with};

fn refused(code: &str) -> Error {
    let told = Box::new(TokenError::new(code).unwrap());
    Error::from(aims_oauth_wire::Error::Refused(told))
}

/// CORE-12: each error has a class, also while the source waits after it.
#[test]
fn each_error_has_a_class() {
    use ErrorClass::{Challenge, Local, NeedsUser, Pending, Rejected, Transient, Unusable};
    let by_browser = |code| Error::AuthorizationRefused(Box::new(TokenError::new(code).unwrap()));
    let registered = |code| Error::RegistrationRefused(Box::new(TokenError::new(code).unwrap()));
    for (error, class, needs_user, is_retryable) in [
        (refused("invalid_grant"), Rejected, false, false),
        (refused("invalid_client"), Rejected, false, false),
        (refused("access_denied"), Rejected, false, false),
        (by_browser("access_denied"), Rejected, false, false),
        (registered("invalid_redirect_uri"), Rejected, false, false),
        (Error::GrantType, Rejected, false, false),
        (Error::RegistrationGone, Rejected, false, false),
        (refused("authorization_pending"), Pending, false, true),
        (refused("slow_down"), Pending, false, true),
        (refused("temporarily_unavailable"), Transient, false, true),
        (refused("server_error"), Transient, false, true),
        (Error::Interrupted, Transient, false, true),
        (refused("use_dpop_nonce"), Challenge, false, false),
        (
            refused("use_attestation_challenge"),
            Challenge,
            false,
            false,
        ),
        (
            refused("insufficient_user_authentication"),
            Challenge,
            true,
            false,
        ),
        (refused("login_required"), Challenge, true, false),
        (refused("interaction_required"), Challenge, true, false),
        (refused("consent_required"), Challenge, true, false),
        (
            refused("account_selection_required"),
            Challenge,
            true,
            false,
        ),
        (by_browser("login_required"), Challenge, true, false),
        (Error::NeedsUser { last: None }, NeedsUser, true, false),
        (Error::LoginTimeout, NeedsUser, true, false),
        (Error::TokenType, Unusable, false, false),
        (Error::State, Unusable, false, false),
        (Error::Details, Local, false, false),
        (Error::StoreContent, Local, false, false),
    ] {
        let waiting = Error::BackingOff {
            last: error.clone().into(),
        };
        for error in [error, waiting] {
            let found = (error.class(), error.needs_user(), error.is_retryable());
            assert_eq!(found, (class, needs_user, is_retryable), "{error:?}");
        }
    }
}

/// JAG-16: the user must log in again if the provider says so, or if the token of the user is over.
/// Another refusal, and one of the tool's server, is reported as it is.
#[tokio::test(start_paused = true)]
async fn a_provider_may_need_the_user() {
    let over = jwt("JWT", &json!({"exp": 1_000}));
    let good = jwt("JWT", &json!({"exp": 4_000_000_000_u64}));
    for (subject, at_provider, code, expected, needs_user) in [
        (&good, true, "invalid_grant", "grant.needs_user", true),
        (&over, true, "invalid_request", "grant.needs_user", true),
        (&good, true, "invalid_request", "oauth.refused", false),
        (&over, true, "invalid_scope", "oauth.refused", false),
        (&good, true, "login_required", "oauth.refused", true),
        (&good, false, "invalid_grant", "oauth.refused", false),
        (&over, false, "invalid_request", "oauth.refused", false),
    ] {
        let script = Script::new(move |request, number| {
            let form = Form::parse(request.body());
            let of_provider = form.is_ok_and(|it| it.get("requested_token_type").is_some());
            if request.uri().path() == "/token" && of_provider == at_provider {
                return json_answer(400, &json!({ "error": code }));
            }
            answer(request, number, &json!({}), &json!({}))
        });
        let client = PublicClient::new("known".parse().unwrap());
        let identities = Identities::new().everywhere(client.clone());
        let connector = connector(identities, &script, &User::default()).by_identity_provider(
            server_with(&json!({})),
            client,
            SubjectToken::id_token(subject.clone()),
            None,
        );
        let error = connected(&connector).await.token().await.unwrap_err();
        let found = (error.code(), error.needs_user());
        assert_eq!(found, (expected, needs_user), "{code}");
    }
}

/// `invalid_client` of the provider is not about the registration at the tool's server.
#[tokio::test(start_paused = true)]
async fn a_provider_ends_no_registration() {
    let script = Script::new(move |request, number| {
        let form = Form::parse(request.body());
        if form.is_ok_and(|it| it.get("requested_token_type").is_some()) {
            return json_answer(401, &json!({"error": "invalid_client"}));
        }
        answer(request, number, &json!({}), &json!({}))
    });
    let client = PublicClient::new("at-idp".parse().unwrap());
    let connector = connector(super::world::native(), &script, &User::default());
    let connector = connector.by_identity_provider(
        server_with(&json!({})),
        client,
        SubjectToken::id_token("id"),
        None,
    );
    let connection = connected(&connector).await;
    let error = connection.token().await.unwrap_err();
    assert_eq!(error.refusal().unwrap().error(), "invalid_client");
    assert!(!connection.has_ended());
}
