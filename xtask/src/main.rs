//! Everything a person types to work on strongroom: `cargo xtask build | demo | test | simulate | fuzz |
//! mutants | supply | bench | measure | size`.
//!
//! Each command installs what it needs on first use and does nothing twice. What cannot be installed
//! is named, with the words that install it.

#![allow(
    clippy::print_stdout,
    reason = "a command line tool speaks to a person"
)]

mod at_once;
mod browser;
mod controls;
mod exports;
mod fuzz;
mod install;
mod measure;
mod mutants;
mod names;
mod order;
mod package;
mod paths;
mod process;
mod programs;
mod progress;
mod simulation;
mod stamp;
mod suite;
mod supply;
mod test;
mod variants;
mod wasm;
mod words;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Build, try, test and measure strongroom.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the wasm core, the npm package (pkg/dist) and the demo site.
    Build,
    /// Serve the demo with its own OpenID provider and API on loopback; Ctrl-C ends it.
    Demo {
        /// Drive the demo in a headless browser instead, and fail at the first step that fails.
        #[arg(long)]
        check: bool,
        /// The vault on an origin of its own, another one than the app's.
        #[arg(long)]
        vault_origin: bool,
        /// No vault: the same page over the token handler, which runs in Cloudflare's runtime.
        #[arg(long, conflicts_with = "vault_origin")]
        edge: bool,
    },
    /// Run the tests: all of them, or one kind.
    Test {
        /// Which kind; all of them in this order when left out.
        #[arg(value_enum)]
        kind: Option<test::Kind>,
        /// The browser engines for the kind `engines`; all three when left out.
        #[arg(long, value_enum, value_delimiter = ',')]
        engines: Vec<browser::Engine>,
    },
    /// Let the core live through thousands of short lives in which everything fails that can.
    Simulate {
        /// Of isolates of the token handler instead, over one coordinator.
        #[arg(long, conflicts_with = "controls")]
        isolates: bool,
        /// How many; 20000 (of isolates 6000) when left out, or one, told step by step, if there is a seed.
        #[arg(long)]
        sessions: Option<u64>,
        /// The first seed, which decides everything in its life.
        #[arg(long)]
        seed: Option<u64>,
        /// Break one rule of the core at a time; the simulation must notice each.
        #[arg(long, conflicts_with_all = ["sessions", "seed"])]
        controls: bool,
    },
    /// Let libFuzzer look for input from which the core does what it must not. Needs a C++ compiler.
    Fuzz {
        /// What kind of input; each in turn when left out.
        target: Option<String>,
        /// For how long, each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Change the core in one small place at a time: the native tests must notice. Installs cargo-mutants.
    Mutants(mutants::Options),
    /// Check all that comes from elsewhere, also what takes a while or needs the network: licences, sources and
    /// known faults of the crates (installs cargo-deny), signatures of the npm packages, each module built twice.
    Supply,
    /// Compile the core and write pkg/glue: a part of `build`, for the copy that `supply` compares with.
    #[command(hide = true)]
    Modules {
        /// Only the module of this name, which must not need another's glue.
        #[arg(long)]
        only: Option<String>,
    },
    /// Measure side by side with other libraries, in Node and in a real browser; `bench edge`: the token handler.
    Bench {
        /// Handed to benches/bench.mjs as they are, or behind `edge` to benches/edge/bench.mjs.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Count what makes the sources easy or hard to read: names, comments, dependencies.
    Measure(measure::Options),
    /// Measure what a browser downloads; fails above the budget.
    Size {
        /// Also bundle and measure other libraries.
        #[arg(long)]
        peers: bool,
        /// Say what it consists of instead: each source, each crate, each of our own modules.
        #[arg(long, conflicts_with = "peers")]
        what: bool,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Build => package::build(),
        Command::Demo {
            check: true,
            vault_origin,
            edge,
        } => demo_check(demo_options(*vault_origin, *edge)),
        Command::Demo {
            check: false,
            vault_origin,
            edge,
        } => {
            package::build()?;
            process::become_node(&[&["www/serve.mjs"], demo_options(*vault_origin, *edge)].concat())
        }
        Command::Test { kind, engines } => test::run(*kind, engines),
        Command::Simulate { controls: true, .. } => simulation::controls(),
        Command::Simulate {
            isolates,
            sessions,
            seed,
            ..
        } => {
            let lives = match isolates {
                true => simulation::Lives::Isolates,
                false => simulation::Lives::Vaults,
            };
            simulation::run(lives, *sessions, *seed)
        }
        Command::Fuzz { target, seconds } => fuzz::run(target.as_deref(), *seconds),
        Command::Mutants(options) => mutants::run(options),
        Command::Measure(options) => measure::run(options),
        Command::Supply => supply::run(),
        Command::Modules { only } => wasm::modules(only.as_deref()),
        Command::Bench { options } => bench(options),
        Command::Size { what: true, .. } => {
            package::build()?;
            process::node(&["benches/what.mjs"]).run()
        }
        Command::Size { peers, .. } => {
            package::build()?;
            size(if *peers { &["--peers"] } else { &[] })
        }
    }
}

/// What the demo's scripts are told.
const fn demo_options(vault_origin: bool, edge: bool) -> &'static [&'static str] {
    match (vault_origin, edge) {
        (_, true) => &["--edge"],
        (true, false) => &["--vault-origin"],
        (false, false) => &[],
    }
}

fn demo_check(options: &[&str]) -> Result<()> {
    let check = browser::with_chromium(process::node(&["www/check.mjs"]))?;
    package::build()?;
    check.args(options).run()
}

fn bench(options: &[String]) -> Result<()> {
    if let Some(("edge", options)) = options.split_first().map(|(first, rest)| (&**first, rest)) {
        package::build()?;
        return process::node(&["benches/edge/bench.mjs"])
            .args(options)
            .run();
    }
    let bench = browser::with_chromium(process::node(&["benches/bench.mjs"]))?;
    package::build()?;
    bench.args(options).run()
}

fn size(options: &[&str]) -> Result<()> {
    process::node(&["benches/size.mjs"]).args(options).run()
}
