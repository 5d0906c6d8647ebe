//! Error messages, which are interned in the vault's module.
//!
//! Most pages never see an error, so a page downloads the error messages only when its first error occurs. With the
//! feature `interned-messages`, `msg!` replaces a message by two characters, a control character and a printable one.
//! The page looks up the message by these characters (pkg/src/page/errors/error-messages.ts). The message itself goes
//! into a section of the module. `cargo xtask build` removes this section from the module, and writes its messages to the file
//! that pages download. Values are not interned. For example, an error may consist of the message "the value of ", a
//! header's name as it is, and the message " has a line break or NUL".
//!
//! External input cannot imitate an interned message, because `quote` in [`error`](crate::base::error) replaces control
//! characters.

#[macro_use]
#[cfg_attr(not(feature = "interned-messages"), path = "messages/literal.rs")]
mod interned;

pub use interned::*;
