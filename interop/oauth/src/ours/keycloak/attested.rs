//! Attestation-based client authentication. Keycloak implements revision -07 of the draft, and the
//! project's client -11, whose proofs have no `iss`.

use std::sync::Arc;

use aims::fetch::Fetch as _;
use aims::jose::alg::Algorithm;
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::{provider, random};
use aims::oauth_client::TokenRules;
use aims::oauth_wire::client_auth::{Attestation, AttestedClient};
use http::Request;
use serde_json::{Value, json};

use super::World;
use crate::Failure;
use crate::agent::now;
use crate::ours::Client;

const CLIENT: &str = "our-attested";

impl World<'_> {
    pub(super) async fn attests(&mut self) -> Result<(), Failure> {
        self.table
            .part("the project's client: attestation-based client authentication");
        let instance = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let jwk: Value = serde_json::from_str(&instance.public_jwk().to_json())?;
        let seconds = now().as_secs();
        let claims = json!({"iss": self.side, "sub": CLIENT, "iat": seconds,
            "exp": seconds.saturating_add(300), "cnf": {"jwk": jwk}});
        let typ = "oauth-client-attestation+jwt";
        let text = SigningInput::new(typ, Algorithm::Es256, Some("upstream"), &claims)?;
        let attestation = text.sign(&self.upstream)?.into_secret();
        let claims = json!({"iss": CLIENT, "aud": self.issuer.as_str(), "iat": seconds,
            "jti": random::id128(random::SYSTEM)?});
        let typ = "oauth-client-attestation-pop+jwt";
        let proof = SigningInput::new(typ, Algorithm::Es256, None, &claims)?.sign(&instance)?;
        let endpoint = self.server.metadata.token_endpoint()?.as_str();
        let request = Request::post(endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("oauth-client-attestation", attestation.expose())
            .header("oauth-client-attestation-pop", proof.into_secret().expose())
            .body(format!("grant_type=client_credentials&client_id={CLIENT}").into_bytes())?;
        let status = self.server.fetcher.send(request).await?.status();
        let step = "a proof with `iss` (-07), made by hand";
        self.table.row(step, "200", status.as_str());
        let instance = Arc::new(instance);
        let client = AttestedClient::new(CLIENT.parse()?, move |_, _| {
            Ok(Attestation::new(attestation.clone(), Arc::clone(&instance)))
        });
        let client = Client::of(client).with_rules(TokenRules::new().omit_resource());
        let asked = self.credentials()?;
        let refused = "oauth.refused invalid_client_attestation";
        let step = "the same attestation, and the client's proof (-11)";
        self.ask(step, refused, &client, asked).await;
        Ok(())
    }
}
