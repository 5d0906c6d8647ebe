//! The JSON parser.

use super::{Object, Value};
use crate::base::strings;
use crate::prelude::*;

/// The deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;

/// The largest number of members of an object. The limit exists because each name is compared with all names before it.
pub const MAX_MEMBERS: usize = 512;

/// The position and the reason of a syntax error. The error contains no part of the JSON text, which may be secret, except
/// the name of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Offset, in bytes, at which the parser noticed the error.
    pub at: usize,
    /// The reason for the error.
    pub reason: &'static str,
    /// The member of the outermost object in which the error is, if its name consists of 1 to 40 lower-case letters and
    /// underscores. Any other name may contain a token.
    pub member: Option<String>,
}

impl JsonError {
    /// Returns the reason, with the name of the member.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.member {
            Some(name) => [self.reason, msg!(" in "), name].concat(),
            None => self.reason.to_owned(),
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Parses a number that consists of digits only. Returns `None` for other text, and for a number that does not fit into
/// a `u64`.
#[must_use]
pub fn parse_u64(text: &str) -> Option<u64> {
    let mut number = 0_u64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // The code compares instead of calling `checked_mul`, which would multiply in 128 bits.
        if number > u64::MAX / 10 {
            return None;
        }
        number = (number * 10).checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}

const REPEATED: &str = msg!("a member name is repeated");

/// A recursive-descent parser. The parser's methods return `None` at the first error and leave the reason in `fault`.
/// If they returned the error itself, each calling method would copy it.
pub(super) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    fault: &'static str,
    /// The member in which the error is.
    member: Option<String>,
    /// True if a repeated name and a lone surrogate make only their member unreadable, not the whole text.
    is_tolerant: bool,
    /// True if the string that was read last contains a lone surrogate.
    is_torn: bool,
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Self {
            text,
            at: 0,
            depth: 0,
            fault: "",
            member: None,
            is_tolerant: false,
            is_torn: false,
        };
        reader.skip_whitespace();
        reader
    }

    /// Creates a reader for [`Value::parse_tolerant`].
    pub(super) fn tolerant(text: &'a str) -> Self {
        Self {
            is_tolerant: true,
            ..Self::new(text)
        }
    }

    /// Returns `value`, the result of parsing. Returns an error if parsing has failed, or if text follows the value.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, JsonError> {
        self.skip_whitespace();
        let reason = match value {
            Some(value) if self.at == self.text.len() => return Ok(value),
            Some(_) => msg!("text after the value"),
            None => self.fault,
        };
        Err(JsonError {
            at: self.at,
            reason,
            member: self.member.filter(|name| is_plain_name(name)),
        })
    }

    const fn fail<T>(&mut self, fault: &'static str) -> Option<T> {
        self.fault = fault;
        None
    }

    // This function runs for each byte. If it were not inlined, its calls would take a quarter of the parser's time.
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Returns the text from `start` to the current position. Both positions are boundaries of characters.
    fn since(&self, start: usize) -> &'a str {
        strings::part(self.text, start, self.at)
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn value(&mut self) -> Option<Value> {
        match self.peek() {
            Some(b'{') => self.object().map(Value::Object),
            Some(b'[') => self.array().map(Value::Array),
            Some(b'"') => {
                self.is_torn = false;
                let text = self.string()?;
                Some(if self.is_torn {
                    Value::Unreadable
                } else {
                    Value::String(text)
                })
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|text| Value::Number(text.to_owned())),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(_) => self.fail(msg!("not a JSON value")),
            None => self.fail(msg!("the text ends where a value should be")),
        }
    }

    fn object(&mut self) -> Option<Object> {
        let mut object = Object::new();
        let mut goes_on = self.enter(b'}')?;
        while goes_on {
            let name = self.member_name(object.0.len())?;
            let before = object.0.iter().position(|(known, _)| *known == name);
            let value = if before.is_some() && !self.is_tolerant {
                self.fail(REPEATED)
            } else {
                self.value()
            };
            let Some(value) = value else {
                // The outermost object sets its member last.
                self.member = Some(name);
                return None;
            };
            match before {
                Some(i) => object.0[i].1 = Value::Unreadable,
                None => object.0.push((name, value)),
            }
            goes_on = self.goes_on(b'}')?;
        }
        Some(object)
    }

    fn array(&mut self) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        let mut goes_on = self.enter(b']')?;
        while goes_on {
            items.push(self.value()?);
            goes_on = self.goes_on(b']')?;
        }
        Some(items)
    }

    /// Enters an object or array that is closed by `end`. Returns false if the object or array is empty.
    fn enter(&mut self, end: u8) -> Option<bool> {
        if self.depth == MAX_DEPTH {
            return self.fail(msg!("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_whitespace();
        Some(!self.leave(end))
    }

    /// Reads the separator after a member or an element. Returns true if another member or element follows, and false
    /// after `end`.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        self.skip_whitespace();
        if self.leave(end) {
            return Some(false);
        }
        if !self.take(b',') {
            return self.fail(if end == b'}' {
                msg!("a ',' or '}' should be here")
            } else {
                msg!("a ',' or ']' should be here")
            });
        }
        self.skip_whitespace();
        Some(true)
    }

    fn leave(&mut self, end: u8) -> bool {
        let found = self.take(end);
        self.depth -= usize::from(found);
        found
    }

    /// Reads the name of a member, up to its value. `before` is the number of members before this one.
    fn member_name(&mut self, before: usize) -> Option<String> {
        if before == MAX_MEMBERS {
            return self.fail(msg!("an object has too many members"));
        }
        if self.peek() != Some(b'"') {
            return self.fail(msg!("a member name should be here"));
        }
        let name = self.string()?;
        self.skip_whitespace();
        if !self.take(b':') {
            return self.fail(msg!("a ':' should be here"));
        }
        self.skip_whitespace();
        Some(name)
    }

    fn literal(&mut self, word: &'static str, value: Value) -> Option<Value> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Some(value)
        } else {
            self.fail(msg!("not a JSON value"))
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return self.fail(msg!("a digit should be here"));
        }
        Some(())
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(self.since(start))
    }

    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let (run, ends) = self.run()?;
            text.push_str(run);
            if ends {
                return Some(text);
            }
            text.push(self.escape()?);
        }
    }

    /// Reads the rest of a string up to its end or the next escape. Returns the part that was read, and true if the
    /// string ends after it.
    fn run(&mut self) -> Option<(&'a str, bool)> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let mut end = start;
        while end < bytes.len() && !matches!(bytes[end], 0..b' ' | b'"' | b'\\') {
            end += 1;
        }
        self.at = end;
        let run = self.since(start);
        let ends = match self.peek() {
            Some(b'"') => true,
            Some(b'\\') => false,
            Some(_) => return self.fail(msg!("a control character in a string")),
            None => return self.fail(msg!("the text ends inside a string")),
        };
        self.at += 1;
        Some((run, ends))
    }

    fn escape(&mut self) -> Option<char> {
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => c as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return self.fail(msg!("an unknown escape")),
        };
        self.at += 1;
        Some(c)
    }

    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.hex4()?;
        let end = self.at;
        let scalar = if (0xD800..0xDC00).contains(&first) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return self.lone_surrogate(end);
            }
            let second = self.hex4()?;
            if !(0xDC00..0xE000).contains(&second) {
                return self.lone_surrogate(end);
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(scalar).or_else(|| self.lone_surrogate(end))
    }

    /// Replaces a lone surrogate, whose escape ends at `end`, if the reader is tolerant.
    fn lone_surrogate(&mut self, end: usize) -> Option<char> {
        if !self.is_tolerant {
            return self.fail(msg!("a lone surrogate"));
        }
        self.at = end;
        self.is_torn = true;
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Option<u32> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| (b as char).to_digit(16));
            let Some(digit) = digit else {
                return self.fail(msg!("four hexadecimal digits should be here"));
            };
            value = value << 4 | digit;
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_end_is_named() {
        let reason = |text| Value::parse(text).unwrap_err().reason;
        assert_eq!(reason("[1 2]"), "a ',' or ']' should be here");
        assert_eq!(reason(r#"{"a":1 2}"#), "a ',' or '}' should be here");
    }

    #[test]
    fn rejects_invalid_or_ambiguous_json() {
        for text in [
            "",
            " ",
            "nul",
            "nullx",
            "\u{feff}{}",
            "{}{}",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "NaN",
            "Infinity",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"open",
            r#"{"iss":1,"iss":2}"#,
            r#"{"iss":1,"\u0069ss":2}"#,
        ] {
            assert!(Value::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            Value::parse(&nested(MAX_DEPTH + 1)).unwrap_err().reason,
            "nested too deeply"
        );
        assert!(Value::parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn object_has_at_most_512_members() {
        let members = |count: usize| {
            let members = (0..count).map(|i| format!(r#""{i}":{i}"#));
            members.collect::<Vec<_>>().join(",")
        };
        let full = format!("{{{}}}", members(MAX_MEMBERS));
        assert!(Value::parse(&full).is_ok());
        // The limit applies to each nested object separately.
        let nested = format!(r#"{{"a":{full},"b":[{full},{full}]}}"#);
        assert!(Value::parse(&nested).is_ok());
        let over = [&full[..full.len() - 1], ", no JSON"].concat();
        let too_many = |error: JsonError| error.reason == "an object has too many members";
        assert!(Value::parse(&over).is_err_and(too_many));
    }
}
