//! How log lines are written: for people at a terminal, for files, or as JSON.

use std::{
    fmt::{self, Write as _},
    io::{self, IsTerminal as _, Write},
    str,
};

use anstyle::{AnsiColor, Effects, Style};
use chrono_tz::Tz;
use indicatif::ProgressBar;
use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    registry::LookupSpan,
};

use super::log::check_filter;
use crate::{
    error::{Chain, Error},
    printable::{self, Printable},
    start::Start,
};

/// The form of log lines.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// One JSON object a line.
    pub is_json: bool,
    /// Whether lines are coloured; none: where standard error is a terminal.
    pub is_colored: Option<bool>,
    /// Whose clocks a terminal shows.
    pub zone: Tz,
}

/// Writes log lines that pass `filter` to standard error from now on, above `bar`, so that neither tears the other.
///
/// # Errors
///
/// [`Error::Usage`] if the filter has a word that means nothing.
pub fn start_log(filter: &str, form: Form, start: &Start, bar: ProgressBar) -> Result<(), Error> {
    let no_filter = |why: &dyn std::error::Error| {
        Error::Usage(format!("--log `{}` is no level and no filter: {}", Printable(filter), Chain(why)))
    };
    check_filter(filter).map_err(|unknown| Error::Usage(format!("--log {unknown}")))?;
    // Each try of a request to a bucket, and what is read of a table's log, are news to nobody who has not asked for it.
    let filter = EnvFilter::try_new(format!("object_store=warn,delta_kernel=off,{filter}"))
        .map_err(|error| no_filter(&error))?;
    let is_for_people = !form.is_json && form.is_colored.unwrap_or_else(|| io::stderr().is_terminal());
    let is_on_terminal = !form.is_json && io::stderr().is_terminal();
    let writer = AboveProgress { bar, is_json: form.is_json, is_printable: is_for_people || is_on_terminal };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    if form.is_json {
        builder.json().init();
    } else if is_for_people || is_on_terminal {
        builder.event_format(ForPeople { is_colored: is_for_people, start: start.clone(), zone: form.zone }).init();
    } else {
        builder.with_ansi(false).init();
    }
    Ok(())
}

/// `14:05:09 WARN  message  key=value`: without date and fractions of seconds, which nobody at a terminal needs.
struct ForPeople {
    is_colored: bool,
    start: Start,
    zone: Tz,
}

impl ForPeople {
    fn style(&self, style: Style) -> Style {
        if self.is_colored { style } else { Style::new() }
    }
}

const DIM: Style = Style::new().effects(Effects::DIMMED);

fn color_of(level: Level) -> Style {
    let color = match level {
        Level::ERROR => AnsiColor::Red,
        Level::WARN => AnsiColor::Yellow,
        Level::INFO => AnsiColor::Green,
        Level::DEBUG => AnsiColor::Blue,
        Level::TRACE => AnsiColor::Magenta,
    };
    color.on_default()
}

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let time = self.start.now().with_timezone(&self.zone);
        let (dim, level) = (self.style(DIM), self.style(color_of(*event.metadata().level())));
        write!(writer, "{dim}{}{dim:#} {level}{:<5}{level:#} ", time.format("%H:%M:%S"), event.metadata().level())?;
        let mut values = Values { message: String::new(), others: String::new(), key: dim };
        event.record(&mut values);
        writeln!(writer, "{}{}", values.message, values.others)
    }
}

/// The message of a log line, and its other values as ` key=value`, with all that steers written out.
struct Values {
    message: String,
    others: String,
    key: Style,
}

impl Values {
    fn add(&mut self, field: &Field, value: &dyn fmt::Display) {
        let key = self.key;
        let _ = match field.name() {
            "message" => write!(self.message, "{}", Printable(value)),
            name => write!(self.others, "  {key}{name}={key:#}{}", Printable(value)),
        };
    }
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format_args!("{value:?}"));
    }
}

/// Standard error, with the bar out of the way for as long as a line is written.
#[derive(Clone)]
struct AboveProgress {
    bar: ProgressBar,
    is_json: bool,
    /// Whether what steers has been written out already, so that what is left of it is colours.
    is_printable: bool,
}

impl<'a> MakeWriter<'a> for AboveProgress {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

impl Write for AboveProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let line = match (self.is_json, self.is_printable) {
            (true, _) => printable::json(&with_lists(&line)),
            (false, true) => line.into_owned(),
            (false, false) => printable::lines(&line),
        };
        // A line that is lost must not end a run: the subscriber would panic over it.
        self.bar.suspend(|| io::stderr().write_all(line.as_bytes()).ok());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Values that are lists, which the subscriber writes as texts.
const LISTS: [&str; 1] = ["ignored_columns"];

/// The same line with its lists as lists.
fn with_lists(line: &str) -> String {
    if !LISTS.iter().any(|list| line.contains(list)) {
        return line.to_owned();
    }
    let Ok(mut object) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
    for list in LISTS {
        let Some(value) = object.pointer_mut(&format!("/fields/{list}")) else { continue };
        if let Some(read) = value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            *value = read;
        }
    }
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_a_json_line_are_lists() {
        let line = "{\"level\":\"INFO\",\"fields\":{\"file\":\"[1]\",\"ignored_columns\":\"[\\\"a\\\",\\\"b\\\"]\"}}\n";
        let expected = "{\"fields\":{\"file\":\"[1]\",\"ignored_columns\":[\"a\",\"b\"]},\"level\":\"INFO\"}\n";
        assert_eq!(with_lists(line), expected);
        for other in ["{\"fields\":{\"message\":\"ignored_columns\"}}\n", "ignored_columns, and no JSON\n"] {
            assert_eq!(with_lists(other), other);
        }
    }
}
