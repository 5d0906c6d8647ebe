//! The search for access tokens in responses, which keeps a reflected token from the page.
//!
//! An API that echoes its request, such as a debugging page, would give the token to script. This module therefore
//! searches the headers and the body of a response for all access tokens of the session that may still be valid. Each
//! token is found as it is, and in base64 or base64url (RFC 4648 4 and 5) at each of the three possible offsets in a
//! group of three bytes. A token is therefore also found in an encoded `Authorization` header.
//!
//! Base64 is often written in lines of 60, 64 or 76 characters (RFC 2045 6.8, RFC 7468 2). A line break, unescaped or
//! escaped in JSON, is therefore skipped if at least [`SHORTEST_LINE`] characters of a token or of base64 precede it.
//! Other line breaks end a token, so that a stream of short lines is not held back.
//!
//! JSON and URLs escape some characters of tokens. If a token contains such characters, the search looks for the
//! token's longest part without them. A JWT contains no such characters, so the search looks for the whole JWT. Two
//! characters of base64 differ from those of base64url, so the search looks for the longest part of the encoded token
//! without these characters.
//!
//! Only access tokens are searched for, which have no spaces. A token with spaces, which forms write as `+` or `%20`, is
//! found by its longest part, if that part has at least [`SHORTEST`] characters.
//!
//! The last received bytes of a body are held back while they may be the beginning of a token. This decision depends on
//! the set of characters in tokens, and not on the token itself: the page sees where a body is cut, and could otherwise
//! learn how the token begins.
//!
//! The search does not find a shorter part of a token than the one that it looks for. It also does not find a token
//! that is encrypted, compressed, hashed, encoded twice, or written in hex, in UTF-16, with an escape for each
//! character, as an array of numbers, or in lines shorter than [`SHORTEST_LINE`]. The search catches mistakes, but it
//! does not stop an API that gives tokens away on purpose.
//!
//! The duration of the search depends on the length of the token, but not on its characters, because a page may choose
//! the content of a body and measure the time. A window is as long as the shortest string that is searched for. The
//! search looks at one byte per window: if no token can contain that byte, no match includes it. In a run of token
//! characters that is as long as a window, the search compares a rolling hash (Karp and Rabin), which reveals nothing
//! about partial matches. Strings longer than a window are found by their last bytes: base64 by its last three
//! quarters.

use crate::base::strings;
use crate::codec::base64url;
use crate::oauth::token_endpoint::MAX_TOKEN;
use crate::prelude::*;

/// The shortest token that is searched for, in characters. A shorter token may be a common word. Such a token is not a
/// secret, since RFC 6749 10.10 requires tokens that cannot be guessed.
pub const SHORTEST: usize = 16;

/// A line break is skipped if at least this many characters of a token, or of base64, precede it in its line.
pub const SHORTEST_LINE: usize = 32;

/// The parts of a response that are searched for tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The headers and the body.
    #[default]
    All,
    /// The headers.
    Headers,
    /// Nothing.
    Nothing,
}

/// Searches one response for tokens. In this module, a *form* is a string to search for: a token or one of its
/// encodings, or the longest part of it without characters that can be written in several ways.
pub struct Guard {
    /// The length of the shortest form.
    window: usize,
    /// The hash of the last `window` bytes of each form. Each token has four forms.
    hashes: Vec<u64>,
    /// The factor, in the rolling hash, of the byte that leaves the window.
    power: u64,
    /// The characters that forms may contain.
    class: &'static Class,
    /// The characters that forms and line breaks may contain.
    wrapped: &'static Class,
    /// The buffer for received bytes that were not passed on yet.
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that were not passed on yet. The rest of the buffer is reused for
    /// the next piece.
    count: usize,
}

/// The result of reading bytes that forms may consist of.
struct Scan {
    is_found: bool,
    /// The start of the last characters that may be the beginning of a form.
    start: usize,
    /// The position of the first byte that was not read: it follows a form, cannot be part of a form, or is the end of
    /// the text.
    end: usize,
}

/// A set of byte values, with one bit for each of the 256 values.
type Class = [u64; 4];

/// The characters of JWTs: letters, digits and `-._`. Neither JSON nor URLs escape these characters.
static PLAIN: Class = class(b"-._");

/// The letters and digits, which are the same in base64 and base64url.
static LETTERS: Class = class(b"");

/// All characters of tokens (RFC 6749 A.12) except spaces.
static GRAPHIC: Class = [!0 << 33, !0 >> 1, 0, 0];

/// [`PLAIN`] and the characters of line breaks, unescaped or escaped in JSON.
static PLAIN_LINES: Class = class(b"-._\r\n\\");

/// [`GRAPHIC`] and the characters of line breaks.
static GRAPHIC_LINES: Class = [!0 << 33 | 1 << b'\r' | 1 << b'\n', !0 >> 1, 0, 0];

/// The length of the longest token in base64.
const LONGEST: usize = MAX_TOKEN.div_ceil(3) * 4;

/// The largest number of bytes that are held back. This is the length of the longest token in base64, in the shortest
/// lines, with the longest line breaks.
const MOST_HELD: usize = LONGEST + (LONGEST / SHORTEST_LINE + 1) * 4 + SHORTEST_LINE;

impl Guard {
    /// Creates a guard that searches for `token`. Returns `None` if the token is shorter than [`SHORTEST`].
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        Self::search_for(&[token])
    }

    /// Creates a guard that searches for these tokens, except those that are shorter than [`SHORTEST`]. Returns `None`
    /// if all tokens are shorter.
    #[must_use]
    pub fn search_for(tokens: &[&str]) -> Option<Self> {
        let (mut forms, mut is_plain) = (Vec::new(), true);
        for token in tokens {
            if token.len() >= SHORTEST {
                let plainly = forms.len();
                push_forms(token, &mut forms);
                let is_plain_byte = |byte: &u8| may_have(&PLAIN, *byte);
                is_plain &= forms[plainly].iter().all(is_plain_byte);
            }
        }
        let mut window = usize::MAX;
        for form in &forms {
            window = window.min(form.len());
        }
        let mut hashes = Vec::new();
        for form in &forms {
            hashes.push(hash(&form[form.len() - window..]));
        }
        if hashes.is_empty() {
            return None;
        }
        let (class, wrapped) = if is_plain {
            (&PLAIN, &PLAIN_LINES)
        } else {
            (&GRAPHIC, &GRAPHIC_LINES)
        };
        Some(Self {
            window,
            hashes,
            power: (0..window).fold(1, |power, _| BASE.wrapping_mul(power)),
            class,
            wrapped,
            bytes: Vec::new(),
            count: 0,
        })
    }

    /// Creates a guard that searches for `token` and for each line of `others`.
    #[must_use]
    #[inline(never)]
    pub fn of_session(token: &str, others: &str) -> Option<Self> {
        let mut tokens = vec![token];
        tokens.extend(strings::split(others, b'\n'));
        Self::search_for(&tokens)
    }

    /// Returns true if `text` contains a token. Inlined, it would be more code.
    #[must_use]
    #[inline(never)]
    pub fn is_in(&self, mut text: &[u8]) -> bool {
        while let Some(window) = text.get(..self.window) {
            let is_other = |byte: &u8| !is_of(self.wrapped, *byte);
            let passed = if let Some(i) = window.iter().rposition(is_other) {
                i
            } else {
                let scan = self.scan(text);
                if scan.is_found {
                    return true;
                }
                scan.end
            };
            text = text.get(passed + 1..).unwrap_or_default();
        }
        false
    }

    /// Reads `text` from its beginning to the end of a form, or to the first byte that belongs neither to a form nor to
    /// a line break.
    fn scan(&self, text: &[u8]) -> Scan {
        let (mut hash, mut count, mut line) = (0, 0, 0);
        let (mut start, mut oldest, mut end) = (0, 0, 0);
        while let Some(&byte) = text.get(end) {
            if !is_of(self.class, byte) {
                let length = line_break(&text[end..]);
                if length == 0 {
                    break;
                }
                end += length;
                if line < SHORTEST_LINE {
                    (hash, count, start, oldest) = (0, 0, end, end);
                }
                line = 0;
                continue;
            }
            hash = push(hash, byte);
            count += 1;
            line += 1;
            end += 1;
            if count > self.window {
                if matches!(text[oldest], b'\r' | b'\n' | b'\\') && !is_of(self.class, text[oldest])
                {
                    oldest += line_break(&text[oldest..]);
                }
                hash = hash.wrapping_sub(self.power.wrapping_mul(u64::from(text[oldest])));
                oldest += 1;
            }
            if count >= self.window {
                let mut is_found = false;
                for known in &self.hashes {
                    is_found |= hash == *known;
                }
                if is_found {
                    return Scan {
                        is_found,
                        start,
                        end,
                    };
                }
            }
        }
        Scan {
            is_found: false,
            start,
            end,
        }
    }

    /// Returns the buffer for the next piece of the body, which has `length` bytes.
    pub fn take(&mut self, length: usize) -> &mut [u8] {
        let held = self.count;
        self.count += length;
        if self.bytes.len() < self.count {
            self.bytes.resize(self.count, 0);
        }
        self.bytes.get_mut(held..self.count).unwrap_or_default()
    }

    /// Returns how many of [`Self::bytes`] may be passed on, counted from the first. The bytes after these may be the
    /// beginning of a token. Returns `None` if the bytes contain a token.
    #[must_use]
    pub fn free(&self) -> Option<usize> {
        let free = self.count - self.held();
        (!self.is_in(self.bytes())).then_some(free)
    }

    /// Returns the received bytes that have not been passed on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }

    /// Removes the first `count` bytes, which have been passed on.
    pub fn forget(&mut self, count: usize) {
        self.bytes.copy_within(count..self.count, 0);
        self.count -= count;
    }

    /// Returns the number of received bytes at the end that may be the beginning of a form. The number depends on the
    /// characters of forms, but not on the tokens.
    fn held(&self) -> usize {
        let bytes = self.bytes();
        let end = bytes.iter().rev().take(MOST_HELD);
        let held = end.take_while(|byte| may_have(self.wrapped, **byte));
        let mut tail = bytes.get(bytes.len() - held.count()..);
        while let Some(text) = tail {
            let scan = self.scan(text);
            if scan.end == text.len() {
                return text.len() - scan.start;
            }
            tail = text.get(scan.end + 1..);
        }
        0
    }
}

/// Returns the length of the line break that `text` begins with, unescaped or escaped in JSON, or 0. A backslash at the
/// end of `text` counts as a line break, since it may become one.
fn line_break(text: &[u8]) -> usize {
    match text {
        [b'\\', b'r', b'\\', b'n', ..] => 4,
        [b'\\', b'r', b'\\'] => 3,
        [b'\r', b'\n', ..] | [b'\\', b'r' | b'n', ..] => 2,
        [b'\r' | b'\n', ..] | [b'\\'] => 1,
        _ => 0,
    }
}

/// Returns the set of letters, digits and `more`.
const fn class(more: &[u8]) -> Class {
    let mut class = [0; 4];
    let mut byte = 0;
    while byte < 128 {
        let mut is_in = (byte as u8).is_ascii_alphanumeric();
        let mut i = 0;
        while i < more.len() {
            is_in |= more[i] == byte as u8;
            i += 1;
        }
        class[byte >> 6] |= (is_in as u64) << (byte & 63);
        byte += 1;
    }
    class
}

#[inline(always)]
fn is_of(class: &Class, byte: u8) -> bool {
    #[cfg(test)]
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + 1);
    class[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

/// Returns the same as [`is_of`], but is not inlined, for code that is not speed-critical.
#[inline(never)]
fn may_have(class: &Class, byte: u8) -> bool {
    is_of(class, byte)
}

/// An odd number with evenly spread bits.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Appends a byte to a hash. The weight of each earlier byte is multiplied by [`BASE`].
fn push(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(byte.into())
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |hash, byte| push(hash, *byte))
}

/// Adds the forms of a token. The first form is the token itself, and the others are its encodings. Some characters are
/// written differently in different encodings. Only the longest part of each form without such characters is added.
fn push_forms(token: &str, forms: &mut Vec<Vec<u8>>) {
    forms.push(longest_part(token.as_bytes(), &PLAIN));
    let mut bytes = vec![0; 2];
    bytes.extend_from_slice(token.as_bytes());
    for before in 0..3 {
        let bytes = bytes.get(2 - before..).unwrap_or_default();
        let text = base64url::encode(bytes);
        // Keep only the characters whose bits all belong to the token.
        let text = text
            .as_bytes()
            .get((before * 4).div_ceil(3)..bytes.len() * 4 / 3);
        forms.push(longest_part(text.unwrap_or_default(), &LETTERS));
    }
}

/// Returns the longest part of `text` that consists of characters in `class`, or all of `text` if that part is shorter
/// than [`SHORTEST`].
fn longest_part(text: &[u8], class: &Class) -> Vec<u8> {
    let mut longest: &[u8] = &[];
    for part in text.split(|byte| !may_have(class, *byte)) {
        if part.len() > longest.len() {
            longest = part;
        }
    }
    if longest.len() < SHORTEST {
        longest = text;
    }
    longest.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Base64UrlUnpadded, Encoding};

    thread_local! {
        /// The number of times that a byte of a searched text or a token was accessed.
        pub(super) static LOOKED_AT: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }

    const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTcwMH0.4Ki2-_YQ0aXhQz";
    /// A token with all characters that some encoding escapes (RFC 6749 A.12).
    const OPAQUE: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Lj/p+E_?N>e==";

    /// Passes a body through a guard in pieces. Returns the passed bytes, and true if a token was found.
    fn through<'a>(token: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
        let mut guard = Guard::new(token).unwrap();
        let mut given = Vec::new();
        for piece in pieces {
            guard.take(piece.len()).copy_from_slice(piece);
            let Some(free) = guard.free() else {
                return (given, true);
            };
            given.extend_from_slice(&guard.bytes()[..free]);
            guard.forget(free);
        }
        given.extend_from_slice(guard.bytes());
        (given, false)
    }

    fn written(token: &str) -> Vec<(&'static str, String)> {
        let header = format!("Bearer {token}");
        let pair = format!("alice:{token}!");
        let odd = format!("x{token}");
        let json = token.replace('/', "\\/");
        let net = token
            .replace('+', "\\u002B")
            .replace('?', "\\u003F")
            .replace('>', "\\u003E");
        let mut forms = vec![
            ("as it is", token.to_owned()),
            ("base64", Base64::encode_string(token.as_bytes())),
            (
                "base64 of the header",
                Base64::encode_string(header.as_bytes()),
            ),
            (
                "base64 after one byte",
                Base64::encode_string(odd.as_bytes()),
            ),
            (
                "base64 after six bytes",
                Base64::encode_string(pair.as_bytes()),
            ),
            (
                "base64url",
                Base64UrlUnpadded::encode_string(token.as_bytes()),
            ),
            (
                "base64url of the header",
                Base64UrlUnpadded::encode_string(header.as_bytes()),
            ),
            (
                "base64url after one byte",
                Base64UrlUnpadded::encode_string(odd.as_bytes()),
            ),
            ("JSON with escaped slashes", json),
            ("JSON with numbers", net.clone()),
            (
                "JSON with numbers in lower case",
                net.replace("002B", "002b")
                    .replace("003F", "003f")
                    .replace("003E", "003e"),
            ),
        ];
        let percent = |kept: &'static str| {
            token.chars().map(move |c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' => c.to_string(),
                c if kept.contains(c) => c.to_string(),
                c => format!("%{:02X}", c as u32),
            })
        };
        forms.push(("percent-encoded", percent("-._~").collect()));
        forms.push(("of a form", percent("-._").collect()));
        let lower = percent("-._~").map(|c| {
            if c.len() == 3 {
                c.to_ascii_lowercase()
            } else {
                c
            }
        });
        forms.push(("percent-encoded in lower case", lower.collect()));
        forms
    }

    /// The largest number of bytes of a form that may pass before the part that the search recognizes.
    const BEFORE: usize = 13;

    #[test]
    fn finds_token_across_any_cut() {
        for token in [JWT, OPAQUE] {
            for (how, form) in written(token) {
                let body = format!("{{\"seen\":\"{form}\"}}");
                let most = body.find(&form).unwrap() + BEFORE;
                for cut in 0..=body.len() {
                    let (head, tail) = body.as_bytes().split_at(cut);
                    let (given, is_broken) = through(token, [head, tail]);
                    assert!(is_broken, "{how}, cut at {cut}");
                    assert!(given.len() <= most, "{how}, cut at {cut}: {given:?}");
                }
            }
        }
    }

    #[test]
    fn finds_token_byte_by_byte() {
        for token in [JWT, OPAQUE] {
            for (how, form) in written(token) {
                let body = ["say: ", &form].concat();
                let (given, is_broken) = through(token, body.as_bytes().chunks(1));
                assert!(is_broken, "{how}");
                assert!(given.len() <= 5 + BEFORE, "{how}: {given:?}");
            }
        }
    }

    #[test]
    fn lookalikes_pass_unchanged() {
        let almost = |token: &str| {
            let (most, last) = token.split_at(token.len() - 1);
            let other = if last == "z" { "y" } else { "z" };
            [most, other].concat()
        };
        for body in [
            String::new(),
            almost(JWT),
            JWT[..JWT.len() - 1].to_owned(),
            JWT[..30].repeat(40),
            ["eyJhbGciOiJFUzI1NiJ9.", JWT].concat().replace("Qz", "Q"),
            "e".repeat(500),
            "z".repeat(500),
            JWT.to_ascii_lowercase(),
        ] {
            for size in [1, 2, 3, 7, 64, 1000] {
                let (given, is_broken) = through(JWT, body.as_bytes().chunks(size));
                assert!(!is_broken, "{body} by {size}");
                assert_eq!(given, body.as_bytes(), "by {size}");
            }
        }
    }

    /// Returns a token that is so long that its base64 takes several lines.
    fn long_token() -> String {
        let claims =
            base64url::encode(r#"{"sub":"alice","scope":"openid orders"}"#.repeat(4).as_bytes());
        [&JWT[..21], &claims, ".", &JWT[54..]].concat()
    }

    /// Returns base64 of the `Authorization` header in lines of `length` characters.
    fn in_lines(token: &str, length: usize, line_break: &str) -> String {
        let encoded = Base64::encode_string(format!("Authorization: Bearer {token}").as_bytes());
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(length)
            .map(|line| core::str::from_utf8(line).unwrap())
            .collect();
        lines.join(line_break)
    }

    const LINE_BREAKS: [&str; 6] = ["\n", "\r\n", "\r", "\\n", "\\r\\n", "\\r"];

    #[test]
    fn finds_wrapped_base64_across_any_cut() {
        let token = long_token();
        for length in [60, 64, 76, SHORTEST_LINE] {
            for line_break in LINE_BREAKS {
                let form = in_lines(&token, length, line_break);
                let body = format!("{{\"sent\":\"{form}\"}}");
                for cut in 0..=body.len() {
                    let (head, tail) = body.as_bytes().split_at(cut);
                    let (given, is_broken) = through(&token, [head, tail]);
                    assert!(is_broken, "{length} {line_break:?}, cut at {cut}");
                    // Only the part of the form before the token passes.
                    let most = body.find(&form).unwrap() + 40;
                    assert!(given.len() <= most, "{length} {line_break:?}, cut at {cut}");
                }
                let (given, is_broken) = through(&token, body.as_bytes().chunks(1));
                assert!(is_broken && given.len() <= 50, "{length} {line_break:?}");
            }
        }
    }

    #[test]
    fn short_lines_pass_at_once() {
        let token = long_token();
        let form = in_lines(&token, SHORTEST_LINE - 1, "\n");
        let (given, is_broken) = through(&token, [form.as_bytes()]);
        assert!(!is_broken);
        assert_eq!(given, form.as_bytes());
    }

    #[test]
    fn holds_back_only_lines_base64_may_continue() {
        let long = "a".repeat(SHORTEST_LINE);
        for (text, held) in [
            ("data: hello\n", 0),
            ("word\n", 0),
            ("data: hello\n\n", 0),
            (&*[&long, "\n\n"].concat(), 0),
            (&*[&long, "\r\n\r\n"].concat(), 0),
            (&*[&long, "\"}\n"].concat(), 0),
            (&*[&long, "\n"].concat(), 33),
            (&*[&long, "\r"].concat(), 33),
            (&*[&long, "\r\n"].concat(), 34),
            (&*[&long, "\\"].concat(), 33),
            (&*[&long, "\\r\\"].concat(), 35),
            (&*[&long, "\\t"].concat(), 1),
            (&*[&long, "\nabc"].concat(), 36),
            (&*[&long, "\nabc\n"].concat(), 0),
            (&*[&long, "\nabc\nde"].concat(), 2),
        ] {
            let mut guard = Guard::new(JWT).unwrap();
            guard.take(text.len()).copy_from_slice(text.as_bytes());
            assert_eq!(guard.free(), Some(text.len() - held), "{text:?}");
        }
    }

    #[test]
    fn each_of_several_tokens_is_found() {
        let others = [
            long_token(),
            OPAQUE.to_owned(),
            "sixteen--letters".to_owned(),
        ];
        for tokens in [
            vec![JWT],
            vec![JWT, &others[0]],
            vec![JWT, &others[0], &others[1]],
        ] {
            let guard = Guard::search_for(&tokens).unwrap();
            for token in &tokens {
                for (how, form) in written(token) {
                    let body = ["{\"seen\":\"", &form, "\"}"].concat();
                    assert!(guard.is_in(body.as_bytes()), "{how} of {tokens:?}");
                }
            }
            assert!(!guard.is_in(others[2].as_bytes()));
        }
        // Tokens that are too short are ignored.
        let guard = Guard::search_for(&["short", &others[2]]).unwrap();
        assert!(guard.is_in(b"say: sixteen--letters!"));
        assert!(!guard.is_in(b"say: short!"));
        assert!(Guard::search_for(&["short"]).is_none());
        assert!(Guard::search_for(&[]).is_none());
    }

    #[test]
    fn cut_positions_do_not_depend_on_the_token() {
        let other = "4Ki2-_YQ0aXhQzeyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhb";
        for token in [JWT, other] {
            let mut guard = Guard::new(token).unwrap();
            for (piece, free, held) in [
                ("\"e}", 3, ""),
                ("\":e", 2, "e"),
                ("y", 0, "ey"),
                ("!", 3, ""),
                ("!eyJhbGciOi", 1, "eyJhbGciOi"),
                ("!4Ki2-_", 11, "4Ki2-_"),
                ("\n", 7, ""),
                ("{}", 2, ""),
            ] {
                guard.take(piece.len()).copy_from_slice(piece.as_bytes());
                assert_eq!(guard.free(), Some(free), "{piece}");
                guard.forget(free);
                assert_eq!(guard.bytes(), held.as_bytes(), "{piece}");
            }
        }
    }

    /// Returns the number of accesses to bytes of `text` in a search for `token`.
    fn work(token: &str, text: &str) -> usize {
        let guard = Guard::new(token).unwrap();
        let before = LOOKED_AT.get();
        assert!(!guard.is_in(text.as_bytes()));
        LOOKED_AT.get() - before
    }

    #[test]
    fn search_work_depends_only_on_token_length() {
        let other: String = JWT.chars().rev().collect();
        let encoded = base64url::encode(JWT.as_bytes());
        let (almost, _) = JWT.split_at(JWT.len() - 1);
        for body in [
            almost.repeat(50),
            [almost, " "].concat().repeat(50),
            [&JWT[1..], "\n"].concat().repeat(50),
            JWT[..20].repeat(50),
            [&encoded[..60], "."].concat().repeat(50),
            "eyJhbGciOi ".repeat(50),
            [almost, "\n"].concat().repeat(50),
            "eyJhbGciOi\r\n".repeat(50),
            [&encoded[..40], "\\n"].concat().repeat(50),
            " ".repeat(2000),
            "e".repeat(2000),
        ] {
            assert_eq!(work(JWT, &body), work(&other, &body), "{body}");
        }
        // The length of the token does change the number of accesses, so the count is not constant for another reason.
        let blank = " ".repeat(2000);
        assert!(work(&JWT[..40], &blank) > work(JWT, &blank));
    }

    #[test]
    fn held_bytes_are_bounded_by_longest_token() {
        for token in [JWT, "~a~b~c~d~e~f~g~h~i"] {
            let mut guard = Guard::new(token).unwrap();
            guard.take(100_000).fill(b'x');
            assert_eq!(guard.free(), Some(100_000 - MOST_HELD));
        }
    }

    #[test]
    fn search_agrees_with_naive_search() {
        let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |n: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % n
        };
        for _ in 0..3000 {
            // Two letters cause many near misses.
            let mut text: Vec<u8> = (0..below(200)).map(|_| b'a' + below(2) as u8).collect();
            let token: String = (0..16 + below(10))
                .map(|_| char::from(b'a' + below(2) as u8))
                .collect();
            if below(3) == 0 {
                let at = below(text.len() as u64 + 1) as usize;
                text.splice(at..at, token.bytes());
            }
            let guard = Guard::new(&token).unwrap();
            let plainly = text
                .windows(token.len())
                .any(|place| place == token.as_bytes());
            assert_eq!(
                guard.is_in(&text),
                plainly,
                "{token} in {}",
                String::from_utf8_lossy(&text)
            );
        }
    }

    #[test]
    fn short_tokens_are_not_searched_for() {
        assert!(Guard::new("fifteen-letters").is_none());
        assert!(Guard::new("sixteen--letters").is_some());
    }

    #[test]
    fn finds_long_tokens() {
        let token = "0123456789abcdef".repeat(200);
        for (how, form) in written(&token) {
            let body = [&"-".repeat(5000), &*form].concat();
            let (given, is_broken) = through(&token, body.as_bytes().chunks(1024));
            assert!(is_broken && given.len() <= 5000 + BEFORE, "{how}");
        }
    }

    #[test]
    fn finds_token_with_spaces_in_each_spelling() {
        let token = "UegLVbIfq7TpX612769\\|:)\\ ";
        let guard = Guard::new(token).unwrap();
        for (how, form) in written(token) {
            assert!(guard.is_in(form.as_bytes()), "{how}");
            assert!(guard.is_in(form.replace("%20", "+").as_bytes()), "{how}");
        }
        assert!(!guard.is_in(b"UegLVbIfq7TpX612768%5C%7C%3A%29%5C+"));
    }

    #[test]
    fn finds_tokens_of_special_characters() {
        let token = "~a~b~c~d~e~f~g~h~i";
        let guard = Guard::new(token).unwrap();
        for before in ["", "say: ", "a\\n", "\\"] {
            assert!(guard.is_in([before, token].concat().as_bytes()));
        }
        assert!(!guard.is_in(b"~a~b~c~d~e~f~g~h~"));
        // The longest plain part of this token has the shortest length. URLs escape the last character.
        let guard = Guard::new("sixteen--letters+").unwrap();
        assert!(guard.is_in(b"sixteen--letters%2B"));
    }
}
