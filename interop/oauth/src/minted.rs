//! The suite `minted`: tokens and proofs that other libraries make, before a `Guard`.
//!
//! `minted/cases.json` is the table of cases. Every library signs every case, with keys that it
//! drew itself; the guard trusts them by the JWKs that the library wrote.

mod case;
mod library;

use std::collections::BTreeMap;
use std::sync::Arc;

use aims::guard::Dpop;
use aims::jose::jwk::Jwk;
use aims::jose::provider;
use aims::oauth_rs::{IssuerRules, IssuerStore, JwtProfile, Marker};
use aims::oauth_wire::names::Issuer;
use aims::{Guard, Requirements};
use http::Request;
use http::request::Parts;
use serde_json::Value;

use self::case::{Case, Cases, Minted};
use self::library::Library;
use crate::Failure;
use crate::agent::now;
use crate::table::Table;

const TOOL: &str = "https://tools.example/mcp";
const CALL: &str = "https://tools.example/mcp/call";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";
const API: &str = "66666666-7777-4888-9999-000000000000";

/// Runs the suite. A library is `NAME=COMMAND ARGUMENT…`.
pub(crate) fn run(cases: &str, libraries: &[&str]) -> Result<(), Failure> {
    let cases = Cases::read(cases)?;
    let mut table = Table::new("minted");
    for library in libraries {
        let mut library = Library::start(library)?;
        table.part(&format!("signed by {}", library.name));
        let judges = Judges::new(&cases, &library)?;
        for (case, expected) in cases.all() {
            match judges.judge(&cases, case, &mut library)? {
                Ok(seen) if seen == expected => table.silent(),
                Ok(seen) => table.row(&case.name, expected, &seen),
                Err(why) => match case.cannot.get(&library.name) {
                    Some(known) => table.not_run(&case.name, known),
                    None => table.row(&case.name, expected, &format!("not signed: {why}")),
                },
            }
        }
        println!(
            "  {} good and {} malformed cases",
            cases.good.len(),
            cases.malformed.len()
        );
    }
    table.end()
}

/// The guards of one library's tokens.
struct Judges {
    keys: BTreeMap<String, Value>,
    plain: Guard,
    nonces: Guard,
}

impl Judges {
    fn new(cases: &Cases, library: &Library) -> Result<Self, Failure> {
        let issuers = Arc::new(IssuerStore::new());
        for (name, server) in &cases.servers {
            let issuer: Issuer = server.issuer.parse()?;
            let own = library.keys.iter();
            let own = own.filter(|(name, _)| name.starts_with(&server.keys));
            let own: Vec<&Value> = own.map(|(_, jwk)| jwk).collect();
            let set = serde_json::json!({ "keys": own }).to_string();
            issuers.set_rules(&issuer, rules(name)?)?;
            issuers.set(&issuer, set.as_bytes(), provider::default())?;
        }
        let guard = |dpop| {
            Guard::builder(TOOL)
                .trust(Arc::default())
                .issuers(Arc::clone(&issuers))
                .dpop(dpop)
                .require(Requirements::new().accept_bearer())
                .accept_proofs_before_start()
                .build()
        };
        Ok(Self {
            keys: library.keys.clone(),
            plain: guard(Dpop::new())?,
            nonces: guard(Dpop::new().requiring_nonces())?,
        })
    }

    /// Returns `ok` or the code of the refusal. The inner error is the library's own refusal.
    fn judge(
        &self,
        cases: &Cases,
        case: &Case,
        library: &mut Library,
    ) -> Result<Result<String, String>, Failure> {
        let thumbprint = |key: &str| -> Result<String, Failure> {
            let jwk = self.keys.get(key).ok_or("no such key")?;
            Ok(Jwk::parse(jwk.to_string().as_bytes())?
                .thumbprint()
                .to_string())
        };
        let proof_key = case.proof_key();
        let jkt = thumbprint(&proof_key)?;
        let bound = case.bound_to(&jkt, &thumbprint("proof-es256")?);
        let token = match library.mint(&cases.token(case, &bound)?)? {
            Ok(token) => case.bent(&token),
            Err(why) => return Ok(Err(why)),
        };
        let guard = if case.guard == "nonces" {
            &self.nonces
        } else {
            &self.plain
        };
        if case.proof.is_none() {
            return Ok(Ok(told(guard, &request("Bearer", &token, &[])?).0));
        }
        let mut nonce = None;
        if case.wants_nonce() {
            // The guard states its nonce in the answer to a proof without one.
            let without = match library.mint(&case.proof(&token, &Minted::WithoutNonce)?)? {
                Ok(proof) => proof,
                Err(why) => return Ok(Err(why)),
            };
            nonce = told(guard, &request("DPoP", &token, &[&without])?).1;
        }
        let proof = match library.mint(&case.proof(&token, &Minted::Whole(nonce))?)? {
            Ok(proof) => proof,
            Err(why) => return Ok(Err(why)),
        };
        let proofs = vec![proof.as_str(); case.fields];
        let call = request("DPoP", &token, &proofs)?;
        if case.twice {
            let (first, _) = told(guard, &call);
            if first != "ok" {
                return Ok(Ok(format!("{first} the first time")));
            }
        }
        Ok(Ok(told(guard, &call).0))
    }
}

/// Returns `ok` or the code of the refusal, and the `DPoP-Nonce` of the answer.
fn told(guard: &Guard, call: &Parts) -> (String, Option<String>) {
    match guard.check(call, now()) {
        Ok(_) => ("ok".to_owned(), None),
        Err(refusal) => {
            let code = refusal.code().to_owned();
            let answer = refusal.into_response::<Vec<u8>>();
            let nonce = answer.headers().get("dpop-nonce");
            let nonce = nonce.and_then(|it| it.to_str().ok());
            (code, nonce.map(str::to_owned))
        }
    }
}

fn request(scheme: &str, token: &str, proofs: &[&str]) -> Result<Parts, Failure> {
    let mut request = Request::post(CALL)
        .header("host", "tools.example")
        .header("authorization", format!("{scheme} {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    Ok(request.body(())?.into_parts().0)
}

/// The rules for the tokens of one server of the table.
fn rules(server: &str) -> Result<IssuerRules, Failure> {
    let rules = IssuerRules::new();
    Ok(match server {
        "rfc9068" => rules,
        "entra_v2" => rules.profile(JwtProfile::entra_v2(TENANT)?).audience(API),
        "entra_v1" => {
            let rules = rules.profile(JwtProfile::entra_v1(TENANT)?);
            rules.audience(format!("api://{API}"))
        }
        "auth0" => rules.profile(JwtProfile::auth0()),
        "okta" => rules.profile(JwtProfile::okta()),
        "keycloak" => rules.profile(JwtProfile::keycloak("tools")),
        "cognito" => rules.profile(JwtProfile::cognito(["agent-1"])?),
        "custom" => rules.profile(JwtProfile::new(Marker::claim_value("use", "access")?)),
        _ => return Err(format!("no rules for the server {server}").into()),
    })
}
