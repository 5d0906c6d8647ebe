//! Sentences for people, which the module for browsers is built without.
//!
//! Most pages never see an error, so the texts of errors are not downloaded before there is one. With
//! the feature `coded`, `words!` leaves one private-use character in the text's place, by which the
//! page finds the text in a file of its own (pkg/src/words.ts); the text itself goes to a section of
//! the module that `cargo xtask build` takes out and makes that file of. Values stay as they are:
//! "the value of " and " has a line break or NUL" are two characters, with the header's name between.
//!
//! Text from outside cannot pose as one of ours: `quote` in [`error`](crate::error) lets no such
//! character through.

/// A sentence for people, or a part of one.
#[cfg(not(feature = "coded"))]
macro_rules! words {
    ($text:expr) => {
        $text
    };
}

/// A sentence for people, or a part of one: here the character that stands for it.
#[cfg(feature = "coded")]
macro_rules! words {
    ($text:expr) => {{
        keep!($text);
        const CODED: [u8; 4] = $crate::words::coded($text);
        const WORDS: &str = $crate::words::as_str(&CODED);
        WORDS
    }};
}

/// Puts a text into the section that becomes the page's file.
#[cfg(feature = "coded")]
macro_rules! keep {
    ($text:expr) => {
        const _: () = {
            #[allow(dead_code, unsafe_code, reason = "a section that nothing here reads")]
            #[unsafe(link_section = "strongroom.words")]
            static KEPT: [u8; $text.len() + 1] = $crate::words::ended($text);
        };
    };
}

/// The character for `text`, in UTF-8: of the private-use plane at U+F0000, by a hash of the text (FNV-1a,
/// 32 bits, its halves folded by XOR). Should two texts share one, the build fails.
#[cfg(feature = "coded")]
pub(crate) const fn coded(text: &str) -> [u8; 4] {
    let text = text.as_bytes();
    let mut hash = 0x811C_9DC5_u32;
    let mut i = 0;
    while i < text.len() {
        hash = (hash ^ text[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    let mut utf8 = [0; 4];
    match char::from_u32(0xF_0000 + ((hash ^ (hash >> 16)) & 0xFFFF)) {
        Some(c) => c.encode_utf8(&mut utf8),
        None => unreachable!(),
    };
    utf8
}

#[cfg(feature = "coded")]
pub(crate) const fn as_str(utf8: &'static [u8; 4]) -> &'static str {
    match core::str::from_utf8(utf8) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
}

/// The bytes of `text` and a NUL. `N` is longer by one than the text.
#[cfg(feature = "coded")]
pub(crate) const fn ended<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut bytes = [0; N];
    let mut i = 0;
    while i < text.len() {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}
