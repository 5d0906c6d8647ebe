//! The items of `alloc` that most files use: items of the standard prelude, and `vec!`. The wasm build is `no_std`,
//! because the panic messages of the standard library alone take kilobytes. `msg!` marks a message for people.

pub use alloc::borrow::ToOwned;
pub use alloc::boxed::Box;
pub use alloc::string::String;
pub use alloc::vec;
pub use alloc::vec::Vec;

pub use crate::msg;
