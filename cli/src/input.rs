//! Reads the files of the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;

/// The maximum length of a file, in bytes.
pub(crate) const MAX_LEN: u64 = 64 * 1024;

/// Reads files, and the standard input once.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    standard_taken: bool,
}

impl Inputs {
    /// Returns the text of a file of at most 64 KiB, without one newline at its end.
    pub(crate) fn text(&mut self, path: &Path) -> Result<Zeroizing<String>, Failure> {
        text(path, self.bytes(path)?)
    }

    /// Returns the text of a file with a bootstrap token, which no other user can read, change or
    /// replace. Like [`text`](Self::text) on systems other than Unix.
    pub(crate) fn bootstrap_token(&mut self, path: &Path) -> Result<Zeroizing<String>, Failure> {
        #[cfg(unix)]
        if path != Path::new("-") {
            let file = File::open(path).map_err(|error| Failure::file(path, error))?;
            // The file that is checked is the one that is read.
            crate::permissions::check(path, &file)?;
            return text(path, without_newline(whole(path, file, MAX_LEN)?));
        }
        self.text(path)
    }

    /// Returns the text of a file that holds a token. A longer one is refused like a token, because
    /// its sender chose the length.
    pub(crate) fn token(&mut self, path: &Path) -> Result<Zeroizing<String>, Failure> {
        self.text(path).map_err(|failure| match failure {
            Failure::TooLong { path, limit } => Failure::TokenTooLong { path, limit },
            other => other,
        })
    }

    /// Returns the bytes of a file of at most 64 KiB, without one newline at its end.
    pub(crate) fn bytes(&mut self, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Ok(without_newline(self.within(path, MAX_LEN)?))
    }

    /// Returns the unchanged bytes of a file.
    pub(crate) fn within(
        &mut self,
        path: &Path,
        limit: u64,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if path == Path::new("-") {
            if std::mem::replace(&mut self.standard_taken, true) {
                return Err(Failure::Usage("the standard input can be read only once"));
            }
            whole(path, io::stdin().lock(), limit)
        } else {
            let file = File::open(path).map_err(|error| Failure::file(path, error))?;
            whole(path, file, limit)
        }
    }
}

fn whole(path: &Path, from: impl Read, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = read(from, limit).map_err(|error| Failure::file(path, error))?;
    bytes.ok_or_else(|| Failure::TooLong {
        path: path.to_owned(),
        limit,
    })
}

fn without_newline(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

fn text(path: &Path, mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Failure> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            let path = path.to_owned();
            Err(Failure::NotText { path })
        }
    }
}

/// Reads everything, or returns `None` if there is more than the limit. The buffer never grows, so
/// no copy of a key stays in memory.
fn read(from: impl Read, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let room = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_add(64);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|len| len <= limit);
    Ok(fits.then_some(bytes))
}
