//! Responses of the token endpoint that violate RFC 6749 section 5.1 or 5.2. Most are rejected, and some are accepted
//! because providers send them.

use rules::Secret;
use rules::base::clock::Millis;
use rules::base::http::HttpReply;
use rules::oauth::token_endpoint::{
    self, DEFAULT_LIFETIME, MAX_LIFETIME, Scheme, TokenResponse, UNLIMITED,
};

fn answer(status: u16, content_type: &str, body: &str) -> TokenResponse {
    let reply = HttpReply {
        status,
        content_type: Some(content_type.to_owned()),
        retry_after: None,
        date: None,
        body: Some(Secret::from(body)),
        dpop_nonce: None,
        location: None,
    };
    token_endpoint::read(&reply, Scheme::Bearer.into())
}

/// Returns the core's result for the default response, with one member replaced or added. An empty `value` removes the
/// member.
fn issued(name: &str, value: &str) -> TokenResponse {
    let usual = [("access_token", r#""at""#), ("token_type", r#""Bearer""#)];
    let others = usual.into_iter().filter(|(usual, _)| *usual != name);
    let changed = Some((name, value)).filter(|(_, value)| !value.is_empty());
    let members = others.chain(changed);
    let members: Vec<String> = members.map(|(n, v)| format!("\"{n}\":{v}")).collect();
    answer(
        200,
        "application/json",
        &format!("{{{}}}", members.join(",")),
    )
}

#[track_caller]
fn assert_useless(answer: &TokenResponse, what: &str) {
    assert!(
        matches!(answer, TokenResponse::Unusable(_)),
        "{what}: {answer:?}"
    );
}

#[test]
fn control_valid_response_is_accepted() {
    assert!(matches!(issued("x", "1"), TokenResponse::Tokens(_)));
}

#[test]
fn unexpected_token_type_is_rejected() {
    for token_type in [
        "\"mac\"",
        "1",
        "[\"Bearer\"]",
        "\"Bearer \"",
        "\"N_A\"",
        "\"DPoP\"",
        "\"dPoP\"",
    ] {
        assert_useless(&issued("token_type", token_type), token_type);
    }
    for token_type in ["\"bearer\"", "\"BEARER\"", "", "null", "\"\""] {
        assert!(
            matches!(issued("token_type", token_type), TokenResponse::Tokens(_)),
            "{token_type}"
        );
    }
}

#[test]
fn expires_in_is_bounded() {
    let lifetime = |value: &str| match issued("expires_in", value) {
        TokenResponse::Tokens(tokens) => Some(tokens.expires_in),
        _ => None,
    };
    for (value, expected) in [
        ("3600", Some(Millis::from_secs(3600))),
        ("\"3600\"", Some(Millis::from_secs(3600))),
        ("-1", Some(DEFAULT_LIFETIME)),
        ("0", Some(DEFAULT_LIFETIME)),
        ("1000000000000000000", Some(MAX_LIFETIME)),
        ("", Some(UNLIMITED)),
        ("\"abc\"", Some(DEFAULT_LIFETIME)),
        ("3599.5", Some(Millis::from_secs(3599))),
        ("1e18", Some(MAX_LIFETIME)),
        ("{}", Some(DEFAULT_LIFETIME)),
    ] {
        assert_eq!(lifetime(value), expected, "{value}");
    }
}

#[test]
fn tokens_have_sendable_characters() {
    let lacks = |name: &str, token: &str| {
        let answer = issued(name, token);
        match (&answer, name) {
            (TokenResponse::Tokens(tokens), "refresh_token") => tokens.refresh_token.is_none(),
            (TokenResponse::Tokens(tokens), "id_token") => tokens.identity.is_none(),
            _ => matches!(answer, TokenResponse::Unusable(_)),
        }
    };
    for name in ["access_token", "refresh_token", "id_token"] {
        for token in [
            "\"\"",
            "1",
            "\"a\\r\\nX-Other: 1\"",
            "\"\\u0000\"",
            "\"\\u007f\"",
            "\"é\"",
            "[]",
        ] {
            assert!(lacks(name, token), "{name} {token}");
        }
        // Only a refresh token, which is sent in a form, may have spaces.
        assert_eq!(lacks(name, "\"a b\""), name != "refresh_token", "{name}");
    }
    for scope in [
        "1",
        "\"a\\\"b\"",
        "\"a\\\\b\"",
        "\"a\\u0000\"",
        "\"é\"",
        "[\"openid\"]",
    ] {
        let TokenResponse::Tokens(tokens) = issued("scope", scope) else {
            panic!("{scope}");
        };
        assert!(
            tokens.scope.is_none() && tokens.has_unusable_scope,
            "{scope}"
        );
    }
}

#[test]
fn missing_and_empty_members_differ() {
    let TokenResponse::Tokens(tokens) = issued("scope", "\"openid\"") else {
        panic!("refused");
    };
    assert_eq!(tokens.scope.as_deref(), Some("openid"));
    assert!(tokens.refresh_token.is_none() && tokens.identity.is_none());
    assert_useless(&issued("access_token", ""), "no access token");
}

// claim: network-2
#[test]
fn invalid_responses_yield_no_tokens() {
    let good = r#"{"access_token":"at","token_type":"Bearer"}"#;
    let json = "application/json";
    for (status, content_type, body) in [
        (200, json, "[]"),
        (200, json, "null"),
        (200, json, "{}"),
        (200, json, &good[..20]),
        (200, json, &[good, good].concat()),
        (200, json, &["\u{feff}\u{feff}", good].concat()),
        (200, json, &[good, "\u{feff}"].concat()),
        (200, json, &good.replace('{', r#"{"access_token":"other","#)),
        (
            200,
            json,
            &good.replace('{', r#"{"error":"invalid_grant","#),
        ),
        (200, "text/html", "<html>please accept our terms"),
        (200, "text/html", good),
        (200, "text/plain", good),
        (
            200,
            "application/x-www-form-urlencoded",
            "access_token=at&token_type=Bearer",
        ),
        (204, json, ""),
        (302, json, good),
        (307, json, good),
    ] {
        assert_useless(
            &answer(status, content_type, body),
            &format!("{status} {content_type} {body}"),
        );
    }
    for body in [good, &["\u{feff}", good].concat()] {
        assert!(matches!(
            answer(200, "application/json;charset=UTF-8", body),
            TokenResponse::Tokens(_)
        ));
    }
}

#[test]
fn errors_repeat_nothing_but_the_code() {
    for error in [
        "\"invalid grant\"",
        "\"a\\u0007\"",
        "\"é\"",
        "\"\\\"\"",
        "\"\"",
        "1",
        "\"INVALID_GRANT\"",
        "\"at-0123456789abcdef\"",
    ] {
        let answer = answer(400, "application/json", &format!(r#"{{"error":{error}}}"#));
        assert_useless(&answer, error);
    }
    let body =
        r#"{"error":"invalid_grant","error_description":"secret","error_uri":"https://evil.test"}"#;
    let told = format!("{:?}", answer(400, "application/json", body));
    assert_eq!(told, "Refused(\"invalid_grant\")");
}
