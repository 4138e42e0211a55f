//! Transaction tokens, and the grants that carry a transaction into another domain.

use std::sync::LazyLock;
use std::time::Duration;

use aims_jose::Algorithm;
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_oauth_wire::confirmation::{Confirmation, ProvenKey};
use aims_oauth_wire::names::Issuer;
use aims_replay::ReplayCache;
use aims_txn_token::{
    AgentRules, Assurance, ChainGrant, ChainGrantRequest, ChainGrantRules, Error, TxnToken,
    TxnTokenRules, UnspentChainGrant,
};
use serde_json::Value;

use crate::known::{NOW, at, known, sign};
use crate::{NO_TEXT, Outcome, refused, text};

const DOMAIN: &str = "example.org";
const OWN: &str = "https://as.example";
const OTHER: &str = "https://other.example";

/// The keys of the service, and the rules for grants.
struct Settings {
    keys: JwkSet,
    grants: ChainGrantRules,
    own: Issuer,
    other: Issuer,
}

static SETTINGS: LazyLock<Option<Settings>> = LazyLock::new(|| {
    let key = known().issuer.public_jwk().to_json();
    let keys = format!(r#"{{"keys":[{key}]}}"#);
    let (own, other): (Issuer, Issuer) = (OWN.parse().ok()?, OTHER.parse().ok()?);
    Some(Settings {
        keys: JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC).ok()?,
        grants: ChainGrantRules::new(other.clone(), own.clone()),
        own,
        other,
    })
});

/// Verifies claims that the service has signed. The first line has a header `typ`; claims follow. A
/// grant is for `https://other.example` and of `https://as.example`.
pub fn txn_token(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let Some((typ, claims)) = text.split_once('\n') else {
        return Outcome::Refused("no claims");
    };
    let Some(token) = sign(typ, claims, &known().issuer) else {
        return Outcome::Refused("not sent");
    };
    let Some(settings) = &*SETTINGS else {
        return Outcome::Refused("no settings");
    };
    let result = if typ == "txn-chain+jwt" {
        grant(&token, settings)
    } else {
        transaction(&token, settings)
    };
    match result {
        Ok(()) => Outcome::Accepted,
        Err(error) => refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]),
    }
}

/// A token that is accepted with rules for agents is accepted without them.
fn transaction(text: &str, settings: &Settings) -> Result<(), Error> {
    let plain = TxnToken::verify(text, &settings.keys, &TxnTokenRules::new(DOMAIN), at(NOW));
    let rules = TxnTokenRules::new(DOMAIN).with_agents(AgentRules::new());
    let judged = TxnToken::verify(text, &settings.keys, &rules, at(NOW));
    let plain = match plain {
        Ok(token) => token,
        Err(error) => {
            assert_eq!(judged.err().map(|it| it.code()), Some(error.code()));
            return Err(error);
        }
    };
    assert!(plain.agents().is_none());
    assert!(!plain.txn().is_empty() && !plain.scopes().is_empty());
    assert!(plain.issued_at() < plain.expires());
    let token = judged?;
    if let Some(agents) = token.agents() {
        assert!(agents.hops() <= 5 && agents.path().len() <= agents.hops());
        let handed = agents.handed_to("the next one", Assurance::High, &AgentRules::new());
        assert!(handed.is_ok() || agents.hops() >= 4 || agents.path().len() >= 4);
    }
    handed_over(&token, settings);
    Ok(())
}

/// The grant of an accepted token has no more than the token.
fn handed_over(token: &TxnToken, settings: &Settings) {
    let minute = Duration::from_secs(60);
    let (own, other) = (settings.own.clone(), settings.other.clone());
    let request = ChainGrantRequest::new(token, own, other, "subject");
    let Ok(input) = request.prepare(Algorithm::Es256, None, minute, SYSTEM, at(NOW)) else {
        // Only within the skew after its end.
        assert!(token.expires() <= at(NOW));
        return;
    };
    let Ok(text) = input.sign(&known().issuer) else {
        return;
    };
    let spent =
        verify(text.expose(), settings).and_then(|it| spend(it, &ReplayCache::in_memory(4)));
    let code = spent.as_ref().map_or_else(Error::code, |_| "ok");
    assert_eq!(code, "ok", "the own grant");
    if let Ok(grant) = spent {
        assert!(grant.scopes().is_subset(token.scopes()));
        assert!(grant.expires() <= token.expires());
        assert_eq!(grant.txn(), Some(token.txn()));
    }
}

fn verify(text: &str, settings: &Settings) -> Result<UnspentChainGrant, Error> {
    ChainGrant::verify(text, &settings.keys, &settings.grants, at(NOW))
}

/// Spends a grant as the client that holds every key of its `cnf`, and as no other.
fn spend(grant: UnspentChainGrant, store: &ReplayCache) -> Result<ChainGrant, Error> {
    let claims: Value = grant.unspent().claims().unwrap_or_default();
    let cnf = claims.get("cnf").map(Value::to_string).unwrap_or_default();
    let bound = Confirmation::read_all(cnf.as_bytes()).unwrap_or_default();
    let proven: Vec<ProvenKey> = bound
        .iter()
        .map(|it| match it {
            Confirmation::DpopJkt(key) => ProvenKey::Dpop(*key),
            Confirmation::Jwk(key) => ProvenKey::Signature(*key),
            Confirmation::CertificateS256(own) => ProvenKey::Certificate(*own),
        })
        .collect();
    grant.spend(&proven, store, at(NOW))
}

fn grant(text: &str, settings: &Settings) -> Result<(), Error> {
    let grant = verify(text, settings)?;
    let store = ReplayCache::in_memory(4);
    let grant = spend(grant, &store)?;
    assert!(!grant.subject().is_empty() && !grant.scopes().is_empty());
    assert!(grant.expires() > at(NOW - 30) && grant.expires() <= at(NOW + 330));
    assert!(grant.resources().iter().all(|it| it != OTHER));
    let claims: Value = grant.claims().unwrap_or_default();
    assert!(claims.get("jti").is_some_and(Value::is_string));
    let again = verify(text, settings).and_then(|it| spend(it, &store));
    assert_eq!(again.err().map(|it| it.code()), Some("replay.replayed"));
    Ok(())
}
