//! Looking through text for an ASCII character. The standard library's searches know all of Unicode,
//! which is most of a kilobyte in the module for browsers.

/// What stands before the first `mark`, and after it, if there is one.
pub(crate) fn cut(text: &str, mark: u8) -> (&str, Option<&str>) {
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

/// Whether `word` is among words separated by spaces.
pub(crate) fn has_word(words: &str, word: &str) -> bool {
    pieces(words, b' ').any(|one| one == word)
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
    fn a_text_is_cut_at_the_first_mark_only() {
        assert_eq!(cut("a=b=c", b'='), ("a", Some("b=c")));
        assert_eq!(cut("a=", b'='), ("a", Some("")));
        assert_eq!(cut("é", b'='), ("é", None));
    }
}
