//! What JavaScript sees of the core. What the core sees of JavaScript is in `web/js.rs`.
//!
//! It translates and decides nothing. Errors cross as objects with `code` and `message`.
//!
//! Each of these is built as a module of its own, with the Cargo feature of its name: who uses the
//! one does not download the other.

#[cfg(feature = "core")]
pub mod core;
#[cfg(feature = "edge")]
pub mod edge;
#[cfg(feature = "vault")]
pub mod vault;
