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
pub struct Received<'a> {
    pub(super) head: &'a Parts,
    pub(super) content: Content<'a>,
}

/// What is known of the content of a request.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// It is not read, so a signature over its digest proves nothing.
    Unread,
    /// It is here.
    Whole(&'a [u8]),
    /// It is compared after the head was verified.
    Later,
}

impl<'a> Received<'a> {
    pub(super) const fn later(head: &'a Parts) -> Self {
        let content = Content::Later;
        Self { head, content }
    }
}

impl<'a> From<&'a Parts> for Received<'a> {
    fn from(head: &'a Parts) -> Self {
        let content = Content::Unread;
        Self { head, content }
    }
}

impl<'a, C: AsRef<[u8]> + ?Sized> From<(&'a Parts, &'a C)> for Received<'a> {
    fn from((head, content): (&'a Parts, &'a C)) -> Self {
        let content = Content::Whole(content.as_ref());
        Self { head, content }
    }
}

/// The head of a request holds its tokens.
impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("method", &self.head.method)
            .finish_non_exhaustive()
    }
}
