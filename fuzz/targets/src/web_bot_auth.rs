//! Requests of automated clients, verified by the profile Web Bot Auth.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aims_http_sig::http1::{RawRequest, Reader};
use aims_http_sig::profile::web_bot_auth::{
    Agents, Directory, DirectoryRules, RequestPolicy, Revision, SignatureAgent, VerifiedRequest,
};
use aims_http_sig::{Component, Error, Exchange, Limits, ReceivedFields, Section};
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};

use crate::known::{NOW, at, known};
use crate::{Outcome, refused};

/// The requests that the holder of the key has signed. No other request verifies.
const SIGNED: [&[u8]; 4] = [
    include_bytes!("../../corpus/web_bot_auth/ok-request"),
    include_bytes!("../../corpus/web_bot_auth/ok-target_uri"),
    include_bytes!("../../corpus/web_bot_auth/sig.component_required-no_agent"),
    include_bytes!("../../corpus/web_bot_auth/sig.component_required-older_string"),
];

/// Verifies a request. Accepted if the strictest policy accepts it; the other policies run as well.
pub fn web_bot_auth(data: &[u8]) -> Outcome {
    let request = match reader().request(data, "https") {
        Ok(request) => request,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    let strict = RequestPolicy::new().with_revision(Revision::Draft00);
    let lenient = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .accept_legacy_agent()
        .accept_no_agent();
    let taken = judge(&lenient, &request);
    let verified = match judge(&strict, &request) {
        Ok(verified) => verified,
        Err(code) => return refused(code, &[Error::CODES]),
    };
    let same = taken.is_ok_and(|taken| taken.agent() == verified.agent());
    assert!(same, "who takes more takes less");
    let covered = |component: &Component| verified.signature().covers(component);
    assert!(covered(&Component::AUTHORITY) || covered(&Component::TARGET_URI));
    assert!(verified.agent().is_some());
    Outcome::Accepted
}

fn judge(
    policy: &RequestPolicy,
    request: &RawRequest<'_>,
) -> Result<VerifiedRequest, &'static str> {
    let claims = policy.claims(request);
    let [one, other] = &*AGENTS;
    let verified = [one, other].map(|agents| {
        let verified = policy.verify(request, agents, at(NOW));
        verified.map_err(|error| error.code())
    });
    let each = policy.verify_each(request, one, at(NOW));
    let unspent = match verified {
        [Ok(one), Ok(_other)] => one,
        [Err(code), Err(other)] => {
            assert_eq!(code, other, "the providers differ");
            assert!(each.is_err() || code == "sig.ambiguous");
            // A defect of the claims is also a defect for a verifier with keys.
            assert!(claims.is_ok() || each.is_err());
            return Err(code);
        }
        _ => unreachable!("the providers differ"),
    };
    let verified = unspent.accept_replays();
    let base = verified.signature().base().as_bytes();
    assert!(BASES.contains(base), "no key signed this");
    let [_, [key, _]] = &known().printed;
    assert_eq!(verified.key_id(), key.thumbprint());
    assert!(verified.agent().is_none_or(|agent| agent == IDENTIFIER));
    assert!(each.is_ok_and(|each| each.len() == 1));
    // A receiver that fetches directories first gets the same agent.
    let claims = claims.unwrap_or_default();
    let [claim] = claims.as_slice() else {
        unreachable!("one signature has {} claims", claims.len());
    };
    assert_eq!(claim.key_id(), verified.key_id());
    assert_eq!(claim.agent(), verified.signature_agent());
    Ok(verified)
}

const IDENTIFIER: &str = "https://crawler.example/.well-known/http-message-signatures-directory";

fn reader() -> Reader {
    Reader::new(64 * 1024)
}

/// The published workload is `crawler.example`, and its key is also known by itself. The published
/// issuer is `other.example`. Each uses one of the providers.
static AGENTS: LazyLock<[Agents; 2]> = LazyLock::new(|| {
    let [issuer, workload] = &known().printed;
    let of = |at_provider: usize, provider: &'static dyn Provider| {
        let mut agents = Agents::new();
        for (origin, keys) in [
            ("https://crawler.example", workload),
            ("https://other.example", issuer),
        ] {
            let document = Directory::to_publish(keys.get(at_provider));
            let rules = DirectoryRules::well_known();
            let directory = Directory::parse(document.as_bytes(), &rules, provider, at(NOW));
            let agent = SignatureAgent::directory(origin);
            let (Ok(agent), Ok(directory)) = (agent, directory) else {
                unreachable!("constants that read");
            };
            agents.insert(&agent, directory);
        }
        if let Some(key) = workload.get(at_provider) {
            agents.insert_key(key.clone());
        }
        agents
    };
    [of(0, AWS_LC), of(1, RUSTCRYPTO)]
});

/// The bases of the signed requests.
static BASES: LazyLock<BTreeSet<Vec<u8>>> = LazyLock::new(|| {
    let limits = Limits::default();
    let types = aims_http_sig::FieldTypes::known()
        .with("signature-agent", aims_http_sig::FieldType::Dictionary);
    let mut bases = BTreeSet::new();
    for data in SIGNED {
        let mut add = || -> Result<(), Error> {
            let request = reader().request(data, "https")?;
            let exchange = Exchange::of(&request).with_types(&types);
            let fields = ReceivedFields::of(&request, Section::Headers, &limits)?;
            for signature in fields.signatures(&limits)? {
                bases.insert(signature.base(&exchange, &limits)?.as_bytes().to_vec());
            }
            Ok(())
        };
        let added = add();
        assert!(added.is_ok(), "{added:?}");
    }
    bases
});
