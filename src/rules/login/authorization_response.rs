//! The authorization response: `state`, `code` or `error`, and `iss` (RFC 6749 4.1.2, RFC 9207, OIDC Core 3.1.2.5).

use crate::prelude::*;

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::codec::form;
use crate::codec::json;
use crate::codec::url::Url;
use crate::config::{Flow, Redirection};
use crate::login::authorization_request::{FINAL_MARK, LoginParams, Pending, storage_key};
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint::is_error_code;

const EXPIRED: &str = msg!(
    "the provider responded with temporarily_unavailable and authentication_expired: the sign-in page was open for too long, or the user has signed in in another tab"
);

const NO_ISS: &str = msg!(
    "the provider's response has no iss, and requireIss is set: let the provider add iss to each response, also to errors (RFC 9207 2)"
);

/// The parameters of an authorization response, before they are compared with the login.
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// Name under which the login of this response is stored: a hash of `state`.
    pub key: String,
    iss: Option<String>,
    state: Secret,
    /// True if `state` has the form of those of this client.
    is_own: bool,
    /// True if no other login may replace that of this response: see [`LoginParams::is_final`].
    is_final: bool,
    /// The provider's `error_description`.
    description: Option<Secret>,
    code: core::result::Result<Secret, String>,
}

impl AuthorizationResponse {
    /// Reads the response in the query of `url`, the URL that the provider redirected to. With
    /// `response_mode=fragment`, reads the response from the fragment instead, and ignores the query.
    ///
    /// # Errors
    /// [`Code::RedirectUriMismatch`] if `url` is not the redirect URI; [`Code::LoginUnknown`] if `state` is one of another
    /// client, whose vault awaits the response; [`Code::CallbackInvalid`] for a malformed URL and for missing, repeated or
    /// contradictory parameters. If an error response has no `state`, the result is the error that the provider reports,
    /// unless `iss` names another issuer, or is missing although the configuration demands it.
    pub fn parse(flow: &Flow, redirection: &Redirection<'_>, url: &str) -> Result<Self> {
        let invalid = |why: &'static str| Error::new(Code::CallbackInvalid, why);
        let url = Url::parse(url).ok_or_else(|| invalid(msg!("the URL cannot be parsed")))?;
        let redirect_uri = redirection.uri.without_query();
        if url.without_query() != redirect_uri {
            let message = [
                msg!("the authorization response arrived at "),
                &url.without_query(),
                msg!(", but redirectUri is "),
                &redirect_uri,
            ];
            return Err(Error::of(Code::RedirectUriMismatch, &message));
        }
        let response = if redirection.uses_fragment {
            url.fragment()
        } else {
            url.query()
        };
        let Some(params) = form::parse(response) else {
            return Err(invalid(msg!("the query is not UTF-8")));
        };
        let names = ["state", "code", "error", "iss", "error_description"];
        let Some([state, code, error, iss, description]) = unique_values(&params, names) else {
            return Err(invalid(msg!(
                "a parameter of the authorization response is repeated"
            )));
        };
        let Some(state) = state else {
            // An error is reported even without `state`, because some providers leave `state` out of errors, though RFC
            // 6749 4.1.2.1 requires it.
            return Err(match error.filter(|error| is_error_code(error)) {
                Some(_) if iss.is_none() && flow.requires_iss => invalid(NO_ISS),
                Some(error) if iss.is_none_or(|iss| iss == flow.issuer) => {
                    authorization_error(error, false)
                }
                _ => invalid(msg!("the provider's response has no state")),
            });
        };
        let app = strings::split(state, b'.').nth(1).and_then(json::parse_u64);
        // control: response_to_another_account_is_refused
        if app.is_some_and(|app| app != flow.app().into()) {
            return Err(Error::new(
                Code::LoginUnknown,
                msg!("this response belongs to no login of this client"),
            ));
        }
        let code = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(Secret::from(code)),
            (None, Some(error)) if is_error_code(error) => Err(error.to_owned()),
            _ => {
                return Err(invalid(msg!(
                    "the authorization response must have either a code or an error"
                )));
            }
        };
        Ok(Self {
            key: storage_key(state),
            state: Secret::from(state),
            is_own: app.is_some(),
            is_final: state.ends_with(FINAL_MARK),
            description: description.map(Secret::from),
            iss: iss.map(str::to_owned),
            code,
        })
    }

    /// Returns true if the response says which issuer it is from (RFC 9207).
    #[must_use]
    pub const fn has_iss(&self) -> bool {
        self.iss.is_some()
    }

    /// Compares the response with its login and returns the authorization code.
    ///
    /// This function compares `iss` before it uses the code or the error (RFC 9207 2.4).
    ///
    /// # Errors
    /// [`Code::IssuerMismatch`]; [`Code::CallbackInvalid`] if `iss` is missing, although the configuration demands it or
    /// the metadata announces it; for an error response [`Code::LoginDenied`], [`Code::InteractionRequired`], [`Code::ProviderUnavailable`],
    /// [`Code::LoginFailed`], or [`Code::LoginExpired`] if the login has expired at the provider.
    pub fn code(&self, flow: &Flow, pending: &Pending, metadata: &Metadata) -> Result<&Secret> {
        match &self.iss {
            Some(iss) if *iss != pending.issuer => Err(Error::new(
                Code::IssuerMismatch,
                msg!("the response's iss is not the configured issuer"),
            )),
            None if flow.requires_iss => Err(Error::new(Code::CallbackInvalid, NO_ISS)),
            None if metadata.authorization_response_iss_parameter_supported => Err(Error::new(
                Code::CallbackInvalid,
                msg!(
                    "the provider's response has no iss, although its metadata announces one (RFC 9207 2.4)"
                ),
            )),
            _ => self.code.as_ref().map_err(|error| {
                if self.says_login_expired() {
                    return Error::new(Code::LoginExpired, EXPIRED);
                }
                authorization_error(error, pending.is_silent)
            }),
        }
    }

    /// Returns true if the login has expired at the provider, although the user is signed in there, such as in another
    /// tab. Keycloak then asks the app to send the request again. No other description is compared with.
    fn says_login_expired(&self) -> bool {
        let description = self.description.as_ref().map(Secret::expose);
        matches!(&self.code, Err(error) if error == "temporarily_unavailable")
            && description == Some("authentication_expired")
    }

    /// Returns the options of the login that takes the place of `pending`, which has failed with `error`, if it has
    /// expired at the provider and is not a repetition itself.
    pub fn to_repeat(&self, error: &Error, pending: &Pending) -> Option<Box<LoginParams>> {
        let has_expired = error.code() == Code::LoginExpired && self.says_login_expired();
        pending.to_repeat().filter(|_| has_expired)
    }

    /// Returns the description to log after [`AuthorizationResponse::code`] has failed with `error`. Returns `None` if the
    /// response may not come from the provider, if a silent login needs the user, which is not a failure, or if the error
    /// says the same.
    pub fn fault(&self, error: &Error, pending: &Pending) -> Option<&Secret> {
        match error.code() {
            Code::IssuerMismatch | Code::CallbackInvalid => None,
            Code::InteractionRequired if pending.is_silent => None,
            Code::LoginExpired => None,
            _ => self.description.as_ref(),
        }
    }

    /// Returns true if a new login may replace this one if its cookie cannot be read: this client began the login, the
    /// response has a code, and the login was not final.
    #[must_use]
    pub const fn may_restart(&self) -> bool {
        self.is_own && self.code.is_ok() && !self.is_final
    }

    /// Returns the secrets of this response: `state`, and the code or an empty string.
    pub fn secrets(&self) -> [&str; 2] {
        let code = self.code.as_ref().map_or("", Secret::expose);
        [self.state.expose(), code]
    }
}

/// Returns the value of each parameter in `names`, or `None` if one of them is repeated.
fn unique_values<'a, const N: usize>(
    params: &'a [(String, String)],
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut values = [None; N];
    for (name, value) in params {
        if let Some(i) = names.iter().position(|known| known == name)
            && values[i].replace(value.as_str()).is_some()
        {
            return None;
        }
    }
    Some(values)
}

/// Returns the error for an error response of the authorization endpoint (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6). If the
/// provider could show pages, `consent_required` means that the user refused consent.
pub(crate) fn authorization_error(error: &str, is_silent: bool) -> Error {
    let code = match error {
        "access_denied" => Code::LoginDenied,
        "consent_required" if !is_silent => Code::LoginDenied,
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => Code::InteractionRequired,
        "temporarily_unavailable" | "server_error" => Code::ProviderUnavailable,
        _ => Code::LoginFailed,
    };
    Error::of(code, &[msg!("the provider responded with "), error])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::authorization_request::LoginParams;
    use crate::login::authorization_request::tests::{flow, metadata, redirect_uri, start, value};

    fn parse(query: &str) -> Result<AuthorizationResponse> {
        parse_url(&["https://app.test/callback?", query].concat(), false)
    }

    fn parse_url(url: &str, uses_fragment: bool) -> Result<AuthorizationResponse> {
        parse_for(&flow(""), url, uses_fragment)
    }

    fn parse_for(flow: &Flow, url: &str, uses_fragment: bool) -> Result<AuthorizationResponse> {
        let redirection = Redirection {
            uri: &redirect_uri(),
            uses_fragment,
        };
        // The tests write `s` for a `state` of this client.
        let state = ["state=s.", &flow.app().to_string()].concat();
        AuthorizationResponse::parse(flow, &redirection, &url.replace("state=s", &state))
    }

    #[test]
    fn state_of_another_client_is_unknown() {
        let app = flow("").app();
        for ending in ["", ".p", ".f", ".p.f"] {
            let state = format!("x.{}{ending}", app + 1);
            let error = parse(&["code=c&state=", &state].concat()).expect_err(&state);
            assert_eq!(error.code(), Code::LoginUnknown, "{state}");
            assert!(parse(&format!("code=c&state=x.{app}{ending}")).is_ok());
        }
    }

    #[test]
    fn state_without_a_hash_restarts_no_login() {
        let app = flow("").app();
        for state in ["", "x", "x.", "x.y", &format!("{app}")] {
            let response = parse(&["code=c&state=", state].concat()).unwrap();
            assert!(!response.may_restart(), "{state}");
        }
        let own = parse(&format!("code=c&state=x.{app}")).unwrap();
        assert!(own.may_restart());
    }

    fn code_of(query: &str) -> Result<Secret> {
        let begun = start(&LoginParams::default()).unwrap();
        let response = parse(query)?;
        let code = response.code(&flow(""), &begun.pending, &metadata());
        code.cloned()
    }

    #[test]
    fn iss_may_be_missing_unless_announced() {
        let begun = start(&LoginParams::default()).unwrap();
        for is_announced in [true, false] {
            let mut metadata = metadata();
            metadata.authorization_response_iss_parameter_supported = is_announced;
            let response = parse("code=c&state=s").unwrap();
            let code = response.code(&flow(""), &begun.pending, &metadata);
            assert_eq!(code.is_err(), is_announced);
        }
    }

    #[test]
    fn response_is_read_from_the_requested_place() {
        use crate::login::authorization_request::{ENTROPY, build};

        let redirection = Redirection {
            uri: &redirect_uri(),
            uses_fragment: true,
        };
        let params = LoginParams::default();
        let begun = build(&flow(""), &redirection, &[], &params, &[7; ENTROPY], 0).unwrap();
        let sent = form::parse(&begun.parameters).unwrap();
        assert_eq!(value(&sent, "response_mode"), Some("fragment"));
        let parse = |rest: &str| parse_url(&["https://app.test/callback", rest].concat(), true);
        let good = parse("?lang=de#code=abc&state=s&iss=https%3A%2F%2Fid.test").unwrap();
        let code = good.code(&flow(""), &begun.pending, &metadata()).unwrap();
        assert_eq!(code.expose(), "abc");
        // The query is ignored, even if it contains a forged response.
        let both = parse("?code=evil&state=t#code=abc&state=s&iss=https://id.test").unwrap();
        assert_eq!(
            both.code(&flow(""), &begun.pending, &metadata())
                .unwrap()
                .expose(),
            "abc"
        );
        for wrong in [
            "?code=abc&state=s",
            "#",
            "#code=abc",
            "#code=abc&state=s&state=t",
            "#code=%ff&state=s",
            "#id_token=a&access_token=b&state=s",
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert_eq!(error.code(), Code::CallbackInvalid, "{wrong}");
        }
    }

    #[test]
    fn fragment_is_ignored_unless_requested() {
        let error = parse("#code=abc&state=s").unwrap_err();
        assert_eq!(error.code(), Code::CallbackInvalid);
    }

    // claim: script-14
    #[test]
    fn response_is_matched_by_state() {
        let begun = start(&LoginParams::default()).unwrap();
        let params = form::parse(&begun.parameters).unwrap();
        let state = value(&params, "state").unwrap();
        let response = parse(&["code=abc&iss=https://id.test&state=", state].concat()).unwrap();
        assert_eq!(response.key, begun.key);
        assert!(!begun.key.contains(state));
    }

    #[test]
    fn rejects_malformed_responses() {
        for query in [
            "",
            "code=a",
            "state=s",
            "error=a%22b",
            "code=&state=s",
            "code=a&state=s&state=t",
            "code=a&code=b&state=s",
            "code=a&error=access_denied&state=s",
            "error=a%22b&state=s",
            "error=&state=s",
            "code=a&state=s&iss=a&iss=b",
            "code=%ff&state=s",
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.code(), Code::CallbackInvalid, "{query}");
        }
    }

    #[test]
    fn response_at_another_page_names_both() {
        let error = parse_url("https://app.test/cb?code=a&state=s", false).unwrap_err();
        assert_eq!(error.code(), Code::RedirectUriMismatch);
        assert!(error.message().contains("https://app.test/callback"));
    }

    #[test]
    fn issuer_is_compared_before_code_and_error() {
        for query in [
            "code=a&state=s&iss=https://evil.test",
            "code=a&state=s&iss=https://id.test/",
            "code=a&state=s&iss=",
            "code=a&state=s&iss=https://ID.test",
            "error=access_denied&state=s&iss=https://evil.test",
        ] {
            let error = code_of(query).unwrap_err();
            assert_eq!(error.code(), Code::IssuerMismatch, "{query}");
        }
        let code = code_of("code=abc&state=s&iss=https%3A%2F%2Fid.test").unwrap();
        assert_eq!(code.expose(), "abc");
    }

    #[test]
    fn missing_iss_is_reported_as_missing() {
        for query in ["code=a&state=s", "error=access_denied&state=s"] {
            let error = code_of(query).unwrap_err();
            assert_eq!(error.code(), Code::CallbackInvalid, "{query}");
            assert!(error.message().contains("has no iss"), "{error}");
        }
    }

    #[test]
    fn error_without_state_carries_the_providers_code() {
        for query in [
            "error=access_denied",
            "error=access_denied&iss=https://id.test",
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.code(), Code::LoginDenied, "{query}");
            assert!(error.message().contains("access_denied"));
        }
        for query in ["error=access_denied&iss=https://evil.test", "code=a", ""] {
            assert_eq!(
                parse(query).unwrap_err().code(),
                Code::CallbackInvalid,
                "{query}"
            );
        }
    }

    // claim: site-4
    #[test]
    fn required_iss_may_never_be_missing() {
        let begun = start(&LoginParams::default()).unwrap();
        let mut metadata = metadata();
        metadata.authorization_response_iss_parameter_supported = false;
        for (config, is_required) in [("", false), (r#","requireIss":true"#, true)] {
            let flow = flow(config);
            for query in [
                "code=c&state=s",
                "error=access_denied&state=s",
                "error=login_required",
            ] {
                for iss in ["", "&iss=https://id.test"] {
                    let query = ["https://app.test/callback?", query, iss].concat();
                    let response = parse_for(&flow, &query, false);
                    let code = response.and_then(|it| {
                        let code = it.code(&flow, &begun.pending, &metadata);
                        code.cloned()
                    });
                    let is_refused = code.is_err_and(|error| {
                        error.code() == Code::CallbackInvalid
                            && error.message().contains("requireIss")
                    });
                    assert_eq!(is_refused, is_required && iss.is_empty(), "{query}");
                }
            }
        }
    }

    #[test]
    fn consent_required_denies_interactive_logins() {
        for (prompt, code) in [
            (None, Code::LoginDenied),
            (Some("login"), Code::LoginDenied),
            (Some("none"), Code::InteractionRequired),
        ] {
            let params = LoginParams {
                prompt: prompt.map(str::to_owned),
                ..LoginParams::default()
            };
            let pending = start(&params).unwrap().pending;
            let stored = Pending::from_json(pending.to_json().expose()).unwrap();
            let response = parse("error=consent_required&state=s&iss=https://id.test").unwrap();
            let error = response.code(&flow(""), &stored, &metadata());
            assert_eq!(error.unwrap_err().code(), code, "{prompt:?}");
        }
    }

    #[test]
    fn only_failures_reported_by_the_provider_are_described() {
        for (query, prompt, is_described) in [
            ("iss=https://id.test&error=invalid_scope", None, true),
            ("iss=https://id.test&error=login_required", None, true),
            (
                "iss=https://id.test&error=access_denied",
                Some("none"),
                true,
            ),
            (
                "iss=https://id.test&error=login_required",
                Some("none"),
                false,
            ),
            ("iss=https://evil.test&error=invalid_scope", None, false),
            ("error=invalid_scope", None, false),
        ] {
            let params = LoginParams {
                prompt: prompt.map(str::to_owned),
                ..LoginParams::default()
            };
            let pending = start(&params).unwrap().pending;
            let query = [query, "&state=s&error_description=Why"].concat();
            let response = parse(&query).unwrap();
            let error = response.code(&flow(""), &pending, &metadata());
            let description = response.fault(&error.unwrap_err(), &pending);
            assert_eq!(description.is_some(), is_described, "{query}");
        }
    }

    #[test]
    fn each_error_response_has_its_code() {
        for (error, code) in [
            ("access_denied", Code::LoginDenied),
            ("login_required", Code::InteractionRequired),
            ("consent_required", Code::LoginDenied),
            ("temporarily_unavailable", Code::ProviderUnavailable),
            ("invalid_scope", Code::LoginFailed),
        ] {
            let query = ["state=s&iss=https://id.test&error=", error].concat();
            let refused = code_of(&query).unwrap_err();
            assert_eq!(refused.code(), code);
            assert!(refused.message().contains(error));
        }
    }
}
