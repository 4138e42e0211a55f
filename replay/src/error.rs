//! Why something was not spent.

/// The thing was not spent, so what it belongs to is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its time is over: there is nothing to remember any more.
    #[error("expired before it was spent")]
    Expired,
    /// No room is left. Nothing is forgotten to make room.
    #[error("the replay store is full")]
    Full,
    /// It would have to be remembered beyond what the store can express.
    #[error("valid for longer than the replay store can remember")]
    Horizon,
    /// It was spent before.
    #[error("spent before")]
    Replayed,
    /// The sender has used up its share of the room.
    #[error("the sender's share of the replay store is full")]
    SenderFull,
    /// The store cannot be asked at the moment, or cannot tell whether this was spent.
    #[error("the replay store cannot tell")]
    Unavailable,
}

impl Error {
    aims_error::codes! {
        Self::Expired => Expired "replay.expired",
        Self::Full => Unavailable "replay.full",
        Self::Horizon => TooLarge "replay.horizon",
        Self::Replayed => Replayed "replay.replayed",
        Self::SenderFull => Unavailable "replay.sender_full",
        Self::Unavailable => Unavailable "replay.unavailable",
    }
}
