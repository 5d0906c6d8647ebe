//! Runs the core through every order of the steps of small worlds, with `tests/explore`.

use crate::paths::target;
use crate::process::{Process, program};
use crate::progress::{Output, step};
use crate::simulation::{COPY, VARIABLE, broken, built, executable, tests, write_copy};
use crate::variants::{ALSO, Noticer, PLANTED, VARIANTS};
use anyhow::{Result, bail};
use clap::Args;
use std::path::Path;

/// The longest search for a broken rule, in seconds.
const PATIENCE: &str = "120";

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
    /// The number of faults that may happen at any moment: a refresh fails, or a worker or an isolate ends.
    #[arg(long)]
    faults: Option<u32>,
    /// The number of pauses that may happen at any moment: the process of an isolate stands still, or time passes until the
    /// next timer of a vault.
    #[arg(long)]
    pauses: Option<u32>,
    /// Let the user sign out at any moment.
    #[arg(long)]
    logout: bool,
    /// Set the clocks of the isolates 10 s apart.
    #[arg(long, requires = "isolates")]
    clocks: bool,
    /// Stop after this time, and do not fail if orders are left. Default: the number of states is limited.
    #[arg(long)]
    seconds: Option<u32>,
    /// The user of the first vault signs in again.
    #[arg(long, requires = "vaults")]
    login: bool,
    /// The provider accepts a consumed refresh token again, and returns another successor.
    #[arg(long, requires = "isolates")]
    leeway: bool,
    /// Print an order that breaks a rule as a native test.
    #[arg(long)]
    as_test: bool,
    /// Write the numbers of the two base worlds into docs/security-claims.md.
    #[arg(long, conflicts_with_all = ["vaults", "isolates", "parties", "calls", "faults", "pauses", "logout", "clocks", "seconds"])]
    write: bool,
    /// Break one rule of the core at a time, and check that an order of a small world or a native test notices it.
    #[arg(long, conflicts_with_all = ["vaults", "isolates", "write"])]
    controls: bool,
}

impl Options {
    fn arguments(&self) -> Vec<String> {
        let flags = [
            (self.vaults, "--vaults"),
            (self.isolates, "--isolates"),
            (self.logout, "--logout"),
            (self.clocks, "--clocks"),
            (self.login, "--login"),
            (self.leeway, "--leeway"),
            (self.as_test, "--as-test"),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        let mut arguments: Vec<String> = set.map(|(_, name)| name.to_owned()).collect();
        let numbers = [
            (self.parties, "--parties"),
            (self.calls, "--calls"),
            (self.faults, "--faults"),
            (self.pauses, "--pauses"),
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
    if options.controls {
        return controls();
    }
    step("explore: build", Output::Quiet, || {
        search().args(["--no-run"]).run_quietly()
    })?;
    let mut search = search().args(["--"]).args(options.arguments());
    if options.write {
        search = search.env("UPDATE_DOCS", "1");
    }
    search.run()
}

/// Explores the two base worlds with all rules, and then breaks one rule at a time, until an order or a test notices it.
pub(crate) fn controls() -> Result<()> {
    let copy = target(COPY);
    write_copy(&copy)?;
    let search = step("explore: build the broken variants", Output::Quiet, || {
        executable(broken(&copy, search()))
    })?;
    program(&search).run()?;
    let mut missed = Vec::new();
    let planted = PLANTED.iter().map(|it| (it.control, it.noticed_by));
    for (control, noticer) in planted.chain(ALSO.iter().copied()) {
        let label = format!("noticed: {}", fault(control));
        let noticed = step(&label, Output::Quiet, || {
            notices(&copy, &search, control, noticer)
        });
        if let Err(error) = noticed {
            eprintln!("{error:#}");
            missed.push(control);
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => bail!("nothing notices any more: {}", missed.join(", ")),
    }
}

/// Returns the behavior of the core if this rule is broken.
fn fault(control: &str) -> &'static str {
    let planted = PLANTED.iter().map(|it| (it.control, it.fault));
    let mut all = planted.chain(VARIANTS.iter().map(|it| (it.control, it.fault)));
    let found = all.find(|(name, _)| *name == control);
    found.map_or("", |(_, fault)| fault)
}

/// Fails unless the broken rule is noticed.
fn notices(copy: &Path, search: &Path, control: &str, noticer: Noticer) -> Result<()> {
    match noticer {
        Noticer::Orders(world, rule) => program(search)
            .args(world)
            .args(["--seconds", PATIENCE, "--expect", rule])
            .env(VARIABLE, control)
            .run_quietly(),
        Noticer::Test(package, test) => {
            let target = match package {
                "strongroom-edge" => "handler",
                vault => vault.trim_start_matches("strongroom-"),
            };
            let built = program(&executable(broken(copy, tests(package, target)))?);
            let ran = built.args([test]).env(VARIABLE, control).run_quietly();
            match ran {
                Ok(()) => bail!("the test {test} passes"),
                Err(_) => Ok(()),
            }
        }
    }
}

/// Returns the command that builds and runs the search.
fn search() -> Process {
    built("strongroom-tests", "explore")
}
