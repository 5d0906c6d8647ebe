//! Requests to the token and revocation endpoints, and responses of the token endpoint (RFC 6749 4.1.3, 5 and 6, RFC
//! 7636 4.5, RFC 7009).
//!
//! [`TokenResponse`] lists the kinds of responses. A response is [`TokenResponse::Unusable`] if it is malformed, or if
//! a captive portal or proxy sent it. Nothing of an unusable response is kept.

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, short};
use crate::base::http::{HttpReply, HttpRequest};
use crate::base::strings;
use crate::codec::form::Form;
use crate::codec::json::{self, Object, Value};
use crate::oauth::identity::Members;
use crate::oauth::resource_indicators::Target;
use crate::oauth::scope::{is_scope_token, scope_tokens};

/// Longest token that is accepted, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// Assumed lifetime of an access token if the response has no `expires_in`. (RFC 6749 5.1 only recommends this member.)
/// The assumed lifetime is short: a wrong guess costs a refresh instead of a refused call.
pub const DEFAULT_LIFETIME: Millis = Millis::from_secs(300);

/// Limit on the lifetime of an access token. A longer `expires_in` is reduced to this limit.
pub const MAX_LIFETIME: Millis = Millis::from_secs(30 * 24 * 3600);

/// The lifetime of an access token that is used until an API refuses it. Without OpenID Connect, a login without
/// `expires_in` and without refresh token has such a token.
pub const UNLIMITED: Millis = Millis::MAX;

/// The authentication scheme of access tokens, and their required `token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Bearer tokens (RFC 6750).
    Bearer,
    /// Tokens bound to a key, sent with a proof of possession (RFC 9449 7.1).
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
    /// 5 as common servers do: a member may be missing, commas may separate the scopes, and an error may have status
    /// 200.
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

/// Builds the request that exchanges an authorization code (RFC 6749 4.1.3, RFC 7636 4.5).
#[must_use]
pub fn code_request(
    endpoint: &str,
    client_id: &str,
    redirect_uri: &str,
    code: &Secret,
    code_verifier: &Secret,
) -> HttpRequest {
    let mut form = Form::new();
    form.push("grant_type", "authorization_code")
        .push("code", code.expose())
        .push("redirect_uri", redirect_uri)
        .push("client_id", client_id)
        .push("code_verifier", code_verifier.expose());
    post(endpoint, form)
}

/// Builds a refresh request (RFC 6749 6) without `scope`, so the scopes of the grant are kept.
#[must_use]
pub fn refresh_request(endpoint: &str, client_id: &str, refresh_token: &Secret) -> HttpRequest {
    post(endpoint, refresh_form(client_id, refresh_token))
}

/// Builds a refresh request for the access token of an API rule (RFC 8707 2.2).
#[must_use]
pub fn target_request(
    endpoint: &str,
    client_id: &str,
    refresh_token: &Secret,
    target: &Target,
) -> HttpRequest {
    let mut form = refresh_form(client_id, refresh_token);
    target.push_to(&mut form);
    post(endpoint, form)
}

fn refresh_form(client_id: &str, refresh_token: &Secret) -> Form {
    let mut form = Form::new();
    form.push("grant_type", "refresh_token")
        .push("refresh_token", refresh_token.expose())
        .push("client_id", client_id);
    form
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
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The access token, of the required [`Scheme`].
    pub access_token: Secret,
    /// Lifetime of the access token from the response on.
    pub expires_in: Millis,
    /// The refresh token. If a refresh does not return a new refresh token, the previous one stays valid.
    pub refresh_token: Option<Secret>,
    /// The ID token, not parsed yet. Without OpenID Connect, the output of [`Members::of`], not searched yet.
    pub identity: Option<Secret>,
    /// The granted scopes, separated by spaces, if the response contains them.
    pub scope: Option<String>,
    /// True if the response has no `token_type`, which only servers without OpenID Connect may omit.
    pub lacks_type: bool,
}

impl TokenSet {
    /// Returns a [`Code::ScopeExceeded`] error that names the granted scopes that are not in `requested`, if there are
    /// any.
    pub(crate) fn scope_beyond(&self, requested: &str) -> Option<Error> {
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

    /// Returns true if there is no refresh token, although `requested` contains `offline_access`.
    pub(crate) fn misses_refresh_token(&self, requested: &str) -> bool {
        self.refresh_token.is_none() && strings::contains_word(requested, "offline_access")
    }
}

/// Returns the warning about a missing token type.
pub(crate) fn no_token_type() -> Error {
    let message = msg!("token_type is missing, and counts as Bearer (RFC 6749 5.1 requires it)");
    Error::new(Code::TokenResponseInvalid, message)
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
    /// The response is not a valid response of a token endpoint, for this reason.
    Unusable(&'static str),
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
    match reply.status {
        200 => match tokens(reply, wanted) {
            Ok(tokens) => TokenResponse::Tokens(tokens),
            Err(why) => TokenResponse::Unusable(why),
        },
        429 => TokenResponse::Wait(reply.retry_after),
        503 if reply.retry_after.is_some() => TokenResponse::Wait(reply.retry_after),
        400..=499 if reply.status != 408 => match error_code(reply) {
            Some(code) => TokenResponse::Refused(code),
            None => TokenResponse::Unusable(msg!("a 4xx response without an error code")),
        },
        408 | 500..=599 => TokenResponse::ServerError,
        _ => TokenResponse::Unusable(msg!("a status that token endpoints do not use")),
    }
}

/// The names of `invalid_grant` at GitHub.
const OF_GITHUB: &[&str] = &["bad_refresh_token", "bad_verification_code"];

/// Reads the response to the exchange of an authorization code (RFC 6749 4.1.4).
///
/// # Errors
/// [`Code::CodeRejected`] for `invalid_grant`, [`Code::ClientRejected`] for other error codes,
/// [`Code::ProviderUnavailable`] if the server failed, and [`Code::TokenResponseInvalid`] for an unusable response.
pub(crate) fn read_code_exchange(
    reply: &HttpReply,
    wanted: Wanted<'_>,
) -> crate::Result<Box<TokenSet>> {
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
        TokenResponse::Unusable(why) => Error::of(
            Code::TokenResponseInvalid,
            &[msg!("the token endpoint's response is unusable: "), why],
        ),
    })
}

pub(crate) fn parse_object(reply: &HttpReply) -> Result<Value, &'static str> {
    let text = reply
        .json_text()
        .ok_or(msg!("not JSON by its Content-Type"))?;
    Value::parse(text).map_err(|error| error.reason)
}

fn error_code(reply: &HttpReply) -> Option<String> {
    text_member(reply, "error").filter(|code| is_error_code(code))
}

/// Returns a member of a JSON response, if it is a string.
pub(crate) fn text_member(reply: &HttpReply, name: &str) -> Option<String> {
    let value = parse_object(reply).ok()?;
    value.as_object()?.str(name).map(str::to_owned)
}

/// Returns true for an error code of 1 to 40 lower-case letters and underscores. RFC 6749 5.2 allows other characters,
/// but all registered codes have this form. Error messages to the page contain the code, so a code must not be able to
/// contain a token.
#[must_use]
pub fn is_error_code(code: &str) -> bool {
    (1..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn tokens(reply: &HttpReply, wanted: Wanted<'_>) -> Result<Box<TokenSet>, &'static str> {
    let scheme = wanted.scheme;
    let value = parse_object(reply)?;
    let object = value.as_object().ok_or(msg!("not a JSON object"))?;
    let mut reader = TokenReader {
        object,
        error: None,
    };
    if object.get("error").is_some() {
        reader.refuse(msg!("a 200 response with an error code"));
    }
    let token_type = match scheme {
        Scheme::Bearer => "bearer",
        Scheme::Dpop => "dpop",
    };
    let members = wanted.members;
    let mut lacks_type = false;
    match object.str("token_type") {
        Some(name) if name.eq_ignore_ascii_case(token_type) => {}
        Some(_) => reader.refuse(match scheme {
            Scheme::Bearer => msg!("token_type is not Bearer"),
            Scheme::Dpop => {
                msg!("token_type is not DPoP: does the provider support it, for this client?")
            }
        }),
        None if members.is_some() && scheme == Scheme::Bearer => lacks_type = true,
        None => reader.refuse(msg!("token_type is missing")),
    }
    let access_token = reader.token("access_token", b'!');
    if access_token.is_none() {
        reader.refuse(msg!("access_token is missing"));
    }
    let may_have_commas = members.is_some_and(|(members, _)| !members.scope_has_commas);
    let tokens = Box::new(TokenSet {
        access_token: access_token.unwrap_or_default(),
        expires_in: match members {
            Some(_) if reader.is_unlimited() => UNLIMITED,
            _ => reader.lifetime(),
        },
        refresh_token: reader.token("refresh_token", b' '),
        identity: match members {
            // After a login, the profile address says who the user is.
            Some((members, _)) if members.profile.is_some() => None,
            Some((members, names)) => Some(members.of(object, names)),
            None => reader.token("id_token", b'!'),
        },
        scope: reader.scope(may_have_commas),
        lacks_type,
    });
    match reader.error {
        None => Ok(tokens),
        Some(why) => Err(why),
    }
}

/// Reads the members of a response. The first error is kept and returned after all members are read: an early return at
/// each member would need code to zero the tokens read before.
struct TokenReader<'a> {
    object: &'a Object,
    error: Option<&'static str>,
}

impl<'a> TokenReader<'a> {
    fn refuse(&mut self, why: &'static str) {
        self.error.get_or_insert(why);
    }

    /// Returns an optional member. The value `null` counts as absent, because some providers send it for absent
    /// members.
    fn optional(&self, name: &str) -> Option<&'a Value> {
        match self.object.get(name) {
            None | Some(Value::Null) => None,
            value => value,
        }
    }

    /// Returns a token, which consists of VSCHAR (RFC 6749 A.12 and A.17): the characters from space to `~`. `first` is
    /// the first of these characters that the token may contain. A space in an access token would change the meaning of
    /// a header, and an ID token has no space.
    fn token(&mut self, name: &str, first: u8) -> Option<Secret> {
        let Some(token) = self.object.get(name)?.as_str() else {
            self.refuse(msg!("a token is not a string"));
            return None;
        };
        let is_valid = (1..=MAX_TOKEN).contains(&token.len())
            && token.bytes().all(|b| (first..=b'~').contains(&b));
        if !is_valid {
            self.refuse(msg!(
                "a token is empty, too long, or has invalid characters"
            ));
        }
        Some(Secret::from(token))
    }

    /// Returns true if the response tells no lifetime, and nothing can renew the token.
    fn is_unlimited(&mut self) -> bool {
        self.optional("expires_in").is_none() && self.optional("refresh_token").is_none()
    }

    /// Returns `expires_in`, at most [`MAX_LIFETIME`], or [`DEFAULT_LIFETIME`] if the response has no `expires_in`.
    /// Some providers send a string of digits instead of a number. Zero and negative numbers mean "expired".
    fn lifetime(&mut self) -> Millis {
        let digits = match self.optional("expires_in") {
            None => return DEFAULT_LIFETIME,
            Some(Value::Number(text) | Value::String(text)) => text.as_str(),
            Some(_) => "",
        };
        let magnitude = digits.strip_prefix('-').unwrap_or(digits);
        if magnitude.is_empty() || !magnitude.bytes().all(|b| b.is_ascii_digit()) {
            self.refuse(msg!("expires_in is not a whole number of seconds"));
        }
        if magnitude.len() < digits.len() {
            return Millis::ZERO;
        }
        // A number that overflows is larger than `MAX_LIFETIME`, which then applies.
        let seconds = json::parse_u64(magnitude).unwrap_or(u64::MAX);
        Millis::from_secs(seconds).min(MAX_LIFETIME)
    }

    /// Returns the scopes, separated by spaces. With `may_have_commas`, commas separate scopes unless spaces do.
    fn scope(&mut self, may_have_commas: bool) -> Option<String> {
        let Some(scope) = self.optional("scope")?.as_str() else {
            self.refuse(msg!("scope is not a string"));
            return None;
        };
        if !scope_tokens(scope).all(is_scope_token) {
            self.refuse(msg!("scope has invalid characters"));
        }
        let is_separator = |byte| byte == b',' && !strings::contains_byte(scope.as_bytes(), b' ');
        if !may_have_commas {
            return Some(scope.to_owned());
        }
        let mut scopes = String::new();
        for byte in scope.bytes() {
            scopes.push(if is_separator(byte) {
                ' '
            } else {
                char::from(byte)
            });
        }
        Some(scopes)
    }
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
        assert!(plainly_issued("").unwrap().lacks_type);
        let typed = plainly_issued(r#","token_type":"bearer""#).unwrap();
        assert!(!typed.lacks_type);
        assert!(plainly_issued(r#","token_type":"mac""#).is_none());
        let bound = plain(200, r#"{"access_token":"at"}"#, Scheme::Dpop, false);
        assert!(matches!(bound, TokenResponse::Unusable(_)), "{bound:?}");
        let openid = response(200, r#"{"access_token":"at"}"#);
        assert!(matches!(openid, TokenResponse::Unusable(_)), "{openid:?}");
    }

    #[test]
    fn token_without_lifetime_and_refresh_token_is_unlimited() {
        let lifetime = |members| plainly_issued(members).unwrap().expires_in;
        assert_eq!(lifetime(""), UNLIMITED);
        assert_eq!(lifetime(r#","expires_in":null"#), UNLIMITED);
        assert_eq!(lifetime(r#","refresh_token":"rt""#), DEFAULT_LIFETIME);
        assert_eq!(lifetime(r#","expires_in":60"#), Millis::from_secs(60));
        assert_eq!(issued("").unwrap().expires_in, DEFAULT_LIFETIME);
    }

    #[test]
    fn commas_separate_scopes_only_without_spaces() {
        let scope = |members| plainly_issued(members).unwrap().scope.unwrap();
        assert_eq!(scope(r#","scope":"repo,user:email""#), "repo user:email");
        assert_eq!(scope(r#","scope":"read,write all""#), "read,write all");
        assert_eq!(scope(r#","scope":"""#), "");
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
            let openid = response(200, &body);
            assert!(matches!(openid, TokenResponse::Unusable(_)), "{openid:?}");
        }
        // An error that is no code is not a refusal.
        let odd = plain(200, r#"{"error":"Ä"}"#, Scheme::Bearer, false);
        assert!(matches!(odd, TokenResponse::Unusable(_)), "{odd:?}");
    }

    #[test]
    fn requests_have_the_specified_parameters() {
        let request = code_request(
            "https://id.test/token",
            "spa",
            "https://app.test/cb",
            &Secret::from("the code"),
            &Secret::from("verifier"),
        );
        assert_eq!(
            request.form.unwrap().expose(),
            "grant_type=authorization_code&code=the%20code&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&client_id=spa&code_verifier=verifier"
        );
        let request = refresh_request("https://id.test/token", "spa", &Secret::from("rt"));
        assert_eq!(
            request.form.unwrap().expose(),
            "grant_type=refresh_token&refresh_token=rt&client_id=spa"
        );
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
        assert_eq!(lifetime("0"), seconds(0));
        assert_eq!(lifetime("-1"), seconds(0));
        assert_eq!(lifetime("1000000000000000000"), Some(MAX_LIFETIME));
        assert_eq!(lifetime("99999999999999999999999"), Some(MAX_LIFETIME));
        for bad in ["1.5", "1e3", "\"abc\"", "\"\"", "\"-\"", "true", "[]", "{}"] {
            assert_eq!(lifetime(bad), None, "{bad}");
        }
        assert_eq!(issued("").unwrap().expires_in, DEFAULT_LIFETIME);
    }

    #[test]
    fn null_lifetime_and_scope_count_as_absent() {
        let tokens = issued(r#","expires_in":null,"scope":null"#).unwrap();
        assert_eq!(tokens.expires_in, DEFAULT_LIFETIME);
        assert_eq!(tokens.scope, None);
    }

    #[test]
    fn null_token_is_refused() {
        for name in ["refresh_token", "id_token"] {
            let member = [",\"", name, "\":null"].concat();
            assert!(issued(&member).is_none(), "{name}");
        }
    }

    #[test]
    fn token_type_bearer_is_case_insensitive() {
        for (token_type, accepted) in [
            ("\"bearer\"", true),
            ("\"BEARER\"", true),
            ("\"mac\"", false),
            ("\"DPoP\"", false),
            ("1", false),
            ("null", false),
        ] {
            let body = r#"{"access_token":"at","token_type":"#.to_owned() + token_type + "}";
            let is_tokens = matches!(response(200, &body), TokenResponse::Tokens(_));
            assert_eq!(is_tokens, accepted, "{token_type}");
        }
    }

    #[test]
    fn bound_tokens_require_token_type_dpop() {
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
            let request = refresh_request("https://id.test/token", "spa", &token);
            assert_eq!(sent(request, "refresh_token"), Some(text.clone()));
            let request = revocation_request("https://id.test/revoke", "spa", &token);
            assert_eq!(sent(request, "token"), Some(text.clone()));
            let verifier = Secret::from("v");
            let request = code_request("https://id.test/token", "spa", "/cb", &token, &verifier);
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
            let accepts =
                |token: &str| matches!(response(200, &body(token)), TokenResponse::Tokens(_));
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
            assert!(issued(&member).is_none(), "refresh_token {token}");
        }
        let long = "x".repeat(MAX_TOKEN + 1);
        assert!(issued(&(r#","refresh_token":""#.to_owned() + &long + "\"")).is_none());
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
            "\u{feff}{\"access_token\":\"a\",\"token_type\":\"Bearer\"}",
        ] {
            assert!(
                matches!(response(200, body), TokenResponse::Unusable(_)),
                "{body}"
            );
        }
        let good = r#"{"access_token":"a","token_type":"Bearer"}"#;
        for status in [201, 204, 206, 302, 307, 304] {
            assert!(
                matches!(response(status, good), TokenResponse::Unusable(_)),
                "{status}"
            );
        }
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
