//! Secrets are planted in every request and answer of a client. No error and no `Debug` shows one,
//! however a server repeats it (AIM-04).

#![cfg(all(feature = "tokio", feature = "file-store", feature = "sqlite"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use aims_jose::alg::Algorithm;
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::secret::SecretText;
use aims_jose::{Chain, base64url};
use aims_oauth_client::{
    ActorToken, AuthorizationRequest, BackchannelRequest, ClientMetadata, Delegation,
    DeviceRequest, DpopKey, Error, FileStore, Flow, IdJagRequest, Impersonation, JwtBearer,
    JwtGrantRequest, Pings, RegistrationFlow, RevocationFlow, SealingKey, SqliteStore, Step,
    SubjectToken, Target, TokenSource, TokenStore, TransactionTokenRequest, UserGrant, drive,
};
use aims_oauth_wire::client_auth::{
    Attestation, AttestedClient, Authenticate, ClientSecretBasic, ClientSecretPost, PlatformToken,
    PrivateKeyJwt, SpiffeJwt,
};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use common::{NOW, Paused, Script, at, json_answer, server_with};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";
/// The beginning of each planted secret. They are short, so that no length gives them away.
const CANARY: &str = "c4n";

fn planted(name: &str) -> String {
    format!("{CANARY}-{name}")
}

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap())
}

fn jwt(typ: &str, claims: &Value) -> SecretText {
    let input = SigningInput::new(typ, Algorithm::Es256, None, claims).unwrap();
    input.sign(&*key()).unwrap().into_secret()
}

/// How a server answers at every endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Grants,
    /// It repeats the request in an error.
    Refuses,
    /// It repeats the request in a page.
    Fails,
    /// It repeats the request in JSON that ends too early.
    Breaks,
}

type Given = Arc<Mutex<Vec<String>>>;

/// Parameters and fields that carry secrets.
const SECRETS: [&str; 14] = [
    "code_verifier",
    "client_assertion",
    "client_secret",
    "assertion",
    "subject_token",
    "actor_token",
    "refresh_token",
    "device_code",
    "auth_req_id",
    "client_notification_token",
    "request",
    "user_code",
    "code",
    "token",
];
const FIELDS: [&str; 4] = [
    "authorization",
    "dpop",
    "oauth-client-attestation",
    "oauth-client-attestation-pop",
];

/// Notes the secrets of a request.
fn note(request: &Request<Vec<u8>>, given: &Given) {
    let mut given = given.lock().unwrap();
    for (name, value) in url::form_urlencoded::parse(request.body()) {
        if SECRETS.contains(&&*name) {
            given.push(value.into_owned());
        }
    }
    for name in FIELDS {
        for value in request.headers().get_all(name) {
            let text = value.to_str().unwrap();
            given.push(text.rsplit(' ').next().unwrap().to_owned());
        }
    }
}

fn echo(request: &Request<Vec<u8>>) -> String {
    let plain = FIELDS.map(|it| {
        let value = request.headers().get(it);
        value.map_or_else(String::new, |it| it.to_str().unwrap().to_owned())
    });
    let body = String::from_utf8_lossy(request.body());
    let values = url::form_urlencoded::parse(request.body());
    let values: Vec<_> = values.map(|(_, value)| value.into_owned()).collect();
    format!("{body} {} {}", values.join(" "), plain.join(" "))
}

fn granted(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let form: Vec<_> = url::form_urlencoded::parse(request.body())
        .into_owned()
        .collect();
    let asked = form.iter().find(|(name, _)| name == "requested_token_type");
    let asked = asked.map_or("", |(_, value)| value.rsplit(':').next().unwrap());
    let claims = json!({"iss": "https://as.example", "sub": planted("sub"), "exp": NOW + 300,
        "aud": "https://b.example", "iat": NOW, "jti": planted("jti"), "txn": planted("txn"),
        "scope": "read", "req_wl": "gateway", "act": {"sub": "agent"}});
    let (typ, token_type) = match asked {
        "id-jag" => ("oauth-id-jag+jwt", "N_A"),
        "jwt" => ("JWT", "N_A"),
        "txn_token" => ("txntoken+jwt", "N_A"),
        _ if request.headers().contains_key("dpop") => ("", "DPoP"),
        _ => ("", "Bearer"),
    };
    let mut body = json!({"access_token": planted("access"), "token_type": token_type,
        "expires_in": 300, "refresh_token": planted("refresh")});
    if !asked.is_empty() {
        body["issued_token_type"] = format!("urn:ietf:params:oauth:token-type:{asked}").into();
    }
    if !typ.is_empty() {
        body["access_token"] = jwt(typ, &claims).expose().into();
        body.as_object_mut().unwrap().remove("refresh_token");
    }
    json_answer(200, &body)
}

fn answer(request: &Request<Vec<u8>>, manner: Manner) -> Response<Vec<u8>> {
    let text = echo(request);
    match manner {
        Manner::Grants => {}
        Manner::Refuses => {
            let body = json!({"error": "invalid_request", "error_description": text,
                "error_uri": format!("https://as.example/{text}")});
            return json_answer(400, &body);
        }
        Manner::Fails => {
            let page = Response::builder()
                .status(500)
                .header("content-type", "text/plain");
            return page.body(text.into_bytes()).unwrap();
        }
        Manner::Breaks => {
            let mut broken = json_answer(200, &json!({}));
            *broken.body_mut() = format!("{{\"access_token\": \"{text}").into_bytes();
            return broken;
        }
    }
    match request.uri().path() {
        "/par" => json_answer(
            201,
            &json!({"request_uri": planted("reference"), "expires_in": 60}),
        ),
        "/register" => {
            let body = json!({"client_id": "app", "client_secret": planted("given"),
                "client_secret_expires_at": 0, "token_endpoint_auth_method": "client_secret_basic",
                "registration_client_uri": "https://as.example/register/app",
                "registration_access_token": planted("manage")});
            json_answer(201, &body)
        }
        "/device" => {
            let body = json!({"device_code": planted("device"), "user_code": "AB-CD",
                "verification_uri": "https://as.example/d", "expires_in": 100, "interval": 1});
            json_answer(200, &body)
        }
        "/ciba" => {
            let body = json!({"auth_req_id": planted("ciba"), "expires_in": 100, "interval": 1});
            json_answer(200, &body)
        }
        "/challenge" => json_answer(200, &json!({"attestation_challenge": planted("challenge")})),
        "/revoke" => json_answer(200, &json!({})),
        _ => granted(request),
    }
}

fn server() -> ServerMetadata {
    let endpoint = |name: &str| format!("https://as.example/{name}");
    server_with(&json!({
        "authorization_endpoint": endpoint("authorize"),
        "pushed_authorization_request_endpoint": endpoint("par"),
        "registration_endpoint": endpoint("register"),
        "device_authorization_endpoint": endpoint("device"),
        "backchannel_authentication_endpoint": endpoint("ciba"),
        "revocation_endpoint": endpoint("revoke"),
        "challenge_endpoint": endpoint("challenge"),
        "backchannel_user_code_parameter_supported": true,
        "code_challenge_methods_supported": ["S256"],
    }))
}

/// Each way of client authentication, with planted secrets where it has some.
fn clients() -> Vec<Arc<dyn Authenticate>> {
    let id = || "agent".parse().unwrap();
    let instance = key();
    let jwk: Value = serde_json::from_str(&instance.public_jwk().to_json()).unwrap();
    let claims = json!({"sub": "agent", "exp": NOW + 3_600, "cnf": {"jwk": jwk}});
    let attestation = jwt("oauth-client-attestation+jwt", &claims);
    let svid = json!({"sub": "agent", "aud": "https://as.example", "exp": NOW + 3_600});
    let (svid, platform) = (jwt("JWT", &svid), jwt("JWT", &svid));
    vec![
        Arc::new(ClientSecretBasic::new(id(), planted("basic").into())),
        Arc::new(ClientSecretPost::new(id(), planted("post").into())),
        Arc::new(PrivateKeyJwt::new(id(), key())),
        Arc::new(SpiffeJwt::new(id(), move |_, _| Ok(svid.clone()))),
        Arc::new(PlatformToken::new(id(), move |_, _| Ok(platform.clone()))),
        Arc::new(AttestedClient::new(id(), move |_, _| {
            Ok(Attestation::new(attestation.clone(), Arc::clone(&instance)))
        })),
    ]
}

/// All texts that a program can print.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn debug(&mut self, value: &impl Debug) {
        self.0.push(format!("{value:?} {value:#?}"));
    }

    fn outcome<T: Debug>(&mut self, outcome: &Result<T, Error>) {
        match outcome {
            Ok(value) => self.debug(value),
            Err(error) => self
                .0
                .push(format!("{error} {error:?} {error:#?} {}", Chain(error))),
        }
    }

    async fn flow<F: Flow + Debug>(
        &mut self,
        first: Result<Step<F::Output, F>, Error>,
        script: &Script,
    ) -> Option<F::Output>
    where
        F::Output: Debug,
    {
        self.outcome(&first);
        let done = drive(first.ok()?, script, &Paused(Instant::now())).await;
        self.outcome(&done);
        done.ok()
    }

    fn search(&self, given: &Given, at_least: usize) {
        assert!(self.0.len() >= at_least, "only {} texts", self.0.len());
        let given: BTreeSet<_> = given.lock().unwrap().drain(..).collect();
        assert!(!given.is_empty());
        let encoded = ["", "x", "xx"].map(|before| {
            let text = base64url::encode(format!("{before}{CANARY}-").as_bytes());
            text.get(if before.is_empty() {
                0..4
            } else {
                4..text.len() - 1
            })
            .unwrap()
            .to_owned()
        });
        // As an array of bytes is printed.
        let bytes = CANARY.bytes().map(|it| it.to_string());
        let bytes = bytes.collect::<Vec<_>>().join(",");
        for text in &self.0 {
            assert!(!text.contains(CANARY), "{text}");
            let together: String = text.chars().filter(|it| !it.is_whitespace()).collect();
            assert!(!together.contains(&bytes), "{text}");
            assert!(
                !encoded.iter().any(|it| it.len() > 3 && text.contains(it)),
                "{text}"
            );
            let found = given
                .iter()
                .find(|it| it.len() > 3 && text.contains(&***it));
            assert!(found.is_none(), "{found:?} in {text}");
        }
    }
}

fn target(scopes: &str) -> Target {
    Target::new(TOOL.parse().unwrap(), scopes.parse().unwrap())
}

/// Every flow, each client authentication, and every manner of the server: at each endpoint, at
/// those that need an earlier answer, and where a token is given back.
#[tokio::test(start_paused = true)]
async fn no_flow_shows_a_secret() {
    const LATER: &[&str] = &["/token", "/revoke"];
    let given: Given = Arc::default();
    let mut seen = Seen::default();
    let mut reached = BTreeSet::new();
    for (manner, paths) in [
        (Manner::Grants, None),
        (Manner::Refuses, None),
        (Manner::Refuses, Some(LATER)),
        (Manner::Refuses, LATER.get(1..)),
        (Manner::Fails, None),
        (Manner::Fails, Some(LATER)),
        (Manner::Fails, LATER.get(1..)),
        (Manner::Breaks, None),
        (Manner::Breaks, Some(LATER)),
        (Manner::Breaks, LATER.get(1..)),
    ] {
        let clients = clients();
        let some = paths.map_or(clients.len(), |_| 1);
        for client in &clients[..some] {
            let noted = Arc::clone(&given);
            let script = Script::new(move |request, _| {
                note(request, &noted);
                let path = request.uri().path();
                let is_meant = paths.is_none_or(|all| all.contains(&path)) && path != "/challenge";
                answer(request, if is_meant { manner } else { Manner::Grants })
            });
            flows(&mut seen, client, &script).await;
            let paths = script.requests();
            reached.extend(paths.iter().map(|it| it.uri().path().to_owned()));
        }
    }
    // No flow ended before its first request.
    let endpoints = "/challenge /ciba /device /par /register /revoke /token";
    assert_eq!(reached, endpoints.split(' ').map(str::to_owned).collect());
    seen.search(&given, 600);
}

async fn flows(seen: &mut Seen, client: &Arc<dyn Authenticate>, script: &Script) {
    let (now, server) = (at(NOW), Arc::new(server()));
    let own = || (Arc::clone(client), Arc::clone(&server));
    let dpop = DpopKey::generate(AWS_LC).unwrap();
    seen.debug(client);
    seen.debug(&dpop);
    // A login.
    let request = AuthorizationRequest::new(
        "http://127.0.0.1:1/callback".parse().unwrap(),
        target("openid read"),
    )
    .signed(key());
    seen.debug(&request);
    let (login, at_server) = own();
    let begun = request.begin(login, at_server, Some(&dpop), SYSTEM, now);
    if let Some(authorizing) = seen.flow(begun, script).await {
        seen.outcome(&authorizing.finish(&format!("code={}&state=other", planted("code"))));
    }
    // Devices and approvals.
    let request = DeviceRequest::new(target("read"));
    let (login, at_server) = own();
    let device = seen
        .flow(request.begin(login, at_server, now), script)
        .await;
    let pings = Pings::new();
    let request = BackchannelRequest::new(target("openid"), planted("hint"))
        .user_code(planted("pin"))
        .with_random(SYSTEM);
    seen.debug(&request);
    for request in [
        request.clone(),
        request.clone().pinged_at(&pings),
        request.signed_by(key()),
    ] {
        let (login, at_server) = own();
        let waiting = seen
            .flow(request.begin(login, at_server, now), script)
            .await;
        seen.debug(&pings);
        if let Some(waiting) = waiting {
            let (login, at_server) = own();
            seen.flow(waiting.withdraw(login, at_server, now), script)
                .await;
        }
    }
    // Registration.
    let metadata = ClientMetadata::native("app").accept_secret();
    let access = SecretText::new(planted("initial"));
    let begun = RegistrationFlow::begin(&metadata, &server, Some(&access));
    if let Some(registered) = seen.flow(begun, script).await {
        seen.outcome(&registered.client());
    }
    // Exchanges.
    let subject = || SubjectToken::id_token(planted("subject"));
    let request = IdJagRequest::new(
        subject(),
        "https://b.example".parse().unwrap(),
        TOOL.parse().unwrap(),
    );
    seen.debug(&request);
    let (login, at_server) = own();
    let jag = seen
        .flow(request.begin(login, at_server, now), script)
        .await;
    let request = JwtGrantRequest::new(subject(), "https://b.example".parse().unwrap()).unwrap();
    let (login, at_server) = own();
    seen.flow(request.begin(login, at_server, now), script)
        .await;
    let request = TransactionTokenRequest::new(
        SubjectToken::access_token(planted("subject")),
        "domain",
        "read".parse().unwrap(),
    );
    seen.debug(&request);
    let (login, at_server) = own();
    seen.flow(request.begin(login, at_server, now), script)
        .await;
    // Tokens, with and without a key.
    for source in [0, 1].map(|bound| {
        let source = TokenSource::new((*server).clone(), Arc::clone(client), script.clone());
        let source = source.with_clock(Paused(Instant::now()));
        if bound == 1 {
            source.with_dpop(dpop.clone())
        } else {
            source
        }
    }) {
        let scopes: ScopeSet = "read".parse().unwrap();
        seen.outcome(&source.token_for(&TOOL.parse().unwrap(), &scopes).await);
        let actor = ActorToken::jwt(planted("actor")).named("agent");
        let delegation = Delegation::new(subject(), actor, target("read"));
        seen.debug(&delegation);
        seen.outcome(&source.token(delegation.accept_opaque_answer()).await);
        seen.outcome(
            &source
                .token(Impersonation::new(subject(), target("read")))
                .await,
        );
        let bearer = JwtBearer::new(target("read"), planted("assertion"));
        seen.debug(&bearer);
        seen.outcome(&source.token(bearer).await);
        if let Some(jag) = &jag {
            seen.outcome(
                &source
                    .token(JwtBearer::of_id_jag(target("read"), jag))
                    .await,
            );
        }
        let user = UserGrant::new(target("read"));
        if let Ok(token) = source.token_for(&TOOL.parse().unwrap(), &scopes).await {
            let (login, at_server) = own();
            seen.flow(RevocationFlow::begin(&token, login, at_server, now), script)
                .await;
        }
        seen.outcome(&source.revoke(&user).await);
        seen.debug(&source);
    }
    if let Some(device) = device {
        let source = TokenSource::new((*server).clone(), Arc::clone(client), script.clone());
        let source = source.with_clock(Paused(Instant::now()));
        seen.outcome(&source.redeem(device.into_grant()).await);
        seen.outcome(&source.token(UserGrant::new(target("read"))).await);
    }
}

/// The files of the stores show no secret, and neither do the stores.
#[tokio::test]
async fn no_store_shows_a_secret() {
    let folder = std::env::temp_dir().join(format!("aims-canary-{}", std::process::id()));
    let _absent = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let given: Given = Arc::default();
    let mut seen = Seen::default();
    let seal = SealingKey::from_file(folder.join("key")).unwrap();
    seen.debug(&seal);
    let stores: [Arc<dyn TokenStore>; 2] = [
        Arc::new(FileStore::open_with(folder.join("tokens"), seal.clone()).unwrap()),
        Arc::new(SqliteStore::open(folder.join("tokens.db"), seal).unwrap()),
    ];
    for store in stores {
        let noted = Arc::clone(&given);
        let script = Script::new(move |request, _| {
            note(request, &noted);
            answer(request, Manner::Grants)
        });
        let client = ClientSecretBasic::new("agent".parse().unwrap(), planted("basic").into());
        let source = TokenSource::new(server(), client, script).with_store(Arc::clone(&store));
        let source = source.with_clock(Paused(Instant::now()));
        let tool = TOOL.parse().unwrap();
        let scopes = "read".parse().unwrap();
        seen.outcome(&source.token_for(&tool, &scopes).await);
        let user = JwtBearer::new(target("read"), planted("assertion"));
        seen.outcome(&source.redeem(user).await);
        seen.debug(&store);
        seen.debug(&source);
    }
    let mut found = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        found += usize::from(bytes.len() > 200);
        seen.0.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let _gone = std::fs::remove_dir_all(&folder);
    assert!(found >= 2, "{found} files");
    seen.search(&given, 10);
}
