//! The keyring for cookies and records. The first key seals and all keys open, so a key can be replaced while sessions
//! continue.
//!
//! A key's ID is derived from a hash of the key, so isolates with the same key use the same ID.

use core::fmt;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rules::prelude::*;
use sha2::Sha256;
use zeroize::Zeroize;

use rules::codec::base64url;
use rules::codec::json;
use rules::oauth::pkce;

/// Length of an AES-256 key in bytes.
const LENGTH: usize = 32;

/// Largest number of keys in a keyring.
const MOST: usize = 16;

/// The beginning of the keys that `testKeys()` of `strongroom/edge/testing` returns.
const TEST_ONLY: &[u8] = b"test-only";

/// A key for AES-256-GCM.
pub struct Key {
    /// The key's ID, which is a part of each value that the key has sealed.
    pub id: String,
    bytes: Vec<u8>,
    /// The key for MACs, which is derived from the key for AES-GCM.
    mac_key: Vec<u8>,
}

/// The configured keys. The first key seals new values, and all keys open values.
#[derive(Debug, Default)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Reads keys, each 32 bytes in base64 or base64url, with or without padding.
    ///
    /// # Errors
    /// A message with the fault, and with the number of the invalid key if one key is invalid.
    pub fn parse(texts: &[&str]) -> Result<Self, String> {
        if texts.len() > MOST {
            return Err(msg!("there are more than 16 keys").to_owned());
        }
        let mut keys: Vec<Key> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let refused = |why: &[&str]| {
                let mut message = msg!("key ").to_owned();
                json::write_number(&mut message, i as u64 + 1);
                message.extend(why.iter().copied());
                Err(message)
            };
            let Some(bytes) = decode(text) else {
                return refused(&[msg!(" is not base64 (openssl rand -base64 32)")]);
            };
            if bytes.len() != LENGTH {
                return refused(&[
                    msg!(" has "),
                    &json::digits(bytes.len() as u64),
                    msg!(" bytes, and must have 32 random ones (openssl rand -base64 32)"),
                ]);
            }
            let hash = pkce::sha256(&bytes);
            let id = base64url::encode(hash.get(..6).unwrap_or_default());
            if keys.iter().any(|key| key.id == id) {
                return refused(&[msg!(" is given twice")]);
            }
            let mac_key = derived(&bytes);
            keys.push(Key { id, bytes, mac_key });
        }
        Ok(Self(keys))
    }

    /// Returns all keys, for the host.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// Returns true if a key is for end-to-end tests, which may be known to others.
    pub(crate) fn has_test_key(&self) -> bool {
        self.0.iter().any(|key| key.bytes.starts_with(TEST_ONLY))
    }

    /// Returns the ID of the sealing key.
    pub(crate) fn sealing(&self) -> &str {
        self.0.first().map_or("", |key| &key.id)
    }

    /// Returns the index of the key with this ID, if the keyring has the key.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        // control: former_keys_still_open
        self.0.iter().position(|key| key.id == id)
    }
}

impl Key {
    /// Returns the bytes of the key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the key for MACs.
    pub(crate) fn mac_key(&self) -> &[u8] {
        &self.mac_key
    }
}

/// Derives the key for MACs: one key must not serve two algorithms.
fn derived(bytes: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(bytes);
    mac.map_or_else(
        |_| Vec::new(),
        |mac| {
            mac.chain_update("strongroom mac 1")
                .finalize()
                .into_bytes()
                .to_vec()
        },
    )
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.zeroize();
        self.mac_key.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).finish()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut url: Vec<u8> = text.into();
    while url.last() == Some(&b'=') {
        url.pop();
    }
    for byte in &mut url {
        match byte {
            b'+' => *byte = b'-',
            b'/' => *byte = b'_',
            _ => {}
        }
    }
    let mut bytes = Vec::new();
    let is_sound = base64url::decode_into(&url, &mut bytes);
    url.zeroize();
    is_sound.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const B: &str = "//////////////////////////////////////////8=";

    #[test]
    fn key_id_is_equal_in_both_base64_alphabets() {
        let plain = Keyring::parse(&[A, B]).unwrap();
        let url = Keyring::parse(&[
            A.trim_end_matches('='),
            &B.trim_end_matches('=').replace('/', "_"),
        ])
        .unwrap();
        let names = |ring: &Keyring| -> Vec<String> {
            ring.keys().iter().map(|key| key.id.clone()).collect()
        };
        assert_eq!(names(&plain), names(&url));
        assert_eq!(plain.find(plain.sealing()), Some(0));
        assert_eq!(plain.keys()[1].bytes(), [255; 32]);
    }

    #[test]
    fn plus_and_slash_are_read_as_in_base64url() {
        let plain = Keyring::parse(&["+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8="]).unwrap();
        let url = Keyring::parse(&["-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8"]).unwrap();
        assert_eq!(plain.keys()[0].bytes(), url.keys()[0].bytes());
    }

    #[test]
    fn keyring_has_at_most_sixteen_keys() {
        let keys: Vec<String> = (0..17).map(|n| base64url::encode(&[n; 32])).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(Keyring::parse(&keys[..16]).unwrap().keys().len(), 16);
        assert!(Keyring::parse(&keys).unwrap_err().contains("16"));
    }

    #[test]
    fn invalid_key_is_named_by_index_and_hidden() {
        for (texts, why) in [
            (&[A, "c2hvcnQ="][..], "key 2 has 5 bytes"),
            (&["not base64!"], "key 1 is not base64"),
            (&[A, A], "key 2 is given twice"),
        ] {
            let error = Keyring::parse(texts).unwrap_err();
            assert!(error.starts_with(why), "{error}");
            assert!(!error.contains("c2hvcnQ"));
        }
        let ring = Keyring::parse(&[A]).unwrap();
        assert!(!format!("{ring:?}").contains("AAEC"));
    }
}
