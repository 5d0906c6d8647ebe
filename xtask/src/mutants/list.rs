//! Reads the list of the core's mutants from cargo-mutants.

use crate::install;
use crate::paths::at;
use crate::process::program;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The version of cargo-mutants whose list this module can read.
const VERSION: &str = "27.0.0";

/// Attributes of code that is not compiled for native tests.
const NOT_NATIVE: [&str; 2] = [
    r#"cfg(feature = "interned-messages")"#,
    r#"cfg(target_arch = "wasm32")"#,
];

/// A small change of the source that a test should notice.
pub(crate) struct Mutant {
    /// Path of the file, such as `src/rules/oauth/jwt.rs`.
    pub(crate) file: String,
    /// Description, such as `replace == with != in parse`.
    pub(crate) name: String,
    /// Line and column of the change, both counted from 1.
    pub(crate) at: (usize, usize),
    /// The text of the line that is changed, trimmed.
    pub(crate) line: String,
    /// The byte range of the file that `replacement` replaces.
    pub(crate) range: (usize, usize),
    pub(crate) replacement: String,
    /// The byte range of the changed function, with its attributes.
    pub(crate) function: (usize, usize),
    /// The number of the first mutant in the same function.
    pub(crate) group: usize,
    /// True if a value replaces the whole body.
    pub(crate) replaces_body: bool,
    /// True if the function returns a type without a name, such as `impl Iterator`.
    pub(crate) is_opaque: bool,
}

impl Mutant {
    /// Returns the mutant with its location.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}:{}: {}", self.file, self.at.0, self.at.1, self.name)
    }
}

/// The packages with mutants.
const MUTATED: [&str; 3] = ["strongroom-rules", "strongroom-vault", "strongroom-edge"];

/// Returns the path of cargo-mutants, from PATH or below `target`. Installs the tool below `target` if it is missing.
pub(crate) fn tool() -> Result<PathBuf> {
    let found = install::find_tool("cargo-mutants", |path| {
        let version = program(path).args(["mutants", "--version"]).read();
        version.is_ok_and(|version| version.ends_with(VERSION))
    });
    found.map_or_else(|| install::tool("cargo-mutants", VERSION), Ok)
}

/// Lists the mutants of `files`, in the order of `files`, without those that `.cargo/mutants.toml` excludes.
pub(crate) fn mutants(tool: &PathBuf, files: &[String]) -> Result<Vec<Mutant>> {
    let files_option = files.iter().flat_map(|file| ["--file", file.as_str()]);
    let listed = program(tool)
        .args(["mutants", "--list", "--json"])
        .args(MUTATED.iter().flat_map(|name| ["--package", name]))
        .args(files_option)
        .read()?;
    let listed: Value = serde_json::from_str(&listed).context("the list of cargo-mutants")?;
    let mut sources = BTreeMap::new();
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut entries: Vec<&Value> = listed.as_array().into_iter().flatten().collect();
    entries.sort_by_key(|entry| files.iter().position(|file| entry["file"] == **file));
    for entry in entries {
        let file = text(entry, "file")?;
        if !sources.contains_key(&file) {
            sources.insert(file.clone(), Source::read(&file)?);
        }
        // A mutant outside a function is skipped, because mutants are switched at the start of functions.
        if entry["function"].is_null() {
            continue;
        }
        let source = &sources[&file];
        let mutant = mutant(entry, source)?;
        if source.is_native(&mutant) {
            mutants.push(mutant);
        }
    }
    group(&mut mutants);
    Ok(mutants)
}

/// Sets the `group` of each mutant to the number of the first mutant in the same function.
pub(crate) fn group(mutants: &mut [Mutant]) {
    let mut functions = BTreeMap::new();
    for (i, mutant) in mutants.iter_mut().enumerate() {
        let function = (mutant.file.clone(), mutant.function);
        mutant.group = *functions.entry(function).or_insert(i);
    }
}

fn mutant(entry: &Value, source: &Source) -> Result<Mutant> {
    let file = text(entry, "file")?;
    let name = text(entry, "name")?;
    let span = source.span(&entry["span"])?;
    let at = place(&entry["span"]["start"])?;
    let name = name
        .strip_prefix(&format!("{file}:{}:{}: ", at.0, at.1))
        .unwrap_or(&name)
        .to_owned();
    let line = source.text.lines().nth(at.0 - 1).unwrap_or_default();
    let function = &entry["function"];
    Ok(Mutant {
        name,
        at,
        line: line.trim().to_owned(),
        range: span,
        replacement: text(entry, "replacement")?,
        function: source.span(&function["span"])?,
        group: 0,
        replaces_body: entry["genre"] == "FnValue",
        is_opaque: text(function, "return_type")?.contains("impl "),
        file,
    })
}

fn text(value: &Value, name: &str) -> Result<String> {
    let text = value[name].as_str();
    Ok(text
        .with_context(|| format!("no {name} in {value}"))?
        .to_owned())
}

fn place(value: &Value) -> Result<(usize, usize)> {
    let number = |name| value[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let place = number("line").zip(number("column"));
    place.with_context(|| format!("no place: {value}"))
}

/// A file of the core.
struct Source {
    text: String,
    /// The byte offset at which each line starts.
    lines: Vec<usize>,
}

impl Source {
    fn read(file: &str) -> Result<Self> {
        let text =
            fs::read_to_string(at(file)).with_context(|| format!("{file} cannot be read"))?;
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Ok(Self { text, lines })
    }

    /// Returns the byte range of a span of lines and columns. Columns count characters.
    fn span(&self, span: &Value) -> Result<(usize, usize)> {
        let offset = |name: &str| -> Result<usize> {
            let (line, column) = place(&span[name])?;
            let Some(start) = self.lines.get(line - 1) else {
                bail!("there is no line {line}");
            };
            let rest = &self.text[*start..];
            let within = rest.char_indices().nth(column - 1);
            Ok(start + within.map_or(rest.len(), |(i, _)| i))
        };
        Ok((offset("start")?, offset("end")?))
    }

    /// Returns true if native tests compile the mutant's code.
    fn is_native(&self, mutant: &Mutant) -> bool {
        let (start, end) = mutant.function;
        let head = &self.text[start..end];
        let head = &head[..head.find("fn ").unwrap_or(0)];
        let mut before = self.text.lines().take(mutant.at.0).collect::<Vec<_>>();
        let own = before.pop().unwrap_or_default();
        let above = before.pop().unwrap_or_default();
        // Finds the line above the module or `impl` around the function, which may be an attribute.
        let is_outer = |line: &&str| line.starts_with(|c: char| c.is_alphabetic());
        let outer = before.iter().rposition(is_outer).unwrap_or(0);
        let outer = before.get(outer.saturating_sub(1)).copied();
        let attributes = [head, own, above, outer.unwrap_or_default()];
        !NOT_NATIVE
            .iter()
            .any(|cfg| attributes.iter().any(|text| text.contains(cfg)))
    }
}

#[cfg(test)]
mod unit_tests {
    use super::{Mutant, Source};
    use crate::paths::{at, files_below, root};
    use std::fs;

    #[test]
    fn modules_for_wasm_have_no_mutants() {
        let is_native = |attribute: &str| {
            let text = format!(
                "{attribute}\nmod platform {{\n    fn one() -> u8 {{\n        1\n    }}\n}}\n"
            );
            let start = text.find("fn").unwrap();
            let mutant = Mutant {
                file: String::new(),
                name: String::new(),
                at: (4, 9),
                line: "1".to_owned(),
                range: (start, start),
                replacement: String::new(),
                function: (start, text.len()),
                group: 0,
                replaces_body: true,
                is_opaque: false,
            };
            let lines = Vec::new();
            Source { text, lines }.is_native(&mutant)
        };
        assert!(!is_native(r#"#[cfg(target_arch = "wasm32")]"#));
        assert!(is_native(r#"#[cfg(not(target_arch = "wasm32"))]"#));
    }

    /// Returns true if a path matches a glob with at most one star, or with two stars at its end.
    fn is_matched(glob: &str, path: &str) -> bool {
        let (start, end) = glob.split_once('*').unwrap_or((glob, ""));
        match end {
            "" => path == glob,
            "*" => path.starts_with(start),
            end => path.starts_with(start) && path.ends_with(end),
        }
    }

    #[test]
    fn each_excluded_glob_matches_a_file() {
        let config = fs::read_to_string(at(".cargo/mutants.toml")).unwrap();
        let (_, globs) = config.split_once("exclude_globs = [").unwrap();
        let (globs, _) = globs.split_once(']').unwrap();
        let globs: Vec<&str> = globs.split('"').skip(1).step_by(2).collect();
        assert!(globs.len() > 5, "{globs:?}");
        for glob in globs.into_iter().chain(["src/no_such_file.rs"]) {
            let folder = glob.split('/').next().unwrap();
            let files = files_below(root(), folder).unwrap();
            let is_found = files.iter().any(|file| is_matched(glob, file));
            assert_eq!(is_found, glob != "src/no_such_file.rs", "{glob}");
        }
    }
}
