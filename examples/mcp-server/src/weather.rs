//! The weather service, which only the MCP server calls.

use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::guard::Dpop;
use aims::keys::{PublishedKeys, Watch};
use aims::oauth_wire::names::Issuer;
use aims::{Guard, Principal, Requirements};
use axum::Router;
use axum::routing::get;

use crate::Failure;

/// The scope of the service.
pub(crate) const READ: &str = "weather:read";

/// Returns the routes of the service at this URL.
pub(crate) async fn routes(url: &str, issuer: &str) -> Result<(Router, Watch), Failure> {
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let keys = PublishedKeys::builder(Arc::new(fetcher), aims::jose::provider::default());
    let keys = keys.issuer(Issuer::loopback(issuer)?).build();
    keys.load().await?;
    let watch = keys.watch();
    // A token must be bound to the key of a DPoP proof, and name who acts for the user.
    let guard = Guard::builder(url)
        .keys(&keys)
        .dpop(Dpop::new())
        .require(Requirements::new().scopes(READ.parse()?).actor())
        .build()?;
    let routes = Router::new().route("/weather/tomorrow", get(tomorrow));
    Ok((routes.layer(guard.layer()), watch))
}

async fn tomorrow(who: Principal) -> String {
    let actors = who.access_token().map_or(&[][..], |it| it.actors());
    let actors: Vec<&str> = actors.iter().map(|it| it.subject.as_str()).collect();
    format!("rain for {} by {}", who.subject(), actors.join(" for "))
}
