//! The text of a value before it is sealed or stored: the version of its format, and then one line for each member, which
//! is fast to parse for every request.

use rules::prelude::*;

use rules::Secret;
use rules::base::strings;
use rules::codec::json;

/// The reason why a sealed or stored value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The value is sealed with a key that is not in the keyring: a removed key, or a key that this isolate does not have
    /// yet.
    UnknownKey,
    /// Another version of the handler has written the value. A value that a configured key opens was written by a handler, so
    /// its version differs.
    OtherVersion,
    /// No handler has written the value for this purpose.
    NotGenuine,
}

/// The writer of a value's lines. Only the last member may contain a line break.
pub(crate) struct LineWriter(String);

impl LineWriter {
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
    pub(crate) fn optional_secret(&mut self, secret: Option<&Secret>) -> &mut Self {
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

/// The reader of the lines that a [`LineWriter`] has written.
pub(crate) struct LineReader<'a> {
    /// The lines that were not read, or `None` after the last one.
    rest: Option<&'a str>,
}

impl<'a> LineReader<'a> {
    /// Reads the version of the format. Returns `None` for another version.
    pub(crate) fn new(text: &'a str, version: &str) -> Option<Self> {
        let (first, rest) = strings::split_once(text, b'\n');
        (first == version).then_some(Self { rest })
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

    /// Reads the output of [`LineWriter::optional_secret`].
    pub(crate) fn optional_secret(&mut self) -> Option<Option<Secret>> {
        let text = self.text()?;
        Some((!text.is_empty()).then(|| Secret::from(text)))
    }

    /// Reads the output of [`LineWriter::optional_number`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_were_written() {
        let secret = Secret::from("s");
        let text = LineWriter::new("1")
            .text("a b")
            .number(7)
            .optional_secret(Some(&secret))
            .optional_secret(None)
            .optional_number(None)
            .optional_number(Some(0))
            .finish();
        let mut lines = LineReader::new(&text, "1").unwrap();
        assert_eq!((lines.text(), lines.number()), (Some("a b"), Some(7)));
        assert_eq!(lines.optional_secret().unwrap().unwrap().expose(), "s");
        assert!(lines.optional_secret().unwrap().is_none());
        assert_eq!(lines.optional_number(), Some(None));
        assert_eq!(lines.optional_number(), Some(Some(0)));
        assert_eq!(lines.text(), None);
        assert_eq!(lines.finish(()), Some(()));
    }

    #[test]
    fn other_version_is_not_read() {
        for text in ["2\na", "11\na", "", "1 \na", "{}"] {
            assert!(LineReader::new(text, "1").is_none(), "{text}");
        }
    }
}
