//! Random mutations of inputs. The seed is fixed, so the mutations are the same in each run.

use kit::dice::Dice;

/// Strings with a special meaning for parsers.
const WORDS: &[&str] = &[
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    ".",
    "..",
    "/",
    "//",
    "%",
    "%2e",
    "%2f",
    "%5c",
    "%00",
    "%25",
    "@",
    "#",
    "?",
    "&",
    "=",
    ";",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\0",
    "\u{7f}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "。",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "1.5",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "none",
    "ES256",
    "HS256",
    "\"exp\":1",
    "\"kid\":\"../x\"",
    "\"crit\":[]",
    "https://",
    "http://",
    "javascript:",
    "evil.test",
    "api.example.com",
    "127.0.0.1",
    "[::1]",
    "__proto__",
    "invalid_grant",
    "Bearer",
    "DPoP",
];

/// Returns a mutation of `input`, which may contain parts of `other`.
pub(crate) fn mutated(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.roll(4) {
        mutate(&mut bytes, other, dice);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let end = at + dice.roll((bytes.len() - at).min(16) + 1);
    match dice.roll(8) {
        0 => flip(bytes, at, dice),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let copy = bytes[at..end].to_vec();
            insert(bytes, at, &copy.repeat(1 + dice.roll(4)));
        }
        3 => {
            let from = dice.roll(other.len() + 1);
            let to = from + dice.roll(other.len() - from + 1);
            insert(bytes, at, &other[from..to]);
        }
        4 => insert(bytes, at, &[u8::try_from(dice.roll(256)).unwrap()]),
        5 => bytes.truncate(at),
        _ => {
            bytes.drain(at..end);
            insert(bytes, at, dice.pick(WORDS).as_bytes());
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << dice.roll(8);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}
