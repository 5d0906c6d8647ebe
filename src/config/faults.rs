//! The faults in a configuration.

use core::cell::Cell;

use super::reader::fault;
use crate::base::error::Error;
use crate::prelude::*;

/// The largest number of faults that the error names.
const MAX_FAULTS: usize = 10;

/// The faults that the reader of a configuration has found, in this order.
pub(crate) struct Faults(Cell<Vec<Fault>>);

struct Fault {
    /// The full name of the option, such as `session.idle`.
    option: String,
    message: String,
}

impl Faults {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(Vec::new()))
    }

    /// Records a fault of an option. A further fault of the same option, or of an option in a faulty object, is often a
    /// consequence of the recorded fault. Such a fault is not recorded.
    pub(super) fn record(&self, option: &[&str], message: &[&str]) {
        let mut faults = self.0.take();
        let option = option.concat();
        let is_consequence = |known: &Fault| {
            let rest = option.strip_prefix(&*known.option);
            rest.is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'.' | b'[')))
        };
        if faults.len() <= MAX_FAULTS && !faults.iter().any(is_consequence) {
            let message = message.concat();
            faults.push(Fault { option, message });
        }
        self.0.set(faults);
    }

    /// Returns an error with one line for each fault, or `None` if there are no faults. The line about an unknown option
    /// may be followed by a line with the known options.
    pub(crate) fn into_error(self) -> Option<Error> {
        let faults = self.0.into_inner();
        let mut lines = String::new();
        for (i, Fault { message, .. }) in faults.iter().enumerate() {
            if i > 0 {
                lines.push('\n');
            }
            lines.push_str(if i < MAX_FAULTS {
                message
            } else {
                msg!("there are more problems")
            });
        }
        (!faults.is_empty()).then(|| fault(&[&lines]))
    }
}
