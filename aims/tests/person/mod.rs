//! A person at a browser: loads the consent page of the authority and sends its form. There is no
//! other way to approve.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test fails by panicking, and each file uses a part of it"
)]

use std::fmt;
use std::sync::{Arc, Mutex};

use aims::fetch::Fetch;
use aims::oauth_client::{Authorizing, Receive, ReceiveFuture, Receiving, RedirectUri};
use http::Request;

/// A browser whose person decides in the same way each time.
#[derive(Clone)]
pub(crate) struct Browser {
    net: Arc<dyn Fetch>,
    authority: String,
    decision: &'static str,
    redirect: RedirectUri,
    pages: Arc<Mutex<Vec<String>>>,
}

impl Browser {
    /// The decision is `allow` or `deny`.
    pub(crate) fn new(net: impl Fetch + 'static, authority: &str, decision: &'static str) -> Self {
        Self {
            net: Arc::new(net),
            authority: authority.to_owned(),
            decision,
            redirect: "http://127.0.0.1:51234/callback".parse().unwrap(),
            pages: Arc::default(),
        }
    }

    /// Returns the pages that the person saw.
    pub(crate) fn pages(&self) -> Vec<String> {
        self.pages.lock().unwrap().clone()
    }

    /// Loads the page, sends its form, and returns the query with which the browser goes back.
    async fn decide(&self, url: &str) -> String {
        let request = Request::get(url).header("host", host(&self.authority));
        let answer = self
            .net
            .send(request.body(Vec::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = String::from_utf8(answer.into_body()).unwrap();
        let hidden = page.split("<input type=\"hidden\" name=\"").skip(1);
        let mut form = format!("decision={}", self.decision);
        for field in hidden {
            let (name, rest) = field.split_once("\" value=\"").unwrap();
            let value = rest.split('"').next().unwrap();
            form.push_str(&format!("&{name}={value}"));
        }
        self.pages.lock().unwrap().push(page);
        let request = Request::post(format!("{}/consent", self.authority))
            .header("host", host(&self.authority))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie)
            .header("origin", "null")
            .header("sec-fetch-site", "same-origin");
        let request = request.body(form.into_bytes()).unwrap();
        let answer = self.net.send(request).await.unwrap();
        assert_eq!(answer.status(), 303, "{answer:?}");
        let place = answer.headers()["location"].to_str().unwrap();
        let (redirect, query) = place.split_once('?').unwrap();
        assert_eq!(redirect, self.redirect.as_str());
        query.to_owned()
    }
}

fn host(url: &str) -> &str {
    url.split("//").nth(1).unwrap()
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}

impl Receive for Browser {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let waiting: Box<dyn Receiving> = Box::new(self.clone());
        Box::pin(async move { Ok(waiting) })
    }
}

impl Receiving for Browser {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        Box::pin(async move { Ok(self.decide(login.url()).await) })
    }
}
