//! The option `apis`: the rules for calls with the access token, and the position of the token in sockets.

use super::{MORE_RULE_OPTIONS, NOT_HTTPS, Options, RULE_OPTIONS};
#[cfg(feature = "extended")]
use crate::base::http::is_token;
use crate::codec::json::{self, Value};
use crate::codec::url::Url;
use crate::egress::policy::{EgressPolicy, Rule, RuleFault};
#[cfg(feature = "extended")]
use crate::egress::request_headers::Exceptions;
use crate::egress::token_reflection::Scope;
#[cfg(feature = "extended")]
use crate::egress::websocket::Place;
use crate::oauth::metadata::{self, Metadata};
#[cfg(feature = "extended")]
use crate::oauth::resource_indicators::{Target, is_audience, is_resource};
#[cfg(feature = "extended")]
use crate::oauth::scope::is_narrower;
use crate::prelude::*;

impl<'a> Options<'a> {
    pub(super) fn rules(
        &self,
        base: &Url,
        issuer: &str,
        metadata: Option<&Metadata>,
    ) -> EgressPolicy {
        const WHY: &str =
            msg!("it must be an array of rules such as [{ url: 'https://api.example.com/v1/' }]");
        const RULE_WHY: &str =
            msg!("it must be a rule such as { url: 'https://api.example.com/v1/' }");
        let mut rules = Vec::new();
        #[cfg(feature = "extended")]
        let (mut targets, scope) = (Vec::new(), self.object.str("scope").unwrap_or_default());
        let items = self.object.get("apis").and_then(Value::as_array);
        let Some(items) = items.filter(|items| items.len() <= 100) else {
            self.refuse("apis", WHY);
            return EgressPolicy::default();
        };
        let mut option = String::new();
        for (i, item) in items.iter().enumerate() {
            option.clear();
            option.push_str("apis[");
            json::write_number(&mut option, i as u64);
            option.push(']');
            let Some(object) = item.as_object() else {
                self.refuse_value(&option, item, RULE_WHY);
                continue;
            };
            option.push('.');
            let options = Options {
                object,
                path: &option,
                fault: self.fault,
            };
            #[cfg(feature = "extended")]
            {
                let rule = options.rule(base, self.boolean("dpop"));
                let which = options.target(scope, &mut targets);
                if let Some(rule) = rule {
                    rules.push(rule.with_target(which));
                }
            }
            #[cfg(not(feature = "extended"))]
            if let Some(rule) = options.rule(base) {
                rules.push(rule);
            }
        }
        let rules = EgressPolicy::new(rules);
        #[cfg(feature = "extended")]
        let rules = rules.with_targets(targets);
        self.refuse_rules_over_provider(&rules, issuer, metadata);
        rules
    }

    fn rule(&self, base: &Url, #[cfg(feature = "extended")] binds_to_key: bool) -> Option<Rule> {
        const URL_WHY: &str = msg!("it must be a URL whose path ends in `/`");
        const METHODS_WHY: &str =
            msg!("it must be an array of upper-case methods, without CONNECT and TRACE");
        self.refuse_unknown(RULE_OPTIONS, MORE_RULE_OPTIONS);
        let reflection = self.reflection();
        #[cfg(feature = "extended")]
        let socket = self.socket(binds_to_key);
        let url = Url::parse_with_base(self.text("url", URL_WHY), base);
        let methods = self.strings("methods", "GET HEAD", METHODS_WHY);
        let Some(url) = url else {
            self.refuse("url", URL_WHY);
            return None;
        };
        let (option, why) = match Rule::new(url, methods) {
            Ok(rule) => {
                let rule = rule.with_reflection(reflection);
                #[cfg(feature = "extended")]
                let rule = {
                    let steps_up = self.boolean("stepUp");
                    let rule = rule.with_socket(socket).with_step_up(steps_up);
                    let rule = rule.with_headers(self.header_exceptions());
                    if self.cache(reflection) {
                        rule.with_cache()
                    } else {
                        rule
                    }
                };
                return Some(rule);
            }
            Err(RuleFault::NotHttps) => ("url", NOT_HTTPS),
            Err(RuleFault::NotPlain) => {
                ("url", msg!("it must have no user name, query or fragment"))
            }
            Err(RuleFault::NoTrailingSlash) => ("url", msg!("its path must end in `/`")),
            Err(RuleFault::UnusablePath) => (
                "url",
                msg!("its path has an escaped dot, slash or control character"),
            ),
            Err(RuleFault::Method) => ("methods", METHODS_WHY),
        };
        self.refuse(option, why);
        None
    }

    /// Returns true for `cache: true`: the browser may keep responses in its HTTP cache. A page can read a cached response
    /// piece by piece, so such a rule cannot also promise to search responses for the token.
    #[cfg(feature = "extended")]
    fn cache(&self, reflection: Scope) -> bool {
        const OPTION: &str = "cache";
        match self.object.get(OPTION) {
            None | Some(Value::Bool(false)) => return false,
            Some(Value::Bool(true))
                if reflection == Scope::Nothing || self.object.get("reflection").is_none() => {}
            Some(Value::Bool(true)) => self.refuse(
                "reflection",
                msg!("with cache: true it must be 'allow' or omitted: a cached response can be read in pieces"),
            ),
            Some(_) => self.refuse(OPTION, msg!("it must be true or false")),
        }
        true
    }

    /// `allowHeaders` and `denyHeaders`: exceptions from [`crate::egress::request_headers`].
    #[cfg(feature = "extended")]
    pub(crate) fn header_exceptions(&self) -> Exceptions {
        const WHY: &str = msg!(
            "it must be an array of header names such as ['X-Api-Key'], without those that no rule can change, such as Authorization, Cookie and Host"
        );
        let mut exceptions = Exceptions::default();
        for option in ["allowHeaders", "denyHeaders"] {
            if self.object.get(option).is_some() {
                for name in self.strings(option, "", WHY) {
                    let is_sound = is_token(&name)
                        && if option == "allowHeaders" {
                            exceptions.allow(&name)
                        } else {
                            exceptions.deny(&name);
                            true
                        };
                    if !is_sound {
                        self.refuse(option, WHY);
                    }
                }
            }
        }
        exceptions
    }

    pub(crate) fn reflection(&self) -> Scope {
        const OPTION: &str = "reflection";
        match self.object.get(OPTION).map(Value::as_str) {
            None | Some(Some("refuse")) => return Scope::All,
            Some(Some("headers")) => return Scope::Headers,
            Some(Some("allow")) => return Scope::Nothing,
            Some(_) => {}
        }
        self.refuse(OPTION, msg!("it must be 'refuse', 'headers' or 'allow'"));
        Scope::All
    }

    /// Returns the index of the rule's target in `targets`, if the rule has access tokens of its own.
    #[cfg(feature = "extended")]
    fn target(&self, scope: &str, targets: &mut Vec<Target>) -> Option<usize> {
        let target = Target {
            resource: self.identifier(
                "resource",
                is_resource,
                msg!("it must be an absolute URI without fragment (RFC 8707 2)"),
            ),
            audience: self.identifier(
                "audience",
                is_audience,
                msg!("it must be the name by which the provider knows the API"),
            ),
            scope: self.identifier(
                "scope",
                |narrower| is_narrower(narrower, scope),
                msg!("it must be a string of scopes, separated by single spaces, that are all in the login's `scope`"),
            ),
        };
        if target.is_default() {
            return None;
        }
        let known = targets.iter().position(|known| *known == target);
        Some(known.unwrap_or_else(|| {
            targets.push(target);
            targets.len() - 1
        }))
    }

    #[cfg(feature = "extended")]
    fn identifier(&self, name: &str, is_one: impl Fn(&str) -> bool, why: &str) -> Option<String> {
        let value = self.object.get(name)?;
        let text = value.as_str().filter(|text| is_one(text));
        if text.is_none() {
            self.refuse(name, why);
        }
        text.map(ToOwned::to_owned)
    }

    /// The position of the token in sockets.
    #[cfg(feature = "extended")]
    fn socket(&self, binds_to_key: bool) -> Option<Place> {
        const OPTION: &str = "webSocket";
        const WHY: &str = msg!("it must be an object such as { token: 'protocol' }");
        let value = self.object.get(OPTION)?;
        if binds_to_key {
            // RFC 9449 7.1 puts the proof into a header, which a browser cannot set here.
            self.refuse(
                OPTION,
                msg!("sockets cannot be used with dpop, since a browser cannot send a proof with them"),
            );
        }
        let Some(object) = value.as_object() else {
            self.refuse(OPTION, WHY);
            return None;
        };
        let path = [self.path, OPTION, "."].concat();
        let options = Options {
            object,
            path: &path,
            fault: self.fault,
        };
        options.place()
    }

    #[cfg(feature = "extended")]
    fn place(&self) -> Option<Place> {
        match self.object.str("token") {
            Some("protocol") => {
                self.refuse_unknown("token prefix encoding", "");
                let why = msg!(
                    "it must be a string of characters that are allowed in the name of a sub-protocol (RFC 9110 5.6.2)"
                );
                let prefix = self.optional_text("prefix", "", why);
                if !prefix.is_empty() && !is_token(prefix) {
                    self.refuse("prefix", why);
                }
                let encoding = self.object.get("encoding").map(Value::as_str);
                if !matches!(encoding, None | Some(Some("base64url"))) {
                    self.refuse("encoding", msg!("it must be 'base64url' or omitted"));
                }
                Some(Place::Protocol {
                    prefix: prefix.to_owned(),
                    is_encoded: encoding.is_some(),
                })
            }
            Some("message") => {
                self.refuse_unknown("token message", "");
                let why = msg!("it must be a string that contains {token} once");
                let place = Place::message(self.text("message", why));
                if place.is_none() {
                    self.refuse("message", why);
                }
                place
            }
            Some("query") => {
                self.refuse_unknown("token parameter", "");
                let why = msg!("it must be the name of a parameter");
                let parameter = self.optional_text("parameter", "access_token", why);
                if parameter.is_empty() {
                    self.refuse("parameter", why);
                }
                Some(Place::Query {
                    parameter: parameter.to_owned(),
                })
            }
            _ => {
                self.refuse("token", msg!("it must be 'protocol', 'message' or 'query'"));
                None
            }
        }
    }

    /// An optional string.
    #[cfg(feature = "extended")]
    fn optional_text(&self, name: &str, default: &'a str, why: &str) -> &'a str {
        if self.object.get(name).is_some() {
            self.text(name, why)
        } else {
            default
        }
    }

    /// Refuses rules that cover the authorization server. Such a rule would let a page send requests to its endpoints, with
    /// a token and from the vault's origin.
    fn refuse_rules_over_provider(
        &self,
        rules: &EgressPolicy,
        issuer: &str,
        metadata: Option<&Metadata>,
    ) {
        let discovery = metadata::discovery_url(issuer);
        let mut own = metadata.map(Metadata::endpoints).unwrap_or_default();
        own.push(issuer);
        own.push(&discovery);
        for text in own {
            let url = Url::parse(text);
            if let Some(rule) = url.as_ref().and_then(|url| rules.rule_for(url)) {
                self.record(&[
                    msg!("`apis` has the rule "),
                    rule.url().href(),
                    msg!(", which covers the authorization server ("),
                    text,
                    msg!("): name the API's own path"),
                ]);
            }
        }
    }
}

#[cfg(all(test, feature = "extended"))]
mod tests {
    use super::super::tests::configured;
    use super::*;
    use crate::{Code, Error};

    #[test]
    fn up_to_100_rules_are_accepted() {
        let with = |count| {
            let rules = vec![r#"{"url":"https://a.test/"}"#; count].join(",");
            configured(&format!(r#"{{"apis":[{rules}]}}"#))
        };
        assert!(with(100).is_ok());
        assert!(with(101).is_err());
    }

    #[test]
    fn web_socket_option_is_validated() {
        let rule = |place: &str| {
            configured(
                &[
                    r#"{"apis": [{"url": "https://api.example.com/v1/", "webSocket": "#,
                    place,
                    "}]}",
                ]
                .concat(),
            )
        };
        for place in [
            r#"{"token": "protocol"}"#,
            r#"{"token": "protocol", "prefix": "bearer.", "encoding": "base64url"}"#,
            r#"{"token": "message", "message": "Bearer {token}"}"#,
            r#"{"token": "query"}"#,
            r#"{"token": "query", "parameter": "jwt"}"#,
        ] {
            assert!(rule(place).is_ok(), "{place}");
        }
        for (place, expected) in [
            ("true", "`apis[0].webSocket` is true: it must be an object"),
            (
                r#"{"token": "header"}"#,
                "`apis[0].webSocket.token` is \"header\"",
            ),
            ("{}", "`apis[0].webSocket.token` is missing"),
            (
                r#"{"token": "protocol", "prefix": "a b"}"#,
                "`apis[0].webSocket.prefix` is \"a b\"",
            ),
            (r#"{"token": "protocol", "prefix": 1}"#, "prefix` is 1"),
            (
                r#"{"token": "protocol", "encoding": "hex"}"#,
                "'base64url' or omitted",
            ),
            (
                r#"{"token": "protocol", "parameter": "a"}"#,
                "parameter`: there is no such option",
            ),
            (r#"{"token": "message"}"#, "message` is missing"),
            (
                r#"{"token": "message", "message": "{tokens}"}"#,
                "contains {token} once",
            ),
            (
                r#"{"token": "message", "message": "{token}{token}"}"#,
                "contains {token} once",
            ),
            (
                r#"{"token": "query", "parameter": ""}"#,
                "the name of a parameter",
            ),
        ] {
            let error = rule(place).expect_err(place);
            let message = error.message();
            assert!(message.contains(expected), "{place}: {message}");
        }
    }

    #[test]
    fn caching_rules_search_no_responses() {
        let rule = |options: &str| {
            let rule = [r#"{"apis": [{"url": "https://a.test/", "#, options, "}]}"].concat();
            let allowed = configured(&rule)?
                .rules
                .authorize("https://a.test/x", "GET")?;
            Ok::<_, Error>((allowed.caches(), allowed.reflection()))
        };
        for (options, caches, reflection) in [
            (r#""methods": ["GET"]"#, false, Scope::All),
            (r#""cache": false"#, false, Scope::All),
            (
                r#""cache": false, "reflection": "headers""#,
                false,
                Scope::Headers,
            ),
            (r#""cache": true"#, true, Scope::Nothing),
            (
                r#""cache": true, "reflection": "allow""#,
                true,
                Scope::Nothing,
            ),
        ] {
            assert_eq!(rule(options), Ok((caches, reflection)), "{options}");
        }
        for (options, expected) in [
            (
                r#""cache": true, "reflection": "refuse""#,
                "`apis[0].reflection` is \"refuse\": with cache: true it must be 'allow'",
            ),
            (
                r#""cache": true, "reflection": "headers""#,
                "`apis[0].reflection` is \"headers\"",
            ),
            (
                r#""cache": "no-store""#,
                "`apis[0].cache` is \"no-store\": it must be true or false",
            ),
        ] {
            let error = rule(options).expect_err(options);
            assert_eq!(error.code(), Code::ConfigInvalid);
            assert!(error.message().contains(expected), "{error}");
        }
    }

    #[test]
    fn header_names_are_validated() {
        for (options, expected) in [
            (r#""allowHeaders": "Range""#, "`apis[0].allowHeaders` is"),
            (r#""allowHeaders": ["a b"]"#, "`apis[0].allowHeaders` is"),
            (r#""allowHeaders": [1]"#, "`apis[0].allowHeaders` is"),
            (r#""allowHeaders": [""]"#, "`apis[0].allowHeaders` is"),
            (
                r#""allowHeaders": ["Authorization"]"#,
                "that no rule can change",
            ),
            (
                r#""allowHeaders": ["proxy_authorization"]"#,
                "that no rule can change",
            ),
            (r#""denyHeaders": ["a:b"]"#, "`apis[0].denyHeaders` is"),
        ] {
            let rule = [r#"{"apis": [{"url": "https://a.test/", "#, options, "}]}"].concat();
            let error = configured(&rule).expect_err(options);
            assert!(error.message().contains(expected), "{options}: {error}");
        }
    }

    #[test]
    fn resource_options_are_validated_and_distinguished() {
        let config = configured(
            r#"{"scope": "openid a b", "apis": [
                {"url": "https://a.test/", "resource": "urn:a"},
                {"url": "https://b.test/", "resource": "urn:b", "scope": "a"},
                {"url": "https://c.test/", "resource": "urn:a"},
                {"url": "https://d.test/", "audience": "orders"},
                {"url": "https://e.test/", "scope": "a"},
                {"url": "https://f.test/"}
            ]}"#,
        );
        let rules = config.unwrap().rules;
        let which = |url| rules.authorize(url, "GET").unwrap().token_selector();
        assert_eq!(which("https://a.test/"), which("https://c.test/"));
        assert_eq!(which("https://b.test/"), Some(1));
        assert_eq!(which("https://e.test/"), Some(3));
        assert_eq!(which("https://f.test/"), None);
        assert_eq!(rules.targets().len(), 4);
        assert_eq!(rules.resources(), ["urn:a", "urn:b"]);
        for (option, expected) in [
            (
                r#""resource": "orders""#,
                "`apis[0].resource` is \"orders\"",
            ),
            (
                r#""resource": "urn:a#b""#,
                "an absolute URI without fragment",
            ),
            (r#""resource": ["urn:a"]"#, "`apis[0].resource`"),
            (r#""audience": """#, "`apis[0].audience` is \"\""),
            (r#""scope": "openid admin""#, "`apis[0].scope` is"),
            (r#""scope": 1"#, "`apis[0].scope` is 1"),
        ] {
            let rule = [r#"{"apis": [{"url": "https://a.test/", "#, option, "}]}"].concat();
            let error = configured(&rule).expect_err(option);
            assert!(error.message().contains(expected), "{option}: {error}");
        }
    }

    #[test]
    fn first_matching_rule_selects_the_token() {
        let config = configured(
            r#"{"apis": [
                {"url": "https://a.test/x/", "methods": ["POST"], "resource": "urn:a"},
                {"url": "https://a.test/", "methods": ["GET", "POST"], "resource": "urn:b"}
            ]}"#,
        );
        let rules = config.unwrap().rules;
        let which = |method| {
            rules
                .authorize("https://a.test/x/y", method)
                .unwrap()
                .token_selector()
        };
        assert_eq!((which("POST"), which("GET")), (Some(0), Some(1)));
    }
}
