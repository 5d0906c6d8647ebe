//! The options for the authorization request.

use super::reader::Options;
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::Value;
use crate::codec::url::Url;
use crate::oauth::resource_indicators::is_resource;
use crate::oauth::scope::is_scope_token;
use crate::prelude::*;

/// The largest number of names in the option `loginParams`.
const MAX_PARAMS: usize = 16;

/// Authorization request parameters that `authorizationParams` and `loginParams` must not contain. The flow itself
/// decides about these parameters (RFC 6749, RFC 7636, RFC 9101, RFC 9449 10, OIDC Core 3.1.2.1), or `login()` takes
/// them as options.
const PROTOCOL_PARAMS: &str = "acr_values client_id client_secret code_challenge code_challenge_method dpop_jkt \
    id_token_hint login_hint max_age nonce prompt redirect_uri request request_uri \
    response_mode response_type scope state ui_locales";

/// The redirection endpoint of the client (RFC 6749 3.1.2).
#[derive(Clone, Copy, Debug)]
pub struct Redirection<'a> {
    /// The redirect URI.
    pub uri: &'a Url,
    /// True if the authorization response is in the fragment of the redirect URI (OAuth 2.0 Multiple Response Type
    /// Encoding Practices 2.1). In that case, a response in the query is ignored.
    pub uses_fragment: bool,
}

/// Returns true if `text` has only VSCHAR characters, and at least one. Client identifiers and secrets consist of them
/// (RFC 6749 A.1, A.2).
pub fn is_vschar(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Returns the client identifier in the option `name`.
pub fn client_id(options: &Options<'_>, name: &str) -> String {
    const WHY: &str = msg!("it must be the identifier under which the provider knows this app");
    let client_id = options.text(name, WHY);
    if !is_vschar(client_id) {
        options.refuse(name, WHY);
    }
    client_id.to_owned()
}

pub(super) fn scope(options: &Options<'_>, has_openid: bool) -> String {
    const WHY: &str = msg!("it must be a string of scopes separated by single spaces");
    // Some servers without OpenID Connect have no scopes.
    if !has_openid
        && matches!(
            options.object.get("scope").map(Value::as_str),
            None | Some(Some(""))
        )
    {
        return String::new();
    }
    let scope = options.text("scope", WHY);
    if !strings::split(scope, b' ').all(is_scope_token) {
        options.refuse("scope", WHY);
    }
    if strings::contains_word(scope, "openid") != has_openid {
        let why = if has_openid && strings::contains_byte(scope.as_bytes(), b',') {
            msg!("it must be scopes separated by spaces, not by commas, with `openid` among them")
        } else if has_openid {
            msg!(
                "it must contain `openid`, so that an ID token identifies the user; or, for a server without OpenID Connect, `identity` must say who the user is: 'none', or { from: 'token_response', sub: 'user_id' } with the name of a member of the token response"
            )
        } else {
            msg!(
                "it must not contain `openid` if `identity` says who the user is: remove one of the two"
            )
        };
        options.refuse("scope", why);
    }
    scope.to_owned()
}

/// Returns the option `resource`, of a configuration or of a rule.
pub fn resource(options: &Options<'_>) -> Option<String> {
    const WHY: &str = msg!("it must be an absolute URI without a fragment (RFC 8707 2)");
    options.valid_text("resource", is_resource, WHY)
}

/// Returns true if each login that is not silent asks for consent.
pub(super) fn asks_consent(options: &Options<'_>) -> bool {
    options.one_of("consent", r#""provider" "always""#) == r#""always""#
}

/// Returns true for a parameter that pages and the configuration cannot set.
pub(super) fn is_protocol_param(name: &str) -> bool {
    strings::contains_word(PROTOCOL_PARAMS, name)
}

/// Returns true if neither the configuration nor a page may add this parameter.
fn is_set_by_flow(options: &Options<'_>, name: &str) -> bool {
    is_protocol_param(name) || (name == "resource" && options.object.get(name).is_some())
}

/// Returns the additional parameters of each authorization request, encoded.
pub(super) fn authorization_params(options: &Options<'_>) -> String {
    const WHY: &str = msg!("it must be an object of strings such as { audience: '…' }");
    let params = options.nested("authorizationParams", "authorizationParams.", WHY);
    let mut form = Form::new();
    for (name, _) in params.object.iter() {
        if is_set_by_flow(options, name) {
            let why = if name == "prompt" {
                msg!("write consent: 'always', or pass it to login({ prompt })")
            } else {
                msg!("the flow sets this parameter itself, or login() has an option for it")
            };
            params.refuse_unseen(name, why);
        }
        form.push(name, params.text(name, WHY));
    }
    form.finish()
}

/// Returns the names of parameters that pages may add to an authorization request.
pub(super) fn login_params(options: &Options<'_>) -> Vec<String> {
    const OPTION: &str = "loginParams";
    const WHY: &str = msg!("it must be an array of at most 16 parameter names");
    let names = options.strings(OPTION, "", WHY);
    if names.len() > MAX_PARAMS || names.iter().any(String::is_empty) {
        options.refuse(OPTION, WHY);
    }
    let fixed = options.object.get("authorizationParams");
    let fixed = fixed.and_then(Value::as_object);
    for name in &names {
        if is_set_by_flow(options, name) {
            let why = msg!("the flow sets one of these itself, or login() has an option for it");
            options.refuse(OPTION, why);
        }
        if fixed.is_some_and(|fixed| fixed.get(name).is_some()) {
            let why = msg!("one of these is in authorizationParams, where pages cannot change it");
            options.refuse(OPTION, why);
        }
    }
    names
}

/// Returns the scopes that pages may request besides the option `scope`.
pub(super) fn login_scopes(options: &Options<'_>) -> Vec<String> {
    const OPTION: &str = "loginScopes";
    const WHY: &str = msg!("it must be an array of scopes (RFC 6749 3.3)");
    let scopes = options.strings(OPTION, "", WHY);
    if !scopes.iter().all(|scope| is_scope_token(scope)) {
        options.refuse(OPTION, WHY);
    }
    scopes
}

/// Returns true if a login fails when the provider grants scopes that the login did not request.
pub(super) fn refuses_unrequested_scopes(options: &Options<'_>) -> bool {
    options.one_of("unrequestedScopes", r#""warn" "refuse""#) == r#""refuse""#
}
