//! `huskarl-resource-server` judges the requests that a guard judges. Both must answer with the
//! same status and the same error of RFC 6750, apart from known differences.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Uri};
use huskarl::authorizer::parse_challenges;
use huskarl_reqwest::ReqwestClient;
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;

use crate::{Failure, World, part, row};

/// Sends each request to the guarded tool, and shows it to the validator.
pub(crate) async fn beside_the_guard(world: &World) -> Result<(), Failure> {
    part("huskarl-resource-server beside the guard: the status and the error of its answer");
    let validator = validator(world).await?;
    let uri: Uri = format!("{}/jwt/call", world.tool).parse()?;
    let good = world.bearer("jwt", "tools:call")?.headers(&uri).await?;
    let other = world
        .bearer("elsewhere", "tools:call")?
        .headers(&uri)
        .await?;
    let with = |value: &str| -> Result<HeaderMap, Failure> {
        Ok(HeaderMap::from_iter([(
            AUTHORIZATION,
            HeaderValue::from_str(value)?,
        )]))
    };
    let text = good.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let text = text.ok_or("no token")?;
    let token = text.strip_prefix("Bearer ").ok_or("no bearer token")?;
    let (signed, _) = token.rsplit_once('.').ok_or("not a JWT")?;
    let bent = format!("Bearer {signed}.{}", "A".repeat(86));
    let mut twice = good.clone();
    twice.append(AUTHORIZATION, HeaderValue::from_str(text)?);
    for (step, headers) in [
        ("a good token", good.clone()),
        ("the scheme in capitals", with(&format!("BEARER {token}"))?),
        ("no token", HeaderMap::new()),
        ("for another tool", other),
        ("another signature", with(&bent)?),
        ("not a token", with("Bearer x.y.z")?),
        ("two fields", twice),
        (
            "as DPoP, unbound and without a proof",
            with(&format!("DPoP {token}"))?,
        ),
        ("another scheme", with("Basic YTpi")?),
    ] {
        let answer = world.send(&uri, headers.clone()).await?;
        let ours = said(answer.status.as_u16(), &answer.headers);
        let theirs = judged(&validator, &headers, &uri).await?;
        match OTHERWISE.iter().find(|(name, ..)| *name == step) {
            Some((_, of_guard, of_huskarl)) => {
                row(&format!("{step}: the guard"), of_guard, &ours);
                row(&format!("{step}: huskarl"), of_huskarl, &theirs);
            }
            None => row(step, &theirs, &ours),
        }
    }
    Ok(())
}

/// Shows the calls of the project's client to the validator: steps with what must come of each.
pub(crate) async fn before_the_project(world: &World, calls: &str) -> Result<(), Failure> {
    part("huskarl-resource-server, and calls of the project's client");
    let validator = validator(world).await?;
    let uri: Uri = format!("{}/jwt/call", world.tool).parse()?;
    let calls: Vec<Call> = serde_json::from_str(calls)?;
    for call in calls {
        let mut headers = HeaderMap::new();
        for (name, value) in &call.fields {
            let name: http::HeaderName = name.parse()?;
            headers.append(name, HeaderValue::from_str(value)?);
        }
        let seen = judged(&validator, &headers, &uri).await?;
        row(&call.step, &call.expected, &seen);
    }
    Ok(())
}

/// A call of the project's client.
#[derive(serde::Deserialize)]
struct Call {
    step: String,
    expected: String,
    fields: std::collections::BTreeMap<String, String>,
}

async fn validator(world: &World) -> Result<Rfc9068Validator, Failure> {
    Ok(Rfc9068Validator::builder_from_metadata(&world.metadata)
        .jwks_source(ReqwestClient::from(world.requests.clone()))
        .audience(format!("{}/jwt", world.tool))
        .build()
        .await?)
}

/// Returns the answer of huskarl to a call with these header fields.
async fn judged(
    validator: &Rfc9068Validator,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<String, Failure> {
    let result = validator
        .validate_request(headers, &Method::POST, uri, None)
        .await;
    let metadata = validator.validator_metadata(None);
    Ok(match result.rejection(&metadata, None) {
        None => "200".to_owned(),
        Some(rejection) => {
            let answer = rejection.apply(http::Response::builder()).body(())?;
            said(answer.status().as_u16(), answer.headers())
        }
    })
}

/// Returns the status, and the errors in the challenges.
fn said(status: u16, headers: &HeaderMap) -> String {
    let challenges = parse_challenges(headers);
    let mut errors: Vec<String> = challenges
        .iter()
        .filter_map(|it| it.error().map(|it| it.to_string()))
        .collect();
    errors.sort();
    errors.dedup();
    let challenged = if headers.contains_key(WWW_AUTHENTICATE) {
        " challenge"
    } else {
        ""
    };
    format!("{status}{challenged} {}", errors.join(" "))
        .trim_end()
        .to_owned()
}

/// Requests that are answered in two ways: the step, the answer of the guard, that of huskarl.
///
/// To the guard, a scheme that it does not take is the absence of credentials (RFC 6750 §3.1); to
/// huskarl, a request that it cannot read.
const OTHERWISE: [(&str, &str, &str); 2] = [
    (
        "as DPoP, unbound and without a proof",
        "401 challenge",
        "400 challenge invalid_request",
    ),
    (
        "another scheme",
        "401 challenge",
        "400 challenge invalid_request",
    ),
];
