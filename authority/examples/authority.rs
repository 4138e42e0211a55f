//! A standalone authority on loopback.
fn main() {}
