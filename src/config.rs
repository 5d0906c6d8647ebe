//! The configuration of a vault, which is read once from JSON and validated as a whole.
//!
//! The configuration is part of the worker file, or of the file `strongroom.json` that the standalone worker fetches.
//! The first error is reported as [`Code::ConfigInvalid`], with a message that names the option and says what to write
//! instead. An unknown option is an error too, since a misspelled limit would have no effect. The options are
//! documented for users in `pkg/src/worker/config.ts`.

mod apis;
mod extended;
mod first_fault;
mod identity;
mod options;

use crate::prelude::*;

use crate::base::capability;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result, short};
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::{Object, Value};
use crate::codec::url::Url;
use crate::egress::policy::EgressPolicy;
use crate::oauth::identity::Members;
use crate::oauth::metadata::{self, Metadata};
use crate::oauth::pkce;
use crate::oauth::scope::is_scope_token;
use crate::oauth::token_endpoint::{Scheme, Wanted};

use extended::is_protocol_param;
pub use extended::{Extended, LoginOptions};
pub(crate) use first_fault::FirstFault;
use options::is_off;

/// True if this build has the option `metadata`.
pub(crate) const HAS_METADATA: bool = capability::Metadata::WITNESS.is_some();

/// True if this build can persist sessions. In builds where the constant is false, the compiler drops all code that
/// only persisted sessions need.
pub(crate) const HAS_PERSISTENCE: bool = capability::StoredSessions::WITNESS.is_some();

/// The longest configuration, in bytes of JSON.
pub const MAX_CONFIG: usize = 64 * 1024;

// Lists of names are strings with spaces, because a table of addresses and lengths compresses badly.

/// The claims that a page may see by default.
const DEFAULT_CLAIMS: &str = "name email preferred_username picture locale";

/// The allowed values of an option in seconds, and the text of its error, which names them.
pub(crate) struct Seconds {
    pub(crate) least: u64,
    pub(crate) most: u64,
    pub(crate) why: &'static str,
}

pub(crate) const TIME_LIMIT: Seconds = Seconds {
    least: 1,
    most: 120,
    why: msg!("it must be a whole number of seconds from 1 to 120"),
};

pub(crate) const TOLERANCE: Seconds = Seconds {
    least: 0,
    most: 600,
    why: msg!("it must be a whole number of seconds from 0 to 600"),
};

pub(crate) const SESSION_LIMIT: Seconds = Seconds {
    least: 1,
    most: 365 * 24 * 3600,
    why: msg!("it must be a whole number of seconds from 1 to 31536000, a year"),
};

/// Claims that bind the ID token to secrets of the login, and members of a token response that are secrets. Pages do
/// not need them.
const HIDDEN_CLAIMS: &str = if capability::PlainOauth::WITNESS.is_some() {
    "nonce at_hash c_hash s_hash access_token refresh_token id_token"
} else {
    "nonce at_hash c_hash s_hash"
};

/// Authorization request parameters that `authorizationParams` and `loginParams` must not contain. The flow itself
/// decides about these parameters (RFC 6749, RFC 7636, RFC 9101, OIDC Core 3.1.2.1), or `login()` takes them as
/// options.
const PROTOCOL_PARAMS: &str = "acr_values client_id client_secret code_challenge code_challenge_method \
    id_token_hint login_hint max_age nonce prompt redirect_uri request request_uri \
    response_mode response_type scope state ui_locales";

const NOT_HTTPS: &str = msg!("it must be https; http is for loopback only");

/// The limits on the duration of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time without activity of the user.
    pub idle: Millis,
    /// The longest time that a session lasts after its login.
    pub absolute: Millis,
}

/// The option `par`, which decides if authorization requests are pushed to the provider (RFC 9126).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pushing {
    /// Requests are pushed if the provider announces an endpoint for pushed requests, and the endpoint accepts this
    /// client.
    #[default]
    Auto,
    /// Requests are always pushed. A login that cannot be pushed fails.
    Always,
    /// Requests are never pushed.
    Never,
}

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The client identifier (RFC 6749 2.2).
    pub client_id: String,
    /// The absolute URL that the provider redirects to.
    pub redirect_uri: Url,
    /// The scopes to request, separated by single spaces (RFC 6749 3.3).
    pub scope: String,
    /// The rules for calls with an access token.
    pub rules: EgressPolicy,
    /// The limits on the duration of a session.
    pub limits: Limits,
    /// True if sessions are stored in encrypted form. Vaults of the same origin, issuer and client share the stored
    /// session.
    pub keeps: bool,
    /// Present if a service worker holds the sealing key in escrow.
    pub escrow: Option<capability::Escrow>,
    /// The claims that a page may see, besides `sub`.
    pub claims: Vec<String>,
    /// Without OpenID Connect, the members of a response that say who the user is.
    pub identity: Option<capability::PlainOauth<Members>>,
    /// The provider's metadata, if it is configured instead of discovered.
    pub metadata: Option<Box<Metadata>>,
    /// Members that replace or extend the discovered metadata.
    pub metadata_members: Option<Object>,
    /// Additional parameters for the authorization request, encoded.
    pub authorization_params: String,
    /// The option `par`.
    pub pushing: Pushing,
    /// True if each login that is not silent asks for consent (`prompt=consent`).
    pub asks_consent: bool,
    /// The tolerated difference between the provider's clock and the device's.
    pub clock_tolerance: Millis,
    /// The timeout of requests to the provider.
    pub request_timeout: Millis,
    /// The timeout of a refresh request. It is longer than that of other requests, because the provider may have
    /// consumed the refresh token that a repetition would send.
    pub refresh_timeout: Millis,
    /// The values of the options that need a capability.
    pub extended: Extended,
    /// Fingerprint of this library's version, this configuration and the worker's address, in 16 bits. A deployment
    /// that changes one of the three almost always changes the fingerprint.
    pub build: u16,
    /// True if the worker belongs to a single page. The host sets this member.
    pub is_dedicated: bool,
}

impl Config {
    /// Returns the authentication scheme of access tokens.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        if self.binds_tokens() {
            Scheme::Dpop
        } else {
            Scheme::Bearer
        }
    }

    /// Returns true if a login has an ID token (OIDC Core 3.1.2.1).
    #[must_use]
    pub const fn has_openid(&self) -> bool {
        self.identity.is_none()
    }

    /// Returns the response that this client wants from the token endpoint.
    #[must_use]
    pub fn wanted_tokens(&self) -> Wanted<'_> {
        let members = self.identity.as_ref();
        Wanted {
            scheme: self.scheme(),
            members: members
                .map(|members| members.witness().with((&**members, self.claims.as_slice()))),
        }
    }

    /// Returns the metadata that this client expects.
    #[must_use]
    pub fn expected_metadata(&self) -> metadata::Expected<'_> {
        metadata::Expected {
            issuer: &self.issuer,
            configured: capability::Metadata::WITNESS.and_then(|has| {
                let members = self.metadata_members.as_ref()?;
                Some(has.with(members))
            }),
            plain: self.identity.as_ref().map(capability::PlainOauth::witness),
            profile: self
                .profile()
                .map(|profile| profile.witness().with(&**profile)),
        }
    }

    /// Returns the address that says who the user is, if the configuration has one.
    #[must_use]
    pub fn profile(&self) -> Option<&capability::ProfileAddress<Url>> {
        self.identity.as_ref()?.profile.as_ref()
    }

    /// Takes the provider's metadata out of the configuration. Returns `None` if the configuration contains no
    /// metadata, or not all required members.
    pub fn take_metadata(&mut self) -> Option<Box<Metadata>> {
        if HAS_METADATA {
            self.metadata.take()
        } else {
            None
        }
    }

    /// Reads a configuration. Relative URLs are resolved against `base`, the worker's address.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] with the first fault that is found.
    pub fn parse(json: &str, base: &str) -> Result<Self> {
        if json.len() > MAX_CONFIG {
            return Err(fault(&[msg!(
                "the configuration is longer than 65536 bytes"
            )]));
        }
        let mut value = match Value::parse(json) {
            Ok(value) => value,
            Err(error) => {
                return Err(fault(&[
                    msg!("the configuration is not JSON: "),
                    error.reason,
                ]));
            }
        };
        let Some(object) = value.as_object() else {
            return Err(fault(&[msg!("the configuration is not an object")]));
        };
        // A blob URL contains the origin of the page that created it, after `blob:`.
        let Some(base) = Url::parse(base.strip_prefix("blob:").unwrap_or(base)) else {
            return Err(fault(&[msg!("the worker's URL has no origin")]));
        };
        let build = fingerprint(&[env!("CARGO_PKG_VERSION"), base.href(), json].concat()) as u16;
        let first_fault = FirstFault::new();
        let options = Options {
            object,
            path: "",
            fault: &first_fault,
        };
        options.refuse_unknown(options::OF_VAULT);
        let issuer = options.issuer();
        let identity = capability::PlainOauth::WITNESS.and_then(|has| options.identity(has));
        let has_openid = identity.is_none();
        options.refuse_with_identity("claims");
        let plain = identity.as_ref().map(capability::PlainOauth::witness);
        let profile = identity.as_deref().and_then(Options::profile_address);
        let metadata = options.metadata(&issuer, plain, profile.as_ref());
        let mut rules = options.rules(&base, &issuer, metadata.as_deref());
        let escrow = options.escrow();
        if escrow.is_some() {
            // The vault requests the escrowed sealing key from this URL.
            rules.forbid(&[base.href()]);
        }
        let redirect_uri = options.redirect_uri(base);
        let request_timeout = options.seconds("requestTimeout", 10, &TIME_LIMIT);
        let refresh_timeout = options.seconds("refreshTimeout", 30, &TIME_LIMIT);
        let mut config = Self {
            rules,
            client_id: options.client_id(),
            scope: options.scope(has_openid),
            identity: None,
            limits: options.limits(),
            keeps: options.keeps(),
            escrow,
            claims: identity.as_deref().unwrap_or(&options).claims(has_openid),
            authorization_params: options.authorization_params(),
            pushing: options.pushing(),
            asks_consent: options.asks_consent(),
            clock_tolerance: options.seconds("clockTolerance", 60, &TOLERANCE),
            request_timeout,
            refresh_timeout: refresh_timeout.max(request_timeout),
            extended: Extended::read(&options, &redirect_uri),
            redirect_uri: redirect_uri.0,
            build,
            is_dedicated: false,
            issuer,
            metadata,
            metadata_members: None,
        };
        if let Some(identity) = identity {
            let members = identity.members(&config.scope, profile);
            config.identity = Some(identity.witness().with(members));
        }
        match first_fault.into_error() {
            None => {
                if HAS_METADATA {
                    config.metadata_members = value.take_object("metadata");
                }
                Ok(config)
            }
            Some(error) => Err(error),
        }
    }
}

/// Returns the fingerprint of a build or of an app. It only distinguishes builds and apps, so it does not have to be
/// hard to forge.
pub(crate) fn fingerprint(text: &str) -> u32 {
    let [first, second, third, fourth, ..] = pkce::sha256(text.as_bytes());
    u32::from_be_bytes([first, second, third, fourth])
}

/// The options in one object. An error does not stop the parser: the parser records the first error and uses a
/// placeholder value, and [`Config::parse`] checks for an error once, at the end. A return at each option would need
/// code of its own to drop all values read before.
pub(crate) struct Options<'a> {
    pub(crate) object: &'a Object,
    /// The prefix of option names in messages, for example `session.` or `apis[0].`. The prefix is empty for options of
    /// the whole configuration.
    pub(crate) path: &'a str,
    pub(crate) fault: &'a FirstFault,
}

impl<'a> Options<'a> {
    /// Records an error, unless an earlier error is recorded.
    pub(crate) fn record(&self, message: &[&str]) {
        self.fault.record(|| fault(message));
    }

    /// Records that the option `name` is missing or invalid. `why` says what the option must be.
    #[inline(never)]
    pub(crate) fn refuse(&self, name: &str, why: &str) {
        self.fault
            .record(|| self.invalid(name, self.object.get(name), why));
    }

    /// Returns the error of an option with this value, or of a missing option.
    fn invalid(&self, name: &str, value: Option<&Value>, why: &str) -> Error {
        let shown = value.map(shown);
        match &shown {
            Some(value) => fault(&["`", self.path, name, msg!("` is "), value, ": ", why]),
            None => fault(&["`", self.path, name, msg!("` is missing: "), why]),
        }
    }

    /// Refuses options other than those in `known`, a list of names separated by spaces.
    #[inline(never)]
    fn refuse_unknown(&self, known: &str) {
        for (name, value) in self.object.iter() {
            if strings::contains_word(known, name) || is_off(name, value) {
                continue;
            }
            self.fault.record(|| self.unknown(name, known));
        }
    }

    /// Returns the error of an unknown option. It does not contain the option's value, which may be a secret.
    fn unknown(&self, name: &str, known: &str) -> Error {
        match self.reason_against(name) {
            Some(why) => fault(&["`", self.path, name, "`: ", why]),
            // pkg/src/page/error-messages.ts replaces the known options by the one that may be meant.
            None => {
                let why = msg!("there is no such option");
                fault(&["`", self.path, name, "`: ", why, "\n", known])
            }
        }
    }

    /// Returns the string of a required option.
    fn text(&self, name: &str, why: &str) -> &'a str {
        match self.object.str(name) {
            Some(text) => text,
            None => {
                self.refuse(name, why);
                ""
            }
        }
    }

    /// Returns the array of strings in the option `name`. If the option is missing, returns the words of `default`.
    pub(crate) fn strings(&self, name: &str, default: &str, why: &str) -> Vec<String> {
        let mut strings = Vec::new();
        let Some(value) = self.object.get(name) else {
            for text in strings::split(default, b' ') {
                strings.push(text.to_owned());
            }
            return strings;
        };
        let Some(items) = value.as_array() else {
            self.refuse(name, why);
            return strings;
        };
        for item in items {
            match item.as_str() {
                Some(text) => strings.push(text.to_owned()),
                None => self.refuse(name, why),
            }
        }
        strings
    }

    #[inline(never)]
    pub(crate) fn seconds(&self, name: &str, default: u64, range: &Seconds) -> Millis {
        let Some(value) = self.object.get(name) else {
            return Millis::from_secs(default);
        };
        let seconds = value.as_u64().unwrap_or(u64::MAX);
        if !(range.least..=range.most).contains(&seconds) {
            self.refuse(name, range.why);
        }
        Millis::from_secs(seconds)
    }

    /// Returns the option's value as JSON, or an empty string if the option is missing. `known` lists the allowed
    /// values, separated by spaces.
    #[inline(never)]
    pub(crate) fn one_of(&self, name: &str, known: &str) -> String {
        let mut json = String::new();
        if let Some(value) = self.object.get(name) {
            value.write(&mut json);
            if !strings::contains_word(known, &json) {
                self.fault.record(|| {
                    let why = [msg!("it must be one of: "), known].concat();
                    self.invalid(name, Some(value), &why)
                });
            }
        }
        json
    }

    /// Returns the options in an optional nested object.
    pub(crate) fn nested<'b>(&self, name: &str, path: &'b str, why: &str) -> Options<'b>
    where
        'a: 'b,
    {
        static EMPTY: Object = Object::new();
        let object = self.object.get(name).map_or(Some(&EMPTY), Value::as_object);
        if object.is_none() {
            self.refuse(name, why);
        }
        Options {
            object: object.unwrap_or(&EMPTY),
            path,
            fault: self.fault,
        }
    }

    pub(crate) fn issuer(&self) -> String {
        const WHY: &str = msg!(
            "it must be the provider's issuer identifier, an https URL without query or fragment"
        );
        let issuer = self.text("issuer", WHY);
        match Url::parse(issuer) {
            Some(url) if url.is_plain() && url.is_trustworthy() => {}
            Some(url) if url.scheme() == "http" && !url.is_trustworthy() => {
                self.refuse("issuer", NOT_HTTPS);
            }
            _ => self.refuse("issuer", WHY),
        }
        issuer.to_owned()
    }

    fn client_id(&self) -> String {
        const WHY: &str = msg!("it must be the identifier under which the provider knows this app");
        let client_id = self.text("clientId", WHY);
        // A client identifier consists of VSCHAR characters (RFC 6749 A.1).
        if client_id.is_empty() || !client_id.bytes().all(|b| matches!(b, b' '..=b'~')) {
            self.refuse("clientId", WHY);
        }
        client_id.to_owned()
    }

    /// Returns the redirect URI, and true if it is not on the origin that serves the worker file.
    fn redirect_uri(&self, base: Url) -> (Url, bool) {
        const OPTION: &str = "redirectUri";
        const WHY: &str =
            msg!("it must be a URL, or a path on the worker's origin, without fragment");
        let is_custom = self.custom_login().is_some();
        let url = Url::parse_with_base(self.text(OPTION, WHY), &base);
        let Some(url) = url.filter(|url| !url.has_fragment() && !url.has_userinfo()) else {
            self.refuse(OPTION, WHY);
            return (base, false);
        };
        if !(url.is_trustworthy() || is_custom && url.is_private_use()) {
            self.refuse(OPTION, NOT_HTTPS);
        }
        let is_elsewhere = !url.is_same_origin(&base);
        if is_elsewhere && !is_custom {
            self.refuse(
                OPTION,
                msg!("it must be on the origin that serves the worker file, or the response goes to a page that cannot reach the vault (an app in a shell can set customLogin: true)"),
            );
        }
        (url, is_elsewhere)
    }

    pub(crate) fn scope(&self, has_openid: bool) -> String {
        const WHY: &str = msg!("it must be a string of scopes separated by single spaces");
        // Some servers without OpenID Connect have no scopes.
        if !has_openid
            && matches!(
                self.object.get("scope").map(Value::as_str),
                None | Some(Some(""))
            )
        {
            return String::new();
        }
        let scope = self.text("scope", WHY);
        if !strings::split(scope, b' ').all(is_scope_token) {
            self.refuse("scope", WHY);
        }
        if strings::contains_word(scope, "openid") != has_openid {
            let why = if has_openid {
                msg!(
                    "it must contain `openid`, so that an ID token identifies the user; or, for a server without OpenID Connect, `identity` must say who the user is: 'none', or { from: 'token_response', sub: 'user_id' } with the name of a member of the token response"
                )
            } else {
                msg!(
                    "it must not contain `openid` if `identity` says who the user is: remove one of the two"
                )
            };
            self.refuse("scope", why);
        }
        scope.to_owned()
    }

    fn limits(&self) -> Limits {
        const HALF_HOUR: u64 = 1800;
        const HALF_DAY: u64 = 43_200;
        const WHY: &str = msg!("it must be an object such as { idle: 1800 }");
        let session = self.nested("session", "session.", WHY);
        session.refuse_unknown(options::OF_SESSION);
        let absolute = session.seconds("absolute", HALF_DAY, &SESSION_LIMIT);
        let default_idle = HALF_HOUR.min(absolute.as_secs());
        let idle = session.seconds("idle", default_idle, &SESSION_LIMIT);
        if idle > absolute {
            let why =
                msg!("it must not be longer than `session.absolute`, or it never takes effect");
            session.refuse("idle", why);
        }
        Limits { idle, absolute }
    }

    fn keeps(&self) -> bool {
        let session = self.nested("session", "session.", "");
        let persist = session.object.get("persist").map(Value::as_str);
        match persist {
            None | Some(Some("memory")) => return false,
            Some(Some("sealed")) if HAS_PERSISTENCE => return true,
            Some(Some("escrow")) if capability::Escrow::WITNESS.is_some() => return true,
            Some(_) => session.refuse("persist", msg!("it must be 'memory', 'sealed' or 'escrow'")),
        }
        false
    }

    fn escrow(&self) -> Option<capability::Escrow> {
        let session = || self.object.get("session")?.as_object()?.str("persist");
        capability::Escrow::WITNESS.filter(|_| session() == Some("escrow"))
    }

    /// Returns the option `claims`.
    pub(crate) fn claims(&self, has_openid: bool) -> Vec<String> {
        if !has_openid && self.object.get("claims").is_none() {
            return Vec::new();
        }
        let named = self.strings(
            "claims",
            DEFAULT_CLAIMS,
            msg!("it must be an array of claim names"),
        );
        let mut claims = Vec::new();
        for claim in named {
            if strings::contains_word(HIDDEN_CLAIMS, &claim) {
                let why = msg!("hashes, the nonce and tokens stay in the vault");
                self.refuse("claims", why);
            }
            // `sub` is not added, because pages always see it.
            if claim != "sub" && !claims.contains(&claim) {
                claims.push(claim);
            }
        }
        claims
    }

    fn pushing(&self) -> Pushing {
        match self.one_of("par", r#"true false "auto""#).as_str() {
            "true" => Pushing::Always,
            "false" => Pushing::Never,
            _ => Pushing::Auto,
        }
    }

    pub(crate) fn asks_consent(&self) -> bool {
        self.one_of("consent", r#""provider" "always""#) == r#""always""#
    }

    pub(crate) fn metadata(
        &self,
        issuer: &str,
        plain: Option<capability::PlainOauth>,
        profile: Option<&capability::ProfileAddress<Url>>,
    ) -> Option<Box<Metadata>> {
        if !HAS_METADATA {
            return None;
        }
        let value = self.object.get("metadata")?;
        let Some(document) = value.as_object() else {
            self.refuse("metadata", msg!("it must be an object (RFC 8414 2)"));
            return None;
        };
        if !Metadata::is_complete(document, plain) {
            return None;
        }
        let expected = metadata::Expected {
            plain,
            profile: profile.map(|profile| profile.witness().with(&**profile)),
            ..metadata::Expected::of(issuer)
        };
        match Metadata::from_object(document, &expected) {
            Ok(metadata) => Some(metadata),
            Err(error) => {
                self.record(&["`metadata`: ", error.message()]);
                None
            }
        }
    }

    pub(crate) fn authorization_params(&self) -> String {
        const WHY: &str = msg!("it must be an object of strings such as { audience: '…' }");
        let params = self.nested("authorizationParams", "authorizationParams.", WHY);
        let mut form = Form::new();
        for (name, _) in params.object.iter() {
            if strings::contains_word(PROTOCOL_PARAMS, name) || is_protocol_param(name) {
                let why = if name == "prompt" {
                    msg!("write consent: 'always', or pass it to login({ prompt })")
                } else {
                    msg!("the flow sets this parameter itself")
                };
                params.refuse(name, why);
            }
            form.push(name, params.text(name, WHY));
        }
        form.finish()
    }
}

pub(crate) fn fault(message: &[&str]) -> Error {
    Error::of(Code::ConfigInvalid, message)
}

/// Returns a value as JSON, shortened for a message.
fn shown(value: &Value) -> String {
    let mut text = String::new();
    value.write(&mut text);
    short(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use options::Named;

    const BASE: &str = "https://app.example.com/assets/auth.worker.js";

    /// Parses a valid configuration with `changes`, where `null` removes an option.
    pub(super) fn configured(changes: &str) -> Result<Config> {
        let base = r#"{
            "issuer": "https://id.example.com",
            "clientId": "spa",
            "redirectUri": "/callback",
            "scope": "openid profile offline_access",
            "apis": [{ "url": "https://api.example.com/v1/", "methods": ["GET", "POST"] }]
        }"#;
        let mut merged = Object::new();
        let (base, changes) = (Value::parse(base).unwrap(), Value::parse(changes).unwrap());
        let changes = changes.as_object().unwrap();
        for (name, value) in base.as_object().unwrap().iter().chain(changes.iter()) {
            let value = changes.get(name).unwrap_or(value);
            if merged.get(name).is_none() && *value != Value::Null {
                merged.push(name, value.clone());
            }
        }
        let mut json = String::new();
        merged.write(&mut json);
        Config::parse(&json, BASE)
    }

    #[test]
    fn dpop_option_binds_tokens_to_a_key() {
        needs!(Dpop);
        needs!(Sockets);
        assert!(!configured("{}").unwrap().binds_tokens());
        assert_eq!(configured("{}").unwrap().scheme(), Scheme::Bearer);
        let bound = configured(r#"{"dpop":true}"#).unwrap();
        assert_eq!(bound.scheme(), Scheme::Dpop);
        for (changes, option) in [
            (r#"{"dpop":1}"#, "`dpop`"),
            (r#"{"dpop":"optional"}"#, "`dpop`"),
            (
                r#"{"authorizationParams":{"dpop_jkt":"x"}}"#,
                "`authorizationParams.dpop_jkt`",
            ),
            (
                r#"{"dpop":true,"apis":[{"url":"https://a.test/","webSocket":{"token":"message","message":"{token}"}}]}"#,
                "`apis[0].webSocket`",
            ),
        ] {
            let error = configured(changes).unwrap_err();
            assert!(error.message().starts_with(option), "{error}");
        }
    }

    #[test]
    fn api_rules_cannot_reach_the_escrow_address() {
        needs!(Escrow);
        let call = |persist: &str, path: &str| {
            let apis = r#""apis": [{ "url": "https://app.example.com/" }]"#;
            let session = [r#""session": { "persist": ""#, persist, r#"" }"#].concat();
            let changes = ["{", apis, ",", &session, "}"].concat();
            let url = ["https://app.example.com", path].concat();
            let rules = configured(&changes).unwrap().rules;
            rules.authorize(&url, "GET").map(drop).map_err(|e| e.code())
        };
        let refused = Err(Code::UrlNotAllowed);
        assert_eq!(call("escrow", "/assets/auth.worker.js"), refused);
        assert_eq!(call("escrow", "/assets/auth.worker.js?key"), refused);
        assert_eq!(call("escrow", "/assets/other.js"), Ok(()));
        assert_eq!(call("sealed", "/assets/auth.worker.js"), Ok(()));
    }

    #[test]
    fn minimal_configuration_has_documented_defaults() {
        let config = configured("{}").unwrap();
        assert_eq!(
            config.redirect_uri.href(),
            "https://app.example.com/callback"
        );
        assert_eq!(config.scope, "openid profile offline_access");
        assert_eq!(config.limits.idle, Millis::from_secs(1800));
        assert_eq!(config.limits.absolute, Millis::from_secs(43_200));
        assert_eq!(config.clock_tolerance, Millis::from_secs(60));
        assert_eq!(config.request_timeout, Millis::from_secs(10));
        assert_eq!(config.refresh_timeout, Millis::from_secs(30));
        assert!(config.claims.contains(&"email".to_owned()));
        assert!(!config.may_inspect());
    }

    #[test]
    fn refreshes_take_at_least_as_long_as_requests() {
        for (options, expected) in [
            (r#"{"requestTimeout": 60}"#, 60),
            (r#"{"requestTimeout": 60, "refreshTimeout": 90}"#, 90),
            (r#"{"requestTimeout": 2, "refreshTimeout": 3}"#, 3),
            (r#"{"refreshTimeout": 5}"#, 10),
        ] {
            let config = configured(options).unwrap();
            assert_eq!(config.refresh_timeout, Millis::from_secs(expected));
        }
    }

    #[test]
    fn limits_may_be_equal_and_last_a_year() {
        let limits = |session: &str| {
            let config = configured(&format!(r#"{{"session": {{{session}}}}}"#)).unwrap();
            [config.limits.idle, config.limits.absolute].map(Millis::as_secs)
        };
        assert_eq!(limits(r#""absolute": 31536000"#), [1800, 31_536_000]);
        assert_eq!(limits(r#""idle": 60, "absolute": 60"#), [60, 60]);
        assert_eq!(limits(r#""absolute": 60"#), [60, 60]);
    }

    #[test]
    fn identity_replaces_the_id_token() {
        needs!(PlainOauth);
        let changes = |identity: &str| {
            configured(&["{\"scope\": \"read,write\", \"identity\": ", identity, "}"].concat())
        };
        let named = changes(r#"{"from": "token_response", "sub": "id", "claims": ["login"]}"#);
        let named = named.unwrap();
        assert!(!named.has_openid());
        assert_eq!(named.claims, ["login"]);
        let members = named.identity.as_deref().unwrap();
        assert_eq!(members.sub, "id");
        assert!(members.scope_has_commas);
        let nobody = changes(r#""none""#).unwrap();
        assert_eq!(nobody.identity.as_deref().unwrap().sub, "");
        assert!(nobody.claims.is_empty());
    }

    #[test]
    fn claims_are_listed_once_and_without_sub() {
        let config = configured(r#"{"claims": ["sub", "email", "name", "email"]}"#).unwrap();
        assert_eq!(config.claims, ["email", "name"]);
    }

    #[test]
    fn trusted_audiences_are_read() {
        needs!(LoginOptions);
        let audiences =
            |changes| configured(changes).map(|config| config.trusted_audiences().to_vec());
        assert_eq!(audiences("{}").unwrap(), [""; 0]);
        let two = audiences(r#"{"trustedAudiences": ["one", "two"]}"#);
        assert_eq!(two.unwrap(), ["one", "two"]);
        assert!(audiences(r#"{"trustedAudiences": "one"}"#).is_err());
    }

    #[test]
    fn longest_configuration_is_read() {
        let config = r#"{"issuer":"https://id.example.com","clientId":"a","redirectUri":"/","scope":"openid","apis":[]}"#;
        let longest = [config, &*" ".repeat(65_536 - config.len())].concat();
        assert!(Config::parse(&longest, BASE).is_ok());
        let error = Config::parse(&(longest + " "), BASE).unwrap_err();
        assert!(error.message().contains("65536"), "{error}");
    }

    #[test]
    fn invalid_values_are_named_with_reason() {
        let table = [
            (r#"{"issuer": null}"#, "`issuer` is missing"),
            (r#"{"issuer": 7}"#, "`issuer` is 7"),
            (
                r#"{"issuer": "http://id.example.com"}"#,
                "http is for loopback only",
            ),
            (r#"{"issuer": "https://id.example.com?a"}"#, "without query"),
            (r#"{"issuer": "id.example.com"}"#, "https URL"),
            (r#"{"clientId": ""}"#, "`clientId` is \"\""),
            (r#"{"clientId": "é"}"#, "`clientId` is \"?\""),
            (
                r#"{"redirectUri": "https://u@app.example.com/cb"}"#,
                "without fragment",
            ),
            (r#"{"issuer": "https://u@id.example.com"}"#, "https URL"),
            (r#"{"issuer": "http://localhost/?a"}"#, "without query"),
            (
                r#"{"session": {"absolute": 31536001}}"#,
                "from 1 to 31536000",
            ),
            (
                r#"{"session": {"audience": "x"}}"#,
                "`session.audience`: there is no such option",
            ),
            (r#"{"client_secret": "x"}"#, "register a public client"),
            (r#"{"claims": [1]}"#, "`claims` is [1]"),
            (
                r#"{"redirectUri": "https://evil.test/cb"}"#,
                "on the origin that serves the worker",
            ),
            (r#"{"redirectUri": "/cb#x"}"#, "without fragment"),
            (r#"{"redirectUri": "http://app.example.com/cb"}"#, "https"),
            (r#"{"scope": ""}"#, "`scope` is \"\""),
            (r#"{"scope": "openid  email"}"#, "single spaces"),
            (r#"{"scope": "email"}"#, "must contain `openid`"),
            (r#"{"apis": {}}"#, "`apis` is {}"),
            (r#"{"apis": ["https://a.test/"]}"#, "`apis[0]` is"),
            (r#"{"apis": [{}]}"#, "`apis[0].url` is missing"),
            (
                r#"{"apis": [{"url": "https://a.test/v1"}]}"#,
                "must end in `/`",
            ),
            (
                r#"{"apis": [{"url": "http://a.test/"}]}"#,
                "http is for loopback only",
            ),
            (
                r#"{"apis": [{"url": "https://a.test/", "methods": ["get"]}]}"#,
                "`apis[0].methods` is",
            ),
            (
                r#"{"apis": [{"url": "https://a.test/", "reflection": true}]}"#,
                "`apis[0].reflection` is",
            ),
            (
                r#"{"apis": [{"url": "https://a.test/", "method": "GET"}]}"#,
                "`apis[0].method`: there is no such option",
            ),
            (
                r#"{"apis": [{"url": "https://id.example.com/"}]}"#,
                "covers the authorization server",
            ),
            (
                r#"{"issuer": "https://a.test/realms/x", "apis": [{"url": "https://a.test/realms/"}]}"#,
                "covers the authorization server",
            ),
            (
                r#"{"session": {"idle": 50000}}"#,
                "not be longer than `session.absolute`",
            ),
            (r#"{"session": {"idle": 0}}"#, "`session.idle` is 0"),
            (r#"{"session": {"idle": 1.5}}"#, "whole number of seconds"),
            (r#"{"session": {"absolute": "1h"}}"#, "`session.absolute`"),
            (
                r#"{"session": {"persist": "disk"}}"#,
                "'memory', 'sealed' or 'escrow'",
            ),
            (r#"{"session": {"idel": 60}}"#, "`session.idel`"),
            (r#"{"claims": "email"}"#, "`claims` is \"email\""),
            (r#"{"claims": ["nonce"]}"#, "stay in the vault"),
            (r#"{"claims": ["email", "at_hash"]}"#, "stay in the vault"),
            (r#"{"claims": ["c_hash"]}"#, "stay in the vault"),
            (r#"{"claims": ["s_hash"]}"#, "stay in the vault"),
            (
                r#"{"authorizationParams": {"redirect_uri": "x"}}"#,
                "the flow sets this parameter itself",
            ),
            (
                r#"{"authorizationParams": {"prompt": "consent"}}"#,
                "`authorizationParams.prompt` is \"consent\": write consent: 'always', or pass it to login({ prompt })",
            ),
            (r#"{"authorizationParams": {"a": 1}}"#, "object of strings"),
            (r#"{"clockTolerance": -1}"#, "from 0 to 600"),
            (r#"{"requestTimeout": 0}"#, "from 1 to 120"),
            (r#"{"refreshTimeout": 121}"#, "from 1 to 120"),
            (
                r#"{"inspekt": false}"#,
                "`inspekt`: there is no such option",
            ),
            (r#"{"session": {"idel": false}}"#, "`session.idel`"),
            (
                r#"{"apis": [{"url": "https://a.test/", "stepup": false}]}"#,
                "`apis[0].stepup`",
            ),
            (
                r#"{"clientid": "x"}"#,
                "`clientid`: there is no such option",
            ),
            (
                r#"{"audience": "x"}"#,
                "`audience`: it is a parameter of the authorization request: write authorizationParams: { audience: '…' }",
            ),
            (r#"{"apis": {}}"#, "an array of rules such as [{ url:"),
            (
                r#"{"apis": ["https://a.test/"]}"#,
                "`apis[0]` is \"https://a.test/\": it must be a rule such as { url: 'https://api.example.com/v1/' }",
            ),
            (r#"{"scope": ["openid"]}"#, "it must be a string of scopes"),
        ];
        are_refused(&table);
    }

    #[cfg(feature = "extended")]
    #[test]
    fn invalid_values_of_further_options_are_named() {
        are_refused(&[
            (
                r#"{"idTokenSignedResponseAlg": "HS256"}"#,
                "HMAC are not accepted",
            ),
            (r#"{"idTokenSignedResponseAlg": "none"}"#, "`none` and HMAC"),
            (r#"{"identity": "none"}"#, "must not contain `openid`"),
            (
                r#"{"scope": "a", "identity": "none", "trustedAudiences": ["a"]}"#,
                "`trustedAudiences` is [\"a\"]: a login with `identity`",
            ),
            (
                r#"{"identity": "none", "claims": ["name"]}"#,
                "`claims` is [\"name\"]: a login with `identity`",
            ),
            (r#"{"identity": "sub"}"#, "it must be 'none'"),
            (r#"{"identity": {}}"#, "`identity.sub` is missing"),
            (r#"{"identity": {"sub": ""}}"#, "`identity.sub` is"),
            (
                r#"{"identity": {"sub": "access_token"}}"#,
                "`identity.sub` is",
            ),
            (
                r#"{"identity": {"sub": "id", "from": "id_token"}}"#,
                "`identity.from` is",
            ),
            (
                r#"{"scope": "a", "identity": {"sub": "id", "claims": ["refresh_token"]}}"#,
                "tokens stay in the vault",
            ),
            (
                r#"{"identity": {"sub": "id", "name": "x"}}"#,
                "`identity.name`",
            ),
            (r#"{"inspect": "yes"}"#, "true or false"),
            (
                r#"{"metadata": {"issuer": "https://other.test", "authorization_endpoint": "", "token_endpoint": "", "jwks_uri": ""}}"#,
                "`metadata`: ",
            ),
        ]);
    }

    /// Checks that each of these changes makes the configuration invalid, with a message that contains the text if this
    /// build has messages.
    fn are_refused(table: &[(&str, &str)]) {
        for (changes, expected) in table {
            let error = configured(changes).expect_err(changes);
            assert_eq!(error.code(), Code::ConfigInvalid, "{changes}");
            let message = error.message();
            assert!(
                is_explained(&error, expected),
                "{changes}: {message} does not say {expected:?}"
            );
        }
    }

    /// Returns true if the error's message contains the text, or is empty in a build without messages.
    fn is_explained(error: &Error, text: &str) -> bool {
        match capability::ConfigMessages::WITNESS {
            Some(_) => error.message().contains(text),
            None => error.message().is_empty(),
        }
    }

    #[cfg(feature = "extended")]
    #[test]
    fn known_options_follow_an_unknown_one() {
        let message = |changes: &str| configured(changes).expect_err(changes).message().to_owned();
        for option in ["clientID", "x", "", "é"] {
            let message = message(&format!(r#"{{"{option}": "s3cret"}}"#));
            let expected = format!("`{option}`: there is no such option\n{}", options::OF_VAULT);
            assert_eq!(message, expected);
        }
        let session = message(r#"{"session": {"idel": 60}}"#);
        assert!(session.ends_with(options::OF_SESSION), "{session}");
        let rule = message(r#"{"apis": [{"url": "https://a.test/", "websocket": {}}]}"#);
        assert!(rule.ends_with(options::OF_RULE), "{rule}");
        let credentials = r#"{"apis": [{"url": "https://a.test/", "credentials": "never"}]}"#;
        assert!(message(credentials).contains(
            "`apis[0].credentials` is \"never\": it must be 'same-origin', 'omit' or 'include'"
        ));
    }

    #[test]
    fn larger_modules_options_are_refused() {
        let absent = all_options().filter(|(_, option)| !option.is_here);
        for (path, option) in absent {
            let changes = changes(path, option, "true");
            let error = configured(&changes).expect_err(&changes);
            assert_eq!(error.code(), Code::ConfigInvalid);
            let name = [path, option.name].concat();
            assert!(is_explained(&error, &name), "{error}");
        }
    }

    #[test]
    fn sessions_are_stored_only_with_the_capability() {
        for (persist, is_here) in [
            ("sealed", capability::StoredSessions::WITNESS.is_some()),
            ("escrow", capability::Escrow::WITNESS.is_some()),
        ] {
            let changes = format!(r#"{{"session":{{"persist":"{persist}"}}}}"#);
            match configured(&changes) {
                Ok(config) => assert!(is_here && config.keeps, "{persist}"),
                Err(error) => {
                    assert!(!is_here, "{error}");
                    assert!(is_explained(&error, "`session.persist`"), "{error}");
                }
            }
        }
    }

    #[test]
    fn options_need_no_capability_with_the_value_off() {
        let switches = all_options().filter(|(_, option)| !option.off.is_empty());
        let mut count = 0;
        for (path, option) in switches {
            let changes = changes(path, option, option.off);
            let config = configured(&changes);
            assert!(config.is_ok(), "{changes}: {config:?}");
            count += 1;
        }
        assert!(count > 5);
    }

    #[test]
    fn names_of_absent_options_are_not_suggested() {
        for (path, option) in all_options() {
            let known = match path {
                "" => options::OF_VAULT,
                "session." => options::OF_SESSION,
                _ => options::OF_RULE,
            };
            let is_known = strings::contains_word(known, option.name);
            assert_eq!(is_known, option.is_here || option.name == "persist");
            assert!(!strings::contains_word(known, ""));
        }
        assert!(configured(r#"{"": false}"#).is_err());
    }

    /// Returns all options with their path in messages.
    fn all_options() -> impl Iterator<Item = (&'static str, &'static Named)> {
        let lists = [
            ("", options::VAULT),
            ("session.", options::SESSION),
            ("apis[0].", options::RULE),
        ];
        let with_path = |(path, list): (_, &'static [_])| list.iter().map(move |one| (path, one));
        lists.into_iter().flat_map(with_path)
    }

    /// Returns changes of the configuration that give an option this value.
    fn changes(path: &str, option: &Named, value: &str) -> String {
        let member = ["\"", option.name, "\":", value].concat();
        match path {
            "" => format!("{{{member}}}"),
            "session." => format!(r#"{{"session":{{{member}}}}}"#),
            _ => format!(r#"{{"apis":[{{"url":"https://a.test/",{member}}}]}}"#),
        }
    }

    #[test]
    fn option_par_may_be_false() {
        assert!(configured(r#"{"par":false}"#).is_ok());
    }

    #[test]
    fn client_secret_is_refused_without_repeating_it() {
        let error = configured(r#"{"clientSecret": "s3cr3t-value"}"#).unwrap_err();
        assert!(is_explained(&error, "public client"));
        assert!(!error.to_string().contains("s3cr3t-value"));
    }

    #[test]
    fn loopback_may_be_plain_http() {
        let config = Config::parse(
            r#"{"issuer":"http://127.0.0.1:4401","clientId":"a","redirectUri":"/","scope":"openid",
                "apis":[{"url":"http://127.0.0.1:4402/v1/"},{"url":"/api/"}]}"#,
            "http://localhost:4400/worker.js",
        );
        assert!(config.is_ok(), "{config:?}");
    }

    #[test]
    fn rejects_oversized_or_non_object_configuration() {
        for json in ["", "[]", "null", "{", &"[".repeat(70_000)] {
            let error = Config::parse(json, BASE).unwrap_err();
            assert_eq!(error.code(), Code::ConfigInvalid);
        }
    }
}
