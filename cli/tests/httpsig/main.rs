//! `aims httpsig`.

#[path = "../common/mod.rs"]
mod common;

mod bot;
mod plain;
mod published;
mod wimse;
