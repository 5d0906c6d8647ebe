//! Runs the kinds of tests, in an order that finds mistakes early.

use crate::at_once::each;
use crate::browser::{Engine, with_chromium, with_engines, with_headless_shell};
use crate::process::{Process, cargo, node};
use crate::programs::{self, with_programs};
use crate::progress::{Output, seconds, step};
use crate::suite::{AtOnce, Part, Suite};
use crate::{docs, explore, install, package, simulation, supply, testing, times, wasm, workflows};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// One kind of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// The fast checks for daily work: formats, clippy, `native`, `page`, and the demo in Chromium. The other kinds repeat
    /// these checks, so a run without a kind leaves `quick` out.
    Quick,
    /// Formatting, lints and types: rustfmt, clippy, rustdoc, tsc, prettier, actionlint.
    Lint,
    /// The Rust core in virtual time, with test vectors, and the tools: cargo test --workspace.
    Native,
    /// Thousands of simulated lives of the core with all kinds of faults (`simulate`), every order of two small worlds
    /// (`explore`), and a check that the simulation notices broken rules.
    Simulation,
    /// The states of a page's connection and the page's policies, in Node with fake ports.
    Page,
    /// The size limits of downloads, and a check that exceeding a limit is noticed.
    Size,
    /// The documentation site: links, search, policies and accessibility, in Chromium and Firefox.
    Site,
    /// Dependencies: lockfiles, crates and licenses.
    Supply,
    /// The packed npm tarball in sample projects of users, which are built and run in a real browser.
    Packaging,
    /// Worker and page with a certified OpenID provider in a real browser, and the suite of the engines in Chromium.
    Browser,
    /// The token handler on each of its platforms (workerd, Deno, Node, Bun, edge-runtime), and with Redis and
    /// Postgres.
    Edge,
    /// The suite of the engines in Firefox and WebKit, or in the named engines (`--engines`). The kind `browser` runs it in
    /// Chromium. A run of all kinds runs only logins, tabs and reloads in the others.
    Engines,
    /// The demo in a real browser.
    Demo,
}

impl Kind {
    /// Returns the kinds that together are the whole test command.
    pub(crate) fn all() -> &'static [Self] {
        match Self::value_variants() {
            [Self::Quick, all @ ..] => all,
            all => all,
        }
    }

    /// Returns the name by which a user chooses the kind.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Returns the folder with the kind's files, if it has one. Its own folders have files of the kind, too.
    pub(crate) fn folder(self) -> Option<&'static str> {
        Some(match self {
            Self::Page => "tests/page",
            Self::Size => "tests/size",
            Self::Site => "tests/site",
            Self::Supply => "tests/supply",
            Self::Packaging => "tests/packaging",
            Self::Browser => "tests/browser",
            Self::Edge => "tests/edge",
            Self::Engines => "tests/engines",
            Self::Quick | Self::Lint | Self::Native | Self::Simulation | Self::Demo => return None,
        })
    }
}

/// Returns the kind that runs a test file. The kind `browser` runs the suite of the engines in Chromium.
pub(crate) fn kind_of(file: &str) -> Option<Kind> {
    if !file.ends_with(".test.mjs") {
        return None;
    }
    let is_of = |kind: &&Kind| {
        let rest = kind.folder().and_then(|folder| file.strip_prefix(folder));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let kind = Kind::all().iter().find(is_of)?;
    Some(match kind {
        Kind::Engines if file.ends_with("/chromium.test.mjs") => Kind::Browser,
        kind => *kind,
    })
}

/// What a change concerns, besides the test files that need what has changed, and besides formats.
pub(crate) enum Concern {
    /// These kinds, as a whole.
    Kinds(&'static [Kind]),
    /// The links of the documentation site.
    Documents,
    /// All tests.
    Everything,
}

/// What a change concerns, by the beginning of its path. The first row that fits counts. A file that is in no row, and that
/// no test file needs, concerns everything. Each file of Rust also concerns `lint` and `native`.
pub(crate) const CONCERNS: [(&str, Concern); 36] = {
    use Concern::{Documents, Everything, Kinds};
    use Kind::{Demo, Lint, Page, Simulation, Site, Size};
    const OWN_COMMAND: Concern = Kinds(&[]);
    [
        ("src/edge/", Kinds(&[Simulation, Size, Demo])),
        ("src/rules/", Kinds(&[Simulation, Size, Demo])),
        ("src/vault/", Kinds(&[Simulation, Size, Demo])),
        ("src/", Kinds(&[Size, Demo])),
        ("pkg/src/doctor/", Kinds(&[])),
        ("pkg/src/headers/", Kinds(&[])),
        ("pkg/src/testing/", Kinds(&[])),
        ("pkg/src/bindings/", Kinds(&[Size])),
        ("pkg/src/edge/", Kinds(&[Size, Demo])),
        ("pkg/src/", Kinds(&[Page, Size, Demo])),
        ("pkg/reference/", Kinds(&[Site])),
        ("tests/explore/", Kinds(&[Simulation])),
        ("tests/kit/", Kinds(&[Simulation])),
        ("tests/simulation/", Kinds(&[Simulation])),
        ("www/docs/", Kinds(&[Site])),
        ("www/", Kinds(&[Demo, Site])),
        (".github/", Kinds(&[Lint])),
        ("docs/", Documents),
        ("AGENTS.md", Documents),
        ("ARCHITECTURE.md", Documents),
        ("CHANGELOG.md", Documents),
        ("CONTRIBUTING.md", Documents),
        ("README.md", Documents),
        ("SECURITY.md", Documents),
        ("tests/assistants/", OWN_COMMAND),
        ("tests/conformance/", OWN_COMMAND),
        ("tests/mcp/", OWN_COMMAND),
        ("tests/observe/", OWN_COMMAND),
        ("tests/recipes/", OWN_COMMAND),
        ("tests/servers/", OWN_COMMAND),
        ("tests/soak/", OWN_COMMAND),
        ("benches/", OWN_COMMAND),
        ("Cargo.", Everything),
        ("package", Everything),
        ("pkg/", Everything),
        ("xtask/", Everything),
    ]
};

/// The environment variable that tells test files to run all combinations: see tests/support/combinations.mjs.
const ALL: &str = "TEST_ALL";

/// Runs kinds of tests, or all kinds, until one fails. With `all`, also runs what the usual run leaves out: the files named
/// [`LEFT_OUT`](crate::suite::LEFT_OUT), rows and combinations. `tests/packaging` then builds an app with every bundler, and
/// `tests/site` checks every page in each layout. `part` is a part of the files of the kind `browser`.
pub(crate) fn run(kinds: &[Kind], engines: &[Engine], all: bool, part: Option<Part>) -> Result<()> {
    let start = Instant::now();
    let chosen = match kinds {
        [] => Kind::all(),
        kinds => kinds,
    };
    let engines = &engines_besides(chosen, engines);
    let scope = match kinds {
        [] if !all => Scope::Main,
        _ => Scope::Whole,
    };
    chosen
        .iter()
        .try_for_each(|kind| run_kind(*kind, engines, all, part, scope))?;
    if chosen.len() > 1 {
        let which = match kinds {
            [] if all => "all tests",
            [] => "the usual tests",
            _ => "these tests",
        };
        println!(
            "{which} passed in {}{}",
            seconds(start.elapsed()),
            but_for(engines)
        );
    }
    Ok(())
}

/// Checks formats, and runs kinds and files of other kinds, until one fails. With `documents`, also builds the documentation
/// site, which fails if a link leads nowhere. `scope` is that of the suite of the engines.
pub(crate) fn run_some(
    kinds: &BTreeSet<Kind>,
    files: &BTreeMap<Kind, Vec<String>>,
    documents: bool,
    scope: Scope,
) -> Result<()> {
    let start = Instant::now();
    install::npm_packages()?;
    format()?;
    // The tests of the site build it, too.
    let has_site = kinds.contains(&Kind::Site) || files.contains_key(&Kind::Site);
    if documents && !has_site {
        docs::build(None)?;
    }
    for kind in Kind::all() {
        if kinds.contains(kind) {
            run_kind(*kind, &OTHER_ENGINES, false, None, Scope::Whole)?;
        } else if let Some(files) = files.get(kind) {
            println!("test {}: {} files", kind.name(), files.len());
            let suite = Suite::files(files);
            run_suite(*kind, suite, &OTHER_ENGINES, false, scope)?;
        }
    }
    println!(
        "what the change concerns passed in {}",
        seconds(start.elapsed())
    );
    Ok(())
}

/// Runs files of a kind, with what they need.
fn run_suite(kind: Kind, suite: Suite, engines: &[Engine], all: bool, scope: Scope) -> Result<()> {
    match kind {
        Kind::Site => site(suite, engines, all),
        Kind::Packaging | Kind::Browser => in_chromium(suite, all, scope),
        Kind::Edge => edge(suite, all),
        Kind::Engines => in_engines(suite, engines, scope),
        // The tests of the page bundle the page's sources, which import generated files.
        _ => {
            package::build()?;
            suite.run(AtOnce::Two, Ok)
        }
    }
}

/// The engines of the kind `engines`. The other kinds run in Chromium.
const OTHER_ENGINES: [Engine; 2] = [Engine::Firefox, Engine::WebKit];

/// Returns the engines of the kind `engines`: those that a user named, without Chromium if the kind `browser` runs the suite
/// in Chromium.
fn engines_besides(kinds: &[Kind], named: &[Engine]) -> Vec<Engine> {
    let has_browser = kinds.iter().any(|kind| matches!(kind, Kind::Browser));
    match named {
        [] => OTHER_ENGINES.into(),
        named => named
            .iter()
            .copied()
            .filter(|engine| *engine != Engine::Chromium || !has_browser)
            .collect(),
    }
}

/// Names the other engines in which no tests ran. Engines may be left out, but the last line of the output must name them.
fn but_for(engines: &[Engine]) -> String {
    let left_out = OTHER_ENGINES
        .iter()
        .filter(|engine| !engines.contains(engine))
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    if left_out.is_empty() {
        String::new()
    } else {
        format!("; NOT tested in {}", left_out.join(", "))
    }
}

/// The part of the suite of the engines that runs.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    /// Logins, tabs and reloads, and in Chromium also the groups of claims: in a run of all kinds.
    Main,
    /// Everything, with a comparison of the results with docs/browsers.md.
    Whole,
}

impl Scope {
    /// Tells the suite of the engines what runs.
    fn tell(self, process: Process) -> Process {
        match self {
            Self::Main => process.env("TEST_MAIN", "1"),
            Self::Whole => process,
        }
    }
}

fn run_kind(
    kind: Kind,
    engines: &[Engine],
    all: bool,
    part: Option<Part>,
    scope: Scope,
) -> Result<()> {
    let name = kind.name();
    println!("test {name}");
    let start = Instant::now();
    let files = || suite_of_kind(kind, engines, all, part);
    let result = match kind {
        Kind::Quick => quick(),
        Kind::Lint => lint(),
        Kind::Native => native(),
        Kind::Simulation => simulate(),
        Kind::Demo => demo(),
        Kind::Supply => files().and_then(supply),
        Kind::Size => {
            let tests = files().and_then(|suite| run_suite(kind, suite, engines, all, scope));
            tests.and_then(|()| crate::size(&[]))
        }
        _ => files().and_then(|suite| run_suite(kind, suite, engines, all, scope)),
    };
    times::note(&name, start.elapsed());
    let verdict = if result.is_ok() { "passed" } else { "FAILED" };
    let exceptions = match (kind, scope) {
        (Kind::Engines, Scope::Main) => {
            "; logins, tabs and reloads only: `cargo xtask test engines` runs the whole suite"
                .to_owned()
        }
        (Kind::Engines, Scope::Whole) => but_for(engines),
        _ => String::new(),
    };
    println!(
        "test {name} {verdict} in {}{exceptions}\n",
        seconds(start.elapsed())
    );
    result.with_context(|| format!("`cargo xtask test {name}`"))
}

/// Returns the files of a kind. The kind `browser` runs the suite of the engines in Chromium, and only it has parts.
fn suite_of_kind(kind: Kind, engines: &[Engine], all: bool, part: Option<Part>) -> Result<Suite> {
    let folder = kind.folder().context("this kind has no test files")?;
    let suite = Suite::of(folder)?.usual(all);
    let suite = match kind {
        Kind::Engines => only_of(engines, suite)?,
        Kind::Browser => suite.and(only_of(&[Engine::Chromium], Suite::of("tests/engines")?)?),
        _ => suite,
    };
    Ok(match part {
        Some(part) if kind == Kind::Browser => suite.part(part),
        _ => suite,
    })
}

/// Tests the core and the tools. xtask is tested alone, because its dependencies were built for xtask alone. With the whole
/// workspace, they have other features, so cargo would build them a second time.
fn native() -> Result<()> {
    step("cargo test", Output::Loud, || {
        let test = || cargo().args(["test", "--quiet"]);
        test().args(["--workspace", "--exclude", "xtask"]).run()?;
        test().args(["--package", "xtask"]).run()
    })
}

/// Simulates lives of vaults and of isolates, and explores small worlds, with all rules and with broken ones. `cargo xtask
/// simulate` simulates three times as many lives.
fn simulate() -> Result<()> {
    simulation::controls(false)?;
    explore::controls()
}

/// Runs the checks and tests that find most mistakes in the least time, the fastest ones first.
fn quick() -> Result<()> {
    install::npm_packages()?;
    format()?;
    clippy()?;
    native()?;
    run_kind(Kind::Page, &[], false, None, Scope::Main)?;
    crate::demo_check(crate::demo_options(false, false))?;
    println!(
        "  tested: formats, clippy, the core in virtual time, the page's code in Node, and the demo in Chromium.\n  \
         Not tested: other builds, packages, servers and browsers, and faults in them. `cargo xtask test` tests everything."
    );
    Ok(())
}

/// Checks the formats of all files, and the wording of doc comments.
fn format() -> Result<()> {
    crate::measure::lint::check().context(
        "the wording of comments, and the subjects of commits (xtask/src/measure/lint.rs)",
    )?;
    step("formats", Output::Loud, || {
        cargo()
            .args(["fmt", "--all", "--check"])
            .run()
            .context("the format of Rust; `cargo fmt --all` fixes it")?;
        let prettier = "node_modules/prettier/bin/prettier.cjs";
        node(&[prettier, "--check", "--log-level=warn", "."])
            .run()
            .context("the format of all other files; `npx prettier --write .` fixes it")
    })
}

/// Runs clippy on the native build of all crates.
fn clippy() -> Result<()> {
    lints("all crates", &["--workspace", "--all-targets"])
}

fn lints(label: &str, selection: &[&str]) -> Result<()> {
    step(&format!("cargo clippy: {label}"), Output::Loud, || {
        let clippy = cargo().args(["clippy", "--quiet"]).args(selection);
        clippy.args(["--", "--deny", "warnings"]).run()
    })
}

fn lint() -> Result<()> {
    install::npm_packages()?;
    format()?;
    workflows::check()?;
    clippy()?;
    // `--all-targets` leaves these targets out. With the whole workspace, the features of all crates are those of the step
    // before, so no crate is checked a second time.
    let targets = ["--workspace", "--test", "simulation", "--test", "explore"];
    lints("the simulation and the search", &targets)?;
    install::wasm_target()?;
    for selection in wasm::selections() {
        lints(&selection[1].replace("strongroom-", ""), &selection)?;
    }
    lints("test-kit", &testing::SELECTION)?;
    step("cargo doc", Output::Loud, || {
        let options = ["--workspace", "--no-deps", "--document-private-items"];
        cargo()
            .args(["doc", "--quiet"])
            .args(options)
            .env("RUSTDOCFLAGS", "--deny warnings")
            .run()
    })?;
    // The build includes tsc, because the package's types include the types of the generated glue.
    package::build()
}

/// Runs the tests of `tests/supply`, and the checks of dependencies that need no network.
fn supply(suite: Suite) -> Result<()> {
    package::build()?;
    supply::what_is_there()?;
    suite.run(AtOnce::Two, Ok)
}

/// Tests the documentation site with the reference. With `all`, every page is checked in each layout.
fn site(suite: Suite, engines: &[Engine], all: bool) -> Result<()> {
    let has_firefox = engines.contains(&Engine::Firefox);
    let needed: &[Engine] = match has_firefox {
        true => &[Engine::Chromium, Engine::Firefox],
        false => &[Engine::Chromium],
    };
    let prepare = |process: Process| in_all_or_in_shell(with_engines(process, needed)?, all);
    prepare(node(&[]))?;
    docs::reference()?;
    docs::build(None)?;
    let suite = match has_firefox {
        true => suite,
        false => suite.without("firefox.test.mjs"),
    };
    suite.run_in_browsers(AtOnce::Three, prepare)
}

/// Runs the tests of the token handler, some of them in a browser. npm provides the platforms, but neither Redis,
/// Postgres, nginx and libfaketime, nor a browser.
fn edge(suite: Suite, all: bool) -> Result<()> {
    let otherwise = "`cargo xtask test <kind>` runs one of the other kinds";
    let engines: &[Engine] = if all {
        &[Engine::Chromium, Engine::Firefox]
    } else {
        &[Engine::Chromium]
    };
    let prepare = |process: Process| {
        let process = with_programs(
            process,
            &[
                programs::redis(),
                programs::postgres(),
                programs::faketime(),
                programs::nginx(),
            ],
            otherwise,
        )?;
        in_all_or_in_shell(with_engines(process, engines)?, all)
    };
    prepare(node(&[]))?;
    package::build()?;
    suite.run_in_browsers(AtOnce::Three, prepare)
}

/// Drives the demo in each of its three forms. The forms run at the same time, because most of the time they wait for tokens
/// that expire.
fn demo() -> Result<()> {
    let checks = [(false, false), (true, false), (false, true)]
        .map(|(vault_origin, edge)| crate::demo_options(vault_origin, edge))
        .map(crate::demo_checker);
    let check = |check: Result<Process>| {
        println!("{}\n", check?.read()?);
        Ok(())
    };
    each(checks.len(), checks, check).into_iter().collect()
}

/// Runs tests that use Chromium. With `all`, sets the variable [`ALL`] for them.
fn in_chromium(suite: Suite, all: bool, scope: Scope) -> Result<()> {
    let prepare = |process: Process| {
        let process = in_all_or_in_shell(with_chromium(process)?, all)?;
        Ok(scope.tell(process))
    };
    prepare(node(&[]))?;
    package::build()?;
    suite.run_in_browsers(AtOnce::Three, prepare)
}

/// With `all`, sets the variable [`ALL`], and tests run in the whole Chromium. Otherwise tests that do not need the whole
/// Chromium may run in its headless shell.
fn in_all_or_in_shell(process: Process, all: bool) -> Result<Process> {
    match all {
        true => Ok(process.env(ALL, "1")),
        false => with_headless_shell(process),
    }
}

/// Keeps the test file of each of these engines.
fn only_of(engines: &[Engine], suite: Suite) -> Result<Suite> {
    let files = engines
        .iter()
        .map(|engine| format!("{engine}.test.mjs").to_lowercase());
    suite.only(&files.collect::<Vec<_>>())
}

/// Runs the suite in each of these engines.
fn in_engines(suite: Suite, engines: &[Engine], scope: Scope) -> Result<()> {
    // This check precedes the build, so that missing programs are reported immediately.
    with_engines(node(&[]), engines)?;
    package::build()?;
    suite.run_in_browsers(AtOnce::Three, |process| {
        Ok(scope.tell(with_engines(process, engines)?))
    })
}

#[cfg(test)]
mod tests {
    use super::{Engine, Kind, OTHER_ENGINES, engines_besides};
    use clap::ValueEnum;

    #[test]
    fn suite_runs_once_in_each_engine() {
        let [firefox, webkit] = OTHER_ENGINES;
        let all = Engine::value_variants();
        for (kinds, named, expected) in [
            (Kind::all(), &[][..], &OTHER_ENGINES[..]),
            (Kind::all(), all, &OTHER_ENGINES[..]),
            (Kind::all(), &[Engine::Chromium], &[]),
            (&[Kind::Browser, Kind::Engines], all, &[firefox, webkit]),
            (&[Kind::Engines], all, all),
            (&[Kind::Engines], &[Engine::Chromium], &[Engine::Chromium]),
        ] {
            assert_eq!(
                engines_besides(kinds, named),
                expected,
                "{kinds:?} {named:?}"
            );
        }
    }
}
