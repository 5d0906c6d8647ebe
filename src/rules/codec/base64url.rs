//! A strict reader and a writer for base64url without padding (RFC 7515 section 2, RFC 4648 section 5), and a writer
//! for plain base64.
//!
//! Each byte string has exactly one encoding. Padding, whitespace, the characters `+` and `/` of plain base64, and
//! trailing bits other than zero are rejected. The same signed part or the same hash therefore cannot be written in two
//! ways.

use crate::prelude::*;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Marks a byte that is not in the alphabet. The value of a character uses only the six lowest bits.
const INVALID: u8 = 1 << 7;

/// The six-bit value of each byte, or [`INVALID`] for a byte that is not in the alphabet.
static SEXTETS: [u8; 256] = {
    let mut sextets = [INVALID; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        sextets[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    sextets
};

/// Encodes `bytes`, without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for triple in bytes.chunks(3) {
        let mut group = [0; 4];
        for (to, from) in group[1..].iter_mut().zip(triple) {
            *to = *from;
        }
        let bits = u32::from_be_bytes(group);
        for i in 0..=triple.len() {
            let sextet = bits >> (18 - 6 * i) & 63;
            text.push(ALPHABET[sextet as usize] as char);
        }
    }
    text
}

/// Encodes `bytes` in plain base64, with padding (RFC 4648 section 4).
#[must_use]
pub fn encode_plain(bytes: &[u8]) -> String {
    let url = encode(bytes);
    let mut text = String::with_capacity(url.len().next_multiple_of(4));
    for c in url.chars() {
        text.push(match c {
            '-' => '+',
            '_' => '/',
            c => c,
        });
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Decodes `text`. Returns `None` if `text` is not the only valid encoding of the decoded bytes.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    decode_into(text.as_bytes(), &mut bytes).then_some(bytes)
}

/// Decodes `text` into `bytes`. Returns false if `text` is not the only valid encoding of the decoded bytes. In that
/// case, the content of `bytes` is unspecified.
#[must_use]
pub fn decode_into(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    // This line only sets the length of `bytes`: the copied bytes are overwritten below. Copying costs less than
    // filling with zeros.
    bytes.extend_from_slice(&text[..text.len() * 3 / 4]);
    let (quads, rest) = text.as_chunks();
    let mut triples = bytes.chunks_exact_mut(3);
    let mut faults = 0;
    for (quad, triple) in quads.iter().zip(&mut triples) {
        let (bits, fault) = read(*quad);
        faults |= fault;
        triple[0] = (bits >> 16) as u8;
        triple[1] = (bits >> 8) as u8;
        triple[2] = bits as u8;
    }
    let (mut bits, fault) = read_last(rest);
    for byte in triples.into_remainder() {
        *byte = (bits >> 16) as u8;
        bits <<= 8;
    }
    (faults | fault) & INVALID == 0
}

/// Returns the 24 bits of four characters, and a byte with the bit [`INVALID`] set if one of the four is not in the
/// alphabet.
// Inlined, because a call for each group of four characters would double the time of decoding.
#[inline(always)]
fn read(quad: [u8; 4]) -> (u32, u8) {
    // The four characters are written out, because the optimizer would not unroll a loop here.
    let [a, b, c, d] = quad;
    let sextet = |byte: u8| SEXTETS[usize::from(byte)];
    let (a, b, c, d) = (sextet(a), sextet(b), sextet(c), sextet(d));
    let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
    (bits, a | b | c | d)
}

/// Reads the characters after the last group of four, as [`read`] does. The bits of these characters are the highest of
/// the 24 bits that are returned.
fn read_last(rest: &[u8]) -> (u32, u8) {
    let mut quad = *b"AAAA";
    for (to, from) in quad.iter_mut().zip(rest) {
        *to = *from;
    }
    let (bits, faults) = read(quad);
    // Bits after the last byte must be zero, because the same bytes would otherwise have a second encoding. A single
    // character is never valid, since it has too few bits for a byte.
    let unused = match rest.len() {
        2 => bits & 0xffff,
        3 => bits & 0xff,
        length => length as u32,
    };
    (bits, if unused == 0 { faults } else { INVALID })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64UrlUnpadded, Encoding};

    #[test]
    fn every_length_round_trips() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let text = encode(&bytes[..length]);
            assert_eq!(decode(&text).as_deref(), Some(&bytes[..length]), "{text}");
        }
    }

    #[test]
    fn rfc_4648_examples_have_no_padding() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn plain_base64_has_its_own_alphabet_and_padding() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..=bytes.len() {
            let bytes = &bytes[..length];
            assert_eq!(encode_plain(bytes), base64ct::Base64::encode_string(bytes));
        }
    }

    #[test]
    fn decoding_agrees_with_base64ct() {
        let mut texts = vec![String::new()];
        for length in 1..=5 {
            for base in ["AAAAA", "Zm9vY", "_-_-_"] {
                for last in ('\0'..='\u{ff}').chain(['あ']) {
                    let mut text = base[..length - 1].to_owned();
                    text.push(last);
                    texts.push(text.clone());
                    text.push('A');
                    texts.push(text);
                }
            }
        }
        for text in texts {
            let bytes = Base64UrlUnpadded::decode_vec(&text).ok();
            assert_eq!(decode(&text), bytes, "{text:?}");
            if let Some(bytes) = bytes {
                assert_eq!(encode(&bytes), text);
                assert_eq!(Base64UrlUnpadded::encode_string(&bytes), text);
            }
        }
    }

    #[test]
    fn rejects_non_canonical_encodings() {
        for text in [
            "Z", "Zm9vY", "Zg==", "Zg=", "Zm8=", "Zm9v=", "====", "+_8", "-/8", "Zm9v ", " Zm9v",
            "Zm 9v", "Zm9v\n", "Zm\r\n9v", "Zm9v\0", "Zh", "Zn", "Zm9", "Zm-", "Zm9v.", "Zmé", "é",
        ] {
            assert_eq!(decode(text), None, "{text:?} was accepted");
        }
    }
}
