//! Authorization details as a page shows them to the user who decides.
//!
//! A call of a tool is rendered from its typed members alone: the tool and each argument. No text
//! of the client stands beside them.

use core::fmt::Write as _;

use aims_oauth_wire::call::ToolCall;
use serde_json::{Map, Value};

use super::authorize::page::escape;
use super::details;

/// Writes one entry as items of a definition list.
pub(super) fn entry(out: &mut String, entry: &Value) {
    if let Some(call) = details::call(core::slice::from_ref(entry)) {
        return self::call(out, &call);
    }
    out.push_str("<dt>In detail (text of the program, unverified)</dt>");
    let entry = serde_json::to_string_pretty(entry).unwrap_or_default();
    let _ = write!(out, "<dd><pre>{}</pre></dd>", escape(&entry));
}

/// Writes one call: the tool, and a line for each argument.
fn call(out: &mut String, call: &ToolCall) {
    let tool = escape(call.tool());
    let _ = write!(
        out,
        "<dt>One call of the tool</dt><dd><strong>{tool}</strong></dd>"
    );
    let arguments: Map<String, Value> = serde_json::from_str(call.arguments()).unwrap_or_default();
    if arguments.is_empty() {
        out.push_str("<dt>Arguments</dt><dd>none</dd>");
    }
    for (name, value) in &arguments {
        let shown = match value {
            // Quotes tell a text from a number.
            Value::Array(_) | Value::Object(_) => {
                serde_json::to_string_pretty(value).unwrap_or_default()
            }
            other => other.to_string(),
        };
        let (name, shown) = (escape(name), escape(&shown));
        let _ = write!(out, "<dt>Argument {name}</dt><dd><pre>{shown}</pre></dd>");
    }
    let code = call.digest().short_code();
    let _ = write!(
        out,
        "<dt>Code</dt><dd><strong>{code}</strong> (the program must show the same code)</dd>"
    );
}
