//! Requests to the token and revocation endpoints, and responses of the token endpoint (RFC 6749 4.1.3, 5 and 6, RFC
//! 7636 4.5, RFC 7009).
//!
//! [`TokenResponse`] lists the kinds of responses. A response is [`TokenResponse::Unusable`] if it has no usable access
//! token, or if a captive portal or proxy sent it. Only a new refresh token in it is kept. `members.rs` reads the members.

mod members;

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, short};
use crate::base::http::{HttpReply, HttpRequest};
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::{self, Value};
use crate::oauth::identity::Members;
use crate::oauth::resource_indicators::Target;
use crate::oauth::scope::scope_tokens;

/// Longest token that is accepted, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// Assumed lifetime of an access token if the response has no usable `expires_in`. (RFC 6749 5.1 only recommends this
/// member.) The assumed lifetime is short: a wrong guess costs a refresh instead of a refused call.
pub const DEFAULT_LIFETIME: Millis = Millis::from_secs(300);

/// Limit on the lifetime of an access token. A longer `expires_in` is reduced to this limit.
pub const MAX_LIFETIME: Millis = Millis::from_secs(30 * 24 * 3600);

/// The lifetime of an access token that is used until an API refuses it: that of a login without `expires_in` and without
/// refresh token.
pub const UNLIMITED: Millis = Millis::MAX;

/// Scopes of OpenID Connect (Core 5.4, 11), which providers leave out of responses, or name differently.
const RENAMED_SCOPES: &str = "openid profile email address phone offline_access";

/// The authentication scheme of access tokens, and their required `token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Bearer tokens (RFC 6750).
    Bearer,
    /// Sender-constrained tokens, sent with a proof of possession (RFC 9449 7.1).
    Dpop,
}

/// The members of a response that say who the user is, and the names of those that become claims.
pub type WantedMembers<'a> = (&'a Members, &'a [String]);

/// The response that a client wants from the token endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The required type of tokens.
    pub scheme: Scheme,
    /// Without OpenID Connect, the members that say who the user is. Such a response may then also deviate from RFC 6749
    /// 5 as common servers do: commas may separate the scopes, and an error may have status 200.
    pub members: Option<WantedMembers<'a>>,
}

impl From<Scheme> for Wanted<'_> {
    /// Wants the response of a server with OpenID Connect.
    fn from(scheme: Scheme) -> Self {
        Self {
            scheme,
            members: None,
        }
    }
}

/// Builds the request that exchanges an authorization code (RFC 6749 4.1.3, RFC 7636 4.5, RFC 8707 2.2).
#[must_use]
pub fn code_request(
    endpoint: &str,
    client_id: &str,
    redirect_uri: &str,
    code: &Secret,
    code_verifier: &Secret,
    target: &Target,
) -> HttpRequest {
    let mut form = Form::new();
    form.push("grant_type", "authorization_code")
        .push("code", code.expose())
        .push("redirect_uri", redirect_uri)
        .push("client_id", client_id)
        .push("code_verifier", code_verifier.expose());
    target.push_to(&mut form);
    post(endpoint, form)
}

/// Builds a refresh request (RFC 6749 6) for the access token of the login or of an API rule (RFC 8707 2.2). The login's
/// target has no `scope`, so the scopes of the grant are kept.
#[must_use]
pub fn refresh_request(
    endpoint: &str,
    client_id: &str,
    refresh_token: &Secret,
    target: &Target,
) -> HttpRequest {
    let mut form = Form::new();
    form.push("grant_type", "refresh_token")
        .push("refresh_token", refresh_token.expose())
        .push("client_id", client_id);
    target.push_to(&mut form);
    post(endpoint, form)
}

/// Builds the request that revokes a refresh token, and with it the grant (RFC 7009 2.1).
#[must_use]
pub fn revocation_request(endpoint: &str, client_id: &str, refresh_token: &Secret) -> HttpRequest {
    let mut form = Form::new();
    form.push("token", refresh_token.expose())
        .push("token_type_hint", "refresh_token")
        .push("client_id", client_id);
    post(endpoint, form)
}

pub(crate) fn post(endpoint: &str, mut form: Form) -> HttpRequest {
    HttpRequest {
        url: endpoint.to_owned(),
        form: Some(Secret::new(form.finish())),
        keepalive: true,
        proof: None,
        access_token: None,
    }
}

/// The tokens of a successful response (RFC 6749 5.1).
#[derive(Clone, Debug, Default)]
pub struct TokenSet {
    /// The access token, of the required [`Scheme`]. Empty only in [`Unusable::rotated`].
    pub access_token: Secret,
    /// Lifetime of the access token from the response on.
    pub expires_in: Millis,
    /// The refresh token. If a refresh does not return a new refresh token, the previous one stays valid.
    pub refresh_token: Option<Secret>,
    /// True if the response has a refresh token that is not usable. The one that was sent is then consumed, and must not
    /// be sent again.
    pub loses_refresh_token: bool,
    /// Lifetime of the refresh token from the response on, if the response states it: `refresh_token_expires_in`
    /// (draft-ietf-oauth-refresh-token-expiration), or Keycloak's `refresh_expires_in`.
    pub refresh_expires_in: Option<Millis>,
    /// The ID token, not parsed yet. Without OpenID Connect, the output of [`Members::of`], not searched yet.
    pub identity: Option<Secret>,
    /// The granted scopes, separated by spaces, if the response contains them.
    pub scope: Option<String>,
    /// True if the response has a `scope` that is not usable.
    pub has_unusable_scope: bool,
    /// The members that are not usable, for the warning. Empty if there are none.
    pub flaws: String,
}

impl TokenSet {
    /// Returns false if the response had only a refresh token to keep: see [`Unusable::rotated`].
    #[must_use]
    pub fn has_access_token(&self) -> bool {
        !self.access_token.expose().is_empty()
    }

    /// Returns the refresh token after a refresh with the token `before`, which remains valid if the response has no new one
    /// (RFC 6749 6).
    #[must_use]
    pub fn next_refresh_token(&self, before: Option<&Secret>) -> Option<Secret> {
        let kept = before.filter(|_| !self.loses_refresh_token);
        // control: rotated_token_is_replaced
        let next = self.refresh_token.as_ref().or(kept);
        next.cloned()
    }

    /// Returns the warning about the members that are not usable.
    pub fn warning(&self) -> Option<Error> {
        let message = [
            msg!("the token endpoint's response is not exact: "),
            &self.flaws,
        ];
        (!self.flaws.is_empty()).then(|| Error::of(Code::TokenResponseInvalid, &message))
    }

    /// Returns an error if `scope` is not usable. A client that refuses scopes that it did not request needs to know the
    /// granted scopes.
    pub fn unusable_scope(&self) -> Option<Error> {
        self.warning().filter(|_| self.has_unusable_scope)
    }

    /// Returns the error for a response that says nothing about the user.
    pub fn no_id_token(&self) -> Error {
        let none = msg!("the token endpoint's response has no ID token");
        let joint = if self.flaws.is_empty() { "" } else { ": " };
        Error::of(Code::TokenResponseInvalid, &[none, joint, &self.flaws])
    }

    /// Returns a [`Code::ScopeExceeded`] error that names the granted scopes that are not in `requested`, if there are
    /// any.
    pub fn scope_beyond(&self, requested: &str) -> Option<Error> {
        let granted = self.scope.as_deref().unwrap_or_default();
        let mut beyond = String::new();
        for scope in scope_tokens(granted) {
            if !strings::contains_word(requested, scope) {
                beyond.push(' ');
                beyond.push_str(scope);
            }
        }
        let message = [
            msg!("the provider granted scopes that the login did not request:"),
            &short(&beyond),
        ];
        (!beyond.is_empty()).then(|| Error::of(Code::ScopeExceeded, &message))
    }

    /// Returns a [`Code::ScopeReduced`] error that names the scopes in `requested` that were not granted, if there are any.
    /// A response without `scope` grants all (RFC 6749 5.1).
    pub fn scope_short_of(&self, requested: &str) -> Option<Error> {
        let granted = self.scope.as_deref()?;
        // Some servers separate the granted scopes by commas, also with OpenID Connect.
        let is_granted = |scope| granted.split([' ', ',']).any(|one| one == scope);
        let mut missing = String::new();
        for scope in scope_tokens(requested) {
            if !strings::contains_word(RENAMED_SCOPES, scope) && !is_granted(scope) {
                missing.push(' ');
                missing.push_str(scope);
            }
        }
        let message = [
            msg!("the provider did not grant scopes that the login requested:"),
            &short(&missing),
        ];
        (!missing.is_empty()).then(|| Error::of(Code::ScopeReduced, &message))
    }

    /// Returns true if there is no refresh token, although `requested` contains `offline_access`.
    pub fn misses_refresh_token(&self, requested: &str) -> bool {
        self.refresh_token.is_none() && strings::contains_word(requested, "offline_access")
    }
}

/// A classified response of the token endpoint.
#[derive(Clone, Debug)]
pub enum TokenResponse {
    /// Valid tokens.
    Tokens(Box<TokenSet>),
    /// An error response with this `error` code (RFC 6749 5.2).
    Refused(String),
    /// Status 429, or 503 with `Retry-After`: retry after this time, if the response has `Retry-After`.
    Wait(Option<Millis>),
    /// Another status 5xx, or 408. The server may have processed the request.
    ServerError,
    /// The response is not a valid response of a token endpoint.
    Unusable(Unusable),
}

/// A response without a usable access token.
#[derive(Clone, Debug)]
pub struct Unusable {
    /// The reason, without a secret.
    pub why: String,
    /// The refresh token of the response, usable or not, without an access token. `None` if the response says nothing
    /// about the refresh token that was sent, which then stays valid. Its `identity` is there for one purpose: to end the
    /// session if the tokens are another user's.
    pub rotated: Option<Box<TokenSet>>,
}

impl Unusable {
    fn because(why: &[&str]) -> Self {
        Self {
            why: why.concat(),
            rotated: None,
        }
    }

    fn because_of_status(status: u16, before: &str, after: &str) -> Self {
        Self::because(&[before, &json::digits(status.into()), after])
    }
}

/// Reads a response of the token endpoint. Tokens of another type than the required one are unusable, such as bearer
/// tokens if DPoP is required (RFC 9449 5).
#[must_use]
pub fn read(reply: &HttpReply, wanted: Wanted<'_>) -> TokenResponse {
    if wanted.members.is_some() && reply.status == 200 {
        // Servers without OpenID Connect may refuse with status 200, as GitHub does.
        match error_code(reply) {
            Some(code) if OF_GITHUB.contains(&&*code) => {
                return TokenResponse::Refused("invalid_grant".to_owned());
            }
            Some(code) => return TokenResponse::Refused(code),
            None => {}
        }
    }
    let status = reply.status;
    match status {
        // RFC 6749 5.1 has only 200, and some providers send 201.
        200..=299 => match members::tokens(reply, wanted) {
            Ok(tokens) => TokenResponse::Tokens(tokens),
            Err(unusable) => TokenResponse::Unusable(unusable),
        },
        429 => TokenResponse::Wait(reply.retry_after),
        503 if reply.retry_after.is_some() => TokenResponse::Wait(reply.retry_after),
        400..=499 if status != 408 => match error_code(reply) {
            Some(code) => TokenResponse::Refused(code),
            None => {
                let (before, after) = (msg!("status "), msg!(" without a usable error code"));
                TokenResponse::Unusable(Unusable::because_of_status(status, before, after))
            }
        },
        408 | 500..=599 => TokenResponse::ServerError,
        // Browsers hide the status of a redirect that was not followed.
        0 | 300..=399 => {
            let before = msg!("a redirect, which is not followed (status ");
            TokenResponse::Unusable(Unusable::because_of_status(status, before, ")"))
        }
        _ => {
            let after = msg!(", which token endpoints do not use");
            TokenResponse::Unusable(Unusable::because_of_status(status, msg!("status "), after))
        }
    }
}

/// The names of `invalid_grant` at GitHub.
const OF_GITHUB: &[&str] = &["bad_refresh_token", "bad_verification_code"];

/// Reads the response to the exchange of an authorization code (RFC 6749 4.1.4).
///
/// # Errors
/// [`Code::CodeRejected`] for `invalid_grant`, [`Code::ClientRejected`] for other error codes,
/// [`Code::ProviderUnavailable`] if the server failed, and [`Code::TokenResponseInvalid`] for an unusable response.
pub fn read_code_exchange(reply: &HttpReply, wanted: Wanted<'_>) -> crate::Result<Box<TokenSet>> {
    let unavailable = |why: &'static str| Error::new(Code::ProviderUnavailable, why);
    Err(match read(reply, wanted) {
        TokenResponse::Tokens(tokens) => return Ok(tokens),
        TokenResponse::Refused(code) if code == "invalid_grant" => Error::new(
            Code::CodeRejected,
            msg!("the token endpoint responded with invalid_grant"),
        ),
        TokenResponse::Refused(code) => Error::of(
            Code::ClientRejected,
            &[msg!("the token endpoint responded with "), &code],
        ),
        TokenResponse::Wait(_) => unavailable(msg!("the token endpoint asks to retry later")),
        TokenResponse::ServerError => unavailable(msg!("the token endpoint failed")),
        TokenResponse::Unusable(Unusable { why, .. }) => Error::of(
            Code::TokenResponseInvalid,
            &[msg!("the token endpoint's response is unusable: "), &why],
        ),
    })
}

/// Returns the JSON value of a response, in which other members may be ambiguous.
pub(crate) fn json_value(reply: &HttpReply) -> Option<Value> {
    Value::parse_tolerant(reply.json_text()?).ok()
}

fn error_code(reply: &HttpReply) -> Option<String> {
    text_member(reply, "error").filter(|code| is_error_code(code))
}

/// Returns true if a response has the form of an OAuth error (RFC 6749 5.2): a JSON object whose `error` is a string, and not
/// the name of its status, 400 or 401, which gateways and frameworks write there.
pub(crate) fn has_error(reply: &HttpReply) -> bool {
    let is_status =
        |error: &str| ["bad request", "unauthorized"].contains(&&*error.to_ascii_lowercase());
    text_member(reply, "error").is_some_and(|error| !is_status(&error))
}

/// Returns a member of a JSON response, if it is a string.
pub fn text_member(reply: &HttpReply, name: &str) -> Option<String> {
    let value = json_value(reply)?;
    value.as_object()?.str(name).map(str::to_owned)
}

/// Returns true for an error code of 1 to 40 lower-case letters and underscores. RFC 6749 5.2 allows other characters,
/// but all registered codes have this form. Error messages to the page contain the code, so a code must not be able to
/// contain a token.
#[must_use]
pub fn is_error_code(code: &str) -> bool {
    (1..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    fn response(status: u16, body: &str) -> TokenResponse {
        read(&json_reply(status, body), Scheme::Bearer.into())
    }

    fn issued(members: &str) -> Option<Box<TokenSet>> {
        let body = r#"{"access_token":"at","token_type":"Bearer""#.to_owned() + members + "}";
        match response(200, &body) {
            TokenResponse::Tokens(tokens) => Some(tokens),
            _ => None,
        }
    }

    /// Reads a response of a server without OpenID Connect.
    fn plain(status: u16, body: &str, scheme: Scheme, scope_has_commas: bool) -> TokenResponse {
        let members = Members {
            profile: None,
            sub: "id".to_owned(),
            scope_has_commas,
        };
        let names = ["login".to_owned()];
        let wanted = Wanted {
            scheme,
            members: Some((&members, &names)),
        };
        read(&json_reply(status, body), wanted)
    }

    fn plainly_issued(members: &str) -> Option<Box<TokenSet>> {
        let body = r#"{"access_token":"at""#.to_owned() + members + "}";
        match plain(200, &body, Scheme::Bearer, false) {
            TokenResponse::Tokens(tokens) => Some(tokens),
            _ => None,
        }
    }

    // claim: network-5
    #[test]
    fn named_members_identify_the_user() {
        let identity = |members| {
            let tokens = plainly_issued(members).unwrap();
            tokens.identity.unwrap().expose().to_owned()
        };
        let user = r#","id":42,"login":"ann","email":"x","id_token":"a.b.c""#;
        assert_eq!(identity(user), r#"{"sub":"42","login":"ann"}"#);
        assert_eq!(identity(r#","id":"ann""#), r#"{"sub":"ann"}"#);
        assert_eq!(identity(r#","id":{}"#), "{}");
        // An object may contain tokens of its own.
        let nested = r#","id":"ann","login":{"access_token":"other"}"#;
        assert_eq!(identity(nested), r#"{"sub":"ann"}"#);
    }

    #[test]
    fn missing_token_type_counts_as_bearer_but_not_as_dpop() {
        let flaws = "token_type is missing, and counts as Bearer (RFC 6749 5.1 requires it)";
        assert_eq!(plainly_issued("").unwrap().flaws, flaws);
        let typed = plainly_issued(r#","token_type":"bearer""#).unwrap();
        assert_eq!(typed.flaws, "");
        assert!(plainly_issued(r#","token_type":"mac""#).is_none());
        for token_type in ["", r#","token_type":null"#, r#","token_type":"""#] {
            let body = [r#"{"access_token":"at""#, token_type, "}"].concat();
            let TokenResponse::Tokens(openid) = response(200, &body) else {
                panic!("{body}");
            };
            assert_eq!(openid.flaws, flaws);
            for bound in [
                plain(200, &body, Scheme::Dpop, false),
                read(&json_reply(200, &body), Scheme::Dpop.into()),
            ] {
                assert!(matches!(bound, TokenResponse::Unusable(_)), "{bound:?}");
            }
        }
    }

    #[test]
    fn token_without_lifetime_and_refresh_token_is_unlimited() {
        let lifetime = |members: &str| plainly_issued(members).unwrap().expires_in;
        assert_eq!(lifetime(""), UNLIMITED);
        assert_eq!(lifetime(r#","expires_in":null"#), UNLIMITED);
        assert_eq!(lifetime(r#","expires_in":"""#), UNLIMITED);
        // An unreadable lifetime is short, and never unlimited.
        for odd in ["0", "-1", "\"soon\"", "{}", "\"\\ud800\""] {
            let member = [r#","expires_in":"#, odd].concat();
            assert_eq!(lifetime(&member), DEFAULT_LIFETIME, "{odd}");
        }
        assert_eq!(lifetime(r#","refresh_token":"rt""#), DEFAULT_LIFETIME);
        assert_eq!(lifetime(r#","expires_in":60"#), Millis::from_secs(60));
        assert_eq!(issued("").unwrap().expires_in, UNLIMITED);
    }

    #[test]
    fn commas_separate_scopes_only_without_spaces() {
        let scope = |members| plainly_issued(members).unwrap().scope.unwrap();
        assert_eq!(scope(r#","scope":"repo,user:email""#), "repo user:email");
        assert_eq!(scope(r#","scope":"read,write all""#), "read,write all");
        assert_eq!(plainly_issued(r#","scope":"""#).unwrap().scope, None);
        let body = r#"{"access_token":"at","scope":"read,write"}"#;
        let TokenResponse::Tokens(tokens) = plain(200, body, Scheme::Bearer, true) else {
            panic!("the response is usable");
        };
        assert_eq!(tokens.scope.unwrap(), "read,write");
        let openid = issued(r#","scope":"read,write""#).unwrap();
        assert_eq!(openid.scope.unwrap(), "read,write");
    }

    #[test]
    fn errors_may_have_status_200() {
        for (error, code) in [
            ("bad_refresh_token", "invalid_grant"),
            ("bad_verification_code", "invalid_grant"),
            ("invalid_client", "invalid_client"),
        ] {
            let body = [r#"{"error":""#, error, r#""}"#].concat();
            let refused = plain(200, &body, Scheme::Bearer, false);
            assert!(
                matches!(&refused, TokenResponse::Refused(found) if found == code),
                "{error}: {refused:?}"
            );
            let TokenResponse::Unusable(openid) = response(200, &body) else {
                panic!("{error}");
            };
            assert_eq!(
                openid.why,
                ["a 200 response with the error code ", error].concat()
            );
        }
        // An error that is no code is not a refusal.
        let odd = plain(200, r#"{"error":"Ä"}"#, Scheme::Bearer, false);
        assert!(matches!(odd, TokenResponse::Unusable(_)), "{odd:?}");
    }

    #[test]
    fn requests_have_the_specified_parameters() {
        let target = Target {
            resource: Some("urn:a".to_owned()),
            ..Target::default()
        };
        let request = code_request(
            "https://id.test/token",
            "spa",
            "https://app.test/cb",
            &Secret::from("the code"),
            &Secret::from("verifier"),
            &target,
        );
        assert_eq!(
            request.form.unwrap().expose(),
            "grant_type=authorization_code&code=the%20code&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&client_id=spa&code_verifier=verifier&resource=urn%3Aa"
        );
        let refresh_token = Secret::from("rt");
        let form = "grant_type=refresh_token&refresh_token=rt&client_id=spa";
        for (target, more) in [(&target, "&resource=urn%3Aa"), (&Target::default(), "")] {
            let request = refresh_request("https://id.test/token", "spa", &refresh_token, target);
            assert_eq!(request.form.unwrap().expose(), [form, more].concat());
        }
        let request = revocation_request("https://id.test/revoke", "spa", &Secret::from("rt"));
        assert_eq!(
            request.form.unwrap().expose(),
            "token=rt&token_type_hint=refresh_token&client_id=spa"
        );
        assert!(request.keepalive);
    }

    #[test]
    fn reads_all_members_of_a_token_response() {
        let tokens = issued(
            r#","expires_in":3600,"refresh_token":"rt","id_token":"a.b.c","scope":"openid email","other":[1]"#,
        )
        .unwrap();
        assert_eq!(tokens.access_token.expose(), "at");
        assert_eq!(tokens.expires_in, Millis::from_secs(3600));
        assert_eq!(tokens.refresh_token.unwrap().expose(), "rt");
        assert_eq!(tokens.identity.unwrap().expose(), "a.b.c");
        assert_eq!(tokens.scope.unwrap(), "openid email");
    }

    #[test]
    fn expires_in_may_be_number_or_string() {
        let lifetime = |value: &str| {
            let member = r#","expires_in":"#.to_owned() + value;
            issued(&member).map(|tokens| tokens.expires_in)
        };
        let seconds = |n| Some(Millis::from_secs(n));
        assert_eq!(lifetime("3600"), seconds(3600));
        assert_eq!(lifetime("\"3600\""), seconds(3600));
        assert_eq!(lifetime("3599.5"), seconds(3599));
        assert_eq!(lifetime("\"3599.5\""), seconds(3599));
        assert_eq!(lifetime("3.6e3"), seconds(3600));
        assert_eq!(lifetime("1000000000000000000"), Some(MAX_LIFETIME));
        assert_eq!(lifetime("99999999999999999999999"), Some(MAX_LIFETIME));
        for bad in [
            "0", "0.5", "-1", "-1e3", "\"abc\"", "\"-\"", "\"0x10\"", "true", "[]", "{}",
        ] {
            assert_eq!(lifetime(bad), Some(DEFAULT_LIFETIME), "{bad}");
        }
        assert_eq!(issued("").unwrap().expires_in, UNLIMITED);
    }

    #[test]
    fn null_and_empty_count_as_absent() {
        for value in ["null", "\"\""] {
            let names = ["expires_in", "scope", "refresh_token", "id_token", "error"];
            let members: String = names.map(|name| format!(r#","{name}":{value}"#)).concat();
            let tokens = issued(&members).unwrap();
            assert_eq!(tokens.expires_in, UNLIMITED);
            assert_eq!(tokens.scope, None);
            assert!(tokens.refresh_token.is_none() && !tokens.loses_refresh_token);
            assert!(tokens.identity.is_none());
            assert_eq!(tokens.flaws, "");
        }
    }

    #[test]
    fn lifetime_of_the_refresh_token_is_read() {
        let stated = |members: &str| {
            let tokens = issued(&[r#","refresh_token":"rt""#, members].concat()).unwrap();
            (tokens.refresh_expires_in.map(Millis::as_secs), tokens.flaws)
        };
        let exact = |seconds| (seconds, String::new());
        assert_eq!(stated(""), exact(None));
        assert_eq!(stated(r#","refresh_expires_in":1800"#), exact(Some(1800)));
        let both = r#","refresh_expires_in":1800,"refresh_token_expires_in":"86399.5""#;
        assert_eq!(stated(both), exact(Some(86399)));
        // An offline token of Keycloak has no end.
        for none in ["0", "null", r#""""#] {
            assert_eq!(
                stated(&format!(r#","refresh_expires_in":{none}"#)),
                exact(None)
            );
        }
        for odd in ["-1", "true", r#""soon""#, "[]"] {
            let flaws = "refresh_expires_in is not a number of seconds".to_owned();
            let member = format!(r#","refresh_expires_in":{odd}"#);
            assert_eq!(stated(&member), (None, flaws), "{odd}");
        }
    }

    /// Values of every type, and of every fault of a token.
    fn odd_values() -> Vec<String> {
        let long = format!("\"{}\"", "x".repeat(MAX_TOKEN + 1));
        let all = [
            "null",
            "\"\"",
            "true",
            "false",
            "0",
            "-1",
            "1.5",
            "1e3",
            "[]",
            "[\"a\"]",
            "{}",
            "{\"a\":1}",
            "\"a\\u007f\"",
            "\"a\\tb\"",
            "\"é\"",
            "\"\\\"\"",
            "\"\\ud800\"",
            "\"a b\"",
            "\"usable\"",
            &long,
        ];
        all.map(ToOwned::to_owned).to_vec()
    }

    /// An optional member with any value, once or twice, before or after the others, costs nothing but itself.
    #[test]
    fn usable_tokens_survive_every_flaw_of_other_members() {
        let others = [
            ("access_token", r#""at""#),
            ("token_type", r#""bearer""#),
            ("refresh_token", r#""rt""#),
            ("id_token", r#""a.b.c""#),
            ("expires_in", "60"),
            ("scope", r#""openid""#),
        ];
        for name in [
            "expires_in",
            "refresh_token",
            "id_token",
            "scope",
            "error",
            "refresh_token_expires_in",
            "refresh_expires_in",
            "session_state",
            "x",
        ] {
            for value in odd_values() {
                // A usable error code is an error.
                let is_text = value.starts_with('"') && value != "\"\"" && !value.contains("ud800");
                if name == "error" && is_text {
                    continue;
                }
                for times in [1, 2] {
                    let others = others.iter().filter(|(other, _)| *other != name);
                    let member = |(name, value): (&str, &str)| format!("\"{name}\":{value}");
                    let mut members: Vec<String> = others.copied().map(member).collect();
                    for _ in 0..times {
                        members.insert(members.len() / 2, member((name, &value)));
                    }
                    let body = format!("{{{}}}", members.join(","));
                    let what = format!("{body:.300}");
                    let TokenResponse::Tokens(tokens) = response(200, &body) else {
                        panic!("{what}");
                    };
                    assert_eq!(tokens.access_token.expose(), "at");
                    let token = tokens.refresh_token.as_ref().map(Secret::expose);
                    if name != "refresh_token" {
                        assert_eq!(token, Some("rt"), "{what}");
                    } else if times == 1 && ["\"usable\"", "\"a b\"", "\"\\\"\""].contains(&&*value)
                    {
                        assert!(token.is_some() && !tokens.loses_refresh_token, "{what}");
                    } else {
                        let absent = ["null", "\"\"", "false", "[]", "{}"];
                        let is_absent = times == 1 && absent.contains(&&*value);
                        assert_eq!(token, None, "{what}");
                        assert_eq!(tokens.loses_refresh_token, !is_absent, "{what}");
                    }
                    if name != "expires_in" {
                        assert_eq!(tokens.expires_in, Millis::from_secs(60), "{what}");
                    } else {
                        let known = [1, 300, 1000].map(Millis::from_secs);
                        assert!(known.contains(&tokens.expires_in), "{what}");
                    }
                    if name != "scope" {
                        assert_eq!(tokens.scope.as_deref(), Some("openid"), "{what}");
                    }
                    if name != "id_token" {
                        assert!(tokens.identity.is_some(), "{what}");
                    }
                    let is_unknown = matches!(name, "session_state" | "x");
                    assert!(!is_unknown || tokens.flaws.is_empty(), "{what}");
                }
            }
        }
    }

    /// If the response has no usable access token, its refresh token still counts.
    #[test]
    fn refresh_token_survives_an_unusable_access_token() {
        let good = [
            ("access_token", "\"at\""),
            ("token_type", "\"Bearer\""),
            ("error", "\"\""),
        ];
        let unusable = |name: &str, value: &str, refresh_token: &str| {
            let others = good.iter().filter(|(other, _)| *other != name);
            let members = others.copied().chain([(name, value)]);
            let members: Vec<String> = members.map(|(n, v)| format!("\"{n}\":{v}")).collect();
            let body = format!(
                "{{{},\"refresh_token\":{refresh_token}}}",
                members.join(",")
            );
            match response(200, &body) {
                TokenResponse::Unusable(unusable) => unusable.rotated,
                other => panic!("{name} {value}: {other:?}"),
            }
        };
        let faults = odd_values()
            .into_iter()
            .filter(|value| value != "\"usable\"");
        let faults = faults
            .filter(|value| value != "\"\\\"\"")
            .map(|value| ("access_token", value));
        let faults = faults.chain(
            [
                ("token_type", "\"mac\""),
                ("token_type", "1"),
                ("error", "\"x\""),
            ]
            .map(|(n, v)| (n, v.to_owned())),
        );
        for (name, value) in faults {
            let rotated = unusable(name, &value, "\"rt\"").unwrap();
            assert_eq!(rotated.refresh_token.as_ref().unwrap().expose(), "rt");
            assert!(!rotated.has_access_token() && rotated.identity.is_none());
            let lost = unusable(name, &value, "1").unwrap();
            assert!(lost.refresh_token.is_none() && lost.loses_refresh_token);
            for absent in ["null", "\"\""] {
                assert!(unusable(name, &value, absent).is_none(), "{name} {value}");
            }
        }
        // Its type does not change what the body says.
        let html = HttpReply {
            content_type: Some("text/html".to_owned()),
            ..json_reply(
                200,
                r#"{"access_token":"a","token_type":"Bearer","refresh_token":"rt"}"#,
            )
        };
        let TokenResponse::Unusable(unusable) = read(&html, Scheme::Bearer.into()) else {
            panic!("a page is not a token response");
        };
        assert_eq!(
            unusable.why,
            "it is JSON, but its Content-Type is 'text/html'"
        );
        assert!(unusable.rotated.unwrap().refresh_token.is_some());
    }

    #[test]
    fn unusable_tokens_are_told_apart() {
        let why = |value: &str| {
            let body = [r#"{"token_type":"Bearer","access_token":"#, value, "}"].concat();
            match response(200, &body) {
                TokenResponse::Unusable(unusable) => unusable.why,
                other => panic!("{value}: {other:?}"),
            }
        };
        let long = format!("\"{}\"", "x".repeat(MAX_TOKEN + 1));
        for (value, expected) in [
            ("null", "missing"),
            ("\"\"", "missing"),
            ("1", "a number"),
            ("\"a b\"", "a string with a space"),
            ("\"a\\n\"", "a string with a control character"),
            ("\"a\\u007f\"", "a string with a control character"),
            ("\"é\"", "a string with a character that is not ASCII"),
            (&long, "longer than 16 KiB"),
            ("\"\\ud800\"", "repeated, or has a lone surrogate"),
        ] {
            assert_eq!(why(value), ["access_token is ", expected].concat());
        }
        let lost = issued(r#","refresh_token":"é""#).unwrap();
        assert_eq!(
            lost.flaws,
            "refresh_token is a string with a character that is not ASCII"
        );
    }

    #[test]
    fn token_type_bearer_is_case_insensitive() {
        for (token_type, accepted) in [
            ("\"bearer\"", true),
            ("\"BEARER\"", true),
            ("\"mac\"", false),
            ("\"DPoP\"", false),
            ("1", false),
            ("null", true),
            ("\"\"", true),
        ] {
            let body = r#"{"access_token":"at","token_type":"#.to_owned() + token_type + "}";
            let is_tokens = matches!(response(200, &body), TokenResponse::Tokens(_));
            assert_eq!(is_tokens, accepted, "{token_type}");
        }
    }

    #[test]
    fn sender_constrained_tokens_require_token_type_dpop() {
        for (token_type, accepted) in [
            ("\"DPoP\"", true),
            ("\"dpop\"", true),
            ("\"Bearer\"", false),
            ("null", false),
        ] {
            let body = r#"{"access_token":"at","token_type":"#.to_owned() + token_type + "}";
            let read = read(&json_reply(200, &body), Scheme::Dpop.into());
            let is_tokens = matches!(read, TokenResponse::Tokens(_));
            assert_eq!(is_tokens, accepted, "{token_type}");
        }
    }

    /// Each single character of VSCHAR, and all of them, in an order that begins with each.
    fn of_visible_characters() -> impl Iterator<Item = String> {
        let all: String = (' '..='~').collect();
        (0..all.len()).flat_map(move |i| {
            let (before, rest) = all.split_at(i);
            [rest[..1].to_owned(), [rest, before].concat()]
        })
    }

    #[test]
    fn refresh_token_and_code_may_have_any_visible_character() {
        for text in of_visible_characters() {
            let member = [r#","refresh_token":"#, &format!("{text:?}")].concat();
            let tokens = issued(&member).unwrap_or_else(|| panic!("{text}"));
            let token = tokens.refresh_token.unwrap();
            assert_eq!(token.expose(), text);
            let sent = |request: HttpRequest, name: &str| {
                let form = request.form.unwrap();
                let params = crate::codec::form::parse(form.expose()).unwrap();
                let mut values = params.into_iter().filter(|(known, _)| known == name);
                values.next().map(|(_, value)| value)
            };
            let target = Target::default();
            let request = refresh_request("https://id.test/token", "spa", &token, &target);
            assert_eq!(sent(request, "refresh_token"), Some(text.clone()));
            let request = revocation_request("https://id.test/revoke", "spa", &token);
            assert_eq!(sent(request, "token"), Some(text.clone()));
            let verifier = Secret::from("v");
            let endpoint = "https://id.test/token";
            let request = code_request(endpoint, "spa", "/cb", &token, &verifier, &target);
            assert_eq!(sent(request, "code"), Some(text));
        }
    }

    #[test]
    fn other_tokens_must_not_have_a_space() {
        for name in ["access_token", "id_token"] {
            let body = |token: &str| {
                let others = r#"{"token_type":"Bearer","#;
                match name {
                    "id_token" => [others, r#""access_token":"a","id_token":""#, token, "\"}"],
                    _ => [others, r#""access_token":""#, token, "\"}"],
                }
                .concat()
            };
            let accepts = |token: &str| match response(200, &body(token)) {
                TokenResponse::Tokens(tokens) => {
                    name == "access_token" || tokens.identity.is_some()
                }
                _ => false,
            };
            assert!(accepts("a!~"), "{name}");
            for token in ["a b", " a", "a "] {
                assert!(!accepts(token), "{name} {token:?}");
            }
        }
    }

    #[test]
    fn rejects_tokens_with_invalid_characters() {
        for token in [
            "\"\"",
            "\"a\\u007f\"",
            "\"a\\tb\"",
            "\"a\\r\\nX: 1\"",
            "\"\\u00e9\"",
            "1",
            "null",
        ] {
            let body = r#"{"token_type":"Bearer","access_token":"#.to_owned() + token + "}";
            assert!(
                matches!(response(200, &body), TokenResponse::Unusable(_)),
                "{token}"
            );
            let member = r#","refresh_token":"#.to_owned() + token;
            assert!(issued(&member).unwrap().refresh_token.is_none(), "{token}");
        }
        for (length, is_token) in [(MAX_TOKEN, true), (MAX_TOKEN + 1, false)] {
            let member = format!(r#","refresh_token":"{}""#, "x".repeat(length));
            let tokens = issued(&member).unwrap();
            assert_eq!(tokens.refresh_token.is_some(), is_token, "{length}");
        }
    }

    #[test]
    fn other_responses_are_unusable() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>sign in to the hotel's network</html>",
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"Bearer"}x"#,
            r#"{"access_token":"a","token_type":"Bearer","error":"x"}"#,
            "\u{feff}\u{feff}{\"access_token\":\"a\",\"token_type\":\"Bearer\"}",
        ] {
            assert!(
                matches!(response(200, body), TokenResponse::Unusable(_)),
                "{body}"
            );
        }
        let good = r#"{"access_token":"a","token_type":"Bearer"}"#;
        for (status, why) in [
            (302, "a redirect, which is not followed (status 302)"),
            (307, "a redirect, which is not followed (status 307)"),
            (0, "a redirect, which is not followed (status 0)"),
            (103, "status 103, which token endpoints do not use"),
            (404, "status 404 without a usable error code"),
        ] {
            let TokenResponse::Unusable(unusable) = response(status, good) else {
                panic!("{status}");
            };
            assert_eq!(unusable.why, why);
        }
        for status in [200, 201, 202, 203, 206] {
            let tokens = response(status, good);
            assert!(matches!(tokens, TokenResponse::Tokens(_)), "{status}");
        }
        assert!(matches!(response(204, ""), TokenResponse::Unusable(_)));
        let html = HttpReply {
            content_type: Some("text/html".to_owned()),
            ..json_reply(200, good)
        };
        assert!(matches!(
            read(&html, Scheme::Bearer.into()),
            TokenResponse::Unusable(_)
        ));
        let too_large = HttpReply {
            body: None,
            ..json_reply(200, good)
        };
        assert!(matches!(
            read(&too_large, Scheme::Bearer.into()),
            TokenResponse::Unusable(_)
        ));
    }

    #[test]
    fn classifies_failed_responses() {
        let refused = |body: &str| match response(400, body) {
            TokenResponse::Refused(code) => Some(code),
            _ => None,
        };
        assert_eq!(
            refused(r#"{"error":"invalid_grant"}"#).as_deref(),
            Some("invalid_grant")
        );
        for body in [
            r#"{"error":"a\"b"}"#,
            r#"{"error":"a b"}"#,
            r#"{"error":""}"#,
            r#"{"error":1}"#,
            "{}",
            "oops",
        ] {
            assert_eq!(refused(body), None, "{body}");
        }
        assert!(matches!(response(500, "{}"), TokenResponse::ServerError));
        assert!(matches!(response(408, "{}"), TokenResponse::ServerError));
        assert!(matches!(response(503, "{}"), TokenResponse::ServerError));
        let later = HttpReply {
            retry_after: Some(Millis::from_secs(7)),
            ..json_reply(503, "")
        };
        assert!(
            matches!(read(&later, Scheme::Bearer.into()), TokenResponse::Wait(Some(d)) if d.as_secs() == 7)
        );
        let zero = HttpReply {
            retry_after: Some(Millis::ZERO),
            ..later
        };
        assert!(
            matches!(read(&zero, Scheme::Bearer.into()), TokenResponse::Wait(Some(d)) if d == Millis::ZERO)
        );
        assert!(matches!(response(429, ""), TokenResponse::Wait(None)));
    }
}
