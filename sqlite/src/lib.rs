#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-sqlite/0.1")]

mod database;
mod error;
mod file;
mod writer;

pub use rusqlite;

pub use crate::database::{Database, Durability, Migrations};
pub use crate::error::Error;
