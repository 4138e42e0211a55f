//! The lines of the log.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber};

/// Stores every event as one line of `name=value`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!("{}={value} ", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        line.0
            .push_str(&format!("level={} ", event.metadata().level()));
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Returns the lines that are logged meanwhile.
pub(crate) fn all_logged(what: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    with_default(lines.clone(), what);
    let lines = lines.0.lock().unwrap();
    lines.clone()
}

/// Returns the one line that is logged meanwhile.
pub(crate) fn logged(what: impl FnOnce()) -> String {
    let lines = all_logged(what);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}
