//! The oracle's own reading of the token endpoint's responses.

use rules::base::clock::Millis;
use rules::base::http::Outcome;
use rules::codec::json::Value;

/// The meaning of a response of the token endpoint.
pub(super) enum Reading {
    Tokens {
        access_token: String,
        refresh_token: Option<String>,
        lifetime: Millis,
        /// True if the refresh token is there and not usable.
        is_lost: bool,
    },
    /// There is no usable access token. The refresh token replaces the one that was sent, even if it is not usable.
    Rotated(Option<String>),
    Refused(String),
    Wait(Millis),
    Nothing,
}

/// Returns true if the error concerns the proof and not the grant.
pub(super) fn is_about_proof(code: &str) -> bool {
    matches!(code, "use_dpop_nonce" | "invalid_dpop_proof")
}

/// Returns true for the error codes of a misconfigured client.
pub(super) fn is_misconfiguration(code: &str) -> bool {
    matches!(
        code,
        "invalid_client"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "invalid_scope"
            | "invalid_target"
    )
}

/// Returns true for a 400 or 401 that is not an OAuth error, and that is probably a gateway's page.
pub(super) fn is_of_gateway(outcome: &Outcome) -> bool {
    let Outcome::Reply(reply) = outcome else {
        return false;
    };
    let body = reply.text();
    let value = body.and_then(|body| Value::parse_tolerant(body).ok());
    let object = value.as_ref().and_then(Value::as_object);
    let has_error = object.is_some_and(|object| object.get("error").is_some());
    matches!(reply.status, 400 | 401) && !has_error
}

/// Returns true for a rejection without a reason.
pub(super) fn is_unexplained(outcome: &Outcome) -> bool {
    let Outcome::Reply(reply) = outcome else {
        return false;
    };
    let is_explained = |code: &str| {
        is_about_proof(code)
            || is_misconfiguration(code)
            || matches!(
                code,
                "invalid_grant"
                    | "interaction_required"
                    | "login_required"
                    | "consent_required"
                    | "mfa_required"
                    | "temporarily_unavailable"
                    | "server_error"
                    | "slow_down"
            )
    };
    matches!(reply.status, 400 | 401)
        && match read(outcome) {
            Reading::Refused(code) => !is_explained(&code),
            _ => true,
        }
}

/// Returns true if an error in the response to a request for a resource concerns only the resource or the scope, and
/// not the session.
pub fn is_refusal_of_target(outcome: &Outcome) -> bool {
    let of_session = [
        "invalid_grant",
        "temporarily_unavailable",
        "server_error",
        "slow_down",
    ];
    is_unexplained(outcome)
        || matches!(read(outcome), Reading::Refused(code) if !of_session.contains(&code.as_str()))
}

pub(super) fn read(outcome: &Outcome) -> Reading {
    let Outcome::Reply(reply) = outcome else {
        return Reading::Nothing;
    };
    let wait = |told: Option<Millis>| {
        // The vault waits for at least one second, and at most for ten minutes.
        let wait = told.unwrap_or(Millis::from_secs(1));
        wait.clamp(Millis::from_secs(1), Millis::from_secs(600))
    };
    match (reply.status, reply.retry_after) {
        (429, told) | (503, told @ Some(_)) => return Reading::Wait(wait(told)),
        _ => {}
    }
    let body = reply
        .text()
        .and_then(|body| Value::parse_tolerant(body).ok());
    let Some(object) = body.as_ref().and_then(Value::as_object) else {
        return Reading::Nothing;
    };
    let text = |name| object.str(name).map(str::to_owned);
    let is_absent = |name| match object.get(name) {
        None | Some(Value::Null) => true,
        Some(value) => value.as_str() == Some(""),
    };
    let is_token = |token: &String| {
        (1..=16_384).contains(&token.len()) && token.bytes().all(|b| matches!(b, b' '..=b'~'))
    };
    let refresh_token = text("refresh_token").filter(is_token);
    // Weak types write "nothing" as one of these values.
    let is_nothing = match object.get("refresh_token") {
        Some(Value::Bool(false)) => true,
        Some(Value::Array(values)) => values.is_empty(),
        Some(Value::Object(members)) => members.iter().count() == 0,
        _ => is_absent("refresh_token"),
    };
    let is_lost = refresh_token.is_none() && !is_nothing;
    let has_no_space = |token: &String| !token.contains(' ');
    let type_of = |name: &str| ["bearer", "dpop"].contains(&&*name.to_ascii_lowercase());
    let is_wanted = is_absent("token_type") || object.str("token_type").is_some_and(type_of);
    let access_token = text("access_token").filter(is_token).filter(has_no_space);
    let access_token = access_token.filter(|_| is_wanted);
    // Nothing tells when a token ends that nothing can renew.
    let is_unlimited = refresh_token.is_none() && is_nothing && is_absent("expires_in");
    let lifetime = match is_unlimited {
        true => Millis::MAX,
        false => lifetime(object.get("expires_in")),
    };
    match (reply.status, access_token, text("error")) {
        (200..=299, Some(access_token), None) => Reading::Tokens {
            access_token,
            refresh_token,
            lifetime,
            is_lost,
        },
        (200..=299, Some(access_token), Some(error)) if error.is_empty() => Reading::Tokens {
            access_token,
            refresh_token,
            lifetime,
            is_lost,
        },
        (200..=299, ..) if refresh_token.is_some() || is_lost => Reading::Rotated(refresh_token),
        (400..=499, _, Some(code)) if reply.status != 408 && is_word(&code) => {
            Reading::Refused(code)
        }
        _ => Reading::Nothing,
    }
}

/// Returns the lifetime of an access token: any positive number counts, also as a string.
fn lifetime(expires_in: Option<&Value>) -> Millis {
    let seconds = match expires_in {
        Some(Value::Number(text) | Value::String(text)) => text.parse::<f64>().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 1.0);
    let whole = seconds.map(|seconds| seconds.min(2_592_000.0).floor());
    Millis::from_secs(whole.map_or(300, |whole| format!("{whole}").parse().unwrap()))
}

/// Describes an outcome in words.
pub fn in_words(outcome: &Outcome) -> String {
    match (read(outcome), outcome) {
        (Reading::Tokens { .. }, _) => "tokens".to_owned(),
        (Reading::Rotated(_), _) => "no access token".to_owned(),
        (Reading::Refused(code), _) => format!("refused, {code}"),
        (Reading::Wait(wait), _) => format!("told to wait for {} s", wait.as_secs()),
        (Reading::Nothing, Outcome::Failed | Outcome::Opaque) => "the network failed".to_owned(),
        (Reading::Nothing, Outcome::KeyLost) => "not sent: its key is gone".to_owned(),
        (Reading::Nothing, Outcome::Reply(reply)) => format!("status {}", reply.status),
    }
}

/// Returns true if a value is a single word. Any other value is not an error code, and may be a token.
fn is_word(code: &str) -> bool {
    (1..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
