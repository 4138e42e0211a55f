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

/// Each variant and its code: one list gives both, so that none can be missing.
macro_rules! codes {
    ($($pattern:pat => $code:literal,)*) => {
        /// All codes that [`code`](Self::code) gives.
        pub const CODES: &'static [&'static str] = &[$($code),*];

        /// The stable name of the error.
        #[must_use]
        pub const fn code(&self) -> &'static str {
            match self {
                $($pattern => $code,)*
            }
        }
    };
}

impl Error {
    codes! {
        Self::Expired => "replay.expired",
        Self::Full => "replay.full",
        Self::Horizon => "replay.horizon",
        Self::Replayed => "replay.replayed",
        Self::SenderFull => "replay.sender_full",
        Self::Unavailable => "replay.unavailable",
    }
}
