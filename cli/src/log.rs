//! Writes warnings and refusals to the standard error, one line each.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::text::escaped;

/// Starts to write the events of the authority.
pub(crate) fn to_standard_error() {
    // It fails only if another subscriber is set already, which then gets the events.
    let _ = tracing::subscriber::set_global_default(ToStandardError);
}

/// Writes a warning of the program itself.
pub(crate) fn warn(text: &str) {
    let line = format!("aims: warning: {text}");
    let _ = writeln!(io::stderr().lock(), "{}", escaped(&line));
}

/// Takes events of this project from INFO on, and ignores spans.
struct ToStandardError;

impl Subscriber for ToStandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::INFO
            && metadata.target().starts_with("aims_authority")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let line = format!("aims: {}{}", line.message, line.fields);
        // Ignore the error: without a reader there is nowhere to report it.
        let _ = writeln!(io::stderr().lock(), "{}", escaped(&line));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
