//! The requests of a survey, and their answers.

use std::sync::{Arc, Mutex, PoisonError};

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::Chain;
use http::Request;
use serde::Serialize;

/// Sends requests, and keeps each URL with its outcome.
#[derive(Debug)]
pub(super) struct Trail {
    http: Arc<dyn Fetch>,
    steps: Mutex<Vec<Asked>>,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    pub(super) url: String,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Trail {
    pub(super) fn new(http: Arc<dyn Fetch>) -> Self {
        Self {
            http,
            steps: Mutex::default(),
        }
    }

    pub(super) fn steps(&self) -> Vec<Asked> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.clone()
    }
}

impl Fetch for Trail {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            let url = request.uri().to_string();
            let answer = self.http.send(request).await;
            let asked = Asked {
                url,
                status: answer.as_ref().ok().map(|it| it.status().as_u16()),
                error: answer.as_ref().err().map(|it| Chain(it).to_string()),
            };
            let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            steps.push(asked);
            drop(steps);
            answer
        })
    }
}
