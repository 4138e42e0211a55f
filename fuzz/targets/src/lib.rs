//! The fuzz targets, each a function over bytes.
//!
//! A target asserts properties, and not only the absence of panics. A parsed value is written so
//! that it parses to the same value. Each refusal has a code of the crate's table. If there are two
//! ways to a result, the results are equal. `fuzz/run` feeds the targets with input from libFuzzer;
//! `tests/replay.rs` feeds them with the seeds of `fuzz/corpus`.

mod accept_signature;
mod access_token;
mod agent_directory;
mod authorization_details;
mod authorization_grant;
mod bundle;
mod challenge;
mod delegate;
mod digest_field;
mod dpop;
mod form;
mod freshness;
mod head;
mod http1;
mod identifier;
mod jwk_set;
mod jws;
mod jwt_claims;
mod known;
mod private_key;
mod resource_metadata;
mod server_metadata;
mod signature;
mod signature_agent;
mod token_response;
mod trace_context;
mod txn_token;
mod web_bot_auth;
mod wimse_signature;
mod wit;
mod wpt;
mod wpt_http;

pub use accept_signature::accept_signature;
pub use access_token::access_token;
pub use agent_directory::agent_directory;
pub use authorization_details::authorization_details;
pub use authorization_grant::authorization_grant;
pub use bundle::bundle;
pub use challenge::challenge;
pub use delegate::delegate;
pub use digest_field::digest_field;
pub use dpop::dpop;
pub use form::form;
pub use freshness::freshness;
pub use http1::http1;
pub use identifier::identifier;
pub use jwk_set::jwk_set;
pub use jws::jws;
pub use jwt_claims::jwt_claims;
pub use private_key::private_key;
pub use resource_metadata::resource_metadata;
pub use server_metadata::server_metadata;
pub use signature::signature;
pub use signature_agent::signature_agent;
pub use token_response::token_response;
pub use trace_context::trace_context;
pub use txn_token::txn_token;
pub use web_bot_auth::web_bot_auth;
pub use wimse_signature::wimse_signature;
pub use wit::wit;
pub use wpt::wpt;
pub use wpt_http::wpt_http;

/// A target. It asserts its properties for any bytes.
pub type Target = fn(&[u8]) -> Outcome;

/// All targets, by the name of their corpus and their binary.
pub const TARGETS: &[(&str, Target)] = &[
    ("accept_signature", accept_signature),
    ("access_token", access_token),
    ("agent_directory", agent_directory),
    ("authorization_details", authorization_details),
    ("authorization_grant", authorization_grant),
    ("bundle", bundle),
    ("challenge", challenge),
    ("delegate", delegate),
    ("digest_field", digest_field),
    ("dpop", dpop),
    ("form", form),
    ("freshness", freshness),
    ("http1", http1),
    ("identifier", identifier),
    ("jwk_set", jwk_set),
    ("jws", jws),
    ("jwt_claims", jwt_claims),
    ("private_key", private_key),
    ("resource_metadata", resource_metadata),
    ("server_metadata", server_metadata),
    ("signature", signature),
    ("signature_agent", signature_agent),
    ("token_response", token_response),
    ("trace_context", trace_context),
    ("txn_token", txn_token),
    ("web_bot_auth", web_bot_auth),
    ("wimse_signature", wimse_signature),
    ("wit", wit),
    ("wpt", wpt),
    ("wpt_http", wpt_http),
];

/// The result of the parser for these bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The bytes are valid input of the target.
    Accepted,
    /// The bytes are refused with this code.
    Refused(&'static str),
}

/// The code for bytes that are not text, which are not passed to parsers of text.
const NO_TEXT: Outcome = Outcome::Refused("no text");

/// Returns a refusal. Its code must be in one of the tables.
fn refused(code: &'static str, tables: &[&[&str]]) -> Outcome {
    assert!(
        tables.iter().any(|codes| codes.contains(&code)),
        "`{code}` is in no table"
    );
    Outcome::Refused(code)
}

/// Returns the text without the line break that editors add at its end.
fn text(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data.strip_suffix(b"\n").unwrap_or(data)).ok()
}
