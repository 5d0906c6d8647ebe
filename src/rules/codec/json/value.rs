//! JSON values.

use super::JsonError;
use super::reader::{JsonReader, parse_u64};
use super::writer::{digits, write_string};
use crate::base::strings;
use crate::prelude::*;

/// A JSON value. Strings in a value are wiped when the value is dropped, since token responses are parsed into values.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exactly as written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object; member names are unique.
    Object(Object),
    /// A member whose name is repeated, or a string with a lone surrogate: see [`Value::parse_tolerant`].
    Unreadable,
}

impl core::fmt::Debug for Value {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.kind())
    }
}

/// The members of an object, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(pub(super) Vec<(String, Value)>);

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Value {
    fn drop(&mut self) {
        if let Self::String(text) = self {
            zeroize::Zeroize::zeroize(text);
        }
    }
}

impl Value {
    /// Parses a JSON text.
    ///
    /// # Errors
    /// The position and the reason of the first error.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut reader = JsonReader::new(text);
        let value = reader.value();
        reader.finish(value)
    }

    /// Parses a JSON text in which a member may be ambiguous. If the name of a member is repeated, or a string contains a
    /// lone surrogate, the value there is [`Value::Unreadable`], and all others are read. Use this function only for a text
    /// whose single reader is this crate, such as a response of the token endpoint. Everything else is as in
    /// [`Value::parse`].
    ///
    /// # Errors
    /// The position and the reason of the first error.
    pub fn parse_tolerant(text: &str) -> Result<Self, JsonError> {
        let mut reader = JsonReader::tolerant(text);
        let value = reader.value();
        reader.finish(value)
    }

    /// Returns the name of the value's type, for messages that must not quote the value.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => msg!("a boolean"),
            Self::Number(_) => msg!("a number"),
            Self::String(_) => msg!("a string"),
            Self::Array(_) => msg!("an array"),
            Self::Object(_) => msg!("an object"),
            Self::Unreadable => msg!("repeated, or has a lone surrogate"),
        }
    }

    /// Returns the string, if the value is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the boolean, if the value is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the number, if it is written as a plain integer from 0 to `u64::MAX`, without sign, fraction or
    /// exponent.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(text) => parse_u64(text),
            _ => None,
        }
    }

    /// Returns the whole part of a number that is not negative, as a number or as a string: `3599.5` and `"3.5995e3"` are
    /// 3599. A number that does not fit into a `u64` becomes `u64::MAX`.
    #[must_use]
    pub fn whole_part(&self) -> Option<u64> {
        match self {
            Self::Number(text) | Self::String(text) => whole_part(text),
            _ => None,
        }
    }

    /// Returns the elements, if the value is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the object, if the value is one.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the object, if the value is one.
    pub(crate) fn into_object(mut self) -> Option<Object> {
        match &mut self {
            Self::Object(object) => Some(core::mem::take(object)),
            _ => None,
        }
    }

    /// Appends the value as JSON text.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null | Self::Unreadable => out.push_str("null"),
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

/// Returns the whole part of a decimal number with an optional fraction and exponent, without floating-point arithmetic.
/// Returns `None` for other text and for negative numbers.
fn whole_part(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = strings::split_once(&lower, b'e');
    let (whole, fraction) = strings::split_once(mantissa, b'.');
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !fraction.is_none_or(is_number) {
        return None;
    }
    let exponent = exponent.unwrap_or("0");
    let unsigned = exponent.strip_prefix('-').or(exponent.strip_prefix('+'));
    let magnitude = unsigned.unwrap_or(exponent);
    if !is_number(magnitude) {
        return None;
    }
    // A larger shift leads out of the range of `u64`, or to zero.
    let shift = parse_u64(magnitude).unwrap_or(u64::MAX).min(MOST_DIGITS) as usize;
    let digits = [whole, fraction.unwrap_or_default()].concat();
    let length = if exponent.starts_with('-') {
        whole.len().saturating_sub(shift)
    } else {
        whole.len() + shift
    };
    let mut number = 0_u64;
    for i in 0..length {
        let digit = digits.as_bytes().get(i).map_or(0, |byte| byte - b'0');
        if number >= u64::MAX / 10 {
            return Some(u64::MAX);
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

/// More digits than those of the longest number in a response of the provider.
const MOST_DIGITS: u64 = 1 << 20;

impl Object {
    /// Creates an object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the value of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let member = self.0.iter().find(|(key, _)| key == name);
        member.map(|(_, value)| value)
    }

    /// Returns the string in the member `name`. Returns `None` if the member is absent or not a string.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Moves the object in the member `name` out of this one, and leaves an empty object in its place. Returns `None` if
    /// the member is not an object.
    pub fn take_object(&mut self, name: &str) -> Option<Self> {
        let (_, value) = self.0.iter_mut().find(|(key, _)| key == name)?;
        match value {
            Value::Object(object) => Some(core::mem::take(object)),
            _ => None,
        }
    }

    /// Adds a member. The caller must not add the same name twice.
    pub fn push(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    /// Iterates over the members in order.
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
        Self::Number(digits(number))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        Value::parse(text).unwrap().write(&mut out);
        out
    }

    #[test]
    fn parsed_values_are_written_back() {
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
    fn as_u64_accepts_plain_integers_only() {
        let integer = |text| Value::parse(text).unwrap().as_u64();
        assert_eq!(integer("1700000000"), Some(1_700_000_000));
        assert_eq!(integer("18446744073709551615"), Some(u64::MAX));
        for text in ["-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "null"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn whole_part_is_rounded_down() {
        let whole = |text: &str| Value::parse(text).unwrap().whole_part();
        for (text, expected) in [
            ("3600", 3600),
            ("3599.5", 3599),
            ("0.9", 0),
            ("-0.0e1", 0),
            ("3.6e3", 3600),
            ("3.5995E3", 3599),
            ("1e+2", 100),
            ("36000e-1", 3600),
            ("1e-9", 0),
            ("1e-99999999999999999999", 0),
            ("0e99999999999999999999", 0),
            ("1e18", 1_000_000_000_000_000_000),
            ("1e20", u64::MAX),
            ("99999999999999999999999.5", u64::MAX),
        ] {
            let of_positive = (!text.starts_with('-')).then_some(expected);
            assert_eq!(whole(text), of_positive, "{text}");
            assert_eq!(whole(&format!("{text:?}")), of_positive, "a string, {text}");
        }
        for text in [
            "-1",
            "-0.5",
            "null",
            "true",
            "[1]",
            "{}",
            r#""""#,
            r#"" 1""#,
            r#""1 ""#,
            r#""+1""#,
            r#""1.""#,
            r#"".5""#,
            r#""1e""#,
            r#""1e+-1""#,
            r#""0x10""#,
            r#""NaN""#,
            r#""Infinity""#,
            r#""soon""#,
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn tolerant_parser_loses_only_ambiguous_members() {
        let text = r#"{"a":1,"b":"x\ud800","a":2,"c":"y","d":{"e":"\udc00z","f":[3,"\ud800\ud83d\ude00"]},"g\udfff":4}"#;
        assert!(Value::parse(text).is_err());
        let value = Value::parse_tolerant(text).unwrap();
        let object = value.as_object().unwrap();
        for name in ["a", "b"] {
            assert_eq!(object.get(name), Some(&Value::Unreadable), "{name}");
        }
        assert_eq!(object.str("c"), Some("y"));
        let mut out = String::new();
        value.write(&mut out);
        let kept = r#"{"a":null,"b":null,"c":"y","d":{"e":null,"f":[3,null]},"g�":4}"#;
        assert_eq!(out, kept);
        // A third value does not make a repeated name readable.
        let thrice = Value::parse_tolerant(r#"{"a":1,"a":1,"\u0061":1}"#).unwrap();
        assert_eq!(
            thrice.as_object().unwrap().get("a"),
            Some(&Value::Unreadable)
        );
    }

    #[test]
    fn tolerant_parser_rejects_all_other_errors() {
        for text in [
            "",
            "{",
            "{}x",
            "[1,]",
            "01",
            "\"\\ud8\"",
            "\"\\ud800\\u12\"",
            "\"\t\"",
            "\u{feff}{}",
        ] {
            assert!(Value::parse_tolerant(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_output_shows_the_kind_only() {
        let value = Value::parse(r#"{"access_token":"abc"}"#).unwrap();
        assert_eq!(format!("{value:?}"), "an object");
    }
}
