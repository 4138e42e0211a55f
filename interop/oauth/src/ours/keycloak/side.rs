//! The server that Keycloak asks: keys, the device of a user, and the client's endpoint for pings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims::fetch::{Fetch as _, Fetcher};
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ours::pinged::Endpoint;

/// A server of this suite, which Keycloak asks: keys of an issuer of assertions and of a trust
/// domain, the device on which a user decides, and the client's endpoint for pings.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) keys: Value,
    pub(super) base: String,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) seen: Arc<Mutex<Device>>,
    pub(super) endpoint: Endpoint,
}

/// The device of the user.
#[derive(Default)]
pub(super) struct Device {
    /// The answer: `SUCCEED`, `UNAUTHORIZED` or `CANCELLED`. Empty, the user does not answer.
    decision: &'static str,
    message: String,
}

impl Side {
    pub(super) fn serve(&self, listener: TcpListener) {
        let keys = |State(side): State<Self>| async move { Json(side.keys) };
        let routes = Router::new()
            .route("/jwks", get(keys))
            .route("/ciba", post(Self::ask))
            .with_state(self.clone())
            .merge(self.endpoint.routes());
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }

    pub(super) fn decides(&self, decision: &'static str) {
        self.seen().decision = decision;
    }

    pub(super) fn message(&self) -> String {
        self.seen().message.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Device> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keycloak asks the device. The user decides a moment later.
    async fn ask(State(side): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = asked.get("binding_message").and_then(Value::as_str);
        side.seen().message = message.unwrap_or_default().to_owned();
        if side.seen().decision.is_empty() {
            return StatusCode::CREATED;
        }
        let decision = json!({"status": side.seen().decision}).to_string();
        let place = "realms/agents/protocol/openid-connect/ext/ciba/auth/callback";
        let callback = Request::post(format!("{}/{place}", side.base))
            .header("content-type", "application/json")
            .header(
                "authorization",
                headers
                    .get("authorization")
                    .cloned()
                    .unwrap_or_else(|| http::HeaderValue::from_static("")),
            )
            .body(decision.into_bytes());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if let Ok(callback) = callback {
                drop(side.fetcher.send(callback).await);
            }
        });
        StatusCode::CREATED
    }
}
