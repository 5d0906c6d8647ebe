//! Signing in on another device (RFC 8628): the user is shown a code, types it in elsewhere, and the token endpoint is
//! asked until it has an answer.
//!
//! What is asked with, the `device_code`, stays here; the page gets what the user is to see.

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::form::Form;
use crate::codec::json::{Object, Value};
use crate::codec::url;
use crate::config::Config;
use crate::oauth::token_endpoint::{self, Scheme, TokenResponse, TokenSet};

/// RFC 8628 3.4.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Between two questions, where the provider does not say (RFC 8628 3.2).
const DEFAULT_INTERVAL: u64 = 5;
/// Longer ones are not believed, in seconds.
const LONGEST_INTERVAL: u64 = 60;
/// RFC 8628 3.5: by how much `slow_down` makes each interval longer.
const SLOW_DOWN: Millis = Millis::from_secs(5);
/// The longest time that the user gets.
const LONGEST_LIFETIME: u64 = 3600;

/// Longest texts, in bytes.
const MAX_CODE: usize = 16 * 1024;
const MAX_USER_CODE: usize = 64;
const MAX_URI: usize = 2048;

/// What the user is to do, and how it goes on.
#[derive(Debug)]
pub struct DeviceAuthorization {
    /// What the token endpoint is asked with.
    pub device_code: Secret,
    /// What the user types in.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a QR code.
    pub verification_uri_complete: Option<String>,
    /// How long all this is good.
    pub expires_in: Millis,
    /// How long to wait between two questions.
    pub interval: Millis,
}

/// The request that begins it (RFC 8628 3.1), with the parameters that the configuration adds to authorization
/// requests.
#[must_use]
pub fn request(endpoint: &str, config: &Config, scope: &str) -> HttpRequest {
    let mut form = Form::new();
    form.push("client_id", &config.client_id)
        .push("scope", scope)
        .push_encoded(&config.authorization_params);
    for resource in config.rules.resources() {
        form.push("resource", resource);
    }
    token_endpoint::post(endpoint, form)
}

/// The question whether the user is through (RFC 8628 3.4).
#[must_use]
pub fn poll_request(endpoint: &str, client_id: &str, device_code: &Secret) -> HttpRequest {
    let mut form = Form::new();
    form.push("grant_type", GRANT_TYPE)
        .push("device_code", device_code.expose())
        .push("client_id", client_id);
    token_endpoint::post(endpoint, form)
}

/// Reads the answer of the device authorization endpoint (RFC 8628 3.2).
///
/// # Errors
/// [`Code::ProviderUnavailable`], [`Code::ClientRejected`] or [`Code::LoginFailed`].
pub fn read_authorization(outcome: &Outcome) -> Result<DeviceAuthorization> {
    let unavailable = |why| Error::new(Code::ProviderUnavailable, why);
    let Outcome::Reply(reply) = outcome else {
        return Err(unavailable(msg!(
            "the device authorization endpoint did not answer (is it up, and does its CORS allow this origin?)"
        )));
    };
    if reply.status == 200 {
        let value = Value::parse(reply.json_text().unwrap_or_default());
        let read = value
            .as_ref()
            .ok()
            .and_then(Value::as_object)
            .and_then(read);
        return read.ok_or_else(unusable);
    }
    Err(match token_endpoint::read(reply, Scheme::Bearer) {
        TokenResponse::Refused(code) => Error::of(
            Code::ClientRejected,
            &[msg!("the device authorization endpoint answered "), &code],
        ),
        TokenResponse::Wait(_) | TokenResponse::ServerError => {
            unavailable(msg!("the device authorization endpoint failed"))
        }
        TokenResponse::Tokens(_) | TokenResponse::Unusable(_) => unusable(),
    })
}

fn unusable() -> Error {
    Error::new(
        Code::LoginFailed,
        msg!("the device authorization endpoint's answer is unusable"),
    )
}

fn read(object: &Object) -> Option<DeviceAuthorization> {
    let text = |name, longest| {
        let text = object.str(name)?;
        let is_sound = (1..=longest).contains(&text.len());
        (is_sound && text.bytes().all(|b| matches!(b, b' '..=b'~'))).then_some(text)
    };
    // A page shows them, and a person follows them.
    let uri = |name| text(name, MAX_URI).filter(|uri| url::is_trustworthy(uri));
    let complete = match object.get("verification_uri_complete") {
        None | Some(Value::Null) => None,
        Some(_) => Some(uri("verification_uri_complete")?.to_owned()),
    };
    let interval = match object.get("interval") {
        None | Some(Value::Null) => DEFAULT_INTERVAL,
        Some(value) => value.as_u64()?,
    };
    let expires_in = object.get("expires_in")?.as_u64().filter(|s| *s > 0)?;
    Some(DeviceAuthorization {
        device_code: text("device_code", MAX_CODE)?.into(),
        user_code: text("user_code", MAX_USER_CODE)?.to_owned(),
        verification_uri: uri("verification_uri")?.to_owned(),
        verification_uri_complete: complete,
        expires_in: Millis::from_secs(expires_in.min(LONGEST_LIFETIME)),
        interval: Millis::from_secs(interval.clamp(1, LONGEST_INTERVAL)),
    })
}

/// What came of a question.
#[derive(Debug)]
pub enum PollOutcome {
    /// The user is through.
    Tokens(Box<TokenSet>),
    /// Ask again, with this much time between.
    Pending(Millis),
    /// It is over.
    Failed(Error),
}

/// Reads the answer to a question that came `interval` after the one before (RFC 8628 3.5).
#[must_use]
pub fn read_poll(outcome: &Outcome, scheme: Scheme, interval: Millis) -> PollOutcome {
    let over = |code, why: &str| PollOutcome::Failed(Error::new(code, why));
    // Half as often after each time that nothing came, but for what is said in seconds.
    let slower = Millis(interval.0 * 2).min(Millis::from_secs(LONGEST_INTERVAL));
    let Outcome::Reply(reply) = outcome else {
        return PollOutcome::Pending(slower);
    };
    match token_endpoint::read(reply, scheme) {
        TokenResponse::Tokens(tokens) => PollOutcome::Tokens(tokens),
        TokenResponse::Refused(code) => match code.as_str() {
            "authorization_pending" => PollOutcome::Pending(interval),
            "slow_down" => PollOutcome::Pending(interval + SLOW_DOWN),
            "access_denied" => over(
                Code::LoginDenied,
                msg!("the user, or the provider for them, said no"),
            ),
            "expired_token" => over(
                Code::LoginExpired,
                msg!("nobody typed the code in while it was good"),
            ),
            "invalid_grant" => over(
                Code::CodeRejected,
                msg!("the token endpoint answered invalid_grant"),
            ),
            "temporarily_unavailable" | "server_error" => PollOutcome::Pending(slower),
            _ => PollOutcome::Failed(Error::of(
                Code::ClientRejected,
                &[msg!("the token endpoint answered "), &code],
            )),
        },
        TokenResponse::Wait(wait) => {
            let wait = wait.unwrap_or(slower).min(Millis::from_secs(600));
            PollOutcome::Pending(interval.max(wait))
        }
        // A captive portal, too: it may be gone in a moment.
        TokenResponse::ServerError | TokenResponse::Unusable(_) => PollOutcome::Pending(slower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    const GOOD: [(&str, &str); 6] = [
        ("device_code", r#""secret""#),
        ("user_code", r#""WDJB-MJHT""#),
        ("verification_uri", r#""https://id.test/device""#),
        (
            "verification_uri_complete",
            r#""https://id.test/device?user_code=WDJB-MJHT""#,
        ),
        ("expires_in", "1800"),
        ("interval", "5"),
    ];

    fn answer(changed: &str, value: &str) -> Result<DeviceAuthorization> {
        let members: Vec<String> = GOOD
            .iter()
            .map(|(name, good)| (name, if *name == changed { value } else { good }))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let text = format!("{{{}}}", members.join(","));
        read_authorization(&Outcome::from(json_reply(200, &text)))
    }

    #[test]
    fn the_answer_of_the_specifications_example_is_read() {
        let read = answer("", "").unwrap();
        assert_eq!(read.user_code, "WDJB-MJHT");
        assert_eq!(read.verification_uri, "https://id.test/device");
        assert!(read.verification_uri_complete.is_some());
        assert_eq!(read.expires_in, Millis::from_secs(1800));
        assert_eq!(read.interval, Millis::from_secs(5));
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn what_is_left_out_has_a_default_and_what_is_absurd_a_limit() {
        assert_eq!(
            answer("interval", "").unwrap().interval,
            Millis::from_secs(5)
        );
        assert_eq!(
            answer("interval", "0").unwrap().interval,
            Millis::from_secs(1)
        );
        assert_eq!(
            answer("interval", "99999").unwrap().interval,
            Millis::from_secs(60)
        );
        assert_eq!(
            answer("expires_in", "99999").unwrap().expires_in,
            Millis::from_secs(3600)
        );
        assert!(
            answer("verification_uri_complete", "")
                .unwrap()
                .verification_uri_complete
                .is_none()
        );
    }

    #[test]
    fn what_is_unsound_is_refused() {
        for (name, value) in [
            ("device_code", ""),
            ("device_code", "1"),
            ("device_code", r#""""#),
            ("device_code", r#""a\nb""#),
            ("user_code", ""),
            ("user_code", r#""\u202eABC""#),
            ("user_code", &format!("\"{}\"", "A".repeat(65))),
            ("verification_uri", ""),
            ("verification_uri", r#""javascript:alert(1)""#),
            ("verification_uri", r#""http://id.test/device""#),
            ("verification_uri", r#""https://id.test@evil.test/""#),
            ("verification_uri", r#""/device""#),
            ("verification_uri_complete", r#""data:text/html,x""#),
            ("verification_uri_complete", "1"),
            ("expires_in", ""),
            ("expires_in", "0"),
            ("expires_in", "-1"),
            ("expires_in", r#""1800""#),
            ("interval", "-1"),
            ("interval", r#""5""#),
        ] {
            let error = answer(name, value).expect_err(name);
            assert_eq!(error.code(), Code::LoginFailed, "{name} {value}");
        }
    }

    #[test]
    fn longest_texts_are_accepted() {
        let text = |length: usize| format!("\"{}\"", "A".repeat(length));
        for (name, longest) in [("device_code", 16 * 1024), ("user_code", 64)] {
            assert!(answer(name, &text(longest)).is_ok(), "{name}");
            assert!(answer(name, &text(longest + 1)).is_err(), "{name}");
        }
    }

    #[test]
    fn refused_and_failed_authorizations_differ() {
        let code = |outcome: &Outcome| read_authorization(outcome).unwrap_err().code();
        let reply = |status, text: &str| Outcome::Reply(Box::new(json_reply(status, text)));
        let refused = reply(400, r#"{"error":"invalid_client"}"#);
        assert_eq!(code(&refused), Code::ClientRejected);
        for failed in [Outcome::Failed, reply(500, ""), reply(429, "")] {
            assert_eq!(code(&failed), Code::ProviderUnavailable, "{failed:?}");
        }
        for unusable in [reply(400, "{}"), reply(200, "{}"), reply(201, "{}")] {
            assert_eq!(code(&unusable), Code::LoginFailed, "{unusable:?}");
        }
    }

    #[test]
    fn provider_may_lengthen_the_interval() {
        let after = |outcome: &Outcome, interval| match read_poll(
            outcome,
            Scheme::Bearer,
            Millis::from_secs(interval),
        ) {
            PollOutcome::Pending(interval) => interval.as_secs(),
            other => panic!("{other:?}"),
        };
        let busy = |seconds| {
            let mut reply = json_reply(429, "");
            reply.retry_after = Some(Millis::from_secs(seconds));
            Outcome::Reply(Box::new(reply))
        };
        assert_eq!(after(&busy(1), 5), 5);
        assert_eq!(after(&busy(30), 5), 30);
        assert_eq!(after(&busy(9999), 5), 600);
        assert_eq!(after(&Outcome::Failed, 40), 60);
    }

    #[test]
    fn each_answer_to_a_question_has_its_meaning() {
        let interval = Millis::from_secs(5);
        let again = |outcome: &Outcome| match read_poll(outcome, Scheme::Bearer, interval) {
            PollOutcome::Pending(interval) => interval.as_secs(),
            other => panic!("{other:?}"),
        };
        let refused =
            |code: &str| Outcome::from(json_reply(400, &format!(r#"{{"error":"{code}"}}"#)));
        assert_eq!(again(&refused("authorization_pending")), 5);
        assert_eq!(again(&refused("slow_down")), 10);
        assert_eq!(again(&refused("server_error")), 10);
        assert_eq!(again(&Outcome::Failed), 10);
        assert_eq!(again(&Outcome::from(json_reply(500, ""))), 10);
        assert_eq!(again(&Outcome::from(json_reply(200, "<html>"))), 10);
        assert_eq!(again(&Outcome::from(json_reply(429, ""))), 10);
        for (code, expected) in [
            ("access_denied", Code::LoginDenied),
            ("expired_token", Code::LoginExpired),
            ("invalid_grant", Code::CodeRejected),
            ("invalid_client", Code::ClientRejected),
            ("unsupported_grant_type", Code::ClientRejected),
            ("unheard_of", Code::ClientRejected),
        ] {
            match read_poll(&refused(code), Scheme::Bearer, interval) {
                PollOutcome::Failed(error) => assert_eq!(error.code(), expected, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
