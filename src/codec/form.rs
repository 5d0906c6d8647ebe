//! `application/x-www-form-urlencoded` (WHATWG URL 5): query strings and token request bodies.

use crate::base::strings;
use crate::prelude::*;

/// A list of parameters under construction.
#[derive(Default)]
pub struct Form(String);

impl Form {
    /// A list without parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds a parameter.
    // By reference for the reason given at `json::Writer`.
    #[inline(never)]
    pub fn push(&mut self, name: &str, value: &str) -> &mut Self {
        self.separate();
        encode(&mut self.0, name);
        self.0.push('=');
        encode(&mut self.0, value);
        self
    }

    /// Adds parameters that are encoded already.
    pub fn push_encoded(&mut self, parameters: &str) {
        if !parameters.is_empty() {
            self.separate();
            self.0.push_str(parameters);
        }
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
    }

    /// The encoded text.
    pub fn finish(&mut self) -> String {
        core::mem::take(&mut self.0)
    }
}

/// A text as it stands in a form.
#[cfg(feature = "edge")]
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode(&mut out, text);
    out
}

#[inline(never)]
fn encode(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(byte as char);
            }
            // `+` is read as a space by some and as itself by others; `%20` by all as a space.
            _ => {
                for byte in [
                    b'%',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ] {
                    out.push(byte as char);
                }
            }
        }
    }
}

/// Reads a query string (without `?`) into its parameters. `None` if one is not UTF-8.
#[must_use]
pub fn parse(query: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    for pair in strings::split(query, b'&') {
        let (name, value) = strings::split_once(pair, b'=');
        if !pair.is_empty() {
            parameters.push((decode(name)?, decode(value.unwrap_or_default())?));
        }
    }
    Some(parameters)
}

/// Undoes the encoding of one name or value. `None` if it is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return strings::from_utf8(out),
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_digit(*high) << 4 | hex_digit(*low));
                tail
            }
            [b'+', tail @ ..] => {
                out.push(b' ');
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
}

/// Appends to an endpoint's own query, which must be kept (RFC 6749 3.1).
pub(crate) fn with_query(endpoint: &str, query: &str) -> String {
    let separator = match strings::split_once(endpoint, b'?').1 {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    [endpoint, separator, query].concat()
}

const fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = Form::new()
            .push("scope", "openid profile")
            .push("redirect_uri", "https://app.example/cb?a=1&b=+é")
            .finish();
        assert_eq!(
            text,
            "scope=openid%20profile&redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fa%3D1%26b%3D%2B%C3%A9"
        );
        assert_eq!(
            parse(&text).unwrap(),
            [
                pair("scope", "openid profile"),
                pair("redirect_uri", "https://app.example/cb?a=1&b=+é")
            ]
        );
    }

    #[test]
    fn reads_queries_as_browsers_write_them() {
        assert_eq!(
            parse("a=1+2&&b&c=%zz&d==").unwrap(),
            [
                pair("a", "1 2"),
                pair("b", ""),
                pair("c", "%zz"),
                pair("d", "=")
            ]
        );
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        assert!(parse("a=%ff").is_none());
    }
}
