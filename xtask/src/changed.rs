//! Runs the tests that a change concerns: kinds by the table in test.rs, and files by what they read.

mod graph;

use crate::paths::at;
use crate::process::program;
use crate::suite::LEFT_OUT;
use crate::test::{self, CONCERNS, Concern, Kind, Scope};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use graph::Graph;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What a change concerns.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Kinds that run as a whole.
    kinds: BTreeSet<Kind>,
    /// Files of other kinds.
    files: BTreeMap<Kind, Vec<String>>,
    /// True if the documentation site is built.
    documents: bool,
    /// The first changed file that concerns everything.
    everything: Option<String>,
}

/// Options of `cargo xtask test changed`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The commit before the change. Default: the last commit that HEAD shares with `main`. Changes that are not committed
    /// count, too.
    base: Option<String>,
    /// Take these files for the changed ones.
    #[arg(long, value_name = "FILES", num_args = 1.., conflicts_with = "base")]
    files: Vec<String>,
    /// Run nothing. Print the test files that would run.
    #[arg(long)]
    list: bool,
    /// Run nothing. Print in JSON which files each test file needs.
    #[arg(long, conflicts_with_all = ["base", "files", "list"])]
    needs: bool,
}

/// Runs what a change concerns, and prints what is left out.
pub(crate) fn run(options: &Options) -> Result<()> {
    let repository = Repository::read()?;
    if options.needs {
        let files: BTreeMap<_, _> = repository.needs.values().flatten().collect();
        println!("{}", json!(files));
        return Ok(());
    }
    let changed = match &*options.files {
        [] => changed_since(options.base.as_deref().unwrap_or("main"))?,
        files => files.to_vec(),
    };
    let plan = repository.plan(&changed);
    println!("{}", plan.described(&changed, &repository));
    if options.list {
        let files = plan.files.values().flatten();
        files.for_each(|file| println!("{file}"));
    }
    match &plan.everything {
        _ if options.list || changed.is_empty() => Ok(()),
        Some(_) => test::run(&[], &[], false, None),
        None => {
            let has_suite = |path: &String| path.starts_with("tests/engines/");
            let scope = match changed.iter().any(has_suite) {
                true => Scope::Whole,
                false => Scope::Main,
            };
            test::run_some(&plan.kinds, &plan.files, plan.documents, scope)
        }
    }
}

/// Returns the files that differ from the last commit that HEAD and `base` share.
fn changed_since(base: &str) -> Result<Vec<String>> {
    let git = |arguments: &[&str]| program("git").args(arguments).read();
    let from = git(&["merge-base", base, "HEAD"])
        .with_context(|| format!("name a commit: `cargo xtask test changed <BASE>`, not {base}"))?;
    let differing = git(&["diff", "--name-only", "--no-renames", &from])?;
    let new = git(&["ls-files", "--others", "--exclude-standard"])?;
    let all: BTreeSet<_> = differing.lines().chain(new.lines()).collect();
    Ok(all.into_iter().map(str::to_owned).collect())
}

/// Returns all files that are committed or may be.
fn listed() -> Result<BTreeSet<String>> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = program("git").args(listed).read()?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// The files of the repository, and what each test file reads.
struct Repository {
    graph: Graph,
    /// The test files of each kind that has files, with what they need.
    needs: BTreeMap<Kind, BTreeMap<String, BTreeSet<String>>>,
}

impl Repository {
    fn read() -> Result<Self> {
        let files = listed()?;
        let read = |file: &str| fs::read_to_string(at(file)).unwrap_or_default();
        let graph = Graph::of(&files, read)?;
        let needs = Kind::value_variants().iter().filter_map(|kind| {
            kind.folder()?;
            let own = |file: &&String| test::kind_of(file) == Some(*kind);
            let needs = |file: &String| {
                let needed = graph.needs(file).into_iter().map(str::to_owned);
                (file.clone(), needed.collect())
            };
            Some((*kind, files.iter().filter(own).map(needs).collect()))
        });
        let needs = needs.collect();
        Ok(Self { graph, needs })
    }

    fn plan(&self, changed: &[String]) -> Plan {
        let mut plan = Plan::default();
        for path in changed {
            match CONCERNS.iter().find(|(start, _)| path.starts_with(start)) {
                Some((_, Concern::Kinds(kinds))) => plan.kinds.extend(*kinds),
                Some((_, Concern::Documents)) => plan.documents = true,
                Some((_, Concern::Everything)) => plan.everything = Some(path.clone()),
                // In doubt, everything runs.
                None if self.readers(path).next().is_none() => plan.everything = Some(path.clone()),
                None => {}
            }
            if path.ends_with(".rs") {
                plan.kinds.extend([Kind::Lint, Kind::Native]);
            } else if self.graph.is_read_by_rust(path) {
                plan.kinds.insert(Kind::Native);
            }
            // The rules of Rust have native tests. Each file that is left out would run for each of them.
            let runs =
                |(_, file): &(Kind, &String)| !path.ends_with(".rs") || !file.ends_with(LEFT_OUT);
            for (kind, file) in self.readers(path).filter(runs) {
                plan.files.entry(kind).or_default().push(file.clone());
            }
        }
        plan.files.retain(|kind, files| {
            files.sort();
            files.dedup();
            !plan.kinds.contains(kind)
        });
        plan
    }

    /// Returns the test files that need a file, each with its kind.
    fn readers<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (Kind, &'a String)> {
        self.needs.iter().flat_map(move |(kind, files)| {
            let readers = files.iter().filter(|(_, needed)| needed.contains(path));
            readers.map(|(file, _)| (*kind, file))
        })
    }
}

impl Plan {
    /// Says what runs, and what is left out.
    fn described(&self, changed: &[String], repository: &Repository) -> String {
        if let Some(path) = &self.everything {
            return format!("{path} concerns everything");
        }
        let row = |kind: &Kind| {
            let name = kind.name();
            let all = repository.needs.get(kind).map_or(0, BTreeMap::len);
            match self.files.get(kind) {
                _ if self.kinds.contains(kind) => format!("  {name}"),
                Some(files) => format!("  {name}: {} of {all} files", files.len()),
                None => format!("  left out: {name}"),
            }
        };
        let rows: Vec<_> = Kind::all().iter().map(row).collect();
        format!(
            "{} changed files concern\n{}\n",
            changed.len(),
            rows.join("\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    static REPOSITORY: LazyLock<Repository> = LazyLock::new(|| Repository::read().unwrap());

    fn files_of(path: &str) -> Vec<String> {
        let plan = REPOSITORY.plan(&[path.to_owned()]);
        assert_eq!(plan.everything, None, "{path}");
        plan.files.into_values().flatten().collect()
    }

    /// Fails if a change of `path` does not run the tests in `with`, or runs those in `without`.
    fn check(path: &str, with: &[&str], without: &[&str]) {
        assert!(at(path).exists(), "{path}");
        let files = files_of(path);
        let has = |name: &&str| {
            files
                .iter()
                .any(|file| file == &format!("tests/{name}.test.mjs"))
        };
        let missing: Vec<_> = with.iter().filter(|name| !has(name)).collect();
        let too_many: Vec<_> = without.iter().filter(|name| has(name)).collect();
        assert!(
            missing.is_empty() && too_many.is_empty(),
            "{path}: without {missing:?}, with {too_many:?}"
        );
    }

    #[test]
    fn crate_concerns_tests_that_run_its_module() {
        let vault = [
            "browser/popup",
            "engines/chromium",
            "engines/webkit",
            "edge/features/fallback",
        ];
        let handler = [
            "edge/platforms/bun",
            "edge/features/header_limits",
            "edge/features/tenants",
        ];
        check("src/vault/login/callback.rs", &vault, &handler);
        let left_out = "edge/platforms/handler.bun.all";
        check("src/edge/refresh.rs", &handler, &[vault[0], left_out]);
        check(
            "src/rules/base/http.rs",
            &[&vault[..], &handler].concat(),
            &["page/repeat"],
        );
        check(
            "tests/kit/src/world.rs",
            &["browser/contract"],
            &["browser/popup"],
        );
    }

    #[test]
    fn source_of_the_package_concerns_tests_that_load_it() {
        let doctor = [
            "supply/doctor_provider",
            "edge/features/guards_doctor.all",
            "browser/pinned.all",
        ];
        check(
            "pkg/src/doctor/requests.ts",
            &doctor,
            &["browser/tabs", "edge/features/header_limits"],
        );
        check(
            "pkg/src/bindings/vue.ts",
            &["browser/bindings"],
            &["browser/tabs"],
        );
        check(
            "pkg/src/edge/adapters/express.ts",
            &["edge/platforms/adapters"],
            &["edge/features/header_limits"],
        );
        check(
            "pkg/src/worker/store-lock.ts",
            &["browser/tabs"],
            &["edge/features/header_limits"],
        );
        check(
            "pkg/src/page/guards/guard.ts",
            &["browser/tabs"],
            &["edge/features/header_limits"],
        );
    }

    #[test]
    fn document_concerns_tests_that_execute_it() {
        check(
            "docs/edge-page.md",
            &["supply/documents"],
            &["browser/tabs", "edge/features/header_limits"],
        );
        check(
            "docs/frameworks.md",
            &["supply/words"],
            &["edge/features/header_limits"],
        );
        check(
            "docs/oauth2-proxy.md",
            &["edge/features/guards"],
            &["browser/tabs"],
        );
    }

    #[test]
    fn document_concerns_tests_of_rust_that_read_it() {
        for (path, is_read) in [
            ("docs/conformance.md", true),
            ("docs/performance.md", true),
            ("docs/errors.md", true),
            ("docs/providers/keycloak.md", true),
            ("docs/security-claims.md", true),
            ("docs/sessions.md", true),
            ("docs/edge-page.md", false),
            ("docs/faq.md", false),
        ] {
            assert!(at(path).exists(), "{path}");
            let plan = REPOSITORY.plan(&[path.to_owned()]);
            assert_eq!(plan.kinds.contains(&Kind::Native), is_read, "{path}");
        }
    }

    #[test]
    fn support_concerns_its_users() {
        check(
            "tests/support/edge/redis.mjs",
            &["edge/platforms/redis_clients.all"],
            &["browser/tabs"],
        );
        check(
            "tests/browser/popup.test.mjs",
            &["browser/popup"],
            &["browser/tabs"],
        );
    }

    #[test]
    fn constant_of_the_handler_concerns_the_page_that_reads_it() {
        check(
            "src/edge/marker.rs",
            &["edge/features/header_limits", "browser/tabs"],
            &[],
        );
    }

    #[test]
    fn folders_of_the_table_exist_and_rows_are_reached() {
        let listed = listed().unwrap();
        for (at, (start, _)) in CONCERNS.iter().enumerate() {
            let row = |path: &String| {
                CONCERNS
                    .iter()
                    .position(|(start, _)| path.starts_with(start))
            };
            assert!(listed.iter().any(|path| row(path) == Some(at)), "{start}");
        }
    }

    #[test]
    fn unknown_file_concerns_everything() {
        for path in [
            "Cargo.lock",
            "package-lock.json",
            "xtask/src/test.rs",
            "new.toml",
            "pkg/build.mjs",
        ] {
            let plan = REPOSITORY.plan(&["docs/login.md".to_owned(), path.to_owned()]);
            assert_eq!(plan.everything.as_deref(), Some(path));
        }
    }
}
