//! Prints the progress of a command: one line for each step, with the step's duration.

use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two lines about a step that is not done.
const MINUTE: Duration = Duration::from_secs(60);

/// Runs `work`, and prints a line before, each minute, and after.
///
/// On a terminal, the last line replaces the first if nothing was printed in between: if `output` is [`Output::Quiet`] and the
/// step took less than a minute.
pub(crate) fn step<T>(label: &str, output: Output, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("  … {label}");
    let start = Instant::now();
    let result = each(
        MINUTE,
        |minutes| println!("  … {label}  {minutes} min"),
        work,
    );
    let is_first = start.elapsed() < MINUTE;
    if output == Output::Quiet && is_first && std::io::stdout().is_terminal() {
        print!("\x1b[1A\x1b[2K");
    }
    let mark = if result.is_ok() { '✓' } else { '✗' };
    println!("  {mark} {label}  {}", seconds(start.elapsed()));
    // Flushes the line, because the next program may write to the same terminal.
    std::io::stdout().flush().ok();
    result
}

/// Runs `work`, and prints a line each minute until it is done.
pub(crate) fn with_minutes<T>(label: &str, work: impl FnOnce() -> T) -> T {
    each(MINUTE, |n| println!("  … {label}  {n} min"), work)
}

/// Runs `work`, and calls `tell` after each `interval` until it is done.
fn each<T>(interval: Duration, tell: impl Fn(u32) + Send, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut intervals = 1;
            while waiting.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                tell(intervals);
                intervals += 1;
            }
        });
        let result = work();
        drop(done);
        result
    })
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

#[cfg(test)]
mod tests {
    use super::each;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn long_work_is_told_until_it_is_done() {
        let (tell, told) = channel();
        let interval = Duration::from_millis(1);
        each(
            interval,
            |n| tell.send(n).unwrap(),
            || assert_eq!([told.recv(), told.recv()], [Ok(1), Ok(2)]),
        );
    }
}
