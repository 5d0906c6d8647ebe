//! Secrets are wiped when dropped, hidden in debug output, and compared in constant time.
//!
//! A [`Secret`] holds a value that can help an attacker to act as the user: access, refresh and ID tokens, the PKCE
//! `code_verifier`, `state`, `nonce`, and authorization codes. The value can only be read with [`Secret::expose`], so a
//! search for the word `expose` finds every use.

use crate::prelude::*;
use core::fmt;
#[cfg(not(target_arch = "wasm32"))]
use zeroize::Zeroize;

/// A string that is wiped on drop. Its debug output hides the value and the length.
///
/// A `Secret` implements neither `Display` nor serialization:
///
/// ```compile_fail
/// let secret = rules::Secret::from("hunter2");
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

    /// Returns the value. Use it only for the request that needs the secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns true if `other` is the same string. The duration of the comparison depends only on the lengths.
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

// In the wasm modules the allocator wipes all freed memory: see src/wasm/zeroing_alloc.rs.
#[cfg(not(target_arch = "wasm32"))]
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Wipes bytes that are about to be dropped. In the wasm modules this function does nothing, because the allocator
/// wipes all freed memory.
pub fn wipe(bytes: &mut Vec<u8>) {
    #[cfg(not(target_arch = "wasm32"))]
    bytes.zeroize();
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        /// The number of bytes that were compared.
        pub(super) static COMPARED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }

    // claim: script-14
    #[test]
    fn matches_compares_every_byte() {
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
    fn wipe_clears_bytes() {
        let mut bytes = vec![1, 2];
        wipe(&mut bytes);
        assert!(bytes.is_empty());
    }

    #[test]
    fn debug_output_hides_value_and_length() {
        let short = format!("{:?}", Secret::from("a"));
        let long = format!("{:?}", Secret::from("a much longer secret"));
        assert_eq!(short, long);
        assert!(!long.contains("longer"));
    }

    // claim: script-14
    #[test]
    fn matches_only_equal_strings() {
        let secret = Secret::from("state-123");
        assert!(secret.matches("state-123"));
        assert!(!secret.matches("state-124"));
        assert!(!secret.matches("state-12"));
        assert!(!secret.matches(""));
        // Two differences must not cancel each other.
        assert!(!secret.matches("tsate-123"));
    }
}
