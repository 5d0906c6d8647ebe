//! Device authorization (RFC 8628): the page shows a code, the user enters it on another device, and the vault polls
//! the token endpoint for the result.
//!
//! The `device_code`, with which the token endpoint is polled, stays in the vault. The page gets the `user_code` and
//! the address.

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::form::Form;
use crate::codec::json::{Object, Value};
use crate::codec::url;
use crate::config::Flow;
use crate::oauth::token_endpoint::{
    self, DEFAULT_LIFETIME, Scheme, TokenResponse, TokenSet, Wanted,
};

/// `grant_type` of a poll (RFC 8628 3.4).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Interval between polls in seconds, if the provider does not send one (RFC 8628 3.2).
const DEFAULT_INTERVAL: u64 = 5;
/// Longest interval that the device authorization response can set, and longest interval to which repeated failures
/// can lead, in seconds.
const LONGEST_INTERVAL: u64 = 60;
/// Time that `slow_down` adds to the interval (RFC 8628 3.5).
const SLOW_DOWN: Millis = Millis::from_secs(5);
/// Limit on the codes' lifetime, in seconds. A longer lifetime in the response is reduced to this limit.
const LONGEST_LIFETIME: u64 = 3600;

/// Longest `device_code`, in bytes.
const MAX_CODE: usize = 16 * 1024;
/// Longest `user_code`, in bytes.
const MAX_USER_CODE: usize = 64;
/// Longest verification URI, in bytes.
const MAX_URI: usize = 2048;

/// A device authorization response (RFC 8628 3.2).
#[derive(Debug)]
pub struct DeviceAuthorization {
    /// `device_code`, for polls. It is secret.
    pub device_code: Secret,
    /// `user_code`, which the user types in.
    pub user_code: String,
    /// Address at which the user enters the code.
    pub verification_uri: String,
    /// Address that contains the `user_code`, for display as a QR code.
    pub verification_uri_complete: Option<String>,
    /// Lifetime of both codes, from the response on: at most an hour, and five minutes if the response has no usable one.
    pub expires_in: Millis,
    /// Shortest time between polls: 1 to 60 seconds.
    pub interval: Millis,
    /// The names of the optional members that are not usable, each behind a space.
    pub flaws: String,
}

impl DeviceAuthorization {
    /// Returns the warning about the members that are not usable.
    pub fn warning(&self) -> Option<Error> {
        let message = [
            msg!(
                "in the response of the device authorization endpoint, these members are unusable and ignored:"
            ),
            &self.flaws,
        ];
        (!self.flaws.is_empty()).then(|| Error::of(Code::TokenResponseInvalid, &message))
    }
}

/// Builds the device authorization request (RFC 8628 3.1), with the parameters that the configuration adds to
/// authorization requests.
#[must_use]
pub fn request(endpoint: &str, flow: &Flow, resources: &[&str], scope: &str) -> HttpRequest {
    let mut form = Form::new();
    form.push("client_id", &flow.client_id);
    if !scope.is_empty() {
        form.push("scope", scope);
    }
    form.push_encoded(&flow.authorization_params);
    for resource in resources {
        form.push("resource", resource);
    }
    token_endpoint::post(endpoint, form)
}

/// Builds the token request that polls for the result (RFC 8628 3.4).
#[must_use]
pub fn poll_request(endpoint: &str, flow: &Flow, device_code: &Secret) -> HttpRequest {
    let mut form = Form::new();
    form.push("grant_type", GRANT_TYPE)
        .push("device_code", device_code.expose())
        .push("client_id", &flow.client_id);
    flow.target.push_to(&mut form);
    token_endpoint::post(endpoint, form)
}

/// Reads the response of the device authorization endpoint (RFC 8628 3.2).
///
/// # Errors
/// [`Code::ProviderUnavailable`] if there is no response or its status is 408, 429 or 5xx, [`Code::ClientRejected`] for
/// an error response, and [`Code::LoginFailed`] for a malformed response.
pub fn read_authorization(outcome: &Outcome) -> Result<DeviceAuthorization> {
    let unavailable = |why| Error::new(Code::ProviderUnavailable, why);
    let Outcome::Reply(reply) = outcome else {
        return Err(unavailable(msg!(
            "the device authorization endpoint did not respond (is it up, and does its CORS allow this origin?)"
        )));
    };
    if (200..300).contains(&reply.status) {
        let value = token_endpoint::json_value(reply);
        let read = value.as_ref().and_then(Value::as_object).and_then(read);
        return read.ok_or_else(malformed);
    }
    Err(match token_endpoint::read(reply, Scheme::Bearer.into()) {
        TokenResponse::Refused(code) => Error::of(
            Code::ClientRejected,
            &[
                msg!("the device authorization endpoint responded with "),
                &code,
            ],
        ),
        TokenResponse::Wait(_) | TokenResponse::ServerError => {
            unavailable(msg!("the device authorization endpoint failed"))
        }
        TokenResponse::Tokens(_) | TokenResponse::Unusable(_) => malformed(),
    })
}

fn malformed() -> Error {
    Error::new(
        Code::LoginFailed,
        msg!("the response of the device authorization endpoint is malformed"),
    )
}

fn read(object: &Object) -> Option<DeviceAuthorization> {
    let text = |name, longest| {
        let text = object.str(name)?;
        let is_valid = (1..=longest).contains(&text.len());
        (is_valid && text.bytes().all(|b| matches!(b, b' '..=b'~'))).then_some(text)
    };
    // Users open these addresses, so `javascript:` and the like must not pass.
    let uri = |name| text(name, MAX_URI).filter(|uri| url::is_trustworthy(uri));
    let mut flaws = String::new();
    let mut flaw = |name: &str| {
        let is_there = match object.get(name) {
            None | Some(Value::Null) => false,
            Some(value) => value.as_str() != Some(""),
        };
        if is_there {
            flaws.push(' ');
            flaws.push_str(name);
        }
    };
    let complete = uri("verification_uri_complete").map(ToOwned::to_owned);
    if complete.is_none() {
        flaw("verification_uri_complete");
    }
    let seconds = |name| object.get(name).and_then(Value::whole_part);
    let interval = seconds("interval").unwrap_or_else(|| {
        flaw("interval");
        DEFAULT_INTERVAL
    });
    let expires_in = seconds("expires_in").filter(|seconds| *seconds > 0);
    let expires_in = expires_in.unwrap_or_else(|| {
        flaw("expires_in");
        DEFAULT_LIFETIME.as_secs()
    });
    Some(DeviceAuthorization {
        device_code: text("device_code", MAX_CODE)?.into(),
        user_code: text("user_code", MAX_USER_CODE)?.to_owned(),
        verification_uri: uri("verification_uri")?.to_owned(),
        verification_uri_complete: complete,
        expires_in: Millis::from_secs(expires_in.min(LONGEST_LIFETIME)),
        interval: Millis::from_secs(interval.clamp(1, LONGEST_INTERVAL)),
        flaws,
    })
}

/// The result of a poll.
#[derive(Debug)]
pub enum PollOutcome {
    /// The user has finished the login.
    Tokens(Box<TokenSet>),
    /// Poll again after this interval.
    Pending(Millis),
    /// The login has failed: do not poll again.
    Failed(Error),
}

/// Reads the response to a poll (RFC 8628 3.5). `interval` is the current interval between polls.
#[must_use]
pub fn read_poll(outcome: &Outcome, wanted: Wanted<'_>, interval: Millis) -> PollOutcome {
    let failed = |code, why: &str| PollOutcome::Failed(Error::new(code, why));
    // After a failure without `Retry-After`, the interval is doubled, up to `LONGEST_INTERVAL`.
    let slower = Millis(interval.0 * 2).min(Millis::from_secs(LONGEST_INTERVAL));
    let Outcome::Reply(reply) = outcome else {
        return PollOutcome::Pending(slower);
    };
    match token_endpoint::read(reply, wanted) {
        TokenResponse::Tokens(tokens) => PollOutcome::Tokens(tokens),
        TokenResponse::Refused(code) => match code.as_str() {
            "authorization_pending" => PollOutcome::Pending(interval),
            "slow_down" => PollOutcome::Pending(interval + SLOW_DOWN),
            "access_denied" => failed(
                Code::LoginDenied,
                msg!("the user or the provider denied the request"),
            ),
            "expired_token" => failed(
                Code::LoginExpired,
                msg!("the code expired before a user entered it"),
            ),
            "invalid_grant" => failed(
                Code::CodeRejected,
                msg!("the token endpoint responded with invalid_grant"),
            ),
            "temporarily_unavailable" | "server_error" => PollOutcome::Pending(slower),
            _ => PollOutcome::Failed(Error::of(
                Code::ClientRejected,
                &[msg!("the token endpoint responded with "), &code],
            )),
        },
        TokenResponse::Wait(wait) => {
            let wait = wait.unwrap_or(slower).min(Millis::from_secs(600));
            PollOutcome::Pending(interval.max(wait))
        }
        // An unusable response may come from a captive portal, which is temporary.
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

    fn response(changed: &str, value: &str) -> Result<DeviceAuthorization> {
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
    fn reads_the_example_of_the_rfc() {
        let read = response("", "").unwrap();
        assert_eq!(read.user_code, "WDJB-MJHT");
        assert_eq!(read.verification_uri, "https://id.test/device");
        assert!(read.verification_uri_complete.is_some());
        assert_eq!(read.expires_in, Millis::from_secs(1800));
        assert_eq!(read.interval, Millis::from_secs(5));
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn optional_members_have_defaults_and_limits() {
        assert_eq!(
            response("interval", "").unwrap().interval,
            Millis::from_secs(5)
        );
        assert_eq!(
            response("interval", "0").unwrap().interval,
            Millis::from_secs(1)
        );
        assert_eq!(
            response("interval", "99999").unwrap().interval,
            Millis::from_secs(60)
        );
        assert_eq!(
            response("expires_in", "99999").unwrap().expires_in,
            Millis::from_secs(3600)
        );
        assert!(
            response("verification_uri_complete", "")
                .unwrap()
                .verification_uri_complete
                .is_none()
        );
    }

    #[test]
    fn rejects_malformed_device_authorization_responses() {
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
        ] {
            let error = response(name, value).expect_err(name);
            assert_eq!(error.code(), Code::LoginFailed, "{name} {value}");
        }
    }

    #[test]
    fn flaws_of_optional_members_are_named() {
        for (name, value) in [
            ("verification_uri_complete", r#""data:text/html,x""#),
            ("verification_uri_complete", "1"),
            ("expires_in", "0"),
            ("expires_in", "-1"),
            ("expires_in", "{}"),
            ("interval", "-1"),
            ("interval", r#""soon""#),
        ] {
            let read = response(name, value).unwrap();
            let warning = read.warning().unwrap();
            let ending = [": ", name].concat();
            assert!(warning.message().ends_with(&ending), "{warning}");
            let defaults = (read.expires_in.as_secs(), read.interval.as_secs());
            let expected = match name {
                "expires_in" => (300, 5),
                _ => (1800, 5),
            };
            assert_eq!(defaults, expected, "{name} {value}");
            let is_kept = read.verification_uri_complete.is_some();
            assert_eq!(is_kept, name != "verification_uri_complete");
        }
        for value in ["null", r#""""#] {
            let read = response("interval", value).unwrap();
            assert!(read.warning().is_none(), "{value}");
        }
        let half = response("expires_in", r#""1799.5""#).unwrap();
        assert_eq!(half.expires_in.as_secs(), 1799);
        assert!(half.warning().is_none());
    }

    #[test]
    fn longest_codes_are_accepted() {
        let text = |length: usize| format!("\"{}\"", "A".repeat(length));
        for (name, longest) in [("device_code", 16 * 1024), ("user_code", 64)] {
            assert!(response(name, &text(longest)).is_ok(), "{name}");
            assert!(response(name, &text(longest + 1)).is_err(), "{name}");
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
            Scheme::Bearer.into(),
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
    fn classifies_poll_responses() {
        let interval = Millis::from_secs(5);
        let again = |outcome: &Outcome| match read_poll(outcome, Scheme::Bearer.into(), interval) {
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
            match read_poll(&refused(code), Scheme::Bearer.into(), interval) {
                PollOutcome::Failed(error) => assert_eq!(error.code(), expected, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
