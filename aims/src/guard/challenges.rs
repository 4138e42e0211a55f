//! Challenges: how a refused request can present a good credential.

use aims_oauth_rs::{TokenChallenge, TokenScheme, bearer_challenge, dpop_challenge};
use aims_oauth_wire::authorization_details::AuthorizationDetails;
use aims_oauth_wire::challenge::StepUp;
use aims_oauth_wire::names::ScopeSet;
use aims_wimse_wpt::Revision;
use aims_wimse_wpt::fields::CHALLENGE;
use http::StatusCode;

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

    /// Returns 403 for a good token that lacks scopes (RFC 6750 §3.1).
    pub(super) fn insufficient_scope(
        &self,
        scheme: TokenScheme,
        scopes: &ScopeSet,
    ) -> ErrorResponse {
        let challenge = TokenChallenge::new().error("insufficient_scope");
        let challenges = self.challenge(scheme, challenge.scopes(Some(scopes)));
        ErrorResponse::Challenge(StatusCode::FORBIDDEN, challenges)
    }

    /// Returns 401 for a good token of a login that the route does not accept (RFC 9470 §3). The
    /// challenge has the scopes of the route as well.
    pub(super) fn insufficient_authentication(
        &self,
        scheme: TokenScheme,
        step_up: &StepUp,
    ) -> ErrorResponse {
        let challenge = TokenChallenge::new()
            .error("insufficient_user_authentication")
            .scopes(self.route.requirements.required_scopes())
            .step_up(step_up);
        let challenges = self.challenge(scheme, challenge);
        ErrorResponse::Challenge(StatusCode::UNAUTHORIZED, challenges)
    }

    /// Returns 403 for a good token that lacks authorization details, with those that would be
    /// allowed (draft-zehavi-oauth-rar-metadata).
    pub(super) fn insufficient_details(
        &self,
        scheme: TokenScheme,
        details: &AuthorizationDetails,
    ) -> ErrorResponse {
        let challenge = TokenChallenge::new().error("insufficient_authorization_details");
        let mut challenges = self.challenge(scheme, challenge);
        challenges.details = (!details.is_empty()).then(|| details.to_json().into());
        ErrorResponse::Challenge(StatusCode::FORBIDDEN, challenges)
    }

    /// Returns 403 for a good token without the approval of a person, with the details to ask for.
    /// The challenge has the scopes and the login that the route requires of every token, so that
    /// the token of the approval has them, too.
    pub(super) fn approval_required(
        &self,
        scheme: TokenScheme,
        details: &AuthorizationDetails,
    ) -> ErrorResponse {
        let requirements = &self.route.requirements;
        let challenge = TokenChallenge::new()
            .error("insufficient_authorization_details")
            .scopes(requirements.required_scopes())
            .step_up(requirements.required_login());
        let mut challenges = self.challenge(scheme, challenge);
        challenges.details = (!details.is_empty()).then(|| details.to_json().into());
        ErrorResponse::Challenge(StatusCode::FORBIDDEN, challenges)
    }

    /// Returns one challenge, for the scheme that the request used.
    fn challenge(&self, scheme: TokenScheme, challenge: TokenChallenge<'_>) -> Box<Challenges> {
        let challenge = challenge.metadata(self.inner.metadata_url.as_ref());
        let field = match (scheme, &self.inner.dpop) {
            (TokenScheme::Dpop, Some(dpop)) => challenge.dpop(dpop.algorithms()),
            (TokenScheme::Bearer, _) | (TokenScheme::Dpop, None) => challenge.bearer(),
        };
        Challenges::of(vec![field])
    }
}
