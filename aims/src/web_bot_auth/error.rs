//! The errors of Web Bot Auth verification.

use aims_error::ErrorKind;
use aims_http_sig::Error as SignatureError;

/// Error returned when a request is refused or the directory of its agent is not available.
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
    /// Returns the stable code of the cause: fetching, or the signature.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.0 {
            Cause::Fetch(error) => error.code(),
            Cause::Signature(error) => error.code(),
        }
    }

    /// Returns the kind of the cause.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Cause::Fetch(error) => error.kind(),
            Cause::Signature(error) => error.kind(),
        }
    }

    /// Returns whether the result is unknown: the directory is not available, or does not have the
    /// key.
    ///
    /// Such a request is neither verified nor refuted (draft-ietf-webbotauth-httpsig-protocol,
    /// "Verifier Outcomes").
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
