//! The configuration: read once from JSON, checked whole, then fixed.
//!
//! It lives in the worker's own file. Each fault is reported as [`Code::ConfigInvalid`] with the
//! option's name, its value and what to write instead; an option that is not known is a fault too,
//! since a misspelt limit is a limit that does not hold. The shape is documented for users in
//! `pkg/src/config.ts`.

use crate::prelude::*;
use alloc::borrow::Cow;
use core::time::Duration;

use crate::allow::{Rule, RuleFault, Rules};
use crate::error::{Code, Error, Result};
use crate::json::{Object, Value};
use crate::jwks::Algorithm;
use crate::metadata::{self, Metadata};
use crate::url::Url;

/// Longest configuration that is read, in bytes of JSON.
pub const MAX_LEN: usize = 64 * 1024;

/// Claims that a page may see when the configuration names none.
const DEFAULT_CLAIMS: &[&str] = &["name", "email", "preferred_username", "picture", "locale"];

/// Claims that tie the ID token to secrets of the flow; a page has no use for them.
const PROTOCOL_CLAIMS: &[&str] = &["nonce", "at_hash", "c_hash", "s_hash"];

/// Authorization request parameters that the flow itself sets (RFC 6749, RFC 7636, RFC 9101, OIDC
/// Core 3.1.2.1), or that `login()` takes as options.
const PROTOCOL_PARAMS: &[&str] = &[
    "acr_values",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "id_token_hint",
    "login_hint",
    "max_age",
    "nonce",
    "prompt",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "ui_locales",
];

/// How long a session may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ends after so long without activity of the user.
    pub idle: Duration,
    /// Ends after so long whatever happens.
    pub absolute: Duration,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// RFC 6749 2.2.
    pub client_id: String,
    /// Where the provider sends its answer; absolute.
    pub redirect_uri: Url,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// What may be called with an access token.
    pub rules: Rules,
    /// How long a session may last.
    pub limits: Limits,
    /// The claims that a page may see, besides `sub`.
    pub claims: Vec<String>,
    /// The provider's metadata, if it is not to be discovered.
    pub metadata: Option<Metadata>,
    /// The only signing algorithm to accept for ID tokens, if fixed.
    pub id_token_alg: Option<Algorithm>,
    /// More parameters for the authorization request.
    pub authorization_params: Vec<(String, String)>,
    /// By how much the provider's clock may differ.
    pub clock_tolerance: Duration,
    /// How long a request to the provider may take.
    pub request_timeout: Duration,
    /// Whether pages are told what happens inside and what is held, without values.
    pub inspect: bool,
}

impl Config {
    /// Reads a configuration. Relative URLs are resolved against `base`, the worker's address.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] with the first fault that is found.
    pub fn parse(json: &str, base: &str) -> Result<Self> {
        if json.len() > MAX_LEN {
            return Err(fault("the configuration is longer than 65536 bytes"));
        }
        let value = Value::parse(json)
            .map_err(|error| fault("the configuration is not JSON: ".to_owned() + error.reason))?;
        let Some(object) = value.as_object() else {
            return Err(fault("the configuration is not an object"));
        };
        refuse_unknown(
            object,
            "",
            &[
                "apis",
                "authorizationParams",
                "claims",
                "clientId",
                "clockTolerance",
                "idTokenSignedResponseAlg",
                "inspect",
                "issuer",
                "metadata",
                "redirectUri",
                "requestTimeout",
                "scope",
                "session",
            ],
        )?;
        let issuer = issuer(object)?;
        let metadata = static_metadata(object, &issuer)?;
        let rules = rules(object, base)?;
        refuse_rules_over_provider(&rules, &issuer, metadata.as_ref())?;
        Ok(Self {
            client_id: client_id(object)?,
            redirect_uri: redirect_uri(object, base)?,
            scopes: scopes(object)?,
            rules,
            limits: limits(object)?,
            claims: claims(object)?,
            id_token_alg: id_token_alg(object)?,
            authorization_params: authorization_params(object)?,
            clock_tolerance: seconds(object, "", "clockTolerance", 60, 0..=600)?,
            request_timeout: seconds(object, "", "requestTimeout", 10, 1..=120)?,
            inspect: boolean(object, "inspect")?,
            issuer,
            metadata,
        })
    }
}

fn fault(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Code::ConfigInvalid, message)
}

/// `option` is `value`: and what is wrong with that.
fn wrong(option: &str, value: &Value, why: &str) -> Error {
    const SHOWN: usize = 80;
    let mut text = String::new();
    value.write(&mut text);
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    fault(["`", option, "` is ", &text, ": ", why].concat())
}

fn missing(option: &str, why: &str) -> Error {
    fault(["`", option, "` is missing: ", why].concat())
}

fn refuse_unknown(object: &Object, parent: &str, known: &[&str]) -> Result<()> {
    for (name, _) in object.iter() {
        if !known.contains(&name) {
            // The value is not shown: it may well be a secret that does not belong here.
            let why = if name.eq_ignore_ascii_case("clientSecret") || name == "client_secret" {
                "a browser cannot keep a client secret; register a public client"
            } else {
                "there is no such option"
            };
            return Err(fault(["`", parent, name, "`: ", why].concat()));
        }
    }
    Ok(())
}

fn required<'a>(object: &'a Object, option: &str, why: &str) -> Result<&'a Value> {
    object.get(option).ok_or_else(|| missing(option, why))
}

fn text<'a>(value: &'a Value, option: &str, why: &str) -> Result<&'a str> {
    value.as_str().ok_or_else(|| wrong(option, value, why))
}

fn issuer(object: &Object) -> Result<String> {
    const WHY: &str =
        "it must be the provider's issuer identifier, an https URL without query or fragment";
    let value = required(object, "issuer", WHY)?;
    let issuer = text(value, "issuer", WHY)?;
    let Some(url) = Url::parse(issuer) else {
        return Err(wrong("issuer", value, WHY));
    };
    if url.protocol == "http:" && !url.is_trustworthy() {
        let why = "it must be https; http is for loopback only";
        return Err(wrong("issuer", value, why));
    }
    let is_plain = url.search.is_empty() && url.hash.is_empty() && !url.has_userinfo;
    if !url.is_trustworthy() || !is_plain {
        return Err(wrong("issuer", value, WHY));
    }
    Ok(issuer.to_owned())
}

fn client_id(object: &Object) -> Result<String> {
    const WHY: &str = "it must be the identifier under which the provider knows this app";
    let value = required(object, "clientId", WHY)?;
    let client_id = text(value, "clientId", WHY)?;
    // RFC 6749 A.1: VSCHAR.
    if client_id.is_empty() || !client_id.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(wrong("clientId", value, WHY));
    }
    Ok(client_id.to_owned())
}

fn redirect_uri(object: &Object, base: &str) -> Result<Url> {
    const WHY: &str = "it must be a URL, or a path on the worker's origin, without fragment";
    let value = required(object, "redirectUri", WHY)?;
    let url = Url::parse_with_base(text(value, "redirectUri", WHY)?, base);
    let Some(url) = url.filter(|url| url.hash.is_empty() && !url.has_userinfo) else {
        return Err(wrong("redirectUri", value, WHY));
    };
    if !url.is_trustworthy() {
        let why = "it must be https; http is for loopback only";
        return Err(wrong("redirectUri", value, why));
    }
    if Url::parse(base).is_some_and(|base| base.origin != url.origin) {
        let why = "it must be on the origin that serves the worker's file, or the answer goes to a page that cannot reach the vault";
        return Err(wrong("redirectUri", value, why));
    }
    Ok(url)
}

fn scopes(object: &Object) -> Result<Vec<String>> {
    const WHY: &str = "it must be a list of scopes separated by single spaces, with `openid`";
    let value = required(object, "scope", WHY)?;
    let scopes: Vec<String> = text(value, "scope", WHY)?
        .split(' ')
        .map(str::to_owned)
        .collect();
    if !scopes.iter().all(|scope| is_scope_token(scope)) {
        return Err(wrong("scope", value, WHY));
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        let why =
            "it must contain `openid`: without it there is no ID token that says who the user is";
        return Err(wrong("scope", value, why));
    }
    Ok(scopes)
}

/// RFC 6749 3.3.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

fn rules(object: &Object, base: &str) -> Result<Rules> {
    const WHY: &str = "it must be a list of rules such as { url: 'https://api.example.com/v1/' }";
    let value = required(object, "apis", WHY)?;
    let Some(items) = value.as_array().filter(|items| items.len() <= 100) else {
        return Err(wrong("apis", value, WHY));
    };
    let rules = items.iter().enumerate().map(|(i, item)| {
        let option = ["apis[", &i.to_string(), "]"].concat();
        let Some(item) = item.as_object() else {
            return Err(wrong(&option, item, WHY));
        };
        rule(item, &option, base)
    });
    rules.collect::<Result<Vec<_>>>().map(Rules::new)
}

fn rule(object: &Object, option: &str, base: &str) -> Result<Rule> {
    refuse_unknown(object, &(option.to_owned() + "."), &["url", "methods"])?;
    let url_option = option.to_owned() + ".url";
    let why = "it must be a URL whose path ends in `/`";
    let Some(value) = object.get("url") else {
        return Err(missing(&url_option, why));
    };
    let Some(url) = Url::parse_with_base(text(value, &url_option, why)?, base) else {
        return Err(wrong(&url_option, value, why));
    };
    let methods_option = option.to_owned() + ".methods";
    let methods_why = "it must be a list of upper-case methods, without CONNECT and TRACE";
    let methods = match object.get("methods") {
        None => vec!["GET".to_owned(), "HEAD".to_owned()],
        Some(list) => strings(list).ok_or_else(|| wrong(&methods_option, list, methods_why))?,
    };
    Rule::new(&url, &methods).map_err(|rule_fault| {
        let why = match rule_fault {
            RuleFault::NotHttps => "it must be https; http is for loopback only",
            RuleFault::NotPlain => "it must have no user name, query or fragment",
            RuleFault::NoTrailingSlash => "its path must end in `/`",
            RuleFault::UnusablePath => "its path has an escaped dot, slash or control character",
            RuleFault::Method => {
                let given = object.get("methods").map_or(Value::Null, Value::clone);
                return wrong(&methods_option, &given, methods_why);
            }
        };
        wrong(&url_option, value, why)
    })
}

/// A rule over the authorization server would let a page send requests to its endpoints, with a
/// token and with the vault's origin.
fn refuse_rules_over_provider(
    rules: &Rules,
    issuer: &str,
    metadata: Option<&Metadata>,
) -> Result<()> {
    let discovery = metadata::discovery_url(issuer);
    let own = [issuer, discovery.as_str()];
    let endpoints = metadata.map(Metadata::endpoints).unwrap_or_default();
    for text in own.iter().chain(&endpoints) {
        let covering = Url::parse(text).and_then(|url| rules.covering(&url).cloned());
        if let Some(rule) = covering {
            return Err(fault(
                [
                    "`apis` has the rule ",
                    &rule.url,
                    ", which covers the authorization server (",
                    text,
                    "): name the API's own path",
                ]
                .concat(),
            ));
        }
    }
    Ok(())
}

fn limits(object: &Object) -> Result<Limits> {
    const YEAR: u64 = 365 * 24 * 3600;
    const HALF_HOUR: u64 = 1800;
    const HALF_DAY: u64 = 43_200;
    let none = Object::new();
    let session = match object.get("session") {
        None => &none,
        Some(value) => value.as_object().ok_or_else(|| {
            wrong(
                "session",
                value,
                "it must be an object such as { idle: 1800 }",
            )
        })?,
    };
    refuse_unknown(session, "session.", &["idle", "absolute", "persist"])?;
    if let Some(persist) = session.get("persist")
        && persist.as_str() != Some("memory")
    {
        let why = "only 'memory' is built so far";
        return Err(wrong("session.persist", persist, why));
    }
    let absolute = seconds(session, "session.", "absolute", HALF_DAY, 1..=YEAR)?;
    let default_idle = HALF_HOUR.min(absolute.as_secs());
    let idle = seconds(session, "session.", "idle", default_idle, 1..=YEAR)?;
    if idle > absolute {
        let why = "it must not be longer than `session.absolute`, or it never takes effect";
        return Err(wrong("session.idle", &Value::from(idle.as_secs()), why));
    }
    Ok(Limits { idle, absolute })
}

fn seconds(
    object: &Object,
    parent: &str,
    option: &str,
    default: u64,
    range: core::ops::RangeInclusive<u64>,
) -> Result<Duration> {
    let Some(value) = object.get(option) else {
        return Ok(Duration::from_secs(default));
    };
    match value.as_u64() {
        Some(number) if range.contains(&number) => Ok(Duration::from_secs(number)),
        _ => {
            let why = [
                "it must be a whole number of seconds from ",
                &range.start().to_string(),
                " to ",
                &range.end().to_string(),
            ]
            .concat();
            Err(wrong(&(parent.to_owned() + option), value, &why))
        }
    }
}

fn boolean(object: &Object, option: &str) -> Result<bool> {
    match object.get(option) {
        None => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| wrong(option, value, "it must be true or false")),
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn claims(object: &Object) -> Result<Vec<String>> {
    let Some(value) = object.get("claims") else {
        return Ok(DEFAULT_CLAIMS.iter().map(|&name| name.to_owned()).collect());
    };
    let Some(claims) = strings(value) else {
        return Err(wrong("claims", value, "it must be a list of claim names"));
    };
    if claims.iter().any(|c| PROTOCOL_CLAIMS.contains(&c.as_str())) {
        let why = "nonce, at_hash, c_hash and s_hash stay in the vault";
        return Err(wrong("claims", value, why));
    }
    Ok(claims)
}

fn static_metadata(object: &Object, issuer: &str) -> Result<Option<Metadata>> {
    let Some(value) = object.get("metadata") else {
        return Ok(None);
    };
    let Some(document) = value.as_object() else {
        return Err(wrong(
            "metadata",
            value,
            "it must be an object (RFC 8414 2)",
        ));
    };
    Metadata::from_object(document, issuer)
        .map(Some)
        .map_err(|error| fault("`metadata`: ".to_owned() + error.message()))
}

fn id_token_alg(object: &Object) -> Result<Option<Algorithm>> {
    let Some(value) = object.get("idTokenSignedResponseAlg") else {
        return Ok(None);
    };
    match value.as_str().and_then(Algorithm::from_name) {
        Some(alg) => Ok(Some(alg)),
        None => {
            let why = "it must be ES256, RS256, PS256 or EdDSA; `none` and HMAC are not accepted in a browser";
            Err(wrong("idTokenSignedResponseAlg", value, why))
        }
    }
}

fn authorization_params(object: &Object) -> Result<Vec<(String, String)>> {
    const OPTION: &str = "authorizationParams";
    const WHY: &str = "it must be an object of strings such as { audience: '…' }";
    let Some(value) = object.get(OPTION) else {
        return Ok(Vec::new());
    };
    let Some(params) = value.as_object() else {
        return Err(wrong(OPTION, value, WHY));
    };
    let param = |(name, value): (&str, &Value)| {
        let option = [OPTION, ".", name].concat();
        if PROTOCOL_PARAMS.contains(&name) {
            let why = "the flow sets this parameter itself";
            return Err(wrong(&option, value, why));
        }
        let text = text(value, &option, WHY)?;
        Ok((name.to_owned(), text.to_owned()))
    };
    params.iter().map(param).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://app.example.com/assets/auth.worker.js";

    /// A sound configuration with `changes` laid over it; `null` removes an option.
    fn configured(changes: &str) -> Result<Config> {
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
    fn the_least_configuration_gets_the_documented_defaults() {
        let config = configured("{}").unwrap();
        assert_eq!(config.redirect_uri.href, "https://app.example.com/callback");
        assert_eq!(config.scopes, ["openid", "profile", "offline_access"]);
        assert_eq!(config.limits.idle, Duration::from_secs(1800));
        assert_eq!(config.limits.absolute, Duration::from_secs(43_200));
        assert_eq!(config.clock_tolerance, Duration::from_secs(60));
        assert_eq!(config.request_timeout, Duration::from_secs(10));
        assert!(config.claims.contains(&"email".to_owned()));
        assert!(!config.inspect);
    }

    #[test]
    fn each_bad_value_is_named_with_the_reason() {
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
                "only 'memory' is built so far",
            ),
            (r#"{"session": {"idel": 60}}"#, "`session.idel`"),
            (r#"{"claims": "email"}"#, "`claims` is \"email\""),
            (r#"{"claims": ["nonce"]}"#, "stay in the vault"),
            (
                r#"{"idTokenSignedResponseAlg": "HS256"}"#,
                "HMAC are not accepted",
            ),
            (r#"{"idTokenSignedResponseAlg": "none"}"#, "`none` and HMAC"),
            (
                r#"{"authorizationParams": {"redirect_uri": "x"}}"#,
                "the flow sets this parameter itself",
            ),
            (r#"{"authorizationParams": {"a": 1}}"#, "object of strings"),
            (r#"{"clockTolerance": -1}"#, "from 0 to 600"),
            (r#"{"requestTimeout": 0}"#, "from 1 to 120"),
            (r#"{"inspect": "yes"}"#, "true or false"),
            (
                r#"{"clientid": "x"}"#,
                "`clientid`: there is no such option",
            ),
            (
                r#"{"metadata": {"issuer": "https://other.test"}}"#,
                "`metadata`: ",
            ),
        ];
        for (changes, expected) in table {
            let error = configured(changes).expect_err(changes);
            assert_eq!(error.code(), Code::ConfigInvalid, "{changes}");
            assert!(
                error.message().contains(expected),
                "{changes}: {} does not say {expected:?}",
                error.message()
            );
        }
    }

    #[test]
    fn a_client_secret_is_refused_without_being_repeated() {
        let error = configured(r#"{"clientSecret": "s3cr3t-value"}"#).unwrap_err();
        assert!(error.message().contains("public client"));
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
    fn what_is_not_an_object_of_moderate_size_is_refused() {
        for json in ["", "[]", "null", "{", &"[".repeat(70_000)] {
            let error = Config::parse(json, BASE).unwrap_err();
            assert_eq!(error.code(), Code::ConfigInvalid);
        }
    }
}
