#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-fetch/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod address;
mod backoff;
mod call;
#[cfg(feature = "client")]
mod certificate;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod coding;
mod content;
#[cfg(feature = "client")]
mod documents;
mod error;
mod exchange;
#[cfg(feature = "client")]
mod freshness;
#[cfg(feature = "client")]
mod policy;
#[cfg(feature = "client")]
mod proxy;
#[cfg(feature = "client")]
mod resolve;
#[cfg(feature = "flight")]
mod single_flight;

pub use backoff::Backoff;
pub use call::{Body, BoxError, Call, CallFuture};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use certificate::ClientCertificate;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use client::{Fetcher, FetcherBuilder};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use coding::decoded;
pub use content::{begins_as_object, expect_json, expect_type, is_readable_type};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use documents::{Document, DocumentKey, Documents, DocumentsBuilder};
pub use error::{Error, LongAnswer};
pub use exchange::{Fetch, FetchFuture, FinalUrl, Limits};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use resolve::{Resolve, ResolveFuture};
#[cfg(feature = "flight")]
#[cfg_attr(docsrs, doc(cfg(feature = "flight")))]
pub use single_flight::{Landing, SingleFlight, Waiting};
