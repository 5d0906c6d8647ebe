//! Prints the progress of a command: one line for each step, with the step's duration.

use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Runs `work` and prints a line before and after.
///
/// On a terminal, the second line replaces the first if nothing was printed in between, that is, if `output` is
/// [`Output::Quiet`].
pub(crate) fn step<T>(label: &str, output: Output, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("  … {label}");
    let start = Instant::now();
    let result = work();
    if output == Output::Quiet && std::io::stdout().is_terminal() {
        print!("\x1b[1A\x1b[2K");
    }
    let mark = if result.is_ok() { '✓' } else { '✗' };
    println!("  {mark} {label}  {}", seconds(start.elapsed()));
    // Flushes the line, because the next program may write to the same terminal.
    std::io::stdout().flush().ok();
    result
}

/// Tells if a step prints lines between its first and its last line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The step prints no output between its two lines.
    Quiet,
    /// The step, or a parallel step, prints lines in between.
    Loud,
}

/// Prints that a step had nothing to do.
pub(crate) fn unchanged(label: &str) {
    println!("  ✓ {label}  unchanged");
}

/// Formats a duration, as in `12.3 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
