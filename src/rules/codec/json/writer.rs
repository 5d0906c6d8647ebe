//! Functions that write JSON.

use super::Value;
use crate::base::strings;
use crate::prelude::*;

/// Writes an object member by member, without building a [`Value`]. The caller must not write the same name twice.
///
/// Each method returns the writer by reference. If methods returned the writer by value, a chain of calls would move it
/// each time, and the moves would take as much code as the calls.
pub struct Writer(String);

impl Writer {
    /// Creates an object without members.
    #[must_use]
    pub fn object() -> Self {
        Self("{".to_owned())
    }

    /// Adds a string.
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

    /// Adds a string, or `null`.
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

    /// Adds a value that is already JSON.
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

    /// Ends the object and returns its text.
    pub fn finish(&mut self) -> String {
        self.0.push('}');
        core::mem::take(&mut self.0)
    }
}

/// Appends a number.
// `to_string` would add the formatting code of the standard library to the module.
pub fn write_number(out: &mut String, number: u64) {
    if number >= 10 {
        write_number(out, number / 10);
    }
    out.push((b'0' + (number % 10) as u8) as char);
}

/// Returns the digits of a number.
#[must_use]
pub fn digits(number: u64) -> String {
    let mut text = String::new();
    write_number(&mut text, number);
    text
}

/// Returns an array of strings as JSON.
#[must_use]
pub fn string_array<'a>(strings: impl IntoIterator<Item = &'a str>) -> String {
    let mut array = "[".to_owned();
    for text in strings {
        if array.len() > 1 {
            array.push(',');
        }
        write_string(&mut array, text);
    }
    array.push(']');
    array
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    // The parts between special characters are copied as a whole, because this is faster.
    let mut start = 0;
    for (i, byte) in text.bytes().enumerate() {
        let is_control = byte < b' ';
        if !is_control && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(strings::part(text, start, i));
        start = i + 1;
        if is_control {
            out.push_str(if byte < 0x10 { "\\u000" } else { "\\u001" });
            out.push(char::from_digit((byte & 15).into(), 16).unwrap_or('0'));
        } else {
            out.push('\\');
            out.push(char::from(byte));
        }
    }
    out.push_str(strings::part(text, start, text.len()));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
