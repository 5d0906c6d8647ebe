//! Strict parsing of JSON Web Tokens (RFC 7515, RFC 7519, RFC 8725).
//!
//! [`Jwt::parse`] parses the compact serialization of a *signed* token. This function does not check the signature:
//! [`crate::oauth::id_token`] says how the signatures of ID tokens are checked. [`status`] compares the token's own
//! `exp` and `nbf` with the time. The result of [`status`] is a hint, and must not be used to decide about trust. Both
//! functions reject malformed tokens, with a reason in [`Malformed`].

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The header or the payload is not a JSON object with unique member names (RFC 7519 section 4).
    NotJsonObject,
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
    /// `exp` is missing, or not a valid `NumericDate`: see [`seconds`].
    NoExpiry,
    /// `nbf` is present and not a valid `NumericDate`: see [`seconds`].
    WrongNotBefore,
}

impl Malformed {
    /// Returns the reason as a predicate to append to "the token", without quoting the token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => msg!("is longer than 64 KiB"),
            Self::NotThreeParts => msg!("does not have three parts"),
            Self::Encrypted => msg!("is encrypted, which is not supported"),
            Self::NotBase64url => msg!("has a part that is not base64url"),
            Self::NotUtf8 => msg!("has a part that is not UTF-8"),
            Self::NotJsonObject => msg!("has a part that is not a strict JSON object"),
            Self::NoAlg => msg!("has no alg, or one that is not a string"),
            Self::Unsigned => msg!("is not signed"),
            Self::Critical => msg!("has crit, which is not supported"),
            Self::UnencodedPayload => msg!("has b64, which is not supported"),
            Self::WrongHeader => msg!("has a kid or typ that is not a string"),
            Self::NoExpiry => msg!("has no exp, or one that is not a valid NumericDate"),
            Self::WrongNotBefore => msg!("has an nbf that is not a valid NumericDate"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A well-formed signed token, whose signature has not been checked.
///
/// The token is kept as a [`Secret`]. Debug output does not show the token.
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
        let header = object(parts.header)?;
        check_header(&header)?;
        let mut signature = Vec::new();
        if !base64url::decode_into(parts.signature, &mut signature) {
            return Err(Malformed::NotBase64url);
        }
        Ok(Box::new(Self {
            signing_input_len: parts.signing_input_len(),
            header,
            claims: object(parts.payload)?,
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

    /// Returns `typ` of the header (RFC 8725 section 3.11).
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.header.str("typ")
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

/// The validity of a token by its `exp` and `nbf`, in seconds since the Unix epoch. The signature has not been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The token may be used until this `exp`.
    ValidUntil(u64),
    /// The token expired at this `exp`.
    ExpiredSince(u64),
    /// The token may not be used before this `nbf`.
    NotYetValid(u64),
    /// The string is not a signed token, or its times are not valid.
    Malformed(Malformed),
}

/// Returns the validity of `token` at `now_seconds` since the Unix epoch, if clocks differ by at most
/// `tolerance_seconds` (RFC 7519 sections 4.1.4 and 4.1.5).
///
/// The signature is *not* checked. A token without a valid `exp` is malformed; it does not count as a token that never
/// expires. Numbers with a sign or an exponent, or beyond [`MAX_SECONDS`], are not valid. Fractions are rounded against
/// the token: `exp` down, and `nbf` up. A token that is both expired and not yet valid is reported as expired.
#[must_use]
pub fn status(token: &str, now_seconds: u64, tolerance_seconds: u64) -> Status {
    StatusReader::default().status(token.as_bytes(), now_seconds, tolerance_seconds)
}

/// A reader that returns the [`status`] of many tokens. The reader reuses its buffers, and parses a token's header only
/// if the header differs from the last accepted one.
#[derive(Default)]
pub struct StatusReader {
    /// The last accepted header, in base64url.
    header: Vec<u8>,
    /// Buffer for a payload, which is zeroed after each call.
    payload: Vec<u8>,
}

impl StatusReader {
    /// Returns the [`status`] of a token, which need not be UTF-8.
    #[must_use]
    pub fn status(&mut self, token: &[u8], now_seconds: u64, tolerance_seconds: u64) -> Status {
        let (exp, nbf) = match self.times(token) {
            Ok(times) => times,
            Err(malformed) => return Status::Malformed(malformed),
        };
        if now_seconds >= exp.saturating_add(tolerance_seconds) {
            return Status::ExpiredSince(exp);
        }
        match nbf {
            Some(nbf) if nbf > now_seconds.saturating_add(tolerance_seconds) => {
                Status::NotYetValid(nbf)
            }
            _ => Status::ValidUntil(exp),
        }
    }

    fn times(&mut self, token: &[u8]) -> Result<(u64, Option<u64>), Malformed> {
        let parts = CompactParts::split(token)?;
        if self.header.is_empty() || self.header != parts.header {
            check_header(&object(parts.header)?)?;
            self.header.clear();
            self.header.extend_from_slice(parts.header);
        }
        if !base64url::is_valid(parts.signature) {
            return Err(Malformed::NotBase64url);
        }
        let times = if base64url::decode_into(parts.payload, &mut self.payload) {
            times(&self.payload)
        } else {
            Err(Malformed::NotBase64url)
        };
        self.payload.fill(0);
        // This call keeps the compiler from removing the zeroing.
        core::hint::black_box(&self.payload);
        times
    }
}

/// Returns `exp` and, if present, `nbf` of a payload.
fn times(payload: &[u8]) -> Result<(u64, Option<u64>), Malformed> {
    let payload = core::str::from_utf8(payload).map_err(|_| Malformed::NotUtf8)?;
    let (mut exp, mut nbf) = (None, None);
    json::members(payload, |name, value| match name {
        "exp" => exp = Some(value),
        "nbf" => nbf = Some(value),
        _ => {}
    })
    .map_err(|_| Malformed::NotJsonObject)?;
    let exp = exp.and_then(|exp| numeric_date("exp", exp));
    let exp = exp.ok_or(Malformed::NoExpiry)?;
    match nbf.map(|nbf| numeric_date("nbf", nbf)) {
        None => Ok((exp, None)),
        Some(Some(nbf)) => Ok((exp, Some(nbf))),
        Some(None) => Err(Malformed::WrongNotBefore),
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
    // The fast search is for `strongroom/core`, where many tokens are parsed.
    let start = if cfg!(feature = "core") {
        before_dot(text)
    } else {
        0
    };
    let dot = start + text[start..].iter().position(|byte| *byte == b'.')?;
    Some((&text[..dot], &text[dot + 1..]))
}

/// Returns the offset of the first group of eight bytes that contains a dot. If no group contains a dot, returns the
/// offset after the last group.
fn before_dot(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let (eights, _) = text.as_chunks();
    let eight = eights.iter().position(|eight| {
        // The XOR turns each dot into a zero byte. The last line is true if `zeros` has a zero byte.
        let zeros = u64::from_le_bytes(*eight) ^ (ONES * b'.' as u64);
        zeros.wrapping_sub(ONES) & !zeros & (ONES << 7) != 0
    });
    eight.unwrap_or(eights.len()) * 8
}

fn object(part: &[u8]) -> Result<Object, Malformed> {
    let mut bytes = Vec::new();
    if !base64url::decode_into(part, &mut bytes) {
        return Err(Malformed::NotBase64url);
    }
    let text = strings::from_utf8(bytes).ok_or(Malformed::NotUtf8)?;
    match Value::parse(Secret::new(text).expose()) {
        // A `Value` zeroes itself on drop, so its object can be taken but not moved out.
        Ok(Value::Object(ref mut object)) => Ok(core::mem::take(object)),
        _ => Err(Malformed::NotJsonObject),
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

    fn status_at_1000(claims: &str) -> Status {
        status(&with_claims(claims), 1000, 0)
    }

    #[track_caller]
    fn assert_malformed(token: &str, reason: Malformed) {
        assert_eq!(Jwt::parse(token).err(), Some(reason), "{token:.80}");
        assert_eq!(
            status(token, 0, 0),
            Status::Malformed(reason),
            "{token:.80}"
        );
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
        assert_malformed("..c2ln", Malformed::NotJsonObject);
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
        let cases: [(&[u8], Malformed); 14] = [
            (b"", Malformed::NotJsonObject),
            (b"null", Malformed::NotJsonObject),
            (b"[]", Malformed::NotJsonObject),
            (b"\"exp\"", Malformed::NotJsonObject),
            (b"1", Malformed::NotJsonObject),
            (b"{\"exp\":2000", Malformed::NotJsonObject),
            (b"{\"exp\":2000}x", Malformed::NotJsonObject),
            (b"{\"exp\":2000}{}", Malformed::NotJsonObject),
            (b"\xef\xbb\xbf{\"exp\":2000}", Malformed::NotJsonObject),
            (br#"{"exp":2000,"exp":2000}"#, Malformed::NotJsonObject),
            (br#"{"iss":"a","\u0069ss":"b"}"#, Malformed::NotJsonObject),
            (deep.as_bytes(), Malformed::NotJsonObject),
            (&utf16, Malformed::NotJsonObject),
            (b"{\"exp\":\"\xff\"}", Malformed::NotUtf8),
        ];
        for (bytes, reason) in cases {
            assert_malformed(&token(HEADER.as_bytes(), bytes), reason);
            assert_malformed(&token(bytes, CLAIMS.as_bytes()), reason);
        }
        assert_malformed(
            &with_header(r#"{"alg":"ES256","\u0061lg":"none"}"#),
            Malformed::NotJsonObject,
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
    fn token_is_valid_until_its_exp() {
        let token = with_claims(CLAIMS);
        for (now, tolerance, expected) in [
            (0, 0, Status::ValidUntil(2000)),
            (1999, 0, Status::ValidUntil(2000)),
            (2000, 0, Status::ExpiredSince(2000)),
            (2029, 30, Status::ValidUntil(2000)),
            (2030, 30, Status::ExpiredSince(2000)),
            (u64::MAX, 30, Status::ExpiredSince(2000)),
            (5, u64::MAX, Status::ValidUntil(2000)),
        ] {
            assert_eq!(status(&token, now, tolerance), expected);
        }
    }

    #[test]
    fn status_does_not_depend_on_previous_tokens() {
        let [none, crit, kid] = [
            r#"{"alg":"none"}"#,
            r#"{"alg":"ES256","crit":[]}"#,
            r#"{"alg":"ES256","kid":"a"}"#,
        ];
        let mut tokens = vec![String::new(), "..".to_owned(), ".e30.c2ln".to_owned()];
        for header in [HEADER, none, crit, kid, "", "{"] {
            for claims in [CLAIMS, r#"{"exp":500,"sub":"longer"}"#, "{}", "[", ""] {
                let token = with_header(header);
                let (header, _) = token.split_once('.').unwrap();
                let claims = base64url::encode(claims.as_bytes());
                tokens.push([header, &claims, "c2ln"].join("."));
                tokens.push([header, &claims, "c2lu="].join("."));
                tokens.push([header, &claims[1.min(claims.len())..], "c2ln"].join("."));
            }
        }
        let mut reader = StatusReader::default();
        for first in &tokens {
            for second in &tokens {
                for token in [first, second] {
                    let actual = reader.status(token.as_bytes(), 1000, 0);
                    assert_eq!(actual, status(token, 1000, 0), "{first} {second}");
                    assert!(reader.payload.iter().all(|byte| *byte == 0));
                }
            }
        }
    }

    #[test]
    fn token_is_not_valid_before_its_nbf() {
        let token = with_claims(r#"{"nbf":1000,"exp":2000}"#);
        for (now, tolerance, expected) in [
            (999, 0, Status::NotYetValid(1000)),
            (1000, 0, Status::ValidUntil(2000)),
            (969, 30, Status::NotYetValid(1000)),
            (970, 30, Status::ValidUntil(2000)),
            (2000, 0, Status::ExpiredSince(2000)),
        ] {
            assert_eq!(status(&token, now, tolerance), expected);
        }
        assert_eq!(
            status_at_1000(r#"{"nbf":3000,"exp":500}"#),
            Status::ExpiredSince(500)
        );
    }

    #[test]
    fn invalid_times_are_malformed() {
        assert_eq!(
            status_at_1000("{}"),
            Status::Malformed(Malformed::NoExpiry),
            "exp is missing"
        );
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
            assert_eq!(
                status_at_1000(&format!(r#"{{"exp":{value}}}"#)),
                Status::Malformed(Malformed::NoExpiry),
                "exp {value}"
            );
            assert_eq!(
                status_at_1000(&format!(r#"{{"exp":2000,"nbf":{value}}}"#)),
                Status::Malformed(Malformed::WrongNotBefore),
                "nbf {value}"
            );
        }
        assert_eq!(
            status_at_1000(r#"{"exp":NaN}"#),
            Status::Malformed(Malformed::NotJsonObject)
        );
        assert_eq!(
            status_at_1000(r#"{"exp":253402300799}"#),
            Status::ValidUntil(MAX_SECONDS)
        );
        assert_eq!(status_at_1000(r#"{"exp":0}"#), Status::ExpiredSince(0));
    }

    #[test]
    fn fractional_times_round_against_the_token() {
        for (times, expected) in [
            (r#""exp":1000.999"#, Status::ExpiredSince(1000)),
            (r#""exp":1001.0"#, Status::ValidUntil(1001)),
            (
                r#""exp":1795262980.923858"#,
                Status::ValidUntil(1_795_262_980),
            ),
            (r#""exp":2000,"nbf":1000.0"#, Status::ValidUntil(2000)),
            (r#""exp":2000,"nbf":1000.00001"#, Status::NotYetValid(1001)),
            (r#""exp":253402300799.9"#, Status::ValidUntil(MAX_SECONDS)),
        ] {
            assert_eq!(
                status_at_1000(&["{", times, "}"].concat()),
                expected,
                "{times}"
            );
        }
        let beyond = r#"{"exp":2000,"nbf":253402300799.9}"#;
        assert_eq!(
            status_at_1000(beyond),
            Status::Malformed(Malformed::WrongNotBefore)
        );
    }

    #[test]
    fn debug_output_hides_the_token() {
        let jwt = Jwt::parse(&with_claims(CLAIMS)).unwrap();
        assert_eq!(format!("{jwt:?}"), "Jwt(…)");
    }
}
