//! Checks ID tokens, which the input gives as the JSON of a header and of claims. An accepted token must meet every
//! rule of OpenID Connect Core sections 3.1.3.7 and 12.2. This file implements these rules a second time.

use super::assert_presentable;
use rules::codec::base64url;
use rules::oauth::id_token::{Expected, Occasion, Rejected, Unverified};
use rules::oauth::identity::Identity;
use rules::oauth::jwks::Algorithm;
use rules::{Code, Secret};
use serde_json::{Map, Value};
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;
const TOLERANCE: u64 = 30;
const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
const NONCE: &str = "the-nonce-of-the-login";
const ISSUER: &str = "https://id.example.com";
const LOGIN: &str = r#"{"iss":"https://id.example.com","sub":"joe","aud":"spa","exp":1800000300,
    "iat":1800000000,"auth_time":1799999000,"nonce":"the-nonce-of-the-login"}"#;

/// Takes the header, a line break, and the claims.
pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let (header, claims) = text
        .split_once('\n')
        .unwrap_or((r#"{"alg":"ES256"}"#, text));
    let token = written(header, claims);
    let parse = || Unverified::parse(&token, &Algorithm::ALL);
    let unverified = match parse() {
        Ok(unverified) => unverified,
        Err(error) => {
            assert_eq!(error.code(), Code::IdTokenInvalid);
            return assert_presentable(error.message());
        }
    };
    let at_hash = match unverified.algorithm().name() {
        "RS256" | "PS256" | "ES256" => "77QmUPtjPfzWtF2AnpK9RQ",
        "RS384" | "PS384" | "ES384" => "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs",
        _ => "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM",
    };
    assert!(format!("{unverified:?}").len() < 100);
    let login = unverified.signature_checked(true, &expected(None));
    let original = original();
    let refresh = parse()
        .unwrap()
        .signature_checked(true, &expected(Some(&original)));
    for occasion in [None, Some(&original)] {
        let forged = parse()
            .unwrap()
            .signature_checked(false, &expected(occasion));
        assert!(matches!(forged, Err(Rejected::Invalid(_))));
    }
    let others = serde_json::from_str::<Value>(claims);
    let others = others.as_ref().ok().and_then(Value::as_object);
    let others = others.filter(|_| has_plain_fractions(claims));
    let rules = |rule: fn(&Map<String, Value>, &str) -> bool| others.map(|c| rule(c, at_hash));
    // The other parser rejects numbers outside its range. The results cannot be compared in that case.
    if let Some(is_right) = rules(is_right_at_login) {
        assert_eq!(login.is_ok(), is_right, "at login: {login:?}");
    }
    if let Some(is_right) = rules(is_right_on_refresh) {
        assert_eq!(refresh.is_ok(), is_right, "on refresh: {refresh:?}");
    }
    if let Some(is_other) = rules(|c, _| !is_of_the_same_user(c)) {
        assert_eq!(matches!(refresh, Err(Rejected::OtherUser(_))), is_other);
    }
    for checked in [login, refresh] {
        if let Err(Rejected::Invalid(error) | Rejected::OtherUser(error)) = checked {
            assert_presentable(error.message());
            assert!(!error.message().contains(ACCESS_TOKEN));
        }
    }
}

/// Returns false if the JSON may have a number that loses precision in the other parser's floats: a number with an
/// exponent, or with more than six decimals.
fn has_plain_fractions(json: &str) -> bool {
    let bytes = json.as_bytes();
    let has_exponent = bytes
        .windows(2)
        .any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'e' | b'E'));
    let digits = |rest: &&str| rest.bytes().take_while(u8::is_ascii_digit).count();
    !has_exponent && json.split('.').skip(1).all(|rest| digits(&rest) <= 6)
}

/// Returns the `NumericDate` in a claim as whole seconds, or `None` if the claim is missing or invalid. A fraction is
/// rounded up for `iat` and `nbf`, and down for other claims.
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Option<u64> {
    let value = claims.get(name)?;
    let seconds = value.as_u64().or_else(|| {
        let seconds = value
            .as_f64()
            .filter(|seconds| (0.0..1e15).contains(seconds))?;
        // The range above contains "-0" and "-0.0", which the last line of this block rejects because of their sign.
        let is_up = matches!(name, "iat" | "nbf");
        let rounded = if is_up {
            seconds.ceil()
        } else {
            seconds.floor()
        };
        seconds.is_sign_positive().then_some(rounded as u64)
    });
    seconds.filter(|seconds| *seconds <= 253_402_300_799)
}

fn written(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| base64url::encode(part.as_bytes()));
    [&header, ".", &claims, ".c2lnbmF0dXJl"].concat()
}

fn original() -> Identity {
    let token = written(r#"{"alg":"ES256"}"#, LOGIN);
    let unverified = Unverified::parse(&token, &Algorithm::ALL).unwrap();
    unverified.signature_checked(true, &expected(None)).unwrap()
}

fn expected(original: Option<&Identity>) -> Expected<'_> {
    static SECRETS: LazyLock<(Secret, Secret)> =
        LazyLock::new(|| (Secret::from(NONCE), Secret::from(ACCESS_TOKEN)));
    let (nonce, access_token) = &*SECRETS;
    Expected {
        issuer: ISSUER,
        client_id: "spa",
        trusted_audiences: &[],
        same_claims: &[],
        now_seconds: NOW,
        tolerance_seconds: TOLERANCE,
        access_token,
        occasion: original.map_or(
            Occasion::CodeExchange {
                nonce,
                max_age_seconds: None,
            },
            |original| Occasion::Refresh { original },
        ),
    }
}

fn is_right_at_login(claims: &Map<String, Value>, at_hash: &str) -> bool {
    is_right(claims, at_hash) && claims.get("nonce").and_then(Value::as_str) == Some(NONCE)
}

fn is_right_on_refresh(claims: &Map<String, Value>, at_hash: &str) -> bool {
    is_right(claims, at_hash)
        && claims["sub"] == "joe"
        && numeric_date(claims, "iat") >= Some(NOW - TOLERANCE)
        && (!claims.contains_key("auth_time")
            || numeric_date(claims, "auth_time") == Some(1_799_999_000))
        && claims.get("nonce").is_none_or(|nonce| nonce == NONCE)
        && !claims.contains_key("azp")
}

fn is_of_the_same_user(claims: &Map<String, Value>) -> bool {
    let text = |name| claims.get(name).and_then(Value::as_str);
    // A claim that cannot be an issuer or a subject makes the token malformed.
    match (text("iss"), text("sub")) {
        (None, _) | (Some(ISSUER), None) => true,
        (Some(ISSUER), Some(sub)) => sub == "joe" || sub.is_empty() || sub.len() > 255,
        _ => false,
    }
}

fn is_right(claims: &Map<String, Value>, at_hash: &str) -> bool {
    let text = |name| claims.get(name).and_then(Value::as_str);
    let time = |name| numeric_date(claims, name);
    let is_past = |name| time(name).is_some_and(|time| time <= NOW + TOLERANCE);
    let is_past_if_any = |name| claims.get(name).is_none() || is_past(name);
    let is_meant = match claims.get("aud") {
        Some(Value::String(one)) => one == "spa",
        Some(Value::Array(all)) => {
            all.iter().all(Value::is_string)
                && all.iter().any(|one| one == "spa")
                && (all.iter().all(|one| one == "spa") || text("azp").is_some())
        }
        _ => false,
    };
    text("iss") == Some(ISSUER)
        && text("sub").is_some_and(|sub| (1..=255).contains(&sub.len()))
        && is_meant
        && claims.get("azp").is_none_or(|azp| azp == "spa")
        && time("exp").is_some_and(|exp| NOW < exp + TOLERANCE)
        && is_past("iat")
        && is_past_if_any("nbf")
        && is_past_if_any("auth_time")
        && claims.get("at_hash").is_none_or(|hash| hash == at_hash)
}
