//! The errors of commands.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aims_jose::Chain;

use crate::secret;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A token, key, identifier or key set was refused, or could not be made.
    #[error("{detail}")]
    Refused { code: &'static str, detail: String },
    /// The argument of `aims explain` is not a code.
    #[error("no error has the code {found}: {near}")]
    UnknownCode { found: Box<str>, near: String },
    /// The options of the command line contradict each other.
    #[error("{0}")]
    Usage(&'static str),
    /// The signature is valid but covers nothing, or of a response covers nothing but its request.
    #[error(
        "the signature covers nothing of the {message}, so it proves nothing about it: anyone can put it on another one; `--allow-nothing-covered` accepts it anyway"
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
    /// A token is longer than the maximum.
    #[error("{}: the token is longer than {limit} bytes", path.display())]
    TokenTooLong { path: PathBuf, limit: u64 },
    /// Other users can read, change or replace a file with a bootstrap token.
    #[error(
        "{}: {reason}, so another user can be the agent: keep a bootstrap token in a file of mode 0600 of this user, in a folder that others cannot write",
        path.display()
    )]
    Permissions { path: PathBuf, reason: String },
    #[error("{}: not UTF-8", path.display())]
    NotText { path: PathBuf },
    /// An argument is itself a secret. The message does not repeat it.
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
        "{address} can be reached from other machines, and this authority is meant for one: it speaks plaintext HTTP, so that anyone who reads the network learns the bootstrap tokens, and holds the keys to every identity in memory; `--dangerous-reachable-from-network` overrules this"
    )]
    Network { address: SocketAddr },
    /// The declared settings do not make a valid authority.
    #[error("{detail}")]
    Declared { code: &'static str, detail: String },
    #[error("{}: {error}", path.display())]
    Config {
        path: PathBuf,
        #[source]
        error: serde_json::Error,
    },
    /// A file of `--parameters` does not hold exactly one call.
    #[error(
        "{}: expected one JSON object with exactly `tool`, a text, and `arguments`, an object: {}",
        path.display(), Chain(error)
    )]
    Parameters {
        path: PathBuf,
        #[source]
        error: aims_jose::Error,
    },
    /// The reader of the standard output has gone.
    #[error("the output could not be written, so no user knows how to reach the authority")]
    Told,
    #[error("this process cannot wait for anything: {0}")]
    Runtime(#[source] io::Error),
}

impl Failure {
    /// A file cannot be opened or created. Its name is not repeated if it may be a secret that was
    /// given by mistake.
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

    /// Returns the stable code: that of the error behind it, or one of the program.
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
            Self::Permissions { .. } => "cli.permissions",
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
        "cli.permissions",
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

    /// Adds a sentence to the message.
    pub(crate) fn with(self, more: impl Display) -> Self {
        match self {
            Self::Refused { code, detail } => Self::Refused {
                code,
                detail: format!("{detail}: {more}"),
            },
            other => other,
        }
    }

    /// Converts a refusal into an error of a declaration on the command line or in its file.
    pub(crate) fn declared(self) -> Self {
        match self {
            Self::Refused { code, detail } => Self::Declared { code, detail },
            other => other,
        }
    }

    /// Adds the path of the file that the failure is about.
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
            // Do not repeat a secret that was given as `--audience` by mistake.
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
    aims_oauth_wire::Error,
    aims_oauth_wire::dpop::Error,
    aims_txn_token::Error,
    aims_wimse_cred::Error
);

impl From<aims_wimse_id::Error> for Failure {
    fn from(error: aims_wimse_id::Error) -> Self {
        // A secret that was given as an identifier by mistake is not repeated.
        let detail =
            if secret::may_be_in(error.found().as_ref()) || secret::may_be_drawn(error.found()) {
                error.reason().to_string()
            } else {
                error.to_string()
            };
        let code = error.code();
        Self::Refused { code, detail }
    }
}
