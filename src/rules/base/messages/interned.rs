//! Interned messages: the module contains a code in place of each message.

/// True if messages are interned.
pub const ARE_INTERNED: bool = true;

/// Replaces a message for people, or a part of one, by its code. The argument must be a literal, since the build
/// searches the sources for messages.
#[macro_export]
macro_rules! msg {
    ($text:expr) => {{
        $crate::embed_message!($text);
        const CODE: [u8; 2] = $crate::base::messages::code($text);
        const MESSAGE: &str = $crate::base::messages::as_str(&CODE);
        MESSAGE
    }};
}

/// Puts a message into the section of the module from which the build writes the file of error messages.
#[macro_export]
macro_rules! embed_message {
    ($text:expr) => {
        const _: () = {
            #[allow(dead_code, unsafe_code, reason = "the build reads this section")]
            #[unsafe(link_section = "strongroom.messages")]
            static EMBEDDED: [u8; $text.len() + 1] = $crate::base::messages::nul_terminated($text);
        };
    };
}

/// The hashes of all messages, eight hexadecimal digits each, from `cargo xtask build`. Without these hashes, as in
/// `cargo check`, all messages have the same code.
const HASHES: Option<&str> = option_env!("STRONGROOM_MESSAGES");

/// Returns the code of the message `text`. The code encodes the message's position among all messages. Positions
/// compress better than hashes, because consecutive positions often occur next to each other in the module.
pub const fn code(text: &str) -> [u8; 2] {
    let Some(hashes) = HASHES else {
        return *b"\x01!";
    };
    let hash = hash(text.as_bytes());
    let (hashes, _) = hashes.as_bytes().as_chunks::<8>();
    let mut i = 0;
    while i < hashes.len() {
        if from_hex(&hashes[i]) == hash {
            // xtask/src/messages.rs computes the same code.
            return [1 + (i / 94) as u8, b'!' + (i % 94) as u8];
        }
        i += 1;
    }
    panic!("msg! takes a literal that `cargo xtask build` has found")
}

/// Returns the FNV-1a hash of `text`.
const fn hash(text: &[u8]) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    let mut i = 0;
    while i < text.len() {
        hash = (hash ^ text[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

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

/// Returns a code as a string.
pub const fn as_str(code: &'static [u8; 2]) -> &'static str {
    match core::str::from_utf8(code) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
}

/// Returns the bytes of `text` and a NUL. `N` is the length of the text plus one.
pub const fn nul_terminated<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut bytes = [0; N];
    let mut i = 0;
    while i < text.len() {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}
