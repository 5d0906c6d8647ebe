//! The parts of a login that need the Cargo feature `extended`: additional parameters and scopes, the key that tokens
//! are bound to, step-up demands of APIs, and logins on another device.
//!
//! A build without this feature uses `basic.rs` instead of this file.

use super::{AuthorizationRequest, LoginParams, Pending, checked};
use crate::Secret;
use crate::base::clock::UnixMillis;
use crate::base::error::{Code, Error, Result, quote};
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::{Object, Writer};
use crate::config::Config;
use crate::oauth::dpop::PublicKey;
use crate::oauth::www_authenticate::Demand;
use crate::prelude::*;

/// Additional login options that a page may choose.
#[derive(Clone, Debug, Default)]
pub struct ExtendedParams {
    /// Additional parameters, as name and value. The configuration must allow each name (`loginParams`).
    pub more: Vec<(String, String)>,
    /// Additional scopes, separated by spaces. The configuration must allow each scope (`loginScopes`).
    pub scope: Option<String>,
    /// True if the user signs in on another device (RFC 8628).
    pub device: bool,
}

/// Additional state of a login.
#[derive(Clone, Debug, Default)]
pub struct ExtendedPending {
    /// The key that the tokens are bound to, if they are bound to a key (RFC 9449).
    pub key: Option<PublicKey>,
    /// The requested scopes, if the page requested more than the configured scopes.
    pub scope: Option<String>,
    /// The options that satisfy an API's demand, as [`Demand::login`] writes them.
    pub demand: Option<String>,
    /// True for a login on another device, whose ID token contains no `nonce`. In a stored login, this value is always
    /// false.
    pub is_device: bool,
}

impl ExtendedPending {
    /// Checks the additional options of a page, and adds the page's parameters to the request.
    pub(super) fn read(config: &Config, params: &LoginParams, chosen: &mut Form) -> Result<Self> {
        add_more(config, &params.extended.more, chosen)?;
        Ok(Self {
            key: None,
            scope: params.requested_scope(config)?,
            demand: demand(params),
            is_device: false,
        })
    }

    /// Reads the members that [`Self::write`] writes.
    pub(super) fn from_object(object: &Object) -> Self {
        let key = object.get("dpop").and_then(|jwk| jwk.as_object());
        Self {
            key: key.and_then(PublicKey::from_jwk),
            scope: object.str("scope").map(str::to_owned),
            demand: object.str("demand").map(str::to_owned),
            is_device: false,
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .optional_text("scope", self.scope.as_deref())
            .optional_text("demand", self.demand.as_deref());
        if let Some(key) = &self.key {
            writer.json("dpop", key.jwk());
        }
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }
}

impl LoginParams {
    /// Returns true if the user signs in on another device (RFC 8628).
    #[must_use]
    pub const fn is_device(&self) -> bool {
        self.extended.device
    }

    /// Returns the scopes to request, separated by spaces, if a page wants more than the configured scopes.
    ///
    /// # Errors
    /// [`Code::MessageInvalid`] if `loginScopes` does not allow a scope, or if the page's option is too long or has
    /// control characters.
    pub fn requested_scope(&self, config: &Config) -> Result<Option<String>> {
        requested_scope(config, self.extended.scope.as_deref())
    }
}

impl Pending {
    /// Returns the key to which the tokens are bound, if they are bound to a key (RFC 9449).
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        self.extended.key.as_ref()
    }

    /// Returns the requested scopes, if the page requested more than the configured scopes.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.extended.scope()
    }

    /// Returns true for a login on another device (RFC 8628).
    #[must_use]
    pub const fn is_device(&self) -> bool {
        self.extended.is_device
    }

    /// Removes the scopes of a stored login if a page may not request them. This check is needed because a script of
    /// this origin can write to the store.
    pub fn check_scope(&mut self, config: &Config) {
        let requested = requested_scope(config, self.extended.scope.as_deref());
        self.extended.scope = requested.unwrap_or_default();
    }

    /// Creates the state of a login that the user has finished on another device (RFC 8628).
    pub(crate) fn of_device(
        config: &Config,
        params: &LoginParams,
        now: UnixMillis,
        key: Option<PublicKey>,
    ) -> Self {
        Self {
            issuer: config.issuer.clone(),
            nonce: Secret::default(),
            code_verifier: Secret::default(),
            return_to: "/".to_owned(),
            popup: true,
            max_age: None,
            is_silent: false,
            created_at: now,
            extended: ExtendedPending {
                key,
                scope: params.requested_scope(config).unwrap_or_default(),
                demand: None,
                is_device: true,
            },
        }
    }
}

impl AuthorizationRequest {
    /// Binds the authorization code to this key (RFC 9449 10).
    #[must_use]
    pub fn bound_to(mut self: Box<Self>, key: PublicKey) -> Box<Self> {
        let mut form = Form::new();
        form.push("dpop_jkt", key.thumbprint());
        self.parameters = [&self.parameters, "&", &form.finish()].concat();
        self.pending.extended.key = Some(key);
        self
    }
}

fn requested_scope(config: &Config, more: Option<&str>) -> Result<Option<String>> {
    let mut scope = config.scope.clone();
    for one in strings::split(checked("scope", more.unwrap_or_default())?, b' ') {
        if one.is_empty() || strings::contains_word(&scope, one) {
            continue;
        }
        if !config.may_ask(one) {
            let message = [
                msg!("login option scope has "),
                &quote(one),
                msg!(", which is neither in scope nor among loginScopes in the worker's file"),
            ];
            return Err(Error::of(Code::MessageInvalid, &message));
        }
        scope.push(' ');
        scope.push_str(one);
    }
    Ok((scope.len() > config.scope.len()).then_some(scope))
}

/// Returns the login options that an API may have demanded, as [`Demand::login`] writes them.
fn demand(params: &LoginParams) -> Option<String> {
    if let Some(scope) = &params.extended.scope {
        return Some(Demand::Scope(scope.clone()).login());
    }
    let asks_to_log_in = params.prompt.as_deref() == Some("login");
    if params.acr_values.is_none() && params.max_age.is_none() && !asks_to_log_in {
        return None;
    }
    let demand = Demand::StepUp {
        acr_values: params.acr_values.clone(),
        max_age: params.max_age,
    };
    Some(demand.login())
}

/// Adds the page's additional parameters, which `loginParams` must allow. Names cannot repeat: the page's object has
/// each name once, and `loginParams` cannot contain parameters of the flow or of `authorizationParams`.
fn add_more(config: &Config, more: &[(String, String)], chosen: &mut Form) -> Result<()> {
    for (name, value) in more {
        if !config.may_add(name) {
            let message = [
                msg!("login option params has "),
                &quote(name),
                msg!(", which is not among loginParams in the worker's file"),
            ];
            return Err(Error::of(Code::MessageInvalid, &message));
        }
        chosen.push(name, checked(name, value)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, value};
    use super::super::{ENTROPY, build};
    use super::*;
    use crate::codec::form;

    #[test]
    fn only_stricter_logins_count_as_demanded() {
        let text = |value: &str| Some(value.to_owned());
        let is_demanded = |scope, acr_values, max_age, prompt| {
            let params = LoginParams {
                acr_values,
                max_age,
                prompt,
                extended: ExtendedParams {
                    scope,
                    ..ExtendedParams::default()
                },
                ..LoginParams::default()
            };
            demand(&params).is_some()
        };
        assert!(!is_demanded(None, None, None, None));
        assert!(!is_demanded(None, None, None, text("consent")));
        assert!(is_demanded(None, None, None, text("login")));
        assert!(is_demanded(None, text("mfa"), None, None));
        assert!(is_demanded(None, None, Some(60), None));
        assert!(is_demanded(text("openid more"), None, None, None));
    }

    #[test]
    fn configured_scopes_are_not_additional() {
        let config = config("");
        assert_eq!(requested_scope(&config, None).unwrap(), None);
        assert_eq!(requested_scope(&config, Some("openid")).unwrap(), None);
    }

    #[test]
    fn login_options_add_only_configured_parameters() {
        let config = config(r#","loginParams":["kc_idp_hint","display"]"#);
        let begun = |more: &[(&str, &str)]| {
            let params = LoginParams {
                extended: ExtendedParams {
                    more: more
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect(),
                    ..ExtendedParams::default()
                },
                ..LoginParams::default()
            };
            build(&config, &config.redirect_uri, &params, &[7; ENTROPY], 0)
        };
        let begun_with_both = begun(&[("kc_idp_hint", "a&client_id=b"), ("display", "popup")]);
        let params = form::parse(&begun_with_both.unwrap().parameters).unwrap();
        assert_eq!(value(&params, "kc_idp_hint"), Some("a&client_id=b"));
        assert_eq!(value(&params, "display"), Some("popup"));
        assert_eq!(value(&params, "client_id"), Some("spa"));
        for name in [
            "client_id",
            "redirect_uri",
            "state",
            "nonce",
            "scope",
            "code_challenge",
            "response_type",
            "request_uri",
            "audience",
            "KC_IDP_HINT",
            "",
        ] {
            let error = begun(&[("display", "page"), (name, "x")]).expect_err(name);
            assert_eq!(error.code(), Code::MessageInvalid, "{name}");
        }
        assert!(begun(&[("display", "a\nb")]).is_err());
    }
}
