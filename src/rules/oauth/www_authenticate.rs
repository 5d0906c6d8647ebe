//! Challenges in `WWW-Authenticate` (RFC 9110 11.6.1): an API that refuses a call may require another authentication
//! (RFC 9470) or more scope (RFC 6750 3.1).
//!
//! The header is untrusted. [`demand`] ignores a header that breaks the grammar, and a requirement that a login cannot
//! request. In these cases the page gets the response unchanged.

use crate::prelude::*;

use crate::base::http::is_token_byte;
use crate::base::strings;
use crate::codec::json::{self, Writer};
use crate::oauth::error_description;
use crate::oauth::scope::is_scope_token;
use crate::oauth::token_endpoint;

/// Longest header that is parsed, in bytes.
pub const MAX_LEN: usize = 8 * 1024;
/// Largest number of challenges and parameters in a header that is parsed.
const MAX_PARTS: usize = 64;
/// Longest parameter value that is passed on, in bytes.
const MAX_VALUE: usize = 1024;

/// The authentication schemes with which calls send access tokens. A header with two challenges of one of these schemes
/// is ambiguous.
const CALL_SCHEMES: [&str; 2] = ["bearer", "dpop"];

/// The requirement of an API that refused a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The user must authenticate again, in a certain way or more recently (RFC 9470 3).
    StepUp {
        /// Authentication context classes separated by spaces, the preferred one first.
        acr_values: Option<String>,
        /// Largest allowed time since the last active authentication, in seconds.
        max_age: Option<u64>,
    },
    /// The token must also have these scopes, separated by spaces. The string is empty if the API does not name the
    /// scopes.
    Scope(String),
}

impl Demand {
    /// Returns the options of `login()` that satisfy the demand, as JSON. Without `acr_values` and `max_age` the user
    /// must authenticate now.
    #[must_use]
    pub fn login(&self) -> String {
        let mut login = Writer::object();
        match self {
            Self::StepUp {
                acr_values: None,
                max_age: None,
            } => {
                login.text("prompt", "login");
            }
            Self::StepUp {
                acr_values,
                max_age,
            } => {
                if let Some(acr_values) = acr_values {
                    login.text("acrValues", acr_values);
                }
                if let Some(max_age) = max_age {
                    login.number("maxAge", *max_age);
                }
            }
            Self::Scope(scope) => {
                login.text("scope", scope);
            }
        }
        login.finish()
    }
}

/// Returns the demand of a response with this status and `WWW-Authenticate` (RFC 9470 3, RFC 6750 3.1). Several headers
/// must be joined by commas (RFC 9110 5.3). The first challenge with a demand counts. Returns `None` if the header has
/// two challenges of a scheme in `CALL_SCHEMES`, because such a header is ambiguous.
#[must_use]
pub fn demand(status: u16, header: &str) -> Option<Demand> {
    let error = match status {
        401 => "insufficient_user_authentication",
        403 => "insufficient_scope",
        _ => return None,
    };
    let challenges = parse(header)?;
    let of = |scheme: &str| challenges.iter().filter(|c| c.scheme == scheme).count();
    if CALL_SCHEMES.iter().any(|scheme| of(scheme) > 1) {
        return None;
    }
    let challenge = challenges
        .iter()
        .find(|challenge| challenge.has_error(error))?;
    if status == 403 {
        let scope = challenge.get("scope").unwrap_or_default();
        let is_valid = scope.is_empty() || strings::split(scope, b' ').all(is_scope_token);
        return (is_valid && scope.len() <= MAX_VALUE).then(|| Demand::Scope(scope.to_owned()));
    }
    let acr_values = challenge.get("acr_values").map(str::to_owned);
    let is_valid = |text: &String| {
        (1..=MAX_VALUE).contains(&text.len()) && strings::split(text, b' ').all(is_scope_token)
    };
    if !acr_values.iter().all(is_valid) {
        return None;
    }
    let max_age = match challenge.get("max_age") {
        Some(digits) => Some(json::parse_u64(digits)?),
        None => None,
    };
    Some(Demand::StepUp {
        acr_values,
        max_age,
    })
}

/// Returns true if a `Bearer` or `DPoP` challenge in this `WWW-Authenticate` has this `error` (RFC 6750 3). A header
/// that breaks the grammar, as many do, is searched for the string `error` instead. This suffices, because the result
/// only decides about one more request.
#[must_use]
pub fn has_error(header: &str, error: &str) -> bool {
    match parse(header) {
        Some(challenges) => challenges
            .iter()
            .any(|challenge| challenge.has_error(error)),
        None => strings::contains(header, error),
    }
}

/// Returns true if a response with this status and `WWW-Authenticate` refuses the access token itself (RFC 6750 3.1), so that
/// another token may be accepted. More scope, another authentication of the user or another proof is something else.
#[must_use]
pub fn refuses_token(status: u16, header: Option<&str>) -> bool {
    const OTHERS: [&str; 4] = [
        "insufficient_scope",
        "insufficient_user_authentication",
        "invalid_dpop_proof",
        "use_dpop_nonce",
    ];
    let header = header.unwrap_or_default();
    status == 401 && !OTHERS.iter().any(|error| has_error(header, error))
}

/// Returns the text for a developer about an API that refuses a new access token: its audience, scope or issuer is not
/// what this API expects. `header` is the response's `WWW-Authenticate`, whose reason is left out if it has one of `tokens`.
pub fn refusal_of_new_token(api: &str, header: Option<&str>, tokens: &[&str]) -> String {
    let what = msg!(" responded with 401 to an access token that was issued a moment ago");
    match header.and_then(|header| loggable_reason(header, tokens)) {
        Some(reason) => [api, what, ": ", &reason].concat(),
        None => [api, what].concat(),
    }
}

/// Returns the text to log for the first `Bearer` or `DPoP` challenge with an `error` (RFC 6750 3): the error and its
/// description. Returns `None` if the text would contain one of `tokens`, if the error has another form than registered
/// ones, or if the header breaks the grammar.
fn loggable_reason(header: &str, tokens: &[&str]) -> Option<String> {
    let challenges = parse(header)?;
    let has_error = |challenge: &&Challenge| {
        CALL_SCHEMES.contains(&&*challenge.scheme) && challenge.get("error").is_some()
    };
    let challenge = challenges.iter().find(has_error)?;
    let code = challenge.get("error")?;
    let description = challenge.get("error_description").unwrap_or_default();
    let repeats = |token: &&str| {
        error_description::repeats(code, token) || error_description::repeats(description, token)
    };
    if tokens.iter().any(repeats) || !token_endpoint::is_error_code(code) {
        return None;
    }
    Some(match error_description::loggable(description) {
        Some(text) => [code, " ", &text].concat(),
        None => code.to_owned(),
    })
}

/// Returns true if this `WWW-Authenticate` is valid and names only schemes in `CALL_SCHEMES`. For some other schemes,
/// browsers ask users for a password.
#[must_use]
pub fn has_only_call_schemes(header: &str) -> bool {
    let is_of_call = |challenge: &Challenge| CALL_SCHEMES.contains(&&*challenge.scheme);
    parse(header).is_some_and(|challenges| challenges.iter().all(is_of_call))
}

/// A challenge: its scheme in lower case, and its parameters with unique names in lower case.
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        let has_name = |(known, _): &&(String, String)| known == name;
        let (_, value) = self.parameters.iter().find(has_name)?;
        Some(value)
    }

    /// Returns true for a challenge with this `error` whose scheme is in [`CALL_SCHEMES`].
    fn has_error(&self, error: &str) -> bool {
        CALL_SCHEMES.contains(&&*self.scheme) && self.get("error") == Some(error)
    }
}

/// Returns all challenges of a header, or `None` if the header breaks the grammar.
fn parse(header: &str) -> Option<Vec<Challenge>> {
    if header.len() > MAX_LEN {
        return None;
    }
    let mut rest = HeaderReader(header.as_bytes());
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut parts = 0;
    // After a scheme without a comma, a parameter of that scheme must follow.
    let mut needs_parameter = false;
    loop {
        // Empty elements are ignored (RFC 9110 5.6.1).
        rest.skip(b" \t,");
        if rest.0.is_empty() {
            return Some(challenges);
        }
        parts += 1;
        if parts > MAX_PARTS {
            return None;
        }
        let name = rest.token()?.to_ascii_lowercase();
        let had_space = rest.skip(b" \t");
        if rest.eat(b'=') {
            rest.skip(b" \t");
            let value = rest.value()?;
            let parameters = &mut challenges.last_mut()?.parameters;
            if parameters.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parameters.push((name, value));
            needs_parameter = false;
        } else if needs_parameter {
            return None;
        } else {
            challenges.push(Challenge {
                scheme: name,
                parameters: Vec::new(),
            });
            let has_more = had_space && !rest.0.is_empty() && rest.0[0] != b',';
            if has_more && !rest.token68() {
                needs_parameter = true;
                continue;
            }
        }
        rest.skip(b" \t");
        if !rest.0.is_empty() && rest.0[0] != b',' {
            return None;
        }
    }
}

/// Reads a header, and contains the part that has not been read yet.
struct HeaderReader<'a>(&'a [u8]);

impl<'a> HeaderReader<'a> {
    /// Skips any of these bytes. Returns true if at least one byte was skipped.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let before = self.0.len();
        while let [first, rest @ ..] = self.0
            && bytes.contains(first)
        {
            self.0 = rest;
        }
        self.0.len() < before
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads a token (RFC 9110 5.6.2) of at least one character.
    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| !is_token_byte(*byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        core::str::from_utf8(token)
            .ok()
            .filter(|token| !token.is_empty())
    }

    /// Skips a `token68` (RFC 9110 11.2), if the header continues with one. Unlike a parameter `name=value`, a
    /// `token68` extends to the next comma or the end.
    fn token68(&mut self) -> bool {
        let is_token68 = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        let mut after = HeaderReader(self.0);
        let end = self.0.iter().position(|byte| !is_token68(byte));
        after.0 = &self.0[end.unwrap_or(self.0.len())..];
        after.skip(b"=");
        let close = HeaderReader(after.0);
        after.skip(b" \t");
        let is_complete = after.0.is_empty() || after.0[0] == b',';
        if is_complete {
            self.0 = close.0;
        }
        is_complete
    }

    /// Reads a token or a quoted string of printable characters and spaces (RFC 9110 5.6.4).
    fn value(&mut self) -> Option<String> {
        if !self.eat(b'"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        loop {
            let (&first, rest) = self.0.split_first()?;
            self.0 = rest;
            let byte = match first {
                b'"' => return Some(value),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    escaped
                }
                byte => byte,
            };
            // Descriptions may contain other characters than ASCII, but nothing uses descriptions. In scopes and
            // authentication classes, the replacement character is not valid.
            match byte {
                b'\t' | b' '..=b'~' => value.push(byte as char),
                0x80.. => value.push(char::REPLACEMENT_CHARACTER),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_up(acr_values: Option<&str>, max_age: Option<u64>) -> Option<Demand> {
        Some(Demand::StepUp {
            acr_values: acr_values.map(str::to_owned),
            max_age,
        })
    }

    #[test]
    fn reads_demands_of_the_specifications() {
        // These headers are the two examples of RFC 9470 3, and variants of them.
        for (header, expected) in [
            (
                r#"Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="myACR""#,
                step_up(Some("myACR"), None),
            ),
            (
                r#"Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="5""#,
                step_up(None, Some(5)),
            ),
            (
                "Bearer error=insufficient_user_authentication,max_age=5,acr_values=phr",
                step_up(Some("phr"), Some(5)),
            ),
            (
                "bEARER realm=\"a, b\" , Error = \"insufficient_user_authentication\" ,\tACR_values=\"phr phrh\"",
                step_up(Some("phr phrh"), None),
            ),
            (
                r#"DPoP algs="ES256", error="insufficient_user_authentication", max_age=0"#,
                step_up(None, Some(0)),
            ),
            (
                r#"Basic realm="x", Negotiate, Digest abc==, Bearer error="insufficient_user_authentication""#,
                step_up(None, None),
            ),
            (
                r#", ,Bearer realm="a \"quoted\" \\ one", error="insufficient_user_authentication",,"#,
                step_up(None, None),
            ),
            (
                r#"Bearer error="invalid_token", DPoP error="insufficient_user_authentication", max_age=9"#,
                step_up(None, Some(9)),
            ),
            (
                "Bearer error=\"insufficient_user_authentication\", error_description=\"d\u{e9}j\u{e0} vu\"",
                step_up(None, None),
            ),
        ] {
            assert_eq!(demand(401, header), expected, "{header}");
            assert_eq!(demand(403, header), None, "{header}");
            assert_eq!(demand(200, header), None, "{header}");
        }
        for (header, scope) in [
            (
                r#"Bearer error="insufficient_scope", scope="read write""#,
                "read write",
            ),
            (r#"Bearer error="insufficient_scope""#, ""),
            (r#"Bearer error="insufficient_scope", scope="""#, ""),
        ] {
            let expected = Some(Demand::Scope(scope.to_owned()));
            assert_eq!(demand(403, header), expected, "{header}");
            assert_eq!(demand(401, header), None, "{header}");
        }
    }

    #[test]
    fn malformed_headers_have_no_demand() {
        let wanted = r#"error="insufficient_user_authentication""#;
        for header in [
            "".to_owned(),
            "Bearer".to_owned(),
            wanted.to_owned(),
            format!("={wanted}"),
            format!("Basic {wanted}"),
            format!("Bearer2 {wanted}"),
            format!("Bearer {wanted}, {wanted}"),
            format!("Bearer {wanted}, error=x"),
            format!("Bearer error=x, {wanted}"),
            format!("Bearer {wanted}, ERROR=insufficient_user_authentication"),
            format!("Bearer {wanted}, max_age=5, max_age=6"),
            // Two challenges of one scheme are ambiguous.
            format!("DPoP {wanted}, DPoP {wanted}"),
            format!("DPoP {wanted}, max_age=5, dpop error=\"invalid_token\""),
            format!("Bearer error=\"invalid_token\", Bearer {wanted}"),
            format!("Bearer, Basic realm=x, bearer {wanted}"),
            // A scheme must be followed by a comma or its own parameters.
            format!("Basic Bearer {wanted}"),
            format!("Bearer DPoP, Bearer {wanted}"),
            format!("{}Bearer {wanted}", "a ".repeat(2 * MAX_PARTS)),
            format!("{}Bearer {wanted}", "a, ".repeat(MAX_PARTS)),
            format!("Bearer {wanted}{}", ", a=b".repeat(MAX_PARTS)),
            format!("Bearer {wanted} max_age=5"),
            format!("Bearer {wanted}; max_age=5"),
            format!("Bearer {wanted}, max_age=\"5"),
            format!("Bearer {wanted}, max_age=\"5\\"),
            format!("Bearer {wanted}, max_age="),
            format!("Bearer {wanted}, max_age=-1"),
            format!("Bearer {wanted}, max_age=1.5"),
            format!("Bearer {wanted}, max_age=1e3"),
            format!("Bearer {wanted}, max_age=five"),
            format!("Bearer {wanted}, max_age=99999999999999999999"),
            format!("Bearer {wanted}, acr_values=\"\""),
            format!("Bearer {wanted}, acr_values=\"\u{e9}\""),
            format!("Bearer {wanted}, acr_values=\"a  b\""),
            format!("Bearer {wanted}, acr_values=\"a\tb\""),
            format!("Bearer {wanted}, acr_values=\"a\\\"b\""),
            format!(
                "Bearer {wanted}, acr_values=\"{}\"",
                "a".repeat(MAX_VALUE + 1)
            ),
            format!("Bearer {wanted}, x=\"\u{0}\""),
            format!("Bearer {wanted}, x=\"\r\n\""),
            format!("Bearer {wanted}, x={}", "a".repeat(MAX_LEN)),
            format!("Bearer {wanted}{}", ", a".repeat(MAX_PARTS)),
            "Bearer error_description=\"error=insufficient_user_authentication\"".to_owned(),
            "Bearer realm=\"x\\\", error=\"insufficient_user_authentication\"".to_owned(),
            "Bearer error=\"INSUFFICIENT_USER_AUTHENTICATION\"".to_owned(),
            "Bearer error=\" insufficient_user_authentication\"".to_owned(),
        ] {
            assert_eq!(demand(401, &header), None, "{header}");
        }
        for scope in [
            "a  b",
            "a\\\"b",
            "a\tb",
            "\u{e9}",
            &"a".repeat(MAX_VALUE + 1),
        ] {
            let header = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
            assert_eq!(demand(403, &header), None, "{header}");
        }
    }

    #[test]
    fn number_of_challenges_and_parameters_is_limited() {
        let wanted = r#"error="insufficient_user_authentication""#;
        // The scheme and the parameter of the last challenge count as two parts.
        let header = format!("{}Bearer {wanted}", "a, ".repeat(MAX_PARTS - 2));
        assert_eq!(demand(401, &header), step_up(None, None));
        let header = format!("{}Bearer {wanted}", "a, ".repeat(MAX_PARTS - 1));
        assert_eq!(demand(401, &header), None);
        // Other schemes may occur twice.
        let header = format!("Basic realm=a, Basic realm=b, Bearer {wanted}, DPoP algs=ES256");
        assert_eq!(demand(401, &header), step_up(None, None));
    }

    #[test]
    fn malformed_headers_are_searched_for_the_error() {
        for (header, expected) in [
            (r#"DPoP error="use_dpop_nonce", algs="ES256""#, true),
            (r#"Basic realm="x", Bearer error=use_dpop_nonce"#, true),
            (r#"Basic error="use_dpop_nonce""#, false),
            (
                r#"DPoP error="invalid_token", error_description="use_dpop_nonce""#,
                false,
            ),
            (
                r#"DPoP error="use_dpop_nonce" error_description="no comma""#,
                true,
            ),
            (
                r#"DPoP realm=https://api.example.com/, error="invalid_token""#,
                false,
            ),
            ("", false),
        ] {
            assert_eq!(has_error(header, "use_dpop_nonce"), expected, "{header}");
        }
    }

    #[test]
    fn truncated_and_changed_headers_do_not_panic() {
        let header =
            r#"Basic abc==, Bearer realm="a\"b", error="insufficient_scope" , scope="x y""#;
        for end in 0..header.len() {
            let _ = demand(403, &header[..end]);
            for byte in ["\"", "\\", "=", ",", " ", "\u{e9}", "\0"] {
                let changed = [&header[..end], byte, &header[end + 1..]].concat();
                let _ = demand(403, &changed);
                let _ = demand(401, &changed);
            }
        }
    }

    #[test]
    fn login_options_contain_only_the_demand() {
        for (demand, expected) in [
            (
                step_up(Some("a b"), Some(5)),
                r#"{"acrValues":"a b","maxAge":5}"#,
            ),
            (step_up(None, Some(0)), r#"{"maxAge":0}"#),
            (step_up(None, None), r#"{"prompt":"login"}"#),
            (Some(Demand::Scope("a".to_owned())), r#"{"scope":"a"}"#),
        ] {
            assert_eq!(demand.unwrap().login(), expected);
        }
    }
}
