//! The keys of signatures, and the tokens that name their owners.

use std::path::Path;

use aims_http_sig::profile::web_bot_auth::{Agents, Directory, DirectoryRules, SignatureAgent};
use aims_http_sig::{Keys, Message, SharedKey};
use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::VerifyingKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_wimse_cred::{Trust, Wit, WitRules};
use serde::Deserialize;

use super::message::lines;
use crate::args::{Sender, Verify};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::key::document;
use crate::{hint, trust};

/// The header field of the workload identity token.
pub(super) const TOKEN: &str = "workload-identity-token";

/// The key of a sender, and its token, if that was verified.
#[derive(Debug)]
pub(super) struct OfToken {
    pub(super) key: VerifyingKey,
    pub(super) wit: Option<Wit>,
}

/// The source of the keys of workload identity tokens.
#[derive(Debug)]
pub(super) enum Tokens {
    /// Tokens are verified with these trusted keys.
    Verified(std::sync::Arc<Trust>),
    /// This key was given on the command line; the token is not verified.
    Given(VerifyingKey),
}

impl Tokens {
    pub(super) fn read(sender: &Sender, inputs: &mut Inputs) -> Result<Self, Failure> {
        if let Some(path) = &sender.wit_key {
            return Ok(Self::Given(public(path, inputs)?));
        }
        if sender.origins.is_empty() {
            return Err(Failure::Usage(
                "`--profile wimse` needs `--origin` and `--keys`, or `--wit-key`",
            ));
        }
        let store = trust::pairs(&sender.origins, &sender.keys, inputs)?;
        Ok(Self::Verified(store.snapshot()))
    }

    /// Returns the key of the sender of a message.
    pub(super) fn of(&self, message: &dyn Message, now: UnixTime) -> Result<OfToken, Failure> {
        let trust = match self {
            Self::Given(key) => {
                let key = key.clone();
                return Ok(OfToken { key, wit: None });
            }
            Self::Verified(trust) => trust,
        };
        let tokens = lines(message, TOKEN);
        let [token] = tokens.as_slice() else {
            return Err(missing_or_twice(tokens.is_empty()));
        };
        let text = str::from_utf8(token).or(Err(aims_jose::Error::Parts))?;
        let wit = Wit::verify(text, trust, &WitRules::wit(), now)
            .map_err(|error| hint::token(Failure::from(error), text, hint::WIT, now))?;
        let key = wit.key().clone();
        let wit = Some(wit);
        Ok(OfToken { key, wit })
    }
}

fn missing_or_twice(missing: bool) -> Failure {
    let component = format!("\"{TOKEN}\"");
    Failure::from(if missing {
        aims_http_sig::Error::ComponentAbsent { component }
    } else {
        aims_http_sig::Error::ComponentAmbiguous { component }
    })
}

/// Reads a public key from a JWK, which may be private.
pub(super) fn public(path: &Path, inputs: &mut Inputs) -> Result<VerifyingKey, Failure> {
    let jwk = crate::key::public(path, inputs)?;
    VerifyingKey::from_jwk(&jwk, AWS_LC).map_err(|error| Failure::from(error).of(path))
}

/// Returns the keys of signatures without a profile.
pub(super) fn known(verify: &Verify, inputs: &mut Inputs) -> Result<Box<dyn Keys>, Failure> {
    if let Some(path) = &verify.shared_key {
        return Ok(Box::new(shared(path, inputs)?));
    }
    let [path] = verify.sender.keys.as_slice() else {
        return Err(Failure::Usage("one `--keys`, or `--shared-key`, is needed"));
    };
    let document = document(path, inputs)?;
    let rules = SetRules::client()
        .with_rsa_algorithms(AlgorithmSet::of(&[Algorithm::Ps512, Algorithm::Rs256]));
    let keys = JwkSet::parse(&document, &rules, AWS_LC);
    let of = |error| hint::key_set(Failure::from(error), &document).of(path);
    Ok(Box::new(keys.map_err(of)?))
}

/// Returns the keys that this agent publishes.
pub(super) fn agents(
    sender: &Sender,
    inputs: &mut Inputs,
    now: UnixTime,
) -> Result<Agents, Failure> {
    let ([path], Some(url)) = (sender.keys.as_slice(), &sender.directory) else {
        return Err(Failure::Usage(
            "`--profile web-bot-auth` needs one `--directory`, and its document as `--keys`",
        ));
    };
    let agent = agent(url)?;
    let document = document(path, inputs)?;
    let directory = Directory::parse(&document, &DirectoryRules::of(&agent), AWS_LC, now);
    let mut agents = Agents::new();
    let of = |error| hint::key_set(Failure::from(error), &document).of(path);
    agents.insert(&agent, directory.map_err(of)?);
    Ok(agents)
}

/// Returns the agent whose keys are at this URL.
pub(super) fn agent(url: &str) -> Result<SignatureAgent, Failure> {
    SignatureAgent::jwk_set(url).or(Err(Failure::Usage(
        "`--directory` is an https URL of a JWK Set, such as https://crawler.example/keys.json",
    )))
}

/// Reads a shared key: a JWK whose `kty` is `oct` and whose `alg` is absent or `HS256` (RFC 7518
/// §6.4).
pub(super) fn shared(path: &Path, inputs: &mut Inputs) -> Result<SharedKey, Failure> {
    #[derive(Deserialize)]
    struct Oct<'a> {
        kty: String,
        k: &'a str,
        kid: Option<String>,
        alg: Option<String>,
        #[serde(rename = "use")]
        used: Option<String>,
    }

    let text = inputs.bytes(path)?;
    let of = |error: Failure| error.of(path);
    let oct: Oct<'_> = aims_jose::json::from_object(&text).map_err(|error| of(error.into()))?;
    let fits = |value: &Option<String>, own: &str| value.as_deref().is_none_or(|it| it == own);
    if oct.kty != "oct" {
        return Err(of(aims_jose::Error::JwkType.into()));
    }
    if !fits(&oct.alg, "HS256") {
        return Err(of(aims_jose::Error::JwkAlgorithm.into()));
    }
    if !fits(&oct.used, "sig") {
        return Err(of(aims_jose::Error::JwkUse.into()));
    }
    let secret = aims_jose::base64url::decode(oct.k).map_err(|error| of(error.into()))?;
    SharedKey::new(oct.kid.unwrap_or_default(), secret).map_err(|error| of(error.into()))
}
