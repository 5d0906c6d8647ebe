//! The search for access tokens in responses, which keeps a reflected token from the page.
//!
//! An API that echoes its request, such as a debugging page, would give the token to script. This module therefore
//! searches the headers and the body of a response for all access tokens of the session that may still be valid. Each
//! token is found as it is, and in base64 or base64url (RFC 4648 4 and 5) at each of the three possible offsets in a
//! group of three bytes. A token is therefore also found in an encoded `Authorization` header.
//!
//! JSON, URLs and HTML escape some characters. Escapes of one character are decoded (`escapes.rs`), so a token is found if
//! none, some or all of its characters are escaped. What looks like an escape may instead be a part of the token, or begin
//! with a `%` that only precedes the token. Characters with escapes among them are therefore searched twice: decoded, and
//! as they are.
//!
//! Base64 is often written in lines of 60, 64 or 76 characters (RFC 2045 6.8, RFC 7468 2). A line break, unescaped or
//! escaped in JSON, is therefore skipped if at least [`SHORTEST_LINE`] characters of base64 precede it. Other line breaks
//! end a token, so that a stream of short lines is not held back.
//!
//! Access tokens have no spaces. Any other token with spaces is found by its longest part, if that part has at least
//! [`SHORTEST`] characters.
//!
//! The last received bytes of a body are held back while they may be the beginning of a token. This decision depends on
//! the alphabet of tokens (`alphabet.rs`), and not on the token itself: the page sees where a body is cut, and could
//! otherwise learn how the token begins. A peer that waits for a response to its message sends nothing more, so the held
//! bytes pass after a pause if fewer than [`SHORTEST`] characters of the alphabet precede the next byte. The search
//! remembers these bytes, and finds a token that continues after the pause.
//!
//! The search does not find a part of a token. It also does not find a token that is encrypted, compressed, hashed,
//! encoded twice, or written in hex, in UTF-16, as an array of numbers, or in lines shorter than [`SHORTEST_LINE`], or a
//! token that itself contains an escape of another kind than the escapes with which it is written. The search catches
//! mistakes, but it does not stop an API that gives tokens away on purpose.
//!
//! The duration of the search depends on the length and the alphabet of the token, but not on its characters, because a
//! page may choose the content of a body and measure the time. A window is as long as the shortest string that is
//! searched for. The search looks at one byte per window: if no token can contain that byte, no match includes it. In a
//! run of token characters that is as long as a window, the search compares a rolling hash (Karp and Rabin), which
//! reveals nothing about partial matches. The first such run costs more, because the hashes of the tokens are then
//! computed. Strings longer than a window are found by their last bytes: base64 by its last three quarters.

mod alphabet;
mod escapes;

use core::cell::OnceCell;

use crate::base::secret::Secret;
use crate::base::strings;
use crate::codec::base64url;
use crate::prelude::*;
use alphabet::{Alphabet, OTHER, SPECIAL, is_of};
use escapes::Escape;

/// The shortest token that is searched for, in characters. A shorter token may be a common word. Such a token is not a
/// secret, since RFC 6749 10.10 requires tokens that cannot be guessed.
pub const SHORTEST: usize = 16;

/// The largest number of tokens that a response or socket is searched for.
pub const MOST_TOKENS: usize = 8;

/// A line break is skipped if at least this many characters of base64 precede it in its line.
pub const SHORTEST_LINE: usize = 32;

/// The number of forms of a token: the token, and base64 at each offset.
const FORMS: usize = 4;

/// The usual length of an escaped character, in bytes: `\u002B`.
const ESCAPED: usize = 6;

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
/// encodings.
pub struct Guard {
    alphabet: Alphabet,
    /// The length of the shortest form.
    window: usize,
    /// The largest number of bytes that are held back: the length of the longest form, escaped and in the shortest lines.
    most_held: usize,
    tokens: Vec<Secret>,
    /// The hashes of the tokens' forms. Most responses have no run of characters as long as a window, and need no hash.
    hashes: OnceCell<Vec<[u64; FORMS]>>,
    /// The factor, in the rolling hash, of the character that leaves the window.
    power: u64,
    /// The buffer for received bytes that the search still needs.
    bytes: Vec<u8>,
    /// The number of bytes in `bytes` that the search still needs. The rest of the buffer is reused for the next piece.
    count: usize,
    /// The number of bytes at the start of `bytes` that were passed on after a pause.
    released: usize,
    /// The number of characters at the end of `bytes` that may be the beginning of a form.
    run: usize,
}

/// The way in which characters are read. The same bytes may have two readings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Escapes stand for characters and line breaks.
    Decoded,
    /// Each byte stands for itself.
    Plain,
}

/// The meaning of the first bytes of a text that begins with a special byte.
enum Unit {
    /// A character that these many bytes stand for.
    Character(u8, usize),
    /// A line break of this length.
    LineBreak(usize),
    /// A part of an escape whose end has not arrived.
    Begun,
    /// A byte that is not a part of a form.
    Other,
}

/// A run of bytes that may belong to forms.
struct Run {
    /// The run without escapes and skipped line breaks. A space stands between characters that do not follow one another.
    decoded: Vec<u8>,
    /// True if the run has another meaning if its bytes stand for themselves.
    has_escapes: bool,
    /// The start of the last characters that may be the beginning of a form.
    start: usize,
    /// The number of these characters.
    count: usize,
    /// The position of the first byte that was not read: it cannot be part of a form, or is the end of the text.
    end: usize,
}

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
        let long = tokens.iter().filter(|token| token.len() >= SHORTEST);
        let tokens: Vec<&str> = long.map(|token| longest_word(token)).collect();
        let lengths = || tokens.iter().map(|token| token.len());
        // The shortest form of a token is the token, and the longest is its base64.
        let (window, longest) = (lengths().min()?, lengths().max()? * 4 / 3);
        Some(Self {
            alphabet: Alphabet::of(&tokens),
            window,
            most_held: (longest + longest.div_ceil(SHORTEST_LINE)) * ESCAPED,
            tokens: tokens.into_iter().map(Secret::from).collect(),
            hashes: OnceCell::new(),
            power: (0..window).fold(1, |power, _| BASE.wrapping_mul(power)),
            bytes: Vec::new(),
            count: 0,
            released: 0,
            run: 0,
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

    /// Searches from now on for the first of its tokens, which is the request's own, and for the first of `others`, at most
    /// [`MOST_TOKENS`] in all. The bytes that wait, and those that were passed on after a pause, are searched for these
    /// tokens, too.
    pub fn renew(&mut self, others: &[Secret]) {
        let Some(own) = self.tokens.first() else {
            return;
        };
        let others = others.iter().map(Secret::expose);
        let others = others.filter(|token| !own.matches(longest_word(token)));
        let own = [own.expose()].into_iter();
        let tokens: Vec<&str> = own.chain(others).take(MOST_TOKENS).collect();
        if let Some(next) = Self::search_for(&tokens) {
            *self = Self {
                bytes: core::mem::take(&mut self.bytes),
                count: self.count,
                released: self.released,
                ..next
            };
            self.run = self.tail().1;
        }
    }

    /// Returns, for each token, the hashes of the last `window` characters of its forms. They are computed at the first
    /// call.
    fn hashes(&self) -> &[[u64; FORMS]] {
        self.hashes.get_or_init(|| {
            let hash = |form: Vec<u8>| self.hash_of(&form[form.len() - self.window..]);
            let forms = |token: &Secret| self.forms(token.expose().as_bytes()).map(hash);
            self.tokens.iter().map(forms).collect()
        })
    }

    /// Returns the strings to search for: the token as it is, and in base64 at each offset.
    fn forms(&self, token: &[u8]) -> [Vec<u8>; FORMS] {
        let mut bytes = vec![0; 2];
        bytes.extend_from_slice(token);
        let encoded = |before: usize| {
            let bytes = bytes.get(2 - before..).unwrap_or_default();
            let text = base64url::encode(bytes);
            // Keep only the characters whose bits all belong to the token.
            let ours = (before * 4).div_ceil(3)..bytes.len() * 4 / 3;
            text.as_bytes().get(ours).unwrap_or_default().to_vec()
        };
        [token.to_vec(), encoded(0), encoded(1), encoded(2)]
    }

    /// Returns true if `text` contains a token. Inlined, it would be more code.
    #[must_use]
    #[inline(never)]
    pub fn is_in(&self, mut text: &[u8]) -> bool {
        while text.len() >= self.window {
            let passed = if let Some(i) = self.last_separator(&text[..self.window], text) {
                i
            } else {
                let run = self.read(text, Reading::Decoded);
                let plain = || self.read(&text[..run.end], Reading::Plain);
                if self.has_form(&run.decoded)
                    || (run.has_escapes && self.has_form(&plain().decoded))
                {
                    return true;
                }
                run.end
            };
            text = text.get(passed + 1..).unwrap_or_default();
        }
        false
    }

    /// Returns the position of the last byte of `window`, the beginning of `text`, that no form contains in any reading.
    #[inline(always)]
    fn last_separator(&self, mut window: &[u8], text: &[u8]) -> Option<usize> {
        loop {
            let may_separate = |byte: &u8| self.alphabet.entry(*byte) <= SPECIAL;
            let i = window.iter().rposition(may_separate)?;
            if self.separates(&text[i..]) {
                return Some(i);
            }
            window = &window[..i];
        }
    }

    /// Returns true if no form contains the first byte of `text`, which is not simply a character. Bytes that only
    /// continue an escape do not separate.
    #[inline(never)]
    fn separates(&self, text: &[u8]) -> bool {
        self.alphabet.entry(text[0]) == OTHER
            || begins_escape(text[0]) && matches!(self.unit(text, Reading::Decoded), Unit::Other)
    }

    /// Returns true if `text`, which has no escapes, contains the last `window` characters of a form.
    fn has_form(&self, text: &[u8]) -> bool {
        text.len() >= self.window
            && (self.hashes().iter()).any(|hashes| self.has_hash(text, *hashes))
    }

    /// Returns true if one of these is the hash of `window` adjacent characters of `text`.
    fn has_hash(&self, text: &[u8], hashes: [u64; FORMS]) -> bool {
        let character = |byte: &u8| u64::from(self.alphabet.entry(*byte));
        let (first, rest) = text.split_at(self.window);
        let mut hash = self.hash_of(first);
        for (next, left) in rest.iter().zip(text) {
            if is_one_of(hash, hashes) {
                return true;
            }
            let change = character(next).wrapping_sub(self.power.wrapping_mul(character(left)));
            hash = hash.wrapping_mul(BASE).wrapping_add(change);
        }
        is_one_of(hash, hashes)
    }

    /// Returns the hash of the characters of `text`.
    fn hash_of(&self, text: &[u8]) -> u64 {
        let push = |hash: u64, byte: &u8| {
            let character = self.alphabet.entry(*byte);
            hash.wrapping_mul(BASE).wrapping_add(character.into())
        };
        text.iter().fold(0, push)
    }

    /// Reads `text` from its beginning to the first byte that belongs neither to a form nor to an escape or a line break.
    fn read(&self, text: &[u8], reading: Reading) -> Run {
        let mut decoded = Vec::new();
        let (mut start, mut line, mut end) = (0, 0, 0);
        // The position in `decoded` of the last characters that may belong to one form.
        let mut first = 0;
        let mut has_escapes = false;
        loop {
            let count = self.alphabet.count(&text[end..]);
            decoded.extend_from_slice(&text[end..end + count]);
            end += count;
            let Some(&byte) = text.get(end) else {
                break;
            };
            if self.alphabet.entry(byte) == OTHER {
                break;
            }
            let mut length = 1;
            let mut is_skipped = false;
            match self.unit(&text[end..], reading) {
                Unit::Character(byte, length) => {
                    decoded.push(byte);
                    has_escapes |= length > 1;
                    end += length;
                    continue;
                }
                Unit::Begun => {
                    decoded.push(b' ');
                    (has_escapes, end) = (true, text.len());
                    break;
                }
                // An escape of another character, which the next loop over windows can pass over.
                Unit::Other if reading == Reading::Decoded && begins_escape(byte) => break,
                Unit::Other => {}
                Unit::LineBreak(size) => {
                    length = size;
                    is_skipped = self.is_long_line(&text[line..end]);
                }
            }
            has_escapes |= length > 1 && byte == b'\\';
            end += length;
            line = end;
            if !is_skipped {
                // Characters that are fewer than a window are not a form.
                if decoded.len() - first < self.window {
                    decoded.truncate(first);
                } else {
                    decoded.push(b' ');
                }
                (start, first) = (end, decoded.len());
            }
        }
        Run {
            count: decoded.len() - first,
            decoded,
            has_escapes,
            start,
            end,
        }
    }

    /// Reads the first bytes of a text that begins with a special byte.
    #[inline(never)]
    fn unit(&self, text: &[u8], reading: Reading) -> Unit {
        let length = line_break(text, reading);
        if length > 0 {
            return Unit::LineBreak(length);
        }
        if reading == Reading::Decoded {
            match escapes::read(text) {
                Escape::Begun => return Unit::Begun,
                Escape::Of(byte, length) => {
                    if self.alphabet.contains(byte) {
                        return Unit::Character(byte, length);
                    }
                }
                Escape::No => {}
            }
        }
        if self.alphabet.contains(text[0]) {
            Unit::Character(text[0], 1)
        } else {
            Unit::Other
        }
    }

    /// Returns true if a line break after `line` may be one within base64.
    fn is_long_line(&self, line: &[u8]) -> bool {
        let end = line.len().checked_sub(SHORTEST_LINE);
        let is_base64 = |byte| is_of(byte, b"+/-_.~=\\%&#;");
        end.is_some_and(|end| !self.alphabet.is_whole() || line[end..].iter().all(is_base64))
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
    pub fn free(&mut self) -> Option<usize> {
        let (start, run) = self.tail();
        self.run = run;
        let is_found = self.is_in(self.searched());
        (!is_found).then_some(start.saturating_sub(self.released))
    }

    /// Returns how many of [`Self::bytes`] may be passed on if no more bytes arrive for a while, after a call of
    /// [`Self::free`] whose bytes were removed. These are all bytes, unless they and the bytes that were passed on after
    /// earlier pauses are [`SHORTEST`] or more characters that may be the beginning of a token.
    #[must_use]
    pub fn free_after_pause(&self) -> usize {
        if self.run < SHORTEST {
            self.bytes().len()
        } else {
            0
        }
    }

    /// Notes that all of [`Self::bytes`] have been passed on after a pause. They are still searched, together with the
    /// bytes that follow.
    pub const fn release(&mut self) {
        self.released = self.count;
    }

    /// Returns the received bytes that have not been passed on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.searched().get(self.released..).unwrap_or_default()
    }

    /// Removes the first `count` of [`Self::bytes`], which have been passed on.
    pub fn forget(&mut self, count: usize) {
        if count > 0 {
            let passed = self.released + count;
            self.bytes.copy_within(passed..self.count, 0);
            self.count -= passed;
            self.released = 0;
        }
    }

    /// Returns the received bytes that the search still needs.
    fn searched(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }

    /// Returns the start of the last received characters that may be the beginning of a form, and their number. Both
    /// depend on the characters of forms, but not on the tokens.
    fn tail(&self) -> (usize, usize) {
        let bytes = self.searched();
        let (mut length, mut has_special) = (0, false);
        for byte in bytes.iter().rev().take(self.most_held) {
            match self.alphabet.entry(*byte) {
                OTHER => break,
                entry => has_special |= entry == SPECIAL,
            }
            length += 1;
        }
        if !has_special {
            return (bytes.len() - length.min(self.most_held / ESCAPED), length);
        }
        let mut before = bytes.len() - length;
        let mut run = self.read(&bytes[before..], Reading::Decoded);
        while before + run.end < bytes.len() {
            before += run.end + 1;
            run = self.read(&bytes[before..], Reading::Decoded);
        }
        if run.has_escapes {
            let plain = self.read(&bytes[before..], Reading::Plain);
            run.start = run.start.min(plain.start);
            run.count = run.count.max(plain.count);
        }
        (before + run.start, run.count)
    }
}

/// Returns true for the bytes with which escapes begin.
const fn begins_escape(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'&')
}

/// Returns the length of the line break that `text` begins with, unescaped or escaped in JSON, or 0.
fn line_break(text: &[u8], reading: Reading) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [b'\\', b'r', b'\\', b'n', ..] if reading == Reading::Decoded => 4,
        [b'\\', b'r' | b'n', ..] if reading == Reading::Decoded => 2,
        _ => 0,
    }
}

/// Returns the longest part of a token without spaces, or the whole token if that part is shorter than [`SHORTEST`].
fn longest_word(token: &str) -> &str {
    let longest = strings::split(token, b' ').max_by_key(|word| word.len());
    longest
        .filter(|word| word.len() >= SHORTEST)
        .unwrap_or(token)
}

/// The factor of each earlier character in a hash: an odd number with evenly spread bits.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Inlined, this keeps the hashes in registers.
#[inline(always)]
const fn is_one_of(hash: u64, [a, b, c, d]: [u64; FORMS]) -> bool {
    hash == a || hash == b || hash == c || hash == d
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
        if !pass(&mut guard, pieces, &mut given) {
            return (given, true);
        }
        given.extend_from_slice(guard.bytes());
        (given, false)
    }

    /// Adds the bytes that a guard passes to `given`. Returns false if it finds a token.
    fn pass<'a>(
        guard: &mut Guard,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        given: &mut Vec<u8>,
    ) -> bool {
        for piece in pieces {
            guard.take(piece.len()).copy_from_slice(piece);
            let Some(free) = guard.free() else {
                return false;
            };
            given.extend_from_slice(&guard.bytes()[..free]);
            guard.forget(free);
        }
        true
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

    /// The largest number of bytes of a form that precede the token: `Bearer ` in base64.
    const BEFORE: usize = 9;

    // claim: api-4
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

    // claim: api-4
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
                    let most = body.find(&form).unwrap();
                    assert!(given.len() <= most, "{length} {line_break:?}, cut at {cut}");
                }
                let (given, is_broken) = through(&token, body.as_bytes().chunks(1));
                assert!(is_broken && given.len() <= 9, "{length} {line_break:?}");
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

    // claim: api-4
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

    /// Tokens that may replace [`JWT`], of its alphabet: a shorter one, a longer one, and one of the same length.
    fn successors() -> [String; 3] {
        let same: String = JWT.chars().rev().collect();
        ["sixteen--letters".to_owned(), long_token(), same]
    }

    // claim: api-4
    #[test]
    fn token_that_arrives_while_the_guard_is_renewed_is_found() {
        for next in successors() {
            for (how, form) in written(&next) {
                let body = ["{\"seen\":\"", &form, "\"}"].concat();
                // The former guard has passed on all but the last characters of a longer run.
                let most = form.trim_end_matches('=').len().min(JWT.len());
                for cut in 0..=9 + most {
                    let (head, tail) = body.as_bytes().split_at(cut);
                    let (mut guard, mut given) = (Guard::new(JWT).unwrap(), Vec::new());
                    assert!(pass(&mut guard, [head], &mut given));
                    guard.renew(&[next.as_str().into(), JWT.into()]);
                    // The host reads what the guard holds at once.
                    let is_broken = !pass(&mut guard, [&[][..], tail], &mut given);
                    assert!(is_broken, "{how} of {next}, cut at {cut}");
                    assert!(given.len() <= 9 + BEFORE, "{how}, cut at {cut}: {given:?}");
                }
            }
        }
    }

    // claim: api-4
    #[test]
    fn whole_body_is_searched_for_a_token_that_came_during_it() {
        for next in successors() {
            for cut in 0..5 + next.len() {
                let body = ["say: ", &next, "."].concat();
                let (head, tail) = body.as_bytes().split_at(cut);
                let mut guard = Guard::new(JWT).unwrap();
                guard.take(head.len()).copy_from_slice(head);
                guard.renew(&[next.as_str().into()]);
                guard.take(tail.len()).copy_from_slice(tail);
                assert_eq!(guard.free(), None, "{next} cut at {cut}");
            }
        }
    }

    // claim: api-4
    #[test]
    fn held_bytes_that_are_a_new_token_do_not_pass_after_a_pause() {
        let next = &JWT[..16];
        let mut guard = Guard::new(&long_token()).unwrap();
        guard.take(16).copy_from_slice(next.as_bytes());
        assert_eq!(guard.free(), Some(0));
        guard.renew(&[next.into()]);
        assert_eq!(guard.free_after_pause(), 0);
        assert_eq!(guard.free(), None);
        // The first ten characters passed after a pause, before the token was known.
        let mut guard = Guard::new(&long_token()).unwrap();
        guard.take(10).copy_from_slice(&next.as_bytes()[..10]);
        assert_eq!((guard.free(), guard.free_after_pause()), (Some(0), 10));
        guard.release();
        guard.renew(&[next.into()]);
        guard.take(6).copy_from_slice(&next.as_bytes()[10..]);
        assert_eq!(guard.free(), None);
    }

    #[test]
    fn renewed_guard_searches_for_its_own_token_and_seven_others() {
        let name = |i: usize| Secret::from(&*["sixteen--letters", &"x".repeat(i)].concat());
        let has = |guard: &Guard, token: &Secret| guard.is_in(token.expose().as_bytes());
        let mut guard = Guard::search_for(&[JWT, OPAQUE]).unwrap();
        guard.renew(&[]);
        assert!(guard.is_in(JWT.as_bytes()) && !guard.is_in(OPAQUE.as_bytes()));
        let others: Vec<Secret> = (1..10).map(|i| name(20 - i)).collect();
        for newest in [others.clone(), [vec![JWT.into()], others.clone()].concat()] {
            guard.renew(&newest);
            assert!(guard.is_in(JWT.as_bytes()));
            for (i, other) in others.iter().enumerate() {
                // A longer token contains the shorter ones.
                let found = [other.expose(), " "].concat();
                assert_eq!(guard.is_in(found.as_bytes()), i < 7, "{i}");
            }
        }
        // A token that is too short to search for leaves only the guard's own.
        guard.renew(&["short".into()]);
        assert!(guard.is_in(JWT.as_bytes()) && !has(&guard, &others[0]));
        // The longest part of a token with spaces is the guard's own.
        let mut guard = Guard::new("UegLVbIfq7TpX612769\\|:)\\ x").unwrap();
        guard.renew(&["UegLVbIfq7TpX612769\\|:)\\ x".into()]);
        assert_eq!(guard.tokens.len(), 1);
    }

    #[test]
    fn renewed_guard_passes_everything_else_unchanged() {
        let body = JWT[..30].repeat(8) + " data: {\"a\":1}\n";
        for next in [&successors()[0], OPAQUE, "quoted\"token,with{brackets}"] {
            for cut in 0..body.len() {
                let (head, tail) = body.as_bytes().split_at(cut);
                let (mut guard, mut given) = (Guard::new(JWT).unwrap(), Vec::new());
                assert!(pass(&mut guard, [head], &mut given));
                guard.renew(&[next.into()]);
                assert!(pass(&mut guard, [&[][..], tail], &mut given));
                given.extend_from_slice(guard.bytes());
                assert_eq!(given, body.as_bytes(), "cut at {cut}");
            }
        }
    }

    // claim: api-6
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

    /// Passes pieces through a guard that searches for `token`, with a pause after each piece. Returns what passes: with
    /// each piece and after it.
    fn with_pauses<'a>(token: &str, pieces: &[&'a str]) -> Vec<(&'a str, String)> {
        let mut guard = Guard::new(token).unwrap();
        let pass = |piece: &&'a str| {
            guard.take(piece.len()).copy_from_slice(piece.as_bytes());
            let Some(free) = guard.free() else {
                return (*piece, "!".to_owned());
            };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let at_once = text(&guard.bytes()[..free]);
            guard.forget(free);
            let later = guard.free_after_pause();
            let after = text(&guard.bytes()[..later]);
            if later > 0 {
                guard.release();
            }
            (*piece, [at_once, "|".to_owned(), after].concat())
        };
        pieces.iter().map(pass).collect()
    }

    // claim: api-4, api-6
    #[test]
    fn held_bytes_pass_after_a_pause_if_their_run_is_short() {
        for (token, other) in [
            (JWT, "x.y-z0123456789abcdef"),
            (OPAQUE, "/+=~$!0123456789abcde"),
        ] {
            for passed in [
                with_pauses(token, &["data: done", "", "!\n"]),
                with_pauses(other, &["data: done", "", "!\n"]),
            ] {
                assert_eq!(passed[0].1, "data: |done");
                assert_eq!(passed[1].1, "|");
            }
        }
        let fifteen = &JWT[..15];
        for pieces in [vec![fifteen], vec!["say: ", fifteen]] {
            let passed = with_pauses(JWT, &pieces);
            assert_eq!(passed.last().unwrap().1, ["|", fifteen].concat());
        }
        assert_eq!(with_pauses(JWT, &[&JWT[..16]])[0].1, "|");
    }

    /// A part of an escape would tell half of the sixteenth character.
    // claim: api-4
    #[test]
    fn sixteenth_character_does_not_begin_after_a_pause() {
        let escaped: String = JWT
            .chars()
            .map(|c| format!("\\u{:04x}", u32::from(c)))
            .collect();
        let fifteen = 15 * ESCAPED;
        let passed = |end: usize| with_pauses(JWT, &[&escaped[..end]])[0].1.clone();
        assert_eq!(passed(fifteen), ["|", &escaped[..fifteen]].concat());
        for extra in 1..ESCAPED {
            assert_eq!(passed(fifteen + extra), "|");
        }
    }

    #[test]
    fn released_bytes_count_as_a_part_of_their_run() {
        let passed = with_pauses(JWT, &[&JWT[..10], &JWT[10..15], &JWT[15..16], &JWT[16..40]]);
        let passed: Vec<&str> = passed.iter().map(|(_, passed)| &**passed).collect();
        let expected = [["|", &JWT[..10]].concat(), ["|", &JWT[10..15]].concat()];
        assert_eq!(passed, [&*expected[0], &*expected[1], "|", "|"]);
        // The run ends, and with it the wait.
        let passed = with_pauses(JWT, &[&JWT[..10], &JWT[10..30], " and", " more "]);
        assert_eq!(passed[2].1, [&JWT[10..30], " |and"].concat());
        assert_eq!(passed[3].1, " more |");
    }

    // claim: api-4
    #[test]
    fn token_is_found_across_pauses() {
        for token in [JWT, OPAQUE] {
            for (how, form) in written(token) {
                let cuts = [0, 1, 7, 15, 16, form.len() / 2, form.len()];
                for cut in cuts.windows(2) {
                    let (first, rest) = form.split_at(cut[0]);
                    let (second, third) = rest.split_at(cut[1] - cut[0]);
                    let passed = with_pauses(token, &["say: ", first, second, third, "."]);
                    assert!(
                        passed.iter().any(|(_, it)| it == "!"),
                        "{how}, cut at {cut:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn lines_and_events_pass_at_once() {
        let salesforce = "00Dxx0000001gPL!AR8AQJXg5oj8jXSgxJfA0lBog.39AsX";
        let all = [OPAQUE, "quoted\"token,with{brackets}"];
        for token in [
            JWT,
            salesforce,
            "Kz/8mXK1EalYznwH+LC+1fBAo==",
            all[0],
            all[1],
        ] {
            for text in [
                "{\"id\":\"0123456789-0123456789-0123456789\",\"email\":\"alice@example.com\"}\n",
                "data: {\"id\":\"0123456789-0123456789-0123456789\",\"a\":1}\n\n",
                "event: message\r\ndata: hello\r\n\r\n",
                "--boundary\r\nContent-Type: image/jpeg\r\n\r\n",
            ] {
                let passed = with_pauses(token, &[text]);
                assert_eq!(passed[0].1, [text, "|"].concat(), "{token}");
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

    // claim: api-6
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
        let token = "Kz8mXK1EalYznwH/LC+1fBAo4Ljpzs==";
        let other = "==szpjL4oAB1+CL/HwnzYlaE1KXm8zK";
        let other = [other, "f"].concat();
        let (almost, _) = token.split_at(token.len() - 1);
        for body in [
            almost.repeat(50),
            almost.replace('/', "\\/").repeat(50),
            almost.replace('+', "\\u002B").repeat(50),
            almost.replace('/', "%2F").repeat(50),
            almost.replace('+', "&plus;").repeat(50),
            [almost, "%22"].concat().repeat(50),
            [&token[..20], "\\n"].concat().repeat(50),
            "%2B%2F%3D".repeat(50),
            "&amp;".repeat(50),
        ] {
            assert_eq!(work(token, &body), work(&other, &body), "{body}");
        }
        // The length of the token does change the number of accesses, so the count is not constant for another reason.
        let blank = " ".repeat(2000);
        assert!(work(&JWT[..40], &blank) > work(JWT, &blank));
    }

    #[test]
    fn held_bytes_are_bounded_by_token_length() {
        let other: String = JWT.chars().rev().collect();
        let held = |token: &str| {
            let mut guard = Guard::new(token).unwrap();
            guard.take(100_000).fill(b'x');
            100_000 - guard.free().unwrap()
        };
        assert_eq!(held(JWT), held(&other));
        assert!((JWT.len() * 4 / 3..JWT.len() * 10).contains(&held(JWT)));
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
    fn window_and_held_bytes_fit_each_form() {
        for length in SHORTEST..200 {
            let token = "x".repeat(length);
            let guard = Guard::new(&token).unwrap();
            let lengths = guard.forms(token.as_bytes()).map(|form| form.len());
            assert_eq!(lengths.iter().min(), Some(&guard.window));
            let longest = lengths.iter().max().unwrap();
            let lines = longest.div_ceil(SHORTEST_LINE);
            assert_eq!(guard.most_held, (longest + lines) * ESCAPED);
        }
    }

    // claim: api-4
    #[test]
    fn short_tokens_are_not_searched_for() {
        assert!(Guard::new("fifteen-letters").is_none());
        assert!(Guard::new("sixteen--letters").is_some());
        // Beside a longer token, too.
        let guard = Guard::search_for(&["fifteen-letters", JWT]).unwrap();
        assert!(!guard.is_in(b"fifteen-letters") && guard.is_in(JWT.as_bytes()));
        // After a pause, only the last character of the shortest token does not pass.
        let passed = with_pauses("sixteen--letters", &["sixteen--letter", "s"]);
        assert_eq!(passed[0].1, "|sixteen--letter");
        assert_eq!(passed[1].1, "!");
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
