//! The text of a value before it is sealed or stored: the version of its format, and then one line for each member, which
//! is fast to parse for every request. Each format has its own version.

use rules::prelude::*;

use rules::Secret;
use rules::base::strings;
use rules::codec::json;

/// The reason why a sealed or stored value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The value is sealed with a key that is not in the keyring: a removed key, or a key that this isolate does not have
    /// yet.
    UnknownKey,
    /// Another version of the handler has written the value.
    OtherVersion,
    /// No handler has written the value for this purpose.
    NotGenuine,
}

/// Longest version of a format.
const LONGEST_VERSION: usize = 3;

/// The writer of a value's lines. No member contains a line break, except the last one.
pub(crate) struct Writer(String);

impl Writer {
    /// Begins with the version of the format.
    pub(crate) fn new(version: &str) -> Self {
        Self(version.to_owned())
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend(["\n", text]);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0.push('\n');
        json::write_number(&mut self.0, number);
        self
    }

    /// Writes a secret, or an empty line.
    pub(crate) fn secret(&mut self, secret: Option<&Secret>) -> &mut Self {
        self.text(secret.map_or("", Secret::expose))
    }

    /// Writes a number, or an empty line.
    pub(crate) fn optional_number(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.text(""),
        }
    }

    pub(crate) fn finish(&mut self) -> String {
        core::mem::take(&mut self.0)
    }
}

/// The reader of the lines that a [`Writer`] has written.
pub(crate) struct Reader<'a> {
    /// The lines that were not read, or `None` after the last one.
    rest: Option<&'a str>,
}

impl<'a> Reader<'a> {
    /// Reads the version of the format.
    pub(crate) fn new(text: &'a str, version: &str) -> Result<Self, Unreadable> {
        let (first, rest) = strings::split_once(text, b'\n');
        if first == version {
            return Ok(Self { rest });
        }
        Err(match is_version(first) {
            true => Unreadable::OtherVersion,
            false => Unreadable::NotGenuine,
        })
    }

    /// Reads a line.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let (line, rest) = strings::split_once(self.rest?, b'\n');
        self.rest = rest;
        Some(line)
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Option<u64> {
        json::parse_u64(self.text()?)
    }

    /// Reads the output of [`Writer::secret`].
    pub(crate) fn secret(&mut self) -> Option<Option<Secret>> {
        let text = self.text()?;
        Some((!text.is_empty()).then(|| Secret::from(text)))
    }

    /// Reads the output of [`Writer::optional_number`].
    pub(crate) fn optional_number(&mut self) -> Option<Option<u64>> {
        match self.text()? {
            "" => Some(None),
            digits => json::parse_u64(digits).map(Some),
        }
    }

    /// Returns the lines that were not read.
    pub(crate) fn rest(&mut self) -> Option<&'a str> {
        self.rest.take()
    }

    /// Returns `value` if all lines were read.
    pub(crate) fn finish<T>(self, value: T) -> Option<T> {
        self.rest.is_none().then_some(value)
    }
}

/// Returns true if a text is the version of some format.
pub(crate) fn is_version(text: &str) -> bool {
    (1..=LONGEST_VERSION).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_were_written() {
        let secret = Secret::from("s");
        let text = Writer::new("1")
            .text("a b")
            .number(7)
            .secret(Some(&secret))
            .secret(None)
            .optional_number(None)
            .optional_number(Some(0))
            .finish();
        let mut lines = Reader::new(&text, "1").unwrap();
        assert_eq!((lines.text(), lines.number()), (Some("a b"), Some(7)));
        assert_eq!(lines.secret().unwrap().unwrap().expose(), "s");
        assert!(lines.secret().unwrap().is_none());
        assert_eq!(lines.optional_number(), Some(None));
        assert_eq!(lines.optional_number(), Some(Some(0)));
        assert_eq!(lines.text(), None);
        assert_eq!(lines.finish(()), Some(()));
    }

    #[test]
    fn other_version_is_distinguished_from_other_values() {
        for (text, expected) in [
            ("2\na", Unreadable::OtherVersion),
            ("10", Unreadable::OtherVersion),
            ("", Unreadable::NotGenuine),
            ("1 \na", Unreadable::NotGenuine),
            ("1800000000000 7", Unreadable::NotGenuine),
            ("{}", Unreadable::NotGenuine),
        ] {
            assert_eq!(Reader::new(text, "1").err(), Some(expected), "{text}");
        }
    }
}
