//! The tool: it gets an access token from the agent, and calls the services of the shop with a
//! transaction token. The access token goes no further.

use std::sync::{Arc, Mutex, PoisonError};

use aims::agent::RequestAuth;
use aims::guard::{Guard, HttpSignatures};
use aims::oauth_client::{
    OfIdentity as _, SubjectToken, TransactionService, TransactionToken, TransactionTokenRequest,
};
use aims::oauth_wire::call::CallDigest;
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::delegate::ScopeTable;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::ScopeSet;
use aims::{Agent, Principal};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::services::{framed, message};
use crate::shop::{ACCESS_SCOPE, SCOPES};
use crate::world::{DOMAIN, Failure, Holder, Reasons, TOOL, agent, fetcher};

/// The gateway and the services that it calls.
pub(crate) struct Gateway {
    pub(crate) agent: Agent,
    pub(crate) service: TransactionService,
    /// Orders and stock, which speak HTTP, and payments, which speaks gRPC.
    pub(crate) services: [String; 3],
    /// The token of the last transaction, for the attackers.
    pub(crate) last: Mutex<Option<TransactionToken>>,
}

/// Returns which scopes of access tokens become which scopes within the shop.
pub(crate) fn scopes() -> Result<ScopeTable, Failure> {
    Ok(ScopeTable::new(
        SCOPES.split(' ').map(|inner| (ACCESS_SCOPE, inner)),
    )?)
}

/// Requests a transaction token for this call and these scopes.
pub(crate) fn request(
    subject: SubjectToken,
    scopes_asked: &str,
    arguments: &str,
) -> Result<TransactionTokenRequest, Failure> {
    let call = CallDigest::of(TOOL, Some(arguments.as_bytes()))?;
    let asked: ScopeSet = scopes_asked.parse()?;
    Ok(TransactionTokenRequest::new(subject, DOMAIN, asked)
        .call(&call)
        .scopes_by(scopes()?))
}

impl Gateway {
    pub(crate) fn new(
        holder: &Holder,
        server: ServerMetadata,
        services: [String; 3],
    ) -> Result<Self, Failure> {
        let client = SpiffeWit::of(holder.source.clone())?;
        Ok(Self {
            agent: agent(holder, RequestAuth::Wpt, &services)?,
            service: TransactionService::new(server, client, fetcher()?),
            services,
            last: Mutex::default(),
        })
    }

    /// Serves one call of the agent: three services, in one transaction.
    async fn order(&self, who: &Principal, arguments: &str) -> Result<String, Failure> {
        let inbound = who.inbound_token().ok_or("no access token")?;
        let request = request(SubjectToken::inbound(inbound), SCOPES, arguments)?;
        let transaction = self.service.open(request);
        let token = transaction.token().await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        let within = self.agent.within(token.carried());
        // Stock gets a replacement that is good for nothing but stock.
        let narrow = transaction.narrowed("stock".parse()?).await?;
        let narrow = self.agent.within(narrow.carried());
        let [orders, stock, payments] = &self.services;
        for (agent, service) in [(&within, orders), (&narrow, stock)] {
            let request = Request::post(service).body(arguments.to_owned())?;
            let status = agent.send(request).await?.status();
            if status != StatusCode::OK {
                return Err(format!("{service} answered {status}").into());
            }
        }
        let (status, paid) = call_grpc(&within, payments, arguments).await?;
        if status != "0" {
            return Err(format!("{payments} ended with {status}").into());
        }
        Ok(paid)
    }

    pub(crate) fn last(&self) -> Result<TransactionToken, Failure> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(last.clone().ok_or("no transaction yet")?)
    }
}

/// Starts the gateway.
pub(crate) async fn start(
    listener: TcpListener,
    url: &str,
    guard: aims::guard::GuardBuilder<aims::guard::Trusting>,
    gateway: Arc<Gateway>,
    reasons: Reasons,
) -> Result<(), Failure> {
    let guard: Guard = guard
        .http_signatures(HttpSignatures::new())
        .scopes(ACCESS_SCOPE)?
        .record(reasons)
        .accept_proofs_before_start()
        .build()?;
    let router = Router::new()
        .fallback(post(order))
        .layer(guard.layer())
        .with_state(gateway);
    println!("gateway    {url}");
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

async fn order(
    State(gateway): State<Arc<Gateway>>,
    who: Principal,
    arguments: String,
) -> Result<String, (StatusCode, String)> {
    let answer = gateway.order(&who, &arguments).await;
    answer.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

/// Calls a method of gRPC and returns `grpc-status` and the message of the answer. The transaction
/// token and the proof are metadata of the call.
pub(crate) async fn call_grpc(
    agent: &Agent,
    url: &str,
    arguments: &str,
) -> Result<(String, String), Failure> {
    let mut request = Request::post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(framed(arguments)))?;
    drop(agent.prepare(&mut request, &framed(arguments)).await?);
    send_grpc(request).await
}

/// Sends a call of gRPC.
pub(crate) async fn send_grpc(request: Request<Full<Bytes>>) -> Result<(String, String), Failure> {
    let address = request.uri().authority().ok_or("no host")?.to_string();
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut client, connection) = handshake.await?;
    tokio::spawn(connection);
    let (head, body) = client.send_request(request).await?.into_parts();
    let content = body.collect().await?;
    let of = |headers: &HeaderMap| {
        let value = headers.get("grpc-status")?.to_str().ok()?;
        Some(value.to_owned())
    };
    // A refusal ends with its head, and an answer with its trailers.
    let status = content
        .trailers()
        .and_then(of)
        .or_else(|| of(&head.headers));
    let content = content.to_bytes();
    let text = message(&content).unwrap_or_default();
    let text = String::from_utf8_lossy(text).into_owned();
    Ok((status.ok_or("no grpc-status")?, text))
}
