//! PKCE pairs and the status of JSON Web Tokens, without a vault, for `strongroom/core`.
//!
//! JavaScript and this module exchange values in one buffer. A string argument would be allocated, copied and freed at
//! each call, which takes longer than the function itself.

use crate::oauth::jwt::{MAX_LEN, Status, StatusReader};
use crate::oauth::pkce::Pkce;
use crate::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;

/// The length of the buffer. The buffer exceeds `MAX_LEN` by four bytes, the length of the longest UTF-8 character.
/// JavaScript can therefore write more than `MAX_LEN` bytes of a longer token, and the reader recognizes that the token
/// is too long.
const BUFFER_LEN: usize = MAX_LEN + 4;

/// Bytes of entropy for a PKCE pair.
const ENTROPY_LEN: usize = 32;

/// Offset that `jwt_status` adds to the `exp` of a token that has expired.
const EXPIRED: f64 = 1e12;

/// Offset that `jwt_status` adds to the `nbf` of a token that is not valid yet.
const NOT_YET_VALID: f64 = 2e12;

/// The object that JavaScript uses. Its buffer is never freed.
#[wasm_bindgen]
pub struct Core(&'static mut State);

struct State {
    buffer: [u8; BUFFER_LEN],
    reader: StatusReader,
}

#[wasm_bindgen]
impl Core {
    /// Creates an empty buffer.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript calls it")]
    #[must_use]
    pub fn new() -> Self {
        Self(Box::leak(Box::new(State {
            buffer: [0; BUFFER_LEN],
            reader: StatusReader::default(),
        })))
    }

    /// Returns the address of the buffer.
    #[must_use]
    pub fn buffer(&mut self) -> *mut u8 {
        self.0.buffer.as_mut_ptr()
    }

    /// Returns the number of bytes in the buffer.
    #[must_use]
    pub fn buffer_length(&self) -> usize {
        BUFFER_LEN
    }

    /// Makes a PKCE pair from the 32 bytes of entropy at the start of the buffer, and overwrites them with the pair:
    /// the 43 characters of the verifier, then the 43 of the challenge.
    pub fn make_pkce(&mut self) {
        let mut entropy = [0; ENTROPY_LEN];
        entropy.copy_from_slice(&self.0.buffer[..ENTROPY_LEN]);
        let Pkce {
            verifier,
            challenge,
        } = Pkce::from_entropy(entropy);
        let texts = verifier.expose().bytes().chain(challenge.bytes());
        for (to, from) in self.0.buffer.iter_mut().zip(texts) {
            *to = from;
        }
    }

    /// Returns the status of the token in the first `length` bytes of the buffer, and wipes the token. For a valid
    /// token, the status is `exp` in seconds since the Unix epoch. For an expired token, the status is `exp` plus 1e12,
    /// and for a token that is not valid yet, `nbf` plus 2e12. For a malformed token, the buffer then starts with the
    /// reason, and the status is minus the reason's length.
    pub fn jwt_status(&mut self, length: usize, now: f64, tolerance: f64) -> f64 {
        let State { buffer, reader } = &mut *self.0;
        let Some(token) = buffer.get_mut(..length) else {
            return EXPIRED;
        };
        // A NaN is replaced, because `NaN as u64` is 0, and no token has expired at the time 0.
        let now = if now.is_nan() { u64::MAX } else { now as u64 };
        let status = reader.status(token, now, tolerance as u64);
        token.fill(0);
        match status {
            Status::ValidUntil(until) => until as f64,
            Status::ExpiredSince(since) => EXPIRED + since as f64,
            Status::NotYetValid(from) => NOT_YET_VALID + from as f64,
            Status::Malformed(reason) => {
                let reason = reason.as_str().as_bytes();
                for (to, from) in buffer.iter_mut().zip(reason) {
                    *to = *from;
                }
                -(reason.len() as f64)
            }
        }
    }
}
