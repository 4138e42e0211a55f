//! HTTP message signatures, compared with the backend alone and with the crate `httpsig-hyper`.

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use aims::cred::{WitCache, WitRules};
use aims::http_sig::digest::ContentDigest;
use aims::http_sig::profile::wimse::{Content, RequestPolicy, RequestSigning};
use aims::http_sig::{Component, Exchange, HttpRequest, Policy, Signing};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::time::UnixTime;
use aims::jose::{base64url, random};
use aims::replay::ReplayCache;
use aims::wpt::fields::workload_identity_token;
use aims_bench::raw::{RawKey, RawSigner};
use aims_bench::sampler::{Case, Samples};
use aims_bench::world::{CALL, World};
use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::Empty;
use httpsig_hyper::MessageSignatureReq as _;
use httpsig_hyper::prelude::message_component::HttpMessageComponentId;
use httpsig_hyper::prelude::{
    AlgorithmName, HttpSignatureParams, PublicKey, SecretKey, SigningKey as _, VerifyingKey as _,
};
use sha2::{Digest as _, Sha256};

use super::{Effort, Figure};

/// The content of the requests.
const BODY: &[u8] = &[b'x'; 1_024];

/// The components that all signatures cover.
const COVERED: [&str; 7] = [
    "@method",
    "@path",
    "@query",
    "content-type",
    "content-digest",
    "authorization",
    "workload-identity-token",
];

fn timed(batch: usize, mut once: impl FnMut(usize)) -> Duration {
    let start = Instant::now();
    (0..batch).for_each(&mut once);
    start.elapsed()
}

/// Polls a future that is ready at once.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => it,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}

/// Creates a request with all covered fields, and without a signature.
fn unsigned(world: &World) -> Result<Request<Empty<Bytes>>, Box<dyn Error>> {
    let request = Request::post(CALL)
        .header("host", "tools.example")
        .header("content-type", "application/json")
        .header("content-digest", ContentDigest::of(BODY).to_string())
        .header("authorization", format!("Bearer {}", world.token))
        .header("workload-identity-token", &world.wit);
    Ok(request.body(Empty::new())?)
}

fn components() -> Result<Vec<Component>, Box<dyn Error>> {
    let fields = COVERED.iter().skip(3).map(|name| Component::field(name));
    let mut all = vec![Component::METHOD, Component::PATH, Component::QUERY];
    all.extend(fields.collect::<Result<Vec<_>, _>>()?);
    Ok(all)
}

/// The same key for the other crate.
struct Other {
    public: PublicKey,
    secret: SecretKey,
}

impl Other {
    fn of(key: &SigningKey, algorithm: &AlgorithmName) -> Result<Self, Box<dyn Error>> {
        let jwk: serde_json::Value = serde_json::from_str(&key.to_jwk())?;
        let secret = base64url::decode(jwk.get("d").and_then(|d| d.as_str()).unwrap_or_default())?;
        let public = RawKey::of(key)?;
        Ok(Self {
            public: PublicKey::from_bytes(algorithm, public.bytes())?,
            secret: SecretKey::from_bytes(algorithm, &secret)?,
        })
    }
}

/// The names of the lines for one kind of key.
struct Names {
    key: Algorithm,
    other: AlgorithmName,
    lines: [&'static str; 9],
}

pub(super) fn ed25519(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    figures(
        effort,
        &Names {
            key: Algorithm::Ed25519,
            other: AlgorithmName::Ed25519,
            lines: [
                "Ed25519: one verification, SHA-256 of 1 KiB",
                "Ed25519: WIMSE request, warm",
                "Ed25519: one signature",
                "Ed25519: WIMSE request signed",
                "Ed25519: a request verified",
                "Ed25519: the same by httpsig-hyper 0.0.26",
                "Ed25519: verified, without the key operation",
                "Ed25519: the same by httpsig-hyper",
                "Ed25519: the same signed by httpsig-hyper",
            ],
        },
    )
}

pub(super) fn p256(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    figures(
        effort,
        &Names {
            key: Algorithm::Es256,
            other: AlgorithmName::EcdsaP256Sha256,
            lines: [
                "P-256: one verification, SHA-256 of 1 KiB",
                "P-256: WIMSE request, warm",
                "P-256: one signature",
                "P-256: WIMSE request signed",
                "P-256: a request verified",
                "P-256: the same by httpsig-hyper 0.0.26",
                "P-256: verified, without the key operation",
                "P-256: the same by httpsig-hyper",
                "P-256: the same signed by httpsig-hyper",
            ],
        },
    )
}

/// A signed request, with the values that the backend alone needs.
struct Signed {
    parts: Parts,
    base: Vec<u8>,
    signature: Vec<u8>,
}

/// Signs with the profile, and returns the bytes that the backend would verify.
fn wimse(world: &World, key: &SigningKey, now: UnixTime) -> Result<Signed, Box<dyn Error>> {
    let (mut parts, _) = unsigned(world)?.into_parts();
    let digest = ContentDigest::of(BODY);
    let message = HttpRequest::to_send(&parts)?;
    let signing = RequestSigning::to(CALL)?;
    let (prepared, _pending) =
        signing.prepare(&message, Content::Digest(&digest), random::SYSTEM, now)?;
    let base = prepared.base().as_bytes().to_vec();
    let signature = RawSigner::of(key)?.sign(&base)?;
    let algorithm =
        aims::http_sig::Algorithm::of_jws(key.public_jwk().algorithm().ok_or("no alg")?);
    let fields = prepared.finish(algorithm.ok_or("no algorithm")?, &signature)?;
    fields.apply(&mut parts.headers)?;
    parts.uri = "/mcp/call".parse()?;
    Ok(Signed {
        parts,
        base,
        signature,
    })
}

#[expect(clippy::too_many_lines, reason = "a list of what is measured")]
fn figures(effort: Effort, names: &Names) -> Result<Vec<Figure>, Box<dyn Error>> {
    let world = World::with(names.key, UnixTime::now())?;
    let now = world.now;
    let key = &world.agent;
    let (raw, raw_signer) = (RawKey::of(key)?, RawSigner::of(key)?);
    let digest = ContentDigest::of(BODY);

    let warm = WitCache::new(1_000, WitRules::wit());
    warm.verify(&world.wit, &world.trust, now)?;
    let policy = RequestPolicy::for_audiences([CALL])?;
    let requests = (0..effort.batch)
        .map(|_| wimse(&world, key, now))
        .collect::<Result<Vec<_>, _>>()?;
    let signing = RequestSigning::to(CALL)?;

    // The same request for both crates, without the parts that only the profile has.
    let plain = Signing::new("sig1")
        .covering(components()?)
        .with_created()
        .with_random_nonce()
        .with_tag("bench");
    let required = Policy::requiring(components()?).with_tag("bench");
    let other = Other::of(key, &names.other)?;
    let mut given = HttpSignatureParams::try_new(
        &COVERED
            .iter()
            .map(|name| HttpMessageComponentId::try_from(*name))
            .collect::<Result<Vec<_>, _>>()?,
    )?;
    given.set_tag("bench");
    let both = (0..effort.batch)
        .map(|_| {
            let mut request = unsigned(&world)?;
            let (mut parts, _) = request.clone().into_parts();
            let message = HttpRequest::to_send(&parts)?;
            let prepared = plain.prepare(&Exchange::of(&message), random::SYSTEM, now)?;
            let base = prepared.base().as_bytes().to_vec();
            let fields = prepared.sign(key)?;
            fields.apply(&mut parts.headers)?;
            *request.headers_mut() = parts.headers.clone();
            parts.uri = "/mcp/call".parse()?;
            let signature = raw_signer.sign(&base)?;
            let signed = Signed {
                parts,
                base,
                signature,
            };
            Ok::<_, Box<dyn Error>>((request, signed))
        })
        .collect::<Result<Vec<_>, _>>()?;

    let mut cases: Vec<Case<'_>> = vec![
        // 0: the minimum for a WIMSE request
        Box::new(|n| {
            let mut requests = requests.iter().cycle();
            timed(n, |_| {
                let request = requests.next().expect("a request");
                assert!(raw.verifies(&request.base, &request.signature));
                black_box(Sha256::digest(black_box(BODY)));
            })
        }),
        // 1: a WIMSE request with a cached WIT
        Box::new(|n| {
            let seen = ReplayCache::in_memory(10_000);
            let mut requests = requests.iter().cycle();
            timed(n, |_| {
                let parts = &requests.next().expect("a request").parts;
                let wit = workload_identity_token(&parts.headers).expect("once");
                let wit = warm.verify(wit.expect("a WIT"), &world.trust, now);
                let wit = wit.expect("a good WIT");
                let message = HttpRequest::received(parts, "https", "tools.example");
                let unspent = policy.verify(&message, wit.key(), now).expect("good");
                let head = unspent.spend(&seen, wit.id().as_str(), now).expect("fresh");
                black_box(head.check_body(black_box(BODY)).expect("whole"));
            })
        }),
        // 2: one signature by the backend
        Box::new(|n| {
            let mut requests = requests.iter().cycle();
            timed(n, |_| {
                let request = requests.next().expect("a request");
                black_box(raw_signer.sign(&request.base).expect("signed"));
            })
        }),
        // 3: signs a WIMSE request whose digest is known
        Box::new(|n| {
            let heads: Vec<Parts> = (0..n)
                .map(|_| unsigned(&world).expect("a request").into_parts().0)
                .collect();
            let mut heads = heads.into_iter();
            timed(n, |_| {
                let mut parts = heads.next().expect("a request");
                let message = HttpRequest::to_send(&parts).expect("absolute");
                let content = Content::Digest(&digest);
                let prepared = signing.prepare(&message, content, random::SYSTEM, now);
                let (prepared, pending) = prepared.expect("whole");
                let fields = prepared.sign(key).expect("signed");
                fields.apply(&mut parts.headers).expect("room");
                drop(black_box((parts, pending)));
            })
        }),
        // 4: the backend alone, on the bytes that both crates verify
        Box::new(|n| {
            let mut both = both.iter().cycle();
            timed(n, |_| {
                let (_, signed) = both.next().expect("a request");
                assert!(raw.verifies(&signed.base, &signed.signature));
            })
        }),
        // 5: verified by this project
        Box::new(|n| {
            let mut both = both.iter().cycle();
            timed(n, |_| {
                let (_, signed) = both.next().expect("a request");
                let message = HttpRequest::received(&signed.parts, "https", "tools.example");
                let exchange = Exchange::of(&message);
                let verified = required.verify(&exchange, key.verifying_key(), now);
                black_box(verified.expect("good").accept_replays());
            })
        }),
        // 6: the key operation of the other crate alone
        Box::new(|n| {
            let mut both = both.iter().cycle();
            timed(n, |_| {
                let (_, signed) = both.next().expect("a request");
                let Signed {
                    base, signature, ..
                } = signed;
                other.public.verify(base, signature).expect("good");
            })
        }),
        // 7: verified by the other crate
        Box::new(|n| {
            let mut both = both.iter().cycle();
            timed(n, |_| {
                let (request, _) = both.next().expect("a request");
                let verified = now_or_never(request.verify_message_signature(&other.public, None));
                black_box(verified.expect("good"));
            })
        }),
        // 8: the signature of the other crate alone
        Box::new(|n| {
            let mut both = both.iter().cycle();
            timed(n, |_| {
                let (_, signed) = both.next().expect("a request");
                black_box(other.secret.sign(&signed.base).expect("signed"));
            })
        }),
        // 9: signed by the other crate
        Box::new(|n| {
            let requests: Vec<_> = (0..n).map(|_| unsigned(&world).expect("one")).collect();
            let mut requests = requests.into_iter();
            timed(n, |_| {
                let mut request = requests.next().expect("a request");
                let mut params = given.clone();
                params.set_random_nonce();
                let signed = request.set_message_signature(&params, &other.secret, Some("sig1"));
                now_or_never(signed).expect("signed");
                black_box(request);
            })
        }),
    ];
    let samples = Samples::take(&mut cases, effort.rounds, effort.batch);
    let cost = |case| samples.cost(case);
    let ratio =
        |of: usize, to: usize| samples.median(|costs| Some(costs.get(of)? / costs.get(to)?));
    let beside = |whole: usize, floor: usize| {
        samples.median(|costs| Some((costs.get(whole)? - costs.get(floor)?).max(0.0)))
    };
    let (own, others) = (beside(5, 4), beside(7, 6));
    let [
        floor,
        verified,
        signature,
        signed,
        one,
        same,
        part,
        other_part,
        other_signed,
    ] = names.lines;
    Ok(vec![
        Figure::new(floor, cost(0)),
        Figure::new(verified, cost(1))
            .to("one verification and the SHA-256", ratio(1, 0))
            .at_most(1.08),
        Figure::new(signature, cost(2)),
        Figure::new(signed, cost(3))
            .to("one signature", ratio(3, 2))
            .at_most(1.10),
        Figure::new(one, cost(5)).to("one verification", ratio(5, 4)),
        Figure::new(same, cost(7)).to("one verification of its own", ratio(7, 6)),
        Figure::new(other_part, others),
        Figure::new(part, own)
            .to("the same by httpsig-hyper", own / others)
            .at_most(1.0 / 1.15),
        Figure::new(other_signed, cost(9)).to("one signature of its own", ratio(9, 8)),
    ])
}
