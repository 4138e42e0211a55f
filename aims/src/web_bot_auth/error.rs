//! Why a request was not verified.

use aims_error::ErrorKind;
use aims_http_sig::Error as SignatureError;

/// A request was refused, or its agent's directory was not had.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct AgentError(Cause);

#[derive(Clone, Debug, thiserror::Error)]
enum Cause {
    #[error("the directory of the agent was not had")]
    Fetch(#[source] aims_fetch::Error),
    #[error(transparent)]
    Signature(SignatureError),
}

impl AgentError {
    /// The stable code: of fetching, or of the signature.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.0 {
            Cause::Fetch(error) => error.code(),
            Cause::Signature(error) => error.code(),
        }
    }

    /// The kind of what was wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Cause::Fetch(error) => error.kind(),
            Cause::Signature(error) => error.kind(),
        }
    }

    /// Whether nothing was found out: the directory was not to be had, or does not have the key. It
    /// speaks neither for the request nor against it (draft appendix "Verifier Outcomes").
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        matches!(
            self.0,
            Cause::Fetch(_)
                | Cause::Signature(
                    SignatureError::AgentKeyUnknown { .. }
                        | SignatureError::Directory { .. }
                        | SignatureError::DirectoryKeys(_)
                        | SignatureError::SignatureMissing { .. }
                )
        )
    }
}

impl From<aims_fetch::Error> for AgentError {
    fn from(error: aims_fetch::Error) -> Self {
        Self(Cause::Fetch(error))
    }
}

impl From<SignatureError> for AgentError {
    fn from(error: SignatureError) -> Self {
        Self(Cause::Signature(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = AgentError::from(aims_fetch::Error::Timeout);
        assert_eq!(error.code(), "fetch.timeout");
        let told = aims_jose::Chain(&error).to_string();
        assert_eq!(
            told,
            "the directory of the agent was not had: it took too long"
        );
    }
}
