//! What is printed and told, above the bar.

use std::{
    io::{self, ErrorKind, Write},
    sync::OnceLock,
};

use indicatif::ProgressBar;
use vcq::{error::Error, printable};

/// The bar at the foot of the terminal, above which everything is printed.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// From here on everything is printed above this bar.
pub(crate) fn above(bar: ProgressBar) -> &'static ProgressBar {
    BAR.get_or_init(|| bar)
}

fn above_bar<T>(print: impl FnOnce() -> T) -> T {
    match BAR.get() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Whether what is printed is coloured.
static IS_COLORED: OnceLock<bool> = OnceLock::new();

/// Says whether what is printed is coloured; it is not until this is said.
pub(crate) fn color(is_wanted: bool) {
    IS_COLORED.get_or_init(|| is_wanted);
}

/// Writes a line to standard error, if that can be written: the exit code says the same.
pub(crate) fn tell(line: &str) {
    // On a full disk there is nobody left to tell.
    let _ = above_bar(|| writeln!(io::stderr(), "{}", printable::lines(line)));
}

/// The text with its verdict in colour: green where all is complete, yellow where it is not.
fn colored(text: &str) -> String {
    let color = |line: &str| match line.starts_with("verdict ") {
        true if line.contains("not complete") => format!("\x1b[1;33m{line}\x1b[0m"),
        true => format!("\x1b[1;32m{line}\x1b[0m"),
        false => line.to_owned(),
    };
    text.split('\n').map(color).collect::<Vec<_>>().join("\n")
}

/// Prints data. A reader that has gone away, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let write = || {
        let mut out = io::stdout().lock();
        let text = printable::lines(text);
        let text = if IS_COLORED.get() == Some(&true) { colored(&text) } else { text };
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
    match above_bar(write) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|source| Error::File { operation: "write to", path: "standard output".into(), source }),
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports have string keys only");
    text.push('\n');
    printable::json(&text)
}
