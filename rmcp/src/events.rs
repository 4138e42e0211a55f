//! Server-sent events with a limit on their size.

use std::pin::Pin;
use std::task::{Context, Poll};

use aims::agent::{Answer, Error};
use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;
use rmcp::transport::streamable_http_client::SseError;
use sse_stream::{Sse, SseStream};

/// The stream that rmcp reads.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<Sse, SseError>> + Send>>;

/// Returns the events of an answer. Each may have at most `limit` bytes.
pub(crate) fn events(body: Answer, limit: usize) -> Events {
    Box::pin(SseStream::from_bytes_stream(Pieces {
        body,
        event: EventSize::new(limit),
        failed: false,
    }))
}

/// The reason why a stream of events broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Answer(#[from] Error),
    #[error("an event is longer than the maximum size of {limit} bytes")]
    TooLarge { limit: usize },
}

/// The pieces of an answer. Their bytes are counted before they are buffered.
struct Pieces {
    body: Answer,
    event: EventSize,
    failed: bool,
}

impl Stream for Pieces {
    type Item = Result<Bytes, Broken>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        loop {
            let piece = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => self.event.count(&piece).map(|()| piece),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(error))) => Err(error.into()),
            };
            self.failed = piece.is_err();
            return Poll::Ready(Some(piece));
        }
    }
}

/// Counts the bytes that a parser of events buffers: the lines of one event, without its comments,
/// and the unfinished line.
#[derive(Debug)]
struct EventSize {
    limit: usize,
    lines: usize,
    line: usize,
    is_comment: bool,
    after_cr: bool,
}

impl EventSize {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            lines: 0,
            line: 0,
            is_comment: false,
            after_cr: false,
        }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        for &byte in bytes {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                continue;
            }
            match byte {
                b'\n' => self.end_of_line(),
                b'\r' => {
                    self.end_of_line();
                    self.after_cr = true;
                }
                _ => {
                    if self.line == 0 {
                        self.is_comment = byte == b':';
                    }
                    self.line = self.line.saturating_add(1);
                }
            }
            if self.lines.saturating_add(self.line) > self.limit {
                return Err(Broken::TooLarge { limit: self.limit });
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line == 0 {
            self.lines = 0;
        } else if !self.is_comment {
            // Add the line break between lines of data.
            self.lines = self.lines.saturating_add(line).saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EventSize;

    fn fits(limit: usize, pieces: &[&str]) -> bool {
        let mut size = EventSize::new(limit);
        pieces.iter().all(|it| size.count(it.as_bytes()).is_ok())
    }

    #[test]
    fn an_event_is_counted_over_its_lines_and_pieces() {
        assert!(fits(8, &["data: a\n"]));
        assert!(!fits(7, &["data: a\n"]));
        assert!(!fits(8, &["data: a\n", "x"]));
        assert!(!fits(8, &["data", ": ab", "c"]));
        assert!(!fits(8, &["data: a\r\n", "data: b\r\n"]));
    }

    #[test]
    fn the_next_event_starts_from_nothing_and_comments_are_not_kept() {
        for end in ["\n", "\r\n", "\r"] {
            let event = format!("data: a{end}{end}");
            assert!(fits(8, &[event.as_str(); 50]), "{end:?}");
            let ping = format!(": ping{end}");
            assert!(fits(8, &[ping.as_str(); 50]), "{end:?}");
        }
        assert!(!fits(8, &[": a long comment"]));
        // A line break in two pieces ends one line.
        assert!(!fits(8, &["data: a\r", "\nb"]));
    }
}
