//! Random numbers.

/// A source of unpredictable bytes, which the host provides.
pub trait Entropy {
    /// Fills `bytes` with bytes from a cryptographically secure source.
    fn fill(&mut self, bytes: &mut [u8]);
}
