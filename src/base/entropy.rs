//! Random numbers from the platform.

/// Fills `bytes` from `crypto.getRandomValues`.
///
/// # Panics
/// Panics if the platform provides no random numbers, since a vault is not safe without them.
pub(crate) fn fill(bytes: &mut [u8]) {
    #[expect(
        clippy::panic,
        reason = "a vault must not run with predictable secrets"
    )]
    if getrandom::fill(bytes).is_err() {
        panic!();
    }
}
