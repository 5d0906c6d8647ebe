//! The items of `alloc` that most files use: items of the standard prelude, and `vec!`. The wasm build is `no_std`,
//! because the panic messages of the standard library alone take kilobytes.

pub(crate) use alloc::borrow::ToOwned;
pub(crate) use alloc::boxed::Box;
pub(crate) use alloc::string::String;
pub(crate) use alloc::vec;
pub(crate) use alloc::vec::Vec;
