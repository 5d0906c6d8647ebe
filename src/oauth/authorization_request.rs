//! The authorization request and its answer: code flow, PKCE, `state`, `nonce`, `iss`.
//!
//! Each login is a transaction of its own ([`Pending`]): its `state`, `nonce` and `code_verifier` are
//! made for it, it is good for ten minutes and for one answer (RFC 9700 2.1 and 4.7, RFC 6749 4.1,
//! RFC 7636, RFC 9207, OIDC Core 3.1.2).

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Millis, UnixMillis};
#[cfg(feature = "extended")]
use crate::base::error::quote;
use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::form::{self, Form, with_query};
use crate::codec::json::{self, Value, Writer};
use crate::codec::url::Url;
use crate::config::Config;
#[cfg(feature = "extended")]
use crate::oauth::dpop::PublicKey;
use crate::oauth::metadata::Metadata;
use crate::oauth::pkce::{self, Pkce};
use crate::oauth::token_endpoint::is_error_code;

/// How long a login may take from its request to its answer.
pub const LIFETIME: Millis = Millis::from_secs(600);

/// Octets of entropy that a login uses up.
pub const ENTROPY: usize = 32 + 24 + 24;

/// By how many milliseconds the wall clock may be set back while a login is under way.
const CLOCK_STEP: u64 = 60_000;

/// Longest parameter that a page may add to a request, in bytes.
const MAX_PARAM: usize = 2048;

/// The end of every `state` of a popup's login. It tells the callback page, which may have no vault
/// of its own to ask, that it is a popup.
const POPUP_MARK: &str = ".p";

/// What a page may choose about a login.
#[derive(Clone, Debug, Default)]
pub struct LoginParams {
    /// The provider is shown in a popup, not in the page's place.
    pub popup: bool,
    /// Where the user was: a path on the redirect URI's origin.
    pub return_to: Option<String>,
    /// `prompt` (OIDC Core 3.1.2.1).
    pub prompt: Option<String>,
    /// `login_hint`
    pub login_hint: Option<String>,
    /// `ui_locales`
    pub ui_locales: Option<String>,
    /// `acr_values`
    pub acr_values: Option<String>,
    /// `max_age`, in seconds.
    pub max_age: Option<u64>,
    /// Parameters that the configuration lets pages add.
    #[cfg(feature = "extended")]
    pub more: Vec<(String, String)>,
    /// Scopes that the configuration lets pages add, separated by spaces.
    #[cfg(feature = "extended")]
    pub scope: Option<String>,
    /// The user signs in on another device.
    #[cfg(feature = "extended")]
    pub device: bool,
}

/// A login that waits for its answer.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The issuer it was sent to (RFC 9700 4.4: answers of another are refused).
    pub issuer: String,
    /// To be found in the ID token.
    pub nonce: Secret,
    /// To be sent with the code.
    pub code_verifier: Secret,
    /// A path with query and fragment on the redirect URI's origin.
    pub return_to: String,
    /// Whether a popup was used.
    pub popup: bool,
    /// The `max_age` that was asked for, in seconds.
    pub max_age: Option<u64>,
    /// True if the request said `prompt=none`: the user could not see a page of the provider.
    pub is_silent: bool,
    /// When it began.
    pub created_at: UnixMillis,
    /// What its tokens are to be bound to (RFC 9449), if anything.
    #[cfg(feature = "extended")]
    pub key: Option<PublicKey>,
    /// The scopes that were asked for, if they were more than the configuration's.
    #[cfg(feature = "extended")]
    pub scope: Option<String>,
    /// What of it an API may have demanded, as `Demand::login` of [`crate::oauth::www_authenticate`] writes it.
    #[cfg(feature = "extended")]
    pub demand: Option<String>,
    /// It is on another device: nothing was sent that an ID token could repeat. Never so of one that was stored.
    #[cfg(feature = "extended")]
    pub is_device: bool,
}

/// A login about to begin.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// The parameters of the authorization request, encoded.
    pub parameters: String,
    /// The `state` among them.
    pub state: String,
    /// Under which name the pending login is stored: a hash of its `state`.
    pub key: String,
    /// What to remember.
    pub pending: Box<Pending>,
}

/// Makes an authorization request.
///
/// # Errors
/// [`Code::MessageInvalid`] if a parameter of the page's cannot be sent.
pub fn build(
    config: &Config,
    redirect_uri: &Url,
    params: &LoginParams,
    entropy: &[u8; ENTROPY],
    now: UnixMillis,
) -> Result<Box<AuthorizationRequest>> {
    // All that the page may have got wrong comes first: from then on nothing can fail.
    let return_to = return_to(redirect_uri, params.return_to.as_deref())?;
    let prompt = prompt(config, params.prompt.as_deref())?;
    let optional = [
        ("prompt", prompt.as_deref()),
        ("login_hint", params.login_hint.as_deref()),
        ("ui_locales", params.ui_locales.as_deref()),
        ("acr_values", params.acr_values.as_deref()),
    ];
    let mut chosen = Form::new();
    for (name, value) in optional {
        if let Some(value) = value {
            chosen.push(name, checked(name, value)?);
        }
    }
    if let Some(max_age) = params.max_age {
        let mut seconds = String::new();
        json::write_number(&mut seconds, max_age);
        chosen.push("max_age", &seconds);
    }
    #[cfg(feature = "extended")]
    add_more(config, &params.more, &mut chosen)?;
    #[cfg(feature = "extended")]
    let more_scope = requested_scope(config, params.scope.as_deref())?;
    #[cfg(feature = "extended")]
    let scope = more_scope.as_deref().unwrap_or(&config.scope);
    #[cfg(not(feature = "extended"))]
    let scope = &config.scope;
    let (verifier_entropy, rest) = entropy.split_at(32);
    let (state_entropy, nonce_entropy) = rest.split_at(24);
    let mut verifier = [0; 32];
    verifier.copy_from_slice(verifier_entropy);
    let pkce = Pkce::from_entropy(verifier);
    let mut state = base64url::encode(state_entropy);
    if params.popup {
        state.push_str(POPUP_MARK);
    }
    let nonce = base64url::encode(nonce_entropy);
    let mut form = Form::new();
    form.push("response_type", "code")
        .push("client_id", &config.client_id)
        .push("redirect_uri", redirect_uri.href())
        .push("scope", scope)
        .push("state", &state)
        .push("nonce", &nonce)
        .push("code_challenge", &pkce.challenge)
        .push("code_challenge_method", pkce::CHALLENGE_METHOD);
    #[cfg(feature = "extended")]
    if config.flows.answers_in_fragment {
        form.push("response_mode", "fragment");
    }
    form.push_encoded(&chosen.finish());
    // RFC 8707 2.1: all that a token may be asked for later.
    #[cfg(feature = "extended")]
    for resource in config.rules.resources() {
        form.push("resource", resource);
    }
    form.push_encoded(&config.authorization_params);
    Ok(Box::new(AuthorizationRequest {
        parameters: form.finish(),
        key: storage_key(&state),
        state,
        pending: Box::new(Pending {
            issuer: config.issuer.clone(),
            nonce: Secret::new(nonce),
            code_verifier: pkce.verifier,
            return_to,
            popup: params.popup,
            max_age: params.max_age,
            is_silent: params.prompt.as_deref() == Some("none"),
            created_at: now,
            #[cfg(feature = "extended")]
            key: None,
            #[cfg(feature = "extended")]
            scope: more_scope,
            #[cfg(feature = "extended")]
            demand: demand(params),
            #[cfg(feature = "extended")]
            is_device: false,
        }),
    }))
}

impl AuthorizationRequest {
    /// The address for the user's browser, with every parameter in it. Script of the page sees it and can change it.
    #[must_use]
    pub fn url(&self, metadata: &Metadata) -> String {
        with_query(&metadata.authorization_endpoint, &self.parameters)
    }

    /// Binds the authorization code to this key (RFC 9449 10).
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn bound_to(mut self: Box<Self>, key: PublicKey) -> Box<Self> {
        let mut form = Form::new();
        form.push("dpop_jkt", key.thumbprint());
        self.parameters = [&self.parameters, "&", &form.finish()].concat();
        self.pending.key = Some(key);
        self
    }
}

/// The scopes to ask for, if a page wants more than the configuration names.
#[cfg(feature = "extended")]
pub(crate) fn requested_scope(config: &Config, more: Option<&str>) -> Result<Option<String>> {
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

/// What of these options an API may have demanded.
#[cfg(feature = "extended")]
fn demand(params: &LoginParams) -> Option<String> {
    use crate::oauth::www_authenticate::Demand;
    let demand = match params {
        LoginParams {
            scope: Some(scope), ..
        } => Demand::Scope(scope.clone()),
        LoginParams {
            acr_values,
            max_age,
            prompt,
            ..
        } => {
            if acr_values.is_none() && max_age.is_none() && prompt.as_deref() != Some("login") {
                return None;
            }
            Demand::StepUp {
                acr_values: acr_values.clone(),
                max_age: *max_age,
            }
        }
    };
    Some(demand.login())
}

/// Adds what pages may add. No name comes twice: a page's object has each once, and none of them is the flow's own
/// or fixed by the configuration.
#[cfg(feature = "extended")]
fn add_more(config: &Config, more: &[(String, String)], chosen: &mut Form) -> Result<()> {
    for (name, value) in more {
        if !config.flows.login_params.contains(name) {
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

fn checked<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    let is_sound = value.len() <= MAX_PARAM && !value.chars().any(char::is_control);
    if is_sound {
        Ok(value)
    } else {
        let message = [
            msg!("login option "),
            name,
            msg!(" is too long or has control characters"),
        ];
        Err(Error::of(Code::MessageInvalid, &message))
    }
}

/// What a `prompt` may say besides `none`, which stands alone (OIDC Core 3.1.2.1, Initiating User Registration 1.0).
/// Anything else would get the user an error page of the provider's, or be ignored there.
const PROMPTS: &str = "login consent select_account create";

/// Returns the `prompt` to send. It asks for consent only if the configuration says `consent: 'always'`; otherwise the
/// provider decides whether `offline_access` needs consent (OIDC Core 11). Where only administrators may consent,
/// `prompt=consent` would keep every user out.
fn prompt(config: &Config, chosen: Option<&str>) -> Result<Option<String>> {
    let Some(chosen) = chosen else {
        return Ok(config.asks_consent.then(|| "consent".to_owned()));
    };
    let mut prompt = chosen.to_owned();
    if chosen != "none" {
        if !strings::split(chosen, b' ').all(|one| strings::contains_word(PROMPTS, one)) {
            return Err(Error::new(
                Code::MessageInvalid,
                msg!(
                    "login option prompt must be none, or one or more of login, consent, select_account and create, separated by single spaces"
                ),
            ));
        }
        if config.asks_consent && !strings::contains_word(chosen, "consent") {
            prompt.push_str(" consent");
        }
    }
    Ok(Some(prompt))
}

/// A path on the redirect URI's origin, so that `returnTo` is no open redirector (RFC 9700 4.11).
pub(crate) fn return_to(redirect_uri: &Url, chosen: Option<&str>) -> Result<String> {
    let Some(chosen) = chosen else {
        return Ok("/".to_owned());
    };
    match Url::parse_within(checked("returnTo", chosen)?, redirect_uri) {
        // A path that begins with two slashes is the address of another host to whoever resolves it.
        Some(url) => {
            let mut path = url.relative();
            while path.starts_with("//") {
                path = path.get(1..).unwrap_or_default();
            }
            Ok(path.to_owned())
        }
        None => Err(Error::new(
            Code::MessageInvalid,
            msg!("login option returnTo is not a path within the app"),
        )),
    }
}

/// The name under which a pending login is stored. It is a hash, so that what lies in storage does
/// not help to answer in the provider's place.
fn storage_key(state: &str) -> String {
    base64url::encode(&pkce::sha256(state.as_bytes()))
}

impl Pending {
    /// A login on another device (RFC 8628), which the user has finished there.
    #[cfg(feature = "extended")]
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
            key,
            scope: requested_scope(config, params.scope.as_deref()).unwrap_or_default(),
            demand: None,
            is_device: true,
        }
    }

    /// The text to store, sealed by the host.
    #[must_use]
    pub fn to_json(&self) -> Secret {
        let mut writer = Writer::object();
        #[cfg(feature = "extended")]
        {
            writer
                .optional_text("scope", self.scope.as_deref())
                .optional_text("demand", self.demand.as_deref());
            if let Some(key) = &self.key {
                writer.json("dpop", key.jwk());
            }
        }
        let text = writer
            .text("issuer", &self.issuer)
            .text("nonce", self.nonce.expose())
            .text("code_verifier", self.code_verifier.expose())
            .text("return_to", &self.return_to)
            .flag("popup", self.popup)
            .flag("silent", self.is_silent)
            .optional_number("max_age", self.max_age)
            .number("created_at", self.created_at)
            .finish();
        Secret::new(text)
    }

    /// Reads what [`Pending::to_json`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Box<Self>> {
        let value = Value::parse(text).ok()?;
        let object = value.as_object()?;
        // All that may be missing is looked up before anything is made of it.
        let issuer = object.str("issuer")?;
        let nonce = object.str("nonce")?;
        let code_verifier = object.str("code_verifier")?;
        let return_to = object.str("return_to")?;
        let popup = object.get("popup")?.as_bool()?;
        let max_age = object.get("max_age")?.as_u64();
        let is_silent = object.get("silent").and_then(Value::as_bool) == Some(true);
        let created_at = object.get("created_at")?.as_u64()?;
        Some(Box::new(Self {
            issuer: issuer.to_owned(),
            nonce: nonce.into(),
            code_verifier: code_verifier.into(),
            return_to: return_to.to_owned(),
            popup,
            max_age,
            is_silent,
            created_at,
            #[cfg(feature = "extended")]
            key: object
                .get("dpop")
                .and_then(|jwk| PublicKey::from_jwk(jwk.as_object()?)),
            #[cfg(feature = "extended")]
            scope: object.str("scope").map(str::to_owned),
            #[cfg(feature = "extended")]
            demand: object.str("demand").map(str::to_owned),
            #[cfg(feature = "extended")]
            is_device: false,
        }))
    }

    /// Refuses a login whose time is over.
    ///
    /// # Errors
    /// [`Code::LoginExpired`]
    pub fn check_age(&self, now: UnixMillis) -> Result<()> {
        let age = Millis(now.saturating_sub(self.created_at));
        // One from the future was not made by this clock, and would never grow old.
        if age <= LIFETIME && self.created_at <= now.saturating_add(CLOCK_STEP) {
            return Ok(());
        }
        let why = if self.created_at > now {
            msg!("the login began on a clock that is more than a minute ahead of this one")
        } else {
            msg!("the login began more than 10 minutes ago")
        };
        Err(Error::new(Code::LoginExpired, why))
    }
}

/// What came back to the redirect URI.
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// Under which name the login it belongs to was stored.
    pub key: String,
    iss: Option<String>,
    code: core::result::Result<Secret, String>,
}

impl AuthorizationResponse {
    /// Reads the answer in the query of `url`, the address of the page that the user came back to, or in its
    /// fragment if that is where the provider was asked to put it. The other part counts for nothing.
    ///
    /// # Errors
    /// [`Code::RedirectUriMismatch`] if that is not the redirect URI; [`Code::CallbackInvalid`] for
    /// missing, repeated or contradicting parameters.
    pub fn parse(config: &Config, redirect_uri: &Url, url: &str) -> Result<Self> {
        let invalid = |why: &'static str| Error::new(Code::CallbackInvalid, why);
        let url = Url::parse(url).ok_or_else(|| invalid(msg!("the address cannot be parsed")))?;
        let redirect_uri = redirect_uri.without_query();
        if url.without_query() != redirect_uri {
            let message = [
                msg!("the answer arrived at "),
                &url.without_query(),
                msg!(", but redirectUri is "),
                &redirect_uri,
            ];
            return Err(Error::of(Code::RedirectUriMismatch, &message));
        }
        #[cfg(feature = "extended")]
        let answer = if config.flows.answers_in_fragment {
            url.fragment()
        } else {
            url.query()
        };
        #[cfg(not(feature = "extended"))]
        let answer = url.query();
        let Some(params) = form::parse(answer) else {
            return Err(invalid(msg!("the query is not UTF-8")));
        };
        let names = ["state", "code", "error", "iss"];
        let Some([state, code, error, iss]) = one_each(&params, names) else {
            return Err(invalid(msg!("a parameter of the answer is repeated")));
        };
        let Some(state) = state else {
            // Some providers leave `state` out of errors, though RFC 6749 4.1.2.1 requires it.
            return Err(match error.filter(|error| is_error_code(error)) {
                Some(error) if iss.is_none_or(|iss| iss == config.issuer) => refusal(error, false),
                _ => invalid(msg!("the provider's response has no state")),
            });
        };
        let code = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(Secret::from(code)),
            (None, Some(error)) if is_error_code(error) => Err(error.to_owned()),
            _ => {
                return Err(invalid(msg!("the answer needs either a code or an error")));
            }
        };
        Ok(Self {
            key: storage_key(state),
            iss: iss.map(str::to_owned),
            code,
        })
    }

    /// Holds the answer against the login it belongs to, and gives the code.
    ///
    /// `iss` is compared before anything else is believed, the error included (RFC 9207 2.4).
    ///
    /// # Errors
    /// [`Code::IssuerMismatch`]; [`Code::LoginDenied`], [`Code::InteractionRequired`] or
    /// [`Code::LoginFailed`] as the provider says.
    pub fn code(self, pending: &Pending, metadata: &Metadata) -> Result<Secret> {
        match &self.iss {
            Some(iss) if *iss != pending.issuer => Err(Error::new(
                Code::IssuerMismatch,
                msg!("the response's iss is not the configured issuer"),
            )),
            None if metadata.authorization_response_iss_parameter_supported => Err(Error::new(
                Code::CallbackInvalid,
                msg!(
                    "the provider's response has no iss, although its metadata announces one (RFC 9207 2.4)"
                ),
            )),
            _ => self
                .code
                .map_err(|error| refusal(&error, pending.is_silent)),
        }
    }
}

/// The value of each parameter in `names`; `None` if one of them is repeated.
fn one_each<'a, const N: usize>(
    params: &'a [(String, String)],
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut values = [None; N];
    for (name, value) in params {
        if let Some(i) = names.iter().position(|known| known == name)
            && values[i].replace(value.as_str()).is_some()
        {
            return None;
        }
    }
    Some(values)
}

/// The error for an error response of the authorization endpoint (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6). If the provider
/// was allowed to show its pages, `consent_required` means that the user has refused.
pub(crate) fn refusal(error: &str, is_silent: bool) -> Error {
    let code = match error {
        "access_denied" => Code::LoginDenied,
        "consent_required" if !is_silent => Code::LoginDenied,
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => Code::InteractionRequired,
        "temporarily_unavailable" | "server_error" => Code::ProviderUnavailable,
        _ => Code::LoginFailed,
    };
    Error::of(code, &[msg!("the provider answered "), error])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://app.test/worker.js";

    fn config(more: &str) -> Config {
        let json = [
            r#"{"issuer":"https://id.test","clientId":"spa","redirectUri":"/callback",
                "scope":"openid offline_access","apis":[],
                "metadata":{"issuer":"https://id.test","authorization_endpoint":"https://id.test/auth?tenant=1",
                "token_endpoint":"https://id.test/token","jwks_uri":"https://id.test/jwks",
                "authorization_response_iss_parameter_supported":true}"#,
            more,
            "}",
        ];
        Config::parse(&json.concat(), BASE).unwrap()
    }

    fn start(params: &LoginParams) -> Result<Box<AuthorizationRequest>> {
        let config = config(r#","authorizationParams":{"audience":"https://api.test"}"#);
        build(
            &config,
            &config.redirect_uri,
            params,
            &[7; ENTROPY],
            1_000_000,
        )
    }

    fn sent(params: &LoginParams) -> Vec<(String, String)> {
        let url = start(params)
            .unwrap()
            .url(config("").metadata.as_ref().unwrap());
        form::parse(url.split_once('?').unwrap().1).unwrap()
    }

    fn value<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let mut values = params.iter().filter(|(n, _)| n == name);
        let value = values.next().map(|(_, v)| v.as_str());
        assert!(values.next().is_none(), "{name} is repeated");
        value
    }

    fn parse(query: &str) -> Result<AuthorizationResponse> {
        let config = config("");
        let url = ["https://app.test/callback?", query].concat();
        AuthorizationResponse::parse(&config, &config.redirect_uri, &url)
    }

    fn code_of(query: &str) -> Result<Secret> {
        let begun = start(&LoginParams::default()).unwrap();
        let config = config("");
        parse(query)?.code(&begun.pending, config.metadata.as_ref().unwrap())
    }

    #[test]
    fn only_stricter_logins_count_as_demanded() {
        let text = |value: &str| Some(value.to_owned());
        let is_demanded = |scope, acr_values, max_age, prompt| {
            let params = LoginParams {
                scope,
                acr_values,
                max_age,
                prompt,
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
    fn iss_may_be_missing_unless_announced() {
        let begun = start(&LoginParams::default()).unwrap();
        for is_announced in [true, false] {
            let mut metadata = config("").metadata.unwrap();
            metadata.authorization_response_iss_parameter_supported = is_announced;
            let code = parse("code=c&state=s")
                .unwrap()
                .code(&begun.pending, &metadata);
            assert_eq!(code.is_err(), is_announced);
        }
    }

    #[test]
    fn configured_scopes_are_no_extra_ones() {
        let config = config("");
        assert_eq!(requested_scope(&config, None).unwrap(), None);
        assert_eq!(requested_scope(&config, Some("openid")).unwrap(), None);
    }

    #[test]
    fn a_request_has_what_the_specifications_ask_for() {
        let params = sent(&LoginParams::default());
        assert_eq!(value(&params, "response_mode"), None);
        assert_eq!(value(&params, "prompt"), None);
        for (name, expected) in [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "spa"),
            ("redirect_uri", "https://app.test/callback"),
            ("scope", "openid offline_access"),
            ("code_challenge_method", "S256"),
            ("audience", "https://api.test"),
        ] {
            assert_eq!(value(&params, name), Some(expected), "{name}");
        }
        for name in ["state", "nonce"] {
            assert_eq!(value(&params, name).unwrap().len(), 32, "{name}");
        }
        assert_eq!(value(&params, "code_challenge").unwrap().len(), 43);
    }

    #[test]
    fn state_nonce_and_verifier_come_from_different_entropy() {
        let config = config("");
        let mut entropy = [0; ENTROPY];
        for (i, octet) in entropy.iter_mut().enumerate() {
            *octet = u8::try_from(i).unwrap();
        }
        let begun = build(
            &config,
            &config.redirect_uri,
            &LoginParams::default(),
            &entropy,
            0,
        )
        .unwrap();
        let nonce = begun.pending.nonce.expose();
        let url = begun.url(config.metadata.as_ref().unwrap());
        assert!(!url.contains(begun.pending.code_verifier.expose()));
        assert!(url.contains(nonce));
        assert!(!url.contains(&["state=", nonce].concat()));
    }

    fn prompt_sent(option: &str, chosen: Option<&str>) -> Option<String> {
        let params = LoginParams {
            prompt: chosen.map(str::to_owned),
            ..LoginParams::default()
        };
        let config = config(option);
        let begun = build(&config, &config.redirect_uri, &params, &[7; ENTROPY], 0).unwrap();
        let sent = form::parse(&begun.parameters).unwrap();
        value(&sent, "prompt").map(str::to_owned)
    }

    #[test]
    fn provider_decides_about_consent_by_default() {
        for option in ["", r#","consent":"provider""#] {
            assert_eq!(prompt_sent(option, None), None);
            for chosen in ["none", "login", "consent", "select_account"] {
                assert_eq!(prompt_sent(option, Some(chosen)).as_deref(), Some(chosen));
            }
        }
    }

    #[test]
    fn consent_always_applies_except_to_silent_logins() {
        let option = r#","consent":"always""#;
        assert_eq!(prompt_sent(option, None).as_deref(), Some("consent"));
        for (chosen, sent) in [
            ("none", "none"),
            ("login", "login consent"),
            ("consent", "consent"),
            ("select_account", "select_account consent"),
            ("login consent", "login consent"),
        ] {
            assert_eq!(prompt_sent(option, Some(chosen)).as_deref(), Some(sent));
        }
    }

    #[test]
    fn a_prompt_that_no_provider_knows_is_refused() {
        for prompt in [
            "",
            " ",
            "None",
            "none login",
            "login none",
            "login  consent",
            "login ",
            "login,consent",
            "login&client_id=evil",
            "password",
        ] {
            let params = LoginParams {
                prompt: Some(prompt.to_owned()),
                ..LoginParams::default()
            };
            let error = start(&params).expect_err(prompt);
            assert_eq!(error.code(), Code::MessageInvalid, "{prompt:?}");
        }
        for prompt in [
            "create",
            "login select_account",
            "select_account create consent",
        ] {
            let params = LoginParams {
                prompt: Some(prompt.to_owned()),
                ..LoginParams::default()
            };
            assert!(start(&params).is_ok(), "{prompt}");
        }
    }

    #[cfg(feature = "extended")]
    #[test]
    fn login_options_add_only_configured_parameters() {
        let config = config(r#","loginParams":["kc_idp_hint","display"]"#);
        let begun = |more: &[(&str, &str)]| {
            let params = LoginParams {
                more: more
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
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

    #[cfg(feature = "extended")]
    #[test]
    fn the_answer_is_read_where_the_provider_was_asked_to_put_it_and_nowhere_else() {
        let config = config(r#","responseMode":"fragment""#);
        let metadata = config.metadata.as_ref().unwrap();
        let params = LoginParams::default();
        let begun = build(&config, &config.redirect_uri, &params, &[7; ENTROPY], 0).unwrap();
        let sent = form::parse(&begun.parameters).unwrap();
        assert_eq!(value(&sent, "response_mode"), Some("fragment"));
        let parse = |rest: &str| {
            AuthorizationResponse::parse(
                &config,
                &config.redirect_uri,
                &["https://app.test/callback", rest].concat(),
            )
        };
        let good = parse("?lang=de#code=abc&state=s&iss=https%3A%2F%2Fid.test").unwrap();
        let code = good.code(&begun.pending, metadata).unwrap();
        assert_eq!(code.expose(), "abc");
        // What else is in the query, be it an answer that somebody put there, counts for nothing.
        let both = parse("?code=evil&state=t#code=abc&state=s&iss=https://id.test").unwrap();
        assert_eq!(both.code(&begun.pending, metadata).unwrap().expose(), "abc");
        for wrong in [
            "?code=abc&state=s",
            "#",
            "#code=abc",
            "#code=abc&state=s&state=t",
            "#code=%ff&state=s",
            "#id_token=a&access_token=b&state=s",
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert_eq!(error.code(), Code::CallbackInvalid, "{wrong}");
        }
    }

    #[test]
    fn an_answer_in_the_fragment_counts_for_nothing_unless_it_was_asked_for() {
        let error = parse("#code=abc&state=s").unwrap_err();
        assert_eq!(error.code(), Code::CallbackInvalid);
    }

    #[test]
    fn the_pages_parameters_are_passed_on_and_bounded() {
        let params = sent(&LoginParams {
            login_hint: Some("alice@example.com".to_owned()),
            ui_locales: Some("de fr".to_owned()),
            acr_values: Some("phr".to_owned()),
            max_age: Some(60),
            popup: true,
            ..LoginParams::default()
        });
        assert_eq!(value(&params, "login_hint"), Some("alice@example.com"));
        assert_eq!(value(&params, "ui_locales"), Some("de fr"));
        assert_eq!(value(&params, "acr_values"), Some("phr"));
        assert_eq!(value(&params, "max_age"), Some("60"));
        assert!(value(&params, "state").unwrap().ends_with(".p"));
        for hostile in ["a\nb".to_owned(), "x".repeat(3000)] {
            let params = LoginParams {
                login_hint: Some(hostile),
                ..LoginParams::default()
            };
            assert_eq!(start(&params).unwrap_err().code(), Code::MessageInvalid);
        }
    }

    #[test]
    fn return_to_is_a_path_within_the_app() {
        let returned = |path: &str| {
            let params = LoginParams {
                return_to: Some(path.to_owned()),
                ..LoginParams::default()
            };
            start(&params).map(|begun| begun.pending.return_to)
        };
        for (path, expected) in [
            ("/orders?page=2#top", "/orders?page=2#top"),
            ("https://app.test/a", "/a"),
            ("relative", "/relative"),
        ] {
            assert_eq!(returned(path).unwrap(), expected);
        }
        for hostile in [
            "//evil.test/",
            "/\\evil.test/",
            "\\\\evil.test",
            "https://evil.test/",
            "https://app.test@evil.test/",
            "https://u@app.test/",
            "javascript:alert(1)",
            "http://app.test/",
        ] {
            assert!(returned(hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else_is() {
        let pending = start(&LoginParams {
            max_age: Some(5),
            ..LoginParams::default()
        })
        .unwrap()
        .pending;
        let text = pending.to_json();
        let again = Pending::from_json(text.expose()).unwrap();
        assert!(again.nonce.matches(pending.nonce.expose()));
        assert!(again.code_verifier.matches(pending.code_verifier.expose()));
        assert_eq!(again.max_age, Some(5));
        assert_eq!(again.created_at, pending.created_at);
        for damaged in ["", "{}", "[]", &text.expose()[1..]] {
            assert!(Pending::from_json(damaged).is_none());
        }
    }

    #[test]
    fn a_login_is_good_for_ten_minutes() {
        let pending = start(&LoginParams::default()).unwrap().pending;
        assert!(pending.check_age(1_000_000 + 600_000).is_ok());
        let error = pending.check_age(1_000_000 + 600_001).unwrap_err();
        assert_eq!(error.code(), Code::LoginExpired);
        assert!(error.message().contains("more than 10 minutes ago"));
    }

    #[test]
    fn login_from_a_clock_ahead_is_explained() {
        let pending = start(&LoginParams::default()).unwrap().pending;
        assert!(pending.check_age(1_000_000 - 60_000).is_ok());
        let error = pending.check_age(1_000_000 - 60_001).unwrap_err();
        assert_eq!(error.code(), Code::LoginExpired);
        assert!(error.message().contains("ahead of this one"));
    }

    #[test]
    fn the_answer_is_found_by_its_state() {
        let begun = start(&LoginParams::default()).unwrap();
        let params = form::parse(&begun.parameters).unwrap();
        let state = value(&params, "state").unwrap();
        let answer = parse(&["code=abc&iss=https://id.test&state=", state].concat()).unwrap();
        assert_eq!(answer.key, begun.key);
        assert!(!begun.key.contains(state));
    }

    #[test]
    fn malformed_answers_are_refused() {
        for query in [
            "",
            "code=a",
            "state=s",
            "error=a%22b",
            "code=&state=s",
            "code=a&state=s&state=t",
            "code=a&code=b&state=s",
            "code=a&error=access_denied&state=s",
            "error=a%22b&state=s",
            "error=&state=s",
            "code=a&state=s&iss=a&iss=b",
            "code=%ff&state=s",
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.code(), Code::CallbackInvalid, "{query}");
        }
    }

    #[test]
    fn an_answer_at_another_page_names_both() {
        let config = config("");
        let url = "https://app.test/cb?code=a&state=s";
        let error = AuthorizationResponse::parse(&config, &config.redirect_uri, url).unwrap_err();
        assert_eq!(error.code(), Code::RedirectUriMismatch);
        assert!(error.message().contains("https://app.test/callback"));
    }

    #[test]
    fn the_issuer_is_compared_before_the_rest_is_believed() {
        for query in [
            "code=a&state=s&iss=https://evil.test",
            "code=a&state=s&iss=https://id.test/",
            "code=a&state=s&iss=",
            "code=a&state=s&iss=https://ID.test",
            "error=access_denied&state=s&iss=https://evil.test",
        ] {
            let error = code_of(query).unwrap_err();
            assert_eq!(error.code(), Code::IssuerMismatch, "{query}");
        }
        let code = code_of("code=abc&state=s&iss=https%3A%2F%2Fid.test").unwrap();
        assert_eq!(code.expose(), "abc");
    }

    #[test]
    fn missing_iss_is_reported_as_missing() {
        for query in ["code=a&state=s", "error=access_denied&state=s"] {
            let error = code_of(query).unwrap_err();
            assert_eq!(error.code(), Code::CallbackInvalid, "{query}");
            assert!(error.message().contains("has no iss"), "{error}");
        }
    }

    #[test]
    fn error_without_state_carries_the_providers_code() {
        for query in [
            "error=access_denied",
            "error=access_denied&iss=https://id.test",
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.code(), Code::LoginDenied, "{query}");
            assert!(error.message().contains("access_denied"));
        }
        for query in ["error=access_denied&iss=https://evil.test", "code=a", ""] {
            assert_eq!(
                parse(query).unwrap_err().code(),
                Code::CallbackInvalid,
                "{query}"
            );
        }
    }

    #[test]
    fn consent_required_denies_interactive_logins() {
        for (prompt, code) in [
            (None, Code::LoginDenied),
            (Some("login"), Code::LoginDenied),
            (Some("none"), Code::InteractionRequired),
        ] {
            let params = LoginParams {
                prompt: prompt.map(str::to_owned),
                ..LoginParams::default()
            };
            let pending = start(&params).unwrap().pending;
            let stored = Pending::from_json(pending.to_json().expose()).unwrap();
            let response = parse("error=consent_required&state=s&iss=https://id.test").unwrap();
            let config = config("");
            let error = response.code(&stored, config.metadata.as_ref().unwrap());
            assert_eq!(error.unwrap_err().code(), code, "{prompt:?}");
        }
    }

    #[test]
    fn error_answers_have_codes_of_their_own() {
        for (error, code) in [
            ("access_denied", Code::LoginDenied),
            ("login_required", Code::InteractionRequired),
            ("consent_required", Code::LoginDenied),
            ("temporarily_unavailable", Code::ProviderUnavailable),
            ("invalid_scope", Code::LoginFailed),
        ] {
            let query = ["state=s&iss=https://id.test&error=", error].concat();
            let refused = code_of(&query).unwrap_err();
            assert_eq!(refused.code(), code);
            assert!(refused.message().contains(error));
        }
    }
}
