//! Stand-ins for the parts of the policy that need the Cargo feature `extended`.

use super::{Allowed, EgressPolicy, Rule};
use crate::codec::url::Url;

/// Selects one of a session's access tokens. This build has only one access token per session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSelector;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleOptions;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestOptions;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Targets;

impl RuleOptions {
    pub(super) const fn new() -> Self {
        Self
    }
}

impl RequestOptions {
    pub(super) const fn of(_: &Rule, _: &[Rule], _: &Url) -> Self {
        Self
    }
}

impl Targets {
    pub(super) const fn new() -> Self {
        Self
    }
}

impl EgressPolicy {
    /// Returns no resources, because rules have no targets in this build.
    pub const fn resources(&self) -> core::iter::Empty<&str> {
        core::iter::empty()
    }
}

impl Allowed {
    /// Returns false, because in this build no rule lets the browser keep responses in its HTTP cache.
    #[must_use]
    pub const fn caches(&self) -> bool {
        false
    }

    /// Returns the selector of the access token that the request carries.
    #[must_use]
    pub const fn token_selector(&self) -> TokenSelector {
        TokenSelector
    }
}
