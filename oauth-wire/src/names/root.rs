//! The `/` of an empty path (RFC 3986 §6.2.3), which many servers write or leave out.
//!
//! Discovery alone takes both spellings for one: the entry in a tool's `authorization_servers`
//! against the accepted issuers, the `issuer` of a document against the issuer that was asked for,
//! and `resource` against the tool's URL. The server's own spelling counts from then on, byte for
//! byte.

use super::{Issuer, Resource};
use crate::metadata::attempt::differ_in_root_slash;

macro_rules! root_slash {
    ($name:ident) => {
        impl $name {
            /// The other spelling of an https identifier with an empty path: `https://as.example/`
            /// of `https://as.example`, and the other way round. `None` for every other
            /// identifier, also for one with a query.
            #[must_use]
            pub fn root_slash_variant(&self) -> Option<Self> {
                variant(self.as_str()).map(|text| Self(text.into()))
            }

            /// Whether both are one identifier in discovery: they are equal, or differ in the `/`
            /// of an empty path alone (RFC 3986 §6.2.3).
            ///
            /// Use it while a server is looked for and never to judge a token: from discovery on,
            /// the server's own spelling counts byte for byte.
            #[must_use]
            pub fn equals_in_discovery(&self, other: &Self) -> bool {
                self == other || differ_in_root_slash(self.as_str(), other.as_str())
            }
        }
    };
}

root_slash!(Issuer);
root_slash!(Resource);

/// Identifiers are in normal form, so the text can be cut.
fn variant(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://")?;
    if rest.contains(['?', '#']) {
        return None;
    }
    match rest.split_once('/') {
        None => Some(format!("{text}/")),
        Some((_, "")) => text.strip_suffix('/').map(str::to_owned),
        Some(_) => None,
    }
}
