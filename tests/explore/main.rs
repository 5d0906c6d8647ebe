//! Runs the real core through every order of the steps of a small world: vaults that share a store, or isolates that
//! share a coordinator. The two files `invariants.rs` in `tests/kit` have the rules that must hold in each order.
//!
//! `vaults.rs` and `isolates.rs` say what one step is, and `search.rs` follows the orders. Without options, the two base
//! worlds are explored, and docs/security-claims.md must have their numbers.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool prints for a person"
)]

mod isolates;
mod options;
mod search;
mod vaults;

use std::fmt::Debug;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use isolates::Isolates;
use kit::world::small::Extent as OfVaults;
use kit_isolates::small::Extent as OfIsolates;
use options::{Kind, Options};
use search::{Breach, Limits, Report, World};
use vaults::Vaults;

/// The largest number of states of a base world.
const MOST_STATES: usize = 40_000;

/// The longest time of the search for a shortest order.
const SHORTENING: Duration = Duration::from_secs(30);

/// A world that can be described.
trait Explored: World {
    type Extent: Copy + Debug + Send;
    /// The imports of a test that takes steps of this world.
    const IMPORTS: &str;

    fn new(extent: Self::Extent) -> Self;

    /// Returns what the world has, in words.
    fn describe(extent: Self::Extent) -> String;

    /// Returns a step as Rust writes it.
    fn code(step: Self::Step) -> String;
}

/// Returns the code of a test that takes these steps. Its comment names the rule that they break.
fn as_test<W: Explored>(extent: W::Extent, breach: &Breach<W::Step>) -> String {
    let (what, rule, imports) = (&breach.what, breach.rule(), W::IMPORTS);
    let code = |step: &W::Step| format!("        {},\n", W::code(*step));
    let steps: String = breach.steps.iter().map(code).collect();
    format!(
        "// {what}
#[test]
fn order_that_breaks_{rule}() {{
{imports}
    let small = SmallWorld::new({extent:?});
    small.follow(&[
{steps}    ]);
}}"
    )
}

/// What the search says about a world.
struct Outcome {
    is_good: bool,
    /// A row of the table in docs/security-claims.md.
    row: String,
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    let good = match options.kind {
        None => explore_base(&options),
        Some(Kind::Vaults) => explore::<Vaults>(options.vaults, &options).is_good,
        Some(Kind::Isolates) => explore::<Isolates>(options.isolates, &options).is_good,
    };
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Explores both base worlds at once, and compares their numbers with the document.
fn explore_base(options: &Options) -> bool {
    let (vaults, isolates) = thread::scope(|scope| {
        let isolates = scope.spawn(|| explore::<Isolates>(OfIsolates::BASE, options));
        let vaults = explore::<Vaults>(OfVaults::BASE, options);
        (vaults, isolates.join().unwrap())
    });
    let is_good = vaults.is_good && isolates.is_good;
    if is_good && options.expected.is_none() {
        let head = "| world | states | longest order |\n|---|---|---|\n";
        let table = [head, &vaults.row, &isolates.row].concat();
        kit::table::check("security-claims.md", "<!-- every order", &table);
    }
    is_good
}

fn explore<W: Explored>(extent: W::Extent, options: &Options) -> Outcome {
    let limits = Limits {
        states: options.states.unwrap_or(MOST_STATES),
        time: options.time,
    };
    let begin = || W::new(extent);
    let mut report = search::search(begin, limits);
    let world = W::describe(extent);
    println!("{}", line(&world, &report));
    let row = row(&world, &report);
    let breach = report.breach.take();
    if let Some(expected) = &options.expected {
        let is_noticed = breach.is_some_and(|breach| breach.rule() == expected);
        return Outcome {
            is_good: is_noticed,
            row,
        };
    }
    let is_good = breach.is_none() && (report.is_complete || options.is_open_ended());
    if let Some(breach) = breach {
        let breach = search::shortest(begin, breach, SHORTENING);
        match options.as_test {
            true => println!("{}", as_test::<W>(extent, &breach)),
            false => print(&breach),
        }
    }
    Outcome { is_good, row }
}

fn line<S>(world: &str, report: &Report<S>) -> String {
    let Report {
        states,
        ends,
        runs,
        longest,
        ..
    } = report;
    let extent = match (&report.breach, report.is_complete) {
        (Some(_), _) => "a rule is broken after",
        (None, true) => "every order:",
        (None, false) => "NOT COMPLETE:",
    };
    let seconds = report.time.as_secs_f64();
    format!(
        "  {world}: {extent} {states} states, {ends} ends, {runs} runs, at most {longest} steps; {seconds:.1} s"
    )
}

/// Returns a row of the table in docs/security-claims.md. Its number of states is rounded, so that it seldom changes.
fn row<S>(world: &str, report: &Report<S>) -> String {
    let thousands = report.states.div_ceil(1000);
    format!("| {world} | {thousands},000 | {} steps |\n", report.longest)
}

fn print<S: std::fmt::Display>(breach: &Breach<S>) {
    println!("  {}", breach.what);
    let order = match breach.is_shortest {
        true => "a shortest order that breaks this rule:",
        false => "an order that breaks this rule:",
    };
    println!("  {order}");
    for step in &breach.steps {
        println!("    {step}");
    }
    println!("  `--as-test` prints it as a test");
}
