//! PKCE and the status of tokens by themselves, for `strongroom/core`.
//!
//! Values cross in one buffer, which JavaScript writes to and reads from. A string passed as an argument would be
//! allocated, copied and freed at each call, which takes longer than the work.

use crate::oauth::jwt::{MAX_LEN, Status, StatusReader};
use crate::oauth::pkce::Pkce;
use crate::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;

/// The buffer has room for one more character of four bytes, so that a token that is too long to be read still shows its
/// length.
const BUFFER_LEN: usize = MAX_LEN + 4;

/// Bytes of entropy for a PKCE pair.
const ENTROPY_LEN: usize = 32;

/// Added to the `exp` of a token that has expired.
const EXPIRED: f64 = 1e12;

/// Added to the `nbf` of a token that is not valid yet.
const NOT_YET_VALID: f64 = 2e12;

/// The buffer, and the functions that use it. There is one buffer for as long as the module is loaded.
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

    /// Makes a PKCE pair from the 32 bytes of entropy in the buffer, and puts the pair in their place: the verifier's 43
    /// characters, then the challenge's 43.
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

    /// Returns the status of the token in the first `length` bytes of the buffer, and wipes the token. The status is its
    /// time in seconds since the Unix epoch, plus 1e12 if the token has expired or 2e12 if it is not valid yet. For a
    /// malformed token it is minus the length of the reason, which is then in the buffer.
    pub fn jwt_status(&mut self, length: usize, now: f64, tolerance: f64) -> f64 {
        let State { buffer, reader } = &mut *self.0;
        let Some(token) = buffer.get_mut(..length) else {
            return EXPIRED;
        };
        // `NaN as u64` is 0, at which every token would be valid.
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
