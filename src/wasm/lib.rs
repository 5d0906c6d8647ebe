//! The allocator, the panic handler and the random numbers of a WebAssembly module, which has no standard library.
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
/// Panics if the platform provides no random numbers, since a vault is not safe without them.
#[cfg(target_arch = "wasm32")]
pub fn fill_random(bytes: &mut [u8]) {
    #[expect(
        clippy::panic,
        reason = "a vault must not run with predictable secrets"
    )]
    if getrandom::fill(bytes).is_err() {
        panic!();
    }
}
