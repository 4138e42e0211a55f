//! Tests of `aims httpsig`.

#[path = "../common/mod.rs"]
mod common;

mod bot;
mod cavage;
mod hints;
mod plain;
mod published;
mod wimse;
