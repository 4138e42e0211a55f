//! A user who agrees to everything.

use std::sync::{Arc, Mutex};

use aims::oauth_client::{Authorizing, Receive, ReceiveFuture, Receiving, RedirectUri};

/// Agrees to everything. Has the query of each login.
#[derive(Clone, Debug, Default)]
pub(crate) struct User(pub(crate) Arc<Mutex<Vec<String>>>);

struct Deciding(RedirectUri, User);

impl Receive for User {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let redirect = "http://127.0.0.1:4711/callback".parse().unwrap();
        let deciding: Box<dyn Receiving> = Box::new(Deciding(redirect, self.clone()));
        Box::pin(std::future::ready(Ok(deciding)))
    }
}

impl Receiving for Deciding {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.0
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        let (_, query) = login.url().split_once('?').unwrap();
        let mut parts = query.split('&');
        let state = parts.find_map(|it| it.strip_prefix("state=")).unwrap();
        self.1.0.lock().unwrap().push(query.to_owned());
        Box::pin(std::future::ready(Ok(format!("code=c&state={state}"))))
    }
}
