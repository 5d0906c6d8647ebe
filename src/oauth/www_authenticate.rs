//! What an API asks for when it refuses a call: another authentication (RFC 9470) or more scope (RFC 6750 3.1),
//! read from `WWW-Authenticate` (RFC 9110 11.6.1).
//!
//! The header is hostile text. What is not read to its end by the grammar, or asks for something that no login can be
//! asked for, asks for nothing: the page gets the answer as it is.

use crate::prelude::*;

use crate::base::http::is_token_byte;
use crate::base::strings;
use crate::codec::json::{self, Writer};
use crate::oauth::token_endpoint::is_scope_token;

/// A longer header is not read, in bytes.
pub const MAX_LEN: usize = 8 * 1024;
/// Nor is one with more challenges and parameters than this.
const MAX_PARTS: usize = 64;
/// Longest value that is passed on, in bytes.
const MAX_VALUE: usize = 1024;

/// The schemes that a call is authorised by. A challenge of each may be there, but not two: which of them is meant
/// nobody could say.
const OURS: [&str; 2] = ["bearer", "dpop"];

/// What an API wants before it serves a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The user must authenticate again: in one of these ways, or more recently (RFC 9470 3).
    StepUp {
        /// Authentication context classes, the preferred one first.
        acr_values: Option<String>,
        /// Seconds since the last active authentication that are good enough.
        max_age: Option<u64>,
    },
    /// The token must have these scopes too, separated by spaces; none if the API does not say which.
    Scope(String),
}

impl Demand {
    /// Options of `login()` that satisfy it, as JSON. Who is to authenticate and is told neither how nor how recently
    /// has to do it now.
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

/// What an answer with this status and this `WWW-Authenticate` asks for. Several headers are one, with commas between
/// (RFC 9110 5.3), and the first challenge counts that asks for something. One with two challenges of a scheme that
/// calls are authorised by asks for nothing.
#[must_use]
pub fn demand(status: u16, header: &str) -> Option<Demand> {
    let error = match status {
        401 => "insufficient_user_authentication",
        403 => "insufficient_scope",
        _ => return None,
    };
    let challenges = parse(header)?;
    let of = |scheme: &str| challenges.iter().filter(|c| c.scheme == scheme).count();
    if OURS.iter().any(|scheme| of(scheme) > 1) {
        return None;
    }
    let challenge = challenges
        .iter()
        .find(|challenge| challenge.has_error(error))?;
    if status == 403 {
        let scope = challenge.get("scope").unwrap_or_default();
        let is_sound = scope.is_empty() || strings::split(scope, b' ').all(is_scope_token);
        return (is_sound && scope.len() <= MAX_VALUE).then(|| Demand::Scope(scope.to_owned()));
    }
    let acr_values = challenge.get("acr_values").map(str::to_owned);
    let is_sound = |text: &String| {
        (1..=MAX_VALUE).contains(&text.len()) && strings::split(text, b' ').all(is_scope_token)
    };
    if !acr_values.iter().all(is_sound) {
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

/// Whether a challenge of ours in this `WWW-Authenticate` has this `error`. One that breaks the grammar, as many do,
/// has it if the word is anywhere in it: nothing depends on it but whether a request is sent once more.
#[must_use]
pub fn has_error(header: &str, error: &str) -> bool {
    match parse(header) {
        Some(challenges) => challenges
            .iter()
            .any(|challenge| challenge.has_error(error)),
        None => {
            let mut places = header.as_bytes().windows(error.len());
            places.any(|place| place == error.as_bytes())
        }
    }
}

/// One challenge: a scheme in lower case, and its parameters, whose names are in lower case and unique.
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        let is_it = |(known, _): &&(String, String)| known == name;
        let (_, value) = self.parameters.iter().find(is_it)?;
        Some(value)
    }

    /// Whether it is of a scheme that calls are authorised by, with this error.
    fn has_error(&self, error: &str) -> bool {
        OURS.contains(&&*self.scheme) && self.get("error") == Some(error)
    }
}

/// All challenges of a header; `None` if it breaks the grammar anywhere.
fn parse(header: &str) -> Option<Vec<Challenge>> {
    if header.len() > MAX_LEN {
        return None;
    }
    let mut rest = HeaderReader(header.as_bytes());
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut parts = 0;
    // What stands behind a scheme without a comma is its own.
    let mut needs_parameter = false;
    loop {
        // RFC 9110 5.6.1: empty elements of a list count for nothing.
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

/// What is still to be read.
struct HeaderReader<'a>(&'a [u8]);

impl<'a> HeaderReader<'a> {
    /// Whether there was something to skip.
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

    /// RFC 9110 5.6.2; at least one character.
    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| !is_token_byte(*byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        core::str::from_utf8(token)
            .ok()
            .filter(|token| !token.is_empty())
    }

    /// Skips credentials of another kind than parameters (RFC 9110 11.2), if that is what stands here: they reach to
    /// the next comma or the end, which `name=value` does not.
    fn token68(&mut self) -> bool {
        let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        let mut after = HeaderReader(self.0);
        let end = self.0.iter().position(|byte| !is_of_it(byte));
        after.0 = &self.0[end.unwrap_or(self.0.len())..];
        after.skip(b"=");
        let close = HeaderReader(after.0);
        after.skip(b" \t");
        let is_it = after.0.is_empty() || after.0[0] == b',';
        if is_it {
            self.0 = close.0;
        }
        is_it
    }

    /// A token or a quoted string (RFC 9110 5.6.4), of characters that can be seen, and spaces.
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
            // What is not ASCII may stand in a description, of which nothing is read. In what is passed on it is no
            // scope and no class.
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
    fn what_an_api_asks_for_is_read_as_the_specifications_write_it() {
        // RFC 9470 3, the two examples, and the same in other spellings.
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
    fn what_is_malformed_or_means_nothing_asks_for_nothing() {
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
            // Which of two would count?
            format!("DPoP {wanted}, DPoP {wanted}"),
            format!("DPoP {wanted}, max_age=5, dpop error=\"invalid_token\""),
            format!("Bearer error=\"invalid_token\", Bearer {wanted}"),
            format!("Bearer, Basic realm=x, bearer {wanted}"),
            // A scheme is followed by a comma or by what is its own.
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
    fn as_many_challenges_and_parameters_as_are_read() {
        let wanted = r#"error="insufficient_user_authentication""#;
        // The scheme and the parameter are two of them.
        let header = format!("{}Bearer {wanted}", "a, ".repeat(MAX_PARTS - 2));
        assert_eq!(demand(401, &header), step_up(None, None));
        let header = format!("{}Bearer {wanted}", "a, ".repeat(MAX_PARTS - 1));
        assert_eq!(demand(401, &header), None);
        // Those of other schemes may well come twice.
        let header = format!("Basic realm=a, Basic realm=b, Bearer {wanted}, DPoP algs=ES256");
        assert_eq!(demand(401, &header), step_up(None, None));
    }

    #[test]
    fn an_error_is_of_a_challenge_of_ours_or_anywhere_in_what_breaks_the_grammar() {
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
    fn whatever_is_cut_off_or_changed_is_read_without_a_fault() {
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
    fn a_login_is_asked_for_no_more_than_the_api_says() {
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
