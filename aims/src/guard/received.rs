//! A request as a server received it.

use std::fmt;

use http::request::Parts;

/// A request that is to be judged: its head, and its content where that is at hand.
///
/// It is made of `&Parts` for the head alone, or of `(&Parts, content)` for both. The content is
/// the one that was received: before any `Content-Encoding` is undone, empty where there is none.
/// An HTTP signature covers the content, so it is judged only where the content is at hand.
///
/// The head is one that a server received: in HTTP/1.1 its URI is path and query, beside `Host`.
///
/// ```
/// # fn example(guard: &aims::Guard, head: &http::request::Parts, content: &[u8]) {
/// use aims::jose::time::UnixTime;
///
/// let now = UnixTime::now();
/// let by_its_head = guard.check(head, now);
/// let whole = guard.check((head, content), now);
/// # drop((by_its_head, whole));
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct ReceivedRequest<'a> {
    pub(super) head: &'a Parts,
    pub(super) content: ReceivedContent<'a>,
}

/// What is known of the content of a request.
#[derive(Clone, Copy)]
pub(super) enum ReceivedContent<'a> {
    /// The guard does not read it, so a signature over its digest proves nothing.
    Unread,
    /// It is in memory.
    Whole(&'a [u8]),
    /// The layer compares it after the head was verified.
    ToCome,
}

impl<'a> ReceivedRequest<'a> {
    pub(super) const fn with_content_to_come(head: &'a Parts) -> Self {
        let content = ReceivedContent::ToCome;
        Self { head, content }
    }
}

impl<'a> From<&'a Parts> for ReceivedRequest<'a> {
    fn from(head: &'a Parts) -> Self {
        let content = ReceivedContent::Unread;
        Self { head, content }
    }
}

impl<'a, C: AsRef<[u8]> + ?Sized> From<(&'a Parts, &'a C)> for ReceivedRequest<'a> {
    fn from((head, content): (&'a Parts, &'a C)) -> Self {
        let content = ReceivedContent::Whole(content.as_ref());
        Self { head, content }
    }
}

/// The head of a request holds its tokens.
impl fmt::Debug for ReceivedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("method", &self.head.method)
            .finish_non_exhaustive()
    }
}
