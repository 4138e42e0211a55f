//! Profiles: which signatures one kind of peer makes and takes, whole.
//!
//! RFC 9421 leaves open what is covered, which parameters there are and where the key comes from;
//! two peers that fill this in differently are not safe together. A profile fills it in, and its
//! types let no check of it be forgotten.

pub mod web_bot_auth;
pub mod wimse;
