//! base64url without padding (RFC 7515 section 2, RFC 4648 section 5), read strictly.
//!
//! Each byte string has exactly one text here. Padding, whitespace, the alphabet of plain base64 and
//! trailing bits that are not zero are refused, so nobody can respell a signed part or a hash.

use base64ct::{Base64UrlUnpadded, Encoding};

/// The base64url text of `bytes`, without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The bytes that `text` stands for, or `None` if it is not the one right spelling of any.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
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
