//! The parts of a session that need a capability: key-bound tokens, access tokens of several targets, and the error
//! code with which the provider required interaction.

use super::kept::{number, with_user, write};
use super::{Former, Session, after};
use crate::Secret;
use crate::base::capability;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::codec::json::{Object, Writer};
use crate::config::Config;
use crate::egress::policy::TokenSelector;
use crate::oauth::dpop::PublicKey;
use crate::oauth::identity::Identity;
use crate::oauth::refresh_policy;
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;

/// Selects the login's access token.
pub(super) const LOGIN: TokenSelector = None;

/// The largest number of access tokens that a response is searched for.
const MAX_SEARCHED: usize = 8;

/// Additional state of a session.
#[derive(Debug)]
pub(super) struct Extension {
    /// The error code with which the provider required interaction, if pages may see it.
    needs: Option<capability::Reasons<String>>,
    /// The key that the tokens are bound to, if any.
    key: Option<PublicKey>,
    /// The access tokens of other targets.
    others: capability::IfResourceTokens<Others>,
}

/// The access tokens of other targets than the login's.
#[derive(Clone, Debug)]
struct Others {
    /// The generation in which the login's access token was issued. In later generations, the provider may have issued
    /// access tokens of other targets.
    login_issued: u64,
    /// The tokens, each with the index of its target in the configuration. They are not stored.
    tokens: Vec<(usize, Other)>,
}

/// The access token of a target.
#[derive(Clone, Debug)]
struct Other {
    access_token: Secret,
    expires_in: Millis,
    requested: Instant,
    issued: u64,
}

impl Extension {
    pub(super) fn new(generation: u64) -> Self {
        Self {
            needs: None,
            key: None,
            others: capability::IfResourceTokens::new(|| Others {
                login_issued: generation,
                tokens: Vec::new(),
            }),
        }
    }

    /// Records that the login's access token was renewed in this generation.
    pub(super) fn renew(&mut self, generation: u64) {
        self.set_issued(generation);
        self.needs = None;
    }

    /// Takes over from `ours`, the session in this vault, the state that the store does not have.
    pub(super) fn succeed(&mut self, ours: &Self) {
        if let (Some(others), Some(ours)) = (self.others.get_mut(), ours.others.get()) {
            others.tokens.clone_from(&ours.tokens);
        }
    }

    fn set_issued(&mut self, generation: u64) {
        if let Some(others) = self.others.get_mut() {
            others.login_issued = generation;
        }
    }

    fn others(&self) -> &[(usize, Other)] {
        let others = self.others.get();
        others.map_or(&[], |others| &*others.tokens)
    }

    fn other(&self, target: capability::ResourceTokens<usize>) -> Option<&Other> {
        let (_, other) = self.others().iter().find(|(of, _)| *of == *target)?;
        Some(other)
    }

    /// Records the error code with which the provider required interaction.
    pub(super) fn require(&mut self, code: Option<&str>) {
        if let (Some(code), Some(has)) = (code, capability::Reasons::WITNESS) {
            self.needs = Some(has.with(code.to_owned()));
        }
    }

    pub(super) fn needs(&self) -> Option<&str> {
        self.needs.as_deref().map(String::as_str)
    }

    pub(super) fn write(&self, issued: u64, kept: &mut Writer) {
        if let Some(key) = &self.key {
            kept.json("dpop", key.jwk());
        }
        kept.number("issued", issued);
    }

    pub(super) fn restore(object: &Object, config: &Config) -> Option<Self> {
        let jwk = object.get("dpop");
        let key = jwk.and_then(|jwk| PublicKey::from_jwk(jwk.as_object()?));
        // A build without the capability cannot read the key, but the tokens are bound to it.
        let is_bound = config.binds_tokens();
        if key.is_some() != is_bound || jwk.is_some() != is_bound {
            return None;
        }
        let mut extension = Self::new(number(object, "issued")?);
        extension.key = key;
        Some(extension)
    }
}

impl Session {
    /// Sets the key that the tokens are bound to (RFC 9449).
    #[must_use]
    pub fn bound_to(mut self, key: Option<PublicKey>) -> Self {
        self.extension.key = key;
        self
    }

    /// Returns the key that the tokens are bound to, if any.
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        self.extension.key.as_ref()
    }

    /// Adds the access tokens that `selector` does not select, until `tokens` has [`MAX_SEARCHED`] tokens.
    pub(super) fn push_tokens_of_others(
        &self,
        selector: TokenSelector,
        now: &Instant,
        tokens: &mut Vec<Secret>,
    ) {
        if selector.is_some() {
            self.push_tokens_to_search(None, now, tokens);
        }
        let (Some(others), Some(has)) = (
            self.extension.others.get(),
            capability::ResourceTokens::WITNESS,
        ) else {
            return;
        };
        for (target, _) in others.tokens.iter().rev() {
            let other = Some(has.with(*target));
            if selector != other {
                self.push_tokens_to_search(other, now, tokens);
            }
        }
        tokens.truncate(MAX_SEARCHED);
    }

    /// Adopts the tokens of a refresh for the access token of `target`.
    pub fn renew_other(
        &mut self,
        target: capability::ResourceTokens<usize>,
        tokens: &TokenSet,
        user: Option<Identity>,
        requested: Instant,
    ) {
        let other = Other {
            access_token: tokens.access_token.clone(),
            expires_in: tokens.expires_in,
            requested,
            issued: self.generation + 1,
        };
        let own = Box::new(beside(self, tokens));
        let (own_requested, issued) = (self.requested, self.issued(LOGIN));
        self.renew(own, None, own_requested);
        self.take_user(user, requested);
        self.extension.set_issued(issued);
        let Some(others) = self.extension.others.get_mut() else {
            return;
        };
        let mut known = others.tokens.iter();
        if let Some(i) = known.position(|(of, _)| *of == *target) {
            let (_, before) = others.tokens.remove(i);
            self.former.remember(Former {
                of: Some(target),
                access_token: before.access_token,
                expires_in: before.expires_in,
                requested: before.requested,
            });
        }
        others.tokens.push((*target, other));
    }

    /// Returns the access token that `selector` selects, unless the token has expired or was never issued.
    #[must_use]
    pub fn access_token_of(&self, selector: TokenSelector, now: &Instant) -> Option<&Secret> {
        let Some(target) = selector else {
            return self.access_token(now);
        };
        let other = self.extension.other(target)?;
        (other.requested.elapsed(now) < other.expires_in).then_some(&other.access_token)
    }

    /// Returns the access token that `selector` selects, even if the token has expired. Returns `None` if no such token
    /// was issued.
    #[must_use]
    pub fn latest_access_token_of(&self, selector: TokenSelector) -> Option<&Secret> {
        match selector {
            None => Some(self.latest_access_token()),
            Some(target) => Some(&self.extension.other(target)?.access_token),
        }
    }

    /// Returns true if the access token that `selector` selects should be renewed, or was never issued.
    #[must_use]
    pub fn is_stale_of(&self, selector: TokenSelector, now: &Instant) -> bool {
        let Some(target) = selector else {
            return self.is_stale(now);
        };
        self.extension.other(target).is_none_or(|other| {
            let lifetime = other.expires_in;
            other.requested.elapsed(now) + refresh_policy::refresh_margin(lifetime) >= lifetime
        })
    }

    /// Returns the generation in which the access token that `selector` selects was issued, or 0 if no such token was
    /// issued.
    #[must_use]
    pub fn issued(&self, selector: TokenSelector) -> u64 {
        match selector {
            None => {
                let others = self.extension.others.get();
                others.map_or(self.generation, |others| others.login_issued)
            }
            Some(target) => self.extension.other(target).map_or(0, |other| other.issued),
        }
    }

    /// Returns the access tokens of other targets: the index of the target, the token, its issue and expiry times, and
    /// the generation in which it was issued.
    pub fn others(&self) -> impl Iterator<Item = (usize, &Secret, UnixMillis, UnixMillis, u64)> {
        self.extension.others().iter().map(|(target, other)| {
            let since = other.requested.wall;
            let until = after(since, other.expires_in);
            (*target, &other.access_token, since, until, other.issued)
        })
    }
}

/// Returns the session's tokens after a refresh for a target. Such a refresh does not replace the login's access token.
fn beside(session: &Session, tokens: &TokenSet) -> TokenSet {
    TokenSet {
        refresh_token: tokens.refresh_token.clone(),
        identity: None,
        ..(*session.tokens).clone()
    }
}

/// Serializes the session in the state to which [`Session::renew_other`] with the same arguments would change it.
#[must_use]
pub fn kept_renewed_other(
    session: &Session,
    tokens: &TokenSet,
    user: Option<&Identity>,
    requested: &Instant,
    config: &Config,
    now: &Instant,
) -> Secret {
    let users = with_user(session, user, requested);
    let generation = [session.generation + 1, session.issued(LOGIN)];
    let tokens = beside(session, tokens);
    let requested = &session.requested;
    write(session, &tokens, users, requested, generation, config, now)
}
