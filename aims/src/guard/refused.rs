//! A refusal inside the guard, with its reasons for the record and the need that could change it.

use aims_error::ErrorKind;
use aims_jose::Chain;

use crate::decision::Reason;
use crate::refusal::{ErrorResponse, Refusal};
use crate::resolve::Need;

/// The refusal and its reasons, as they are known inside the guard.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) reasons: Box<[Reason]>,
    /// The data that the guard could fetch to change the refusal. After the answer, the request is
    /// verified again.
    need: Option<Box<Need>>,
}

impl Refused {
    pub(super) fn new(
        code: &'static str,
        kind: ErrorKind,
        answer: ErrorResponse,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        Self {
            reasons: [Reason::new(code, detail.clone())].into(),
            refusal: Refusal::new(code, kind, answer, detail),
            need: None,
        }
    }

    /// Creates a refusal with an error and its causes as the detail.
    pub(super) fn of(
        code: &'static str,
        kind: ErrorKind,
        answer: ErrorResponse,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        Self::new(code, kind, answer, Chain(error).to_string())
    }

    /// Creates a refusal with the reasons of a decision.
    pub(super) fn decided(refusal: Refusal, reasons: Vec<Reason>) -> Self {
        Self {
            refusal,
            reasons: reasons.into_boxed_slice(),
            need: None,
        }
    }

    /// Sets the need whose answer could change the refusal.
    pub(super) fn or_after(mut self, need: Option<Need>) -> Self {
        self.need = need.map(Box::new);
        self
    }

    pub(super) fn need(&self) -> Option<&Need> {
        self.need.as_deref()
    }
}
