//! The person who decides: loads the page of the authorization server, compares the code, and sends
//! the form of the page, as a browser does.

use aims::fetch::{Fetch as _, Fetcher};
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use http::{Request, Response};

use crate::world::Failure;

/// The button that the person presses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    Allow,
    Deny,
}

/// The page with the requests that wait for the person.
pub(crate) struct Page {
    authority: String,
    cookie: String,
    html: String,
}

/// Loads the page.
pub(crate) async fn open(authority: &str, fetcher: &Fetcher) -> Result<Page, Failure> {
    let request = Request::get(format!("{authority}/approvals")).body(Vec::new())?;
    let answer = fetcher.send(request).await?;
    let cookie = answer.headers().get(SET_COOKIE).ok_or("no session")?;
    let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(Page {
        authority: authority.to_owned(),
        cookie: cookie.to_owned(),
        html: String::from_utf8(answer.body().clone())?,
    })
}

impl Page {
    /// Returns the text of the page, as a person reads it: a line for each term.
    pub(crate) fn lines(&self) -> Vec<String> {
        let terms = self.html.split("<dt>").skip(1);
        terms
            .map(|term| {
                let end = term.find("</dd>").unwrap_or(term.len());
                let term = term.get(..end).unwrap_or_default();
                let term = term.replace("</dt>", ": ").replace("&quot;", "\"");
                // What is left between angle brackets is markup: texts are escaped.
                let mut inside = false;
                term.chars()
                    .filter(|it| match it {
                        '<' => {
                            inside = true;
                            false
                        }
                        '>' => {
                            inside = false;
                            false
                        }
                        _ => !inside,
                    })
                    .collect()
            })
            .collect()
    }

    /// Returns whether the page shows this code.
    pub(crate) fn shows(&self, code: &str) -> bool {
        self.html.contains(&format!("<strong>{code}</strong>"))
    }

    fn field(&self, name: &str) -> Option<&str> {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.html.split_once(&start)?;
        rest.split('"').next()
    }

    /// Sends the form of the request that waits.
    pub(crate) async fn submit(
        &self,
        decision: Decision,
        fetcher: &Fetcher,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let csrf = self.field("csrf").ok_or("nothing waits")?;
        self.submit_with(csrf, decision, fetcher).await
    }

    /// Sends the form with this anti-CSRF token.
    pub(crate) async fn submit_with(
        &self,
        csrf: &str,
        decision: Decision,
        fetcher: &Fetcher,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let request = self.field("request").ok_or("nothing waits")?;
        let decision = match decision {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
        };
        let form = format!("request={request}&csrf={csrf}&decision={decision}");
        let request = Request::post(format!("{}/approvals/decision", self.authority))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, &self.cookie)
            .header(ORIGIN, "null")
            .header("sec-fetch-site", "same-origin")
            .body(form.into_bytes())?;
        Ok(fetcher.send(request).await?)
    }
}
