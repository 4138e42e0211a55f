//! Measures the cost of the crates, as ratios to the public-key operations that they need.
//!
//! `cargo bench -p aims-bench` prints the ratios. The program is `benches/figures`; this library is
//! its measuring code.

pub mod loopback;
pub mod raw;
pub mod sampler;
pub mod world;
