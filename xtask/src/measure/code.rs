//! Reads Rust sources with `syn`: types, methods, functions, and the dependencies between files.

use anyhow::{Context, Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::{self, Visit};

/// The facts about one file that the measures need.
#[derive(Default)]
pub(crate) struct Source {
    /// Path relative to the root, such as `src/vault/login.rs`.
    pub(crate) path: String,
    /// Inherent methods and associated functions: type and name.
    pub(crate) methods: Vec<(String, String)>,
    /// Lines with code outside tests, without comments.
    pub(crate) code_lines: usize,
    /// The paths in the code, such as `crate::login::Login`, as lists of segments.
    paths: BTreeSet<Vec<String>>,
    /// The names of the methods that the code calls.
    calls: BTreeSet<String>,
    is_in_test: bool,
}

/// Parses a file.
pub(crate) fn read(path: &str, text: &str) -> Result<Source> {
    let file = syn::parse_file(text).with_context(|| format!("{path} does not parse"))?;
    let mut source = Source {
        path: path.to_owned(),
        code_lines: code_lines(path, text)?,
        ..Source::default()
    };
    source.visit_file(&file);
    Ok(source)
}

/// Counts the lines of a file that have code, without comments and without the items that only tests contain.
fn code_lines(path: &str, text: &str) -> Result<usize> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{path}: {error}"))?;
    let mut lines = BTreeSet::new();
    add_lines(tokens, &mut lines);
    Ok(lines.len())
}

fn add_lines(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if token.to_string() == "#" {
            tokens.next_if(|next| next.to_string() == "!");
            let attribute = tokens.peek().map(ToString::to_string).unwrap_or_default();
            let is_test = ["[cfg (test)]", "[cfg (all (test"].map(|cfg| attribute.starts_with(cfg));
            if attribute.starts_with("[doc =") || is_test.contains(&true) {
                tokens.next();
            }
            if is_test.contains(&true) {
                // The item ends at its block, or at a semicolon.
                while tokens.next_if(|next| !ends_item(next)).is_some() {}
                tokens.next();
            }
            continue;
        }
        if let TokenTree::Group(group) = token {
            lines.extend([group.span_open(), group.span_close()].map(|span| span.start().line));
            add_lines(group.stream(), lines);
        } else {
            lines.extend(token.span().start().line..=token.span().end().line);
        }
    }
}

/// Returns true for a block and for a semicolon.
fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Brace,
        token => token.to_string() == ";",
    }
}

fn is_test_module(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|name| name == "test")
    })
}

impl Source {
    /// Returns the module of the file with its crate, such as `["vault", "login"]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        // `src/edge/module` is a crate of its own.
        let (first, rest) = match path.strip_prefix("edge/module/") {
            Some(rest) => ("edge_module", rest),
            None => path.split_once('/').unwrap_or((path, "lib")),
        };
        let rest = rest.split('/').filter(|name| *name != "lib");
        [first].into_iter().chain(rest).collect()
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.use_tree(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Name(name) => self.use_name(prefix, &name.ident),
            syn::UseTree::Rename(rename) => self.use_name(prefix, &rename.ident),
            syn::UseTree::Glob(_) => {
                self.paths.insert(prefix.clone());
            }
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.use_tree(item, prefix);
                }
            }
        }
    }

    fn use_name(&mut self, prefix: &[String], name: &syn::Ident) {
        let mut path = prefix.to_vec();
        if name != "self" {
            path.push(name.to_string());
        }
        self.paths.insert(path);
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let was_in_test = self.is_in_test;
        self.is_in_test |= is_test_module(&item.attrs);
        visit::visit_item_mod(self, item);
        self.is_in_test = was_in_test;
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        if let (Some(name), None, false) = (&name, &item.trait_, self.is_in_test) {
            for member in &item.items {
                if let syn::ImplItem::Fn(method) = member {
                    self.methods
                        .push((name.clone(), method.sig.ident.to_string()));
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !self.is_in_test {
            self.use_tree(&item.tree, &mut Vec::new());
        }
    }

    /// Ignores the paths in visibilities such as `pub(super)`, which are not dependencies.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if !self.is_in_test {
            let segments = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string());
            self.paths.insert(segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if !self.is_in_test {
            self.calls.insert(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Returns the dependencies of each file below `folder`: the other files of the folder whose items the file names or
/// whose methods it calls.
///
/// A method call counts only if a single file of the folder and of the rules defines a method of this name, and if the
/// standard library does not use the name. A re-export does not count as a dependency.
pub(crate) fn dependencies(
    sources: &[&Source],
    folder: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = format!("{folder}/");
    let files: Vec<&Source> = sources
        .iter()
        .copied()
        .filter(|source| source.path.starts_with(&prefix))
        .collect();
    let mut owners: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let rules = sources
        .iter()
        .copied()
        .filter(|source| source.path.starts_with("src/rules/"));
    for file in files.iter().copied().chain(rules) {
        for (_, method) in &file.methods {
            let owner = owners.entry(method).or_insert(Some(&file.path));
            if *owner != Some(&file.path) {
                *owner = None;
            }
        }
    }
    let mut edges = named(&files);
    for file in &files {
        let targets = edges.entry(file.path.clone()).or_default();
        for call in &file.calls {
            let owner = owners.get(call.as_str()).copied().flatten();
            let is_meant = |owner: &&str| {
                *owner != file.path
                    && owner.starts_with(&prefix)
                    && !COMMON.split(' ').any(|one| one == call)
            };
            targets.extend(owner.filter(is_meant).map(str::to_owned));
        }
    }
    edges
}

/// Returns the other files whose items each file names.
pub(crate) fn named(files: &[&Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: Vec<Vec<&str>> = files.iter().map(|file| file.module()).collect();
    let targets = |(i, file): (usize, &&Source)| {
        let found = file
            .paths
            .iter()
            .filter_map(|path| resolve(path, &modules[i], &modules))
            .filter(|target| *target != i)
            .map(|target| files[target].path.clone());
        (file.path.clone(), found.collect())
    };
    files.iter().enumerate().map(targets).collect()
}

/// Method names that the standard library uses too, separated by spaces.
const COMMON: &str = "new len is_empty push pop get iter insert remove take next as_str clear contains drop find map parse find_map extend retain to_string clone write read end get_mut first last set split join wait poll store send abort forget replace is_some is_none then number text state min max eq";

/// Returns the index of the module that a path in the module `from` names, or `None` for a path outside `modules`.
fn resolve(path: &[String], from: &[&str], modules: &[Vec<&str>]) -> Option<usize> {
    let mut whole: Vec<&str> = Vec::new();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            whole.extend(from.first());
            rest = &path[1..];
        }
        "super" => {
            whole.extend(from);
            while let Some(("super", tail)) = rest
                .split_first()
                .map(|(first, tail)| (first.as_str(), tail))
            {
                whole.pop();
                rest = tail;
            }
        }
        "self" => {
            whole.extend(from);
            rest = &path[1..];
        }
        name if modules.iter().any(|module| module[..] == [name]) => {}
        _ if path.len() > 1 => whole.extend(from),
        _ => return None,
    }
    whole.extend(rest.iter().map(String::as_str));
    // Finds the longest prefix of the path that is a module.
    (0..=whole.len())
        .rev()
        .find_map(|len| modules.iter().position(|module| module == &whole[..len]))
        .filter(|target| modules[*target].len() > 1 || rest.len() <= 1 || modules[*target] != from)
}

/// Returns the groups of files that depend on each other in a cycle, the largest first (Tarjan's algorithm).
pub(crate) fn cycles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    struct State<'a> {
        edges: &'a BTreeMap<String, BTreeSet<String>>,
        index: BTreeMap<&'a str, usize>,
        low: BTreeMap<&'a str, usize>,
        stack: Vec<&'a str>,
        found: Vec<Vec<String>>,
    }
    fn connect<'a>(state: &mut State<'a>, node: &'a str) {
        let number = state.index.len();
        state.index.insert(node, number);
        state.low.insert(node, number);
        state.stack.push(node);
        for next in state.edges.get(node).into_iter().flatten() {
            if !state.index.contains_key(next.as_str()) {
                connect(state, next);
                let low = state.low[node].min(state.low[next.as_str()]);
                state.low.insert(node, low);
            } else if state.stack.contains(&next.as_str()) {
                let low = state.low[node].min(state.index[next.as_str()]);
                state.low.insert(node, low);
            }
        }
        if state.low[node] == state.index[node] {
            let at = state.stack.iter().position(|one| *one == node).unwrap_or(0);
            let group: Vec<String> = state.stack.drain(at..).map(str::to_owned).collect();
            if group.len() > 1 {
                state.found.push(group);
            }
        }
    }
    let mut state = State {
        edges,
        index: BTreeMap::new(),
        low: BTreeMap::new(),
        stack: Vec::new(),
        found: Vec::new(),
    };
    for node in edges.keys() {
        if !state.index.contains_key(node.as_str()) {
            connect(&mut state, node);
        }
    }
    let mut found = state.found;
    found.sort_by_key(|group| std::cmp::Reverse(group.len()));
    found
}

/// Reads the Rust files among `files`.
pub(crate) fn read_all(root: &Path, files: &[String]) -> Result<Vec<Source>> {
    files
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| read(path, &std::fs::read_to_string(root.join(path))?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        files
            .iter()
            .map(|(path, text)| read(path, text).unwrap())
            .collect()
    }

    #[test]
    fn finds_cycles_through_names_and_methods() {
        let files = sources(&[
            ("src/vault/lib.rs", "mod a; mod b; mod c; pub struct Vault;"),
            (
                "src/vault/a.rs",
                "use super::b::B; impl A { fn only_here(&self) {} }",
            ),
            (
                "src/vault/b.rs",
                "impl B { fn f(&self, a: &X) { a.only_here() } }",
            ),
            ("src/vault/c.rs", "use super::a; fn g() { crate::b::h() }"),
            // A method of the same name outside the folder and the rules hides no dependency.
            (
                "tests/kit/src/lib.rs",
                "impl Kit { fn only_here(&self) {} }",
            ),
        ]);
        let files: Vec<_> = files.iter().collect();
        let found = cycles(&dependencies(&files, "src/vault"));
        assert_eq!(found.len(), 1);
        let mut group = found[0].clone();
        group.sort();
        assert_eq!(group, ["src/vault/a.rs", "src/vault/b.rs"]);
    }

    #[test]
    fn code_lines_are_those_without_tests_and_comments() {
        let code =
            "/// Doc.\n#[must_use]\npub fn f() -> u8 {\n    // No code.\n\n    1 // One.\n}\n";
        let string = "const A: &str = \"a\n\n// b\";\n";
        let test = "#[cfg(test)]\nmod tests {\n    //! Doc.\n    fn g() {}\n}\n";
        let lines = |texts: &[&str]| code_lines("", &texts.concat()).unwrap();
        assert_eq!(lines(&[code]), 4);
        assert_eq!(lines(&[string]), 3);
        assert_eq!(lines(&["//! Doc.\n", test, code, test, string]), 7);
    }
}
