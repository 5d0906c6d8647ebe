//! The JavaScript interface of the core. The interface to the platform is in `src/browser/platform.rs`.
//!
//! Bindings convert values and decide nothing. Errors become objects with `code` and `message`.
//!
//! Each child is built as a wasm module of its own, with the Cargo feature of its name.

#[cfg(feature = "core")]
pub mod core;
#[cfg(feature = "edge")]
pub mod edge;
mod no_std;
#[cfg(feature = "vault")]
pub mod vault;
