//! The page of the inbox. It has no script, and escapes every text.

use core::fmt::Write as _;
use std::sync::Arc;

use aims_jose::time::UnixTime;

use super::Approval;
use crate::oauth::authorize::page::{escape, head};
use crate::oauth::{Client, rendered};

/// The inbox of one user.
pub(super) struct Inbox<'a> {
    pub(super) subject: &'a str,
    pub(super) items: &'a [Item],
    /// The URL that the forms are sent to.
    pub(super) action: &'a str,
    pub(super) now: UnixTime,
}

/// One request that waits.
pub(super) struct Item {
    pub(super) client: Option<Arc<Client>>,
    pub(super) key: String,
    pub(super) csrf: String,
    pub(super) approval: Approval,
}

impl Inbox<'_> {
    pub(super) fn to_html(&self) -> String {
        let mut out = head("Requests for your approval");
        let user = escape(self.subject);
        let _ = write!(
            out,
            "<h1>Requests for your approval</h1><p>You are signed in as <strong>{user}</strong>.</p>"
        );
        if self.items.is_empty() {
            out.push_str("<p>Nothing waits for you.</p>");
        }
        for item in self.items {
            self.item(&mut out, item);
        }
        out.push_str("</body></html>");
        out
    }

    fn item(&self, out: &mut String, item: &Item) {
        let asked = &item.approval.asked;
        let client_id = escape(&asked.client_id);
        let flow = item.client.as_ref().map(|it| &it.flow);
        let name = flow.and_then(|it| it.name.as_deref());
        out.push_str("<hr><dl>");
        if let Some(name) = name {
            let name = escape(name);
            let _ = write!(out, "<dt>Program</dt><dd>{name}</dd>");
        }
        let _ = write!(out, "<dt>Identifier</dt><dd>{client_id}</dd>");
        for (resource, scopes) in &asked.rights {
            let resource = escape(resource);
            let _ = write!(out, "<dt>At</dt><dd>{resource}</dd>");
            if !scopes.is_empty() {
                let scopes: Vec<String> = scopes.iter().map(|it| escape(it)).collect();
                let scopes = scopes.join(", ");
                let _ = write!(out, "<dt>It may use</dt><dd>{scopes}</dd>");
            }
        }
        for entry in &asked.details {
            rendered::entry(out, entry);
        }
        if let Some(message) = &asked.binding_message {
            let message = escape(message);
            let _ = write!(
                out,
                "<dt>Message of the program (unverified)</dt><dd>{message}</dd>"
            );
        }
        let left = item.approval.expires.saturating_sub(self.now.as_secs());
        let (action, key, csrf) = (escape(self.action), &item.key, &item.csrf);
        let _ = write!(
            out,
            "<dt>Ends in</dt><dd>{left} seconds</dd></dl>\
             <p class=\"warning\">Approve only what you expect. The program must show the same \
             code.</p>\
             <form method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"request\" value=\"{key}\">\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
             <button name=\"decision\" value=\"allow\">Approve</button>\
             <button name=\"decision\" value=\"deny\">Deny</button></form>"
        );
    }
}
