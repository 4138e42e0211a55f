//! Profiles: complete rules for the signatures of one kind of peer.
//!
//! RFC 9421 does not fix the covered components, the parameters and the source of the key. Two
//! peers that choose differently are not safe together. A profile fixes them, and its types make
//! every check mandatory.

pub mod web_bot_auth;
pub mod wimse;
