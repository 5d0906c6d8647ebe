//! Why a provider refused a refresh token, as far as it lets on.
//!
//! RFC 6749 5.2 has one code for an expired token, a revoked one, one that came twice and a consent that was
//! withdrawn: `invalid_grant`. Many providers say more in words for developers. Those are read for a few that give it
//! away, and are never passed on: a description may repeat what was sent.

use crate::base::http::Outcome;
use crate::base::strings;
use crate::codec::json::Value;
use crate::session::EndReason;

/// A longer description is not read, in bytes.
const MAX_LEN: usize = 1024;

/// Words of `error_description` and `suberror`, in lower case, and what they say. The first counts that is there.
const WORDS: &[(&str, EndReason)] = &[
    ("reuse", EndReason::ReuseDetected),
    ("already used", EndReason::ReuseDetected),
    ("already been used", EndReason::ReuseDetected),
    ("consent", EndReason::ConsentWithdrawn),
    ("multi-factor", EndReason::MfaRequired),
    ("multifactor", EndReason::MfaRequired),
    ("mfa", EndReason::MfaRequired),
    ("revoked", EndReason::Revoked),
    ("expired", EndReason::RefreshExpired),
    ("not active", EndReason::RefreshExpired),
];

/// `error_codes` of Microsoft Entra ID whose words say two things: the password was changed, or the session revoked.
const REVOKED: [u64; 3] = [50132, 50133, 50173];

/// The reason in the answer to a refresh that the token endpoint refused with `invalid_grant`.
#[must_use]
pub fn end_reason(outcome: &Outcome) -> EndReason {
    stated_reason(outcome).unwrap_or(EndReason::ProviderEnded)
}

fn stated_reason(outcome: &Outcome) -> Option<EndReason> {
    let Outcome::Reply(reply) = outcome else {
        return None;
    };
    let answer = Value::parse(reply.json_text()?).ok()?;
    let answer = answer.as_object()?;
    let codes = answer.get("error_codes").and_then(Value::as_array);
    let mut codes = codes.unwrap_or_default().iter().filter_map(Value::as_u64);
    if codes.any(|code| REVOKED.contains(&code)) {
        return Some(EndReason::Revoked);
    }
    let member = |name| answer.str(name).unwrap_or_default();
    let said = [member("error_description"), " ", member("suberror")].concat();
    if said.len() > MAX_LEN {
        return None;
    }
    let said = said.to_ascii_lowercase();
    // "Expired or revoked" is what those say who do not tell.
    let has = |words: &str| strings::contains(&said, words);
    if has("expired") && has("revoked") {
        return None;
    }
    let is_said = |(words, _): &&(&str, EndReason)| has(words);
    WORDS.iter().find(is_said).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    fn read(members: &str) -> &'static str {
        let body = format!(r#"{{"error":"invalid_grant"{members}}}"#);
        end_reason(&Outcome::from(json_reply(400, &body))).as_str()
    }

    #[test]
    fn what_providers_say_is_told_apart() {
        for (description, expected) in [
            // Keycloak
            ("Token is not active", "refresh_expired"),
            ("Session not active", "refresh_expired"),
            (
                "Maximum allowed refresh token reuse exceeded",
                "reuse_detected",
            ),
            // Amazon Cognito
            ("Refresh Token has expired", "refresh_expired"),
            ("Refresh Token has been revoked", "revoked"),
            // Microsoft Entra ID
            (
                "AADSTS700082: The refresh token has expired due to inactivity.",
                "refresh_expired",
            ),
            (
                "AADSTS65001: The user or administrator has not consented to use the application",
                "consent_withdrawn",
            ),
            (
                "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication",
                "mfa_required",
            ),
            // Those that do not tell: Google, Okta, Auth0, oidc-provider
            ("Token has been expired or revoked.", "provider_ended"),
            (
                "The refresh token is invalid or expired.",
                "refresh_expired",
            ),
            ("Unknown or invalid refresh token.", "provider_ended"),
            ("grant request is invalid", "provider_ended"),
            ("", "provider_ended"),
        ] {
            let members = format!(r#","error_description":"{description}""#);
            assert_eq!(read(&members), expected, "{description}");
        }
        assert_eq!(
            read(r#","suberror":"consent_required""#),
            "consent_withdrawn"
        );
        let both = r#","error_codes":[50173],"error_description":"AADSTS50173: The provided grant has expired due to it being revoked""#;
        assert_eq!(read(both), "revoked");
    }

    #[test]
    fn what_is_no_such_answer_tells_nothing() {
        // A space is put behind it.
        let described = |length| {
            let description = ["revoked", &*"x".repeat(length - 8)].concat();
            format!(r#","error_description":"{description}""#)
        };
        assert_eq!(read(&described(MAX_LEN)), "revoked");
        let long = described(MAX_LEN + 1);
        for members in [
            "",
            r#","error_description":1"#,
            r#","error_description":["revoked"]"#,
            r#","error_codes":"50173""#,
            r#","error_codes":[{}]"#,
            &long,
        ] {
            assert_eq!(read(members), "provider_ended", "{members:.60}");
        }
        assert_eq!(end_reason(&Outcome::Failed), EndReason::ProviderEnded);
    }
}
