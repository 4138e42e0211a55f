#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-http-sig/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod algorithm;
mod base;
mod component;
pub mod digest;
mod error;
mod exchange;
mod form;
pub mod http1;
mod key;
mod limits;
mod message;
mod parameters;
mod policy;
pub mod profile;
mod received;
mod sf;
mod short;
mod sign;
mod target;
mod types;
mod value;
mod verify;

pub use accept::{Offer, SignatureRequest};
pub use algorithm::{Algorithm, Algorithms};
pub use base::SignatureBase;
pub use component::{Component, ComponentId};
pub use error::Error;
pub use exchange::Exchange;
pub use key::{Key, Keys, SharedKey, SharedKeys};
pub use limits::Limits;
pub use message::{HttpRequest, HttpResponse, Message, Section, Start};
pub use parameters::Parameters;
pub use policy::Policy;
pub use received::{ReceivedFields, UnverifiedSignature};
pub use sf::BareItem;
pub use short::sign_request;
pub use sign::{PreparedSignature, SignatureFields, Signing};
pub use types::{FieldType, FieldTypes};
pub use value::component_value;
pub use verify::{UnspentSignature, VerifiedSignature};
