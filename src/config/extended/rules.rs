//! The additional options of a rule: cache, headers, step-up, access tokens of its own, and the position of the token
//! in WebSocket connections.

use crate::base::capability;
use crate::base::http::is_token;
use crate::codec::json::Value;
use crate::config::Options;
use crate::egress::policy::{EgressPolicy, Rule};
use crate::egress::request_headers::Exceptions;
use crate::egress::token_reflection::Scope;
use crate::egress::websocket::Place;
use crate::oauth::resource_indicators::{Target, is_audience, is_resource};
use crate::oauth::scope::is_narrower;
use crate::prelude::*;

/// Reads the additional options of all rules.
#[derive(Default)]
pub(in super::super) struct RuleExtension {
    /// The targets of rules that have access tokens of their own.
    targets: capability::IfResourceTokens<Vec<Target>>,
}

impl RuleExtension {
    /// Adds the additional options of one rule. Some of them depend on `whole`, the options of the whole configuration.
    pub(in super::super) fn extend(
        &mut self,
        rule: Rule,
        whole: &Options<'_>,
        options: &Options<'_>,
        reflection: Scope,
    ) -> Rule {
        let mut rule = rule
            .with_socket(
                capability::Sockets::WITNESS
                    .and_then(|has| Some(has.with(socket(options, whole.boolean("dpop"))?))),
            )
            .with_step_up(capability::StepUp::WITNESS.filter(|_| options.boolean("stepUp")));
        if let Some(has) = capability::RuleOptions::WITNESS {
            rule = rule.with_headers(header_exceptions(options));
            if is_cacheable(options, reflection) {
                rule = rule.with_cache(has);
            }
        }
        if let (Some(has), Some(targets)) =
            (capability::ResourceTokens::WITNESS, self.targets.get_mut())
        {
            let scope = whole.object.str("scope").unwrap_or_default();
            let target = target(options, scope, targets);
            rule = rule.with_target(target.map(|target| has.with(target)));
        }
        rule
    }

    pub(in super::super) fn finish(self, rules: Vec<Rule>) -> EgressPolicy {
        EgressPolicy::new(rules).with_targets(self.targets)
    }
}

/// Reads `allowHeaders` and `denyHeaders`, the exceptions from the lists in [`crate::egress::request_headers`].
pub(crate) fn header_exceptions(options: &Options<'_>) -> Exceptions {
    const WHY: &str = msg!(
        "it must be an array of header names such as ['X-Api-Key'], without those that no rule can change, such as Authorization, Cookie and Host"
    );
    let mut exceptions = Exceptions::default();
    for name in options.strings("allowHeaders", "", WHY) {
        if !(is_token(&name) && exceptions.allow(&name)) {
            options.refuse("allowHeaders", WHY);
        }
    }
    for name in options.strings("denyHeaders", "", WHY) {
        if !is_token(&name) {
            options.refuse("denyHeaders", WHY);
        }
        exceptions.deny(&name);
    }
    exceptions
}

/// Returns the index of the rule's target in `targets`, or `None` if the rule has no access tokens of its own. Adds the
/// target if `targets` does not contain it. `scope` has the scopes of the login.
fn target(options: &Options<'_>, scope: &str, targets: &mut Vec<Target>) -> Option<usize> {
    let target = Target {
        resource: options.valid_text(
            "resource",
            is_resource,
            msg!("it must be an absolute URI without a fragment (RFC 8707 2)"),
        ),
        audience: options.valid_text(
            "audience",
            is_audience,
            msg!("it must be the name by which the provider knows the API"),
        ),
        scope: options.valid_text(
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

/// Returns the position of the token in WebSocket connections, or `None` if the rule allows no such connections.
fn socket(options: &Options<'_>, binds_to_key: bool) -> Option<Place> {
    const OPTION: &str = "webSocket";
    const WHY: &str = msg!("it must be an object such as { token: 'protocol' }");
    let value = options.object.get(OPTION)?;
    if binds_to_key {
        // RFC 9449 7.1 puts the proof into a header, and a browser cannot set headers of a WebSocket handshake.
        options.refuse(
            OPTION,
            msg!("sockets cannot be used with dpop, since a browser cannot send a proof with them"),
        );
    }
    let Some(object) = value.as_object() else {
        options.refuse(OPTION, WHY);
        return None;
    };
    let path = [options.path, OPTION, "."].concat();
    place(&options.within(object, &path))
}

/// Returns true for `cache: true`: the browser may keep responses in its HTTP cache. A page can read a cached response
/// piece by piece, so such a rule cannot also promise to search responses for the token.
fn is_cacheable(options: &Options<'_>, reflection: Scope) -> bool {
    const OPTION: &str = "cache";
    match options.object.get(OPTION) {
        None | Some(Value::Bool(false)) => return false,
        Some(Value::Bool(true))
            if reflection == Scope::Nothing || options.object.get("reflection").is_none() => {}
        Some(Value::Bool(true)) => options.refuse(
            "reflection",
            msg!("with cache: true it must be 'allow' or omitted: a cached response can be read in pieces"),
        ),
        Some(_) => options.refuse(OPTION, msg!("it must be true or false")),
    }
    true
}

/// Reads the position of the token in WebSocket connections.
fn place(options: &Options<'_>) -> Option<Place> {
    match options.object.str("token") {
        Some("protocol") => {
            options.refuse_unknown("token prefix encoding");
            let why = msg!(
                "it must be a string of characters that are allowed in the name of a sub-protocol (RFC 9110 5.6.2)"
            );
            let prefix = options.text_or("prefix", "", why);
            if !prefix.is_empty() && !is_token(prefix) {
                options.refuse("prefix", why);
            }
            let encoding = options.object.get("encoding").map(Value::as_str);
            if !matches!(encoding, None | Some(Some("base64url"))) {
                options.refuse("encoding", msg!("it must be 'base64url' or omitted"));
            }
            Some(Place::Protocol {
                prefix: prefix.to_owned(),
                is_encoded: encoding.is_some(),
            })
        }
        Some("message") => {
            options.refuse_unknown("token message");
            let why = msg!("it must be a string that contains {token} once");
            let place = Place::message(options.text("message", why));
            if place.is_none() {
                options.refuse("message", why);
            }
            place
        }
        Some("query") => {
            options.refuse_unknown("token parameter");
            let why = msg!("it must be the name of a parameter");
            let parameter = options.text_or("parameter", "access_token", why);
            if parameter.is_empty() {
                options.refuse("parameter", why);
            }
            Some(Place::Query {
                parameter: parameter.to_owned(),
            })
        }
        _ => {
            options.refuse("token", msg!("it must be 'protocol', 'message' or 'query'"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::configured;
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
        needs!(Sockets);
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
        needs!(RuleOptions);
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
        needs!(RuleOptions);
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
        needs!(ResourceTokens);
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
        let index = |url| which(url).map(|target| *target);
        assert_eq!(index("https://b.test/"), Some(1));
        assert_eq!(index("https://e.test/"), Some(3));
        assert_eq!(index("https://f.test/"), None);
        assert_eq!(rules.targets().len(), 4);
        assert_eq!(rules.resources(), ["urn:a", "urn:b"]);
        for (option, expected) in [
            (
                r#""resource": "orders""#,
                "`apis[0].resource` is \"orders\"",
            ),
            (
                r#""resource": "urn:a#b""#,
                "an absolute URI without a fragment",
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
        needs!(ResourceTokens);
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
                .map(|target| *target)
        };
        assert_eq!((which("POST"), which("GET")), (Some(0), Some(1)));
    }
}
