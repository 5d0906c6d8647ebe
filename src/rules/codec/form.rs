//! `application/x-www-form-urlencoded` (WHATWG URL 5): query strings and token request bodies.

use crate::base::strings;
use crate::prelude::*;

/// A builder of form parameters.
#[derive(Default)]
pub struct Form(String);

impl Form {
    /// Creates a form without parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds a parameter.
    // Returns a reference for the reason given at `json::Writer`.
    pub fn push(&mut self, name: &str, value: &str) -> &mut Self {
        self.separate();
        encode(&mut self.0, name);
        self.0.push('=');
        encode(&mut self.0, value);
        self
    }

    /// Adds parameters that are already encoded.
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

    /// Returns the encoded form.
    pub fn finish(&mut self) -> String {
        core::mem::take(&mut self.0)
    }
}

/// Encodes a name or a value.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode(&mut out, text);
    out
}

fn encode(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(byte as char);
            }
            // A space is written as `%20`, because some decoders read `+` as a space and others as a plus sign.
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

/// Parses a query string that does not start with `?`. Returns `None` if a parameter is not UTF-8.
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

/// Decodes a name or a value. Returns `None` if the decoded bytes are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        let (byte, tail) = match rest {
            [] => return strings::from_utf8(out),
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high, *low), tail)
            }
            [b'+', tail @ ..] => (b' ', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        // `push` would add another function that lets a list of bytes grow.
        out.extend_from_slice(&[byte]);
        rest = tail;
    }
}

/// Appends `query` to an endpoint's own query, which must be kept (RFC 6749 3.1).
pub fn with_query(endpoint: &str, query: &str) -> String {
    let separator = match strings::split_once(endpoint, b'?').1 {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    [endpoint, separator, query].concat()
}

/// Returns the byte that two hexadecimal digits encode.
pub(crate) const fn hex_value(high: u8, low: u8) -> u8 {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        }
    }
    digit(high) << 4 | digit(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn written_form_is_read_back() {
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
    fn rejects_invalid_utf8() {
        assert!(parse("a=%ff").is_none());
    }
}
