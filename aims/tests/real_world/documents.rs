//! Cases that are one input and one reader.

use aims::cred::{Bundle, JwtSvid, TrustStore};
use aims::fetch::address;
use aims::id::WorkloadId;
use aims::jose::Chain;
use aims::jose::jwk::{JwkSet, SetRules};
use aims::jose::provider;
use aims::jose::secret::SecretText;
use aims::oauth_client::ClientCredentials;
use aims::oauth_rs::{AccessToken, AccessTokenRules, IssuerStore};
use aims::oauth_wire::challenge::Challenges;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::{ResourceMetadata, ServerMetadata};
use aims::oauth_wire::names::{Issuer, Resource};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use crate::{Case, http_text, now, read};

pub(crate) const KINDS: &[&str] = &[
    "access_token",
    "bundle",
    "challenge",
    "id",
    "jwks",
    "resolves",
    "resource_metadata",
    "server_metadata",
    "token_response",
];

/// Returns the result for the input, in words, or `None` if the case is of another kind.
pub(crate) fn outcome(case: &Case) -> Option<String> {
    Some(match case.op.as_str() {
        "access_token" => access_token(case),
        "bundle" => bundle(case),
        "challenge" => challenge(case),
        "id" => id(case),
        "jwks" => jwks(case),
        "resolves" => resolves(case),
        "resource_metadata" => resource_metadata(case),
        "server_metadata" => server_metadata(case),
        "token_response" => token_response(case),
        _ => return None,
    })
}

fn issuer(case: &Case) -> Issuer {
    case.issuer.as_deref().unwrap().parse().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().trim().to_owned()
}

fn access_token(case: &Case) -> String {
    let issuers = IssuerStore::new();
    let keys = read(case.jwks.as_deref().unwrap());
    if let Err(error) = issuers.set(&issuer(case), &keys, provider::default()) {
        return told!(error);
    }
    let rules = AccessTokenRules::new(case.audience.clone().unwrap());
    let token = text(case.input());
    match AccessToken::verify(&token, &issuers.snapshot(), &rules, now()) {
        Ok(token) => format!("ok sub={}", token.subject()),
        Err(error) => told!(error),
    }
}

fn bundle(case: &Case) -> String {
    let origin = case.origin.as_deref().unwrap().parse().unwrap();
    let bundle = match Bundle::parse(&origin, &case.input(), provider::default()) {
        Ok(bundle) => bundle,
        Err(error) => return told!(error),
    };
    let Some(token) = &case.token else {
        return format!("{} jwt-svid keys", bundle.jwt_svid_keys().keys().len());
    };
    let trust = TrustStore::of([bundle]).snapshot();
    let audience = case.audience.as_deref().unwrap();
    match JwtSvid::verify(&text(read(token)), &trust, audience, now()) {
        Ok(svid) => format!("ok {}", svid.id()),
        Err(error) => told!(error),
    }
}

fn challenge(case: &Case) -> String {
    let mut headers = HeaderMap::new();
    for line in text(case.input()).lines() {
        let value = HeaderValue::from_str(line.trim()).unwrap();
        headers.append(WWW_AUTHENTICATE, value);
    }
    let challenges = match Challenges::parse(&headers) {
        Ok(challenges) => challenges,
        Err(error) => return told!(error),
    };
    let count = challenges.iter().count();
    let Some(bearer) = challenges.bearer() else {
        return format!("ok {count} challenges; none is Bearer");
    };
    let tool = case.tool.as_deref().unwrap().parse().unwrap();
    let place = match challenges.resource_metadata(&tool) {
        Ok(place) => place.map_or_else(String::new, |it| it.to_string()),
        Err(error) => told!(error),
    };
    format!(
        "ok {count} challenges; bearer error={:?} resource_metadata={place}",
        bearer.error()
    )
}

fn id(case: &Case) -> String {
    match WorkloadId::parse(case.id_text.as_deref().unwrap()) {
        Ok(id) => format!("ok {id}"),
        Err(error) => error.code().to_owned(),
    }
}

fn jwks(case: &Case) -> String {
    match JwkSet::parse(&case.input(), &SetRules::oauth(), provider::default()) {
        Ok(set) => format!("{} usable, skipped {:?}", set.keys().len(), set.skipped()),
        Err(error) => told!(error),
    }
}

fn resolves(case: &Case) -> String {
    let address = case.address.as_deref().unwrap().parse().unwrap();
    let public = address::is_public(address);
    let refused = if public { "" } else { "; fetch.address" };
    format!("public={public}{refused}")
}

fn resource_metadata(case: &Case) -> String {
    let resource: Resource = case.resource.as_deref().unwrap().parse().unwrap();
    match ResourceMetadata::parse(&case.input(), &resource) {
        Ok(document) => format!("parse ok servers={:?}", document.authorization_servers()),
        Err(error) => told!(error),
    }
}

fn server_metadata(case: &Case) -> String {
    let document = match ServerMetadata::parse(&case.input(), &issuer(case)) {
        Ok(document) => document,
        Err(error) => return told!(error),
    };
    match document.token_endpoint() {
        Ok(endpoint) => format!("ok token={endpoint}"),
        Err(error) => told!(error),
    }
}

fn token_response(case: &Case) -> String {
    let issuer: Issuer = "https://as.example".parse().unwrap();
    let server = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
    let server = ServerMetadata::parse(server, &issuer).unwrap();
    let secret = SecretText::new("a secret of the client");
    let client = ClientSecretBasic::new("agent-1".parse().unwrap(), secret);
    let grant = ClientCredentials::new("https://api.example".parse().unwrap());
    let (_, pending) = grant.prepare(&client, &server, now()).unwrap();
    match pending.finish(&http_text::response(&case.input()), now()) {
        Ok(token) => format!("grant ok until {:?}", token.expires()),
        Err(error) => told!(error),
    }
}
