//! base64url without padding (RFC 7515 section 2, RFC 4648 section 5), read strictly.
//!
//! Each byte string has exactly one text here. Padding, whitespace, the alphabet of plain base64 and
//! trailing bits that are not zero are refused, so nobody can respell a signed part or a hash.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const INVALID: u8 = 0x80;

/// The six bits that each byte of text stands for, or [`INVALID`].
static SEXTETS: [u8; 256] = {
    let mut sextets = [INVALID; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        sextets[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    sextets
};

/// The base64url text of `bytes`, without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for triple in bytes.chunks(3) {
        let mut octets = [0; 4];
        for (to, from) in octets[1..].iter_mut().zip(triple) {
            *to = *from;
        }
        let bits = u32::from_be_bytes(octets);
        for i in 0..=triple.len() {
            let sextet = bits >> (18 - 6 * i) & 63;
            text.push(ALPHABET[sextet as usize] as char);
        }
    }
    text
}

/// The bytes that `text` stands for, or `None` if it is not the one right spelling of any.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    // One character left over carries fewer bits than a byte.
    if text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = vec![0; text.len() * 3 / 4];
    let mut faults = 0;
    for (quad, triple) in text.as_bytes().chunks(4).zip(bytes.chunks_mut(3)) {
        let mut bits = 0;
        for i in 0..4 {
            let sextet = quad.get(i).map_or(0, |byte| SEXTETS[usize::from(*byte)]);
            faults |= sextet & INVALID;
            bits = bits << 6 | u32::from(sextet);
        }
        bits <<= 8;
        for byte in triple {
            *byte = (bits >> 24) as u8;
            bits <<= 8;
        }
        // Bits beyond the last byte would be a second spelling of the same bytes.
        faults |= u8::from(bits != 0);
    }
    (faults == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_survives_the_way_there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let text = encode(&bytes[..length]);
            assert_eq!(decode(&text).as_deref(), Some(&bytes[..length]), "{text}");
        }
    }

    #[test]
    fn the_examples_of_rfc_4648_lose_their_padding() {
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
    fn refuses_every_other_spelling() {
        for text in [
            "Z", "Zm9vY", "Zg==", "Zg=", "Zm8=", "Zm9v=", "====", "+_8", "-/8", "Zm9v ", " Zm9v",
            "Zm 9v", "Zm9v\n", "Zm\r\n9v", "Zm9v\0", "Zh", "Zn", "Zm9", "Zm-", "Zm9v.", "Zmé", "é",
        ] {
            assert_eq!(decode(text), None, "{text:?} was accepted");
        }
    }
}
