//! Checks responses that may contain a token. The bytes that reach the page must not contain the token, neither plain
//! nor in base64. These bytes must be unchanged, and must not depend on the chunks in which the body arrives.

use base64ct::{Base64UrlUnpadded, Encoding};
use rules::egress::token_reflection::Guard;

const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

/// Takes a token in the first line, the lengths of chunks as bytes in the second, and then the body. An invalid token
/// is replaced by the default token.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let [token, cuts, body] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let token = core::str::from_utf8(token).ok().filter(|text| {
        (16..4000).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let token = token.unwrap_or(TOKEN);
    // Placeholders are replaced by the token, so that the fuzzer does not have to guess the token.
    let body = replace(body, b"%T", token.as_bytes());
    let encoded = Base64UrlUnpadded::encode_string(token.as_bytes());
    let body = replace(&body, b"%B", encoded.as_bytes());
    let whole = Guard::new(token).unwrap();
    let is_there = whole.is_in(&body);
    let (given, is_broken_off) = through(token, &body, cuts);
    assert_eq!(is_broken_off, is_there);
    assert!(body.starts_with(&given));
    if !is_broken_off {
        assert_eq!(given, body);
    }
    // If the token ends within a base64 character, that character also contains bits of the next byte.
    for needle in [token, &encoded[..token.len() * 8 / 6]] {
        let is_in = |text: &[u8]| text.windows(needle.len()).any(|at| at == needle.as_bytes());
        assert!(!is_in(&given), "{needle} got through");
        assert!(is_broken_off || !is_in(&body));
    }
}

/// Passes a body through the guard in chunks. Returns the bytes that the guard let pass, and true if it found the
/// token.
fn through(token: &str, body: &[u8], cuts: &[u8]) -> (Vec<u8>, bool) {
    let mut guard = Guard::new(token).unwrap();
    let mut given = Vec::new();
    let mut rest = body;
    let mut lengths = cuts.iter().map(|byte| usize::from(*byte)).cycle();
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(1000).max(1).min(rest.len());
        let (piece, tail) = rest.split_at(length);
        rest = tail;
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

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if rest.starts_with(from) && out.len() < 100_000 {
            out.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}
