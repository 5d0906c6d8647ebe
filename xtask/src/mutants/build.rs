//! Builds the native tests of a copy of the package that contains mutants.

use super::list::Mutant;
use super::splice::{self, Spliced};
use crate::paths::{at, files_below, files_of_tests, root, target, write_if_changed};
use crate::process::executables;
use crate::simulation::{for_tests, remove_others, with_switch};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The test targets to run, fast ones first.
const TESTS: [&str; 6] = [
    "egress", "vectors", "vault", "handler", "isolates", "hostile",
];

/// The packages with these tests and with unit tests.
const PACKAGES: [&str; 4] = [
    "strongroom-rules",
    "strongroom-vault",
    "strongroom-edge",
    "strongroom-tests",
];

/// The file of a module that only the copy has.
const MODULE: &str = "src/rules/mutant.rs";

/// The source of this module. Its function `chosen` returns the number of the chosen mutant.
const SWITCH: &str = include_str!("switch.rs");

/// Test binaries with mutants.
pub(crate) struct Build {
    /// The test binaries, fast ones first.
    pub(crate) binaries: Vec<PathBuf>,
    /// The numbers of the mutants in these binaries.
    pub(crate) together: BTreeSet<usize>,
    /// The numbers of the mutants that are not in these binaries, but may compile alone.
    pub(crate) alone: Vec<usize>,
}

/// The compiler's result.
enum Outcome {
    Built(Vec<PathBuf>),
    Errors(Vec<Value>),
}

/// The mutants that did not compile together with the other mutants, and the reasons.
#[derive(Default)]
struct Refused {
    numbers: BTreeSet<usize>,
    /// Names of `const` functions that the compiler evaluates at compile time.
    constant: BTreeSet<String>,
    /// The numbers of mutants of functions that the compiler evaluates at compile time, but did not name in its error.
    evaluated: BTreeSet<usize>,
}

/// A copy of the package.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Writes the copy to a folder called `name`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let tree = Self {
            root: target("mutants").join(name),
        };
        let mut files = ["Cargo.toml", "Cargo.lock"].map(str::to_owned).to_vec();
        files.extend(files_of_tests()?);
        for folder in ["docs", "src"] {
            files.extend(files_below(root(), folder)?);
        }
        // Tests read documents in `docs`, but not its images.
        files.retain(|file| !file.ends_with(".png"));
        for file in &files {
            let mut text = fs::read_to_string(at(file))?;
            if file == "Cargo.toml" {
                text = for_tests(&text)?;
            }
            // `write` writes the files of the core, with their mutants.
            if !file.starts_with("src/") {
                write_if_changed(&tree.root.join(file), &text)?;
            }
        }
        files.push(MODULE.to_owned());
        remove_others(&tree.root, &files)?;
        Ok(tree)
    }

    /// Builds all of `mutants` together, except for those that the compiler rejects.
    pub(crate) fn build(&self, mutants: &[Mutant]) -> Result<Build> {
        let mut refused = Refused::default();
        for _ in 0..20 {
            let spliced = self.write(mutants, &refused)?;
            let errors = match self.compile()? {
                Outcome::Errors(errors) => errors,
                Outcome::Built(binaries) => {
                    let together: BTreeSet<usize> = spliced
                        .values()
                        .flat_map(|file| file.lines.keys().copied())
                        .collect();
                    let may_be_viable = |i: &usize| {
                        let mutant = &mutants[*i];
                        let is_value = mutant.replaces_body && !mutant.is_opaque;
                        !is_value || refused.evaluated.contains(i) || !refused.numbers.contains(i)
                    };
                    let alone = (0..mutants.len())
                        .filter(|i| !together.contains(i))
                        .filter(may_be_viable)
                        .collect();
                    return Ok(Build {
                        binaries,
                        together,
                        alone,
                    });
                }
            };
            println!(
                "    {} errors; retrying without their mutants",
                errors.len()
            );
            let before = refused.len();
            for error in &errors {
                refused.note(error, &spliced);
            }
            if refused.len() == before {
                bail!("the core does not compile:\n{}", rendered(&errors));
            }
        }
        bail!("the compiler keeps finding new errors in mutants")
    }

    /// Builds the package with one mutant only. Returns `None` if the mutant does not compile.
    pub(crate) fn build_alone(&self, mutant: &Mutant) -> Result<Option<Vec<PathBuf>>> {
        self.write(&[], &Refused::default())?;
        let original = fs::read_to_string(at(&mutant.file))?;
        let changed = splice::replaced(&original, mutant);
        write_if_changed(&self.root.join(&mutant.file), &changed)?;
        match self.compile()? {
            Outcome::Built(binaries) => Ok(Some(binaries)),
            Outcome::Errors(_) => Ok(None),
        }
    }

    fn write(&self, mutants: &[Mutant], refused: &Refused) -> Result<BTreeMap<String, Spliced>> {
        let mut by_file: BTreeMap<String, Vec<(usize, &Mutant)>> = BTreeMap::new();
        for (i, mutant) in mutants.iter().enumerate() {
            // If the return type has no name, such as `impl Iterator`, two copies of a body return different types and
            // cannot be compiled together.
            if !mutant.is_opaque && !refused.numbers.contains(&i) {
                by_file
                    .entry(mutant.file.clone())
                    .or_default()
                    .push((i, mutant));
            }
        }
        let mut all = BTreeMap::new();
        for name in files_below(root(), "src")? {
            let mut text = fs::read_to_string(at(&name))?;
            text = with_switch(&name, &text, "#[doc(hidden)]\npub mod mutant;")?;
            if let Some(mutants) = by_file.get(&name) {
                let spliced = splice::splice(&text, mutants, &refused.constant)?;
                text.clone_from(&spliced.text);
                all.insert(name.clone(), spliced);
            }
            write_if_changed(&self.root.join(&name), &text)?;
        }
        write_if_changed(&self.root.join(MODULE), SWITCH)?;
        Ok(all)
    }

    fn compile(&self) -> Result<Outcome> {
        let packages = PACKAGES.iter().flat_map(|name| ["--package", name]);
        let tests = TESTS.iter().flat_map(|name| ["--test", name]);
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(&self.root)
            .args(["test", "--no-run", "--message-format=json", "--lib"])
            .args(packages)
            .args(tests)
            .env("CARGO_TARGET_DIR", target("mutants/target"))
            .env("RUSTFLAGS", "-Awarnings")
            .output()
            .context("cargo could not be started")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let messages: Vec<Value> = stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if output.status.success() {
            return Ok(Outcome::Built(in_order(executables(&stdout))));
        }
        let errors: Vec<Value> = messages
            .into_iter()
            .filter(|message| message["message"]["level"] == "error")
            .map(|mut message| message["message"].take())
            .collect();
        if errors.is_empty() {
            bail!("cargo failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Outcome::Errors(errors))
    }
}

impl Refused {
    fn len(&self) -> usize {
        self.numbers.len() + self.constant.len()
    }

    /// Records the mutant or the `const` function that caused an error.
    fn note(&mut self, error: &Value, spliced: &BTreeMap<String, Spliced>) {
        let mut places = Vec::new();
        places_of(error, &mut places);
        let code = error["code"]["code"].as_str().unwrap_or_default();
        let mut numbers = places.iter().flat_map(|(file, line)| {
            let lines = spliced.get(file).into_iter().flat_map(|file| &file.lines);
            lines
                .filter(|(_, lines)| lines.contains(line))
                .map(|(number, _)| *number)
        });
        if let Some(number) = numbers.next() {
            self.numbers.insert(number);
        } else if let "E0015" | "E0080" = code {
            let message = error["message"].as_str().unwrap_or_default();
            if let Some(path) = message.split('`').nth(1) {
                self.constant.insert(function_name(path).to_owned());
            }
        }
    }
}

/// Returns the name of the function at this path, such as `joined` for `strings::joined::<901>`.
fn function_name(path: &str) -> &str {
    // Removes the arguments of a generic function, which end the path. A type such as `<impl Config>` does not end the
    // path.
    let arguments = path.strip_suffix('>').and_then(|_| path.rfind("::<"));
    let path = &path[..arguments.unwrap_or(path.len())];
    path.rsplit("::").next().unwrap_or(path)
}

/// Collects the files and lines that an error names, the most important first.
fn places_of(error: &Value, places: &mut Vec<(String, usize)>) {
    let mut spans: Vec<&Value> = error["spans"].as_array().into_iter().flatten().collect();
    spans.sort_by_key(|span| span["is_primary"] != true);
    for mut span in spans {
        // Inside a macro, continues with the place of the macro's call.
        while span.is_object() {
            let line = span["line_start"].as_u64();
            let line = line.and_then(|n| usize::try_from(n).ok());
            if let Some((file, line)) = span["file_name"].as_str().zip(line) {
                places.push((file.replace('\\', "/"), line));
            }
            span = &span["expansion"]["span"];
        }
    }
    for child in error["children"].as_array().into_iter().flatten() {
        places_of(child, places);
    }
}

fn rendered(errors: &[Value]) -> String {
    let texts = errors.iter().filter_map(|error| error["rendered"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// Returns test binaries in the order of [`TESTS`]. Those with unit tests come first, except the vault's, whose name is
/// that of its other tests.
fn in_order(mut binaries: Vec<(String, PathBuf)>) -> Vec<PathBuf> {
    binaries.sort_by_key(|(name, _)| TESTS.iter().position(|test| test == name));
    binaries.into_iter().map(|(_, file)| file).collect()
}

#[cfg(test)]
mod unit_tests {
    use super::function_name;

    #[test]
    fn function_names_lack_types_and_arguments() {
        for (path, name) in [
            ("joined", "joined"),
            ("strings::joined::<901>", "joined"),
            ("config::login::<impl config::Config>::may_ask", "may_ask"),
        ] {
            assert_eq!(function_name(path), name);
        }
    }
}
