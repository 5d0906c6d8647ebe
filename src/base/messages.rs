//! Sentences for people, which the module for browsers is built without.
//!
//! Most pages never see an error, so the texts of errors are not downloaded before there is one. With
//! the feature `interned-messages`, `msg!` leaves a control character and a printable one in the text's place, by which
//! the page finds the text in a file of its own (pkg/src/page/error-messages.ts); the text itself goes to a section of
//! the module that `cargo xtask build` takes out and makes that file of. Values stay as they are:
//! "the value of " and " has a line break or NUL" are two codes, with the header's name between.
//!
//! Text from outside cannot pose as one of ours: `quote` in [`error`](crate::base::error) lets no control
//! character through.

/// A sentence for people, or a part of one.
#[cfg(not(feature = "interned-messages"))]
macro_rules! msg {
    ($text:expr) => {
        $text
    };
}

/// A sentence for people, or a part of one: here the code that stands for it. It is a literal: the build reads the
/// sources for them.
#[cfg(feature = "interned-messages")]
macro_rules! msg {
    ($text:expr) => {{
        embed_message!($text);
        const CODED: [u8; 2] = $crate::base::messages::coded($text);
        const WORDS: &str = $crate::base::messages::as_str(&CODED);
        WORDS
    }};
}

/// Puts a text into the section that becomes the page's file.
#[cfg(feature = "interned-messages")]
macro_rules! embed_message {
    ($text:expr) => {
        const _: () = {
            #[allow(dead_code, unsafe_code, reason = "a section that nothing here reads")]
            #[unsafe(link_section = "strongroom.words")]
            static KEPT: [u8; $text.len() + 1] = $crate::base::messages::ended($text);
        };
    };
}

/// The hashes of all texts, eight hexadecimal digits each, from `cargo xtask build`. Without them, as when the code is
/// only checked, all texts have one code.
#[cfg(feature = "interned-messages")]
const HASHES: Option<&str> = option_env!("STRONGROOM_WORDS");

/// The code for `text`: by its place among all texts, since neighbours often stand side by side in the module, and
/// what counts up compresses better than a hash.
#[cfg(feature = "interned-messages")]
pub(crate) const fn coded(text: &str) -> [u8; 2] {
    let Some(hashes) = HASHES else {
        return *b"\x01!";
    };
    let hash = hash(text.as_bytes());
    let (hashes, _) = hashes.as_bytes().as_chunks::<8>();
    let mut i = 0;
    while i < hashes.len() {
        if from_hex(&hashes[i]) == hash {
            // xtask/src/words.rs computes the same.
            return [1 + (i / 94) as u8, b'!' + (i % 94) as u8];
        }
        i += 1;
    }
    panic!("msg! takes a literal, and `cargo xtask build` has to know it")
}

/// FNV-1a.
#[cfg(feature = "interned-messages")]
const fn hash(text: &[u8]) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    let mut i = 0;
    while i < text.len() {
        hash = (hash ^ text[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

#[cfg(feature = "interned-messages")]
const fn from_hex(digits: &[u8; 8]) -> u32 {
    let mut number = 0;
    let mut i = 0;
    while i < digits.len() {
        let digit = match digits[i] {
            letter @ b'a'..=b'f' => letter - b'a' + 10,
            digit => digit - b'0',
        };
        number = number << 4 | digit as u32;
        i += 1;
    }
    number
}

#[cfg(feature = "interned-messages")]
pub(crate) const fn as_str(code: &'static [u8; 2]) -> &'static str {
    match core::str::from_utf8(code) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
}

/// The bytes of `text` and a NUL. `N` is longer by one than the text.
#[cfg(feature = "interned-messages")]
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
