//! Messages that are not interned.

/// True if messages are interned.
pub(crate) const ARE_INTERNED: bool = false;

/// A message for people, or a part of one.
macro_rules! msg {
    ($text:expr) => {
        $text
    };
}

/// Messages are part of the code, so nothing has to be embedded.
macro_rules! embed_message {
    ($text:expr) => {};
}
