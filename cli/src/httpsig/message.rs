//! Reads messages from files.

use std::path::{Path, PathBuf};

use aims_http_sig::http1::{RawRequest, RawResponse, Reader};
use aims_http_sig::{Exchange, Message, Section};
use zeroize::Zeroizing;

use crate::args::{Messages, Scheme};
use crate::failure::Failure;
use crate::hint;
use crate::input::Inputs;

/// The maximum length of a content, in bytes. The head of a message may have 64 KiB in addition.
const MAX_CONTENT: usize = 4 * 1024 * 1024;
const MAX_FILE: u64 = 5 * 1024 * 1024;

/// The bytes of the messages, and the rules for parsing them.
pub(super) struct Files {
    reader: Reader,
    scheme: &'static str,
    end_of_line: &'static str,
    unix_lines: bool,
    request: (PathBuf, Zeroizing<Vec<u8>>),
    response: Option<(PathBuf, Zeroizing<Vec<u8>>)>,
}

/// The parsed messages.
pub(super) struct Pair<'m> {
    pub(super) request: RawRequest<'m>,
    pub(super) response: Option<RawResponse<'m>>,
}

impl Files {
    pub(super) fn read(messages: &Messages, inputs: &mut Inputs) -> Result<Self, Failure> {
        let mut reader = if messages.unix_lines {
            Reader::edited_file(MAX_CONTENT)
        } else {
            Reader::new(MAX_CONTENT)
        };
        if messages.folded_lines {
            reader = reader.with_folded_fields();
        }
        let mut file = |path: &PathBuf| -> Result<_, Failure> {
            Ok((path.clone(), inputs.within(path, MAX_FILE)?))
        };
        Ok(Self {
            reader,
            scheme: match messages.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
            end_of_line: if messages.unix_lines { "\n" } else { "\r\n" },
            unix_lines: messages.unix_lines,
            request: file(&messages.request)?,
            response: messages.response.as_ref().map(file).transpose()?,
        })
    }

    pub(super) fn parse(&self) -> Result<Pair<'_>, Failure> {
        let of = |path: &Path, bytes: &[u8], method, error| {
            let failure = hint::line_end(Failure::from(error), bytes, self.unix_lines);
            hint::surplus(failure, bytes, self.end_of_line, method).of(path)
        };
        let (path, bytes) = &self.request;
        let request = self.reader.request(bytes, self.scheme);
        let request = request.map_err(|error| of(path, bytes, None, error))?;
        let response = match &self.response {
            Some((path, bytes)) => {
                let response = self.reader.response(bytes, request.method());
                Some(response.map_err(|error| of(path, bytes, Some(request.method()), error))?)
            }
            None => None,
        };
        Ok(Pair { request, response })
    }

    /// Returns the file of the signed message.
    pub(super) fn path(&self) -> &Path {
        &self.response.as_ref().unwrap_or(&self.request).0
    }

    /// Returns the bytes of the signed message.
    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.response.unwrap_or(self.request).1
    }

    /// Adds lines at the end of the head of the signed message, which was parsed before. Everything
    /// else is unchanged.
    pub(super) fn add(&mut self, lines: &[(&str, &str)]) {
        let (_, bytes) = self.response.as_mut().unwrap_or(&mut self.request);
        let end = self.end_of_line.as_bytes();
        let empty = [end, end].concat();
        let Some(at) = bytes.windows(empty.len()).position(|it| it == empty) else {
            return;
        };
        let (head, rest) = bytes.split_at(at.saturating_add(end.len()));
        let more: usize = lines
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let mut changed = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(more)));
        changed.extend_from_slice(head);
        for (name, value) in lines {
            for part in [name.as_bytes(), b": ", value.as_bytes(), end] {
                changed.extend_from_slice(part);
            }
        }
        changed.extend_from_slice(rest);
        *bytes = changed;
    }
}

impl Pair<'_> {
    /// Returns the signed message and, for a response, its request.
    pub(super) fn exchange(&self) -> Exchange<'_> {
        match &self.response {
            Some(response) => Exchange::of(response).answering(&self.request),
            None => Exchange::of(&self.request),
        }
    }

    /// Returns the signed message.
    pub(super) fn message(&self) -> &dyn Message {
        match &self.response {
            Some(response) => response,
            None => &self.request,
        }
    }

    /// Returns the content of the signed message.
    pub(super) fn content(&self) -> &[u8] {
        match &self.response {
            Some(response) => response.content(),
            None => self.request.content(),
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self.response {
            Some(_) => "response",
            None => "request",
        }
    }
}

/// Returns the values of all lines of a header field.
pub(super) fn lines<'m>(message: &'m dyn Message, name: &str) -> Vec<&'m [u8]> {
    let mut lines = Vec::new();
    message.lines(Section::Headers, name, &mut |line| lines.push(line));
    lines
}
