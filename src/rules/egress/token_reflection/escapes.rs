//! The escapes that stand for one character in JSON, scripts, URLs and HTML.
//!
//! JSON (RFC 8259 7) and scripts write `\/`, `\u002B` and `\x2B`, URLs write `%2B` (RFC 3986 2.1), and HTML writes `&#43;`,
//! `&#x2B;` and `&plus;` (HTML, named character references). An encoder may escape any character of a token, so all
//! characters of ASCII are decoded.

use super::alphabet::is_of;

/// The length of the longest escape, in bytes: `&#x00002B;`.
const LONGEST: usize = 10;

/// The names of ASCII characters in HTML. Each name precedes its character.
const NAMES: &[u8] = b"amp& lt< gt> quot\" apos' sol/ plus+ equals= period. lowbar_ excl! num# dollar$ percnt% lpar( \
    rpar) ast* comma, colon: semi; quest? commat@ lsqb[ lbrack[ bsol\\ rsqb] rbrack] Hat^ grave` lcub{ lbrace{ verbar| \
    vert| rcub} rbrace}";

/// The escape that a text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// The text begins with no escape.
    No,
    /// The text ends before the end of an escape.
    Begun,
    /// The text begins with an escape of this length, which stands for this character.
    Of(u8, usize),
}

/// Reads the escape that `text` begins with.
pub(super) fn read(text: &[u8]) -> Escape {
    match text {
        [b'\\'] => Escape::Begun,
        [b'\\', b'u', ..] => hexadecimal(text, 2, 6),
        [b'\\', b'x', ..] => hexadecimal(text, 2, 4),
        [b'\\', mark, ..] if mark.is_ascii_punctuation() => Escape::Of(*mark, 2),
        [b'%', ..] => hexadecimal(text, 1, 3),
        [b'&', ..] => reference(text),
        _ => Escape::No,
    }
}

/// Reads an escape with hexadecimal digits from `start` to `end`.
fn hexadecimal(text: &[u8], start: usize, end: usize) -> Escape {
    let Some(digits) = text.get(start..end.min(text.len())) else {
        return Escape::Begun;
    };
    match number(digits, 16) {
        _ if digits.is_empty() => Escape::Begun,
        Some(_) if text.len() < end => Escape::Begun,
        Some(number) => of(number, end),
        None => Escape::No,
    }
}

/// Reads a character reference of HTML.
fn reference(text: &[u8]) -> Escape {
    let mut end = 1;
    let name = loop {
        match text.get(end) {
            Some(b';') => break &text[1..end],
            Some(byte) if end < LONGEST - 1 && (is_of(byte, b"#")) => end += 1,
            None => return Escape::Begun,
            _ => return Escape::No,
        }
    };
    let number = match name {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => NAMES
            .split(|byte| *byte == b' ')
            .filter_map(<[u8]>::split_last)
            .find(|(_, known)| *known == name)
            .map(|(character, _)| u32::from(*character)),
    };
    number.map_or(Escape::No, |number| of(number, end + 1))
}

/// Returns the value of at most eight digits.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let mut number = 0_u32;
    for digit in digits {
        number = number * radix + char::from(*digit).to_digit(radix)?;
    }
    (!digits.is_empty()).then_some(number)
}

fn of(number: u32, length: usize) -> Escape {
    u8::try_from(number).map_or(Escape::No, |byte| Escape::Of(byte, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_kind_of_escape() {
        for (text, character) in [
            ("\\/", b'/'),
            ("\\\\", b'\\'),
            ("\\\"", b'"'),
            ("\\u002B", b'+'),
            ("\\u002b", b'+'),
            ("\\x2f", b'/'),
            ("%2F", b'/'),
            ("%7e", b'~'),
            ("&#43;", b'+'),
            ("&#0043;", b'+'),
            ("&#x2B;", b'+'),
            ("&#X02b;", b'+'),
            ("&#x00002B;", b'+'),
            ("&plus;", b'+'),
            ("&amp;", b'&'),
            ("&rbrace;", b'}'),
        ] {
            let found = Escape::Of(character, text.len());
            assert_eq!(read(text.as_bytes()), found, "{text}");
            assert_eq!(read([text, "12"].concat().as_bytes()), found, "{text}");
            for end in 1..text.len() {
                assert_eq!(read(&text.as_bytes()[..end]), Escape::Begun, "{text}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_escapes() {
        for text in [
            "",
            "a",
            "\\t",
            "\\u00g0",
            "\\u1234",
            "\\xg",
            "%g",
            "%2",
            "% ",
            "& ",
            "&;",
            "&#;",
            "&#x;",
            "&#-1;",
            "&#x100;",
            "&#300;",
            "&hellip;",
            "&a=",
            "&equals=",
            "&#x000002B;",
        ] {
            let is_begun = text == "%2";
            let expected = if is_begun { Escape::Begun } else { Escape::No };
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }
}
