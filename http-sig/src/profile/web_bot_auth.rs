//! Web Bot Auth: automated clients that identify themselves
//! (draft-ietf-webbotauth-httpsig-protocol-01).
//!
//! A client signs its request with a key of a JWK Set at an `https` URL. The URL identifies the
//! client. It is in the field `Signature-Agent`, which the signature covers. A verifier looks a key
//! up by URL *and* thumbprint: with the thumbprint alone, a key of one agent would be accepted for
//! the URL of another. A policy with [`Revision::Draft00`] accepts the form of `Signature-Agent` in
//! earlier drafts.
//!
//! ```
//! use aims_http_sig::HttpRequest;
//! use aims_http_sig::profile::web_bot_auth::{
//!     Agents, Directory, DirectoryRules, RequestPolicy, RequestSigning, SignatureAgent,
//! };
//! use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, random::SYSTEM};
//! use aims_jose::time::UnixTime;
//! let now = UnixTime::now();
//!
//! // The agent publishes its key, and signs.
//! let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
//! let directory = Directory::to_publish([key.verifying_key()]);
//! let agent = SignatureAgent::jwk_set("https://crawler.example/keys.json")?;
//! let signing = RequestSigning::new(agent.clone(), key.verifying_key())?;
//! let (mut parts, ()) = http::Request::get("https://shop.example/offers").body(())?.into_parts();
//! parts.headers.insert("signature-agent", signing.signature_agent().parse()?);
//! let prepared = signing.prepare(&HttpRequest::to_send(&parts)?, SYSTEM, now)?;
//! prepared.sign(&key)?.apply(&mut parts.headers)?;
//!
//! // The shop has fetched the keys from `agent.location()`, and knows its own authority.
//! # parts.uri = "/offers".parse()?; // as a server has it
//! let mut agents = Agents::new();
//! let rules = DirectoryRules::of(&agent);
//! agents.insert(&agent, Directory::parse(directory.as_bytes(), &rules, AWS_LC, now)?);
//! let request = HttpRequest::received(&parts, "https", "shop.example");
//! let verified = RequestPolicy::new().verify(&request, &agents, now)?.accept_replays();
//! assert_eq!(verified.agent(), Some("https://crawler.example/keys.json"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agent;
mod agents;
mod directory;
mod field;
mod proof;
mod signing;
mod status;
mod verify;

use std::sync::LazyLock;
use std::time::Duration;

pub use agent::{Discovery, Revision, SignatureAgent};
pub use agents::{AgentKeys, Agents, Claim};
pub use directory::{Directory, DirectoryRules};
pub use proof::{DirectorySigning, proven};
pub use signing::{RequestSigning, wanted_signature};
pub use status::status;
pub use verify::{RequestPolicy, UnspentRequest, VerifiedRequest};

use crate::{ComponentId, Error, FieldType, FieldTypes};

/// The `tag` of the signatures of requests.
pub const TAG: &str = "web-bot-auth";
/// The `tag` of the signatures of directories.
pub const DIRECTORY_TAG: &str = "http-message-signatures-directory";
/// The path of the directory of an origin.
pub const DIRECTORY_PATH: &str = "/.well-known/http-message-signatures-directory";
/// The media type of a directory.
pub const DIRECTORY_MEDIA_TYPE: &str = "application/http-message-signatures-directory+json";
/// Maximum lifetime of the signature of a request, whatever is configured: one day.
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

const FIELD: &str = "signature-agent";
const WHOLE_FIELD: ComponentId<'static> = ComponentId::plain_field("\"signature-agent\"", FIELD);

static TYPES: LazyLock<FieldTypes> =
    LazyLock::new(|| FieldTypes::known().with(FIELD, FieldType::Dictionary));

fn required(component: ComponentId<'_>) -> Error {
    Error::ComponentRequired {
        component: component.as_str().to_owned(),
    }
}
