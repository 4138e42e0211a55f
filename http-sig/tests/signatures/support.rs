//! Messages and keys for the tests, and the vectors of RFC 9421.

use std::time::Duration;

use aims_http_sig::{Component, Error, Exchange, Message, Policy, Section, Signing, Start};
use aims_jose::jwk::Jwk;
use aims_jose::key::{SigningKey, VerifyingKey};
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use serde_json::{Map, Value};

pub(crate) const PROVIDERS: [&dyn Provider; 2] = [AWS_LC, RUSTCRYPTO];

/// The creation time of the signatures in RFC 9421.
pub(crate) const CREATED: u64 = 1_618_884_473;

const VECTORS: [&str; 2] = [
    include_str!("../../../testdata/rfc9421/appendix-b.txt"),
    include_str!("../../../testdata/rfc9421/sections.txt"),
];

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_good| "good")
}

/// A message as lines of text; the authority is that of `Host`.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) start: String,
    pub(crate) scheme: &'static str,
    pub(crate) authority: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

impl Text {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, _content) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let start = lines.next().unwrap().to_owned();
        let headers: Vec<(String, Vec<u8>)> = lines.map(field).collect();
        let host = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let authority = host.map_or_else(String::new, |(_, value)| {
            String::from_utf8(value.clone()).unwrap()
        });
        Self {
            start,
            scheme: "https",
            authority,
            headers,
            trailers: Vec::new(),
        }
    }

    /// Adds field lines: `Name: value`.
    pub(crate) fn with(mut self, fields: &str) -> Self {
        self.headers.extend(fields.lines().map(field));
        self
    }

    /// Replaces all lines with this name.
    pub(crate) fn replacing(mut self, name: &str, values: &[&str]) -> Self {
        self.headers
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        for value in values {
            self.headers
                .push((name.to_owned(), value.as_bytes().to_vec()));
        }
        self
    }

    /// Replaces a text in all parts of the message.
    pub(crate) fn changed(mut self, from: &str, to: &str) -> Self {
        let mut seen = self.start.contains(from) || self.authority.contains(from);
        self.start = self.start.replace(from, to);
        self.authority = self.authority.replace(from, to);
        for (_, value) in &mut self.headers {
            let text = String::from_utf8(value.clone()).unwrap();
            seen |= text.contains(from);
            *value = text.replace(from, to).into_bytes();
        }
        assert!(seen, "`{from}` is not there");
        self
    }

    pub(crate) fn exchange(&self) -> Exchange<'_> {
        Exchange::of(self)
    }
}

fn field(line: &str) -> (String, Vec<u8>) {
    let (name, value) = line.split_once(':').unwrap();
    (
        name.to_owned(),
        value.strip_prefix(' ').unwrap_or(value).as_bytes().to_vec(),
    )
}

impl Message for Text {
    fn start(&self) -> Start<'_> {
        let mut words = self.start.split(' ');
        let (first, second) = (words.next().unwrap(), words.next().unwrap());
        if first.starts_with("HTTP/") {
            return Start::Response {
                status: second.parse().unwrap(),
            };
        }
        Start::Request {
            method: first,
            target: second,
            scheme: self.scheme,
            authority: &self.authority,
        }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        let fields = match section {
            Section::Headers => &self.headers,
            Section::Trailers => &self.trailers,
        };
        fields
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .for_each(|(_, value)| each(value));
    }
}

/// Returns the unfolded blocks below a title of appendix B, or of a section.
pub(crate) fn vector(title: &str) -> Vec<String> {
    let title = format!("## {title}\n");
    let found = VECTORS.iter().find_map(|text| text.split_once(&title));
    let (_, rest) = found.unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in section.lines() {
        match (line, block.take()) {
            ("-----", None) => block = Some(Vec::new()),
            ("-----", Some(lines)) => blocks.push(unfold(&lines)),
            (_, Some(mut lines)) => {
                lines.push(line);
                block = Some(lines);
            }
            _ => {}
        }
    }
    blocks
}

/// RFC 8792 §7.1.2; one block is folded without a note.
fn unfold(lines: &[&str]) -> String {
    let said = lines[0].starts_with("NOTE: '\\'");
    let lines = if said { &lines[2..] } else { lines };
    let mut text = String::new();
    let mut folded = true;
    for (at, line) in lines.iter().enumerate() {
        if !folded {
            text.push('\n');
        }
        let line = if folded && at > 0 {
            line.trim_start()
        } else {
            line
        };
        folded = line.ends_with('\\');
        text.push_str(line.strip_suffix('\\').unwrap_or(line));
    }
    text
}

fn jwk(title: &str, alg: &str) -> Map<String, Value> {
    let blocks = vector(title);
    let text = blocks.last().unwrap();
    let mut jwk: Map<String, Value> = serde_json::from_str(text).unwrap();
    jwk.insert("alg".to_owned(), alg.into());
    jwk
}

/// A private key of appendix B.1.
pub(crate) fn signing_key(title: &str, alg: &str, provider: &'static dyn Provider) -> SigningKey {
    let json = serde_json::to_vec(&jwk(title, alg)).unwrap();
    SigningKey::from_jwk(&json, provider).unwrap()
}

/// A public key of appendix B.1.
pub(crate) fn public_key(title: &str, alg: &str, provider: &'static dyn Provider) -> VerifyingKey {
    let mut jwk = jwk(title, alg);
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.remove(private);
    }
    let jwk = Jwk::parse(&serde_json::to_vec(&jwk).unwrap()).unwrap();
    VerifyingKey::from_jwk(&jwk, provider).unwrap()
}

pub(crate) const ED25519: &str = "Example Ed25519 Test Key";
pub(crate) const P256: &str = "Example ECC P-256 Test Key";
pub(crate) const RSA: &str = "Example Key RSA test";
pub(crate) const RSA_PSS: &str = "Example RSA PSS Key";

/// A request to sign.
pub(crate) fn post() -> Text {
    Text::parse(
        "POST /pay?amount=5 HTTP/1.1\nHost: tools.example\nContent-Type: application/json\nContent-Digest: sha-256=:AAAA:\nAuthorization: Bearer token",
    )
}

/// The settings for the signatures of the tests.
pub(crate) fn signing() -> Signing {
    Signing::new("sig1")
        .covering(components(&[
            "@method",
            "@target-uri",
            "content-digest",
            "authorization",
        ]))
        .with_created()
        .with_expires_after(Duration::from_secs(60))
        .with_nonce("n-1")
        .with_tag("payments")
}

/// A policy that accepts [`signing`].
pub(crate) fn policy() -> Policy {
    Policy::requiring(components(&[
        "@method",
        "@target-uri",
        "content-digest",
        "authorization",
    ]))
    .with_tag("payments")
}

pub(crate) fn components(names: &[&str]) -> Vec<Component> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Signs the message with the Ed25519 key of RFC 9421, at this time.
pub(crate) fn signed(message: Text, signing: &Signing, seconds: u64) -> Text {
    let key = signing_key(ED25519, "EdDSA", AWS_LC);
    let prepared = signing
        .prepare(&message.exchange(), SYSTEM, at(seconds))
        .unwrap();
    let fields = prepared.sign(&key).unwrap();
    let (input, signature) = (fields.signature_input(), fields.signature());
    let lines = format!("Signature-Input: {input}\nSignature: {signature}");
    message.with(&lines)
}

/// Returns the result of a policy with that key.
pub(crate) fn verdict(policy: &Policy, message: &Text, seconds: u64) -> &'static str {
    let key = public_key(ED25519, "EdDSA", AWS_LC);
    code(policy.verify(&message.exchange(), &key, at(seconds)))
}

/// Returns the only line of a field.
pub(crate) fn line(message: &Text, name: &str) -> String {
    let mut lines = message.headers.iter().filter(|(own, _)| own == name);
    let (_, value) = lines.next().unwrap();
    assert!(lines.next().is_none());
    String::from_utf8(value.clone()).unwrap()
}
