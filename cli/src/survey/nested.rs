//! A frequent mistake: the metadata are served beneath the tool's path, where no client looks.

use aims_fetch::Fetch as _;
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::metadata::well_known;
use aims_oauth_wire::names::Resource;
use http::{Request, StatusCode};

use super::report::Mistake;
use super::trail::Trail;

const SUFFIX: &str = "/.well-known/oauth-protected-resource";

/// Looks where a nested router puts the document.
pub(super) async fn look(resource: &Resource, trail: &Trail) -> Option<Mistake> {
    let nested = format!("{}{SUFFIX}", resource.as_str().trim_end_matches('/'));
    let expected = well_known::resource(resource).ok()?;
    if nested == expected.as_str() {
        return None;
    }
    let mut request = Request::new(Vec::new());
    *request.uri_mut() = nested.parse().ok()?;
    let answer = trail.send(request).await.ok()?;
    let is_document = answer.status() == StatusCode::OK
        && ResourceMetadata::parse_within(answer.body(), resource).is_ok();
    is_document.then(|| Mistake::nested(&nested, expected.as_str()))
}
