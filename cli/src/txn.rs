//! `aims txn`: commands for transaction tokens.

use std::path::Path;
use std::time::Duration;

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::Signer as _;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_oauth_wire::call::CallDigest;
use aims_txn_token::{TxnToken, TxnTokenRequest, TxnTokenRules};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::{IssueTxn, Txn, VerifyTxn};
use crate::failure::Failure;
use crate::input::{self, Inputs};
use crate::text::word;
use crate::time::{in_words, now};
use crate::token::{binding, date, decoded, json, require_scopes};
use crate::{hint, key};

/// The answer about a verified token.
#[derive(Serialize)]
struct Answer<'a> {
    verified: bool,
    txn: &'a str,
    subject: &'a str,
    domain: &'a str,
    scopes: Vec<&'a str>,
    requester: &'a str,
    issuer: Option<&'a str>,
    issued: u64,
    expires: u64,
    binding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
}

pub(crate) fn run(command: Txn, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    match command {
        Txn::Issue(issue) => made(&issue, inputs),
        Txn::Verify(verify) => verified(&verify, inputs),
    }
}

fn made(issue: &IssueTxn, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    let key = key::signing(&issue.key, inputs)?;
    let call = issue.parameters.as_deref();
    let call = call.map(|path| call_of(path, inputs)).transpose()?;
    let (domain, subject) = (issue.domain.as_str(), issue.subject.as_str());
    let requester = issue.requester.as_str();
    let mut request = TxnTokenRequest::new(domain, subject, issue.scope.as_str(), requester);
    if let Some(txn) = &issue.txn {
        request = request.txn(txn.as_str());
    }
    if let Some(issuer) = &issue.issuer {
        request = request.issuer(issuer.as_str());
    }
    if let Some(call) = &call {
        request = request.call(call);
    }
    let lifetime = Duration::from_secs(issue.lifetime);
    let input = request.prepare(
        key.algorithm(),
        key.key_id(),
        lifetime,
        SYSTEM,
        now(issue.now),
    )?;
    let token = input.sign(&key)?;
    Ok(Zeroizing::new(format!("{}\n", token.expose())))
}

fn verified(verify: &VerifyTxn, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    let document = key::document(&verify.keys, inputs)?;
    let call = verify.parameters.as_deref();
    let call = call.map(|path| call_of(path, inputs)).transpose()?;
    let text = inputs.token(&verify.file)?;
    let now = now(verify.shown.now);
    let refused = |failure: Failure| failure.of(&verify.file);
    let keys = JwkSet::parse(&document, &SetRules::oauth(), AWS_LC)
        .map_err(|error| hint::key_set(Failure::from(error), &document).of(&verify.keys))?;
    let limit = usize::try_from(input::MAX_LEN).unwrap_or(usize::MAX);
    let mut rules = TxnTokenRules::new(verify.domain.as_str()).with_max_len(limit);
    if let Some(issuer) = &verify.issuer {
        rules = rules.with_issuer(issuer.as_str());
    }
    let token = TxnToken::verify(&text, &keys, &rules, now);
    let token = token.map_err(|error| refused(Failure::from(error)))?;
    let what = "the transaction token";
    require_scopes(what, token.scopes(), &verify.scopes).map_err(refused)?;
    if let Some(call) = &call {
        token
            .check_call(call)
            .map_err(|error| refused(Failure::from(error)))?;
    }
    let (binding, proven) = binding(token.confirmations());
    let answer = Answer {
        verified: true,
        txn: token.txn(),
        subject: token.subject(),
        domain: token.domain(),
        scopes: token.scopes().iter().map(|it| it.as_str()).collect(),
        requester: token.requester(),
        issuer: token.issuer(),
        issued: token.issued_at().as_secs(),
        expires: token.expires().as_secs(),
        binding,
        proven,
    };
    if verify.shown.json {
        return json(&answer);
    }
    let (_, claims) = decoded(&text)?;
    let scopes: Vec<String> = answer.scopes.iter().map(|it| word(it)).collect();
    Ok(Zeroizing::new(format!(
        "verified: this token was issued for the trust domain\n\n\
         txn        {}\nsubject    {}\ndomain     {}\nscopes     {}\nrequester  {}\n\
         issuer     {}\nissued     {}\nexpires    {}\nbinding    {}\n\nclaims\n{}",
        word(answer.txn),
        word(answer.subject),
        word(answer.domain),
        scopes.join(" "),
        word(answer.requester),
        answer.issuer.map_or_else(|| "none".to_owned(), word),
        in_words(answer.issued, now),
        in_words(answer.expires, now),
        answer.binding,
        claims.lines(|name, value| date(name, value, now)),
    )))
}

/// Returns the digest of the call in this file. Any other content is an error of the command line.
fn call_of(path: &Path, inputs: &mut Inputs) -> Result<CallDigest, Failure> {
    let bytes = inputs.bytes(path)?;
    CallDigest::of_json(&bytes).map_err(|error| Failure::Parameters {
        path: path.to_owned(),
        error,
    })
}
