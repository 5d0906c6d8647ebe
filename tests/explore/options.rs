//! The options of the command line.

use std::time::Duration;

use kit::world::small::Extent as OfVaults;
use kit_isolates::small::Extent as OfIsolates;

pub(crate) const USAGE: &str = "usage: cargo xtask explore [--vaults | --isolates] [--parties N] [--calls N] [--faults N] [--pauses N] [--logout] [--login] [--leeway] [--clocks] [--seconds N] [--as-test]";

/// The kind of world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vaults,
    Isolates,
}

pub(crate) struct Options {
    /// The kind of the world, or `None` for the two base worlds.
    pub(crate) kind: Option<Kind>,
    pub(crate) vaults: OfVaults,
    pub(crate) isolates: OfIsolates,
    pub(crate) states: Option<usize>,
    pub(crate) time: Duration,
    /// Prints a broken order as a test.
    pub(crate) as_test: bool,
    /// In a control, the rule that must be broken.
    pub(crate) expected: Option<String>,
    has_limit: bool,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut this = Self {
            kind: None,
            vaults: OfVaults::BASE,
            isolates: OfIsolates::BASE,
            states: None,
            time: Duration::from_secs(600),
            as_test: false,
            expected: None,
            has_limit: false,
        };
        while let Some(name) = arguments.next() {
            if this.set_flag(&name) {
                continue;
            }
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            this.set(&name, value)?;
        }
        Ok(this)
    }

    fn set_flag(&mut self, name: &str) -> bool {
        match name {
            "--vaults" => self.kind = Some(Kind::Vaults),
            "--isolates" => self.kind = Some(Kind::Isolates),
            "--logout" => {
                self.vaults.logs_out = true;
                self.isolates.logs_out = true;
            }
            "--login" => self.vaults.logs_in = true,
            "--leeway" => self.isolates.has_leeway = true,
            "--clocks" => self.isolates.has_clocks_apart = true,
            "--as-test" => self.as_test = true,
            _ => return false,
        }
        true
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let number = || {
            let why = |_| format!("{name} takes a number, not {value}");
            value.parse::<usize>().map_err(why)
        };
        match name {
            "--parties" => {
                self.vaults.vaults = number()?;
                self.isolates.isolates = number()?;
            }
            "--calls" => {
                self.vaults.calls = number()?;
                self.isolates.requests = number()?;
            }
            "--faults" => {
                self.vaults.faults = number()?;
                self.isolates.faults = number()?;
            }
            "--pauses" => {
                self.vaults.pauses = number()?;
                self.isolates.pauses = number()?;
                // Without a leeway, a process that stands still for as long as a lease may lose a session.
                self.isolates.has_leeway = true;
            }
            "--states" => self.states = Some(number()?),
            "--seconds" => {
                self.has_limit = true;
                self.states.get_or_insert(usize::MAX);
                self.time = Duration::from_secs(number()? as u64);
            }
            "--expect" => self.expected = Some(value),
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }

    /// Returns true if the search may end before all orders are followed.
    pub(crate) const fn is_open_ended(&self) -> bool {
        self.has_limit
    }
}
