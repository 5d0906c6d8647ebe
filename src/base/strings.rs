//! Text without the standard library's searches and validation: they know all of Unicode, and are made for speed,
//! which is more than a kilobyte in the module for browsers.

use crate::base::secret;
use crate::prelude::*;

/// What stands before the first `mark`, and after it, if there is one.
pub(crate) fn cut(text: &str, mark: u8) -> (&str, Option<&str>) {
    // On a server with each request, in what is a kilobyte long.
    if cfg!(feature = "edge") {
        return match text.split_once(char::from(mark)) {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
    }
    match text.bytes().position(|byte| byte == mark) {
        Some(at) => (text.get(..at).unwrap_or(text), text.get(at + 1..)),
        None => (text, None),
    }
}

/// The pieces between the `mark`s.
pub(crate) fn pieces(text: &str, mark: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let (piece, tail) = cut(rest?, mark);
        rest = tail;
        Some(piece)
    })
}

/// Returns true if `byte` is one of `bytes`.
#[allow(
    clippy::manual_contains,
    reason = "the standard library's search is made for long slices, and larger"
)]
pub(crate) fn is_one_of(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().any(|one| *one == byte)
}

/// Returns true if `part` is somewhere in `text`.
#[cfg(feature = "extended")]
pub(crate) fn contains(text: &str, part: &str) -> bool {
    text.as_bytes()
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// Whether `word` is among words separated by spaces.
pub(crate) fn has_word(words: &str, word: &str) -> bool {
    pieces(words, b' ').any(|one| one == word)
}

/// Returns the length of what [`joined`] makes of these words.
pub(crate) const fn joined_len(words: &[&str]) -> usize {
    let (mut len, mut i) = (0, 0);
    while i < words.len() {
        len += words[i].len() + 1;
        i += 1;
    }
    len
}

/// Joins words at compile time, with a space after each.
pub(crate) const fn joined<const N: usize>(words: &[&str]) -> [u8; N] {
    let mut bytes = [b' '; N];
    let (mut at, mut i) = (0, 0);
    while i < words.len() {
        let (_, rest) = bytes.split_at_mut(at);
        let (word, _) = rest.split_at_mut(words[i].len());
        word.copy_from_slice(words[i].as_bytes());
        at += words[i].len() + 1;
        i += 1;
    }
    bytes
}

/// The words in a text, whatever stands between them of spaces, line breaks and commas.
#[cfg(feature = "edge")]
pub(crate) fn words_of(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for line in pieces(text, b'\n') {
        for part in pieces(line, b',') {
            let part = pieces(part, b' ').map(str::trim_ascii);
            words.extend(part.filter(|word| !word.is_empty()));
        }
    }
    words
}

/// The text that these octets are in UTF-8 (RFC 3629), if they are one. They are wiped: most hold a secret.
///
/// Scalar by scalar. The standard library's validation is made for speed, which a few kilobytes do not need, and
/// brings 0.3 KB.
pub(crate) fn from_octets(mut octets: Vec<u8>) -> Option<String> {
    // On a server every request brings one, and a third of a kilobyte is nothing.
    if cfg!(all(feature = "edge", target_arch = "wasm32")) {
        return String::from_utf8(octets).ok();
    }
    // Never moved while it grows: what it left behind would not be wiped.
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets.as_slice();
    while let Some((scalar, tail)) = scalar(rest) {
        text.push(scalar);
        rest = tail;
    }
    let is_text = rest.is_empty();
    secret::wipe(&mut octets);
    is_text.then_some(text)
}

/// The first scalar value, and what follows it.
fn scalar(octets: &[u8]) -> Option<(char, &[u8])> {
    let (lead, mut rest) = octets.split_first()?;
    // A lead has as many ones in front as there are octets; one that stands for itself has none.
    let ones = lead.leading_ones();
    let mut scalar = u32::from(lead & (0x7f_u8.checked_shr(ones)?));
    for _ in 1..ones {
        let (next, tail) = rest.split_first()?;
        if next >> 6 != 0b10 {
            return None;
        }
        scalar = scalar << 6 | u32::from(next & 0x3f);
        rest = tail;
    }
    let scalar = char::from_u32(scalar)?;
    // There is one way to write each, and none in which a lead stands alone.
    (ones != 1 && scalar.len_utf8() == octets.len() - rest.len()).then_some((scalar, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_those_of_split() {
        for text in ["", "a", " ", "a b", " a  b ", "é b é"] {
            let split: Vec<_> = text.split(' ').collect();
            assert_eq!(pieces(text, b' ').collect::<Vec<_>>(), split, "{text:?}");
        }
    }

    #[test]
    fn octets_are_a_text_exactly_when_the_standard_library_says_so() {
        let told = |octets: &[u8]| from_octets(octets.to_vec());
        let known = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        // Each lead with each octet after it, and what completes three and four.
        for lead in 0..=255 {
            for second in 0..=255 {
                for tail in [&[][..], b"a", &[0x80], &[0xbf, 0x80], &[0x80, 0xbf, 0x80]] {
                    let octets = [&[lead, second], tail].concat();
                    assert_eq!(told(&octets), known(&octets), "{octets:x?}");
                }
            }
        }
        for octets in [
            &b""[..],
            &[0xc3],
            &[0xe2, 0x82],
            &[0xff; 9],
            "a\u{10ffff}é€".as_bytes(),
        ] {
            assert_eq!(told(octets), known(octets), "{octets:x?}");
        }
    }

    #[test]
    fn a_text_is_cut_at_the_first_mark_only() {
        assert_eq!(cut("a=b=c", b'='), ("a", Some("b=c")));
        assert_eq!(cut("a=", b'='), ("a", Some("")));
        assert_eq!(cut("é", b'='), ("é", None));
    }
}
