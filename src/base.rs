//! The foundation of all other modules: time, random numbers, errors and their messages, HTTP types, secrets, strings,
//! digests and the allocator.

// This module comes first because the others use its macros.
#[macro_use]
pub(crate) mod messages;

pub mod clock;
pub mod digest;
pub mod entropy;
pub mod error;
pub mod http;
pub(crate) mod list;
pub mod proof;
pub mod secret;
pub mod strings;
#[cfg(any(
    all(target_arch = "wasm32", any(feature = "edge", feature = "vault")),
    test
))]
pub(crate) mod zeroing_alloc;
