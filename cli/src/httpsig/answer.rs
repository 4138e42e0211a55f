//! The answer about a verified signature, for people and in JSON.

use std::fmt::Write as _;

use aims_http_sig::{BareItem, Key, VerifiedSignature};
use aims_jose::digest::Fingerprint;
use aims_jose::time::UnixTime;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::text::{escaped, word};
use crate::time::in_words;
use crate::token;

/// Header fields whose values are secrets. They are shown as fingerprints.
const SECRET: [&str; 8] = [
    "authorization",
    "cookie",
    "dpop",
    "proxy-authorization",
    "set-cookie",
    "txn-token",
    "workload-identity-token",
    "workload-proof-token",
];

/// Tells whether the signature covers the content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    /// The content has the covered digest.
    Covered,
    /// The message has no content.
    Empty,
    /// No digest of the content is covered, so the content may have been changed.
    NotCovered,
}

/// The answer about a valid signature.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    verified: bool,
    message: &'static str,
    label: &'a str,
    algorithm: &'static str,
    key: ShownKey<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender<'a>>,
    components: Vec<Component<'a>>,
    parameters: Parameters<'a>,
    content: Content,
    #[serde(skip)]
    remark: &'static str,
}

/// The owner of the key.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sender<'a> {
    /// The URL at which the key is published.
    Agent(&'a str),
    /// A workload, by its token.
    Id(&'a str),
    /// The token was not verified.
    TokenNotVerified(bool),
}

#[derive(Serialize)]
struct ShownKey<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbprint: Option<String>,
}

#[derive(Serialize)]
struct Component<'a> {
    component: &'a str,
    #[serde(skip)]
    is_of_request: bool,
    #[serde(flatten)]
    value: Value<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Value<'a> {
    Fingerprint(String),
    Value(&'a str),
}

struct Parameters<'a>(Vec<(&'a str, BareItem<'a>)>);

impl<'a> Answer<'a> {
    pub(super) fn new(
        message: &'static str,
        signature: &'a VerifiedSignature,
        sender: Option<Sender<'a>>,
        content: Content,
        remark: &'static str,
    ) -> Self {
        let shown = |(id, value): (aims_http_sig::ComponentId<'a>, &'a str)| Component {
            component: id.as_str(),
            is_of_request: id.is_of_request(),
            value: if SECRET.contains(&id.name()) {
                Value::Fingerprint(Fingerprint::of(value.as_bytes()).to_string())
            } else {
                Value::Value(value)
            },
        };
        let key = match signature.key() {
            Key::Public(key) => ShownKey {
                id: key.key_id(),
                thumbprint: Some(key.thumbprint().to_string()),
            },
            Key::Shared(key) => ShownKey {
                id: Some(key.id()).filter(|id| !id.is_empty()),
                thumbprint: None,
            },
        };
        Self {
            verified: true,
            message,
            label: signature.label(),
            algorithm: signature.algorithm().name(),
            key,
            sender,
            components: signature.components().map(shown).collect(),
            parameters: Parameters(signature.parameters().iter().collect()),
            content,
            remark,
        }
    }

    pub(super) fn json(&self) -> Result<Zeroizing<String>, Failure> {
        token::json(self)
    }

    /// Returns the lines for people.
    pub(super) fn lines(&self, now: UnixTime) -> Zeroizing<String> {
        let mut text = format!("verified{}\n\n", self.remark);
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<10} {value}");
        };
        line("message", self.message);
        line("label", &word(self.label));
        line("algorithm", self.algorithm);
        if let Some(id) = self.key.id {
            line("key", &word(id));
        }
        if let Some(thumbprint) = &self.key.thumbprint {
            line("thumbprint", thumbprint);
        }
        match &self.sender {
            Some(Sender::Id(id)) => line("id", &word(id)),
            Some(Sender::Agent(url)) => line("agent", &word(url)),
            Some(Sender::TokenNotVerified(_)) => line("id", "UNKNOWN: the token was not verified"),
            None => {}
        }
        line("content", self.content.words());
        text.push_str("\ncovered\n");
        if self.components.iter().all(|it| it.is_of_request) {
            let of = if self.components.is_empty() {
                String::new()
            } else {
                format!(" OF THE {}", self.message.to_uppercase())
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  NOTHING{of}: anyone can put this signature on another message"
            );
        }
        for Component {
            component, value, ..
        } in &self.components
        {
            let _ = match value {
                Value::Value(value) => {
                    writeln!(text, "  {}: {}", escaped(component), escaped(value))
                }
                Value::Fingerprint(hash) => {
                    writeln!(
                        text,
                        "  {}: (its SHA-256 begins with {hash})",
                        escaped(component)
                    )
                }
            };
        }
        text.push_str("\nparameters\n");
        for (name, value) in &self.parameters.0 {
            let _ = write!(text, "  {name}: {}", escaped(&value.to_string()));
            if let (true, Some(seconds)) = (["created", "expires"].contains(name), seconds(value)) {
                let _ = write!(text, "  ({})", in_words(seconds, now));
            }
            text.push('\n');
        }
        Zeroizing::new(text)
    }
}

impl Content {
    const fn words(self) -> &'static str {
        match self {
            Self::Covered => "as it was signed",
            Self::Empty => "none",
            Self::NotCovered => "NOT COVERED: it may have been changed",
        }
    }
}

fn seconds(value: &BareItem<'_>) -> Option<u64> {
    match value {
        BareItem::Integer(seconds) => u64::try_from(*seconds).ok(),
        _ => None,
    }
}

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_key(name)?;
            match (value, value.text()) {
                (_, Some(text)) => map.serialize_value(&text)?,
                (BareItem::Integer(number), _) => map.serialize_value(number)?,
                (BareItem::Boolean(truth), _) => map.serialize_value(truth)?,
                (other, _) => map.serialize_value(&other.to_string())?,
            }
        }
        map.end()
    }
}
