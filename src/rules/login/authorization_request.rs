//! The authorization request: code flow, PKCE, `state` and `nonce`.
//!
//! Each login is a transaction of its own ([`Pending`]). A transaction has its own `state`, `nonce` and
//! `code_verifier`, lasts at most ten minutes, and accepts one [response](crate::login::authorization_response) (RFC
//! 9700 2.1 and 4.7, RFC 6749 4.1.1, RFC 7636, OIDC Core 3.1.2.1).

mod additions;

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Millis, UnixMillis};
use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::form::{Form, with_query};
use crate::codec::json::{self, Value, Writer};
use crate::codec::url::Url;
use crate::config::{Flow, Redirection};
use crate::oauth::dpop::PublicKey;
use crate::oauth::error_description;
use crate::oauth::identity::Identity;
use crate::oauth::jwt::seconds;
use crate::oauth::metadata::Metadata;
use crate::oauth::pkce::{self, Pkce};

/// Longest time between an authorization request and its response.
pub const LIFETIME: Millis = Millis::from_secs(600);

/// Number of random bytes that a login needs: for `code_verifier`, `state` and `nonce`.
pub const ENTROPY: usize = 32 + 24 + 24;

/// The version of a stored login.
const VERSION: u64 = 1;

/// Milliseconds by which the wall clock may be set back during a login.
const CLOCK_STEP: u64 = 60_000;

/// Longest parameter that a page may add to a request, in bytes.
const MAX_PARAM: usize = 2048;

/// Longest page to return to that is kept with its query and fragment, in bytes. It is only stored, and not sent.
const MAX_RETURN_TO: usize = 16 * 1024;

/// The character in `state` before the app's hash, and before the account: see [`Flow::app`]. The page takes only a
/// response with this hash for a response to a login. Everything else in its URL is the app's, such as the response to a
/// login of another library.
const APP_MARK: &str = ".";

/// Suffix of `state` in popup logins. The suffix tells the page at the redirect URI that it is in a popup, because that
/// page may have no vault to ask.
const POPUP_MARK: &str = ".p";

/// Suffix of `state` in logins that no other login may replace.
pub(super) const FINAL_MARK: &str = ".f";

/// Login options that a page may choose.
#[derive(Clone, Debug, Default)]
pub struct LoginParams {
    /// True if the provider's page opens in a popup instead of replacing the app.
    pub popup: bool,
    /// Page to return to after the login: a path on the redirect URI's origin.
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
    /// Additional parameters, as name and value. The configuration must allow each name (`loginParams`).
    pub more: Vec<(String, String)>,
    /// Additional scopes, separated by spaces. The configuration must allow each scope (`loginScopes`).
    pub scope: Option<String>,
    /// The scopes that the session's login has requested. They are requested again. Otherwise, a login that satisfies the
    /// demand of one API would take the scopes away that another API has demanded. The granted scopes would not do: a
    /// provider may grant a scope by another name, which nobody can request.
    pub earlier_scope: Option<String>,
    /// True if the user signs in on another device (RFC 8628).
    pub is_device: bool,
    /// True if the app opens the authorization URL itself.
    pub is_custom: bool,
    /// The port of a redirect URI with a loopback address (RFC 8252 7.3), for a custom login.
    pub port: Option<u64>,
    /// True if this login repeats one that has expired at the provider: see `Pending::to_repeat`.
    pub is_repetition: bool,
    /// True if no other login may replace this one if its cookie cannot be read. Its `state` records this.
    pub is_final: bool,
}

/// A login that waits for its authorization response.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The issuer that the request was sent to. Responses of other issuers are refused (RFC 9700 4.4).
    pub issuer: String,
    /// `nonce`, which the ID token must repeat.
    pub nonce: Secret,
    /// `code_verifier`, which is sent with the authorization code (RFC 7636 4.5).
    pub code_verifier: Secret,
    /// Page to return to: a path with query and fragment, on the redirect URI's origin.
    pub return_to: String,
    /// True if the provider's page opened in a popup.
    pub popup: bool,
    /// The requested `max_age`, in seconds.
    pub max_age: Option<u64>,
    /// True if the request contained `prompt=none`, so that the provider could not show a page.
    pub is_silent: bool,
    /// True if the request contained `prompt=login`, by which the provider asks the user to sign in again.
    pub is_fresh: bool,
    /// Start of the login, in milliseconds since the Unix epoch.
    pub created_at: UnixMillis,
    /// The key with which the tokens are used, if they are sender-constrained (RFC 9449).
    pub dpop_key: Option<PublicKey>,
    /// The requested scopes, if the page requested more than the configured scopes.
    pub scope: Option<String>,
    /// The options that satisfy an API's demand, as [`Demand::login`](crate::oauth::www_authenticate::Demand::login)
    /// writes them.
    pub demand: Option<String>,
    /// True for a login on another device (RFC 8628), whose ID token contains no `nonce`. Such a login is never stored.
    pub is_device: bool,
    /// The redirect URI of the request, if the app chose its port. In a stored login, this is always `None`.
    pub redirect_uri: Option<Url>,
    /// True if this login repeats one that has expired at the provider. It is not repeated again.
    pub is_repetition: bool,
}

/// An authorization request, and the state of its login.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// The parameters, form-encoded.
    pub parameters: String,
    /// The `state` parameter.
    pub state: String,
    /// Name under which the pending login is stored: a hash of `state`.
    pub key: String,
    /// The state of the login, to store until the response arrives.
    pub pending: Box<Pending>,
}

/// Builds an authorization request for these resources (RFC 6749 4.1.1, OIDC Core 3.1.2.1).
///
/// # Errors
/// [`Code::MessageInvalid`] if an option of the page is malformed or not allowed.
pub fn build(
    flow: &Flow,
    redirection: &Redirection<'_>,
    resources: &[&str],
    params: &LoginParams,
    entropy: &[u8; ENTROPY],
    now: UnixMillis,
) -> Result<Box<AuthorizationRequest>> {
    // All options of the page are validated first, so that nothing after these checks can fail.
    let chosen_page = return_to(redirection.uri, params.return_to.as_deref())?;
    let return_to = match is_redirect_uri(&chosen_page, redirection.uri) {
        true => "/".to_owned(),
        false => chosen_page,
    };
    if !flow.has_openid() {
        params.check_without_openid()?;
    }
    let mut chosen = chosen(flow, params)?;
    let more_scope = params.requested_scope(flow)?;
    let scope = more_scope.as_deref().unwrap_or(&flow.scope);
    let OneTime { pkce, state, nonce } = OneTime::new(flow, params, entropy);
    let mut form = Form::new();
    form.push("response_type", "code")
        .push("client_id", &flow.client_id)
        .push("redirect_uri", redirection.uri.href());
    if flow.has_openid() {
        form.push("nonce", &nonce);
    }
    if !scope.is_empty() {
        form.push("scope", scope);
    }
    form.push("state", &state)
        .push("code_challenge", &pkce.challenge)
        .push("code_challenge_method", pkce::CHALLENGE_METHOD);
    if redirection.uses_fragment {
        form.push("response_mode", "fragment");
    }
    form.push_encoded(&chosen.finish());
    // The request contains every resource that a later token request may name (RFC 8707 2.1).
    for resource in resources {
        form.push("resource", resource);
    }
    form.push_encoded(&flow.authorization_params);
    Ok(Box::new(AuthorizationRequest {
        parameters: form.finish(),
        key: storage_key(&state),
        state,
        pending: Box::new(Pending {
            issuer: flow.issuer.clone(),
            nonce: Secret::new(nonce),
            code_verifier: pkce.verifier,
            return_to,
            popup: params.popup,
            max_age: params.max_age,
            is_silent: params.prompt.as_deref() == Some("none"),
            is_fresh: strings::contains_word(params.prompt.as_deref().unwrap_or_default(), "login"),
            created_at: now,
            dpop_key: None,
            scope: more_scope,
            demand: additions::demand(params),
            is_device: false,
            redirect_uri: None,
            is_repetition: params.is_repetition,
        }),
    }))
}

/// Returns the parameters that the page has chosen.
fn chosen(flow: &Flow, params: &LoginParams) -> Result<Form> {
    let prompt = prompt(flow, params.prompt.as_deref())?;
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
        chosen.push("max_age", &json::digits(max_age));
    }
    additions::add_more(flow, &params.more, &mut chosen)?;
    Ok(chosen)
}

/// The values that each login has of its own.
struct OneTime {
    pkce: Pkce,
    state: String,
    nonce: String,
}

impl OneTime {
    fn new(flow: &Flow, params: &LoginParams, entropy: &[u8; ENTROPY]) -> Self {
        let (verifier_entropy, rest) = entropy.split_at(32);
        let (state_entropy, nonce_entropy) = rest.split_at(24);
        let mut verifier = [0; 32];
        verifier.copy_from_slice(verifier_entropy);
        let mut state = base64url::encode(state_entropy);
        state.push_str(APP_MARK);
        json::write_number(&mut state, flow.app().into());
        if flow.account > 0 {
            // The page at the redirect URI may not know the account otherwise.
            state.push_str(APP_MARK);
            json::write_number(&mut state, flow.account);
        }
        if params.popup {
            state.push_str(POPUP_MARK);
        }
        if params.is_final {
            state.push_str(FINAL_MARK);
        }
        Self {
            pkce: Pkce::from_entropy(verifier),
            state,
            nonce: base64url::encode(nonce_entropy),
        }
    }
}

impl AuthorizationRequest {
    /// Binds the authorization code to this key (RFC 9449 10).
    #[must_use]
    pub fn with_dpop_key(mut self: Box<Self>, key: PublicKey) -> Box<Self> {
        let mut form = Form::new();
        form.push("dpop_jkt", key.thumbprint());
        self.parameters = [&self.parameters, "&", &form.finish()].concat();
        self.pending.dpop_key = Some(key);
        self
    }

    /// Returns the authorization URL with all parameters. Scripts of the page can read and change this URL.
    #[must_use]
    pub fn url(&self, metadata: &Metadata) -> String {
        with_query(&metadata.authorization_endpoint, &self.parameters)
    }
}

impl LoginParams {
    /// Refuses the options that a server without OpenID Connect does not know.
    ///
    /// # Errors
    /// [`Code::MessageInvalid`]
    fn check_without_openid(&self) -> Result<()> {
        let needs_openid = self.prompt.as_deref() == Some("none")
            || self.acr_values.is_some()
            || self.max_age.is_some();
        if needs_openid {
            let why = msg!(
                "prompt: 'none' (also of resume), acrValues and maxAge need OpenID Connect, so `openid` in scope: without it, they would have no effect"
            );
            return Err(Error::new(Code::MessageInvalid, why));
        }
        Ok(())
    }
}

fn checked<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if value.len() > MAX_PARAM {
        let message = [
            msg!("login option "),
            name,
            msg!(" is longer than 2048 bytes"),
        ];
        return Err(Error::of(Code::MessageInvalid, &message));
    }
    refuse_controls(name, value)?;
    Ok(value)
}

fn refuse_controls(name: &str, value: &str) -> Result<()> {
    if !value.chars().any(char::is_control) {
        return Ok(());
    }
    let message = [msg!("login option "), name, msg!(" has control characters")];
    Err(Error::of(Code::MessageInvalid, &message))
}

/// Values of `prompt` that may be combined (OIDC Core 3.1.2.1, Initiating User Registration 1.0); `none` must stand
/// alone. Providers show an error page for other values, or ignore them.
const PROMPTS: &[&str] = &["login", "consent", "select_account", "create"];

/// Returns the `prompt` to send, or `None` to send no prompt. The configuration `consent: 'always'` adds `consent` to
/// the page's choice, unless the choice is `none`. By default nothing is added, and the provider decides whether
/// `offline_access` needs consent (OIDC Core 11): at a provider where only administrators may consent,
/// `prompt=consent` would keep every user out.
///
/// # Errors
/// [`Code::MessageInvalid`] if the page's choice is neither `none` nor a combination of `PROMPTS`.
fn prompt(flow: &Flow, chosen: Option<&str>) -> Result<Option<String>> {
    let Some(chosen) = chosen else {
        return Ok(flow.asks_consent.then(|| "consent".to_owned()));
    };
    let mut prompt = chosen.to_owned();
    if chosen != "none" {
        if !strings::split(chosen, b' ').all(|one| PROMPTS.contains(&one)) {
            return Err(Error::new(
                Code::MessageInvalid,
                msg!(
                    "login option prompt must be none, or one or more of login, consent, select_account and create, separated by single spaces"
                ),
            ));
        }
        if flow.asks_consent && !strings::contains_word(chosen, "consent") {
            prompt.push_str(" consent");
        }
    }
    Ok(Some(prompt))
}

/// Returns `returnTo` as a path on the redirect URI's origin, or `/` if the page chose no `returnTo`. The limitation to
/// this origin prevents open redirects (RFC 9700 4.11). A relative `returnTo` is relative to the root, because pages do
/// not know the redirect URI's folder.
///
/// A login must not fail because the page's address is long: a path that is longer than `MAX_RETURN_TO` loses its
/// query and fragment.
///
/// # Errors
/// [`Code::MessageInvalid`] if `returnTo` is not a URL, is on another origin, or has user information or control
/// characters.
pub fn return_to(redirect_uri: &Url, chosen: Option<&str>) -> Result<String> {
    let chosen = chosen.unwrap_or("/");
    refuse_controls("returnTo", chosen)?;
    let root = Url::parse_with_base("/", redirect_uri);
    match Url::parse_within(chosen, root.as_ref().unwrap_or(redirect_uri)) {
        // Keep only one slash at the beginning, because URL parsers resolve a path that begins with two slashes to
        // another host.
        Some(url) => {
            let mut path = url.relative();
            while path.starts_with("//") {
                path = strings::part(path, 1, path.len());
            }
            if path.len() > MAX_RETURN_TO {
                path = shortened(path);
            }
            Ok(path.to_owned())
        }
        None => Err(Error::new(
            Code::MessageInvalid,
            msg!("login option returnTo must be a path within the app"),
        )),
    }
}

/// Returns true if a page to return to is the redirect URI, where an app shows nothing without a response. Its query may have
/// what a provider has added. An app may also be at its redirect URI, which then is a folder: its path ends with a slash.
fn is_redirect_uri(page: &str, redirect_uri: &Url) -> bool {
    let (page, _) = strings::split_once(page, b'#');
    let (path, _) = strings::split_once(page, b'?');
    let own = redirect_uri.path();
    let is_same = match redirect_uri.query() {
        "" => path.strip_suffix('/').unwrap_or(path) == own,
        _ => page == redirect_uri.relative_without_fragment(),
    };
    is_same && !own.ends_with('/')
}

/// Returns a shorter page to return to: the path without query and fragment, or `/` if there is no shorter path, or only
/// a path that is too long to be kept.
pub fn shortened(path: &str) -> &str {
    let (bare, _) = strings::split_once(path, b'#');
    let (bare, _) = strings::split_once(bare, b'?');
    if bare.len() < path.len() && bare.len() <= MAX_RETURN_TO {
        bare
    } else {
        "/"
    }
}

/// Returns the name under which a pending login is stored. The name is a hash, because a script that reads `state` from
/// storage could forge a response.
pub(super) fn storage_key(state: &str) -> String {
    base64url::encode(&pkce::sha256(state.as_bytes()))
}

impl Pending {
    /// Returns the scopes that the login has requested.
    #[must_use]
    pub fn requested_scope<'a>(&'a self, flow: &'a Flow) -> &'a str {
        self.scope.as_deref().unwrap_or(&flow.scope)
    }

    /// Creates the state of a login that the user has finished on another device (RFC 8628).
    pub fn of_device(
        flow: &Flow,
        params: &LoginParams,
        now: UnixMillis,
        key: Option<PublicKey>,
    ) -> Self {
        Self {
            issuer: flow.issuer.clone(),
            nonce: Secret::default(),
            code_verifier: Secret::default(),
            return_to: "/".to_owned(),
            popup: true,
            max_age: None,
            is_silent: false,
            is_fresh: false,
            created_at: now,
            dpop_key: key,
            scope: params.requested_scope(flow).unwrap_or_default(),
            demand: None,
            is_device: true,
            redirect_uri: None,
            is_repetition: false,
        }
    }

    /// Returns the redirect URI of the request.
    #[must_use]
    pub fn redirect_uri<'a>(&'a self, configured: &'a Url) -> &'a Url {
        self.redirect_uri.as_ref().unwrap_or(configured)
    }

    /// Returns the options of a login that repeats this one, after it has expired at the provider. Options that only help
    /// the user to sign in are not kept: the provider asks for a repetition because the user has signed in meanwhile.
    /// Returns `None` for a login without pages of the provider, for a popup, whose opener waits for the first `state`, and
    /// for a repetition: otherwise the browser might go back and forth without end.
    pub(crate) fn to_repeat(&self) -> Option<Box<LoginParams>> {
        if self.is_repetition || self.is_silent || self.popup {
            return None;
        }
        let demand = self.demand.as_deref().and_then(|it| Value::parse(it).ok());
        let demand = demand.as_ref().and_then(Value::as_object);
        let acr_values = demand.and_then(|demand| demand.str("acrValues"));
        Some(Box::new(LoginParams {
            return_to: Some(self.return_to.clone()),
            prompt: self.is_fresh.then(|| "login".to_owned()),
            acr_values: acr_values.map(ToOwned::to_owned),
            max_age: self.max_age,
            scope: self.scope.clone(),
            is_repetition: true,
            ..LoginParams::default()
        }))
    }

    /// Serializes the login as JSON with the version of this format. The host encrypts and stores it.
    #[must_use]
    pub fn to_json(&self) -> Secret {
        let mut writer = Writer::object();
        writer
            .optional_text("scope", self.scope.as_deref())
            .optional_text("demand", self.demand.as_deref());
        if let Some(key) = &self.dpop_key {
            writer.json("dpop", key.jwk());
        }
        if self.is_fresh {
            writer.flag("fresh", true);
        }
        if self.is_repetition {
            writer.flag("repetition", true);
        }
        let text = writer
            .number("version", VERSION)
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

    /// Parses the output of [`Pending::to_json`]. Returns `None` for anything else.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Box<Self>> {
        let value = Value::parse(text).ok()?;
        let object = value.as_object()?;
        if object.get("version")?.as_u64()? != VERSION {
            return None;
        }
        let text = |name| object.str(name).map(ToOwned::to_owned);
        let key = object.get("dpop").and_then(Value::as_object);
        Some(Box::new(Self {
            issuer: text("issuer")?,
            nonce: object.str("nonce")?.into(),
            code_verifier: object.str("code_verifier")?.into(),
            return_to: text("return_to")?,
            popup: object.get("popup")?.as_bool()?,
            max_age: object.get("max_age")?.as_u64(),
            is_silent: object.get("silent")?.as_bool()?,
            is_fresh: object.get("fresh").is_some(),
            created_at: object.get("created_at")?.as_u64()?,
            dpop_key: key.and_then(PublicKey::from_jwk),
            scope: text("scope"),
            demand: text("demand"),
            is_device: false,
            redirect_uri: None,
            is_repetition: object.get("repetition").is_some(),
        }))
    }

    /// Returns the provider's description of an error as it is logged, unless it contains a secret of this login or one of
    /// the `others`.
    pub fn loggable(&self, description: &Secret, others: &[&str]) -> Option<String> {
        let mut secrets = others.to_vec();
        secrets.extend([self.code_verifier.expose(), self.nonce.expose()]);
        error_description::loggable_without(description.expose(), &secrets)
    }

    /// Returns a warning if this login requested that `user` signs in again, but the time of the authentication is still
    /// that of `before`, the user of the previous session.
    pub fn sign_in_warning(&self, before: &Identity, user: &Identity) -> Option<Error> {
        let auth_time = user.auth_time()?;
        let age = seconds(user.claims(), "iat")?.saturating_sub(auth_time);
        let is_requested = self.is_fresh || self.max_age.is_some_and(|max_age| age > max_age);
        let is_same = before.subject() == user.subject() && before.auth_time() == Some(auth_time);
        let message = msg!(
            "the login requested that the user signs in again, but the ID token has the auth_time of the previous session"
        );
        (is_requested && is_same).then(|| Error::new(Code::SignInNotRepeated, message))
    }

    /// Refuses a login that is too old or from the future ([`Pending::check_age`]), or that began at another provider.
    ///
    /// # Errors
    /// [`Code::LoginExpired`] or [`Code::IssuerMismatch`]
    pub fn check(&self, flow: &Flow, now: UnixMillis, tolerance: Millis) -> Result<()> {
        self.check_age(now, tolerance)?;
        if self.issuer == flow.issuer {
            return Ok(());
        }
        let why = msg!("the login began with another issuer than the configured one");
        Err(Error::new(Code::IssuerMismatch, why))
    }

    /// Refuses a login that is older than [`LIFETIME`], or that seems to start more than a minute in the future. The clock
    /// on which the login began may differ by `tolerance`.
    ///
    /// # Errors
    /// [`Code::LoginExpired`]
    pub fn check_age(&self, now: UnixMillis, tolerance: Millis) -> Result<()> {
        let age = Millis(now.saturating_sub(self.created_at));
        // A login that seems to start in the future was stored with another clock, or before the clock was set back. It
        // is refused, because it would expire too late.
        let latest = now.saturating_add(CLOCK_STEP).saturating_add(tolerance.0);
        if age <= LIFETIME + tolerance && self.created_at <= latest {
            return Ok(());
        }
        let mut why = msg!("the login began more than 10 minutes ago").to_owned();
        if self.created_at > now {
            msg!("the login began on a clock that is ").clone_into(&mut why);
            json::write_number(&mut why, Millis(self.created_at - now).as_secs());
            why.push_str(msg!(" s ahead of this one"));
        }
        Err(Error::new(Code::LoginExpired, &why))
    }
}

#[cfg(test)]
pub(in crate::login) mod tests {
    use super::*;
    use crate::codec::form;
    use crate::config::flow::tests::flow as read;

    pub(in crate::login) fn flow(more: &str) -> Flow {
        let shared = r#"{"issuer":"https://id.test","scope":"openid offline_access""#;
        read(&[shared, more, "}"].concat())
    }

    pub(in crate::login) fn redirect_uri() -> Url {
        Url::parse("https://app.test/callback").unwrap()
    }

    pub(in crate::login) fn metadata() -> Box<Metadata> {
        let metadata = r#"{"issuer":"https://id.test","authorization_endpoint":"https://id.test/auth?tenant=1",
            "token_endpoint":"https://id.test/token","jwks_uri":"https://id.test/jwks",
            "authorization_response_iss_parameter_supported":true}"#;
        Metadata::parse(metadata, "https://id.test").unwrap()
    }

    /// Builds the request of a client whose responses are in the query.
    pub(in crate::login) fn begin(
        flow: &Flow,
        params: &LoginParams,
        entropy: [u8; ENTROPY],
    ) -> Result<Box<AuthorizationRequest>> {
        let redirection = Redirection {
            uri: &redirect_uri(),
            uses_fragment: false,
        };
        build(flow, &redirection, &[], params, &entropy, 1_000_000)
    }

    pub(in crate::login) fn start(params: &LoginParams) -> Result<Box<AuthorizationRequest>> {
        let flow = flow(r#","authorizationParams":{"audience":"https://api.test"}"#);
        begin(&flow, params, [7; ENTROPY])
    }

    fn sent(params: &LoginParams) -> Vec<(String, String)> {
        let url = start(params).unwrap().url(&metadata());
        form::parse(url.split_once('?').unwrap().1).unwrap()
    }

    pub(in crate::login) fn value<'a>(
        params: &'a [(String, String)],
        name: &str,
    ) -> Option<&'a str> {
        let mut values = params.iter().filter(|(n, _)| n == name);
        let value = values.next().map(|(_, v)| v.as_str());
        assert!(values.next().is_none(), "{name} is repeated");
        value
    }

    #[test]
    fn request_has_the_specified_parameters() {
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
        assert_eq!(value(&params, "nonce").unwrap().len(), 32);
        let (random, app) = value(&params, "state").unwrap().rsplit_once('.').unwrap();
        assert_eq!(random.len(), 32);
        assert_eq!(app, flow("").app().to_string());
        assert_eq!(value(&params, "code_challenge").unwrap().len(), 43);
    }

    #[test]
    fn state_nonce_and_verifier_use_separate_entropy() {
        let mut entropy = [0; ENTROPY];
        for (i, byte) in entropy.iter_mut().enumerate() {
            *byte = u8::try_from(i).unwrap();
        }
        let begun = begin(&flow(""), &LoginParams::default(), entropy).unwrap();
        let nonce = begun.pending.nonce.expose();
        let url = begun.url(&metadata());
        assert!(!url.contains(begun.pending.code_verifier.expose()));
        assert!(url.contains(nonce));
        assert!(!url.contains(&["state=", nonce].concat()));
    }

    fn prompt_sent(option: &str, chosen: Option<&str>) -> Option<String> {
        let params = LoginParams {
            prompt: chosen.map(str::to_owned),
            ..LoginParams::default()
        };
        let begun = begin(&flow(option), &params, [7; ENTROPY]).unwrap();
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

    // claim: script-21
    #[test]
    fn rejects_unknown_prompts() {
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

    #[test]
    fn page_parameters_are_passed_on_and_limited() {
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
            ("", "/"),
            ("#x", "/#x"),
            ("?a", "/?a"),
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
    fn relative_return_to_does_not_lead_into_the_folder_of_the_callback() {
        let redirect_uri = Url::parse("https://app.test/auth/callback").unwrap();
        for (chosen, expected) in [
            ("", "/"),
            ("#x", "/#x"),
            ("?a", "/?a"),
            ("orders", "/orders"),
        ] {
            assert_eq!(return_to(&redirect_uri, Some(chosen)).unwrap(), expected);
        }
        let shell = Url::parse("com.example.app:/auth/callback").unwrap();
        assert_eq!(return_to(&shell, Some("a?b")).unwrap(), "/a?b");
    }

    #[test]
    fn no_login_returns_to_its_redirect_uri() {
        for (redirect_uri, chosen, expected) in [
            ("https://app.test/callback", "/callback#x", "/"),
            ("https://app.test/callback", "/callback?authuser=0", "/"),
            ("https://app.test/callback", "/callback/?", "/"),
            ("https://app.test/callback", "/callbacks", "/callbacks"),
            ("https://app.test/?a", "/?b", "/?b"),
            ("https://app.test/app/callback?a", "/app/callback?a", "/"),
            ("https://app.test/app/", "/app/#x", "/app/#x"),
        ] {
            let uri = Url::parse(redirect_uri).unwrap();
            let redirection = Redirection {
                uri: &uri,
                uses_fragment: false,
            };
            let params = LoginParams {
                return_to: Some(chosen.to_owned()),
                ..LoginParams::default()
            };
            let begun = build(&flow(""), &redirection, &[], &params, &[7; ENTROPY], 0).unwrap();
            assert_eq!(begun.pending.return_to, expected, "{chosen}");
        }
    }

    #[test]
    fn long_return_to_loses_its_query_only() {
        let redirect_uri = Url::parse("https://app.test/callback").unwrap();
        let returned = |path: &str| return_to(&redirect_uri, Some(path)).unwrap();
        let query = |length: usize| ["/orders?", &"q".repeat(length - "/orders?".len())].concat();
        let longest = query(MAX_RETURN_TO);
        assert_eq!(returned(&longest), longest);
        assert_eq!(returned(&query(MAX_RETURN_TO + 1)), "/orders");
        let fragment = ["/orders#", &"?".repeat(MAX_RETURN_TO)].concat();
        assert_eq!(returned(&fragment), "/orders");
        let path = ["/", &"p".repeat(MAX_RETURN_TO)].concat();
        assert_eq!(returned(&path), "/");
        assert_eq!(returned(&[&path, "?q"].concat()), "/");
        // Escaped, this path is three times as long.
        assert_eq!(returned(&["/", &"\u{e9}".repeat(4000)].concat()), "/");
    }

    #[test]
    fn shortened_path_is_shorter_until_it_is_the_root() {
        assert_eq!(shortened("/a/b?c#d?e"), "/a/b");
        assert_eq!(shortened("/a/b#c"), "/a/b");
        assert_eq!(shortened("/a/b"), "/");
        assert_eq!(shortened("/"), "/");
    }

    #[test]
    fn stored_login_is_read_back() {
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
        let of_other_version = text.expose().replace(r#""version":1"#, r#""version":2"#);
        for other in ["", "{}", "[]", &text.expose()[1..], &of_other_version] {
            assert!(Pending::from_json(other).is_none());
        }
    }

    #[test]
    fn login_expires_after_ten_minutes() {
        let pending = start(&LoginParams::default()).unwrap().pending;
        let tolerance = Millis::from_secs(300);
        assert!(pending.check_age(1_600_000, Millis::ZERO).is_ok());
        assert!(pending.check_age(1_900_000, tolerance).is_ok());
        assert!(pending.check_age(1_900_001, tolerance).is_err());
        let error = pending.check_age(1_600_001, Millis::ZERO).unwrap_err();
        assert_eq!(error.code(), Code::LoginExpired);
        assert!(error.message().contains("more than 10 minutes ago"));
    }

    #[test]
    fn login_at_another_provider_is_refused() {
        let mut pending = start(&LoginParams::default()).unwrap().pending;
        let flow = flow("");
        let code = |pending: &Pending, now| {
            let checked = pending.check(&flow, now, Millis::ZERO);
            checked.err().map(|error| error.code())
        };
        assert_eq!(code(&pending, 1_000_000), None);
        pending.issuer.push('/');
        assert_eq!(code(&pending, 1_000_000), Some(Code::IssuerMismatch));
        assert_eq!(code(&pending, 1_600_001), Some(Code::LoginExpired));
    }

    // claim: handler-56
    #[test]
    fn login_from_a_clock_ahead_is_explained() {
        let pending = start(&LoginParams::default()).unwrap().pending;
        let check = |now| pending.check_age(now, Millis::ZERO);
        assert!(check(1_000_000 - 60_000).is_ok());
        assert!(pending.check_age(640_000, Millis::from_secs(300)).is_ok());
        let error = check(1_000_000 - 60_001).unwrap_err();
        assert_eq!(error.code(), Code::LoginExpired);
        assert!(error.message().contains("60 s ahead of this one"));
        let error = check(1_000_000 - 3_600_000 / 10).unwrap_err();
        assert!(error.message().contains("360 s ahead of this one"));
    }
}
