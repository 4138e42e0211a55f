//! The consent page and the error page. They have no script, and escape every text.

use core::fmt::Write as _;

use super::Interaction;
use crate::oauth::Client;

/// The style of both pages. The policy of the page allows exactly this text.
pub(in crate::oauth) const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;\
    padding:0 1em}dt{font-weight:bold;margin-top:1em}dd{margin:0;overflow-wrap:anywhere}\
    button{font:inherit;padding:.5em 1.5em;margin:1.5em 1em 0 0}.warning{border-left:4px solid \
    #b00;padding-left:1em}pre{white-space:pre-wrap;overflow-wrap:anywhere}";

/// The consent page.
pub(super) struct Consent<'a> {
    pub(super) client: &'a Client,
    pub(super) interaction: &'a Interaction,
    /// Where the answer goes: an origin, or a scheme.
    pub(super) destination: &'a str,
    /// The URL that the form is sent to.
    pub(super) action: &'a str,
    /// The secrets of the form.
    pub(super) request: &'a str,
    pub(super) csrf: &'a str,
}

impl Consent<'_> {
    pub(super) fn to_html(&self) -> String {
        let asked = &self.interaction.request;
        let flow = &self.client.flow;
        let client_id = escape(&asked.client_id);
        let name = escape(flow.name.as_deref().unwrap_or(&asked.client_id));
        let mut out = head("Authorize an agent");
        let user = escape(&self.interaction.subject);
        let _ = write!(
            out,
            "<h1>Authorize an agent?</h1><p>You are signed in as <strong>{user}</strong>. \
             This program asks to act for you:</p><dl>"
        );
        if flow.unverified {
            let _ = write!(
                out,
                "<dt>Name that it gives itself (unverified)</dt><dd>{name}</dd>"
            );
        } else {
            let _ = write!(out, "<dt>Name</dt><dd>{name}</dd>");
        }
        let _ = write!(out, "<dt>Identifier</dt><dd>{client_id}</dd>");
        let destination = escape(self.destination);
        let _ = write!(
            out,
            "<dt>The answer goes to</dt><dd>{destination}</dd><dt>It may use</dt>"
        );
        for (resource, scopes) in &asked.rights {
            let resource = escape(resource);
            let scopes: Vec<String> = scopes.iter().map(|it| escape(it)).collect();
            let scopes = match scopes.is_empty() {
                true => "no scope".to_owned(),
                false => scopes.join(", "),
            };
            let _ = write!(out, "<dd>{resource}: {scopes}</dd>");
        }
        for entry in &asked.details {
            crate::oauth::rendered::entry(&mut out, entry);
        }
        out.push_str("</dl>");
        if flow.unverified {
            out.push_str(
                "<p class=\"warning\">The operator has not checked this program. Continue only if you \
                 started it yourself.</p>",
            );
        }
        let (action, request, csrf) = (escape(self.action), self.request, self.csrf);
        let _ = write!(
            out,
            "<form method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"request\" value=\"{request}\">\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
             <button name=\"decision\" value=\"allow\">Allow</button>\
             <button name=\"decision\" value=\"deny\">Deny</button></form></body></html>"
        );
        out
    }
}

/// Returns the page for a refusal that cannot be sent to the client.
pub(super) fn error(reason: &str) -> String {
    let mut out = head("The request was refused");
    let _ = write!(
        out,
        "<h1>The request was refused</h1><p>{}</p><p>Return to the program and start again.</p>\
         </body></html>",
        escape(reason)
    );
    out
}

pub(in crate::oauth) fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>"
    )
}

/// Escapes a text for HTML, in elements and in quoted attributes. Characters that could change the
/// direction or the look of other text become visible.
pub(in crate::oauth) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            other if is_confusing(other) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out
}

/// Returns whether a character is invisible or changes how its neighbours are shown.
fn is_confusing(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_escaped() {
        assert_eq!(
            escape("<script>\"'&\u{202e}\u{0}</script>"),
            "&lt;script&gt;&quot;&#39;&amp;\\u{202e}\\u{0}&lt;/script&gt;"
        );
        assert_eq!(escape("Zoë 東京"), "Zoë 東京");
    }
}
