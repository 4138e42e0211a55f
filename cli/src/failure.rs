//! Why a command did not do what it was asked.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aims_jose::Chain;

use crate::secret;

/// What ends a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A token, key, identifier or key set was refused, or our own was not made.
    #[error("{detail}")]
    Refused { code: &'static str, detail: String },
    /// `aims explain` was given what is no code.
    #[error("no error has the code {found}: {near}")]
    UnknownCode { found: Box<str>, near: String },
    /// The command line does not fit together.
    #[error("{0}")]
    Usage(&'static str),
    /// A good signature, of nothing; or of a response that covers nothing but its request.
    #[error(
        "the signature covers nothing of the {message}, so it says nothing of it: anybody can put it on another one; `--allow-nothing-covered` takes it all the same"
    )]
    NothingCovered { message: &'static str },
    #[error("{}: {error}", path.display())]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{}: longer than {limit} bytes", path.display())]
    TooLong { path: PathBuf, limit: u64 },
    /// A token is longer than any that is accepted.
    #[error("{}: the token is longer than {limit} bytes", path.display())]
    TokenTooLong { path: PathBuf, limit: u64 },
    #[error("{}: not UTF-8", path.display())]
    NotText { path: PathBuf },
    /// What was given is a secret itself. It is not repeated.
    #[error(
        "a token or key stands among the arguments: other users can read a command line, so do not use that one any more; put the next one into a file and give the file's name, or send it to the standard input as `-`"
    )]
    SecretInArguments,
    #[error("{address}: {error}")]
    Listen {
        address: SocketAddr,
        #[source]
        error: io::Error,
    },
    #[error(
        "{address} can be reached from other machines, and this authority is meant for one: it speaks HTTP in clear, so that bootstrap tokens are read by whoever reads the network, and holds the keys to every identity in memory; `--dangerous-reachable-from-network` overrules this"
    )]
    Network { address: SocketAddr },
    /// An authority cannot be made of what was declared.
    #[error("{detail}")]
    Declared { code: &'static str, detail: String },
    #[error("{}: {error}", path.display())]
    Config {
        path: PathBuf,
        #[source]
        error: serde_json::Error,
    },
    /// A file of `--parameters` is not the one call that it has to hold.
    #[error(
        "{}: expected one JSON object with exactly `tool`, a text, and `arguments`, an object: {}",
        path.display(), Chain(error)
    )]
    Parameters {
        path: PathBuf,
        #[source]
        error: aims_jose::Error,
    },
    /// Nobody reads the standard output.
    #[error("nobody was told how to use it")]
    Told,
    #[error("this process cannot wait for anything: {0}")]
    Runtime(#[source] io::Error),
}

impl Failure {
    /// A file that cannot be opened or made. Its name is not repeated where it may be a secret that
    /// was meant to be in it.
    pub(crate) fn file(path: &Path, error: io::Error) -> Self {
        if secret::may_be_file(path) {
            return Self::SecretInArguments;
        }
        let is_url = ["https://", "http://"]
            .iter()
            .any(|it| path.to_string_lossy().starts_with(it));
        let error = if is_url {
            let more = "this is a URL, and a file is wanted: fetch it first, such as by `curl`";
            io::Error::new(error.kind(), format!("{error}; {more}"))
        } else {
            error
        };
        let path = path.to_owned();
        Self::File { path, error }
    }

    /// The stable name: of the error of whoever refused, or one of our own.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } | Self::Declared { code, .. } => code,
            Self::Usage(_) => "cli.usage",
            Self::UnknownCode { .. } => "cli.unknown_code",
            Self::NothingCovered { .. } => "cli.nothing_covered",
            Self::File { .. } => "cli.file",
            Self::TokenTooLong { .. } | Self::TooLong { .. } => "cli.too_long",
            Self::NotText { .. } => "cli.not_text",
            Self::SecretInArguments => "cli.secret_in_arguments",
            Self::Listen { .. } => "cli.listen",
            Self::Network { .. } => "cli.network",
            Self::Runtime(_) => "cli.runtime",
            Self::Config { .. } => "cli.config",
            Self::Parameters { .. } => "cli.parameters",
            Self::Told => "cli.told",
        }
    }

    /// Every code that is one of our own.
    #[cfg(test)]
    pub(crate) const CODES: &[&str] = &[
        "cli.config",
        "cli.file",
        "cli.listen",
        "cli.network",
        "cli.not_text",
        "cli.nothing_covered",
        "cli.parameters",
        "cli.runtime",
        "cli.secret_in_arguments",
        "cli.told",
        "cli.too_long",
        "cli.unknown_code",
        "cli.usage",
    ];

    pub(crate) const fn exit_status(&self) -> u8 {
        match self {
            Self::NothingCovered { .. } | Self::Refused { .. } | Self::TokenTooLong { .. } => 1,
            _ => 2,
        }
    }

    /// The same, with what else there is to say.
    pub(crate) fn with(self, more: impl Display) -> Self {
        match self {
            Self::Refused { code, detail } => Self::Refused {
                code,
                detail: format!("{detail}: {more}"),
            },
            other => other,
        }
    }

    /// The same, of a declaration on the command line or in its file: a mistake, and no refusal.
    pub(crate) fn declared(self) -> Self {
        match self {
            Self::Refused { code, detail } => Self::Declared { code, detail },
            other => other,
        }
    }

    /// The same, of what this file holds.
    pub(crate) fn of(self, path: &Path) -> Self {
        match self {
            Self::Refused { code, detail } => Self::Refused {
                code,
                detail: format!("{}: {detail}", path.display()),
            },
            other => other,
        }
    }
}

impl From<aims_authority::Error> for Failure {
    fn from(error: aims_authority::Error) -> Self {
        Self::Declared {
            code: error.code(),
            detail: Chain(&error).to_string(),
        }
    }
}

impl From<aims_wimse_wpt::Error> for Failure {
    fn from(error: aims_wimse_wpt::Error) -> Self {
        let detail = match &error {
            // A secret that was given as `--audience` by mistake is not repeated.
            aims_wimse_wpt::Error::Audience { expected, .. } if secret::may_be_drawn(expected) => {
                "the proof is for another audience".to_owned()
            }
            _ => Chain(&error).to_string(),
        };
        let code = error.code();
        Self::Refused { code, detail }
    }
}

impl From<aims_http_sig::Error> for Failure {
    fn from(error: aims_http_sig::Error) -> Self {
        let detail = match &error {
            // As above.
            aims_http_sig::Error::Audience { expected, .. } if secret::may_be_drawn(expected) => {
                "the signature is for another audience".to_owned()
            }
            _ => Chain(&error).to_string(),
        };
        let code = error.code();
        Self::Refused { code, detail }
    }
}

macro_rules! refused {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Refused { code: error.code(), detail: Chain(&error).to_string() }
            }
        }
    )*};
}

refused!(
    aims_jose::Error,
    aims_oauth_rs::Error,
    aims_txn_token::Error,
    aims_wimse_cred::Error,
    aims_wimse_id::Error
);
