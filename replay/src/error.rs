//! Errors of replay stores.

/// The key was not spent. The caller must refuse the proof, nonce or assertion that it names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The proof may have been used before the store began to remember.
    #[error(
        "the proof may have been used before the replay store began to remember; send a new one later"
    )]
    BeforeStart,
    /// The validity has ended, so the store has nothing to remember.
    #[error("expired before it was spent")]
    Expired,
    /// The store has no room. It never forgets a live entry to make room.
    #[error("the replay store is full")]
    Full,
    /// The expiry is later than the store can represent.
    #[error("valid for longer than the replay store can remember")]
    Horizon,
    /// The key was spent before: this is a replay.
    #[error("spent before")]
    Replayed,
    /// The sender has used up its share of the store.
    #[error("the sender's share of the replay store is full")]
    SenderFull,
    /// The store is unreachable, or cannot tell whether the key was spent.
    #[error("the replay store cannot tell")]
    Unavailable,
}

impl Error {
    aims_error::codes! {
        Self::BeforeStart => Unavailable "replay.before_start",
        Self::Expired => Expired "replay.expired",
        Self::Full => Unavailable "replay.full",
        Self::Horizon => TooLarge "replay.horizon",
        Self::Replayed => Replayed "replay.replayed",
        Self::SenderFull => Unavailable "replay.sender_full",
        Self::Unavailable => Unavailable "replay.unavailable",
    }
}
