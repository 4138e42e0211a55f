//! The lines of the log.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::cell::RefCell;
use std::fmt;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// The lines of this thread, while a test collects them.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Stores every event as one line of `name=value`. It is the subscriber of all threads: with one
/// for each test, an event that another test registers at the same moment could stay off.
struct Lines;

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
        LINES.with_borrow_mut(|lines| lines.as_mut().map(|lines| lines.push(line.0)));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Returns the lines that are logged meanwhile.
pub(crate) fn all_logged(what: impl FnOnce()) -> Vec<String> {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| set_global_default(Lines).unwrap());
    LINES.set(Some(Vec::new()));
    what();
    LINES.take().unwrap()
}

/// Returns the one line that is logged meanwhile.
pub(crate) fn logged(what: impl FnOnce()) -> String {
    let lines = all_logged(what);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}
