//! An agent with an identity: its WIT, its proofs, its bound tokens, the transactions that it
//! carries, and the approvals that it asks for.

use std::sync::Arc;

use aims::Agent;
use aims::agent::RequestAuth;
use aims::cred::{FixedSource, Identity};
use aims::jose::alg::Algorithm;
use aims::jose::secret::SecretText;
use aims::oauth_client::{ByBackchannel, DpopKey, TokenSource};
use aims::oauth_wire::call::ToolCall;
use aims::oauth_wire::client_auth::PrivateKeyJwt;
use aims::oauth_wire::transaction::CarriedTransaction;
use aims::wpt::Revision;
use http::Request;
use serde_json::json;

use crate::common::{CALL, Calls, NOW, TOOL, Then, World, key, provider, sign};
use crate::net::{Net, client, note_fields, server};
use crate::planted;
use crate::seen::Seen;

const DOMAIN: &str = "trust-domain.example";

fn agent(seen: &Seen, net: &Net, method: RequestAuth, is_bound: bool) -> Agent {
    let holder = World::new().agent("spiffe://example.org/agent");
    let wit = SecretText::new(holder.wit.expose());
    let identity = Identity::new(wit, Arc::new(holder.key.clone()), holder.key.public_jwk());
    let identity = identity.unwrap();
    seen.debug(&identity);
    let own = Arc::new(key(Algorithm::Es256));
    let own = PrivateKeyJwt::new("agent".parse().unwrap(), own);
    let source = TokenSource::new(server(), own, net.clone()).with_clock(Then);
    let source = match is_bound {
        true => source.with_dpop(DpopKey::generate(provider()).unwrap()),
        false => source,
    };
    let log = seen.clone();
    let approve = ByBackchannel::new(client(), server(), net.clone(), planted("hint"))
        .with_clock(Then)
        .on_progress(move |progress| log.debug(progress));
    seen.debug(&approve);
    Agent::builder(FixedSource::new(identity))
        .clock(Then)
        .authorize(TOOL.parse().unwrap(), "read".parse().unwrap(), source)
        .proof(method)
        .wpt_revision(Revision::Draft01)
        .trust_domain(DOMAIN, [TOOL.parse().unwrap()])
        .approval(TOOL.parse().unwrap(), approve)
        .client(Calls(net.clone()))
        .build()
        .unwrap()
}

fn transaction() -> CarriedTransaction {
    let claims = json!({"aud": DOMAIN, "iat": NOW, "exp": NOW + 60, "txn": planted("txn"),
        "sub": planted("sub"), "scope": "read", "req_wl": "gateway"});
    let text = sign("txntoken+jwt", &key(Algorithm::Es256), &claims);
    CarriedTransaction::new(text).unwrap()
}

/// Calls of an agent with an identity, bound tokens and a transaction, whatever its server and its
/// tool answer.
#[tokio::test(start_paused = true)]
async fn no_secret_is_seen_of_an_agent_with_keys() {
    let (seen, net) = (Seen::default(), Net::default());
    let _logging = tracing::subscriber::set_default(seen.clone());
    let refusals = [
        None,
        Some((400, true)),
        Some((500, false)),
        Some((200, false)),
    ];
    let calls = [
        None,
        Some((401, "invalid_token")),
        Some((403, "insufficient_scope")),
        Some((403, "insufficient_authorization_details")),
        Some((500, "server_error")),
    ];
    for (method, is_bound) in [
        (RequestAuth::Wpt, false),
        (RequestAuth::Wpt, true),
        (RequestAuth::HttpSignature, false),
        (RequestAuth::HttpSignature, true),
    ] {
        for (refusal, of_call) in refusals.iter().flat_map(|it| calls.map(|call| (*it, call))) {
            let own = agent(&seen, &net, method, is_bound);
            let within = own.within(&transaction());
            for agent in [own, within] {
                net.refuse(refusal);
                net.refuse_calls(of_call);
                seen.debug(&agent);
                seen.error(agent.explain(TOOL).await);
                let mut request = Request::post(CALL).body(()).unwrap();
                let prepared = agent.prepare(&mut request, "{}").await;
                seen.error(prepared);
                seen.debug(&request);
                note_fields(request.headers(), &mut net.0.lock().unwrap().given);
                let mut request = Request::post(CALL).body("{}".to_owned()).unwrap();
                request
                    .extensions_mut()
                    .insert(ToolCall::new("pay", None).unwrap());
                let answer = agent.send(request).await;
                seen.error(answer.map(|it| it.status()));
                seen.debug(&agent);
            }
        }
    }
    let state = net.0.lock().unwrap();
    let names = state.given.names();
    for name in [
        "client_assertion",
        "dpop",
        "txn-token",
        "workload-identity-token",
        "workload-proof-token",
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    seen.search(&state.given, 500);
}
