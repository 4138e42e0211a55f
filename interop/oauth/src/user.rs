//! A user with a browser without windows: it keeps cookies, follows redirections, and fills forms.

use std::collections::BTreeMap;

use aims::fetch::{Fetch as _, Fetcher};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use http::{Request, Response};
use url::Url;

use crate::Failure;

/// The maximum number of pages of one visit.
const MAX_PAGES: usize = 20;

/// A user who logs in as `alice` and agrees to everything.
pub(crate) struct User<'a> {
    fetcher: &'a Fetcher,
    cookies: BTreeMap<String, String>,
}

/// The end of a visit.
pub(crate) enum Visited {
    /// The browser was sent to a URL of the client.
    Callback(String),
    /// A page without a form.
    Page(String),
}

/// Opens a URL as the browser of a desktop does: the user agrees, and the client gets the code.
pub(crate) fn open(fetcher: &Fetcher, url: &str) {
    let (fetcher, url) = (fetcher.clone(), url.to_owned());
    tokio::spawn(async move {
        let visited = User::new(&fetcher).visit(&url, LOOPBACK).await;
        // Without a code, the client tells that it waits in vain.
        if let Ok(Visited::Callback(back)) = visited
            && let Ok(request) = Request::get(back).body(Vec::new())
        {
            drop(fetcher.send(request).await);
        }
    });
}

/// In the URLs to which the browser is sent back: the client's, and no page of a server.
pub(crate) const LOOPBACK: &str = "/callback?";

impl<'a> User<'a> {
    pub(crate) const fn new(fetcher: &'a Fetcher) -> Self {
        Self {
            fetcher,
            cookies: BTreeMap::new(),
        }
    }

    /// Visits a URL. It ends at a URL that contains this, or at a page without a form.
    pub(crate) async fn visit(&mut self, url: &str, callback: &str) -> Result<Visited, Failure> {
        let (mut url, mut form) = (Url::parse(url)?, None);
        for _ in 0..MAX_PAGES {
            let answer = self.request(&url, form.take()).await?;
            if let Some(next) = answer.headers().get(LOCATION) {
                url = url.join(next.to_str()?)?;
                if url.as_str().contains(callback) {
                    return Ok(Visited::Callback(url.into()));
                }
                continue;
            }
            let page = String::from_utf8(answer.into_body())?;
            let Some(action) = attribute(&page, "action=\"") else {
                return Ok(Visited::Page(page));
            };
            url = url.join(&action.replace("&amp;", "&"))?;
            form = Some(filled(&page));
        }
        Err("the pages do not end".into())
    }

    async fn request(
        &mut self,
        url: &Url,
        form: Option<String>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            Some(form) => Request::post(url.as_str())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(COOKIE, cookies.join("; "))
                .header(ORIGIN, url.origin().ascii_serialization())
                .body(form.into_bytes())?,
            None => Request::get(url.as_str())
                .header(COOKIE, cookies.join("; "))
                .body(Vec::new())?,
        };
        let answer = self.fetcher.send(request).await?;
        for set in answer.headers().get_all(SET_COOKIE) {
            let pair = set.to_str()?.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }
}

/// Returns the form of a page, as the user fills it.
fn filled(page: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for input in page.split("<input").skip(1) {
        let input = input.split('>').next().unwrap_or_default();
        let Some(name) = attribute(input, "name=\"") else {
            continue;
        };
        let value = match name {
            "login" => "alice",
            "password" => "any",
            _ => attribute(input, "value=\"").unwrap_or_default(),
        };
        form.append_pair(name, value);
    }
    // Of several buttons, the one that allows.
    for button in page.split("<button").skip(1) {
        let button = button.split('>').next().unwrap_or_default();
        let name = attribute(button, "name=\"");
        if let (Some(name), Some("allow")) = (name, attribute(button, "value=\"")) {
            form.append_pair(name, "allow");
        }
    }
    form.finish()
}

fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(name)?.1.split('"').next()
}
