//! Runs the core through every order of the steps of small worlds, with `tests/explore`.

use crate::process::{Process, cargo};
use crate::progress::{Output, step};
use anyhow::Result;
use clap::Args;

/// The options of `cargo xtask explore`. Without options, it explores the two base worlds, and fails if an order is left.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Explore one world of vaults.
    #[arg(long, conflicts_with = "isolates")]
    vaults: bool,
    /// Explore one world of isolates of the token handler.
    #[arg(long)]
    isolates: bool,
    /// The number of vaults or isolates. Default: 2.
    #[arg(long)]
    parties: Option<u32>,
    /// The number of calls of each vault's page, or of requests to all isolates. Default: 1, or 2 with --isolates.
    #[arg(long)]
    calls: Option<u32>,
    /// The number of faults that may happen at any moment: a request fails, or a worker or an isolate ends.
    #[arg(long)]
    faults: Option<u32>,
    /// Let the user sign out at any moment.
    #[arg(long)]
    logout: bool,
    /// Set the clocks of the isolates 10 s apart.
    #[arg(long, requires = "isolates")]
    clocks: bool,
    /// Stop after this time, and do not fail if orders are left. Default: the number of states is limited.
    #[arg(long)]
    seconds: Option<u32>,
    /// Print an order that breaks a rule as a native test.
    #[arg(long)]
    as_test: bool,
    /// Write the numbers of the two base worlds into docs/security-claims.md.
    #[arg(long, conflicts_with_all = ["vaults", "isolates", "parties", "calls", "faults", "logout", "clocks", "seconds"])]
    write: bool,
}

impl Options {
    fn arguments(&self) -> Vec<String> {
        let flags = [
            (self.vaults, "--vaults"),
            (self.isolates, "--isolates"),
            (self.logout, "--logout"),
            (self.clocks, "--clocks"),
            (self.as_test, "--as-test"),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        let mut arguments: Vec<String> = set.map(|(_, name)| name.to_owned()).collect();
        let numbers = [
            (self.parties, "--parties"),
            (self.calls, "--calls"),
            (self.faults, "--faults"),
            (self.seconds, "--seconds"),
        ];
        for (number, name) in numbers {
            if let Some(number) = number {
                arguments.extend([name.to_owned(), number.to_string()]);
            }
        }
        arguments
    }
}

/// Builds the search, and explores a world.
pub(crate) fn run(options: &Options) -> Result<()> {
    step("explore: build", Output::Quiet, || {
        search().args(["--no-run"]).run_quietly()
    })?;
    let mut search = search().args(["--"]).args(options.arguments());
    if options.write {
        search = search.env("UPDATE_DOCS", "1");
    }
    search.run()
}

/// Returns the command that builds and runs the search.
fn search() -> Process {
    cargo()
        .args(["test", "--quiet", "--package", "strongroom-tests"])
        .args(["--profile", "simulation", "--test", "explore"])
}
