//! Random tokens in random encodings and chunks. The page gets no part of a token, or at most 15 of its characters if the
//! response pauses within it. All other bytes arrive unchanged.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use kit::dice::Dice;
use rules::codec::base64url;
use rules::egress::token_reflection::{Guard, SHORTEST};

/// The strings that precede a token.
const BEFORE: &[&str] = &["", "{\"sent\":\"", "say: ", "<p>", "x: Bearer "];

/// The strings that may precede a token that is not escaped. They end in the sign with which an escape begins.
const ANYTHING: &[&str] = &[
    "",
    "{\"sent\":\"",
    "a=1&b=",
    "C:\\",
    "C:\\\\",
    "100%",
    "a&",
    "&#",
];

/// The kind of tokens that may contain what looks like an escape. They are found as they are, and in base64.
const SIGNS: &str = "signs of escapes";

/// The length of the longest escape of one character.
const LONGEST_ESCAPE: usize = "&lowbar;".len();

/// The number of tokens of each kind.
const TOKENS: usize = 6;

/// Returns a random token of each kind, with its kind.
fn tokens(dice: &mut Dice) -> Vec<(&'static str, String)> {
    let mut bytes =
        |count: usize| -> Vec<u8> { (0..count).map(|_| dice.roll(256) as u8).collect() };
    let mut all = vec![
        ("16 bytes in base64", Base64::encode_string(&bytes(16))),
        ("32 bytes in base64", Base64::encode_string(&bytes(32))),
        ("37 bytes in base64", Base64::encode_string(&bytes(37))),
        ("32 bytes in base64url", base64url::encode(&bytes(32))),
        (
            "JWT",
            [20, 40, 32]
                .map(|count| base64url::encode(&bytes(count)))
                .join("."),
        ),
    ];
    for (kind, characters) in [
        ("letters", "abcdefghijklmnopqrstuvwxyz"),
        ("slashes", "/+=/"),
        ("characters of RFC 6750", "abcXYZ0123-._~+/"),
        ("separators", "abcXYZ0123!|:@"),
        ("all characters", &graphic("\\%&")),
        (SIGNS, &graphic("")),
    ] {
        let length = 16 + dice.roll(60);
        let character = |_| char::from(dice.pick(characters.as_bytes()));
        all.push((kind, (0..length).map(character).collect()));
    }
    all
}

/// Returns all characters of tokens (RFC 6749 A.12) except some.
fn graphic(except: &str) -> String {
    let all = (33..127_u8).map(char::from);
    all.filter(|c| !except.contains(*c)).collect()
}

/// Writes each character of `text` that `is_escaped` accepts with `escape`.
fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> String {
    let write = |c| {
        if is_escaped(c) {
            escape(c)
        } else {
            String::from(c)
        }
    };
    text.chars().map(write).collect()
}

/// Returns a name of HTML for each character that has one.
fn named(c: char) -> String {
    let name = match c {
        '&' => "amp",
        '<' => "lt",
        '>' => "gt",
        '"' => "quot",
        '\'' => "apos",
        '/' => "sol",
        '+' => "plus",
        '=' => "equals",
        '.' => "period",
        '_' => "lowbar",
        '!' => "excl",
        '|' => "vert",
        '@' => "commat",
        ':' => "colon",
        c => return format!("&#{};", c as u32),
    };
    format!("&{name};")
}

/// Returns the ways in which common encoders write `text` as a part of JSON, of a script, of HTML or of a URL.
fn encodings(text: &str) -> Vec<(&'static str, String)> {
    let unicode = |c: char| format!("\\u{:04X}", c as u32);
    let json = |more: &'static str| {
        let is_escaped = move |c| "\"\\".contains(c) || more.contains(c);
        escaped(text, is_escaped, |c| format!("\\{c}"))
    };
    let net = |write: fn(u32) -> String| {
        let text = text.replace('\\', "\\\\");
        escaped(&text, |c| "+<>&'\"`".contains(c), |c| write(c as u32))
    };
    let percent = |kept: &'static str| {
        let is_escaped = move |c: char| !c.is_ascii_alphanumeric() && !kept.contains(c);
        escaped(text, is_escaped, |c| format!("%{:02X}", c as u32))
    };
    let is_mark = |c: char| !c.is_ascii_alphanumeric();
    let html = |c| "&<>\"'".contains(c);
    vec![
        ("as it is", text.to_owned()),
        ("JSON", json("")),
        ("JSON of PHP", json("/")),
        ("JSON of .NET", net(|code| format!("\\u{code:04X}"))),
        ("JSON in lower case", net(|code| format!("\\u{code:04x}"))),
        ("JSON in numbers", escaped(text, |_| true, unicode)),
        (
            "a script",
            escaped(text, is_mark, |c| format!("\\x{:02x}", c as u32)),
        ),
        ("HTML", escaped(text, html, named)),
        (
            "HTML with numbers",
            escaped(text, is_mark, |c| format!("&#{};", c as u32)),
        ),
        (
            "HTML with hexadecimal numbers",
            escaped(text, |_| true, |c| format!("&#x{:X};", c as u32)),
        ),
        ("HTML with names", escaped(text, is_mark, named)),
        ("a URL", percent("-._~")),
        (
            "a URL in lower case",
            percent("-._~").replace("%2F", "%2f").replace("%3D", "%3d"),
        ),
        ("a form", percent("-._*")),
        (
            "a URL with nothing kept",
            escaped(text, |_| true, |c| format!("%{:02X}", c as u32)),
        ),
    ]
}

/// A string that an echo contains.
struct Echo {
    how: String,
    form: String,
    /// The number of bytes of `form` that precede the token.
    before: usize,
}

/// Returns the ways in which an echo may write a token: an encoding of the token, or of the base64 of a text with it.
fn echoes(token: &str, dice: &mut Dice) -> Vec<Echo> {
    let before = &"Bearer abc"[dice.roll(11)..];
    let source = [before, token].concat();
    let standard = Base64::encode_string(source.as_bytes());
    let url = Base64UrlUnpadded::encode_string(source.as_bytes());
    let digits = before.len() * 4 / 3;
    let mut echoes = Vec::new();
    for (base, text, digits) in [
        ("", token, 0),
        ("base64 as ", &standard, digits),
        ("base64url as ", &url, digits),
    ] {
        let start = encodings(&text[..digits]);
        for ((how, form), (_, start)) in encodings(text).into_iter().zip(start) {
            echoes.push(Echo {
                how: [base, how].concat(),
                form,
                before: start.len(),
            });
        }
    }
    echoes
}

/// Passes `body` through a guard in random chunks, with a pause after each if `pauses` is true. Returns the passed bytes,
/// and true if a token was found.
fn through(token: &str, body: &[u8], dice: &mut Dice, pauses: bool) -> (Vec<u8>, bool) {
    let mut guard = Guard::new(token).unwrap();
    let mut given = Vec::new();
    let longest = dice.pick(&[1, 3, 20, 200]);
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((1 + dice.roll(longest)).min(rest.len()));
        rest = tail;
        guard.take(piece.len()).copy_from_slice(piece);
        let Some(free) = guard.free() else {
            return (given, true);
        };
        given.extend_from_slice(&guard.bytes()[..free]);
        guard.forget(free);
        let free = guard.free_after_pause();
        if pauses && free > 0 {
            given.extend_from_slice(&guard.bytes()[..free]);
            guard.release();
        }
    }
    given.extend_from_slice(guard.bytes());
    (given, false)
}

// claim: api-4
#[test]
fn tokens_are_found_in_each_encoding_and_any_chunks() {
    let mut dice = Dice::new(7);
    for _ in 0..TOKENS {
        for (kind, token) in tokens(&mut dice) {
            let guard = Guard::new(&token).unwrap();
            for Echo { how, form, before } in echoes(&token, &mut dice) {
                if kind == SIGNS && !how.ends_with("as it is") {
                    continue;
                }
                let open = dice.pick(if how.ends_with("as it is") {
                    ANYTHING
                } else {
                    BEFORE
                });
                let body = [open, &form, "\"}"].concat();
                let shown = format!("{kind} as {how}: {token} in {body}");
                assert!(guard.is_in(body.as_bytes()), "{shown}");
                let (given, is_found) = through(&token, body.as_bytes(), &mut dice, false);
                assert!(is_found, "{shown}");
                assert!(given.len() <= open.len() + before, "{shown}: {given:?}");
                let (given, is_found) = through(&token, body.as_bytes(), &mut dice, true);
                assert!(is_found, "{shown}");
                let most = given.len().saturating_sub(open.len() + before);
                assert!(most < SHORTEST * LONGEST_ESCAPE, "{shown}: {given:?}");
            }
        }
    }
}

/// These spellings are named as not covered in `docs/security-claims.md` and `docs/reflection.md`.
// claim: api-4
#[test]
fn other_spellings_are_not_found() {
    let token = "Kz8mXK1EalYznwHLCoMi1fBAo4Ljpz";
    let each = |write: fn(u32) -> String| escaped(token, |_| true, |c| write(c as u32));
    let is_found = |text: &str| Guard::new(token).unwrap().is_in(text.as_bytes());
    for (how, text) in [
        ("code points", each(|code| format!("\\u{{{code:x}}}"))),
        ("octal", each(|code| format!("\\{code:o}"))),
        ("HTML without ;", each(|code| format!("&#{code}"))),
        ("CSS", each(|code| format!("\\{code:x} "))),
        ("hexadecimal", each(|code| format!("{code:x}"))),
        ("an array of numbers", each(|code| format!("{code},"))),
        ("capitals", token.to_uppercase()),
        (
            "twice in base64",
            Base64::encode_string(Base64::encode_string(token.as_bytes()).as_bytes()),
        ),
    ] {
        assert!(!is_found(&text), "{how}");
    }
    // The token itself is found, and so is a known escape of each character.
    assert!(is_found(token) && is_found(&each(|code| format!("&#{code};"))));
}

// claim: api-4
#[test]
fn other_bytes_arrive_unchanged() {
    let mut dice = Dice::new(8);
    for _ in 0..TOKENS {
        for (kind, token) in tokens(&mut dice) {
            // The token without its last character, in each encoding and context, is no token.
            let (most, _) = token.split_at(token.len() - 1);
            for (how, form) in encodings(most) {
                let open = dice.pick(ANYTHING);
                let body = [open, &form, " \n", open, &form].concat();
                for pauses in [false, true] {
                    let (given, is_found) = through(&token, body.as_bytes(), &mut dice, pauses);
                    assert!(!is_found, "{kind} as {how}: {token} in {body}");
                    assert_eq!(given, body.as_bytes());
                }
            }
        }
    }
}
