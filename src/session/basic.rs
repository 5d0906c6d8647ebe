//! Stand-ins for the parts of a session that need the Cargo feature `extended`.

use super::Session;
use crate::Secret;
use crate::base::clock::Instant;
use crate::codec::json::{Object, Writer};
use crate::config::Config;
use crate::egress::policy::TokenSelector;
use crate::oauth::dpop::PublicKey;
use crate::prelude::*;

end_reasons! {}

pub(super) const LOGIN: TokenSelector = TokenSelector;

#[derive(Debug)]
pub(super) struct Extension;

impl Extension {
    pub(super) const fn new(_: u64) -> Self {
        Self
    }

    pub(super) const fn renew(&mut self, _: u64) {}

    pub(super) const fn succeed(&mut self, _: &Self) {}

    pub(super) const fn require(&mut self, _: Option<&str>) {}

    pub(super) const fn needs(&self) -> Option<&str> {
        None
    }

    pub(super) const fn write(&self, _: u64, _: &mut Writer) {}

    pub(super) const fn restore(_: &Object, _: &Config) -> Option<Self> {
        Some(Self)
    }
}

impl Session {
    /// Returns `None`, because this build does not bind tokens to a key (RFC 9449).
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        None
    }

    pub(super) const fn push_tokens_of_others(
        &self,
        _: TokenSelector,
        _: &Instant,
        _: &mut Vec<Secret>,
    ) {
    }

    /// Returns the access token, unless it has expired.
    #[must_use]
    pub fn access_token_of(&self, _: TokenSelector, now: &Instant) -> Option<&Secret> {
        self.access_token(now)
    }

    /// Returns the access token, even if expired.
    #[must_use]
    pub const fn latest_access_token_of(&self, _: TokenSelector) -> Option<&Secret> {
        Some(self.latest_access_token())
    }

    /// Returns true if the access token should be renewed.
    #[must_use]
    pub fn is_stale_of(&self, _: TokenSelector, now: &Instant) -> bool {
        self.is_stale(now)
    }

    /// Returns the generation in which the access token was issued.
    #[must_use]
    pub const fn issued(&self, _: TokenSelector) -> u64 {
        self.generation
    }
}
