//! Finds comments and string literals in Rust and TypeScript.

/// A comment or a string literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    /// The line of the piece's first character, counted from 1.
    pub(crate) line: usize,
    /// Text without the comment marks; lines of a paragraph are joined by `\n`.
    pub(crate) text: String,
}

/// Kinds of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `///`, `//!` or `/** … */`.
    Doc,
    /// Any other comment.
    Comment,
    /// A string literal.
    Literal,
}

/// Languages that the scanner reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// Rust.
    Rust,
    /// TypeScript or JavaScript.
    Script,
}

/// Returns the comments and string literals of a source file, in the order of the file. Adjacent line comments of the
/// same kind form one piece.
pub(crate) fn pieces(language: Language, source: &str) -> Vec<Piece> {
    let mut scanner = Scanner {
        language,
        source,
        at: 0,
        line: 1,
        pieces: Vec::new(),
        last_line_comment: 0,
        can_start_regex: true,
    };
    scanner.run();
    scanner.pieces
}

struct Scanner<'a> {
    language: Language,
    source: &'a str,
    at: usize,
    line: usize,
    pieces: Vec<Piece>,
    /// The line of the last line comment, so that a comment on the next line is joined to it. 0 if code followed the
    /// comment.
    last_line_comment: usize,
    /// In a script: true if a `/` at this place starts a regular expression, and is not a division.
    can_start_regex: bool,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.source[self.at..self.at + bytes].matches('\n').count();
        self.at += bytes;
    }

    fn run(&mut self) {
        while let Some(next) = self.rest().chars().next() {
            if self.rest().starts_with("//") {
                self.line_comment();
            } else if self.rest().starts_with("/*") {
                self.block_comment();
            } else if next == '"' || self.language == Language::Script && matches!(next, '\'' | '`')
            {
                self.quoted(next);
            } else if self.language == Language::Rust && self.raw_string() {
            } else if self.language == Language::Rust && next == '\'' {
                self.character();
            } else if self.language == Language::Script && next == '/' && self.can_start_regex {
                self.regex();
            } else {
                if !next.is_whitespace() {
                    self.last_line_comment = 0;
                    let ends_value =
                        next.is_alphanumeric() || matches!(next, ')' | ']' | '}' | '_' | '$');
                    self.can_start_regex = !ends_value;
                }
                self.skip(next.len_utf8());
            }
        }
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let end = self.rest().find('\n').unwrap_or(self.rest().len());
        let whole = &self.rest()[..end];
        let is_doc = self.language == Language::Rust
            && (whole.starts_with("///") && !whole.starts_with("////") || whole.starts_with("//!"));
        let kind = if is_doc { Kind::Doc } else { Kind::Comment };
        let marks = if is_doc { 3 } else { 2 };
        let text = whole[marks..].trim_end();
        let text = text.strip_prefix(' ').unwrap_or(text).to_owned();
        match self.pieces.last_mut() {
            Some(last) if last.kind == kind && self.last_line_comment + 1 == line => {
                last.text.push('\n');
                last.text.push_str(&text);
            }
            _ => self.pieces.push(Piece { kind, line, text }),
        }
        self.skip(end);
        self.last_line_comment = line;
    }

    fn block_comment(&mut self) {
        let line = self.line;
        let end = self
            .rest()
            .find("*/")
            .map_or(self.rest().len(), |end| end + 2);
        let whole = &self.rest()[..end];
        let kind = if whole.starts_with("/**") {
            Kind::Doc
        } else {
            Kind::Comment
        };
        let inner = whole
            .trim_end_matches("*/")
            .trim_start_matches("/**")
            .trim_start_matches("/*");
        let lines: Vec<_> = inner
            .lines()
            .map(|line| {
                let line = line.trim();
                line.strip_prefix("* ")
                    .unwrap_or(line.trim_start_matches('*'))
                    .trim_end()
            })
            .collect();
        let text = lines.join("\n").trim().to_owned();
        self.pieces.push(Piece { kind, line, text });
        self.skip(end);
        self.last_line_comment = 0;
    }

    fn quoted(&mut self, quote: char) {
        let line = self.line;
        let mut end = quote.len_utf8();
        let mut characters = self.rest()[end..].chars();
        while let Some(next) = characters.next() {
            end += next.len_utf8();
            if next == '\\' {
                end += characters.next().map_or(0, char::len_utf8);
            } else if next == quote || next == '\n' && quote == '\'' {
                break;
            }
        }
        let text = self.rest()[1..end].trim_end_matches(quote).to_owned();
        self.pieces.push(Piece {
            kind: Kind::Literal,
            line,
            text,
        });
        self.skip(end);
        self.last_line_comment = 0;
        self.can_start_regex = false;
    }

    /// Reads a raw string, `r"…"` or `r#"…"#`. Returns false if there is no raw string at this place.
    fn raw_string(&mut self) -> bool {
        let before = self.source[..self.at].chars().next_back();
        if before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b') {
            return false;
        }
        let Some(rest) = self.rest().strip_prefix('r') else {
            return false;
        };
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if !rest[hashes..].starts_with('"') {
            return false;
        }
        let (line, start) = (self.line, 2 + hashes);
        let mark = format!("\"{}", "#".repeat(hashes));
        let len = self.rest()[start..].find(&mark).unwrap_or(0);
        let text = self.rest()[start..start + len].to_owned();
        self.pieces.push(Piece {
            kind: Kind::Literal,
            line,
            text,
        });
        self.skip(start + len + mark.len());
        self.last_line_comment = 0;
        true
    }

    /// Skips a character literal, or the quote of a lifetime.
    fn character(&mut self) {
        let rest = &self.rest()[1..];
        let len = if let Some(escaped) = rest.strip_prefix('\\') {
            let after = escaped.char_indices().skip(1).find(|(_, c)| *c == '\'');
            after.map_or(0, |(at, _)| at + 2)
        } else {
            let mut characters = rest.chars();
            let width = characters.next().map_or(0, char::len_utf8);
            if characters.next() == Some('\'') {
                width + 1
            } else {
                0
            }
        };
        self.skip(1 + len);
        self.last_line_comment = 0;
    }

    fn regex(&mut self) {
        let (mut end, mut is_in_class) = (1, false);
        let mut characters = self.rest()[1..].chars();
        while let Some(next) = characters.next() {
            end += next.len_utf8();
            match next {
                '\\' => end += characters.next().map_or(0, char::len_utf8),
                '[' => is_in_class = true,
                ']' => is_in_class = false,
                '/' if !is_in_class => break,
                '\n' => break,
                _ => {}
            }
        }
        self.skip(end);
        self.last_line_comment = 0;
        self.can_start_regex = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(language: Language, source: &str) -> Vec<(Kind, usize, String)> {
        let all = pieces(language, source);
        all.into_iter()
            .map(|piece| (piece.kind, piece.line, piece.text))
            .collect()
    }

    #[test]
    fn adjacent_rust_line_comments_are_one_piece() {
        let source = "/// One.\n/// Two.\nfn a() {} // three\n// four\n";
        let expected = [
            (Kind::Doc, 1, "One.\nTwo."),
            (Kind::Comment, 3, "three\nfour"),
        ];
        let expected: Vec<_> = expected
            .map(|(kind, line, text)| (kind, line, text.to_owned()))
            .into();
        assert_eq!(found(Language::Rust, source), expected);
    }

    #[test]
    fn quotes_in_rust_characters_start_no_string() {
        let source =
            "let a = ['\"', '\\'', 'x']; let b: &'a str = r#\"raw \"x\" // text\"#; // end";
        let expected = [
            (Kind::Literal, 1, "raw \"x\" // text"),
            (Kind::Comment, 1, "end"),
        ];
        let expected: Vec<_> = expected
            .map(|(kind, line, text)| (kind, line, text.to_owned()))
            .into();
        assert_eq!(found(Language::Rust, source), expected);
    }

    #[test]
    fn scripts_have_block_comments_templates_and_regexes() {
        let source = "/**\n * One.\n * Two.\n */\nconst a = /[/'\"]/.test(`b // c`) // end\n";
        let expected = [
            (Kind::Doc, 1, "One.\nTwo."),
            (Kind::Literal, 5, "b // c"),
            (Kind::Comment, 5, "end"),
        ];
        let expected: Vec<_> = expected
            .map(|(kind, line, text)| (kind, line, text.to_owned()))
            .into();
        assert_eq!(found(Language::Script, source), expected);
    }
}
