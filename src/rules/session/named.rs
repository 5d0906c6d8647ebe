//! The user of a session at a server without OpenID Connect, by the members of its token responses that the
//! configuration names.

use crate::Secret;
use crate::base::error::{Code, Error};
use crate::base::strings;
use crate::egress::token_reflection::{Guard, SHORTEST};
use crate::oauth::id_token::{Occasion, Rejected};
use crate::oauth::identity::Identity;
use crate::prelude::*;

use crate::oauth::token_endpoint::{TokenSet, WantedMembers};

/// Returns true if `json` contains one of these tokens, in any encoding that [`Guard`] finds, or a string does. A refresh
/// token with spaces is also found as it is.
pub(crate) fn contains_token(json: &str, tokens: &[Option<&Secret>]) -> bool {
    let tokens = tokens.iter().flatten();
    let tokens: Vec<&str> = tokens.map(|token| token.expose()).collect();
    let is_there = |token: &&str| token.len() >= SHORTEST && strings::contains(json, token);
    if tokens.iter().any(is_there) {
        return true;
    }
    let guard = Guard::search_for(&tokens);
    let is_in = |text: &[u8]| guard.as_ref().is_some_and(|it| it.is_in(text));
    if is_in(json.as_bytes()) {
        return true;
    }
    // JSON escapes the backslashes of a string that itself has escapes.
    let mut is_escaped = false;
    let is_kept = |byte: &u8| {
        is_escaped = *byte == b'\\' && !is_escaped;
        *byte != b'\\' || is_escaped
    };
    is_in(&json.bytes().filter(is_kept).collect::<Vec<u8>>())
}

/// Returns the user by `claims`, the output of [`Members::of`](crate::oauth::identity::Members::of). After a login they
/// must identify the user. After a refresh, they need not.
///
/// # Errors
/// [`Rejected::OtherUser`] if a refresh identifies another user than the session's. [`Rejected::Invalid`] if a member
/// that pages would see contains a token, or if a login does not identify the user.
pub(super) fn user(
    (members, _): WantedMembers<'_>,
    claims: &Secret,
    tokens: &TokenSet,
    occasion: &Occasion<'_>,
) -> core::result::Result<Identity, Rejected> {
    let mut is_other = false;
    let why = if contains_token(
        claims.expose(),
        &[Some(&tokens.access_token), tokens.refresh_token.as_ref()],
    ) {
        msg!("a member that `identity` names contains a token")
    } else if let Some(user) = Identity::of_claims(claims) {
        let sub = user.subject();
        let is_accepted = if let Occasion::Refresh { original } = occasion {
            // control: refresh_keeps_the_named_user
            is_other = !sub.is_empty() && sub != original.subject();
            !is_other
        } else {
            !sub.is_empty() || members.sub.is_empty()
        };
        if is_accepted {
            return Ok(user);
        }
        msg!(
            "the token endpoint's response has no string or number of the name that `identity.sub` gives, or names another user"
        )
    } else {
        ""
    };
    let error = Error::new(Code::TokenResponseInvalid, why);
    Err(if is_other {
        Rejected::OtherUser(error)
    } else {
        Rejected::Invalid(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Millis;
    use crate::oauth::identity::Members;

    const ACCESS_TOKEN: &str = "the-access-token-0123456789";

    fn user_of(
        claims: &str,
        sub: &str,
        occasion: &Occasion<'_>,
    ) -> core::result::Result<Identity, Rejected> {
        let members = Members {
            sub: sub.to_owned(),
            profile: None,
            scope_has_commas: false,
        };
        let tokens = TokenSet {
            access_token: Secret::from(ACCESS_TOKEN),
            expires_in: Millis::from_secs(60),
            refresh_token: Some(Secret::from("the-refresh-token-0123456789")),
            ..TokenSet::default()
        };
        user((&members, &[]), &claims.into(), &tokens, occasion)
    }

    /// [`Guard`] does not search for tokens with spaces.
    #[test]
    fn refresh_token_with_spaces_is_found() {
        let token = Secret::from("a token with spaces");
        let contains = |text| contains_token(text, &[None, Some(&token)]);
        assert!(contains("this is a token with spaces, too"));
        assert!(!contains("a token"));
    }

    #[test]
    fn token_with_escapes_is_found_in_a_string_of_json() {
        let token = Secret::from("0123456789/0123456789");
        for (json, is_there) in [
            (r#"{"a":"0123456789/0123456789"}"#, true),
            (r#"{"a":"0123456789\/0123456789"}"#, true),
            (r#"{"a":"0123456789\\/0123456789"}"#, true),
            (r#"{"a":"0123456789\\u002F0123456789"}"#, true),
            (r#"{"a":"0123456789\\0123456789"}"#, false),
        ] {
            assert_eq!(contains_token(json, &[Some(&token)]), is_there, "{json}");
        }
    }

    #[test]
    fn login_must_identify_the_user_unless_nobody_is_named() {
        let login = Occasion::DeviceGrant;
        let ann = user_of(r#"{"sub":"ann"}"#, "id", &login).unwrap();
        assert_eq!(ann.subject(), "ann");
        assert!(ann.id_token().is_none());
        for claims in ["{}", r#"{"sub":""}"#] {
            let refused = user_of(claims, "id", &login).unwrap_err();
            assert!(matches!(refused, Rejected::Invalid(_)), "{claims}");
        }
        assert_eq!(user_of("{}", "", &login).unwrap().subject(), "");
    }

    #[test]
    fn refresh_may_not_identify_another_user() {
        let original = user_of(r#"{"sub":"ann"}"#, "id", &Occasion::DeviceGrant).unwrap();
        let refresh = Occasion::Refresh {
            original: &original,
        };
        assert!(user_of("{}", "id", &refresh).is_ok());
        assert!(user_of(r#"{"sub":"ann"}"#, "id", &refresh).is_ok());
        let other = user_of(r#"{"sub":"eve"}"#, "id", &refresh).unwrap_err();
        assert!(matches!(other, Rejected::OtherUser(_)), "{other:?}");
    }

    #[test]
    fn claims_contain_no_token() {
        for token in [ACCESS_TOKEN, "the-refresh-token-0123456789"] {
            let claims = [r#"{"sub":"ann","note":"x "#, token, r#""}"#].concat();
            let refused = user_of(&claims, "id", &Occasion::DeviceGrant).unwrap_err();
            assert!(Error::from(refused).message().contains("contains a token"));
        }
    }

    #[test]
    fn unidentified_users_may_differ() {
        let nobody = user_of("{}", "", &Occasion::DeviceGrant).unwrap();
        assert!(nobody.may_be_other_user("") && !nobody.is_other_user("ann"));
        let ann = user_of(r#"{"sub":"ann"}"#, "id", &Occasion::DeviceGrant).unwrap();
        assert!(!ann.may_be_other_user("ann") && ann.may_be_other_user("eve"));
        assert!(ann.is_other_user("eve") && !ann.is_other_user("ann") && !ann.is_other_user(""));
    }
}
