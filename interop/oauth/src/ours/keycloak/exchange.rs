//! Keycloak's token exchange (RFC 8693).

use std::time::Duration;

use aims::jose::provider;
use aims::oauth_client::{
    ActorToken, Delegation, DpopKey, Impersonation, SubjectToken, Token, TokenRules,
};

use super::World;
use crate::Failure;
use crate::ours::{Client, told};

impl World<'_> {
    pub(super) async fn exchanges(&mut self) -> Result<(), Failure> {
        self.table
            .part("the project's client: token exchange (RFC 8693)");
        // A login with `resource` has only that in `aud`; these tokens are for the clients.
        let without = || TokenRules::new().omit_resource();
        let target = self.target("tools.call")?;
        let mut callers = Vec::new();
        for app in ["our-device", "our-brief"] {
            let app = Client::public(app)?.with_rules(without());
            let login = self.server.by_device(&app, target.clone()).await?;
            callers.push(login);
        }
        let [caller, brief] = callers.as_slice() else {
            return Err("two callers".into());
        };
        let exchange = |token: &Token| {
            let exchange = Impersonation::new(SubjectToken::of(token), target.clone());
            exchange.audience("tool")
        };
        let agent = self.agent.clone();
        let token = self.server.token(&agent, exchange(caller)).await;
        self.table.row(
            "for the tool, no more than the caller's",
            "ok",
            &told(&token),
        );
        if let Ok(token) = token {
            let url = format!("{}/jwt/call", self.tool);
            let called = self.server.call(&url, &token).await?;
            self.table.row("and a call", "200", &called);
        }
        let exchanged = exchange(brief);
        self.ask(
            "a lifetime of its own, beyond the caller's",
            "grant.lifetime",
            &agent,
            exchanged,
        )
        .await;
        let exchanged = exchange(brief).accept_new_lifetime();
        self.ask("the same, accepted by name", "ok", &agent, exchanged)
            .await;
        let exchanged = exchange(brief).max_lifetime(Duration::from_secs(30));
        self.ask(
            "a lifetime beyond what the program allows",
            "grant.lifetime",
            &agent,
            exchanged,
        )
        .await;
        let wide = Client::with_key("our-wide", &self.own)?.with_rules(without());
        let exchanged = exchange(caller);
        self.ask(
            "more scopes than were asked for",
            "grant.scope",
            &wide,
            exchanged,
        )
        .await;
        let lenient = wide.clone().with_rules(without().accept_wider_scopes());
        let exchanged = exchange(caller);
        let step = "the same, where the program accepts wider scopes of this server";
        self.ask(step, "delegate.scope", &lenient, exchanged).await;
        let actor = self.server.token(&agent, self.credentials()?).await?;
        let subject = SubjectToken::of(caller);
        let delegated = Delegation::new(subject, ActorToken::of(&actor), target.clone());
        let delegated = delegated.audience("tool");
        self.ask(
            "`actor_token` is ignored: no `act`",
            "grant.actor",
            &agent,
            delegated,
        )
        .await;
        let nowhere = Impersonation::new(SubjectToken::of(caller), target.clone());
        let nowhere = nowhere.audience("nowhere");
        self.ask(
            "an audience that is not there",
            "oauth.refused",
            &agent,
            nowhere,
        )
        .await;
        let by_resource = Impersonation::new(SubjectToken::of(caller), target.clone());
        let strict = Client::with_key("our-agent", &self.own)?;
        let token = self.server.token(&strict, by_resource).await;
        let step = "`resource` without `audience` is ignored";
        self.table.row(step, "ok", &told(&token));
        if let Ok(token) = token {
            let url = format!("{}/named/call", self.tool);
            let called = self.server.call(&url, &token).await?;
            let step = "which the tool of that resource notices";
            self.table.row(step, "401 token.audience", &called);
        }
        let key = DpopKey::generate(provider::default())?;
        let bound = Client::with_key("our-dpop", &self.own)?.with_rules(without());
        let token = self
            .server
            .token(&bound.bound_to(&key), exchange(caller))
            .await;
        let seen = match &token {
            Ok(token) if token.is_bound() => "bound".to_owned(),
            Ok(_) => "bearer".to_owned(),
            Err(_) => told(&token),
        };
        self.table.row(
            "for a token that is bound to the agent's key",
            "bound",
            &seen,
        );
        Ok(())
    }
}
