//! Checks URLs of sockets against the policy of `apis`. An allowed URL must be below the path of an `apis` entry even
//! for a lenient server, and must not contain the parameter for the token.

use super::egress::{FORBIDDEN, PREFIX, is_below_the_rule};
use rules::codec::url::Url;
use rules::egress::policy::{EgressPolicy, Rule};
use rules::egress::websocket::Place;

fn rules() -> EgressPolicy {
    let place = Place::Query {
        parameter: "access_token".to_owned(),
    };
    let methods = vec!["GET".to_owned()];
    let rule = Rule::new(Url::parse(PREFIX).unwrap(), methods).unwrap();
    let mut rules = EgressPolicy::new(vec![rule.with_socket(Some(place))]);
    rules.forbid(&[FORBIDDEN]);
    rules
}

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let Ok((allowed, _)) = rules().authorize_socket(text) else {
        return;
    };
    let url = url::Url::parse(allowed.url()).unwrap();
    let is_taken = url.query_pairs().any(|(name, _)| name == "access_token");
    assert!(!is_taken, "{url}");
    let url = allowed.url().strip_prefix("wss://").unwrap();
    let begins_with_wss = text
        .get(..6)
        .is_some_and(|s| s.eq_ignore_ascii_case("wss://"));
    let rest = if begins_with_wss {
        &text[6..]
    } else {
        &text[8..]
    };
    is_below_the_rule(&["https://", rest].concat(), &["https://", url].concat());
}
