//! The table of cases, and what a library is asked to sign for each.

use std::collections::BTreeMap;

use aims::jose::base64url;
use aims::jose::digest::sha256;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CALL, TOOL};
use crate::Failure;
use crate::agent::now;
use crate::tool::with_bent_signature;

/// The table. `counts` states how many cases it has, so that none is lost unnoticed.
#[derive(Deserialize)]
pub(super) struct Cases {
    counts: Counts,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) good: Vec<Case>,
    pub(super) malformed: Vec<Case>,
}

#[derive(Deserialize)]
struct Counts {
    good: usize,
    malformed: usize,
}

/// An authorization server: its tokens have these claims unless a case changes them.
#[derive(Deserialize)]
pub(super) struct Server {
    pub(super) issuer: String,
    /// The set of its keys.
    pub(super) keys: String,
    /// The header `typ`, or `-` for none.
    typ: String,
    claims: Map<String, Value>,
}

/// One case: what differs from a good token of its server. A value `-` takes a member away; `+5s`
/// and `-5s` are times from now.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default = "by_the_standard")]
    server: String,
    #[serde(default = "es256")]
    alg: String,
    key: Option<String>,
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    claims: Map<String, Value>,
    /// The payload itself, instead of claims.
    payload: Option<String>,
    /// How it is made, if it is not signed by the key.
    by: Option<String>,
    /// The change to it after that.
    bend: Option<String>,
    /// The proof beside it. The token is then sent with the scheme `DPoP`.
    pub(super) proof: Option<Proof>,
    #[serde(default)]
    pub(super) guard: String,
    /// Whether the request is sent twice.
    #[serde(default)]
    pub(super) twice: bool,
    /// How often the field `DPoP` stands.
    #[serde(default = "once")]
    pub(super) fields: usize,
    /// The code of the refusal; none for a good case.
    code: Option<String>,
    /// The libraries that do not sign this, and why.
    #[serde(default)]
    pub(super) cannot: BTreeMap<String, String>,
}

/// A DPoP proof: what differs from a good one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    #[serde(default = "es256")]
    alg: String,
    /// The key that stands in it.
    key: Option<String>,
    /// The key that signs it, if it is another.
    sign: Option<String>,
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    claims: Map<String, Value>,
}

/// How much of a proof is made.
pub(super) enum Minted {
    /// As the case says, with this nonce for `$nonce`.
    Whole(Option<String>),
    /// Without `nonce`, to learn it.
    WithoutNonce,
}

fn by_the_standard() -> String {
    "rfc9068".to_owned()
}

fn es256() -> String {
    "ES256".to_owned()
}

const fn once() -> usize {
    1
}

impl Cases {
    pub(super) fn read(path: &str) -> Result<Self, Failure> {
        let cases: Self = serde_json::from_slice(&std::fs::read(path)?)?;
        let found = (cases.good.len(), cases.malformed.len());
        let stated = (cases.counts.good, cases.counts.malformed);
        if found != stated {
            return Err(format!("{path} states {stated:?} cases, and has {found:?}").into());
        }
        let coded = |case: &&Case| case.code.is_some();
        if cases.good.iter().any(|it| coded(&it)) || !cases.malformed.iter().all(|it| coded(&it)) {
            return Err("a good case has a code, or a malformed one has none".into());
        }
        Ok(cases)
    }

    /// All cases, each with its expected outcome.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Case, &str)> {
        let all = self.good.iter().chain(&self.malformed);
        all.map(|case| (case, case.code.as_deref().unwrap_or("ok")))
    }

    /// Returns the order to sign the token. `bound` has the `cnf` of the token and its thumbprint.
    pub(super) fn token(&self, case: &Case, bound: &Bound) -> Result<Value, Failure> {
        let server = self.servers.get(&case.server).ok_or("no such server")?;
        let key = case
            .key
            .clone()
            .unwrap_or_else(|| format!("{}-{}", server.keys, case.alg.to_lowercase()));
        let mut header = object(json!({ "alg": case.alg, "kid": key, "typ": server.typ }))?;
        match case.by.as_deref() {
            Some("none") => lay_over(&mut header, &object(json!({ "alg": "none" }))?),
            Some("hmac") => lay_over(&mut header, &object(json!({ "alg": "HS256" }))?),
            _ => {}
        }
        lay_over(&mut header, &case.header);
        let mut claims = object(json!({
            "iss": server.issuer, "aud": TOOL, "sub": "u-17", "exp": "+300s",
        }))?;
        lay_over(&mut claims, &server.claims);
        if case.proof.is_some() {
            lay_over(
                &mut claims,
                &object(json!({ "cnf": { "jkt": bound.proof } }))?,
            );
        }
        lay_over(&mut claims, &case.claims);
        header.retain(|_, value| value != "-");
        claims.retain(|_, value| value != "-");
        let names = BTreeMap::from([("$jkt", bound.named.clone())]);
        Ok(json!({
            "by": case.by, "key": key, "header": header, "payload": case.payload,
            "claims": resolved(Value::Object(claims), &names),
        }))
    }
}

/// The thumbprints that a case can bind its token to.
pub(super) struct Bound {
    /// That of the proof's key.
    proof: String,
    /// That of `$jkt`.
    named: String,
}

impl Case {
    /// The name of the key in the proof.
    pub(super) fn proof_key(&self) -> String {
        let Some(proof) = &self.proof else {
            return "proof-es256".to_owned();
        };
        let own = || format!("proof-{}", proof.alg.to_lowercase());
        proof.key.clone().unwrap_or_else(own)
    }

    pub(super) fn bound_to(&self, proof: &str, named: &str) -> Bound {
        Bound {
            proof: proof.to_owned(),
            named: named.to_owned(),
        }
    }

    /// Whether the proof has the guard's nonce.
    pub(super) fn wants_nonce(&self) -> bool {
        let proof = self.proof.as_ref();
        proof.is_some_and(|it| it.claims.contains_key("nonce"))
    }

    /// Returns the order to sign the proof for this token.
    pub(super) fn proof(&self, token: &str, minted: &Minted) -> Result<Value, Failure> {
        let proof = self.proof.as_ref().ok_or("the case has no proof")?;
        let key = self.proof_key();
        let jwk = json!({ "$public": key });
        let mut header = object(json!({ "alg": proof.alg, "typ": "dpop+jwt", "jwk": jwk }))?;
        lay_over(&mut header, &proof.header);
        let mut claims = object(json!({
            "htm": "POST", "htu": CALL, "iat": "+0s", "ath": "$ath",
            "jti": format!("{}-{}", self.name, matches!(minted, Minted::WithoutNonce)),
        }))?;
        lay_over(&mut claims, &proof.claims);
        let mut names = BTreeMap::new();
        names.insert("$ath", base64url::encode(&sha256(token.as_bytes())));
        match minted {
            Minted::Whole(Some(nonce)) => drop(names.insert("$nonce", nonce.clone())),
            Minted::Whole(None) => {}
            Minted::WithoutNonce => drop(claims.remove("nonce")),
        }
        header.retain(|_, value| value != "-");
        claims.retain(|_, value| value != "-");
        Ok(json!({
            "key": proof.sign.as_ref().unwrap_or(&key), "header": header,
            "claims": resolved(Value::Object(claims), &names),
        }))
    }

    /// Returns the signed token with the changes of the case.
    pub(super) fn bent(&self, token: &str) -> String {
        let unsigned = token.rsplit_once('.').map_or(token, |(it, _)| it);
        match self.bend.as_deref() {
            Some("signature") => with_bent_signature(token).unwrap_or_default(),
            Some("no-signature") => format!("{unsigned}."),
            Some("signed") => format!("{unsigned}.AAAA"),
            Some("two-parts") => unsigned.to_owned(),
            Some("four-parts") => format!("{token}.AAAA"),
            _ => token.to_owned(),
        }
    }
}

fn object(value: Value) -> Result<Map<String, Value>, Failure> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err("not an object".into()),
    }
}

fn lay_over(below: &mut Map<String, Value>, above: &Map<String, Value>) {
    for (name, value) in above {
        below.insert(name.clone(), value.clone());
    }
}

/// The value with times from now as numbers, and with what the names stand for.
fn resolved(value: Value, names: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::String(text) => match names.get(text.as_str()) {
            Some(value) => value.clone().into(),
            None => time(&text).map_or(Value::String(text), Value::from),
        },
        Value::Array(items) => items.into_iter().map(|it| resolved(it, names)).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, it)| (name, resolved(it, names)));
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// `+5s` or `-5s`, from now.
fn time(text: &str) -> Option<u64> {
    let seconds = text.strip_suffix('s')?;
    let now = now().as_secs();
    match seconds.strip_prefix('+') {
        Some(later) => now.checked_add(later.parse().ok()?),
        None => now.checked_sub(seconds.strip_prefix('-')?.parse().ok()?),
    }
}
