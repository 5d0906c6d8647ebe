//! The configuration of a vault, which is read once from JSON and validated as a whole.
//!
//! The configuration is part of the worker file, or of the file `strongroom.json` that the standalone worker fetches.
//! [`rules::config`] says what happens to its faults. The options are documented for users in
//! `pkg/src/worker/config.ts`.

mod apis;
mod login;
mod options;
mod persist;
pub mod pinned;
mod pushing;
mod redirect_uri;

use rules::Result;
use rules::codec::json;
use rules::codec::url::Url;
use rules::config::{
    Faults, Flow, Limits, Options, Redirection, fault, fingerprint, provider, reader, request,
};
use rules::egress::policy::EgressPolicy;
use rules::oauth::metadata::Metadata;
use rules::prelude::*;

pub use login::{CustomLogin, LoginOptions};
pub use persist::Persist;
use pinned::Pinned;
pub use pushing::Pushing;
use redirect_uri::RedirectUri;

/// The most accounts: their numbers have one digit.
const MOST_ACCOUNTS: u64 = 10;

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client and its provider.
    pub flow: Flow,
    /// The absolute URL that the provider redirects to.
    pub redirect_uri: Url,
    /// The rules for calls with an access token.
    pub rules: EgressPolicy,
    /// The place where sessions are kept. Vaults of the same origin, issuer and client share a stored session.
    pub persist: Persist,
    /// The provider's metadata, if it is configured instead of discovered.
    pub metadata: Option<Box<Metadata>>,
    /// The option `pinned`.
    pub pinned: Pinned,
    /// The option `par`.
    pub pushing: Pushing,
    /// Optional features of logins.
    pub login: LoginOptions,
    /// True if pages learn the detailed reason when the provider ends a session or requires interaction.
    pub tells_reasons: bool,
    /// True if pages may inspect the vault's events and state, without the values of tokens and other secrets.
    pub may_inspect: bool,
    /// The number of accounts, or 0 if the app has only one session: see [`Self::with_account`].
    pub accounts: u64,
    /// Fingerprint of this library's version, this configuration and the worker's address, in 16 bits. A deployment
    /// that changes one of the three almost always changes the fingerprint.
    pub build: u16,
    /// True if the worker belongs to a single page. The host sets this member.
    pub is_dedicated: bool,
}

impl Config {
    /// Returns true if sessions are stored, in encrypted form.
    #[must_use]
    pub const fn stores_sessions(&self) -> bool {
        !matches!(self.persist, Persist::Memory)
    }

    /// Returns the redirection endpoint with this URI, which is the configured one or has another port.
    #[must_use]
    pub const fn redirection<'a>(&self, uri: &'a Url) -> Redirection<'a> {
        Redirection {
            uri,
            uses_fragment: self.login.uses_fragment,
        }
    }

    /// Returns the name of the channel for hints about sign-ins. Its name contains the redirect URI, because two apps of
    /// one client would otherwise take each other for deployments of one app.
    #[must_use]
    pub fn sign_in_channel(&self) -> String {
        [&self.flow.channel(), " ", self.redirect_uri.href()].concat()
    }

    /// Returns the configuration for the account whose number is the worker's name. A worker without a name has the first account,
    /// with the number 0. Without the option `accounts`, the name has no meaning.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`](rules::Code::ConfigInvalid) if there is no such account.
    pub fn with_account(mut self, name: &str) -> Result<Self> {
        if self.accounts > 0 && !name.is_empty() {
            self.flow.account = match json::parse_u64(name) {
                Some(account) if account < self.accounts && name.len() == 1 => account,
                _ => {
                    return Err(fault(&[
                        msg!("the worker's name must be the number of an account, from 0 to "),
                        &json::digits(self.accounts - 1),
                    ]));
                }
            };
        }
        Ok(self)
    }

    /// Takes the provider's metadata out of the configuration. Returns `None` if the configuration contains no
    /// metadata, or not all required members.
    pub const fn take_metadata(&mut self) -> Option<Box<Metadata>> {
        self.metadata.take()
    }

    /// Takes the pinned metadata out of the configuration. They have no effect beside complete metadata.
    pub fn take_pinned(&mut self) -> Pinned {
        core::mem::take(&mut self.pinned)
    }

    /// Reads a configuration. Relative URLs are resolved against `base`, the worker's address.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`](rules::Code::ConfigInvalid) with a line for each fault, ten at most.
    pub fn parse(json: &str, base: &str) -> Result<Self> {
        let mut object = reader::parse(json)?;
        // A blob URL contains the origin of the page that created it, after `blob:`.
        let Some(base) = Url::parse(base.strip_prefix("blob:").unwrap_or(base)) else {
            return Err(fault(&[msg!("the worker's URL has no origin")]));
        };
        let build = fingerprint(&[env!("CARGO_PKG_VERSION"), base.href(), json].concat()) as u16;
        let faults = Faults::default();
        let options = Options::of(&object, &faults);
        options.refuse_unknown(options::VAULT);
        let session = rules::config::session(&options);
        session.refuse_unknown(options::SESSION);
        let issuer = provider::issuer(&options);
        let client_id = request::client_id(&options, "clientId");
        let flow = Flow::read(&options, issuer, client_id, None, Limits::read(&session));
        let expected = provider::expected(&flow.issuer, flow.identity.as_ref());
        let metadata = provider::metadata(&options, &expected);
        let pinned = match metadata {
            None => Pinned::read(&options, &expected),
            Some(_) => Pinned::default(),
        };
        let mut rules = apis::rules(&options, &base, &flow, metadata.as_deref());
        let persist = Persist::read(&session);
        if persist == Persist::Escrow {
            // The vault requests the escrowed sealing key from this URL.
            rules.forbid(&[base.href()]);
        }
        let redirect_uri = RedirectUri::read(&options, base);
        let accounts = accounts(&options, flow.forgets);
        let mut config = Self {
            flow,
            rules,
            persist,
            metadata,
            pinned,
            pushing: Pushing::read(&options),
            login: LoginOptions::read(&options, &redirect_uri),
            tells_reasons: options.boolean("reasons"),
            may_inspect: options.boolean("inspect"),
            redirect_uri: redirect_uri.url,
            accounts,
            build,
            is_dedicated: false,
        };
        match faults.into_error() {
            None => {
                config.flow.metadata_members = object.take_object("metadata");
                Ok(config)
            }
            Some(error) => Err(error),
        }
    }
}

/// Reads the number of accounts. `forgets` is the option `logout`, which needs several.
fn accounts(options: &Options<'_>, forgets: bool) -> u64 {
    let Some(value) = options.object.get("accounts") else {
        if forgets {
            options.refuse("logout", msg!("'forget' is only for several `accounts`"));
        }
        return 0;
    };
    let accounts = value.as_u64().unwrap_or_default();
    if !(2..=MOST_ACCOUNTS).contains(&accounts) {
        options.refuse("accounts", msg!("it must be a whole number from 2 to 10"));
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::base::clock::Millis;
    use rules::base::error::Code;
    use rules::codec::json::{Object, Value};
    use rules::oauth::token_endpoint::Scheme;

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
        assert!(!configured("{}").unwrap().flow.uses_dpop);
        assert_eq!(configured("{}").unwrap().flow.scheme(), Scheme::Bearer);
        let bound = configured(r#"{"dpop":true}"#).unwrap();
        assert_eq!(bound.flow.scheme(), Scheme::Dpop);
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
        assert_eq!(config.flow.scope, "openid profile offline_access");
        assert_eq!(config.flow.limits.idle, Millis::from_secs(1800));
        assert_eq!(config.flow.limits.absolute, Millis::from_secs(43_200));
        assert_eq!(config.flow.clock_tolerance, Millis::from_secs(60));
        assert_eq!(config.flow.request_timeout, Millis::from_secs(10));
        assert_eq!(config.flow.refresh_timeout, Millis::from_secs(30));
        assert!(config.flow.claims.contains(&"email".to_owned()));
        assert!(!config.may_inspect);
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
            assert_eq!(config.flow.refresh_timeout, Millis::from_secs(expected));
        }
    }

    #[test]
    fn limits_may_be_equal_and_last_a_year() {
        let limits = |session: &str| {
            let config = configured(&format!(r#"{{"session": {{{session}}}}}"#)).unwrap();
            [config.flow.limits.idle, config.flow.limits.absolute].map(Millis::as_secs)
        };
        assert_eq!(limits(r#""absolute": 31536000"#), [1800, 31_536_000]);
        assert_eq!(limits(r#""idle": 60, "absolute": 60"#), [60, 60]);
        assert_eq!(limits(r#""absolute": 60"#), [60, 60]);
    }

    #[test]
    fn identity_replaces_the_id_token() {
        let changes = |identity: &str| {
            configured(&["{\"scope\": \"read,write\", \"identity\": ", identity, "}"].concat())
        };
        let named = changes(r#"{"from": "token_response", "sub": "id", "claims": ["login"]}"#);
        let named = named.unwrap();
        assert!(!named.flow.has_openid());
        assert_eq!(named.flow.claims, ["login"]);
        let members = named.flow.identity.as_ref().unwrap();
        assert_eq!(members.sub, "id");
        assert!(members.scope_has_commas);
        let nobody = changes(r#""none""#).unwrap();
        assert_eq!(nobody.flow.identity.unwrap().sub, "");
        assert!(nobody.flow.claims.is_empty());
    }

    #[test]
    fn claims_are_listed_once_and_without_sub() {
        let config = configured(r#"{"claims": ["sub", "email", "name", "email"]}"#).unwrap();
        assert_eq!(config.flow.claims, ["email", "name"]);
    }

    #[test]
    fn trusted_audiences_are_read() {
        let audiences = |changes| configured(changes).map(|config| config.flow.trusted_audiences);
        assert_eq!(audiences("{}").unwrap(), [""; 0]);
        let two = audiences(r#"{"trustedAudiences": ["one", "two"]}"#);
        assert_eq!(two.unwrap(), ["one", "two"]);
        assert!(audiences(r#"{"trustedAudiences": "one"}"#).is_err());
    }

    #[test]
    fn claims_of_one_token_cannot_be_compared() {
        for claim in [
            "sub",
            "iss",
            "exp",
            "iat",
            "nbf",
            "auth_time",
            "updated_at",
            "session_expiry",
            "nonce",
            "jti",
            "at_hash",
            "c_hash",
            "s_hash",
            "aud",
            "azp",
        ] {
            let error = configured(&format!(r#"{{"sameClaims": ["{claim}"]}}"#)).unwrap_err();
            assert!(error.message().starts_with("`sameClaims` is"), "{error}");
        }
        let config = configured(r#"{"sameClaims": ["org_id", "sid", "acr"]}"#).unwrap();
        assert_eq!(config.flow.same_claims, ["org_id", "sid", "acr"]);
        assert!(configured("{}").unwrap().flow.same_claims.is_empty());
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
            (
                r#"{"redirectUri": "http://localhost:5173/cb"}"#,
                "on the origin that serves the worker",
            ),
            (r#"{"redirectUri": "/cb#x"}"#, "without fragment"),
            (r#"{"redirectUri": "callback"}"#, "such as '/callback'"),
            (r#"{"redirectUri": ""}"#, "such as '/callback'"),
            (r#"{"redirectUri": "http://app.example.com/cb"}"#, "https"),
            (r#"{"scope": ""}"#, "`scope` is \"\""),
            (r#"{"scope": "openid  email"}"#, "single spaces"),
            (r#"{"scope": "email"}"#, "must contain `openid`"),
            (r#"{"scope": "openid,email"}"#, "by spaces, not by commas"),
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
                "`authorizationParams.prompt`: write consent: 'always', or pass it to login({ prompt })",
            ),
            (
                r#"{"resource": "urn:a", "authorizationParams": {"resource": "urn:b"}}"#,
                "`authorizationParams.resource`",
            ),
            (
                r#"{"resource": "urn:a", "loginParams": ["resource"]}"#,
                "`loginParams`",
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
            (
                r#"{"scope": "a", "identity": {"from": "token_response", "sub": "id"}, "sameClaims": ["org_id"]}"#,
                "`sameClaims` is [\"org_id\"]: a login with `identity`",
            ),
            (
                r#"{"sameClaims": "org_id"}"#,
                "it must be an array of claim names",
            ),
            (
                r#"{"sameClaims": [7]}"#,
                "it must be an array of claim names",
            ),
            (
                r#"{"sameClaims": ["org_id", "sub"]}"#,
                "are always compared",
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

    /// Checks that each of these changes makes the configuration invalid, with a message that contains the text.
    fn are_refused(table: &[(&str, &str)]) {
        for (changes, expected) in table {
            let error = configured(changes).expect_err(changes);
            assert_eq!(error.code(), Code::ConfigInvalid, "{changes}");
            let message = error.message();
            assert!(
                message.contains(expected),
                "{changes}: {message} does not say {expected:?}"
            );
        }
    }

    #[test]
    fn known_options_follow_an_unknown_one() {
        let message = |changes: &str| configured(changes).expect_err(changes).message().to_owned();
        for option in ["clientID", "x", "", "é"] {
            let message = message(&format!(r#"{{"{option}": "s3cret"}}"#));
            let known = options::VAULT.join(" ");
            let expected = format!("`{option}`: there is no such option\n{known}");
            assert_eq!(message, expected);
        }
        let session = message(r#"{"session": {"idel": 60}}"#);
        assert!(session.ends_with(&options::SESSION.join(" ")), "{session}");
        let rule = message(r#"{"apis": [{"url": "https://a.test/", "websocket": {}}]}"#);
        assert!(rule.ends_with(&options::RULE.join(" ")), "{rule}");
        let credentials = r#"{"apis": [{"url": "https://a.test/", "credentials": "never"}]}"#;
        assert!(message(credentials).contains(
            "`apis[0].credentials` is \"never\": it must be 'same-origin', 'omit' or 'include'"
        ));
    }

    /// Returns the problems of the configuration with these changes. Known options, which may follow an unknown one, are
    /// left out.
    fn problems(changes: &str) -> Vec<String> {
        let error = configured(changes).expect_err(changes);
        let known = [options::VAULT, options::SESSION, options::RULE].map(|names| names.join(" "));
        let lines = error.message().lines().map(str::to_owned);
        lines.filter(|line| !known.contains(line)).collect()
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let problems = problems(
            r#"{"scop": "x", "session": {"idle": 0, "persist": "disk"}, "issuer": null, "clientId": "",
                "apis": [{"url": "https://a.test/v1"}, {"url": "https://b.test/", "methods": ["get"]}]}"#,
        );
        let expected = [
            "`scop`: there is no such option",
            "`issuer` is missing: it must be the provider's issuer identifier",
            "`clientId` is \"\": ",
            "`session.idle` is 0: it must be a whole number",
            "`apis[0].url` is \"https://a.test/v1\": its path must end in `/`",
            "`apis[1].methods` is [\"get\"]: ",
            "`session.persist` is \"disk\": it must be 'memory', 'sealed' or 'escrow'",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn options_of_a_rule_are_read_even_if_its_url_is_invalid() {
        for url in [r#""https://a.test/v1""#, r#""http://a.test/""#, "7"] {
            let others = r#""exact": 1, "methods": 1, "stepUp": 1, "cache": 1, "webSocket": 1, "allowHeaders": 1, "scope": 1"#;
            let changes = format!(r#"{{"apis": [{{"url": {url}, {others}}}]}}"#);
            let problems = problems(&changes);
            assert_eq!(problems.len(), 8, "{problems:#?}");
        }
    }

    #[test]
    fn a_mistake_is_one_problem() {
        for changes in [
            r#"{"issuer": null}"#,
            r#"{"issuer": null, "metadata": {"issuer": "https://id.test", "authorization_endpoint": "https://id.test/a",
                "token_endpoint": "https://id.test/t", "jwks_uri": "https://id.test/j"}}"#,
            r#"{"issuer": "http://id.example.com"}"#,
            r#"{"scope": null}"#,
            r#"{"scope": "  email"}"#,
            r#"{"redirectUri": null, "initiateLoginUri": "/start"}"#,
            r#"{"redirectUri": "https://evil.test/cb", "initiateLoginUri": "/start"}"#,
            r#"{"redirectUri": "http://evil.test/cb"}"#,
            r#"{"claims": ["nonce", "at_hash", 1]}"#,
            r#"{"session": 7}"#,
            r#"{"session": {"absolute": 0, "idle": 60}}"#,
            r#"{"session": {"absolute": 99999999, "idle": 99999}}"#,
            r#"{"identity": 7, "scope": "a"}"#,
            r#"{"apis": {}}"#,
            r#"{"apis": [7]}"#,
            r#"{"apis": [{}]}"#,
            r#"{"authorizationParams": {"state": 7}}"#,
        ] {
            let problems = problems(changes);
            assert_eq!(problems.len(), 1, "{changes}: {problems:#?}");
        }
    }

    #[test]
    fn at_most_ten_problems_are_named() {
        let unknown = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!(r#""x{n}": "s3cret""#)).collect();
            problems(&format!("{{{}}}", names.join(",")))
        };
        assert_eq!(unknown(10).len(), 10);
        let problems = unknown(40);
        assert_eq!(problems.len(), 11);
        assert_eq!(problems[9], "`x9`: there is no such option");
        assert_eq!(problems[10], "there are more problems");
        assert!(!problems.concat().contains("s3cret"));
    }

    #[test]
    fn persist_decides_if_sessions_are_stored() {
        for (persist, keeps) in [("memory", false), ("sealed", true), ("escrow", true)] {
            let changes = format!(r#"{{"session":{{"persist":"{persist}"}}}}"#);
            assert_eq!(
                configured(&changes).unwrap().stores_sessions(),
                keeps,
                "{persist}"
            );
        }
        assert!(!configured("{}").unwrap().stores_sessions());
    }

    #[test]
    fn worker_of_an_account_has_its_number_as_name() {
        for (changes, name, account) in [
            ("{}", "anything", Some(0)),
            (r#"{"accounts":2}"#, "", Some(0)),
            (r#"{"accounts":2}"#, "1", Some(1)),
            (r#"{"accounts":2}"#, "2", None),
            (r#"{"accounts":10}"#, "9", Some(9)),
            (r#"{"accounts":10}"#, "09", None),
            (r#"{"accounts":10}"#, "acme", None),
        ] {
            let config = configured(changes).unwrap().with_account(name);
            let found = config.ok().map(|config| config.flow.account);
            assert_eq!(found, account, "{changes} {name}");
        }
        for changes in [
            r#"{"accounts":1}"#,
            r#"{"accounts":11}"#,
            r#"{"accounts":"2"}"#,
            r#"{"logout":"forget"}"#,
            r#"{"accounts":2,"logout":"keep"}"#,
        ] {
            let error = configured(changes).unwrap_err();
            assert_eq!(error.code(), Code::ConfigInvalid, "{changes}");
        }
    }

    #[test]
    fn options_may_be_false() {
        let config = configured(
            r#"{"customLogin":false,"deviceFlow":false,"dpop":false,"idTokenHint":false,"inspect":false,
                "par":false,"reasons":false,"userInfo":false,
                "apis":[{"url":"https://a.test/","cache":false,"exact":false,"stepUp":false}]}"#,
        );
        let config = config.unwrap();
        assert_eq!(config.pushing, Pushing::Never);
        assert!(!config.flow.uses_dpop && !config.may_inspect && !config.flow.asks_user_info);
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
    fn another_address_of_this_device_is_named() {
        let config = r#"{"issuer":"http://127.0.0.1:4401","clientId":"a","redirectUri":"http://localhost:4400/cb",
            "scope":"openid","apis":[]}"#;
        let error = Config::parse(config, "http://127.0.0.1:4400/worker.js").unwrap_err();
        assert!(
            error
                .message()
                .contains("the app was opened at http://127.0.0.1:4400, which is another origin"),
            "{error}"
        );
    }

    #[test]
    fn rejects_oversized_or_non_object_configuration() {
        for json in ["", "[]", "null", "{", &"[".repeat(70_000)] {
            let error = Config::parse(json, BASE).unwrap_err();
            assert_eq!(error.code(), Code::ConfigInvalid);
        }
    }

    #[test]
    fn unsupported_flows_are_refused_with_reason() {
        for (name, section) in [
            ("responseType", "RFC 9700 2.1.2"),
            ("response_type", "RFC 9700 2.1.2"),
            ("implicit", "RFC 9700 2.1.2"),
            ("grantType", "RFC 9700 2.4"),
            ("grant_type", "RFC 9700 2.4"),
            ("username", "RFC 9700 2.4"),
            ("password", "RFC 9700 2.4"),
        ] {
            let error = configured(&format!(r#"{{"{name}": "s3cret"}}"#)).expect_err(name);
            assert!(error.message().contains(section), "{name}: {error}");
            assert!(!error.message().contains("s3cret"));
        }
    }

    #[test]
    fn client_secret_is_refused_without_repeating_it() {
        let error = configured(r#"{"clientSecret": "s3cr3t-value"}"#).unwrap_err();
        assert!(error.message().contains("public client"));
        assert!(!error.to_string().contains("s3cr3t-value"));
    }
}
