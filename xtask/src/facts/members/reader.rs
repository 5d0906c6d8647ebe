//! Finds the members of messages in the code that reads them: `object.str("name")`, or a getter of this project such as
//! `required("name")`.
//!
//! The arms of one `match` name the kinds. The members of a kind are read by its arm, and by the functions of the same
//! file that the arm calls.

use super::{Kinds, Member, literal};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprCall, ExprMethodCall, ExprPath, ExprStruct, File, ImplItem, ImplItemFn,
    Item, ItemFn, Pat, Type,
};

/// Returns the kinds that the function `function` distinguishes.
pub(super) fn kinds(source: &str, function: &str) -> Result<Kinds> {
    let file = syn::parse_file(source)?;
    let sources = Sources::of(&file);
    let blocks = sources.functions.get(function);
    let block = blocks.and_then(|blocks| blocks.first());
    let mut arms = Arms::default();
    arms.visit_block(block.with_context(|| format!("there is no function {function}"))?);
    let members = |body: &Expr| {
        let mut reader = Reader {
            sources: &sources,
            visited: BTreeSet::new(),
            members: Vec::new(),
        };
        reader.visit_expr(body);
        reader.members
    };
    let kinds = arms.0.into_iter();
    Ok(kinds.map(|(kind, body)| (kind, members(&body))).collect())
}

/// The arms of a `match` whose patterns are strings or constants.
#[derive(Default)]
struct Arms(Vec<(String, Expr)>);

impl<'ast> Visit<'ast> for Arms {
    fn visit_arm(&mut self, arm: &'ast Arm) {
        let kind = match &arm.pat {
            Pat::Lit(pattern) => literal(Some(&Expr::Lit(pattern.clone()))),
            Pat::Ident(name) => Some(name.ident.to_string()),
            _ => None,
        };
        if let Some(kind) = kind {
            self.0.push((kind, (*arm.body).clone()));
        }
    }
}

/// The items of a file.
#[derive(Default)]
struct Sources<'a> {
    functions: BTreeMap<String, Vec<&'a Block>>,
    /// The methods of each type.
    methods: BTreeMap<String, Vec<&'a Block>>,
    /// The strings in constants.
    constants: BTreeMap<String, Vec<String>>,
}

impl<'a> Sources<'a> {
    fn of(file: &'a File) -> Self {
        let mut sources = Self::default();
        for item in &file.items {
            match item {
                Item::Fn(ItemFn { sig, block, .. }) => {
                    let name = sig.ident.to_string();
                    sources.functions.entry(name).or_default().push(block);
                }
                Item::Impl(found) => {
                    let Type::Path(path) = &*found.self_ty else {
                        continue;
                    };
                    let Some(last) = path.path.segments.last() else {
                        continue;
                    };
                    let methods = sources.methods.entry(last.ident.to_string()).or_default();
                    for item in &found.items {
                        if let ImplItem::Fn(ImplItemFn { sig, block, .. }) = item {
                            let name = sig.ident.to_string();
                            sources.functions.entry(name).or_default().push(block);
                            methods.push(block);
                        }
                    }
                }
                Item::Const(constant) => {
                    let strings = match &*constant.expr {
                        Expr::Reference(list) => match &*list.expr {
                            Expr::Array(list) => {
                                list.elems.iter().filter_map(|e| literal(Some(e))).collect()
                            }
                            _ => Vec::new(),
                        },
                        one => literal(Some(one)).into_iter().collect(),
                    };
                    sources
                        .constants
                        .insert(constant.ident.to_string(), strings);
                }
                _ => {}
            }
        }
        sources
    }
}

struct Reader<'a> {
    sources: &'a Sources<'a>,
    /// The functions and types whose code was read.
    visited: BTreeSet<String>,
    members: Vec<Member>,
}

impl Reader<'_> {
    fn add(&mut self, name: String, typed: &'static str, is_optional: bool) {
        if !self.members.iter().any(|member| member.name == name) {
            self.members.push(Member {
                name,
                typed,
                is_optional,
            });
        }
    }

    fn read(&mut self, name: &str, blocks: Option<&Vec<&Block>>) {
        if let Some(blocks) = blocks
            && self.visited.insert(name.to_owned())
        {
            for block in blocks {
                self.visit_block(block);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        let (typed, is_optional) = match method.as_str() {
            "text" | "str" => ("string", true),
            "required" => ("string", false),
            "number" => ("number", true),
            "flag" => ("boolean", true),
            "get" => ("unknown", true),
            _ => {
                self.read(&method, self.sources.functions.get(&method));
                return visit::visit_expr_method_call(self, call);
            }
        };
        match literal(call.args.first()) {
            Some(name) => self.add(name, typed, is_optional),
            None => visit::visit_expr_method_call(self, call),
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        visit::visit_expr_call(self, call);
        if let Expr::Path(path) = &*call.func
            && let Some(last) = path.path.segments.last()
        {
            let name = last.ident.to_string();
            self.read(&name, self.sources.functions.get(&name));
        }
    }

    /// A constant with the names of members.
    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if let Some(name) = path.path.get_ident()
            && let Some(strings) = self.sources.constants.get(&name.to_string())
        {
            for name in strings {
                self.add(name.clone(), "unknown", true);
            }
        }
    }

    /// The methods of the struct that is created also read members.
    fn visit_expr_struct(&mut self, created: &'ast ExprStruct) {
        visit::visit_expr_struct(self, created);
        if let Some(name) = created.path.get_ident() {
            let name = name.to_string();
            self.read(&name, self.sources.methods.get(&name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::members::shown;

    #[test]
    fn read_members_are_found() {
        let source = r#"
            const INIT: &[&str] = &["headers", "priority"];
            const MODE: &str = "mode";
            impl Members {
                fn request(&mut self) -> Request {
                    match self.object.str("t").unwrap_or_default() {
                        "hello" => Request::Hello { version: self.number("version") },
                        "fetch" => Request::Fetch(self.fetch()),
                        "bye" => Request::Bye,
                        _ => Request::No(self.text("no")),
                    }
                }
                fn fetch(&mut self) -> Fetch {
                    for name in INIT { self.text(name); }
                    Fetch { url: self.required("url"), wait: self.flag("wait") }
                }
                fn text(&mut self, name: &str) { self.object.get("other") }
            }
            impl Fetch { fn mode(&self) { self.members.str(MODE) } }
        "#;
        assert_eq!(
            shown(&kinds(source, "request").unwrap()),
            "bye: {  }\n\
             fetch: { headers?: unknown; priority?: unknown; url: string; wait?: boolean; mode?: unknown }\n\
             hello: { version?: number }"
        );
        assert!(kinds(source, "other").is_err());
    }
}
