//! Functions that search, split and convert strings.

use crate::base::secret;
use crate::prelude::*;

/// Splits `text` at the first `separator`, which must be ASCII. Returns the whole text and `None` if the text has no separator.
pub fn split_once(text: &str, separator: u8) -> (&str, Option<&str>) {
    match text.split_once(char::from(separator)) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Splits `text` at each `separator`, which must be ASCII.
pub fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    text.split(char::from(separator))
}

/// Returns true if `bytes` contains `byte`.
pub fn contains_byte(bytes: &[u8], byte: u8) -> bool {
    bytes.contains(&byte)
}

/// Returns true if `text` contains `part`, which must not be empty. The standard library's search for strings would add
/// more than a kilobyte to the vault's module.
#[must_use]
pub fn contains(text: &str, part: &str) -> bool {
    text.as_bytes()
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// Returns true if `word` is one of `words`, which are separated by single spaces.
pub fn contains_word(words: &str, word: &str) -> bool {
    split(words, b' ').any(|one| one == word)
}

/// Returns the index of `word` in `words`, which are separated by single spaces.
///
/// # Panics
/// If the word is not there. At compile time this is an error.
#[allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only constants call this function"
)]
#[must_use]
pub const fn index_of(words: &str, word: &str) -> usize {
    let (words, word) = (words.as_bytes(), word.as_bytes());
    let (mut start, mut index) = (0, 0);
    while start < words.len() {
        let mut len = 0;
        let mut is_same = true;
        while start + len < words.len() && words[start + len] != b' ' {
            is_same = is_same && len < word.len() && words[start + len] == word[len];
            len += 1;
        }
        if is_same && len == word.len() {
            return index;
        }
        start += len + 1;
        index += 1;
    }
    panic!("this word is not in the list")
}

/// Returns the bytes from `start` to before `end` of a text. Returns an empty text if there is no such part, or if a
/// character crosses one of its ends.
pub(crate) fn part(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

/// Splits a list at spaces, line breaks and commas. Empty items are left out.
#[must_use]
pub fn split_list(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for line in split(text, b'\n') {
        for part in split(line, b',') {
            let part = split(part, b' ').map(str::trim_ascii);
            words.extend(part.filter(|word| !word.is_empty()));
        }
    }
    words
}

/// Returns true if a text has no control characters, no separators of lines or paragraphs, and no invisible marks that
/// change the direction of text (UAX #9).
#[must_use]
pub fn is_line(text: &str) -> bool {
    let breaks = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !text.chars().any(breaks)
}

/// Converts UTF-8 bytes to a string. Wipes the bytes, or passes them on in the string, since most byte strings here hold
/// a secret.
pub fn from_utf8(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes)
        .map_err(|error| secret::wipe(&mut error.into_bytes()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_index() {
        assert_eq!(
            ["aa", "b", "a"].map(|word| index_of("aa b a", word)),
            [0, 1, 2]
        );
    }

    #[test]
    #[should_panic(expected = "not in the list")]
    fn part_of_a_word_has_no_index() {
        let _ = index_of("aa b", "a");
    }

    #[test]
    fn line_has_one_direction() {
        assert!(is_line("Ann’s iPad 😀, Zoë"));
        for text in [
            "a\nb",
            "a\tb",
            "\u{85}",
            "a\u{2028}b",
            "\u{202e}b",
            "\u{2067}",
            "\u{200f}",
        ] {
            assert!(!is_line(text), "{text:?}");
        }
    }

    #[test]
    fn split_once_uses_first_separator() {
        assert_eq!(split_once("a=b=c", b'='), ("a", Some("b=c")));
        assert_eq!(split_once("a=", b'='), ("a", Some("")));
        assert_eq!(split_once("é", b'='), ("é", None));
    }
}
