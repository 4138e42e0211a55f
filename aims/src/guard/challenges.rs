//! Challenges: how a refused request can present a good credential.

use aims_oauth_rs::{TokenScheme, bearer_challenge, dpop_challenge};
use aims_oauth_wire::names::ScopeSet;
use aims_wimse_wpt::Revision;
use aims_wimse_wpt::fields::CHALLENGE;
use http::{HeaderValue, StatusCode};

use super::Guard;
use crate::refusal::{Challenges, ErrorResponse};

impl<M> Guard<M> {
    /// Returns one challenge for each scheme that can satisfy the route. The challenge for the
    /// scheme of the request has `error` (RFC 9449 §7.1). If the scheme cannot be read, the first
    /// challenge has it.
    ///
    /// `Bearer` comes first if it is accepted, because some clients read the first challenge alone.
    pub(super) fn challenges(
        &self,
        tried: Option<TokenScheme>,
        error: Option<&'static str>,
    ) -> Box<Challenges> {
        let (inner, requirements) = (&*self.inner, &self.route.requirements);
        let (scopes, metadata) = (requirements.required_scopes(), inner.metadata_url.as_ref());
        let mut fields = Vec::new();
        let takes_bearer = inner.dpop.is_none()
            || inner.agents
            || inner.certificates.is_some()
            || requirements.allows_bearer();
        if takes_bearer {
            let error = error.filter(|_| tried != Some(TokenScheme::Dpop));
            fields.push(bearer_challenge(error, metadata, scopes));
        }
        if let Some(dpop) = &inner.dpop {
            let is_tried = match tried {
                Some(scheme) => scheme == TokenScheme::Dpop,
                None => !takes_bearer,
            };
            let error = error.filter(|_| is_tried);
            fields.push(dpop_challenge(error, dpop.algorithms(), metadata, scopes));
        }
        // An identity without a token goes by the scheme of its proof.
        let takes_wpt = inner.wpt.revisions().accepts(Revision::Draft02);
        if inner.agents && takes_wpt && requirements.allows_identity_alone() {
            fields.push(CHALLENGE);
        }
        Challenges::of(fields)
    }

    /// Returns 403 for a good token that lacks scopes, with one challenge for the scheme that the
    /// request used.
    pub(super) fn insufficient_scope(
        &self,
        scheme: TokenScheme,
        scopes: &ScopeSet,
    ) -> ErrorResponse {
        const ERROR: Option<&str> = Some("insufficient_scope");
        let metadata = self.inner.metadata_url.as_ref();
        let field: HeaderValue = match (scheme, &self.inner.dpop) {
            (TokenScheme::Dpop, Some(dpop)) => {
                dpop_challenge(ERROR, dpop.algorithms(), metadata, Some(scopes))
            }
            (TokenScheme::Bearer, _) | (TokenScheme::Dpop, None) => {
                bearer_challenge(ERROR, metadata, Some(scopes))
            }
        };
        ErrorResponse::Challenge(StatusCode::FORBIDDEN, Challenges::of(vec![field]))
    }
}
