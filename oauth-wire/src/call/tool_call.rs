//! One call of a tool: its name, its arguments, and the forms in which all parties name it.

use core::fmt;

use aims_jose::Error;
use aims_jose::json::{self, canonical};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::CallDigest;
use crate::authorization_details::{AuthorizationDetails, ToolDetail};

/// One call of a tool: the name of the tool, and the arguments in canonical form (RFC 8785).
///
/// An agent asks a person for exactly this call, and the tool compares what it received with what
/// the person approved. Both make it from the same content.
///
/// ```
/// use aims_oauth_wire::call::ToolCall;
///
/// let call = ToolCall::new("transfer", Some(br#"{"to": "bob", "amount": 1.0}"#))?;
/// assert_eq!(call.arguments(), r#"{"amount":1,"to":"bob"}"#);
/// // The tool reads the same call from a message of MCP.
/// let message = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call",
///     "params":{"name":"transfer","arguments":{"amount":1,"to":"bob"}}}"#;
/// assert_eq!(ToolCall::from_mcp(message)?, Some(call));
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ToolCall {
    tool: Box<str>,
    arguments: Box<str>,
    digest: CallDigest,
}

#[derive(Deserialize)]
struct Message<'a> {
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl ToolCall {
    /// Creates a call of this tool with these arguments, a JSON object. Missing arguments count as
    /// `{}`.
    ///
    /// # Errors
    ///
    /// Those of [`CallDigest::of`].
    pub fn new(tool: &str, arguments: Option<&[u8]>) -> Result<Self, Error> {
        let arguments = canonical(arguments.unwrap_or(b"{}"))?;
        let digest = CallDigest::of(tool, Some(arguments.as_bytes()))?;
        Ok(Self {
            tool: tool.into(),
            arguments: arguments.into(),
            digest,
        })
    }

    /// Reads the call of a JSON-RPC message of MCP: `name` and `arguments` of `tools/call`. Returns
    /// `None` for a message with another method.
    ///
    /// # Errors
    ///
    /// `jws.not_an_object` if the message is not a JSON object, such as a batch; `jws.json` for a
    /// member of another type; and those of [`new`](Self::new).
    pub fn from_mcp(message: &[u8]) -> Result<Option<Self>, Error> {
        let message: Message<'_> = json::from_object(message)?;
        if message.method.as_deref() != Some("tools/call") {
            return Ok(None);
        }
        let params = message.params.map_or("{}", RawValue::get);
        let params: Params<'_> = json::from_object(params.as_bytes())?;
        let arguments = params.arguments.map(|it| it.get().as_bytes());
        Self::new(&params.name, arguments).map(Some)
    }

    /// Returns the name of the tool.
    #[must_use]
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// Returns the arguments in canonical form.
    #[must_use]
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// Returns the digest of the call.
    #[must_use]
    pub const fn digest(&self) -> &CallDigest {
        &self.digest
    }

    /// Returns the authorization details that permit this one call at this resource (RFC 9396): one
    /// entry of the type `aims_tool`.
    ///
    /// ```
    /// use aims_oauth_wire::call::ToolCall;
    ///
    /// let call = ToolCall::new("list", None)?;
    /// let details = call.details("https://tools.example/mcp").to_json();
    /// assert!(details.contains(r#""tool":"list""#) && details.contains(r#""call_digest":""#));
    /// # Ok::<(), aims_jose::Error>(())
    /// ```
    #[must_use]
    pub fn details(&self, resource: &str) -> AuthorizationDetails {
        let entry = ToolDetail::for_call(self).locations([resource]);
        // An entry of this type always has its `type`.
        AuthorizationDetails::default()
            .with(&entry)
            .unwrap_or_default()
    }
}

/// Omits the arguments, which may be private.
impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall")
            .field("tool", &self.tool)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
