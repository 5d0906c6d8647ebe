//! Messages that are not interned: the module contains each message itself.

/// True if messages are interned.
pub const ARE_INTERNED: bool = false;

/// Returns a message for people, or a part of such a message, unchanged.
#[macro_export]
macro_rules! msg {
    ($text:expr) => {
        $text
    };
}

/// Does nothing: the code contains each message, so no section of messages is needed.
#[macro_export]
macro_rules! embed_message {
    ($text:expr) => {};
}
