//! The options that need the Cargo feature `extended`.
//!
//! A build without this feature uses `basic.rs` instead of this file.

mod flows;
mod rules;

use super::{Config, Options};
use crate::base::strings;
use crate::codec::json::Value;
use crate::oauth::jwks::Algorithm;
use crate::prelude::*;

use flows::Flows;
pub(super) use rules::RuleExtension;

pub(super) const NO_SUCH_OPTION: &str = msg!("there is no such option");

pub(super) const NOT_KEPT: &str = msg!("it must be 'memory', 'sealed' or 'escrow'");

const NOT_AN_ALGORITHM: &str = msg!(
    "it must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA; `none` and HMAC are not accepted in a browser"
);

/// Returns true for authorization request parameters that only builds with the Cargo feature `extended` set themselves
/// (RFC 9449 10). `authorizationParams` and `loginParams` must not contain these parameters.
pub(super) fn is_protocol_param(name: &str) -> bool {
    name == "dpop_jkt"
}

/// The values of the additional options.
#[derive(Clone, Debug, Default)]
pub struct Extended {
    /// The only accepted signing algorithm for ID tokens, if configured.
    pub(crate) id_token_alg: Option<Algorithm>,
    /// True if a login fails when the provider grants scopes that the login did not request.
    pub(crate) refuses_unrequested_scopes: bool,
    /// The audiences that an ID token without `azp` may have in addition to this client (OIDC Core 3.1.3.7).
    pub(crate) trusted_audiences: Vec<String>,
    /// The options for logins.
    pub(crate) flows: Flows,
    /// True if pages may inspect the vault's events and state, without the values of tokens and other secrets.
    pub(crate) inspect: bool,
    /// True if pages learn the detailed reason when the provider ends a session or requires interaction.
    pub(crate) tells_reasons: bool,
    /// True if tokens must be bound to a key (RFC 9449).
    pub(crate) dpop: bool,
}

impl Extended {
    pub(super) fn read(options: &Options<'_>) -> Self {
        Self {
            id_token_alg: options.id_token_alg(),
            refuses_unrequested_scopes: options.refuses_unrequested_scopes(),
            trusted_audiences: options.trusted_audiences(),
            flows: options.flows(),
            inspect: options.boolean("inspect"),
            dpop: options.boolean("dpop"),
            tells_reasons: options.boolean("reasons"),
        }
    }
}

impl Config {
    /// Returns true if tokens must be bound to a key (RFC 9449).
    #[must_use]
    pub const fn binds_tokens(&self) -> bool {
        self.extended.dpop
    }

    /// Returns true if pages may inspect the vault's events and state, without the values of tokens and other secrets.
    #[must_use]
    pub const fn may_inspect(&self) -> bool {
        self.extended.inspect
    }

    /// Returns true if pages learn the detailed reason when the provider ends a session or requires interaction.
    #[must_use]
    pub const fn tells_reasons(&self) -> bool {
        self.extended.tells_reasons
    }

    /// Returns true if a login fails when the provider grants scopes that the login did not request.
    #[must_use]
    pub const fn refuses_unrequested_scopes(&self) -> bool {
        self.extended.refuses_unrequested_scopes
    }

    /// Returns the audiences that an ID token without `azp` may have in addition to this client (OIDC Core 3.1.3.7).
    #[must_use]
    pub fn trusted_audiences(&self) -> &[String] {
        &self.extended.trusted_audiences
    }

    /// Returns the only accepted signing algorithm for ID tokens, if configured.
    #[must_use]
    pub const fn id_token_alg(&self) -> Option<&Algorithm> {
        self.extended.id_token_alg.as_ref()
    }

    /// Returns true if the authorization response is in the fragment of the redirect URI.
    #[must_use]
    pub const fn uses_fragment(&self) -> bool {
        self.extended.flows.uses_fragment
    }

    /// Returns true if users may sign in on another device (RFC 8628).
    #[must_use]
    pub const fn has_device_flow(&self) -> bool {
        self.extended.flows.has_device
    }

    /// Returns true if pages may add this parameter to an authorization request.
    #[must_use]
    pub fn may_add(&self, parameter: &str) -> bool {
        let allowed = &self.extended.flows.login_params;
        allowed.iter().any(|one| one == parameter)
    }

    /// Returns true if a login may request this scope.
    #[must_use]
    pub fn may_ask(&self, scope: &str) -> bool {
        let more = &self.extended.flows.login_scopes;
        strings::contains_word(&self.scope, scope) || more.iter().any(|one| one == scope)
    }
}

impl Options<'_> {
    /// Records the reason why an option is not supported, if there is a more specific reason than "no such option".
    pub(super) fn refuse_unsupported(&self, name: &str) {
        if self.path.is_empty()
            && let Some(why) = flows::refusal(name)
        {
            self.record(&["`", name, "`: ", why]);
        }
        if name.eq_ignore_ascii_case("clientSecret") || name == "client_secret" {
            let why = msg!("a browser cannot keep a client secret; register a public client");
            self.record(&["`", self.path, name, "`: ", why]);
        }
    }

    pub(crate) fn boolean(&self, name: &str) -> bool {
        match self.object.get(name) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                self.refuse(name, msg!("it must be true or false"));
                false
            }
        }
    }

    pub(crate) fn refuses_unrequested_scopes(&self) -> bool {
        self.one_of("unrequestedScopes", r#""warn" "refuse""#) == r#""refuse""#
    }

    pub(crate) fn trusted_audiences(&self) -> Vec<String> {
        const OPTION: &str = "trustedAudiences";
        if self.object.get(OPTION).is_none() {
            return Vec::new();
        }
        let why = msg!("it must be an array of strings");
        self.strings(OPTION, "", why)
    }

    pub(crate) fn id_token_alg(&self) -> Option<Algorithm> {
        const OPTION: &str = "idTokenSignedResponseAlg";
        let algorithm = self
            .object
            .get(OPTION)?
            .as_str()
            .and_then(Algorithm::from_name);
        if algorithm.is_none() {
            self.refuse(OPTION, NOT_AN_ALGORITHM);
        }
        algorithm
    }
}
