//! Scopes and parameters that a page adds to the configured request, and the options that satisfy the demand of an API.

use super::{LoginParams, Pending, checked};
use crate::base::error::{Code, Error, Result, quote};
use crate::base::strings;
use crate::codec::form::Form;
use crate::config::Flow;
use crate::oauth::www_authenticate::Demand;
use crate::prelude::*;

impl LoginParams {
    /// Returns the scopes to request, separated by spaces, if a page wants more than the configured scopes.
    ///
    /// # Errors
    /// [`Code::MessageInvalid`] if `loginScopes` does not allow a scope, or if the page's option is too long or has
    /// control characters.
    pub fn requested_scope(&self, flow: &Flow) -> Result<Option<String>> {
        let more = self.scope.as_deref();
        let earlier = self.earlier_scope.as_deref().unwrap_or_default();
        let may_ask = |one: &&str| !one.is_empty() && flow.may_ask(one);
        let mut all = more.unwrap_or_default().to_owned();
        for one in strings::split(earlier, b' ').filter(may_ask) {
            all.push(' ');
            all.push_str(one);
        }
        requested_scope(flow, Some(&*all).filter(|all| !all.is_empty()))
    }
}

impl Pending {
    /// Removes the scopes of a stored login if a page may not request them. This check is needed because a script of
    /// this origin can write to the store.
    pub fn check_scope(&mut self, flow: &Flow) {
        let requested = requested_scope(flow, self.scope.as_deref());
        self.scope = requested.unwrap_or_default();
    }
}

fn requested_scope(flow: &Flow, more: Option<&str>) -> Result<Option<String>> {
    let Some(more) = more else {
        return Ok(None);
    };
    let mut scope = flow.scope.clone();
    for one in strings::split(checked("scope", more)?, b' ') {
        if one.is_empty() || strings::contains_word(&scope, one) {
            continue;
        }
        if !flow.may_ask(one) {
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
    Ok((scope.len() > flow.scope.len()).then_some(scope))
}

/// Returns the login options that an API may have demanded, as [`Demand::login`] writes them.
pub(super) fn demand(params: &LoginParams) -> Option<String> {
    if let Some(scope) = &params.scope {
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
pub(super) fn add_more(flow: &Flow, more: &[(String, String)], chosen: &mut Form) -> Result<()> {
    for (name, value) in more {
        if !flow.may_add(name) {
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
    use super::super::ENTROPY;
    use super::super::tests::{begin, flow, value};
    use super::*;
    use crate::codec::form;

    #[test]
    fn only_stricter_logins_count_as_demanded() {
        let text = |value: &str| Some(value.to_owned());
        let is_demanded = |scope: Option<&str>, acr_values, max_age, prompt| {
            let params = LoginParams {
                acr_values,
                max_age,
                prompt,
                scope: scope.map(ToOwned::to_owned),
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
        let flow = flow("");
        assert_eq!(requested_scope(&flow, None).unwrap(), None);
        assert_eq!(requested_scope(&flow, Some("openid")).unwrap(), None);
    }

    // claim: script-21
    #[test]
    fn login_options_add_only_configured_parameters() {
        let flow = flow(r#","loginParams":["kc_idp_hint","display"]"#);
        let begun = |more: &[(&str, &str)]| {
            let params = LoginParams {
                more: more
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..LoginParams::default()
            };
            begin(&flow, &params, [7; ENTROPY])
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
