//! Detection of the reason why a provider refused a refresh token, if the response states one.
//!
//! RFC 6749 5.2 has one code for expired, revoked and reused tokens and for withdrawn consent: `invalid_grant`. Many
//! providers add a description for developers. This module searches the description for known phrases. The description
//! itself is never passed on, because it may repeat the request.

use crate::base::http::Outcome;
use crate::base::strings;
use crate::codec::json::Value;
use crate::session::EndReason;

/// Longest description that is searched, in bytes.
const MAX_LEN: usize = 1024;

/// Phrases of `error_description` and `suberror` in lower case, and their reasons. The first phrase in this array that
/// occurs in the response counts.
const PHRASES: &[(&str, EndReason)] = &[
    ("reuse", EndReason::ReuseDetected),
    ("already used", EndReason::ReuseDetected),
    ("already been used", EndReason::ReuseDetected),
    ("consent", EndReason::ConsentWithdrawn),
    ("multi-factor", EndReason::MfaRequired),
    ("multifactor", EndReason::MfaRequired),
    ("mfa", EndReason::MfaRequired),
    ("revoked", EndReason::Revoked),
    ("expired", EndReason::RefreshExpired),
];

/// Keycloak's description of an expired refresh token, in lower case. If an administrator or the user has ended the
/// session, it says "Session not active". Only the whole description tells these two apart. The space separates it from
/// the `suberror`, which Keycloak does not send.
const EXPIRED_AT_KEYCLOAK: &[u8] = b"token is not active ";

/// The reasons of RFC 6749 5.2, in lower case. Ory Hydra and other servers write this sentence of the specification in
/// front of the actual reason, or instead of it.
const ANY_REASON: &[u8] = b"invalid, expired, revoked";

/// `error_codes` of Microsoft Entra ID for a changed password or a revoked session. The codes are needed because each
/// of these errors has a description that matches two phrases.
const REVOKED: [u64; 3] = [50132, 50133, 50173];

/// Returns the reason for which the session ended, from an `invalid_grant` response to a refresh (RFC 6749 5.2). The
/// result is [`EndReason::ProviderEnded`] if the response does not contain a reason.
#[must_use]
pub fn end_reason(outcome: &Outcome) -> EndReason {
    stated_reason(outcome).unwrap_or(EndReason::ProviderEnded)
}

fn stated_reason(outcome: &Outcome) -> Option<EndReason> {
    let Outcome::Reply(reply) = outcome else {
        return None;
    };
    let response = Value::parse_tolerant(reply.json_text()?).ok()?;
    let response = response.as_object()?;
    let codes = response.get("error_codes").and_then(Value::as_array);
    let mut codes = codes.unwrap_or_default().iter().filter_map(Value::as_u64);
    if codes.any(|code| REVOKED.contains(&code)) {
        return Some(EndReason::Revoked);
    }
    let member = |name| response.str(name).unwrap_or_default();
    let text = [member("error_description"), " ", member("suberror")].concat();
    if text.len() > MAX_LEN {
        return None;
    }
    let mut text = text.into_bytes();
    text.make_ascii_lowercase();
    if text == EXPIRED_AT_KEYCLOAK {
        return Some(EndReason::RefreshExpired);
    }
    let is_sentence = |part: &[u8]| part == ANY_REASON;
    if let Some(start) = text.windows(ANY_REASON.len()).position(is_sentence)
        && let Some(part) = text.get_mut(start..start + ANY_REASON.len())
    {
        part.fill(b' ');
    }
    let text = strings::from_utf8(text)?;
    // A description such as "expired or revoked" does not say which of the two happened.
    let has = |phrase: &str| strings::contains(&text, phrase);
    if has("expired") && has("revoked") {
        return None;
    }
    let is_in_text = |(phrase, _): &&(&str, EndReason)| has(phrase);
    PHRASES.iter().find(is_in_text).map(|(_, reason)| *reason)
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
    fn maps_known_descriptions_to_reasons() {
        let hydra = |hint: &str| {
            [
                "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client. ",
                hint,
            ]
            .concat()
        };
        for (description, expected) in [
            // Keycloak
            ("Token is not active", "refresh_expired"),
            ("Session not active", "provider_ended"),
            ("Session doesn't have required client", "provider_ended"),
            ("The token is not active any more", "provider_ended"),
            (
                "Maximum allowed refresh token reuse exceeded",
                "reuse_detected",
            ),
            // Ory Hydra
            (
                &hydra("The refresh token was already used."),
                "reuse_detected",
            ),
            (&hydra("The refresh token expired."), "refresh_expired"),
            (
                &hydra("The refresh token is malformed or not valid."),
                "provider_ended",
            ),
            (&hydra(""), "provider_ended"),
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
            // Google, Okta, Auth0, oidc-provider: no distinct reason
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
    fn other_responses_have_no_reason() {
        // `length` includes the space that the search appends to the description.
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
