//! `aims wpt`: commands for workload proof tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::jws::Unverified;
use aims_jose::key::Signer as _;
use aims_jose::random::SYSTEM;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_wimse_cred::{Identity, WitRules};
use aims_wimse_wpt::{Binding, Revision, WptRules};
use zeroize::Zeroizing;

use crate::args::{self, Bound, Wpt};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::time::{at, now};
use crate::token::Verified;
use crate::{hint, key, trust, wit};

/// The contents of the files that a proof is bound to.
struct Held {
    revision: Revision,
    access_token: Option<Zeroizing<String>>,
    txn_token: Option<Zeroizing<String>>,
    headers: Vec<(String, Zeroizing<Vec<u8>>)>,
}

impl Held {
    fn read(bound: &Bound, inputs: &mut Inputs) -> Result<Self, Failure> {
        let revision = match bound.revision {
            args::Revision::Draft01 => Revision::Draft01,
            args::Revision::Draft02 => Revision::Draft02,
        };
        if revision == Revision::Draft02 && bound.access_token.is_some() {
            return Err(Failure::Usage(
                "a proof of revision 02 is bound to no access token: give `--revision 01` with \
                 `--access-token`, or sign the message by `aims httpsig sign`",
            ));
        }
        let mut text =
            |path: &Option<PathBuf>| path.as_ref().map(|path| inputs.token(path)).transpose();
        let (access_token, txn_token) = (text(&bound.access_token)?, text(&bound.txn_token)?);
        let mut headers = Vec::new();
        for (name, path) in &bound.headers {
            headers.push((name.clone(), inputs.bytes(path)?));
        }
        Ok(Self {
            revision,
            access_token,
            txn_token,
            headers,
        })
    }

    fn binding<'a>(&'a self, audience: &'a str) -> Binding<'a> {
        let mut binding = Binding::to(audience).revision(self.revision);
        if let Some(token) = &self.access_token {
            binding = binding.access_token(token);
        }
        if let Some(token) = &self.txn_token {
            binding = binding.txn_token(token);
        }
        self.headers.iter().fold(binding, |binding, (name, value)| {
            binding.header(name, value)
        })
    }
}

pub(crate) fn run(command: Wpt, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    match command {
        Wpt::New {
            wit,
            key,
            bound,
            lifetime,
            now: asked,
        } => {
            let held = Held::read(&bound, inputs)?;
            let text = inputs.token(&wit)?;
            let key = key::signing(&key, inputs)?;
            let (now, algorithm) = (now(asked), key.algorithm());
            // Check that token and key belong together, and for how long they are valid.
            let public = key.public_jwk().clone();
            let key = Arc::new(key);
            let identity = Identity::new(SecretText::new(text.as_str()), key.clone(), &public);
            let identity = identity.map_err(|error| Failure::from(error).of(&wit))?;
            if identity.expires() <= now {
                let error = aims_wimse_cred::Error::Wit(aims_jose::Error::Expired {
                    until: identity.expires().as_secs(),
                    now: now.as_secs(),
                    skew: 0,
                });
                let expires = identity.expires().as_secs();
                return Err(hint::expired(Failure::from(error), expires, now).of(&wit));
            }
            let lifetime = Duration::from_secs(lifetime);
            let proof = held
                .binding(&bound.audience)
                .prepare(&text, algorithm, lifetime, SYSTEM, now)?
                .sign(key.as_ref())?;
            Ok(Zeroizing::new(format!("{}\n", proof.expose())))
        }
        Wpt::Verify {
            wit: wit_file,
            trusted,
            bound,
            shown,
            file,
        } => {
            let held = Held::read(&bound, inputs)?;
            let trust = trust::read(&trusted, inputs)?;
            let now = now(shown.now);
            let text = inputs.token(&wit_file)?;
            let proof = inputs.token(&file)?;
            let wit = wit::verified(&wit_file, &text, &trust, &WitRules::wit(), now)?;
            let binding = held.binding(&bound.audience);
            let rules = WptRules::default().with_revisions(held.revision.into());
            let _unspent =
                aims_wimse_wpt::verify(&proof, &wit, &binding, &rules, now).map_err(|error| {
                    hint::token(Failure::from(error), &proof, hint::WPT, now).of(&file)
                })?;
            let answer = Verified::new(wit.id(), expires(&proof)?, &proof)?;
            if shown.json {
                return answer.json();
            }
            let remark = ", unless it was seen before: that is for its receiver to know";
            Ok(answer.lines(remark, now))
        }
    }
}

/// Returns `exp` of a verified proof.
fn expires(proof: &str) -> Result<UnixTime, aims_jose::Error> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: aims_jose::jwt::NumericDate,
    }

    let proof = Unverified::parse(proof)?;
    let claims: Claims = aims_jose::json::from_object(proof.unverified_payload()?)?;
    Ok(at(claims.exp.as_secs()))
}
