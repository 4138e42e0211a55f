#![doc = include_str!("../README.md")]

pub use jose;
pub use replay;
pub use wimse_id as id;

pub mod trace;
