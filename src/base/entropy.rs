//! Random numbers.

/// A source of unpredictable bytes, which the host provides.
pub trait Entropy {
    /// Fills `bytes` with bytes from a cryptographically secure source.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Fills `bytes` from `crypto.getRandomValues`. Only the hosts (`src/browser` and `src/bindings`) may call this function.
/// The rest of the core uses the [`Entropy`] that its host passes. `tests/supply/layers.test.mjs` checks this.
///
/// # Panics
/// Panics if the platform provides no random numbers, since a vault is not safe without them.
#[cfg(all(target_arch = "wasm32", any(feature = "vault", feature = "edge")))]
pub(crate) fn fill(bytes: &mut [u8]) {
    #[expect(
        clippy::panic,
        reason = "a vault must not run with predictable secrets"
    )]
    if getrandom::fill(bytes).is_err() {
        panic!();
    }
}
