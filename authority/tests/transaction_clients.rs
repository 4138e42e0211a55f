//! The ways in which a workload authenticates at the transaction token service, and the keys that
//! its tokens are bound to.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{Authority, Client, ExchangeTable, Purpose, StatedSubjects};
use aims_http_sig::HttpRequest;
use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{Content, RequestSigning};
use aims_jose::digest::sha256_base64url;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::{SYSTEM, id128};
use aims_oauth_wire::certificate::{ClientCertificates, PeerCertificate};
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::dpop::Binding;
use common::endpoint::{ACCESS_TOKEN, EXCHANGE, FORM, TXN_TOKEN, form, judged, refused, verified};
use common::orders::Orders;
use common::{
    AGENT, BASE, FILES, NOW, TOOLS, builder, claims, confirmation, es256, named, now, request,
    send, sign,
};
use http::Request;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const DOMAIN: &str = "example.org";
const TOKEN: &str = "http://127.0.0.1:8080/token";

type Answer = Result<Value, (u16, String)>;
type Form<'a> = Vec<(&'a str, &'a str)>;

/// A server with a workload `a` and a client `tls`, which serve the tools.
struct World {
    authority: Authority,
    access: SigningKey,
    wit: String,
    key: SigningKey,
    certificate: PeerCertificate,
}

fn certificate() -> PeerCertificate {
    let leaf = CertificateParams::new(vec!["tls.example".to_owned()]).unwrap();
    let leaf = leaf.self_signed(&KeyPair::generate().unwrap()).unwrap();
    PeerCertificate::from_der(leaf.der()).unwrap()
}

impl World {
    fn new() -> Self {
        let access = named(es256());
        let certificate = certificate();
        let may = |client: Client| {
            let client = client.serves(TOOLS).allow(FILES, ["read"]);
            client.replace_transactions().border()
        };
        let rows = |from| ScopeTable::new([(from, "read")]).unwrap();
        let table = ExchangeTable::new()
            .allow(TOOLS, FILES, rows("call"))
            .allow(DOMAIN, FILES, rows("order"));
        let authority = builder()
            .signing_key(Purpose::AccessToken, access.clone())
            .transactions(Arc::new(Orders))
            .exchange(Arc::new(table))
            .client_certificates(ClientCertificates::from_connection())
            .client(may(Client::spiffe(AGENT.parse().unwrap())))
            .client(may(Client::by_certificates(
                "tls",
                [*certificate.thumbprint()],
            )))
            .build(now())
            .unwrap();
        let (wit, key) = common::wit(&authority, "a", now());
        Self {
            authority,
            access,
            wit,
            key,
            certificate,
        }
    }

    /// An access token of a user for the tools.
    fn subject(&self) -> String {
        let claims = json!({
            "iss": BASE, "sub": "alice", "aud": TOOLS, "client_id": "app", "iat": NOW,
            "exp": NOW + 60, "jti": "1", "scope": "call",
        });
        sign("at+jwt", &claims, &self.access)
    }

    fn send(&self, request: &Request<Vec<u8>>) -> Answer {
        judged(&send(&self.authority, request, now()))
    }

    /// Sends the form with a WPT by this key.
    fn by_wpt(&self, all: &Form<'_>, key: &SigningKey, more: &[(&str, &str)]) -> Answer {
        let wth = sha256_base64url(&self.wit);
        let proof = json!({
            "aud": BASE, "jti": id128(SYSTEM).unwrap(), "iat": NOW, "exp": NOW + 60, "wth": wth,
        });
        let proof = format!("WPT {}", sign("wpt+jwt", &proof, key));
        let mut fields = vec![FORM];
        fields.push(("workload-identity-token", &self.wit));
        fields.push(("authorization", &proof));
        fields.extend(more);
        self.send(&request("POST", "/token", &fields, &form(all)))
    }

    /// Sends the form, signed by this key.
    fn by_signature(&self, all: &Form<'_>, key: &SigningKey, more: &[(&str, &str)]) -> Answer {
        let body = form(all);
        let digest = ContentDigest::of(body.as_bytes());
        let written = digest.to_string();
        let mut fields = vec![FORM, ("content-digest", &*written)];
        fields.push(("workload-identity-token", &self.wit));
        fields.extend(more);
        let mut request = request("POST", TOKEN, &fields, &body);
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri) = (request.method().clone(), request.uri().clone());
        head.headers = request.headers().clone();
        let signing = RequestSigning::to(TOKEN).unwrap();
        let signing = signing.covering_field("dpop").unwrap();
        let message = HttpRequest::to_send(&head).unwrap();
        let content = Content::Digest(&digest);
        let prepared = signing.prepare(&message, content, SYSTEM, now()).unwrap();
        let signature = prepared.0.sign(key).unwrap();
        signature.apply(request.headers_mut()).unwrap();
        *request.uri_mut() = "/token".parse().unwrap();
        self.send(&request)
    }

    /// Sends the form on a connection with this certificate.
    fn by_certificate(&self, all: &Form<'_>, certificate: Option<&PeerCertificate>) -> Answer {
        let mut all = all.clone();
        all.push(("client_id", "tls"));
        let mut request = request("POST", "/token", &[FORM], &form(&all));
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        self.send(&request)
    }
}

/// Each exchange of the service, for a token of this text.
fn opening(token: &str) -> Form<'_> {
    vec![
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", TXN_TOKEN),
        ("audience", DOMAIN),
    ]
}

fn replacing(token: &str) -> Form<'_> {
    let mut all = opening(token);
    all[2].1 = TXN_TOKEN;
    all
}

fn leaving(token: &str) -> Form<'_> {
    vec![
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", TXN_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("resource", FILES),
    ]
}

fn text(answer: Answer) -> String {
    answer.unwrap()["access_token"].as_str().unwrap().to_owned()
}

/// Opens a transaction, replaces its token and takes it out, and checks the client and the `cnf` of
/// each token.
fn through(world: &World, client: &str, cnf: &Value, send: &dyn Fn(&Form<'_>) -> Answer) {
    let subject = world.subject();
    let first = text(send(&opening(&subject)));
    let second = text(send(&replacing(&first)));
    for token in [&first, &second] {
        let token = claims(token);
        assert_eq!((&token["req_wl"], &token["cnf"]), (&json!(client), cnf));
        assert_eq!(token["act"]["sub"], client);
        assert_eq!(token["act"]["act"]["sub"], "app");
    }
    let out = verified(&world.authority, &text(send(&leaving(&second))), now());
    assert_eq!((&out["client_id"], &out["cnf"]), (&json!(client), cnf));
}

/// TXD-10: by a workload proof token, bound to the key of the WIT-SVID.
#[test]
fn a_proof_token_opens_a_transaction() {
    let world = World::new();
    let cnf = confirmation(&world.key);
    through(&world, AGENT, &cnf, &|all| {
        world.by_wpt(all, &world.key, &[])
    });
    let subject = world.subject();
    let stolen = world.by_wpt(&opening(&subject), &es256(), &[]);
    assert_eq!(stolen, refused(401, "invalid_client"));
}

/// TXD-10: by a message signature, bound to the key of the WIT-SVID.
#[test]
fn a_signature_opens_a_transaction() {
    let world = World::new();
    let cnf = confirmation(&world.key);
    let send = |all: &Form<'_>| world.by_signature(all, &world.key, &[]);
    through(&world, AGENT, &cnf, &send);
    let subject = world.subject();
    let stolen = world.by_signature(&opening(&subject), &es256(), &[]);
    assert_eq!(stolen, refused(401, "invalid_client"));
}

/// TXD-10, TXN-30: by the certificate of the connection (RFC 8705), bound to it.
#[test]
fn a_certificate_opens_a_transaction() {
    let world = World::new();
    let own = Some(&world.certificate);
    let cnf = json!({"x5t#S256": world.certificate.thumbprint().to_string()});
    through(&world, "tls", &cnf, &|all| world.by_certificate(all, own));
    let subject = world.subject();
    for other in [None, Some(&certificate())] {
        let stolen = world.by_certificate(&opening(&subject), other);
        assert_eq!(stolen, refused(401, "invalid_client"));
    }
}

/// TXN-30: a DPoP proof beside the authentication binds the tokens to its key.
#[test]
fn a_dpop_proof_binds_the_transaction() {
    let world = World::new();
    let holder = es256();
    let proof = || {
        let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
        let binding = Binding::to("POST", TOKEN);
        let proof = binding.prepare(jwk, algorithm, SYSTEM, now()).unwrap();
        proof.sign(&holder).unwrap().expose().to_owned()
    };
    let jkt = holder.verifying_key().thumbprint().to_string();
    let cnf = json!({"jkt": jkt});
    through(&world, AGENT, &cnf, &|all| {
        world.by_wpt(all, &world.key, &[("dpop", &proof())])
    });
    through(&world, AGENT, &cnf, &|all| {
        world.by_signature(all, &world.key, &[("dpop", &proof())])
    });
}

/// TXN-34: a bound token is replaced by another service for that service's own key, and by its
/// holder for no other key.
#[test]
fn a_bound_transaction_goes_to_the_next_service() {
    let world = World::new();
    let subject = world.subject();
    let own = Some(&world.certificate);
    let first = text(world.by_certificate(&opening(&subject), own));
    let next = claims(&text(world.by_wpt(&replacing(&first), &world.key, &[])));
    assert_eq!(next["cnf"], confirmation(&world.key));
    assert_eq!(next["act"]["sub"], AGENT);
    assert_eq!(next["act"]["act"]["sub"], "tls");
    // Its own token for another key would be good for the holder of that key.
    let first = text(world.by_wpt(&opening(&subject), &world.key, &[]));
    let holder = es256();
    let binding = Binding::to("POST", TOKEN);
    let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
    let proof = binding.prepare(jwk, algorithm, SYSTEM, now()).unwrap();
    let proof = proof.sign(&holder).unwrap().expose().to_owned();
    let other = world.by_wpt(&replacing(&first), &world.key, &[("dpop", &proof)]);
    assert_eq!(other, refused(400, "invalid_request"));
}

/// TXN-30: a client that is known by its certificate has no key that verifies a JWT, so it signs no
/// subject. It may state one in JSON.
#[test]
fn a_certificate_signs_no_subject() {
    let certificate = certificate();
    let with = |rules: StatedSubjects| {
        let built = builder()
            .transactions(Arc::new(Orders))
            .client_certificates(ClientCertificates::from_connection())
            .client(Client::by_certificates("tls", [*certificate.thumbprint()]))
            .stated_subjects(rules)
            .build(now());
        built.map(drop).map_err(|it| it.code())
    };
    let rules = || StatedSubjects::of("tls", ["call"]);
    assert_eq!(with(rules().self_signed()), Err("authority.clients"));
    assert_eq!(with(rules().unsigned_json()), Ok(()));
}
