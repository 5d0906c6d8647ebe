//! Stand-ins for the options that need the Cargo feature `extended`.

use super::{Config, Options};
use crate::egress::policy::{EgressPolicy, Rule};
use crate::egress::token_reflection::Scope;
use crate::oauth::jwks::Algorithm;
use crate::prelude::*;

pub(super) const NO_SUCH_OPTION: &str = msg!(
    "there is no such option, or it needs strongroom_extended_bg.wasm (there is no option for a client secret, since a browser cannot keep one: register a public client; nor for flows other than the code flow with PKCE: RFC 9700 2.1.2 and 2.4)"
);

pub(super) const NOT_KEPT: &str = msg!(
    "it must be 'memory', 'sealed' or 'escrow'; the last two need strongroom_extended_bg.wasm"
);

pub(super) const fn is_protocol_param(_: &str) -> bool {
    false
}

/// The values of the additional options. In this build, no such options exist.
#[derive(Clone, Debug)]
pub struct Extended;

impl Extended {
    pub(super) const fn read(_: &Options<'_>) -> Self {
        Self
    }
}

impl Config {
    /// Returns false, because this build cannot bind tokens to a key (RFC 9449).
    #[must_use]
    pub const fn binds_tokens(&self) -> bool {
        false
    }

    /// Returns false, because in this build pages cannot inspect the vault's events and state.
    #[must_use]
    pub const fn may_inspect(&self) -> bool {
        false
    }

    /// Returns false, because this build does not tell pages the detailed reason when the provider ends a session or
    /// requires interaction.
    #[must_use]
    pub const fn tells_reasons(&self) -> bool {
        false
    }

    /// Returns false, because in this build a login succeeds even if the provider grants scopes that the login did not
    /// request.
    #[must_use]
    pub const fn refuses_unrequested_scopes(&self) -> bool {
        false
    }

    /// Returns an empty array, because in this build an ID token without `azp` may have no audience in addition to this
    /// client (OIDC Core 3.1.3.7).
    #[must_use]
    pub const fn trusted_audiences(&self) -> &[String] {
        &[]
    }

    /// Returns `None`, because in this build the signing algorithm for ID tokens cannot be configured.
    #[must_use]
    pub const fn id_token_alg(&self) -> Option<&Algorithm> {
        None
    }

    /// Returns false, because in this build the authorization response is always in the query of the redirect URI.
    #[must_use]
    pub const fn uses_fragment(&self) -> bool {
        false
    }

    /// Returns false, because this build does not support logins on another device (RFC 8628).
    #[must_use]
    pub const fn has_device_flow(&self) -> bool {
        false
    }
}

impl Options<'_> {
    pub(super) const fn refuse_unsupported(&self, _: &str) {}
}

#[derive(Default)]
pub(super) struct RuleExtension;

impl RuleExtension {
    pub(super) fn extend(
        &mut self,
        rule: Rule,
        _: &Options<'_>,
        _: &Options<'_>,
        _: Scope,
    ) -> Rule {
        rule
    }

    pub(super) fn finish(self, rules: Vec<Rule>) -> EgressPolicy {
        EgressPolicy::new(rules)
    }
}
