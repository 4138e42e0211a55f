//! What the crates cost, as ratios to the public-key operations that they cannot do without.
//!
//! `cargo bench -p aims-bench` prints them. The program is `benches/figures`; here is what it
//! measures with.

pub mod loopback;
pub mod raw;
pub mod sampler;
pub mod world;
