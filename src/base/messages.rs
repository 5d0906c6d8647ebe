//! Error messages, which are interned in the browser's modules.
//!
//! Most pages never see an error, so a page downloads the error messages only when its first error occurs. With the
//! feature `interned-messages`, `msg!` replaces a message by two characters, a control character and a printable one.
//! The page looks up the message by these characters (pkg/src/page/error-messages.ts). The message itself is put into a
//! section of the module, which `cargo xtask build` removes and turns into the page's file. Values are not interned:
//! "the value of " and " has a line break or NUL" are two messages with a header's name between them.
//!
//! External input cannot imitate an interned message, because `quote` in [`error`](crate::base::error) replaces control
//! characters.

#[macro_use]
#[cfg_attr(not(feature = "interned-messages"), path = "messages/literal.rs")]
mod interned;

pub(crate) use interned::*;
