//! The access tokens of other targets than the login's: see [`crate::oauth::resource_indicators`].

use super::{Session, after};
use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::egress::policy::TokenSelector;
use crate::oauth::identity::Identity;
use crate::oauth::refresh_policy;
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;

/// The access tokens of other targets, each with the index of its target in the configuration. They are not stored.
pub(super) type OtherTokens = Vec<(usize, OtherToken)>;

/// The access token of a target.
#[derive(Clone, Debug)]
pub(super) struct OtherToken {
    access_token: Secret,
    expires_in: Millis,
    requested: Instant,
    /// The generation in which the token was issued.
    issued: u64,
}

impl Session {
    fn other(&self, target: usize) -> Option<&OtherToken> {
        let (_, other) = self.others.iter().find(|(of, _)| *of == target)?;
        Some(other)
    }

    /// Returns the access tokens, each with the time of its request and its lifetime: first the login's, and then those of
    /// other targets, the latest one first.
    pub(super) fn access_tokens(&self) -> impl Iterator<Item = (&Secret, Instant, Millis)> {
        let login = (&self.tokens.access_token, self.requested, self.lifetime());
        let others = self.others.iter().rev().map(|(_, other)| {
            let OtherToken {
                access_token,
                requested,
                expires_in,
                ..
            } = other;
            (access_token, *requested, *expires_in)
        });
        core::iter::once(login).chain(others)
    }

    /// Adopts the tokens of a refresh for the access token of `target`.
    pub fn renew_other(
        &mut self,
        target: usize,
        tokens: &TokenSet,
        user: Option<Identity>,
        requested: Instant,
    ) {
        let other = OtherToken {
            access_token: tokens.access_token.clone(),
            expires_in: tokens.expires_in,
            requested,
            issued: self.generation + 1,
        };
        self.rotate(tokens, &requested);
        self.take_user(user, requested);
        self.others.retain(|(of, _)| *of != target);
        self.others.push((target, other));
    }

    /// Adopts only the refresh token of a response to a request at `requested`: of a refresh for a target, or of a response
    /// without a usable access token.
    pub(super) fn rotate(&mut self, tokens: &TokenSet, requested: &Instant) {
        // The stored time counts from the request for the login's access token.
        let before = self.requested.elapsed(requested);
        let stated = tokens.refresh_expires_in.map(|lifetime| before + lifetime);
        let is_same = tokens.refresh_token.is_none();
        let known = self.tokens.refresh_expires_in.filter(|_| is_same);
        self.replace_tokens(Box::new(TokenSet {
            refresh_expires_in: stated.or(known),
            refresh_token: tokens.refresh_token.clone(),
            loses_refresh_token: tokens.loses_refresh_token,
            identity: None,
            ..(*self.tokens).clone()
        }));
    }

    /// Returns the access token that `selector` selects, unless the token has expired or was never issued.
    #[must_use]
    pub fn access_token_of(&self, selector: TokenSelector, now: &Instant) -> Option<&Secret> {
        let Some(target) = selector else {
            return self.access_token(now);
        };
        let other = self.other(target)?;
        (other.requested.elapsed(now) < other.expires_in).then_some(&other.access_token)
    }

    /// Returns the access token that `selector` selects, even if the token has expired. Returns `None` if no such token
    /// was issued.
    #[must_use]
    pub fn latest_access_token_of(&self, selector: TokenSelector) -> Option<&Secret> {
        match selector {
            None => Some(self.latest_access_token()),
            Some(target) => Some(&self.other(target)?.access_token),
        }
    }

    /// Returns true if the access token that `selector` selects should be renewed, or was never issued.
    #[must_use]
    pub fn is_stale_of(&self, selector: TokenSelector, now: &Instant) -> bool {
        let Some(target) = selector else {
            return self.is_stale(now);
        };
        self.other(target).is_none_or(|other| {
            let lifetime = other.expires_in;
            other.requested.elapsed(now) + refresh_policy::refresh_margin(lifetime) >= lifetime
        })
    }

    /// Returns true if the access token that `selector` selects is in the second half of its lifetime, or was never issued.
    /// Before that, only a refusal of an API lets a vault renew the token: see [`Self::is_ripe`].
    #[must_use]
    pub fn is_due(&self, selector: TokenSelector, now: &Instant) -> bool {
        let (lifetime, requested) = self.span_of(selector);
        requested.elapsed(now) >= Millis(lifetime.0 / 2)
    }

    /// Returns the lifetime of the access token that `selector` selects, and the time of its request. The lifetime is zero
    /// if no such token was issued.
    pub(super) fn span_of(&self, selector: TokenSelector) -> (Millis, Instant) {
        match selector {
            None => (self.lifetime(), self.requested),
            Some(target) => match self.other(target) {
                Some(other) => (other.expires_in, other.requested),
                None => (Millis::ZERO, Instant::default()),
            },
        }
    }

    /// Returns the generation in which the access token that `selector` selects was issued, or 0 if no such token was
    /// issued.
    #[must_use]
    pub fn issued(&self, selector: TokenSelector) -> u64 {
        match selector {
            None => self.login_issued,
            Some(target) => self.other(target).map_or(0, |other| other.issued),
        }
    }

    /// Returns the access tokens of other targets: the index of the target, the token, its issue and expiry times, and
    /// the generation in which it was issued.
    pub fn other_tokens(
        &self,
    ) -> impl Iterator<Item = (usize, &Secret, UnixMillis, UnixMillis, u64)> {
        self.others.iter().map(|(target, other)| {
            let since = other.requested.wall;
            let until = after(since, other.expires_in);
            (*target, &other.access_token, since, until, other.issued)
        })
    }
}
