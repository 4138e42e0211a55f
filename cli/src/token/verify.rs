//! `aims token verify`.

use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{
    AccessToken, AccessTokenRules, Error, IssuerRules, IssuerStore, JwtProfile, Marker,
    TokenProfile,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::proofs::Proofs;
use super::{binding, date, decoded, json, require_scopes};
use crate::args::{AccessProfile, VerifyToken};
use crate::failure::Failure;
use crate::input::{self, Inputs};
use crate::text::{Members, compact, word};
use crate::time::{in_words, now};
use crate::{hint, key};

/// The answer about a verified token.
#[derive(Serialize)]
struct Answer<'a> {
    verified: bool,
    issuer: &'a str,
    subject: &'a str,
    client: &'a str,
    scopes: Vec<&'a str>,
    roles: Vec<&'a str>,
    audiences: &'a [String],
    expires: u64,
    profile: &'static str,
    binding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
}

pub(super) fn run(verify: &VerifyToken, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    // Report errors of the command line before reading any file.
    let marker = marker(verify)?;
    let settings = |version| profile(verify, marker.clone(), version);
    let entra = settings(Version::Two)?;
    let document = key::document(&verify.keys, inputs)?;
    let text = inputs.token(&verify.file)?;
    let now = now(verify.shown.now);
    let refused = |failure: Failure| failure.of(&verify.file);
    let profile = match verify.profile {
        AccessProfile::Entra => settings(version(&text).map_err(refused)?)?,
        _ => entra,
    };
    let proofs = Proofs::read(verify, inputs)?;
    let store = IssuerStore::new();
    store
        .set(&verify.issuer, &document, AWS_LC)
        .map_err(|error| hint::key_set(Failure::from(error), &document).of(&verify.keys))?;
    let rules = IssuerRules::new().profile(profile);
    store.set_rules(&verify.issuer, rules).map_err(usage)?;
    let token = AccessToken::verify(&text, &store.snapshot(), &rules_of(verify), now);
    let token = token.map_err(|error| refused(told(error, verify, &text, now)))?;
    require_scopes("the access token", token.scopes(), &verify.scopes).map_err(refused)?;
    let proven = proofs.check(&token, &text, verify, now)?;
    let answer = answer(&token, verify, proven);
    if verify.shown.json {
        return json(&answer);
    }
    let (_, claims) = decoded(&text)?;
    Ok(lines(&answer, &claims, now))
}

fn answer<'a>(token: &'a AccessToken, verify: &VerifyToken, proven: bool) -> Answer<'a> {
    let (binding, bound) = binding(token.confirmations());
    let proven = bound.map(|_unproven| proven);
    Answer {
        verified: true,
        issuer: token.issuer(),
        subject: token.subject(),
        client: token.client_id(),
        scopes: token.scopes().iter().map(|it| it.as_str()).collect(),
        roles: token.roles().iter().map(String::as_str).collect(),
        audiences: token.audiences(),
        expires: token.expires().as_secs(),
        profile: verify.profile.name(),
        binding,
        proven,
    }
}

fn lines(answer: &Answer<'_>, claims: &Members, now: UnixTime) -> Zeroizing<String> {
    let words = |texts: &[&str]| {
        let all: Vec<String> = texts.iter().map(|text| word(text)).collect();
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(" ")
        }
    };
    let audiences: Vec<&str> = answer.audiences.iter().map(String::as_str).collect();
    let unproven = match answer.proven {
        Some(true) => ", proven",
        Some(false) => ", not proven: the sender of the token must prove it",
        None => "",
    };
    Zeroizing::new(format!(
        "verified: this token was issued, by the profile {}\n\n\
         issuer     {}\nsubject    {}\nclient     {}\nscopes     {}\nroles      {}\n\
         audiences  {}\nexpires    {}\nbinding    {}{unproven}\n\nclaims\n{}",
        answer.profile,
        word(answer.issuer),
        word(answer.subject),
        word(answer.client),
        words(&answer.scopes),
        words(&answer.roles),
        words(&audiences),
        in_words(answer.expires, now),
        answer.binding,
        claims.lines(|name, value| date(name, value, now)),
    ))
}

fn rules_of(verify: &VerifyToken) -> AccessTokenRules {
    let mut audiences = verify.audiences.iter();
    let first = audiences.next().map(String::as_str).unwrap_or_default();
    let limit = usize::try_from(input::MAX_LEN).unwrap_or(usize::MAX);
    audiences.fold(
        AccessTokenRules::new(first).with_max_len(limit),
        |rules, audience| rules.or_for(audience),
    )
}

/// Returns why the token was refused, in terms of the command line, and when it expired.
fn told(error: Error, verify: &VerifyToken, text: &str, now: UnixTime) -> Failure {
    let standard = verify.profile == AccessProfile::Rfc9068;
    match &error {
        Error::HeaderType { found, .. } if found.as_deref() == Some(hint::WIT) => {
            Failure::Refused {
                code: error.code(),
                detail: "unexpected `typ` \"wit+jwt\", expected an access token; this is a \
                         workload identity token: use `aims wit verify`"
                    .to_owned(),
            }
        }
        // The rules of an issuer are an option here.
        Error::HeaderType { found, expected } if expected.contains("`IssuerRules") && !standard => {
            Failure::Refused {
                code: error.code(),
                detail: format!(
                    "unexpected `typ` {}, expected one of the profile {}",
                    found
                        .as_ref()
                        .map_or_else(|| "(none)".to_owned(), |typ| format!("{typ:?}")),
                    verify.profile.name()
                ),
            }
        }
        Error::HeaderType { found, .. } if standard => Failure::Refused {
            code: error.code(),
            detail: format!(
                "unexpected `typ` {}, expected \"at+jwt\"; `--profile` names a server that does not follow RFC 9068",
                found
                    .as_ref()
                    .map_or_else(|| "(none)".to_owned(), |typ| format!("{typ:?}"))
            ),
        },
        Error::Token(aims_jose::Error::Expired { .. }) => {
            hint::token(Failure::from(error), text, "at+jwt", now)
        }
        _ => hint::no_token(Failure::from(error), text),
    }
}

/// Returns `--marker`, which only `jwt` accepts and requires.
fn marker(verify: &VerifyToken) -> Result<Option<Marker>, Failure> {
    let text = match (&verify.marker, verify.profile) {
        (Some(text), AccessProfile::Jwt) => text,
        (None, AccessProfile::Jwt) => {
            return Err(Failure::Usage(
                "the profile `jwt` needs `--marker`: a claim that access tokens of this server have and its ID tokens do not",
            ));
        }
        (Some(_), _) => {
            return Err(Failure::Usage(
                "`--marker` is for the profile `jwt`: the other profiles have their own",
            ));
        }
        (None, _) => return Ok(None),
    };
    let marker = match text.split_once('=') {
        Some(("typ", typ)) => Marker::typ(typ),
        Some((claim, value)) => Marker::claim_value(claim, value),
        None => Marker::claim(text.as_str()),
    };
    marker.map(Some).map_err(usage)
}

/// The version of Entra ID's tokens.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

/// Returns `ver` of a token of Entra ID. It is not verified yet, but the selected version is then
/// required.
fn version(text: &str) -> Result<Version, Failure> {
    let (_, claims) = decoded(text)?;
    match claims.value("ver") {
        Some(r#""1.0""#) => Ok(Version::One),
        Some(r#""2.0""#) => Ok(Version::Two),
        found => Err(Failure::Refused {
            code: Error::Token(aims_jose::Error::Claim { claim: "ver" }).code(),
            detail: format!(
                "the claim `ver` is {}, expected \"1.0\" or \"2.0\"",
                found.map_or_else(|| "missing".to_owned(), |it| hint::shortened(compact(it)))
            ),
        }),
    }
}

fn profile(
    verify: &VerifyToken,
    marker: Option<Marker>,
    version: Version,
) -> Result<TokenProfile, Failure> {
    let jwt = match verify.profile {
        AccessProfile::Rfc9068 => return Ok(TokenProfile::Rfc9068),
        AccessProfile::Entra => {
            let tenant = verify.issuer.as_str().split('/').nth(3).unwrap_or_default();
            match version {
                Version::One => JwtProfile::entra_v1(tenant),
                Version::Two => JwtProfile::entra_v2(tenant),
            }
            .map_err(usage)?
        }
        AccessProfile::Auth0 => JwtProfile::auth0(),
        AccessProfile::Okta => JwtProfile::okta(),
        AccessProfile::Keycloak => {
            let mut audiences = verify.audiences.iter();
            let first = audiences.next().map(String::as_str).unwrap_or_default();
            audiences.fold(JwtProfile::keycloak(first), |profile, api| {
                profile.or_roles_in(["resource_access", api, "roles"])
            })
        }
        AccessProfile::Cognito => {
            JwtProfile::cognito(verify.audiences.iter().cloned()).map_err(usage)?
        }
        AccessProfile::Jwt => match marker {
            Some(marker) => JwtProfile::new(marker),
            None => return Err(Failure::Usage("the profile `jwt` needs `--marker`")),
        },
    };
    Ok(jwt.into())
}

/// Converts an error about settings into an error of the command line.
fn usage(error: Error) -> Failure {
    match error {
        Error::Profile { reason } => Failure::Usage(reason),
        other => Failure::from(other),
    }
}
