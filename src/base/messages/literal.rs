//! Messages that are not interned: the module contains each message itself.

/// True if messages are interned.
pub(crate) const ARE_INTERNED: bool = false;

/// Returns a message for people, or a part of such a message, unchanged.
macro_rules! msg {
    ($text:expr) => {
        $text
    };
}

/// Messages are part of the code, so nothing has to be embedded.
macro_rules! embed_message {
    ($text:expr) => {};
}
