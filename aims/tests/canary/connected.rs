//! An agent that logs in at its tool, and grants of every kind.

use std::sync::Arc;

use aims::Agent;
use aims::jose::time::Clock as _;
use aims::oauth_client::{
    Authorizing, BackchannelRequest, Connector, DeviceRequest, Identities, MemoryStore, Receive,
    ReceiveFuture, Receiving, RedirectUri, RevocationSignal, SubjectToken, Target, TokenSource,
    TokenStore, UserGrant, drive,
};
use aims::oauth_wire::challenge::Challenges;
use http::Request;

use crate::common::{CALL, Calls, ISSUER, TOOL};
use crate::net::{Moved, Net, client, server};
use crate::seen::Seen;
use crate::{CANARY, planted};

#[derive(Clone, Debug)]
struct User(RedirectUri);

impl Receive for User {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let deciding: Box<dyn Receiving> = Box::new(self.clone());
        Box::pin(std::future::ready(Ok(deciding)))
    }
}

impl Receiving for User {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.0
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        let query = login.url().split_once('?').unwrap().1;
        let mut pairs = query.split('&');
        let state = pairs.find_map(|it| it.strip_prefix("state=")).unwrap();
        let answer = format!("code={}&state={state}", planted("code"));
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// A login, calls, renewals, refusals of every kind, a signal and a logout, at an agent: no secret
/// is in its logs, its errors, its `Debug`, or in the answers that its program gets.
#[tokio::test(start_paused = true)]
async fn no_secret_is_seen_of_an_agent() {
    let (seen, net, clock) = (Seen::default(), Net::default(), Moved::default());
    let _logging = tracing::subscriber::set_default(seen.clone());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new().with_clock(clock.clone()));
    let user = User("http://127.0.0.1:4711/callback".parse().unwrap());
    let connector = Connector::new(Identities::new().everywhere(client()), net.clone())
        .with_clock(clock.clone())
        .accept_issuers([ISSUER.parse().unwrap()])
        .with_store(Arc::clone(&store))
        .by_user(user);
    let tool = TOOL.parse().unwrap();
    let agent = Agent::without_identity()
        .clock(clock.clone())
        .connect(TOOL.parse().unwrap(), connector.clone())
        .client(Calls(net.clone()))
        .build()
        .unwrap();
    seen.debug(&agent);
    seen.error(agent.explain(TOOL).await);
    let call = async || {
        let request = Request::post(CALL).body("{}".to_owned()).unwrap();
        agent.send(request).await
    };
    // The answer goes to the loop of a model: its head and its content.
    for _ in 0..2 {
        let answer = call().await.unwrap();
        assert_eq!(answer.status(), 200);
        seen.debug(&answer.headers());
        seen.text(format!("{:?}", answer.extensions()));
        seen.debug(&answer.status());
    }
    let connection = connector
        .connect(&tool, &Challenges::default())
        .await
        .unwrap();
    let token = connection.token().await.unwrap();
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers).unwrap();
    assert!(headers["authorization"].to_str().unwrap().contains(CANARY));
    seen.debug(&headers);
    seen.debug(&token);
    seen.debug(&connection);
    seen.debug(&connector);
    seen.debug(&store);
    seen.debug(&agent);
    for refusal in [
        (400, true),
        (401, true),
        (503, true),
        (500, false),
        (302, false),
        (200, false),
    ] {
        net.refuse(Some(refusal));
        *clock.0.lock().unwrap() += 1_000;
        seen.error(connection.token().await);
        seen.error(call().await.map(|answer| answer.status()));
        net.refuse(None);
        // A source waits after a failure.
        tokio::time::sleep(std::time::Duration::from_secs(1_000)).await;
        *clock.0.lock().unwrap() += 1_000;
        seen.error(connection.token().await);
    }
    net.refuse(Some((400, true)));
    seen.error(connection.log_out().await);
    net.refuse(None);
    let signal = RevocationSignal::of_issuer(ISSUER.parse().unwrap()).subject(planted("sub"));
    seen.error(connection.drop_revoked(&signal).await);
    seen.debug(&agent);
    let state = net.0.lock().unwrap();
    assert!(state.tokens > 2, "{}", state.tokens);
    assert!(state.given.names().contains("code_verifier"));
    seen.search(&state.given, 30);
}

/// Grants of every kind, which the server grants and refuses.
#[tokio::test(start_paused = true)]
async fn no_secret_is_seen_of_grants() {
    let (seen, net, clock) = (Seen::default(), Net::default(), Moved::default());
    let _logging = tracing::subscriber::set_default(seen.clone());
    let target = |scopes: &str| Target::new(TOOL.parse().unwrap(), scopes.parse().unwrap());
    for refusal in [
        None,
        Some((400, true)),
        Some((500, false)),
        Some((200, false)),
    ] {
        net.refuse(None);
        let source = TokenSource::new(server(), client(), net.clone()).with_clock(clock.clone());
        seen.debug(&source);
        let now = clock.now();
        let begin = DeviceRequest::new(target("read"));
        seen.debug(&begin);
        let first = begin
            .begin(Arc::new(client()), source.server(), now)
            .unwrap();
        let login = drive(first, &net, &clock).await.unwrap();
        seen.debug(&login);
        let device = login.into_grant();
        seen.debug(&device);
        let begin = BackchannelRequest::new(target("openid"), planted("hint"));
        let begin = begin.user_code(planted("user-code"));
        seen.debug(&begin);
        let first = begin
            .begin(Arc::new(client()), source.server(), now)
            .unwrap();
        let waiting = drive(first, &net, &clock).await.unwrap();
        seen.debug(&waiting);
        for subject in [
            SubjectToken::access_token(planted("subject")),
            SubjectToken::id_token(planted("subject")),
        ] {
            seen.debug(&subject);
        }
        net.refuse(refusal);
        seen.error(source.redeem(device).await);
        seen.error(source.redeem(waiting).await);
        seen.error(source.token(UserGrant::new(target("read"))).await);
        let tool = TOOL.parse().unwrap();
        seen.error(source.token_for(&tool, &"own".parse().unwrap()).await);
        seen.error(source.revoke_all(&tool, None).await);
        seen.debug(&source);
        *clock.0.lock().unwrap() += 1_000;
    }
    seen.search(&net.0.lock().unwrap().given, 40);
}
