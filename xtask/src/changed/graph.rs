//! The files of the repository that each script needs, as its string literals say.

use crate::facts::VALUES;
use crate::facts::constants::SHARED;
use crate::measure::scan::{Kind, Language, pieces};
use crate::process::cargo;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The files that each file names: imports, folders that it reads, and programs that it starts.
pub(crate) struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
    /// The files, other than those of Rust, that tests of Rust and the tools read.
    read_by_rust: BTreeSet<String>,
}

/// Crates by what scripts load: modules, and files that `cargo xtask build` writes from facts of Rust.
const MODULES: [(&str, &str); 5] = [
    ("strongroom.js", "src/browser/"),
    ("strongroom_bg.wasm", "src/browser/"),
    ("strongroom_edge.js", "src/edge/module/"),
    ("strongroom_edge_bg.wasm", "src/edge/module/"),
    ("strongroom_testing.js", "tests/kit/"),
];

/// The file with the constants of Rust.
const CONSTANTS: &str = "glue/constants.js";

/// Folders that scripts name only to find a file in them.
const TOO_WIDE: [&str; 6] = ["", "pkg/", "pkg/dist/", "pkg/src/", "src/", "tests/"];

/// The file that executes the guides, whose users name a guide without folder and ending.
const GUIDES: &str = "guide.mjs";

impl Graph {
    /// Returns the graph of these files. `read` returns a file's text.
    pub(crate) fn of(files: &BTreeSet<String>, read: impl Fn(&str) -> String) -> Result<Self> {
        let finder = Finder {
            files,
            entries: entries(&read("pkg/entries.mjs")),
            crates: crates()?,
        };
        let edges = files.iter().filter_map(|file| {
            let named = if ends(file, &SCRIPTS) {
                finder.named_in(file, &read(file))
            } else if ends(file, &WITH_SCRIPTS) && file.contains('/') {
                finder.imported_in(&read(file))
            } else {
                return None;
            };
            Some((file.clone(), named))
        });
        let edges = edges.collect();
        // `changed` and its table name files without reading them.
        let of_rust = |file: &&String| {
            let is_table = file.starts_with("xtask/src/changed") || *file == "xtask/src/test.rs";
            file.ends_with(".rs") && !is_table
        };
        let rust = files.iter().filter(of_rust);
        let read_by_rust = rust
            .flat_map(|file| finder.read_by_rust(file, &read(file)))
            .collect();
        Ok(Self {
            edges,
            read_by_rust,
        })
    }

    /// Returns true if the kind `native` reads a file that is not of Rust.
    pub(crate) fn is_read_by_rust(&self, file: &str) -> bool {
        self.read_by_rust.contains(file)
    }

    /// Returns the files that a file needs, itself included.
    pub(crate) fn needs<'a>(&'a self, file: &'a str) -> BTreeSet<&'a str> {
        let mut needed = BTreeSet::from([file]);
        let mut open = vec![file];
        while let Some(file) = open.pop() {
            for next in self.edges.get(file).into_iter().flatten() {
                // A script that reads the text of another test does not run that test.
                if needed.insert(next) && !next.ends_with(".test.mjs") {
                    open.push(next);
                }
            }
        }
        needed
    }
}

const SCRIPTS: [&str; 6] = [".mjs", ".js", ".cjs", ".ts", ".tsx", ".jsx"];

/// Documents whose code tests execute, and pages.
const WITH_SCRIPTS: [&str; 5] = [".md", ".html", ".vue", ".svelte", ".astro"];

fn ends(file: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| file.ends_with(ending))
}

struct Finder<'a> {
    files: &'a BTreeSet<String>,
    /// The sources in `pkg/src` of the package's files, by their names in `pkg/dist`.
    entries: BTreeMap<String, String>,
    /// For the folder of each crate, the folders of all crates that it contains.
    crates: BTreeMap<String, BTreeSet<String>>,
}

impl Finder<'_> {
    fn named_in(&self, file: &str, text: &str) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for piece in pieces(Language::Script, text) {
            if piece.kind != Kind::Literal {
                continue;
            }
            let guide = format!("docs/{}.md", piece.text);
            if text.contains(GUIDES) && self.files.contains(&guide) {
                named.insert(guide);
            }
            // A template may have the code of an app, with imports of its own.
            for word in piece.text.split(['\'', '"', '`', ' ', '\n', '?', '#']) {
                let (start, end) = word.split_once("${").unwrap_or((word, ""));
                self.add(&mut named, file, start);
                // `${dist}/worker.js`
                let end = end.rsplit('}').next().unwrap_or(end);
                named.extend(self.sources(end.trim_start_matches('/')));
            }
        }
        if text.contains(CONSTANTS) {
            let is_read = |names: &&[&str]| names.iter().any(|name| text.contains(name));
            let read = SHARED.iter().filter(|(_, names)| is_read(names));
            named.extend(read.map(|(source, _)| (*source).to_owned()));
        }
        // A script that names the folder of the documents, and does not list its files, needs the documents that it names.
        // The texts of the package name documents, and read none.
        let names = |path: &str| !file.starts_with("pkg/src/") && text.contains(name(path));
        if !text.contains("readdir(") {
            named.retain(|path| !path.starts_with("docs/") || names(path));
        }
        named
    }

    /// Returns the files that literals of Rust name: by the path from the root, from the file, or from `docs`.
    fn read_by_rust(&self, file: &str, text: &str) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for piece in pieces(Language::Rust, text) {
            let path = piece.text.split('{').next().unwrap_or_default();
            if piece.kind != Kind::Literal || path.contains(' ') {
                continue;
            }
            let path = path.trim_end_matches('/');
            let from_file = normal(&format!("{}/{path}", folder(file)));
            for path in [path, &from_file, &format!("docs/{path}")] {
                if self.files.contains(path) {
                    named.insert(path.to_owned());
                }
                // A folder, or the beginning of a path that is put together.
                if path.starts_with("docs/providers") && file.starts_with("tests/") {
                    named.extend(self.below("docs/providers/"));
                }
            }
        }
        named.retain(|path| !path.ends_with(".rs"));
        named
    }

    /// Returns the sources of what a document or a page imports.
    fn imported_in(&self, text: &str) -> BTreeSet<String> {
        let words = text.split(['\'', '"']);
        let names = words.filter(|word| word.starts_with("strongroom"));
        names.flat_map(|name| self.sources(name)).collect()
    }

    fn add(&self, named: &mut BTreeSet<String>, file: &str, word: &str) {
        let module = MODULES.iter().find(|(module, _)| *module == name(word));
        if let Some((_, folder)) = module {
            let folders = self.crates.get(*folder).into_iter().flatten();
            named.extend(folders.flat_map(|folder| self.below(folder)));
        }
        // The package's own sources import by path. The names there are those of an app's imports.
        if !file.starts_with("pkg/src/") {
            named.extend(self.sources(word));
        }
        let path = match word.starts_with('.') {
            true => normal(&format!("{}/{word}", folder(file))),
            false => word.trim_start_matches('/').to_owned(),
        };
        let path_of_source = path.strip_suffix(".js").unwrap_or(&path);
        let value = VALUES
            .iter()
            .find(|(file, _)| file.strip_suffix(".ts") == Some(path_of_source));
        named.extend(value.map(|(_, source)| (*source).to_owned()));
        let candidates = [
            path.clone(),
            format!("{path_of_source}.ts"),
            format!("{path_of_source}.tsx"),
            format!("pkg/src/{path}"),
        ];
        named.extend(
            candidates
                .into_iter()
                .filter(|path| self.files.contains(path)),
        );
        // `../` alone is where a path begins that is put together.
        let is_path = word.contains('/') && word.contains(|c: char| !matches!(c, '.' | '/'));
        let wide = format!("{}/", path.trim_end_matches('/'));
        if is_path && !TOO_WIDE.contains(&&*wide) {
            named.extend(self.below(&wide));
        }
    }

    /// Returns the sources of a file of the package: `strongroom/edge/node`, `/strongroom/worker.js`,
    /// `../../pkg/dist/edge.js`, `worker.js`, or `strongroom` itself. Platforms may have files of their own.
    fn sources(&self, word: &str) -> impl Iterator<Item = String> {
        let inside = ["pkg/dist/", "strongroom/"]
            .iter()
            .find_map(|folder| Some(word.split_once(folder)?.1));
        let name = match inside {
            Some(name) => Some(name.strip_suffix(".js").unwrap_or(name)),
            None if word == "strongroom" => Some("index"),
            None => word.strip_suffix(".js"),
        };
        let is_of = move |entry: &str, name: &str| {
            let rest = entry.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let entries = self.entries.iter();
        let named = entries.filter(move |(entry, _)| name.is_some_and(|name| is_of(entry, name)));
        named.map(|(_, source)| source.clone())
    }

    fn below(&self, path: &str) -> impl Iterator<Item = String> {
        let files = self.files.range(path.to_owned()..);
        files
            .take_while(move |file| file.starts_with(path))
            .cloned()
    }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Resolves `.` and `..` in a path.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the sources of the package's files, from `pkg/entries.mjs`.
fn entries(text: &str) -> BTreeMap<String, String> {
    let rows = text.split([',', '{', '}', '\n']).filter_map(|row| {
        let (name, source) = row.trim().strip_suffix('\'')?.split_once(": '")?;
        let name = name.trim_matches('\'').to_owned();
        Some((name, format!("pkg/src/{source}.ts")))
    });
    let testing = "testing".to_owned();
    rows.chain([(testing, "pkg/src/testing/index.ts".to_owned())])
        .collect()
}

/// Returns for the folder of each crate in [`MODULES`] those of all crates that its build contains, itself included.
fn crates() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let arguments = [
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ];
    let metadata: Value = serde_json::from_str(&cargo().args(arguments).read()?)?;
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let relative = |path: &Path| {
        let path = path.strip_prefix(root).unwrap_or(path);
        format!("{}/", path.display())
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut direct = BTreeMap::new();
    for package in list(&metadata["packages"]) {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let in_build = |dependency: &Value| {
            let path = dependency["path"].as_str()?;
            dependency["kind"]
                .is_null()
                .then(|| relative(Path::new(path)))
        };
        let dependencies = list(&package["dependencies"]);
        let folders: Vec<_> = dependencies.iter().filter_map(in_build).collect();
        direct.insert(relative(manifest.parent().unwrap_or(manifest)), folders);
    }
    let all = |start: &str| {
        let mut needed = BTreeSet::from([start.to_owned()]);
        let mut open = vec![start.to_owned()];
        while let Some(folder) = open.pop() {
            let next = direct.get(&folder).into_iter().flatten();
            open.extend(next.filter(|next| needed.insert((*next).clone())).cloned());
        }
        needed
    };
    let starts: BTreeSet<_> = MODULES.iter().map(|(_, folder)| *folder).collect();
    Ok(starts
        .into_iter()
        .map(|folder| (folder.to_owned(), all(folder)))
        .collect())
}
