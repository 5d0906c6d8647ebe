//! The option `apis`: the rules for calls with an access token.

use super::extended::RuleExtension;
use super::options::OF_RULE;
use super::reader::{NOT_HTTPS, Options};
use crate::base::capability;
use crate::codec::json::{self, Value};
use crate::codec::url::Url;
use crate::egress::policy::{Credentials, EgressPolicy, Rule, RuleFault};
use crate::egress::token_reflection::Scope;
use crate::oauth::metadata::{self, Metadata};
use crate::prelude::*;

pub(super) fn rules(
    options: &Options<'_>,
    base: &Url,
    issuer: &str,
    metadata: Option<&Metadata>,
) -> EgressPolicy {
    const WHY: &str =
        msg!("it must be an array of rules such as [{ url: 'https://api.example.com/v1/' }]");
    const RULE_WHY: &str = msg!("it must be a rule such as { url: 'https://api.example.com/v1/' }");
    let mut rules = Vec::new();
    let mut extension = RuleExtension::default();
    let items = options.object.get("apis").and_then(Value::as_array);
    let Some(items) = items.filter(|items| items.len() <= 100) else {
        options.refuse("apis", WHY);
        return EgressPolicy::default();
    };
    let mut option = String::new();
    for (i, item) in items.iter().enumerate() {
        if capability::ConfigMessages::WITNESS.is_some() {
            option.clear();
            option.push_str("apis[");
            json::write_number(&mut option, i as u64);
            option.push_str("].");
        }
        let Some(object) = item.as_object() else {
            let name = option.trim_end_matches('.');
            options
                .fault
                .record(|| options.invalid(name, Some(item), RULE_WHY));
            continue;
        };
        if let Some(rule) = rule(
            &options.within(object, &option),
            base,
            options,
            &mut extension,
        ) {
            rules.push(rule);
        }
    }
    let rules = extension.finish(rules);
    refuse_rules_over_provider(options, &rules, issuer, metadata);
    rules
}

fn rule(
    options: &Options<'_>,
    base: &Url,
    whole: &Options<'_>,
    extension: &mut RuleExtension,
) -> Option<Rule> {
    const URL_WHY: &str = msg!("it must be a URL whose path ends in `/`");
    const METHODS_WHY: &str =
        msg!("it must be an array of upper-case methods, without CONNECT and TRACE");
    options.refuse_unknown(OF_RULE);
    let reflection = reflection(options);
    let credentials = credentials(options);
    let url = Url::parse_with_base(options.text("url", URL_WHY), base);
    let methods = options.strings("methods", "GET HEAD", METHODS_WHY);
    let Some(url) = url else {
        options.refuse("url", URL_WHY);
        return None;
    };
    let made = match capability::RuleOptions::WITNESS.filter(|_| options.boolean("exact")) {
        Some(has) => Rule::exact(has, url, methods),
        None => Rule::new(url, methods),
    };
    let (option, why) = match made {
        Ok(rule) => {
            let rule = rule
                .with_reflection(reflection)
                .with_credentials(credentials);
            return Some(extension.extend(rule, whole, options, reflection));
        }
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

pub(crate) fn reflection(options: &Options<'_>) -> Scope {
    const OPTION: &str = "reflection";
    match options.object.get(OPTION).map(Value::as_str) {
        None | Some(Some("refuse")) => return Scope::All,
        Some(Some("headers")) => return Scope::Headers,
        Some(Some("allow")) => return Scope::Nothing,
        Some(_) => {}
    }
    options.refuse(OPTION, msg!("it must be 'refuse', 'headers' or 'allow'"));
    Scope::All
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
            options.record(&[
                msg!("`apis` has the rule "),
                rule.url().href(),
                msg!(", which covers the authorization server ("),
                text,
                msg!("): name the API's own path"),
            ]);
        }
    }
}
