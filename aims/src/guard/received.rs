//! A request as a server received it.

use std::fmt;

use http::request::Parts;

/// A request for the guard to verify: its head, and its content if it is in memory.
///
/// Convert `&Parts` for the head alone, or `(&Parts, content)` for both. The content is as it was
/// received, before any `Content-Encoding` is decoded, and is empty if there is none. An HTTP
/// signature covers the content, so the guard accepts one only together with the content.
///
/// The head is as a server receives it: in HTTP/1.1 the URI has only path and query, and the host
/// is in `Host`.
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

/// The guard's knowledge about the content of a request.
#[derive(Clone, Copy)]
pub(super) enum ReceivedContent<'a> {
    /// The guard does not read the content, so it cannot verify a signature over its digest.
    Unread,
    /// The content is in memory.
    Whole(&'a [u8]),
    /// The layer compares the content after the head is verified.
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

/// Omits the head of the request, which holds its tokens.
impl fmt::Debug for ReceivedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("method", &self.head.method)
            .finish_non_exhaustive()
    }
}
