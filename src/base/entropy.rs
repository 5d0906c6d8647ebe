//! Random numbers of the platform.

/// Fills `bytes` from `crypto.getRandomValues`.
///
/// # Panics
/// If the platform has no random numbers: nothing in a vault is safe without them.
pub(crate) fn fill(bytes: &mut [u8]) {
    #[expect(
        clippy::panic,
        reason = "a vault must not run with predictable secrets"
    )]
    if getrandom::fill(bytes).is_err() {
        panic!();
    }
}
