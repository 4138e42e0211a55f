//! Three services of the shop. Each demands a transaction token of the shop for its own scope and
//! for the call that it gets; none ever sees an access token.

use std::convert::Infallible;
use std::sync::Arc;

use aims::cred::TrustStore;
use aims::guard::{Guard, HttpSignatures, TransactionTokens};
use aims::jose::jwk::JwkSet;
use aims::oauth_wire::call::CallDigest;
use aims::txn_token::TxnTokenRules;
use aims::{Principal, Requirements};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::Layer as _;

use crate::border::Border;
use crate::world::{DOMAIN, Failure, Reasons, TOOL};

/// The keys and records that all services of the shop share.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) trust: Arc<TrustStore>,
    /// The keys of the shop's transaction token service.
    pub(crate) keys: JwkSet,
    pub(crate) reasons: Reasons,
}

impl Shop {
    fn guard(&self, url: &str, scope: &str) -> Result<Guard, Failure> {
        let tokens = TransactionTokens::new(TxnTokenRules::new(DOMAIN), self.keys.clone());
        let route = Requirements::new().transaction_scopes(scope.parse()?);
        // `check_call` does it, with the content that the handlers have read.
        let route = route.call_compared_by_handler();
        Ok(Guard::builder(url)
            .trust(Arc::clone(&self.trust))
            .transactions(tokens)
            .http_signatures(HttpSignatures::new())
            .require(route)
            .record(self.reasons.clone())
            .accept_proofs_before_start()
            .build()?)
    }

    /// Starts a service of HTTP for this scope.
    pub(crate) fn start(
        &self,
        listener: TcpListener,
        url: &str,
        scope: &str,
    ) -> Result<(), Failure> {
        let guard = self.guard(url, scope)?;
        let router = Router::new().fallback(post(serve)).layer(guard.layer());
        let router = router.with_state(self.reasons.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(())
    }

    /// Starts the service of gRPC, which pays at the bank.
    pub(crate) fn start_payments(
        &self,
        listener: TcpListener,
        url: &str,
        border: Arc<Border>,
    ) -> Result<(), Failure> {
        let guard = self.guard(url, "payments")?;
        let reasons = self.reasons.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (border, reasons) = (Arc::clone(&border), reasons.clone());
                let pay = tower::service_fn(move |request| {
                    pay(Arc::clone(&border), reasons.clone(), request)
                });
                let service = TowerToHyperService::new(guard.layer().layer(pay));
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Ok(())
    }
}

/// Compares the call that arrived with the one that the transaction is for.
fn check_call(who: &Principal, arguments: &[u8]) -> Result<(), &'static str> {
    let call = CallDigest::of(TOOL, Some(arguments)).map_err(|_malformed| "malformed")?;
    let token = who.transaction().ok_or("no transaction")?;
    token.check_call(&call).map_err(|error| error.code())
}

/// A service of HTTP.
async fn serve(
    State(reasons): State<Reasons>,
    who: Principal,
    body: Bytes,
) -> Result<String, StatusCode> {
    check_call(&who, &body).map_err(|code| {
        reasons.set(code);
        StatusCode::FORBIDDEN
    })?;
    Ok(format!("done for {}", who.subject()))
}

type Body = BoxBody<Bytes, Infallible>;

/// The method `shop.Payments/Pay` of gRPC: one message, and one in answer.
async fn pay<B>(
    border: Arc<Border>,
    reasons: Reasons,
    request: Request<B>,
) -> Result<Response<Body>, Infallible>
where
    B: http_body_util::BodyExt<Data = Bytes> + Send,
    B::Error: Into<Failure>,
{
    let (head, body) = request.into_parts();
    let answer = async {
        let who = head.extensions.get::<Principal>().ok_or("no caller")?;
        let content = Limited::new(body, 64 * 1024).collect().await;
        let content = content.map_err(|_broken| "malformed")?.to_bytes();
        let arguments = message(&content).ok_or("malformed")?;
        check_call(who, arguments)?;
        let token = who.transaction().ok_or("no transaction")?;
        let paid = border.pay(token, arguments).await;
        paid.map_err(|_failed| "bank")
    };
    let (status, text) = match answer.await {
        Ok(text) => ("0", text),
        Err(code) => {
            reasons.set(code);
            ("7", String::new())
        }
    };
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        drop(sender.send_data(framed(&text)).await);
        let name = http::HeaderName::from_static("grpc-status");
        let trailers = HeaderMap::from_iter([(name, HeaderValue::from_static(status))]);
        drop(sender.send_trailers(trailers).await);
    });
    let mut response = Response::new(body.boxed());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    Ok(response)
}

/// Frames a message of gRPC: not compressed, with its length.
pub(crate) fn framed(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

/// Returns the only message of a content.
pub(crate) fn message(content: &[u8]) -> Option<&[u8]> {
    let (head, text) = content.split_first_chunk::<5>()?;
    let [0, length @ ..] = *head else { return None };
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (text.len() == length).then_some(text)
}
