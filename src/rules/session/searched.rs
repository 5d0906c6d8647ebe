//! The access tokens that responses and sockets are searched for. Most providers do not revoke a token that was replaced,
//! or whose session has ended, so APIs may accept such a token until it expires.

use super::Session;
use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::egress::token_reflection::MOST_TOKENS;
use crate::prelude::*;

/// At most [`MOST_TOKENS`] access tokens that have not expired: those of the session, and then those that were replaced
/// last, also of earlier sessions.
#[derive(Default)]
pub struct SearchedTokens(Vec<Searched>);

struct Searched {
    token: Secret,
    requested: Instant,
    expires_in: Millis,
}

impl Searched {
    fn is_valid(&self, now: &Instant) -> bool {
        self.requested.elapsed(now) < self.expires_in
    }
}

impl SearchedTokens {
    /// Forgets the tokens that have expired, and adds those of the session. Returns true if one of these is new.
    pub fn update(&mut self, session: Option<&Session>, now: &Instant) -> bool {
        self.0.retain(|known| known.is_valid(now));
        let current = || {
            let issued = session.into_iter().flat_map(Session::access_tokens);
            let valid = issued.filter(|(_, requested, span)| requested.elapsed(now) < *span);
            valid.take(MOST_TOKENS)
        };
        if current().all(|(token, ..)| self.has(token)) {
            return false;
        }
        let before = core::mem::take(self);
        self.0
            .extend(current().map(|(token, requested, expires_in)| Searched {
                token: token.clone(),
                requested,
                expires_in,
            }));
        for known in before.0 {
            if self.0.len() < MOST_TOKENS && !self.has(&known.token) {
                self.0.push(known);
            }
        }
        true
    }

    fn has(&self, token: &Secret) -> bool {
        self.0
            .iter()
            .any(|known| known.token.matches(token.expose()))
    }

    /// Returns the tokens to search for: first `own`, which is the request's own token, and then the others that have not
    /// expired. At most [`MOST_TOKENS`] in all.
    #[must_use]
    pub fn with(&self, own: Option<&Secret>, now: &Instant) -> Vec<Secret> {
        let is_other = |token: &&Secret| own.is_none_or(|own| !own.matches(token.expose()));
        let valid = self.0.iter().filter(|known| known.is_valid(now));
        let others = valid.map(|known| &known.token).filter(is_other);
        own.into_iter()
            .chain(others)
            .take(MOST_TOKENS)
            .cloned()
            .collect()
    }
}
