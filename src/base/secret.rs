//! Secrets are wiped when dropped, never printed, never serialised, and compared in constant time.
//!
//! A [`Secret`] holds any value that would let its bearer act as the user: access, refresh and ID
//! tokens, the PKCE `code_verifier`, `state`, `nonce`, an authorization code. The only way to the
//! text is [`Secret::expose`], so a search for that word finds every place where one is used.

use crate::prelude::*;
use core::fmt;
#[cfg(not(target_arch = "wasm32"))]
use zeroize::Zeroize;

/// A text that is wiped on drop and shows nothing of itself, not even its length.
///
/// It implements neither `Display` nor any serialisation:
///
/// ```compile_fail
/// let secret = strongroom::Secret::from("hunter2");
/// println!("{secret}");
/// ```
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`. The caller must not keep a copy.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the request that needs it and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same text, in time that depends only on the lengths.
    #[must_use]
    pub fn matches(&self, other: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), other.as_bytes());
        if a.len() != b.len() {
            return false;
        }
        let difference = a.iter().zip(b).fold(0_u8, |acc, (x, y)| {
            #[cfg(test)]
            tests::COMPARED.set(tests::COMPARED.get() + 1);
            acc | (x ^ y)
        });
        core::hint::black_box(difference) == 0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

// In the wasm modules the allocator wipes all that is dropped: see src/base/zeroing_alloc.rs.
#[cfg(not(target_arch = "wasm32"))]
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Wipes octets that are about to be dropped.
pub(crate) fn wipe(octets: &mut Vec<u8>) {
    #[cfg(not(target_arch = "wasm32"))]
    octets.zeroize();
    let _ = octets;
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        /// The number of bytes that were compared.
        pub(super) static COMPARED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }

    #[test]
    fn matches_compares_every_byte_whatever_differs() {
        let secret = Secret::from("state-123");
        for (other, expected) in [
            ("state-123", true),
            ("state-124", false),
            ("Xtate-123", false),
            ("XXXXXXXXX", false),
        ] {
            COMPARED.set(0);
            assert_eq!(secret.matches(other), expected, "{other}");
            assert_eq!(COMPARED.get(), other.len(), "{other}");
        }
    }

    #[test]
    fn wiped_octets_are_gone() {
        let mut octets = vec![1, 2];
        wipe(&mut octets);
        assert!(octets.is_empty());
    }

    #[test]
    fn debug_output_shows_neither_text_nor_length() {
        let short = format!("{:?}", Secret::from("a"));
        let long = format!("{:?}", Secret::from("a much longer secret"));
        assert_eq!(short, long);
        assert!(!long.contains("longer"));
    }

    #[test]
    fn matches_only_the_same_text() {
        let secret = Secret::from("state-123");
        assert!(secret.matches("state-123"));
        assert!(!secret.matches("state-124"));
        assert!(!secret.matches("state-12"));
        assert!(!secret.matches(""));
        // Differences at two places do not cancel each other.
        assert!(!secret.matches("tsate-123"));
    }
}
