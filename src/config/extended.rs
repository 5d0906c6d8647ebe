//! The options that need a capability.

mod flows;
mod rules;

use super::{Config, Options};
use crate::base::{capability, strings};
use crate::codec::json::Value;
use crate::codec::url::Url;
use crate::oauth::jwks::Algorithm;
use crate::prelude::*;

pub use flows::LoginOptions;
pub(super) use rules::RuleExtension;

const NOT_AN_ALGORITHM: &str = msg!(
    "it must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA; `none` and HMAC are not accepted in a browser"
);

/// Returns true for authorization request parameters that only builds with a certain capability set themselves (RFC
/// 9449 10). `authorizationParams` and `loginParams` must not contain these parameters.
pub(super) fn is_protocol_param(name: &str) -> bool {
    capability::Dpop::WITNESS.is_some() && name == "dpop_jkt"
}

/// The values of the options that need a capability.
#[derive(Clone, Debug, Default)]
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
    /// Reads the options. `redirect_uri` has true if it is not on the worker's origin.
    pub(super) fn read(options: &Options<'_>, redirect_uri: &(Url, bool)) -> Self {
        Self {
            id_token_alg: capability::Algorithms::WITNESS
                .and_then(|has| Some(has.with(options.id_token_alg()?))),
            login: capability::IfLoginOptions::new(|| options.login_options(redirect_uri)),
            login_scopes: capability::IfResourceTokens::new(|| options.login_scopes()),
            custom_login: options.custom_login().map(|has| has.with(redirect_uri.1)),
            device_flow: capability::DeviceLogin::WITNESS.filter(|_| options.boolean("deviceFlow")),
            inspect: capability::Inspector::WITNESS.filter(|_| options.boolean("inspect")),
            reasons: capability::Reasons::WITNESS.filter(|_| options.boolean("reasons")),
            dpop: capability::Dpop::WITNESS.filter(|_| options.boolean("dpop")),
            user_info: options.user_info(),
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

impl Options<'_> {
    /// Returns the reason why there is no option `name`, if there is a more specific reason than "no such option".
    pub(super) fn reason_against(&self, name: &str) -> Option<&'static str> {
        if name.eq_ignore_ascii_case("clientSecret") || name == "client_secret" {
            return Some(msg!(
                "a browser cannot keep a client secret; register a public client"
            ));
        }
        if !self.path.is_empty() {
            return None;
        }
        if name == "audience" {
            return Some(msg!(
                "it is a parameter of the authorization request: write authorizationParams: { audience: '…' }"
            ));
        }
        flows::reason_against(name)
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

    pub(crate) fn user_info(&self) -> Option<capability::ProfileAddress> {
        self.refuse_with_identity("userInfo");
        capability::ProfileAddress::WITNESS.filter(|_| self.boolean("userInfo"))
    }

    pub(super) fn custom_login(&self) -> Option<capability::CustomLogin> {
        capability::CustomLogin::WITNESS.filter(|_| self.boolean("customLogin"))
    }

    pub(crate) fn refuses_unrequested_scopes(&self) -> bool {
        self.one_of("unrequestedScopes", r#""warn" "refuse""#) == r#""refuse""#
    }

    pub(crate) fn trusted_audiences(&self) -> Vec<String> {
        const OPTION: &str = "trustedAudiences";
        self.refuse_with_identity(OPTION);
        if self.object.get(OPTION).is_none() {
            return Vec::new();
        }
        let why = msg!("it must be an array of strings");
        self.strings(OPTION, "", why)
    }

    pub(crate) fn id_token_alg(&self) -> Option<Algorithm> {
        const OPTION: &str = "idTokenSignedResponseAlg";
        self.refuse_with_identity(OPTION);
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
