//! The option `apis`: the rules for calls with an access token.

mod socket;

use super::options::RULE;
use rules::base::strings;
use rules::codec::json::{self, Value};
use rules::codec::url::Url;
use rules::config::reader::NOT_HTTPS;
use rules::config::{Flow, Options, request, rule};
use rules::egress::policy::{Credentials, EgressPolicy, Rule, RuleFault};
use rules::egress::token_reflection::Scope;
use rules::oauth::metadata::{self, Metadata};
use rules::oauth::resource_indicators::{Target, is_audience};
use rules::oauth::scope::is_narrower;
use rules::prelude::*;

/// Reads the rules.
pub(super) fn rules(
    options: &Options<'_>,
    base: &Url,
    flow: &Flow,
    metadata: Option<&Metadata>,
) -> EgressPolicy {
    const WHY: &str =
        msg!("it must be an array of rules such as [{ url: 'https://api.example.com/v1/' }]");
    const RULE_WHY: &str = msg!("it must be a rule such as { url: 'https://api.example.com/v1/' }");
    let mut rules = Vec::new();
    let mut targets = Vec::new();
    let items = options.object.get("apis").and_then(Value::as_array);
    let Some(items) = items.filter(|items| items.len() <= 100) else {
        options.refuse("apis", WHY);
        return EgressPolicy::default();
    };
    for (i, item) in items.iter().enumerate() {
        let mut option = "apis[".to_owned();
        json::write_number(&mut option, i as u64);
        option.push_str("].");
        let Some(object) = item.as_object() else {
            let name = option.trim_end_matches('.');
            options.refuse_value(name, Some(item), RULE_WHY);
            continue;
        };
        if let Some(rule) = rule(
            &options.within(object, &option),
            base,
            (options, &flow.target),
            &mut targets,
        ) {
            rules.push(rule);
        }
    }
    let rules = EgressPolicy::new(rules).with_targets(targets);
    refuse_overlapping_media(options, &rules, base);
    refuse_rules_over_provider(options, &rules, &flow.issuer, metadata);
    rules
}

/// Reads a rule. Some of its options depend on `whole`, the options of the whole configuration. Adds the rule's target
/// to `targets`, if the rule has another one than the login.
fn rule(
    options: &Options<'_>,
    base: &Url,
    (whole, login): (&Options<'_>, &Target),
    targets: &mut Vec<Target>,
) -> Option<Rule> {
    options.refuse_unknown(RULE);
    let reflection = rule::reflection(options);
    let credentials = credentials(options);
    // All options are read even if the address is invalid, because the error names all problems.
    let allowed = rule_for_address(options, base);
    let socket = socket::place(options, whole.boolean("dpop"));
    let steps_up = options.boolean("stepUp");
    let headers = rule::header_exceptions(options);
    let media = media(options, reflection);
    let is_cacheable = is_cacheable(options, reflection);
    let scope = whole.object.str("scope").unwrap_or_default();
    let target = target(options, (scope, login), targets);
    let rule = allowed?
        .with_reflection(reflection)
        .with_credentials(credentials)
        .with_socket(socket)
        .with_step_up(steps_up)
        .with_headers(headers)
        .with_media(media)
        .with_token_selector(target);
    Some(if is_cacheable {
        rule.with_cache()
    } else {
        rule
    })
}

/// Reads the options that say which requests a rule allows: `url`, `exact` and `methods`.
fn rule_for_address(options: &Options<'_>, base: &Url) -> Option<Rule> {
    const URL_WHY: &str = msg!("it must be a URL whose path ends in `/`");
    const METHODS_WHY: &str =
        msg!("it must be an array of upper-case methods, without CONNECT and TRACE");
    let url = Url::parse_with_base(options.text("url", URL_WHY), base);
    let methods = options.strings("methods", "GET HEAD", METHODS_WHY);
    if url.is_none() {
        options.refuse("url", URL_WHY);
    }
    let is_exact = options.boolean("exact");
    let url = url?;
    let made = if is_exact {
        Rule::exact(url, methods)
    } else {
        Rule::new(url, methods)
    };
    let (option, why) = match made {
        Ok(rule) => return Some(rule),
        Err(RuleFault::NotHttps) => ("url", NOT_HTTPS),
        Err(RuleFault::NotPlain) => ("url", msg!("it must have no user name, query or fragment")),
        Err(RuleFault::NoTrailingSlash) => (
            "url",
            msg!("its path must end in `/`, or the rule must be for this URL only: exact: true"),
        ),
        Err(RuleFault::UnusablePath) => (
            "url",
            msg!("its path has an escaped dot, slash or control character"),
        ),
        Err(RuleFault::Method) => ("methods", METHODS_WHY),
    };
    options.refuse(option, why);
    None
}

fn credentials(options: &Options<'_>) -> Credentials {
    const OPTION: &str = "credentials";
    match options.object.get(OPTION).map(Value::as_str) {
        None | Some(Some("same-origin")) => {}
        Some(Some("omit")) => return Credentials::Omit,
        Some(Some("include")) => return Credentials::Include,
        Some(_) => options.refuse(
            OPTION,
            msg!("it must be 'same-origin', 'omit' or 'include'"),
        ),
    }
    Credentials::SameOrigin
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

/// Returns the path prefix on the app's origin that the vault maps to the rule's URL, for requests of elements. Such
/// requests can be for a part of a file, in which no token would be found, so the rule must not promise to search bodies.
fn media(options: &Options<'_>, reflection: Scope) -> Option<String> {
    const OPTION: &str = "media";
    const WHY: &str = msg!(
        "it must be a path on the app's origin that starts and ends with `/`, such as '/media/', and whose parts consist only of A-Z, a-z, 0-9, `-`, `_` and `~`"
    );
    let prefix = options.valid_text(OPTION, is_media_path, WHY)?;
    let refuse = |option: &str, why| options.refuse(option, why);
    if reflection == Scope::All {
        let why = msg!(
            "with media it must be 'headers' or 'allow', because elements ask for parts of files"
        );
        refuse("reflection", why);
    }
    if options.object.get("cache") == Some(&Value::Bool(true)) {
        refuse("cache", msg!("it cannot be combined with media"));
    }
    let methods = options.object.get("methods").and_then(Value::as_array);
    if methods.is_some_and(|list| !list.iter().any(|method| method.as_str() == Some("GET"))) {
        refuse("methods", msg!("with media it must contain 'GET'"));
    }
    Some(prefix)
}

/// Returns true for a path such as `/media/`, whose segments consist of characters that no server decodes or removes.
fn is_media_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    let inner = path
        .strip_prefix('/')
        .and_then(|path| path.strip_suffix('/'));
    inner.is_some_and(|inner| {
        strings::split(inner, b'/').all(|part| !part.is_empty() && part.bytes().all(is_plain))
    })
}

/// Refuses a path of `media` that is a prefix of another one, or of the address of the worker or of the callback.
fn refuse_overlapping_media(options: &Options<'_>, rules: &EgressPolicy, base: &Url) {
    let callback = options.object.str("redirectUri").unwrap_or_default();
    let callback = Url::parse_with_base(callback, base);
    let own = callback.iter().chain([base]).map(Url::path);
    let others: Vec<&str> = own.chain(rules.media()).collect();
    for prefix in rules.media() {
        // Each path is a prefix of itself.
        if others
            .iter()
            .filter(|path| path.starts_with(prefix))
            .count()
            > 1
        {
            let why = msg!(
                "a `media` path of `apis` must not contain another one, the worker's file or redirectUri: "
            );
            options.record("apis", &[why, prefix]);
        }
    }
}

/// Returns the index of the rule's target in `targets`, or `None` if the rule has no access tokens of its own. Adds the
/// target if `targets` does not contain it. `scope` has the scopes of the login, and `login` its target.
fn target(
    options: &Options<'_>,
    (scope, login): (&str, &Target),
    targets: &mut Vec<Target>,
) -> Option<usize> {
    let target = Target {
        resource: request::resource(options),
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
    if target.is_default() || target == *login {
        return None;
    }
    let known = targets.iter().position(|known| *known == target);
    Some(known.unwrap_or_else(|| {
        targets.push(target);
        targets.len() - 1
    }))
}

/// Refuses rules that cover the authorization server. Such a rule would let a page send requests to the server's
/// endpoints, with a token and from the vault's origin.
fn refuse_rules_over_provider(
    options: &Options<'_>,
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
            let message = [
                msg!("`apis` has the rule "),
                rule.url().href(),
                msg!(", which covers the authorization server ("),
                text,
                msg!("): name the API's own path"),
            ];
            options.record("apis", &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::configured;
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

    // claim: script-42
    #[test]
    fn media_rules_are_validated() {
        const RULE: &str =
            r#""url": "https://a.test/", "reflection": "headers", "media": "/media/""#;
        let with = |rules: &str| configured(&[r#"{"apis": ["#, rules, "]}"].concat());
        let rule = |options: &str| ["{", RULE, options, "}"].concat();
        for options in ["", r#", "methods": ["GET", "POST"]"#, r#", "exact": true"#] {
            assert!(with(&rule(options)).is_ok(), "{options}");
        }
        let second = |path: &str| [&rule(""), ", ", &rule("").replace("/media/", path)].concat();
        assert!(with(&second("/media2/")).is_ok());
        for (rules, expected) in [
            (
                rule("").replace("headers", "refuse"),
                "`apis[0].reflection` is \"refuse\": with media",
            ),
            (rule(r#", "methods": ["POST"]"#), "`apis[0].methods`"),
            (
                rule(r#", "cache": true"#).replace("headers", "allow"),
                "`apis[0].cache` is true",
            ),
            (second("/media/"), "must not contain another one"),
            (second("/media/films/"), "must not contain another one"),
            (rule("").replace("/media/", "/assets/"), "the worker's file"),
            (rule("").replace("/media/", "/callback/"), ""),
        ] {
            let error = with(&rules).map(drop);
            if expected.is_empty() {
                assert_eq!(error, Ok(()), "{rules}");
            } else {
                let error = error.expect_err(&rules);
                assert_eq!(error.code(), Code::ConfigInvalid);
                assert!(error.message().contains(expected), "{error}");
            }
        }
        for path in [
            "/",
            "",
            "media/",
            "/media",
            "//media/",
            "/a//b/",
            "/a/../b/",
            "/m%65dia/",
            "/a.b/",
            "https://b.test/",
            "/a/?b/",
            "/\u{e9}/",
        ] {
            let error = with(&rule("").replace("/media/", path)).expect_err(path);
            assert!(error.message().contains("`apis[0].media` is"), "{error}");
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
        assert_eq!(rules.resources(&Target::default()), ["urn:a", "urn:b"]);
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
        let error = configured(r#"{"resource": "orders"}"#).unwrap_err();
        assert!(
            error.message().starts_with("`resource` is \"orders\""),
            "{error}"
        );
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
