#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod base;
mod component;
pub mod digest;
mod error;
mod exchange;
mod limits;
mod message;
mod parameters;
mod received;
mod sf;
mod target;
mod types;
mod value;

pub use base::SignatureBase;
pub use component::{Component, ComponentId};
pub use error::Error;
pub use exchange::Exchange;
pub use limits::Limits;
pub use message::{HttpRequest, HttpResponse, Message, Section, Start};
pub use parameters::Parameters;
pub use received::{ReceivedFields, UnverifiedSignature};
pub use sf::BareItem;
pub use types::{FieldType, FieldTypes};
pub use value::component_value;
