//! What `alloc` has that the standard prelude would bring: the wasm build is `no_std`, because the
//! standard library's panic messages alone cost kilobytes there.

pub(crate) use alloc::borrow::ToOwned;
pub(crate) use alloc::boxed::Box;
pub(crate) use alloc::string::String;
pub(crate) use alloc::vec;
pub(crate) use alloc::vec::Vec;
