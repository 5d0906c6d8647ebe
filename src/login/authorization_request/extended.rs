//! The parts of a login that need a capability: additional parameters and scopes, the key that tokens are bound to,
//! step-up demands of APIs, and logins on another device.

use super::{AuthorizationRequest, LoginParams, Pending, checked};
use crate::Secret;
use crate::base::capability;
use crate::base::clock::UnixMillis;
use crate::base::error::{Code, Error, Result, quote};
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::{self, Writer};
use crate::codec::url::Url;
use crate::config::Config;
use crate::oauth::dpop::PublicKey;
use crate::oauth::www_authenticate::Demand;
use crate::prelude::*;

impl LoginParams {
    /// Returns the redirect URI of the request, if the app chose its port (RFC 8252 7.3).
    ///
    /// # Errors
    /// [`Code::Unsupported`] if the configuration does not allow this mode; [`Code::MessageInvalid`] if the port is not
    /// valid, or if the configured redirect URI has no loopback address.
    pub fn redirect_uri(&self, config: &Config) -> Result<Option<capability::CustomLogin<Url>>> {
        let configured = config.custom_login();
        let is_allowed = match self.custom {
            Some(_) => configured.is_some(),
            None => self.port.is_none() && !configured.is_some_and(|is_required| **is_required),
        };
        if !is_allowed {
            let why = msg!(
                "login({ mode: 'custom' }) needs customLogin: true in the worker's file; only this mode works if redirectUri there is of another origin, and only this mode takes a port"
            );
            return Err(Error::new(Code::Unsupported, why));
        }
        let Some(port) = &self.port else {
            return Ok(None);
        };
        let Some(url) = with_port(&config.redirect_uri, **port) else {
            let why = msg!(
                "login option port must be an integer from 1 to 65535, and needs a redirectUri of http://127.0.0.1 or http://[::1] in the worker's file"
            );
            return Err(Error::new(Code::MessageInvalid, why));
        };
        Ok(Some(port.witness().with(url)))
    }

    /// Returns the scopes to request, separated by spaces, if a page wants more than the configured scopes.
    ///
    /// # Errors
    /// [`Code::MessageInvalid`] if `loginScopes` does not allow a scope, or if the page's option is too long or has
    /// control characters.
    pub fn requested_scope(
        &self,
        config: &Config,
    ) -> Result<Option<capability::ResourceTokens<String>>> {
        requested_scope(config, self.scope.as_ref())
    }
}

impl Pending {
    /// Returns the key to which the tokens are bound, if they are bound to a key (RFC 9449).
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }

    /// Returns the requested scopes, if the page requested more than the configured scopes.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref().map(String::as_str)
    }

    /// Returns true for a login on another device (RFC 8628).
    #[must_use]
    pub const fn is_device(&self) -> bool {
        self.device.is_some()
    }

    /// Returns the redirect URI of the request.
    #[must_use]
    pub fn redirect_uri<'a>(&'a self, config: &'a Config) -> &'a Url {
        self.redirect_uri.as_deref().unwrap_or(&config.redirect_uri)
    }

    /// Writes the members that need a capability.
    pub(super) fn write_optional(&self, writer: &mut Writer) {
        writer.optional_text("scope", self.scope());
        if let Some(demand) = &self.demand {
            writer.text("demand", demand);
        }
        if let Some(key) = &self.key {
            writer.json("dpop", key.jwk());
        }
    }

    /// Removes the scopes of a stored login if a page may not request them. This check is needed because a script of
    /// this origin can write to the store.
    pub fn check_scope(&mut self, config: &Config) {
        let requested = requested_scope(config, self.scope.as_ref());
        self.scope = requested.unwrap_or_default();
    }

    /// Creates the state of a login that the user has finished on another device (RFC 8628).
    pub(crate) fn of_device(
        has: capability::DeviceLogin,
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
            is_fresh: false,
            created_at: now,
            key,
            scope: params.requested_scope(config).unwrap_or_default(),
            demand: None,
            device: Some(has),
            redirect_uri: None,
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
        self.pending.key = Some(key);
        self
    }
}

/// Replaces the port of a loopback address, or returns `None` for other URLs and if the port is not valid.
fn with_port(url: &Url, port: u64) -> Option<Url> {
    let start = match (url.scheme(), strings::split_once(url.host(), b':').0) {
        ("http", "127.0.0.1") => "http://127.0.0.1:",
        // The only IPv6 address that a configuration may have with this scheme.
        ("http", "[") => "http://[::1]:",
        _ => return None,
    };
    let mut text = start.to_owned();
    json::write_number(&mut text, port);
    text.push_str(url.relative());
    // The parser refuses a port above 65535.
    Url::parse(&text).filter(|_| port > 0)
}

fn requested_scope(
    config: &Config,
    more: Option<&capability::ResourceTokens<String>>,
) -> Result<Option<capability::ResourceTokens<String>>> {
    let Some(more) = more else {
        return Ok(None);
    };
    let mut scope = config.scope.clone();
    for one in strings::split(checked("scope", more)?, b' ') {
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
        if !scope.is_empty() {
            scope.push(' ');
        }
        scope.push_str(one);
    }
    Ok((scope.len() > config.scope.len()).then(|| more.witness().with(scope)))
}

/// Returns the login options that an API may have demanded, as [`Demand::login`] writes them.
pub(super) fn demand(params: &LoginParams) -> Option<capability::StepUp<String>> {
    let has = capability::StepUp::WITNESS?;
    if let Some(scope) = &params.scope {
        return Some(has.with(Demand::Scope((**scope).clone()).login()));
    }
    let asks_to_log_in = params.prompt.as_deref() == Some("login");
    if params.acr_values.is_none() && params.max_age.is_none() && !asks_to_log_in {
        return None;
    }
    let demand = Demand::StepUp {
        acr_values: params.acr_values.clone(),
        max_age: params.max_age,
    };
    Some(has.with(demand.login()))
}

/// Adds the page's additional parameters, which `loginParams` must allow. Names cannot repeat: the page's object has
/// each name once, and `loginParams` cannot contain parameters of the flow or of `authorizationParams`.
pub(super) fn add_more(
    config: &Config,
    more: &[(String, String)],
    chosen: &mut Form,
) -> Result<()> {
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

    fn more_scope(scope: Option<&str>) -> Option<capability::ResourceTokens<String>> {
        Some(capability::ResourceTokens::WITNESS?.with(scope?.to_owned()))
    }

    #[test]
    fn only_stricter_logins_count_as_demanded() {
        let text = |value: &str| Some(value.to_owned());
        needs!(StepUp);
        needs!(ResourceTokens);
        let is_demanded = |scope: Option<&str>, acr_values, max_age, prompt| {
            let params = LoginParams {
                acr_values,
                max_age,
                prompt,
                scope: more_scope(scope),
                ..LoginParams::default()
            };
            demand(&params).is_some()
        };
        assert!(!is_demanded(None, None, None, None));
        assert!(!is_demanded(None, None, None, text("consent")));
        assert!(is_demanded(None, None, None, text("login")));
        assert!(is_demanded(None, text("mfa"), None, None));
        assert!(is_demanded(None, None, Some(60), None));
        assert!(is_demanded(Some("openid more"), None, None, None));
    }

    #[test]
    fn configured_scopes_are_not_additional() {
        let config = config("");
        assert_eq!(requested_scope(&config, None).unwrap(), None);
        let more = more_scope(Some("openid"));
        assert_eq!(requested_scope(&config, more.as_ref()).unwrap(), None);
    }

    #[test]
    fn login_options_add_only_configured_parameters() {
        needs!(LoginOptions);
        let config = config(r#","loginParams":["kc_idp_hint","display"]"#);
        let begun = |more: &[(&str, &str)]| {
            let params = LoginParams {
                more: capability::IfLoginOptions::new(|| {
                    more.iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect()
                }),
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
