//! What the fuzz targets hold, each a function over bytes.
//!
//! A target asserts properties, not only that nothing panics: what was read is written so that it
//! reads the same, what is refused has a code of the crate's table, and where two ways lead to one
//! answer, the answers are equal. `fuzz/run` feeds them with what libFuzzer makes up;
//! `tests/replay.rs` with the seeds of `fuzz/corpus`.

mod accept_signature;
mod access_token;
mod agent_directory;
mod bundle;
mod challenge;
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
mod resource_metadata;
mod server_metadata;
mod signature;
mod signature_agent;
mod token_response;
mod trace_context;
mod web_bot_auth;
mod wimse_signature;
mod wit;
mod wpt;
mod wpt_http;

pub use accept_signature::accept_signature;
pub use access_token::access_token;
pub use agent_directory::agent_directory;
pub use bundle::bundle;
pub use challenge::challenge;
pub use digest_field::digest_field;
pub use dpop::dpop;
pub use form::form;
pub use freshness::freshness;
pub use http1::http1;
pub use identifier::identifier;
pub use jwk_set::jwk_set;
pub use jws::jws;
pub use jwt_claims::jwt_claims;
pub use resource_metadata::resource_metadata;
pub use server_metadata::server_metadata;
pub use signature::signature;
pub use signature_agent::signature_agent;
pub use token_response::token_response;
pub use trace_context::trace_context;
pub use web_bot_auth::web_bot_auth;
pub use wimse_signature::wimse_signature;
pub use wit::wit;
pub use wpt::wpt;
pub use wpt_http::wpt_http;

/// A target: what it holds is asserted for any bytes.
pub type Target = fn(&[u8]) -> Outcome;

/// All targets, by the name that their corpus and their binary have.
pub const TARGETS: &[(&str, Target)] = &[
    ("accept_signature", accept_signature),
    ("access_token", access_token),
    ("agent_directory", agent_directory),
    ("bundle", bundle),
    ("challenge", challenge),
    ("digest_field", digest_field),
    ("dpop", dpop),
    ("form", form),
    ("freshness", freshness),
    ("http1", http1),
    ("identifier", identifier),
    ("jwk_set", jwk_set),
    ("jws", jws),
    ("jwt_claims", jwt_claims),
    ("resource_metadata", resource_metadata),
    ("server_metadata", server_metadata),
    ("signature", signature),
    ("signature_agent", signature_agent),
    ("token_response", token_response),
    ("trace_context", trace_context),
    ("web_bot_auth", web_bot_auth),
    ("wimse_signature", wimse_signature),
    ("wit", wit),
    ("wpt", wpt),
    ("wpt_http", wpt_http),
];

/// What the parser said of the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// They are what the target is about.
    Accepted,
    /// They are not, for this code.
    Refused(&'static str),
}

/// The code of bytes that are no text, which no parser of text is asked about.
const NO_TEXT: Outcome = Outcome::Refused("no text");

/// A refusal, whose code has to be one of the table.
fn refused(code: &'static str, tables: &[&[&str]]) -> Outcome {
    assert!(
        tables.iter().any(|codes| codes.contains(&code)),
        "`{code}` is in no table"
    );
    Outcome::Refused(code)
}

/// The text without the line break that an editor puts at its end.
fn text(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data.strip_suffix(b"\n").unwrap_or(data)).ok()
}
