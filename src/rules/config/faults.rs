//! The faults in a configuration.

use core::cell::Cell;

use crate::base::error::{Code, Error};
use crate::prelude::*;

/// The largest number of faults that the error names.
const MAX_FAULTS: usize = 10;

/// Returns the error for a configuration that is refused.
pub fn fault(message: &[&str]) -> Error {
    Error::of(Code::ConfigInvalid, message)
}

/// The faults that the reader of a configuration has found.
#[derive(Default)]
pub struct Faults {
    /// The full names of the faulty options, such as `session.idle`.
    options: Cell<Vec<String>>,
    /// The error message so far.
    lines: Cell<String>,
}

impl Faults {
    /// Records a fault of an option. A further fault of the same option, or of an option in a faulty object, is often a
    /// consequence of the recorded fault. Such a fault is not recorded.
    pub(super) fn record(&self, option: &[&str], message: &[&str]) {
        let mut options = self.options.take();
        let mut lines = self.lines.take();
        let option = option.concat();
        let is_consequence = |known: &String| {
            let rest = option.strip_prefix(&**known);
            rest.is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'.' | b'[')))
        };
        if options.len() <= MAX_FAULTS && !options.iter().any(is_consequence) {
            if !lines.is_empty() {
                lines.push('\n');
            }
            let more: &[&str] = &[msg!("there are more problems")];
            let message = if options.len() < MAX_FAULTS {
                message
            } else {
                more
            };
            lines.push_str(&message.concat());
            options.push(option);
        }
        self.options.set(options);
        self.lines.set(lines);
    }

    /// Returns an error with one line for each fault, or `None` if there are no faults. The line about an unknown option
    /// may be followed by a line with the known options.
    pub fn into_error(self) -> Option<Error> {
        let lines = self.lines.into_inner();
        (!lines.is_empty()).then(|| fault(&[&lines]))
    }
}
