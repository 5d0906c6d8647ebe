//! Strict parsing of JSON Web Tokens (RFC 7515, RFC 7519, RFC 8725).
//!
//! [`Jwt::parse`] parses the compact serialization of a *signed* token. This function does not check the signature:
//! [`crate::oauth::id_token`] says how the signatures of ID tokens are checked. A malformed token is rejected with a
//! reason in [`Malformed`].

use crate::Secret;
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::json::{self, Object, Value};
use crate::prelude::*;
use core::fmt;

/// Longest token that is parsed, in bytes.
pub const MAX_LEN: usize = 64 * 1024;

/// Latest time that a claim may have: the last second of the year 9999, in seconds since the Unix epoch. A time in
/// milliseconds that is sent as seconds is far beyond this limit.
pub const MAX_SECONDS: u64 = 253_402_300_799;

/// The reason for which a string is not a signed JSON Web Token that this crate accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// The token is longer than [`MAX_LEN`].
    TooLong,
    /// The token does not have the three parts of a JWS compact serialization (RFC 7515 section 7.1).
    NotThreeParts,
    /// The token has the five parts of an encrypted token, a JWE (RFC 7516 section 7.1).
    Encrypted,
    /// A part is not base64url without padding (RFC 7515 section 2).
    NotBase64url,
    /// The header or the payload is not UTF-8 (RFC 8725 section 3.7).
    NotUtf8,
    /// The header or the payload is not a JSON object.
    NotJsonObject,
    /// This part is not JSON with unique member names (RFC 7519 section 4), for this reason.
    NotJson(&'static str, String),
    /// `alg` is missing or not a string (RFC 7515 section 4.1.1).
    NoAlg,
    /// `alg` is `none` in any letter case, or the signature is empty (RFC 8725 section 3.2).
    Unsigned,
    /// `crit` is present: no extension is supported (RFC 7515 section 4.1.11).
    Critical,
    /// `b64` is present: the payload would not be base64url (RFC 7797).
    UnencodedPayload,
    /// `kid` or `typ` is present and not a string (RFC 7515 sections 4.1.4 and 4.1.9).
    WrongHeader,
}

impl Malformed {
    /// Returns the reason as a predicate to append to "the token", without quoting the token.
    #[must_use]
    pub fn describe(&self) -> String {
        let text = match self {
            Self::TooLong => msg!("is longer than 64 KiB"),
            Self::NotThreeParts => msg!("does not have three parts"),
            Self::Encrypted => msg!("is encrypted, which is not supported"),
            Self::NotBase64url => msg!("has a part that is not base64url"),
            Self::NotUtf8 => msg!("has a part that is not UTF-8"),
            Self::NotJsonObject => msg!("has a part that is not a JSON object"),
            Self::NotJson(part, why) => {
                return [
                    msg!("has a "),
                    part,
                    msg!(" that is not strict JSON: "),
                    why,
                ]
                .concat();
            }
            Self::NoAlg => msg!("has no alg, or one that is not a string"),
            Self::Unsigned => msg!("is not signed"),
            Self::Critical => msg!("has crit, which is not supported"),
            Self::UnencodedPayload => msg!("has b64, which is not supported"),
            Self::WrongHeader => msg!("has a kid or typ that is not a string"),
        };
        text.to_owned()
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// A well-formed signed token, whose signature has not been checked.
///
/// The token is kept as a [`Secret`]. Debug output does not show the token.
#[derive(Clone)]
pub struct Jwt {
    token: Secret,
    signing_input_len: usize,
    header: Object,
    claims: Object,
    signature: Vec<u8>,
}

impl Jwt {
    /// Parses a token in compact serialization (RFC 7515 section 7.1).
    ///
    /// # Errors
    /// The first reason for which the token is [`Malformed`]. Claims are not checked.
    pub fn parse(token: &str) -> Result<Box<Self>, Malformed> {
        let parts = CompactParts::split(token.as_bytes())?;
        let header = object(parts.header, "header")?;
        check_header(&header)?;
        let mut signature = Vec::new();
        if !base64url::decode_into(parts.signature, &mut signature) {
            return Err(Malformed::NotBase64url);
        }
        Ok(Box::new(Self {
            signing_input_len: parts.signing_input_len(),
            header,
            claims: object(parts.payload, "payload")?,
            signature,
            token: Secret::from(token),
        }))
    }

    /// Returns the encoded token, for requests that must contain it.
    #[must_use]
    pub const fn token(&self) -> &Secret {
        &self.token
    }

    /// Returns `alg` of the header. The value is untrusted until it is found among the allowed algorithms.
    #[must_use]
    pub fn alg(&self) -> &str {
        self.header.str("alg").unwrap_or_default()
    }

    /// Returns `kid` of the header. The value is untrusted and must only be compared (RFC 8725 section 3.10).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.header.str("kid")
    }

    /// Returns the public key in the header (RFC 7515 section 4.1.3), which proves only that the signer has the key.
    #[must_use]
    pub fn jwk(&self) -> Option<&Object> {
        self.header.get("jwk")?.as_object()
    }

    /// Returns `typ` of the header (RFC 8725 section 3.11).
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.header.str("typ")
    }

    /// Returns true if `typ` of the header is this media type, in lower case. `typ` may begin with `application/`, which most
    /// issuers leave out (RFC 7515 section 4.1.9).
    #[must_use]
    pub fn is_of_type(&self, name: &str) -> bool {
        let typ = self.typ().unwrap_or_default().to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == name
    }

    /// Returns the claims, which are untrusted until the signature has been checked.
    #[must_use]
    pub const fn claims(&self) -> &Object {
        &self.claims
    }

    /// Returns the JWS signing input: the first two parts with the dot between them (RFC 7515 section 5.1).
    #[must_use]
    pub fn signing_input(&self) -> &str {
        let token = self.token.expose();
        strings::part(token, 0, self.signing_input_len)
    }

    /// Returns the decoded signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt(…)")
    }
}

/// Returns the `NumericDate` claim `name` (RFC 7519 section 2) in seconds since the Unix epoch, if it is present and
/// valid: digits and at most a fraction, up to [`MAX_SECONDS`]. Fractions are rounded against the token: `nbf` and
/// `iat` up, all others down.
#[must_use]
pub fn seconds(claims: &Object, name: &str) -> Option<u64> {
    match claims.get(name)? {
        Value::Number(json) => numeric_date(name, json),
        _ => None,
    }
}

/// Parses digits instead of a float: signs and exponents are not valid, and large numbers stay exact.
fn numeric_date(name: &str, json: &str) -> Option<u64> {
    let (whole, fraction) = strings::split_once(json, b'.');
    let fraction = fraction.unwrap_or_default().as_bytes();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let is_rounded_up =
        matches!(name, "nbf" | "iat") && fraction.iter().any(|digit| *digit != b'0');
    let seconds = json::parse_u64(whole)?.checked_add(is_rounded_up.into())?;
    (seconds <= MAX_SECONDS).then_some(seconds)
}

/// The three parts of a compact serialization, still encoded.
struct CompactParts<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> CompactParts<'a> {
    fn split(token: &'a [u8]) -> Result<Self, Malformed> {
        if token.len() > MAX_LEN {
            return Err(Malformed::TooLong);
        }
        let (header, rest) = split_at_dot(token).ok_or(Malformed::NotThreeParts)?;
        let (payload, signature) = split_at_dot(rest).ok_or(Malformed::NotThreeParts)?;
        if let Some((_, rest)) = split_at_dot(signature) {
            return Err(match split_at_dot(rest) {
                Some((_, last)) if split_at_dot(last).is_none() => Malformed::Encrypted,
                _ => Malformed::NotThreeParts,
            });
        }
        if signature.is_empty() {
            return Err(Malformed::Unsigned);
        }
        Ok(Self {
            header,
            payload,
            signature,
        })
    }

    const fn signing_input_len(&self) -> usize {
        self.header.len() + 1 + self.payload.len()
    }
}

/// Splits `text` at the first dot.
fn split_at_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = text.iter().position(|byte| *byte == b'.')?;
    Some((&text[..dot], &text[dot + 1..]))
}

fn object(part: &[u8], name: &'static str) -> Result<Object, Malformed> {
    let mut bytes = Vec::new();
    if !base64url::decode_into(part, &mut bytes) {
        return Err(Malformed::NotBase64url);
    }
    let text = strings::from_utf8(bytes).ok_or(Malformed::NotUtf8)?;
    match Value::parse(Secret::new(text).expose()) {
        // A `Value` zeroes itself on drop, so its object can be taken but not moved out.
        Ok(Value::Object(ref mut object)) => Ok(core::mem::take(object)),
        Ok(_) => Err(Malformed::NotJsonObject),
        Err(error) => Err(Malformed::NotJson(name, error.describe())),
    }
}

fn check_header(header: &Object) -> Result<(), Malformed> {
    let alg = header.str("alg").ok_or(Malformed::NoAlg)?;
    if alg.eq_ignore_ascii_case("none") {
        return Err(Malformed::Unsigned);
    }
    let has = |name| header.get(name).is_some();
    if has("crit") {
        return Err(Malformed::Critical);
    }
    if has("b64") {
        return Err(Malformed::UnencodedPayload);
    }
    if ["kid", "typ"]
        .into_iter()
        .any(|name| has(name) && header.str(name).is_none())
    {
        return Err(Malformed::WrongHeader);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"alg":"ES256"}"#;
    const CLAIMS: &str = r#"{"exp":2000}"#;

    fn token(header: &[u8], claims: &[u8]) -> String {
        [
            base64url::encode(header),
            base64url::encode(claims),
            base64url::encode(b"signature"),
        ]
        .join(".")
    }

    fn with_header(header: &str) -> String {
        token(header.as_bytes(), CLAIMS.as_bytes())
    }

    fn with_claims(claims: &str) -> String {
        token(HEADER.as_bytes(), claims.as_bytes())
    }

    /// Returns the time `name` of a token with these claims.
    fn time(claims: &str, name: &str) -> Option<u64> {
        let jwt = Jwt::parse(&with_claims(claims)).unwrap();
        seconds(jwt.claims(), name)
    }

    #[track_caller]
    fn assert_malformed(token: &str, reason: Malformed) {
        assert_eq!(Jwt::parse(token).err(), Some(reason), "{token:.80}");
    }

    #[test]
    fn parses_a_token() {
        let text = token(
            br#"{"alg":"ES256","kid":"../x","typ":"JWT"}"#,
            br#"{"sub":"joe"}"#,
        );
        let jwt = Jwt::parse(&text).unwrap();
        assert_eq!(jwt.alg(), "ES256");
        assert_eq!(jwt.kid(), Some("../x"));
        assert_eq!(jwt.typ(), Some("JWT"));
        assert_eq!(jwt.claims().str("sub"), Some("joe"));
        assert_eq!(jwt.signature(), b"signature");
        assert_eq!(jwt.token().expose(), text);
        assert_eq!(
            [jwt.signing_input(), &base64url::encode(b"signature")].join("."),
            text
        );
    }

    #[test]
    fn alg_none_is_rejected_in_any_letter_case() {
        for alg in ["none", "None", "NONE", "nOnE", "no\\u006ee"] {
            let header = format!(r#"{{"alg":"{alg}"}}"#);
            assert_malformed(&with_header(&header), Malformed::Unsigned);
            let unsigned = [&base64url::encode(header.as_bytes()), "e30", ""].join(".");
            assert_malformed(&unsigned, Malformed::Unsigned);
        }
    }

    #[test]
    fn empty_signature_is_unsigned() {
        let token = with_claims(CLAIMS);
        let (input, _) = token.rsplit_once('.').unwrap();
        assert_malformed(&format!("{input}."), Malformed::Unsigned);
    }

    #[test]
    fn rejects_invalid_headers() {
        use Malformed::{Critical, NoAlg, UnencodedPayload, WrongHeader};
        for (header, reason) in [
            (r#"{}"#, NoAlg),
            (r#"{"ALG":"ES256"}"#, NoAlg),
            (r#"{"alg":null}"#, NoAlg),
            (r#"{"alg":256}"#, NoAlg),
            (r#"{"alg":["ES256"]}"#, NoAlg),
            (r#"{"alg":"ES256","crit":["exp"]}"#, Critical),
            (r#"{"alg":"ES256","crit":[]}"#, Critical),
            (r#"{"alg":"ES256","crit":null}"#, Critical),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, Critical),
            (r#"{"alg":"ES256","b64":false}"#, UnencodedPayload),
            (r#"{"alg":"ES256","b64":true}"#, UnencodedPayload),
            (r#"{"alg":"ES256","kid":1}"#, WrongHeader),
            (r#"{"alg":"ES256","kid":null}"#, WrongHeader),
            (r#"{"alg":"ES256","typ":["JWT"]}"#, WrongHeader),
        ] {
            assert_malformed(&with_header(header), reason);
        }
    }

    #[test]
    fn keys_in_the_header_are_ignored() {
        let jwt = Jwt::parse(&with_header(
            r#"{"alg":"ES256","jwk":{},"jku":"https://evil.test","x5u":1,"x5c":[],"new":2}"#,
        ));
        assert!(jwt.is_ok());
    }

    #[test]
    fn signed_token_has_three_parts() {
        for parts in [1, 2, 4, 6, 7, 1000] {
            assert_malformed(&vec!["e30"; parts].join("."), Malformed::NotThreeParts);
        }
        assert_malformed("e30.e30.e30.e30.e30", Malformed::Encrypted);
        assert_malformed("", Malformed::NotThreeParts);
        assert_malformed("....", Malformed::Encrypted);
        assert_malformed("..", Malformed::Unsigned);
        let empty = "the text ends where a value should be".to_owned();
        assert_malformed("..c2ln", Malformed::NotJson("header", empty));
        assert_malformed(
            &format!("{}.", with_claims(CLAIMS)),
            Malformed::NotThreeParts,
        );
    }

    #[test]
    fn splits_at_dots_in_any_position() {
        for dots in 0..1 << 12 {
            for before in ["", "AAAA", "AAAAAAA"] {
                let characters = (0..12).map(|i| if dots >> i & 1 == 1 { '.' } else { '\u{af}' });
                let token: String = before.chars().chain(characters).collect();
                let expected = match *token.split('.').collect::<Vec<_>>() {
                    [_, _, ""] => Err(Malformed::Unsigned),
                    [header, payload, signature] => Ok([header, payload, signature]),
                    [_, _, _, _, _] => Err(Malformed::Encrypted),
                    _ => Err(Malformed::NotThreeParts),
                };
                let expected = expected.map(|parts| parts.map(str::as_bytes));
                let parts = CompactParts::split(token.as_bytes())
                    .map(|parts| [parts.header, parts.payload, parts.signature]);
                assert_eq!(parts, expected, "{token}");
            }
        }
    }

    #[test]
    fn each_part_must_be_canonical_base64url() {
        let good = with_claims(CLAIMS);
        let [header, claims, signature] = [0, 1, 2].map(|i| good.split('.').nth(i).unwrap());
        for spoil in ["=", "==", " ", "\n", "\r\n", "+", "/", "%", "\0", "é"] {
            for bad in [
                format!("{header}{spoil}.{claims}.{signature}"),
                format!("{header}.{claims}{spoil}.{signature}"),
                format!("{header}.{claims}.{signature}{spoil}"),
            ] {
                assert_malformed(&bad, Malformed::NotBase64url);
            }
        }
        assert_malformed(&format!(" {good}"), Malformed::NotBase64url);
        assert_malformed(&format!("{good}\n"), Malformed::NotBase64url);
        for last in ["B", "D", "Zh", "Zm9"] {
            assert_malformed(
                &format!("{header}.{claims}.{last}"),
                Malformed::NotBase64url,
            );
        }
    }

    #[test]
    fn header_and_payload_must_be_strict_json_objects() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let deep = format!(r#"{{"exp":2000,"a":{deep}}}"#);
        let utf16: Vec<u8> = CLAIMS.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let no_json = "not a JSON value";
        let cases: [(&[u8], &str); 13] = [
            (b"", "the text ends where a value should be"),
            (b"{\"exp\":2000", "a ',' or '}' should be here"),
            (b"{\"exp\":2000}x", "text after the value"),
            (b"{\"exp\":2000}{}", "text after the value"),
            (b"\xef\xbb\xbf{\"exp\":2000}", no_json),
            (
                br#"{"exp":2000,"exp":2000}"#,
                "a member name is repeated in exp",
            ),
            (
                br#"{"iss":"a","\u0069ss":"b"}"#,
                "a member name is repeated in iss",
            ),
            (br#"{"sub":"\ud800"}"#, "a lone surrogate in sub"),
            (
                br#"{"address":{"city":["\udc00"]},"sub":"a"}"#,
                "a lone surrogate in address",
            ),
            // This name may be a token.
            (br#"{"eyJhbGciOi":"\ud800"}"#, "a lone surrogate"),
            (br#"{"a\ud800":1}"#, "a lone surrogate"),
            (deep.as_bytes(), "nested too deeply in a"),
            (&utf16, no_json),
        ];
        for (bytes, why) in cases {
            let in_part = |part| Malformed::NotJson(part, why.to_owned());
            assert_malformed(&token(HEADER.as_bytes(), bytes), in_part("payload"));
            assert_malformed(&token(bytes, CLAIMS.as_bytes()), in_part("header"));
        }
        for bytes in [&b"null"[..], b"[]", b"\"exp\"", b"1"] {
            assert_malformed(&token(HEADER.as_bytes(), bytes), Malformed::NotJsonObject);
            assert_malformed(&token(bytes, CLAIMS.as_bytes()), Malformed::NotJsonObject);
        }
        let no_utf8 = b"{\"exp\":\"\xff\"}";
        assert_malformed(&token(HEADER.as_bytes(), no_utf8), Malformed::NotUtf8);
        assert_malformed(&token(no_utf8, CLAIMS.as_bytes()), Malformed::NotUtf8);
        let repeated = Malformed::NotJson("header", "a member name is repeated in alg".to_owned());
        let text = repeated.to_string();
        assert_malformed(
            &with_header(r#"{"alg":"ES256","\u0061lg":"none"}"#),
            repeated,
        );
        assert_eq!(
            text,
            "has a header that is not strict JSON: a member name is repeated in alg"
        );
    }

    #[test]
    fn rejects_long_tokens() {
        let mut text = with_claims(CLAIMS);
        text.extend(core::iter::repeat_n('A', MAX_LEN + 1 - text.len()));
        assert_malformed(&text, Malformed::TooLong);
        assert_malformed(&".".repeat(MAX_LEN + 1), Malformed::TooLong);
        assert_malformed(&"é".repeat(MAX_LEN), Malformed::TooLong);
        assert_malformed(&"A".repeat(MAX_LEN), Malformed::NotThreeParts);
    }

    #[test]
    fn invalid_times_are_rejected() {
        assert_eq!(time("{}", "exp"), None, "exp is missing");
        for value in [
            "\"2000\"",
            "null",
            "true",
            "[]",
            "[2000]",
            "{}",
            "-1",
            "-0",
            "-0.5",
            "-2000.5",
            "2e3",
            "2E3",
            "2.0e3",
            "2000.5e0",
            "2000.5E+1",
            "253402300800.0",
            "18446744073709551616.5",
            "1e400",
            "1e20",
            "253402300800",
            "2000000000000",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999999999",
        ] {
            for name in ["exp", "nbf"] {
                let claims = format!(r#"{{"{name}":{value}}}"#);
                assert_eq!(time(&claims, name), None, "{claims}");
            }
        }
        let no_number = Malformed::NotJson("payload", "not a JSON value in exp".to_owned());
        assert_malformed(&with_claims(r#"{"exp":NaN}"#), no_number);
        let last = r#"{"exp":253402300799}"#;
        assert_eq!(time(last, "exp"), Some(MAX_SECONDS));
        assert_eq!(time(r#"{"exp":0}"#, "exp"), Some(0));
    }

    #[test]
    fn fractional_times_round_against_the_token() {
        for (value, down, up) in [
            ("1000.999", 1000, Some(1001)),
            ("1001.0", 1001, Some(1001)),
            ("1000.00001", 1000, Some(1001)),
            ("1795262980.923858", 1_795_262_980, Some(1_795_262_981)),
            ("253402300799.9", MAX_SECONDS, None),
        ] {
            let claims = format!(r#"{{"exp":{value},"nbf":{value}}}"#);
            assert_eq!(time(&claims, "exp"), Some(down), "{claims}");
            assert_eq!(time(&claims, "nbf"), up, "{claims}");
        }
    }

    #[test]
    fn debug_output_hides_the_token() {
        let jwt = Jwt::parse(&with_claims(CLAIMS)).unwrap();
        assert_eq!(format!("{jwt:?}"), "Jwt(…)");
    }
}
