//! The project's commands: `cargo xtask build | demo | test | simulate | explore | fuzz | miri | supply | bench | field |
//! soak | measure | options | examples | recipes | servers | conformance | mcp | reference | docs | release | size`.
//!
//! On first use, most commands install the tools that they need. A command skips steps whose inputs have not changed.
//! If a tool is missing and cannot be installed, the error says how to install it.

#![allow(
    clippy::print_stdout,
    reason = "a command line tool prints for a person"
)]

mod at_once;
mod browser;
mod changed;
mod closures;
mod controls;
mod docs;
mod explore;
mod facts;
mod fuzz;
mod install;
mod measure;
mod messages;
mod miri;
mod names;
mod package;
mod paths;
mod process;
mod programs;
mod progress;
mod release;
mod simulation;
mod stamp;
mod suite;
mod supply;
mod test;
mod testing;
mod times;
mod variants;
mod wasm;
mod workflows;

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

/// A part of the tests that is not named by kinds.
#[derive(Subcommand)]
enum Only {
    /// Run what a change concerns: kinds by the folders that changed, and test files that read what changed. Print what is
    /// left out. If in doubt, run it.
    Changed(changed::Options),
}

#[derive(Subcommand)]
enum Command {
    /// Build the wasm core, the npm package (pkg/dist) and the demo site.
    Build,
    /// Serve the demo with its own OpenID provider and API on loopback. Ctrl-C stops it.
    Demo {
        /// Run the demo in a headless browser instead of serving it, and fail at the first step that fails.
        #[arg(long)]
        check: bool,
        /// Put the vault on an origin of its own.
        #[arg(long)]
        vault_origin: bool,
        /// Use the token handler in Cloudflare's runtime instead of a vault. The demo then also has a page on which cookies
        /// are copied.
        #[arg(long, conflicts_with = "vault_origin")]
        edge: bool,
        /// Open a Chromium that binds sessions to a key, with the page on which cookies are copied. Needs a screen.
        #[arg(long, requires = "edge", conflicts_with = "check")]
        browser: bool,
    },
    /// Run all tests, or some kinds of tests.
    #[command(args_conflicts_with_subcommands = true)]
    Test {
        #[command(subcommand)]
        only: Option<Only>,
        /// Kinds of tests. Default: all kinds but `quick`, in this order.
        #[arg(value_enum)]
        kinds: Vec<test::Kind>,
        /// Browser engines for the kind `engines`, separated by commas. Default: Firefox and WebKit, because the kind
        /// `browser` runs the same suite in Chromium.
        #[arg(long, value_enum, value_delimiter = ',')]
        engines: Vec<browser::Engine>,
        /// Also run the files named `*.all.test.mjs` and the combinations that only repeat a behavior in another mode, and all
        /// files in a whole Chromium instead of its headless shell. This takes three times as long. For the kind
        /// `packaging`: build an app with every bundler, and print a table.
        #[arg(long)]
        all: bool,
        /// Run nothing. Print how long the kinds and the slowest files took, and the trend.
        #[arg(long, conflicts_with_all = ["kinds", "engines", "all", "part"])]
        times: bool,
        /// Run only this part of the files of the kind `browser`, such as `1/2`, so that two machines can share them.
        #[arg(long)]
        part: Option<suite::Part>,
    },
    /// Simulate thousands of short, random lives of the core, with all kinds of faults.
    Simulate {
        /// Instead of vaults, simulate isolates of the token handler that share one coordinator.
        #[arg(long, conflicts_with = "controls")]
        isolates: bool,
        /// Instead of looking for faults, count the sessions that a laptop loses at a provider without a leeway: with the rules
        /// of the core, and without the rules that protect a refresh after a wake. `--sessions` is a number of days.
        #[arg(long, conflicts_with_all = ["controls", "isolates", "seed"])]
        wakes: bool,
        /// Number of lives. Default: 20000, or 6000 with --isolates. With --seed: 1, printed step by step.
        #[arg(long)]
        sessions: Option<u64>,
        /// Seed of the first life. The same seed repeats the same life.
        #[arg(long)]
        seed: Option<u64>,
        /// Break one rule of the core at a time, and check that the simulation notices each broken rule.
        #[arg(long, conflicts_with_all = ["sessions", "seed"])]
        controls: bool,
        /// Search for the lives that notice the broken rules, and write their seeds to xtask/src/variants.rs.
        #[arg(long, requires = "controls")]
        write: bool,
    },
    /// Run the core through every order of the steps of two small worlds: vaults that share a store, and isolates that share a
    /// coordinator. Fails if an order breaks a rule, and prints a shortest such order. With options, explores another world.
    Explore(explore::Options),
    /// Search with libFuzzer for input that breaks an invariant. Needs a C++ compiler.
    Fuzz {
        /// The kind of input. Default: each in turn.
        target: Option<String>,
        /// Seconds for each kind of input.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Run the tests of the allocator under Miri, which detects undefined behavior. Needs a nightly toolchain.
    Miri,
    /// Check all dependencies, including slow checks and those that need the network: licenses, sources and known
    /// vulnerabilities of the crates (installs cargo-deny), signatures of the npm packages, and reproducible builds of
    /// the modules.
    Supply,
    /// Compile the core and write pkg/glue. `supply` runs this part of `build` in a copy of the sources.
    #[command(hide = true)]
    Modules,
    /// Compare the speed with other libraries, in Node and in a real browser. `bench edge` measures the token handler, and
    /// `bench proxies` compares it with other proxies, such as oauth2-proxy, which Go builds. `bench counts` counts requests
    /// in virtual time. `bench --only visits --waterfall` prints where the milliseconds of a visit go.
    Bench {
        /// Options of benches/bench.mjs. After `edge` or `proxies`: options of the `bench.mjs` in this folder. After `counts`:
        /// `--write` for the tables in docs/performance.md.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run failures that users of libraries reported, in a browser, with strongroom and with other libraries, which come
    /// from the npm registry. Prints what each failure did to each library: docs/field.md. Without libfaketime, the rows
    /// about clocks are skipped.
    Field {
        /// Options of benches/field/run.mjs: `--only eight-tabs`, `--with oidc-spa`, `--newest`, `--why`, and `--write` for
        /// the table in docs/field.md.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run two token handlers behind nginx for 20 minutes, with Redis, a provider and an API, while one of these parts after
    /// the other fails. Prints a table. Fails if a session is lost, if a response is wrong, or if a refresh token is
    /// reused.
    Soak {
        /// Options of tests/soak/run.mjs: `--minutes 20`, `--rate 100` (requests in a second), `--sessions 60`, `--only`
        /// with a part of a fault's name, and `--write` for the table in docs/edge-operate.md.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Measure the readability of sources and documents: names, comments, dependencies and words.
    Measure(measure::Options),
    /// Write the options in docs/options.md from the TypeScript types, the codes in docs/errors.md and the durations in
    /// docs/intervals.md from the sources, and the picture of the folders of src in ARCHITECTURE.md from their imports.
    Options,
    /// Build the examples with the packed npm package. Needs the registry of npm.
    Examples {
        /// Names of examples. Default: all.
        names: Vec<String>,
        /// Also sign in to each example in a headless browser, and call the API.
        #[arg(long)]
        check: bool,
        /// Write the lockfiles of the examples instead.
        #[arg(long, conflicts_with = "check")]
        lock: bool,
    },
    /// Run the code of the guides about testing and HTTP clients, with the tools themselves and the packed npm package:
    /// Vitest, Jest, Storybook, Playwright, MSW and each client. Prints a table. Needs the npm registry.
    Recipes {
        /// Run only the recipes whose names contain one of these strings. Default: all.
        names: Vec<String>,
        /// Write the lockfiles of the recipes instead.
        #[arg(long, conflicts_with = "names")]
        lock: bool,
    },
    /// Start real authorization servers on loopback, and take many steps with each: with a vault in a headless browser,
    /// and with a token handler. Prints a table of steps and servers. Without names, also writes the table to
    /// docs/providers/README.md. Needs the npm registry, and for some servers python3, Java or Go. A server is skipped
    /// if the program that it needs is not installed.
    Servers {
        /// Run only the servers whose names contain one of these strings. Default: all.
        names: Vec<String>,
        /// Write the lockfiles of the servers instead.
        #[arg(long, conflicts_with = "names")]
        lock: bool,
    },
    /// Run the plans for relying parties of a running conformance suite of the OpenID Foundation: the vault in Chromium,
    /// the token handler on Node. Writes docs/conformance-suite.md. Fails if a module does not have the expected result.
    Conformance {
        /// The suite, such as `https://localhost:8443`. Its own documentation says how to start it.
        url: String,
        /// Run only the plans whose client or title contains one of these strings, such as `vault` or `logout`, and
        /// write nothing. Default: all.
        names: Vec<String>,
    },
    /// Run the scenarios about authorization of MCP's conformance suite (alpha) that count for the revision 2026-07-28: the
    /// vault in Chromium, the token handler on Node. Prints a table. Fails if a result is not the expected one. Needs the
    /// npm registry.
    Mcp {
        /// Run only the scenarios whose names contain one of these strings. Default: all.
        names: Vec<String>,
    },
    /// Write the reference of each of the package's entries into target/reference, one page each. Fails if a page lacks
    /// an export, or if a link leads nowhere.
    Reference,
    /// Build the documentation site from the documents into target/docs/site. Fails if a link leads nowhere. Contains the
    /// reference if `reference` has written it. Installs its tools on first use.
    Docs {
        /// Also serve the site on loopback with the headers of a host. Ctrl-C stops it.
        #[arg(long, conflicts_with = "origin")]
        serve: bool,
        /// The origin of the site, such as `https://docs.example.com`, for the headers of demo and playground, and for
        /// sitemap.xml and canonical links. Default: localhost, without the last two.
        #[arg(long)]
        origin: Option<String>,
    },
    /// Check that a release can be published, write its files into target/release-files, and stop before it is
    /// published.
    Release,
    /// Measure the bytes that a browser downloads. Fails if a size exceeds its gate.
    Size {
        /// Also write the sizes into the documents.
        #[arg(long, conflicts_with = "what")]
        write: bool,
        /// Also bundle and measure other libraries.
        #[arg(long)]
        peers: bool,
        /// Show the bytes of each source, each crate and each module of the core instead.
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
            ..
        } => demo_check(demo_options(*vault_origin, *edge)),
        Command::Demo { browser: true, .. } => {
            let serve = process::node(&["www/serve.mjs", "--edge", "--browser"]);
            let serve = browser::with_chromium(serve)?;
            package::build()?;
            serve.replace()
        }
        Command::Demo {
            vault_origin, edge, ..
        } => {
            let options = demo_options(*vault_origin, *edge);
            demo_build(process::node(&["www/serve.mjs"]), options)?.replace()
        }
        Command::Test { times: true, .. } => times::print(),
        Command::Test {
            only: Some(Only::Changed(options)),
            ..
        } => changed::run(options),
        Command::Test {
            kinds,
            engines,
            all,
            part,
            ..
        } => test::run(kinds, engines, *all, *part),
        Command::Simulate {
            controls: true,
            write,
            ..
        } => simulation::controls(*write),
        Command::Simulate {
            wakes: true,
            sessions,
            ..
        } => simulation::wakes(sessions.unwrap_or(100)),
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
        Command::Explore(options) => explore::run(options),
        Command::Fuzz { target, seconds } => fuzz::run(target.as_deref(), *seconds),
        Command::Miri => miri::run(),
        Command::Measure(options) => measure::run(options),
        Command::Options => {
            facts::write_documents()?;
            process::node(&["pkg/options.mjs"]).run()?;
            process::node(&["pkg/intervals.mjs"]).run()
        }
        Command::Examples { names, check, lock } => examples(names, *check, *lock),
        Command::Recipes { names, lock } => with_lockfiles("tests/recipes/run.mjs", names, *lock),
        Command::Servers { names, lock } => with_lockfiles("tests/servers/run.mjs", names, *lock),
        Command::Conformance { url, names } => {
            let run = process::node(&["tests/conformance/run.mjs", url]);
            run_in_chromium(run.args(names))
        }
        Command::Mcp { names } => {
            run_in_chromium(process::node(&["tests/mcp/run.mjs"]).args(names))
        }
        Command::Reference => docs::reference(),
        Command::Docs { serve, origin } => {
            docs::build(origin.as_deref())?;
            match serve {
                true => process::become_node(&["www/docs/serve.mjs"]),
                false => Ok(()),
            }
        }
        Command::Release => release::check(),
        Command::Supply => supply::run(),
        Command::Modules => wasm::modules(),
        Command::Bench { options } => bench(options),
        Command::Field { options } => field(options),
        Command::Soak { options } => soak(options),
        Command::Size { what: true, .. } => {
            package::build()?;
            process::node(&["benches/what.mjs"]).run()
        }
        Command::Size { peers, write, .. } => {
            package::build()?;
            let options = [(*peers, "--peers"), (*write, "--write")];
            let chosen = options.into_iter().filter(|(is_set, _)| *is_set);
            size(&chosen.map(|(_, option)| option).collect::<Vec<_>>())
        }
    }
}

/// Options for the demo's scripts.
const fn demo_options(vault_origin: bool, edge: bool) -> &'static [&'static str] {
    match (vault_origin, edge) {
        (_, true) => &["--edge"],
        (true, false) => &["--vault-origin"],
        (false, false) => &[],
    }
}

fn demo_check(options: &[&str]) -> Result<()> {
    demo_checker(options)?.run()
}

/// Builds what the demo loads, and returns the script that drives it in a browser.
fn demo_checker(options: &[&str]) -> Result<process::Process> {
    let check = browser::with_chromium(process::node(&["www/check.mjs"]))?;
    demo_build(check, options)
}

/// Builds what a script of the demo loads, and returns the script with these options. The token handler on Cloudflare's
/// runtime needs the whole package.
fn demo_build(script: process::Process, options: &[&str]) -> Result<process::Process> {
    let script = script.args(options);
    if options.contains(&"--edge") {
        package::build()?;
        return Ok(script);
    }
    package::demo()?;
    Ok(script.env("STRONGROOM_DIST", package::DEMO))
}

fn examples(names: &[String], check: bool, lock: bool) -> Result<()> {
    let mut examples = process::node(&["examples/build.mjs"]).args(names);
    if lock {
        return examples.args(["--lock"]).run();
    }
    if check {
        examples = browser::with_chromium(examples)?.args(["--check"]);
    }
    package::build()?;
    examples.run()
}

/// Runs a script that installs what it tests from lockfiles, and drives a browser. With `lock`, the script writes the
/// lockfiles instead.
fn with_lockfiles(script: &str, names: &[String], lock: bool) -> Result<()> {
    let script = process::node(&[script]).args(names);
    if lock {
        return script.args(["--lock"]).run();
    }
    run_in_chromium(script)
}

/// Builds the package, and runs a script that drives a Chromium.
fn run_in_chromium(script: process::Process) -> Result<()> {
    let script = browser::with_chromium(script)?;
    package::build()?;
    script.run()
}

/// Runs the tests that compare their counts with documents, or write them with `write`. Prints the tables.
fn counts(write: bool) -> Result<()> {
    let mut tests = process::cargo().args(["test", "--quiet"]);
    tests = tests.args([
        "--package",
        "strongroom-vault",
        "--package",
        "strongroom-edge",
    ]);
    tests = tests.args(["--tests", "as_documented"]);
    if write {
        tests = tests.env("UPDATE_DOCS", "1");
    }
    tests.run()?;
    let text = std::fs::read_to_string(paths::at("docs/performance.md"))?;
    let section = text
        .split("\n## ")
        .find(|part| part.starts_with("Requests\n"));
    println!("\n{}", section.unwrap_or_default());
    Ok(())
}

fn bench(options: &[String]) -> Result<()> {
    if options.first().is_some_and(|first| first == "counts") {
        return counts(options.iter().any(|option| option == "--write"));
    }
    let first = (options.split_first()).map(|(first, rest)| (&**first, rest));
    if let Some(("edge", options)) = first {
        let bench = process::node(&["benches/edge/bench.mjs"]);
        let otherwise = "`cargo xtask bench` measures the vault, and needs no Redis";
        let bench = programs::with_programs(bench, &[programs::redis()], otherwise)?;
        package::build()?;
        return bench.args(options).run();
    }
    if let Some(("proxies", options)) = first {
        let bench = programs::with_oauth2_proxy(process::node(&["benches/proxies/bench.mjs"]));
        package::build()?;
        return bench.args(options).run();
    }
    let bench = browser::with_chromium(process::node(&["benches/bench.mjs"]))?;
    package::build()?;
    bench.args(options).run()
}

fn field(options: &[String]) -> Result<()> {
    let script = || process::node(&["benches/field/run.mjs"]);
    let field =
        programs::with_programs(script(), &[programs::faketime()], "").unwrap_or_else(|_| script());
    let field = browser::with_chromium(field)?;
    package::build()?;
    field.args(options).run()
}

fn soak(options: &[String]) -> Result<()> {
    let needs = [programs::redis(), programs::nginx(), programs::faketime()];
    let otherwise = "`cargo xtask test edge` tests one fault at a time";
    let soak = programs::with_programs(process::node(&["tests/soak/run.mjs"]), &needs, otherwise)?;
    package::build()?;
    soak.args(options).run()
}

fn size(options: &[&str]) -> Result<()> {
    process::node(&["benches/size.mjs"]).args(options).run()
}
