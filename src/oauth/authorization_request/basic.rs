//! Stand-ins for the parts of a login that need the Cargo feature `extended`.

use super::{AuthorizationRequest, LoginParams, Pending};
use crate::base::error::Result;
use crate::codec::form::Form;
use crate::codec::json::{Object, Writer};
use crate::config::Config;
use crate::oauth::dpop::PublicKey;
use crate::prelude::*;

/// Additional login options that a page may choose. This build has no such options.
#[derive(Clone, Debug, Default)]
pub struct ExtendedParams;

/// Additional state of a login, which is empty in this build.
#[derive(Clone, Debug, Default)]
pub struct ExtendedPending;

impl ExtendedPending {
    pub(super) const fn read(_: &Config, _: &LoginParams, _: &mut Form) -> Result<Self> {
        Ok(Self)
    }

    pub(super) const fn from_object(_: &Object) -> Self {
        Self
    }

    pub(super) const fn write(&self, _: &mut Writer) {}

    pub(super) const fn scope(&self) -> Option<&str> {
        None
    }
}

impl LoginParams {
    /// Returns false, because this build does not support logins on another device (RFC 8628).
    #[must_use]
    pub const fn is_device(&self) -> bool {
        false
    }
}

impl Pending {
    /// Returns `None`, because this build does not bind tokens to a key (RFC 9449).
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        None
    }

    /// Returns `None`, because in this build a page cannot request more than the configured scopes.
    #[must_use]
    pub const fn scope(&self) -> Option<&str> {
        None
    }

    /// Returns false, because this build does not support logins on another device (RFC 8628).
    #[must_use]
    pub const fn is_device(&self) -> bool {
        false
    }

    /// Does nothing: in this build, logins store no scopes.
    pub const fn check_scope(&mut self, _: &Config) {}
}

impl AuthorizationRequest {
    /// Binds the authorization code to this key (RFC 9449 10). This build has no keys, so nothing calls this function.
    #[must_use]
    pub fn bound_to(self: Box<Self>, _: PublicKey) -> Box<Self> {
        self
    }
}
