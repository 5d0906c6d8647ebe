//! A strict reader and writer for JSON (RFC 8259), small enough for the browser.
//!
//! Everything that comes from a network or a page is read here. Beyond the grammar it refuses what
//! parsers disagree on and attackers therefore use: a repeated member name (also when one of the two
//! is written with escapes), a lone surrogate, a byte-order mark, text after the value, and nesting
//! deeper than [`MAX_DEPTH`]. Numbers stay text until someone asks for an integer, so nothing is
//! rounded, and no floating-point parser is carried along.

use crate::prelude::*;
use alloc::borrow::Cow;

/// Arrays and objects may be nested this deep.
pub const MAX_DEPTH: usize = 32;

/// An object may have this many members: each name is compared with all before it.
pub const MAX_MEMBERS: usize = 512;

/// Why a text is not acceptable JSON, and at which byte. It quotes nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Offset of the offending byte.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// A JSON value. Its strings are wiped when it is dropped: token replies pass through here.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exactly as it was written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object; member names are unique.
    Object(Object),
}

impl core::fmt::Debug for Value {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.kind())
    }
}

/// The members of an object in the order they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(String, Value)>);

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Value {
    fn drop(&mut self) {
        if let Self::String(text) = self {
            zeroize::Zeroize::zeroize(text);
        }
    }
}

impl Value {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// The first byte at which the text is not acceptable, and why.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut reader = Reader::new(text);
        let value = reader.value();
        reader.finish(value)
    }

    /// The name of the value's type, for messages that must not quote the value.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => msg!("a boolean"),
            Self::Number(_) => msg!("a number"),
            Self::String(_) => msg!("a string"),
            Self::Array(_) => msg!("an array"),
            Self::Object(_) => msg!("an object"),
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a boolean.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A number written as a plain integer from 0 to `u64::MAX`: no sign, fraction or exponent.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(text) => parse_u64(text),
            _ => None,
        }
    }

    /// The elements of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Takes the object called `name` out of this object, and leaves an empty one there.
    pub(crate) fn take_object(&mut self, name: &str) -> Option<Object> {
        let Self::Object(members) = self else {
            return None;
        };
        let (_, value) = members.0.iter_mut().find(|(key, _)| key == name)?;
        match value {
            Self::Object(object) => Some(core::mem::take(object)),
            _ => None,
        }
    }

    /// Appends the value as JSON text.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(out, text),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(object) => object.write(out),
        }
    }
}

impl Object {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The member called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let member = self.0.iter().find(|(key, _)| key == name);
        member.map(|(_, value)| value)
    }

    /// The text of the string member called `name`.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Adds a member. The caller sees to it that `name` is new.
    pub fn push(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Appends the object as JSON text.
    pub fn write(&self, out: &mut String) {
        out.push('{');
        for (i, (name, value)) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_string(out, name);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

/// Reads one JSON text that is an object, as strictly as [`Value::parse`], and shows each member: its
/// name, and its value as JSON. Nothing is built of it: for texts that are looked at once and thrown
/// away.
///
/// # Errors
/// The first byte at which the text is not an acceptable object, and why. Members before that have
/// been shown by then.
pub fn members<'a>(text: &'a str, mut show: impl FnMut(&str, &'a str)) -> Result<(), JsonError> {
    let mut reader = Reader::new(text);
    let read = if reader.peek() == Some(b'{') {
        reader.skip_object(&mut Vec::with_capacity(16), &mut show)
    } else {
        reader.fail(msg!("not an object"))
    };
    reader.finish(read)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        let mut text = String::new();
        write_number(&mut text, number);
        Self::Number(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

/// An object that is written as it grows, without values in between. The caller sees to it that
/// each name is new.
///
/// Each method gives the writer back by reference: to hand it on by value would move it, and the
/// moves of a chain are as much code as its calls.
pub struct Writer(String);

impl Writer {
    /// An object without members.
    #[must_use]
    pub fn object() -> Self {
        Self("{".to_owned())
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.name(name);
        write_string(&mut self.0, text);
        self
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.name(name);
        write_number(&mut self.0, number);
        self
    }

    /// Adds `true` or `false`.
    pub fn flag(&mut self, name: &str, flag: bool) -> &mut Self {
        self.json(name, if flag { "true" } else { "false" })
    }

    /// Adds a text, or `null`.
    pub fn optional_text(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.json(name, "null"),
        }
    }

    /// Adds a number, or `null`.
    pub fn optional_number(&mut self, name: &str, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(name, number),
            None => self.json(name, "null"),
        }
    }

    /// Adds any value.
    pub fn value(&mut self, name: &str, value: &Value) -> &mut Self {
        self.name(name);
        value.write(&mut self.0);
        self
    }

    /// Adds what is JSON already.
    pub fn json(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.0.push_str(json);
        self
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        write_string(&mut self.0, name);
        self.0.push(':');
    }

    /// Ends the object and gives its text.
    pub fn finish(&mut self) -> String {
        self.0.push('}');
        core::mem::take(&mut self.0)
    }
}

/// Appends a number.
// `to_string` would bring the machinery for formatting along.
pub fn write_number(out: &mut String, number: u64) {
    if number >= 10 {
        write_number(out, number / 10);
    }
    out.push((b'0' + (number % 10) as u8) as char);
}

/// The number in `text`, if that is nothing but digits and the number fits.
#[must_use]
pub fn parse_u64(text: &str) -> Option<u64> {
    let mut number = 0_u64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // `checked_mul` would multiply in 128 bits.
        if number > u64::MAX / 10 {
            return None;
        }
        number = (number * 10).checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}

/// A list of texts.
#[must_use]
pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = "[".to_owned();
    for text in texts {
        if list.len() > 1 {
            list.push(',');
        }
        write_string(&mut list, text);
    }
    list.push(']');
    list
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    // Tokens, of which a server writes one with every request, are copied whole.
    if cfg!(feature = "edge") && !text.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
        out.push_str(text);
        return out.push('"');
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                out.push_str(if c < '\u{10}' { "\\u000" } else { "\\u001" });
                out.push(char::from_digit(c as u32 & 15, 16).unwrap_or('0'));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

const REPEATED: &str = msg!("a member name is repeated");

/// What reads gives `None` at the first fault, whose reason is kept here: an error in every result
/// would be copied at every step on its way out.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    fault: &'static str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Self {
            text,
            at: 0,
            depth: 0,
            fault: "",
        };
        reader.skip_whitespace();
        reader
    }

    /// Gives what was read, if that was all.
    fn finish<T>(mut self, value: Option<T>) -> Result<T, JsonError> {
        self.skip_whitespace();
        let reason = match value {
            Some(value) if self.at == self.text.len() => return Ok(value),
            Some(_) => msg!("text after the value"),
            None => self.fault,
        };
        let at = self.at;
        Err(JsonError { at, reason })
    }

    const fn fail<T>(&mut self, fault: &'static str) -> Option<T> {
        self.fault = fault;
        None
    }

    // Called for each byte: optimised for size alone, the calls would cost a quarter of the time.
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What was read from `start` on. Both ends are where an ASCII character begins.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
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

    fn value(&mut self) -> Option<Value> {
        match self.peek() {
            Some(b'{') => self.object().map(Value::Object),
            Some(b'[') => self.array().map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
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
            let name = self.member_name(object.0.len(), Self::string)?;
            if object.get(&name).is_some() {
                return self.fail(REPEATED);
            }
            object.0.push((name, self.value()?));
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

    /// Goes over a value. `names` are those of the objects around it that have been read so far.
    fn skip_value(&mut self, names: &mut Vec<Cow<'a, str>>) -> Option<()> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b'{') => self.skip_object(names, &mut |_, _| {}),
            Some(b'[') => self.skip_array(names),
            _ => self.value().map(|_| ()),
        }
    }

    fn skip_object(
        &mut self,
        names: &mut Vec<Cow<'a, str>>,
        show: &mut dyn FnMut(&str, &'a str),
    ) -> Option<()> {
        let around = names.len();
        let mut goes_on = self.enter(b'}')?;
        while goes_on {
            let name = self.member_name(names.len() - around, Self::borrowed_string)?;
            if names.iter().skip(around).any(|known| *known == name) {
                return self.fail(REPEATED);
            }
            names.push(name);
            let start = self.at;
            self.skip_value(names)?;
            if let Some(name) = names.last() {
                show(name, self.since(start));
            }
            goes_on = self.goes_on(b'}')?;
        }
        names.truncate(around);
        Some(())
    }

    fn skip_array(&mut self, names: &mut Vec<Cow<'a, str>>) -> Option<()> {
        let mut goes_on = self.enter(b']')?;
        while goes_on {
            self.skip_value(names)?;
            goes_on = self.goes_on(b']')?;
        }
        Some(())
    }

    /// Begins an object or array that ends in `end`. Whether there is anything in it.
    fn enter(&mut self, end: u8) -> Option<bool> {
        if self.depth == MAX_DEPTH {
            return self.fail(msg!("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_whitespace();
        Some(!self.leave(end))
    }

    /// Behind a member of an object or an element of an array: whether there is another one.
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

    /// Reads the name of a member with `before` others before it, up to its value.
    fn member_name<T>(&mut self, before: usize, read: fn(&mut Self) -> Option<T>) -> Option<T> {
        if before == MAX_MEMBERS {
            return self.fail(msg!("an object has too many members"));
        }
        if self.peek() != Some(b'"') {
            return self.fail(msg!("a member name should be here"));
        }
        let name = read(self)?;
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

    /// As [`Reader::string`], without a copy where it has no escapes.
    fn borrowed_string(&mut self) -> Option<Cow<'a, str>> {
        self.at += 1;
        let mut unescaped = String::new();
        loop {
            let (run, ends) = self.run()?;
            if ends && unescaped.is_empty() {
                return Some(Cow::Borrowed(run));
            }
            unescaped.push_str(run);
            if ends {
                return Some(Cow::Owned(unescaped));
            }
            unescaped.push(self.escape()?);
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        while !self.run()?.1 {
            self.escape()?;
        }
        Some(())
    }

    /// Takes what is left of a string up to its end or the next escape, and whether it was the end.
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
        let scalar = if (0xD800..0xDC00).contains(&first) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return self.fail(msg!("a lone surrogate"));
            }
            let second = self.hex4()?;
            if !(0xDC00..0xE000).contains(&second) {
                return self.fail(msg!("a lone surrogate"));
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(scalar).or_else(|| self.fail(msg!("a lone surrogate")))
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

    fn written(text: &str) -> String {
        let mut out = String::new();
        Value::parse(text).unwrap().write(&mut out);
        out
    }

    #[test]
    fn what_is_read_is_written_back() {
        for text in [
            "null",
            "true",
            "[]",
            "{}",
            "-0.5e+10",
            r#"{"a":[1,2,{"b":"c"}],"d":null}"#,
            r#""é😀\"\\""#,
        ] {
            assert_eq!(written(text), text);
        }
        assert_eq!(written(" [ 1 , 2 ] \n"), "[1,2]");
        assert_eq!(written(r#""\ud83d\ude00\n\/""#), "\"😀\\u000a/\"");
    }

    #[test]
    fn every_written_character_is_read_back() {
        let ascii = (0..=0x7f_u8).map(char::from);
        for c in ascii.chain(['é', '\u{2028}', '😀']) {
            for text in [c.to_string(), format!("{c}\""), format!("\\ {c}")] {
                let mut json = String::new();
                write_string(&mut json, &text);
                let read = Value::parse(&json);
                assert_eq!(read.ok().as_ref().and_then(Value::as_str), Some(&*text));
            }
        }
    }

    #[test]
    fn missing_end_is_named() {
        let reason = |text| Value::parse(text).unwrap_err().reason;
        assert_eq!(reason("[1 2]"), "a ',' or ']' should be here");
        assert_eq!(reason(r#"{"a":1 2}"#), "a ',' or '}' should be here");
    }

    #[test]
    fn refuses_what_is_not_json_or_is_read_differently_elsewhere() {
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
    fn only_plain_integers_are_integers() {
        let integer = |text| Value::parse(text).unwrap().as_u64();
        assert_eq!(integer("1700000000"), Some(1_700_000_000));
        assert_eq!(integer("18446744073709551615"), Some(u64::MAX));
        for text in ["-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "null"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    fn shown(text: &str) -> Result<Vec<(String, &str)>, JsonError> {
        let mut all = Vec::new();
        members(text, |name, json| all.push((name.to_owned(), json)))?;
        Ok(all)
    }

    #[test]
    fn members_are_shown_as_they_are_written() {
        let text = r#" { "a" : "x\ny", "b":12 , "c":{"d":[1, {"a":{}}]}, "\u0065":"","f":-1.0e2,"g":null } "#;
        let members = shown(text).unwrap();
        let value = Value::parse(text).unwrap();
        let object = value.as_object().unwrap();
        let as_values: Vec<_> = members
            .iter()
            .map(|(name, json)| (name.as_str(), Value::parse(json).unwrap()))
            .collect();
        let expected: Vec<_> = object.iter().map(|(n, v)| (n, v.clone())).collect();
        assert_eq!(as_values, expected);
        assert_eq!(members[2].1, r#"{"d":[1, {"a":{}}]}"#);
    }

    #[test]
    fn members_are_read_as_strictly_as_values() {
        for text in [
            "",
            "1",
            "[]",
            "{",
            "{}{}",
            "\u{feff}{}",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"iss":1,"\u0069ss":2}"#,
        ] {
            assert!(shown(text).is_err(), "{text:?} was accepted");
        }
        let nested = |depth: usize| {
            let deep = "[".repeat(depth - 1) + &"]".repeat(depth - 1);
            format!(r#"{{"a":{deep}}}"#)
        };
        assert!(shown(&nested(MAX_DEPTH)).is_ok());
        assert!(shown(&nested(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn an_object_has_512_members_at_most_and_what_follows_them_is_not_read() {
        let members = |count: usize| {
            let members = (0..count).map(|i| format!(r#""{i}":{i}"#));
            members.collect::<Vec<_>>().join(",")
        };
        let full = format!("{{{}}}", members(MAX_MEMBERS));
        assert!(Value::parse(&full).is_ok());
        assert!(shown(&full).is_ok());
        // As many again are no matter, in an object of their own.
        let nested = format!(r#"{{"a":{full},"b":[{full},{full}]}}"#);
        assert!(Value::parse(&nested).is_ok());
        assert!(shown(&nested).is_ok());
        let over = [&full[..full.len() - 1], ", no JSON"].concat();
        let too_many = |error: JsonError| error.reason == "an object has too many members";
        assert!(Value::parse(&over).is_err_and(too_many));
        assert!(shown(&over).is_err_and(too_many));
    }

    #[test]
    fn whatever_is_changed_in_an_object_members_and_values_are_read_alike() {
        let text = r#"{"a":"x\n\ud83d\ude00é","b":[-1.5e3,{"c":{},"\u0064":[]},true],"e":null}"#;
        let bytes = text.as_bytes();
        for at in 1..bytes.len() {
            for change in *b"\"\\{}[]:,0-.eabcd \n\x1f" {
                for insert in [0, 1] {
                    let changed = [&bytes[..at], &[change], &bytes[at + 1 - insert..]].concat();
                    let Ok(changed) = core::str::from_utf8(&changed) else {
                        continue;
                    };
                    let expected = Value::parse(changed).err();
                    assert_eq!(shown(changed).err(), expected, "{changed}");
                }
            }
        }
    }

    #[test]
    fn debug_output_shows_the_kind_only() {
        let value = Value::parse(r#"{"access_token":"abc"}"#).unwrap();
        assert_eq!(format!("{value:?}"), "an object");
    }
}
