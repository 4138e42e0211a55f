#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod message;

pub use error::Error;
pub use message::{HttpRequest, HttpResponse, Message, Section, Start};
