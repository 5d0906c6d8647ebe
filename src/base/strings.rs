//! Functions that search, split and convert strings. The searches replace those of the standard library, which
//! support all of Unicode and are optimized for speed. The standard library's searches would add more than a kilobyte
//! to the vault's module.

use crate::base::{IS_TOKEN_HANDLER, secret};
use crate::prelude::*;

/// Splits `text` at the first `separator`. Returns the whole text and `None` if the text has no separator.
pub(crate) fn split_once(text: &str, separator: u8) -> (&str, Option<&str>) {
    // The token handler calls this function on each request with strings of about a kilobyte, so it uses the faster
    // search of the standard library.
    if IS_TOKEN_HANDLER {
        return match text.split_once(char::from(separator)) {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
    }
    match text.bytes().position(|byte| byte == separator) {
        Some(at) => (part(text, 0, at), Some(part(text, at + 1, text.len()))),
        None => (text, None),
    }
}

/// Splits `text` at each `separator`.
pub(crate) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let (part, tail) = split_once(rest?, separator);
        rest = tail;
        Some(part)
    })
}

/// Returns true if `bytes` contains `byte`.
#[allow(
    clippy::manual_contains,
    reason = "the standard library's search is optimized for long slices, and its code is larger"
)]
pub(crate) fn contains_byte(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().any(|one| *one == byte)
}

/// Returns true if `text` contains `part`, which must not be empty.
#[must_use]
pub fn contains(text: &str, part: &str) -> bool {
    text.as_bytes()
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// Returns true if `word` is one of `words`, which are separated by single spaces.
pub(crate) fn contains_word(words: &str, word: &str) -> bool {
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

/// Converts UTF-8 bytes to a string. Wipes the bytes, or passes them on in the string, since most byte strings here hold
/// a secret.
pub(crate) fn from_utf8(bytes: Vec<u8>) -> Option<String> {
    if IS_TOKEN_HANDLER {
        return String::from_utf8(bytes)
            .map_err(|error| secret::wipe(&mut error.into_bytes()))
            .ok();
    }
    from_utf8_chars(bytes)
}

/// Does the same as [`from_utf8`], character by character: slower than the standard library's validation, and smaller.
fn from_utf8_chars(mut bytes: Vec<u8>) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let Some((c, tail)) = first_char(rest) {
        text.push(c);
        rest = tail;
    }
    let is_valid = rest.is_empty();
    secret::wipe(&mut bytes);
    if !is_valid {
        secret::wipe(&mut text.into_bytes());
        return None;
    }
    Some(text)
}

/// Splits UTF-8 bytes after the first character (RFC 3629 section 3).
fn first_char(bytes: &[u8]) -> Option<(char, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (first, more) = match first {
        ..0x80 => (first, 0),
        0xc0..0xe0 => (first & 0x1f, 1),
        0xe0..0xf0 => (first & 0x0f, 2),
        0xf0..0xf8 => (first & 0x07, 3),
        _ => return None,
    };
    let (following, rest) = rest.split_at_checked(more)?;
    let mut point = u32::from(first);
    for byte in following {
        if byte >> 6 != 0b10 {
            return None;
        }
        point = point << 6 | u32::from(byte & 0x3f);
    }
    // Surrogates are no characters, and each character has only one valid length.
    let c = char::from_u32(point).filter(|c| c.len_utf8() == 1 + more)?;
    Some((c, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_utf8_validations_agree() {
        let agree = |bytes: &[u8]| {
            let expected = core::str::from_utf8(bytes).ok().map(str::to_owned);
            assert_eq!(from_utf8(bytes.to_vec()), expected, "{bytes:?}");
            assert_eq!(from_utf8_chars(bytes.to_vec()), expected, "{bytes:?}");
        };
        // All pairs of bytes, alone and before the ends of longer characters.
        for pair in 0..=u16::MAX {
            let [first, second] = pair.to_be_bytes();
            for end in [&[][..], &[0x80], &[0xbf, 0xbf], &[0x80, 0xc0], b"a"] {
                agree(&[&[first, second], end].concat());
            }
        }
        agree("a\u{e9}\u{20ac}\u{1f600}z".as_bytes());
    }

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
    fn split_agrees_with_std() {
        for text in ["", "a", " ", "a b", " a  b ", "é b é"] {
            let expected: Vec<_> = text.split(' ').collect();
            assert_eq!(split(text, b' ').collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn split_once_uses_first_separator() {
        assert_eq!(split_once("a=b=c", b'='), ("a", Some("b=c")));
        assert_eq!(split_once("a=", b'='), ("a", Some("")));
        assert_eq!(split_once("é", b'='), ("é", None));
    }
}
