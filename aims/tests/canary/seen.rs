//! Everything that a program can see, and the search.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex};

use aims::jose::{Chain, base64url};
use aims::record::{Event as Decided, Record as Recorded};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::{CANARY, planted};

/// Everything that was seen. It is a log, too.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Debug for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Seen")
    }
}

impl Seen {
    pub(crate) fn text(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub(crate) fn debug(&self, value: &impl Debug) {
        self.text(format!("{value:?} {value:#?}"));
    }

    pub(crate) fn error<T: Debug, E: std::error::Error + 'static>(&self, outcome: Result<T, E>) {
        match outcome {
            Ok(value) => self.debug(&value),
            Err(error) => self.text(format!("{error} {error:?} {error:#?} {}", Chain(&error))),
        }
    }

    /// Searches for the planted secrets, as they are, in base64url and as an array of bytes, and
    /// for those that were given.
    pub(crate) fn search(&self, given: &Given, at_least: usize) {
        let seen = self.0.lock().unwrap();
        assert!(
            seen.len() >= at_least,
            "only {} texts were seen",
            seen.len()
        );
        // Three positions in base64: the middle of each is the same in every text.
        let hidden = ["", "x", "xx"].map(|before| {
            let text = base64url::encode(format!("{before}{CANARY}").as_bytes());
            text.get(4..8).unwrap().to_owned()
        });
        let bytes = CANARY.bytes().map(|it| it.to_string());
        let bytes = bytes.collect::<Vec<_>>().join(",");
        for text in &*seen {
            assert!(!text.contains(CANARY), "{text}");
            for hidden in &hidden {
                assert!(!text.contains(hidden), "{hidden} in {text}");
            }
            let together: String = text.chars().filter(|it| !it.is_whitespace()).collect();
            assert!(!together.contains(&bytes), "{text}");
            let found = given.values().find(|it| text.contains(&***it));
            assert!(found.is_none(), "{found:?} in {text}");
        }
    }
}

/// Secrets that are not planted, because a program made them.
#[derive(Debug, Default)]
pub(crate) struct Given(BTreeSet<(String, String)>);

impl Given {
    /// Notes a secret, and the signature alone of a JWT.
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        let last = value.rsplit('.').next().unwrap();
        for part in [value, last] {
            if part.len() > 3 && !part.contains(CANARY) {
                self.0.insert((name.to_owned(), part.to_owned()));
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(name, _)| &**name).collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!("{}={value} ", field.name()));
    }
}

impl Subscriber for Seen {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(String::new());
        span.record(&mut line);
        self.text(line.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        self.text(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.text(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Recorded for Seen {
    fn record(&self, event: &Decided<'_>) {
        self.debug(event);
    }
}

/// The search finds a secret, as it is and in base64url, wherever it begins.
#[test]
fn a_planted_secret_is_found() {
    let secret = planted("x");
    let encoded = |before: &str| base64url::encode(format!("{before}{secret}").as_bytes());
    let mut given = Given::default();
    given.note("proof", "head.claims.signature");
    for text in [
        secret.clone(),
        encoded(""),
        encoded("a"),
        encoded("ab"),
        format!("{:?} {:#?}", secret.as_bytes(), "other"),
        format!("{:#?}", secret.as_bytes()),
        "the proof is head.claims.signature".to_owned(),
        "its signature".to_owned(),
    ] {
        let control = Seen::default();
        control.text(text.clone());
        let search = std::panic::AssertUnwindSafe(|| control.search(&given, 1));
        assert!(std::panic::catch_unwind(search).is_err(), "{text}");
    }
    let control = Seen::default();
    control.text("nothing");
    control.search(&given, 1);
}
