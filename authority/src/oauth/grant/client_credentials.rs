//! Client credentials (RFC 6749 §4.4): a token for the client itself.

use super::{AuthorizationServer, Error, GrantType, Granted, TokenRequest};
use crate::oauth::NewToken;

/// Issues an access token (RFC 9068) for one resource (RFC 8707). Its subject is the client.
///
/// If the request has a DPoP proof, the token is bound to its key by `cnf.jkt`, with `token_type`
/// `DPoP` (RFC 9449 §5). Otherwise the key that the client has proven becomes `cnf.jwk` (RFC 7800
/// §3.2). That key was not proven by DPoP, so the type is `Bearer`, as RFC 8705 §3 has it for
/// another kind of binding.
#[derive(Debug)]
pub(crate) struct ClientCredentials;

impl GrantType for ClientCredentials {
    fn name(&self) -> &'static str {
        "client_credentials"
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = request;
        // A client that described itself may act for users only: no operator gave it a right.
        if client.client.is_public() || client.client.flow.unverified {
            return Err(Error::ClientGrant {
                reason: "a public client, or one that described itself, gets tokens for users only",
            });
        }
        let asked: Vec<&str> = form.all("resource").collect();
        let permission = server
            .registry
            .permit(&client.client, &asked, form.get("scope"))?;
        let scope = permission.scopes.join(" ");
        let token = NewToken::of_client(client, permission.resource, &scope, server.end(*now));
        Granted::access_token(server, client, &token, *now)
    }
}
