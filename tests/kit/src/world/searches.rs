//! The access tokens for which hosts search open responses and sockets.

use std::collections::BTreeMap;

use super::World;
use super::invariants::Invariant;
use super::page::Request;
use rules::Secret;
use rules::egress::token_reflection::{MOST_TOKENS, Scope};
use vault::{CallId, Output};

#[derive(Default)]
pub(super) struct Searches {
    /// For each open response or socket that is searched, its vault and the tokens. Its own token comes first.
    open: BTreeMap<CallId, (usize, Vec<String>)>,
    /// The tokens that the vault has sent to APIs since its last input.
    sent: Vec<String>,
}

impl Searches {
    /// Sees an output of this vault.
    pub(super) fn see(&mut self, vault: usize, output: &Output) {
        match output {
            Output::Call { call, request, .. } => {
                let authorization = request.authorization.expose();
                let token = authorization.split_once(' ').map_or("", |(_, token)| token);
                self.sent.push(token.to_owned());
                let is_searched = request.allowed.reflection() != Scope::Nothing;
                self.opened(*call, vault, is_searched, &request.searched);
            }
            Output::OpenSocket { call, handshake } => {
                let searched = &handshake.searched;
                self.sent.extend(texts(searched).into_iter().take(1));
                self.opened(*call, vault, !searched.is_empty(), searched);
            }
            Output::Search { tokens } => {
                for (_, known) in self.open.values_mut().filter(|(of, _)| *of == vault) {
                    known.truncate(1);
                    let others = texts(tokens).into_iter();
                    let others: Vec<_> = others.filter(|token| !known.contains(token)).collect();
                    known.extend(others);
                    known.truncate(MOST_TOKENS);
                }
            }
            Output::Drop { call } => drop(self.open.remove(call)),
            _ => {}
        }
    }

    fn opened(&mut self, call: CallId, vault: usize, is_searched: bool, tokens: &[Secret]) {
        self.open.remove(&call);
        if is_searched {
            self.open.insert(call, (vault, texts(tokens)));
        }
    }

    /// Checks what is open after an input of this vault.
    pub(super) fn check(&mut self, vault: usize) {
        for token in core::mem::take(&mut self.sent) {
            for (call, (of, known)) in &self.open {
                let is_searched = *of != vault || known.contains(&token);
                Invariant::Searched.holds_if(is_searched || known.len() == MOST_TOKENS, || {
                    format!("call {} is not searched for a token that was sent", call.0)
                });
            }
        }
    }

    /// Forgets what a vault has opened that was killed.
    pub(super) fn killed(&mut self, vault: usize) {
        self.open.retain(|_, (of, _)| *of != vault);
    }
}

impl World {
    /// Returns the access tokens for which the open response or socket of a page's request is searched.
    pub fn searched(&self, request: Request) -> Vec<String> {
        let is_its = |call: &CallId| self.calls.requests.get(call) == Some(&request);
        let mut open = self.searches.open.iter();
        let its = open.find(|(call, _)| is_its(call));
        its.map_or_else(Vec::new, |(_, (_, tokens))| tokens.clone())
    }
}

fn texts(tokens: &[Secret]) -> Vec<String> {
    let texts = tokens.iter().map(|token| token.expose().to_owned());
    texts.collect()
}
