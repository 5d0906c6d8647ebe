//! The options that need a capability.

mod flows;
pub(crate) mod rules;

use super::identity::refuse_with_identity;
use super::request::{self, RedirectUri};
use super::{Config, Options};
use crate::base::{capability, strings};
use crate::oauth::jwks::Algorithm;
use crate::prelude::*;

pub use flows::LoginOptions;
pub(super) use rules::RuleExtension;

const NOT_AN_ALGORITHM: &str = msg!(
    "it must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA; `none` and HMAC are not accepted"
);

/// The values of the options that need a capability.
#[derive(Clone, Debug)]
pub struct Extended {
    /// The only accepted signing algorithm for ID tokens, if configured.
    pub(crate) id_token_alg: Option<capability::Algorithms<Algorithm>>,
    /// The options for logins that few providers need.
    pub(crate) login: capability::IfLoginOptions<LoginOptions>,
    /// The scopes that pages may request besides the option `scope`.
    pub(crate) login_scopes: capability::IfResourceTokens<Vec<String>>,
    /// Present if an app may open authorization URLs itself. True if it must, because the redirect URI is not on the
    /// worker's origin.
    pub(crate) custom_login: Option<capability::CustomLogin<bool>>,
    /// Present if users may sign in on another device (RFC 8628).
    pub(crate) device_flow: Option<capability::DeviceLogin>,
    /// Present if pages may inspect the vault's events and state, without the values of tokens and other secrets.
    pub(crate) inspect: Option<capability::Inspector>,
    /// Present if pages learn the detailed reason when the provider ends a session or requires interaction.
    pub(crate) reasons: Option<capability::Reasons>,
    /// Present if tokens must be bound to a key (RFC 9449).
    pub(crate) dpop: Option<capability::Dpop>,
    /// Present if the UserInfo endpoint is asked for claims after each login (OIDC Core 5.3).
    pub(crate) user_info: Option<capability::ProfileAddress>,
}

impl Extended {
    /// Reads the options.
    pub(crate) fn read(options: &Options<'_>, redirect_uri: &RedirectUri) -> Self {
        Self {
            id_token_alg: capability::Algorithms::WITNESS
                .and_then(|has| Some(has.with(id_token_alg(options)?))),
            login: capability::IfLoginOptions::new(|| LoginOptions::read(options, redirect_uri)),
            login_scopes: capability::IfResourceTokens::new(|| request::login_scopes(options)),
            custom_login: request::custom_login(options)
                .map(|has| has.with(redirect_uri.is_elsewhere)),
            device_flow: capability::DeviceLogin::WITNESS.filter(|_| options.boolean("deviceFlow")),
            inspect: capability::Inspector::WITNESS.filter(|_| options.boolean("inspect")),
            reasons: capability::Reasons::WITNESS.filter(|_| options.boolean("reasons")),
            dpop: capability::Dpop::WITNESS.filter(|_| options.boolean("dpop")),
            user_info: user_info(options),
        }
    }
}

impl Config {
    /// Returns true if tokens must be bound to a key (RFC 9449).
    #[must_use]
    pub const fn binds_tokens(&self) -> bool {
        self.extended.dpop.is_some()
    }

    /// Returns the capability if the UserInfo endpoint is asked for claims after each login.
    #[must_use]
    pub const fn user_info(&self) -> Option<capability::ProfileAddress> {
        self.extended.user_info
    }

    /// Returns true if pages may inspect the vault's events and state, without the values of tokens and other secrets.
    #[must_use]
    pub const fn may_inspect(&self) -> bool {
        self.extended.inspect.is_some()
    }

    /// Returns true if pages learn the detailed reason when the provider ends a session or requires interaction.
    #[must_use]
    pub const fn tells_reasons(&self) -> bool {
        self.extended.reasons.is_some()
    }

    /// Returns true if a login fails when the provider grants scopes that the login did not request.
    #[must_use]
    pub fn refuses_unrequested_scopes(&self) -> bool {
        let login = self.extended.login.get();
        login.is_some_and(|login| login.refuses_unrequested_scopes)
    }

    /// Returns the capability if the address of a logout at the provider contains an ID token.
    #[must_use]
    pub fn id_token_hint(&self) -> Option<capability::LoginOptions> {
        let login = self.extended.login.get();
        let is_sent = login.is_some_and(|login| login.sends_id_token_hint);
        capability::LoginOptions::WITNESS.filter(|_| is_sent)
    }

    /// Returns the address at which another site may begin a login, without query, if configured.
    #[must_use]
    pub fn initiate_login_uri(&self) -> Option<&String> {
        let login = self.extended.login.get();
        login.and_then(|login| login.initiate_login_uri.as_ref())
    }

    /// Returns the reason why a vault on an origin of its own cannot have this configuration.
    #[must_use]
    pub fn refusal_in_frame(&self) -> Option<&'static str> {
        if self.id_token_hint().is_some() {
            return Some(msg!(
                "`idTokenHint` cannot be used with a vault on an origin of its own: the app's page would see the ID token"
            ));
        }
        self.initiate_login_uri().map(|_| {
            msg!(
                "`initiateLoginUri` cannot be used with a vault on an origin of its own: its path would be on the vault's origin, not on the app's"
            )
        })
    }

    /// Returns the audiences that an ID token without `azp` may have in addition to this client (OIDC Core 3.1.3.7).
    #[must_use]
    pub fn trusted_audiences(&self) -> &[String] {
        let login = self.extended.login.get();
        login.map_or(&[], |login| &*login.trusted_audiences)
    }

    /// Returns the only accepted signing algorithm for ID tokens, if configured.
    #[must_use]
    pub fn id_token_alg(&self) -> Option<&Algorithm> {
        self.extended.id_token_alg.as_deref()
    }

    /// Returns true if the authorization response is in the fragment of the redirect URI.
    #[must_use]
    pub fn uses_fragment(&self) -> bool {
        let login = self.extended.login.get();
        login.is_some_and(|login| login.uses_fragment)
    }

    /// Returns the capability of custom logins if an app may open authorization URLs itself, with true if it must.
    #[must_use]
    pub const fn custom_login(&self) -> Option<&capability::CustomLogin<bool>> {
        self.extended.custom_login.as_ref()
    }

    /// Returns true if users may sign in on another device (RFC 8628).
    #[must_use]
    pub const fn has_device_flow(&self) -> bool {
        self.extended.device_flow.is_some()
    }

    /// Returns true if pages may add this parameter to an authorization request.
    #[must_use]
    pub fn may_add(&self, parameter: &str) -> bool {
        let login = self.extended.login.get();
        login.is_some_and(|login| login.params.iter().any(|one| one == parameter))
    }

    /// Returns true if a login may request this scope.
    #[must_use]
    pub fn may_ask(&self, scope: &str) -> bool {
        let more = self.extended.login_scopes.get();
        strings::contains_word(&self.scope, scope)
            || more.is_some_and(|more| more.iter().any(|one| one == scope))
    }
}

fn user_info(options: &Options<'_>) -> Option<capability::ProfileAddress> {
    refuse_with_identity(options, "userInfo");
    capability::ProfileAddress::WITNESS.filter(|_| options.boolean("userInfo"))
}

fn id_token_alg(options: &Options<'_>) -> Option<Algorithm> {
    const OPTION: &str = "idTokenSignedResponseAlg";
    refuse_with_identity(options, OPTION);
    let value = options.object.get(OPTION)?;
    let algorithm = value.as_str().and_then(Algorithm::from_name);
    if algorithm.is_none() {
        options.refuse(OPTION, NOT_AN_ALGORITHM);
    }
    algorithm
}
