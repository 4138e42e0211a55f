//! `aims wit`: commands for workload identity tokens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::jwk::Jwk;
use aims_wimse_cred::{TrustStore, WitIssuer, WitRules};
use zeroize::Zeroizing;

use crate::args::{Profile, Wit};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::time::now;
use crate::token::Verified;
use crate::{hint, key, trust};

pub(crate) fn run(command: Wit, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    match command {
        Wit::Issue {
            key,
            id,
            holder,
            lifetime,
            issuer,
            now: asked,
        } => {
            let key = key::signing(&key, inputs)?;
            let text = inputs.bytes(&holder)?;
            let of = Jwk::parse(&text)
                .map_err(|error| hint::public_key(error.into(), &text).of(&holder))?;
            let lifetime = Duration::from_secs(lifetime);
            let issuer = WitIssuer::new(Arc::new(key), issuer);
            let wit = issuer.issue(&id, &of, lifetime, now(asked))?;
            Ok(Zeroizing::new(format!("{}\n", wit.expose())))
        }
        Wit::Verify {
            trusted,
            profile,
            shown,
            file,
        } => {
            let trust = trust::read(&trusted, inputs)?;
            let rules = match profile {
                Profile::Wit => WitRules::wit(),
                Profile::WitSvid => WitRules::wit_svid(),
            };
            let now = now(shown.now);
            let text = inputs.token(&file)?;
            let wit = verified(&file, &text, &trust, &rules, now)?;
            let answer = Verified::new(wit.id(), wit.expires(), &text)?;
            if shown.json {
                return answer.json();
            }
            let remark = ": this token was issued. Its sender must prove the key";
            Ok(answer.lines(remark, now))
        }
    }
}

/// Verifies the token in this file.
pub(crate) fn verified(
    path: &Path,
    text: &str,
    trust: &TrustStore,
    rules: &WitRules,
    now: aims_jose::time::UnixTime,
) -> Result<aims_wimse_cred::Wit, Failure> {
    aims_wimse_cred::Wit::verify(text, &trust.snapshot(), rules, now)
        .map_err(|error| hint::token(Failure::from(error), text, hint::WIT, now).of(path))
}
