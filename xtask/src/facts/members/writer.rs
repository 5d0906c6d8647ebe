//! Finds the members of messages in the code that writes them with `Writer`.
//!
//! A message begins with `message("kind")` or `.text("t", "kind")`, and has the members that the same function adds
//! after it. A member in a branch is optional. A function that adds members to the writer of its caller adds them to
//! the caller's message.

use super::{Kinds, Member, literal};
use anyhow::Result;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use syn::visit::{self, Visit};
use syn::{Arm, Expr, ExprCall, ExprIf, ExprMethodCall, FnArg, ImplItemFn, ItemFn, ItemMod, Type};

/// A message that one function writes.
struct Message {
    /// The kind; empty for the members that a function adds to its caller's message.
    kind: String,
    members: Vec<Member>,
    /// The number of branches around the beginning of the message.
    depth: usize,
    function: String,
}

/// Returns the kinds of messages that are written by the functions whose name `is_wanted` accepts.
pub(super) fn kinds(sources: &[&str], is_wanted: fn(&str) -> bool) -> Result<Kinds> {
    let mut files = Vec::new();
    for source in sources {
        files.push(syn::parse_file(source)?);
    }
    let mut first = Reader::default();
    files.iter().for_each(|file| first.visit_file(file));
    let helpers = first.found.into_iter().filter(|one| one.kind.is_empty());
    let mut second = Reader {
        helpers: helpers.map(|one| (one.function, one.members)).collect(),
        ..Reader::default()
    };
    files.iter().for_each(|file| second.visit_file(file));
    let mut kinds = Kinds::new();
    for message in second.found {
        if message.kind.is_empty() || !is_wanted(&message.function) {
            continue;
        }
        match kinds.entry(message.kind) {
            Entry::Vacant(entry) => {
                entry.insert(message.members);
            }
            Entry::Occupied(mut entry) => join(entry.get_mut(), message.members),
        }
    }
    Ok(kinds)
}

/// Adds the members of another message of the same kind. A member that one of the messages lacks is optional.
fn join(known: &mut Vec<Member>, others: Vec<Member>) {
    for member in known.iter_mut() {
        let other = others.iter().find(|other| other.name == member.name);
        member.is_optional |= other.is_none_or(|other| other.is_optional);
        if other.is_some_and(|other| other.typed != member.typed) {
            member.typed = "unknown";
        }
    }
    for other in others {
        if !known.iter().any(|member| member.name == other.name) {
            known.push(Member {
                is_optional: true,
                ..other
            });
        }
    }
}

#[derive(Default)]
struct Reader {
    /// The members that functions add to their caller's message.
    helpers: BTreeMap<String, Vec<Member>>,
    function: String,
    depth: usize,
    open: Option<Message>,
    found: Vec<Message>,
}

impl Reader {
    fn begin(&mut self, kind: &str) {
        let begun = Message {
            kind: kind.to_owned(),
            members: Vec::new(),
            depth: self.depth,
            function: self.function.clone(),
        };
        self.found.extend(self.open.replace(begun));
    }

    /// Adds members to the current message.
    fn add(&mut self, members: Vec<Member>) {
        if let Some(message) = &mut self.open {
            for mut member in members {
                member.is_optional |= self.depth > message.depth;
                match message.members.iter_mut().find(|it| it.name == member.name) {
                    // One of two branches adds it, or both.
                    Some(known) => known.is_optional &= member.is_optional,
                    None => message.members.push(member),
                }
            }
        }
    }

    fn called(&mut self, function: &str) {
        if let Some(members) = self.helpers.get(function) {
            self.add(members.clone());
        }
    }

    fn function(&mut self, signature: &syn::Signature, visit: impl FnOnce(&mut Self)) {
        self.function = signature.ident.to_string();
        if signature.inputs.iter().any(takes_writer) {
            self.begin("");
        }
        visit(self);
        self.found.extend(self.open.take());
    }

    fn branch(&mut self, visit: impl FnOnce(&mut Self)) {
        self.depth += 1;
        visit(self);
        self.depth -= 1;
    }
}

/// Returns true for a parameter of the type `&mut Writer`.
fn takes_writer(parameter: &FnArg) -> bool {
    let FnArg::Typed(parameter) = parameter else {
        return false;
    };
    match &*parameter.ty {
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) => path.path.is_ident("Writer"),
            _ => false,
        },
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.function(&function.sig, |it| visit::visit_item_fn(it, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.function(&function.sig, |it| visit::visit_impl_item_fn(it, function));
    }

    fn visit_expr_if(&mut self, branches: &'ast ExprIf) {
        self.visit_expr(&branches.cond);
        self.branch(|it| {
            it.visit_block(&branches.then_branch);
            if let Some((_, otherwise)) = &branches.else_branch {
                it.visit_expr(otherwise);
            }
        });
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        self.branch(|it| visit::visit_arm(it, arm));
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        visit::visit_expr_call(self, call);
        if let Expr::Path(path) = &*call.func
            && let Some(last) = path.path.segments.last()
        {
            let name = last.ident.to_string();
            match (name.as_str(), literal(call.args.first())) {
                ("message", Some(kind)) => self.begin(&kind),
                _ => self.called(&name),
            }
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        // The receiver comes first: it contains the earlier calls of a chain.
        visit::visit_expr_method_call(self, call);
        let method = call.method.to_string();
        let typed = match method.as_str() {
            "text" => "string",
            "number" => "number",
            "flag" => "boolean",
            "optional_text" => "string | null",
            "optional_number" => "number | null",
            "json" | "value" => "unknown",
            _ => return self.called(&method),
        };
        match (literal(call.args.first()), literal(call.args.get(1))) {
            (Some(name), Some(kind)) if name == "t" => self.begin(&kind),
            (Some(name), _) if call.args.len() == 2 && name != "t" => self.add(vec![Member {
                name,
                typed,
                is_optional: false,
            }]),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::members::shown;

    const SOURCE: &str = r#"
        impl Host {
            fn step(&self, out: &mut Writer, effect: Effect) {
                out.number("task", 1);
                match effect {
                    Effect::Open(key) => { out.text("t", "open").number("key", key); }
                    Effect::Next => { out.text("t", "next"); self.cookies(out); }
                }
            }
            fn cookies(&self, out: &mut Writer) {
                if self.is_new { out.flag("new", true); }
                out.json("cookies", &list);
            }
            fn event() { Writer::object().text("t", "ended").optional_text("sub", None).finish() }
        }
        fn error(id: u64) -> String { with_fault(message("error").number("id", id), e) }
        fn again(id: u64) -> String {
            let mut error = message("error");
            if let Some(url) = url { error.text("url", url); }
            with_fault(&mut error, e)
        }
        fn with_fault(message: &mut Writer, e: &Error) -> String { message.text("code", e.code()).finish() }
        mod tests { fn no() { message("no") } }
    "#;

    #[test]
    fn written_members_are_found() {
        let found = kinds(&[SOURCE], |function| function != "event").unwrap();
        assert_eq!(
            shown(&found),
            "error: { id?: number; code: string; url?: string }\n\
             next: { new?: boolean; cookies: unknown }\n\
             open: { key: number }"
        );
        let events = kinds(&[SOURCE], |function| function == "event").unwrap();
        assert_eq!(shown(&events), "ended: { sub: string | null }");
    }
}
