//! Rules of plain English that a program can check.

use super::scan::{Kind, Piece};

/// Words that no doc comment should start with.
pub(crate) const OPENINGS: &[&str] = &[
    "What",
    "Whatever",
    "Whether",
    "Who",
    "Whoever",
    "Whose",
    "Which",
    "Whichever",
    "How",
    "Why",
    "Where",
    "That",
];

/// Phrases that are never right in a comment or message, in lower case.
pub(crate) const PHRASES: &[&str] = &[
    "whoever",
    "anew",
    "octet",
    "octets",
    "under way",
    "of which",
    "of whom",
    "is none",
    "for ever",
];

/// Returns true if the text of a doc comment starts with one of [`OPENINGS`].
pub(crate) fn opens_with_question(text: &str) -> bool {
    let first = text
        .split(|c: char| !c.is_alphanumeric())
        .find(|word| !word.is_empty());
    first.is_some_and(|word| OPENINGS.contains(&word))
}

/// Returns the forbidden phrases in a piece, except in code between backticks. A string literal with fewer than three
/// words is a name and not a message, so it is not checked.
pub(crate) fn phrases(piece: &Piece) -> Vec<&'static str> {
    let mut text = String::from(" ");
    for (i, part) in piece.text.split('`').enumerate() {
        let part = if i % 2 == 0 { part } else { "code" };
        text.push_str(part);
    }
    if piece.kind == Kind::Literal && text.split_whitespace().count() < 3 {
        return Vec::new();
    }
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '-' | '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    PHRASES
        .iter()
        .copied()
        .filter(|phrase| text.contains(&format!(" {phrase} ")))
        .collect()
}

/// Splits a comment into sentences of at least four words. Headings, code blocks and tables are left out.
pub(crate) fn sentences(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut is_code = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            is_code = !is_code;
        } else if line.is_empty() || line.starts_with(['|', '#', '@', '<']) {
            prose.push_str(" \u{0}");
        } else if !is_code {
            if line.starts_with("- ") || line.starts_with("* ") {
                prose.push_str(" \u{0}");
            }
            prose.push_str(line.trim_start_matches("- ").trim_start_matches("* "));
            prose.push(' ');
        }
    }
    let mut found = Vec::new();
    for paragraph in prose.split('\u{0}') {
        let mut rest = paragraph.trim();
        while !rest.is_empty() {
            let end = rest
                .char_indices()
                .find(|(at, c)| {
                    matches!(c, '.' | '?' | '!')
                        && rest[at + 1..].chars().next().is_none_or(|next| next == ' ')
                        && !rest[..*at].ends_with("e.g")
                        && !rest[..*at].ends_with("i.e")
                })
                .map_or(rest.len(), |(at, _)| at + 1);
            let sentence = rest[..end].trim();
            if sentence.split_whitespace().count() >= 4 {
                found.push(sentence.to_owned());
            }
            rest = rest[end..].trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(kind: Kind, text: &str) -> Piece {
        Piece {
            kind,
            line: 1,
            text: text.to_owned(),
        }
    }

    #[test]
    fn finds_phrases_across_lines_but_not_in_code() {
        assert_eq!(
            phrases(&piece(Kind::Doc, "The list of\nwhich one is used.")),
            ["of which"]
        );
        assert_eq!(phrases(&piece(Kind::Doc, "Calls `whoever` once.")), [""; 0]);
        assert_eq!(
            phrases(&piece(Kind::Comment, "renewed, and not a newborn")),
            [""; 0]
        );
    }

    #[test]
    fn short_literals_are_names() {
        assert_eq!(phrases(&piece(Kind::Literal, "octets")), [""; 0]);
        assert_eq!(
            phrases(&piece(Kind::Literal, "32 octets of key")),
            ["octets"]
        );
    }

    #[test]
    fn recognizes_openings() {
        assert!(opens_with_question("Whether it is so."));
        assert!(!opens_with_question("Returns true if it is so."));
    }

    #[test]
    fn splits_prose_into_sentences() {
        let text = "One is here now. See RFC 6749 section 4.1 for more.\n\n```\nlet a = 1; no code here\n```\n- An item of the list.";
        let expected = [
            "One is here now.",
            "See RFC 6749 section 4.1 for more.",
            "An item of the list.",
        ];
        assert_eq!(sentences(text), expected);
    }
}
