//! An allocator that wipes freed memory, a panic handler, and random numbers, for WebAssembly modules without the standard
//! library.
//!
//! Nothing about tokens may enter this crate, and nothing that a module with the standard library needs.
//!
//! Only the modules for apps, in `src/browser` and `src/edge/module`, may depend on this crate. A module with the
//! standard library, such as that of `strongroom/testing`, already has an allocator and a panic handler.

#![cfg_attr(target_arch = "wasm32", no_std)]

#[cfg(target_arch = "wasm32")]
mod runtime;
#[cfg(any(target_arch = "wasm32", test))]
mod zeroing_alloc;

/// Fills `bytes` from `crypto.getRandomValues`.
///
/// # Panics
/// Panics if the platform provides no random numbers, since tokens are not safe without them.
#[cfg(target_arch = "wasm32")]
pub fn fill_random(bytes: &mut [u8]) {
    #[expect(clippy::panic, reason = "no module may run with predictable secrets")]
    if getrandom::fill(bytes).is_err() {
        panic!();
    }
}
