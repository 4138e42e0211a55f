//! A user in a browser.

use std::sync::{Arc, Mutex};

use aims_oauth_client::{Authorizing, Receive, ReceiveFuture, Receiving, RedirectUri};

/// A user who agrees to everything at once. Records the URLs.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    urls: Arc<Mutex<Vec<String>>>,
    /// The error by which the server refuses `offline_access`.
    pub(crate) refusal: Option<&'static str>,
}

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
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.1.urls.lock().unwrap().push(login.url().to_owned());
            let [state, scope] = ["state", "scope"].map(|name| value(login.url(), name));
            match self.1.refusal {
                Some(error) if scope.contains("offline_access") => {
                    Ok(format!("error={error}&state={state}"))
                }
                _ => Ok(format!("code=c&state={state}")),
            }
        })
    }
}

impl User {
    /// Returns the values of a parameter of each login.
    pub(crate) fn asked(&self, name: &str) -> Vec<String> {
        let urls = self.urls.lock().unwrap();
        urls.iter().map(|url| value(url, name)).collect()
    }
}

fn value(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(own, _)| own == name);
    found.map_or_else(String::new, |(_, value)| value.into_owned())
}
