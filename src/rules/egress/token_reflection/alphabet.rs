//! The characters that tokens consist of.
//!
//! The smaller the alphabet, the more of a body is passed over, and the less is held back. An alphabet is therefore
//! chosen by the kind of a session's tokens. This kind is all that the alphabet reveals about them.

/// A byte that no token and no escape of a character contains. The search passes over it.
pub(super) const OTHER: u8 = 0;

/// A byte that an escape or a line break contains.
pub(super) const SPECIAL: u8 = 1;

/// The bytes that begin an escape, are a part of it, or belong to a line break. Letters and digits are not among them,
/// since they are characters of each alphabet.
const SPECIALS: &[u8] = b"\\%&#;\r\n";

/// The characters of JWTs (RFC 7515 7.1) besides letters and digits. Neither JSON nor URLs escape them.
const OF_JWTS: &[u8] = b"-._";

/// The characters of Bearer tokens (RFC 6750 2.1) besides letters and digits. They include those of base64.
const OF_BEARER_TOKENS: &[u8] = b"-._~+/=";

/// The characters of other common tokens besides letters and digits, such as separators of their parts. The alphabet does
/// not contain the brackets, quotes and commas of JSON.
const COMMON: &[u8] = b"-._~+/=!$*:?@^|";

/// The characters that a search takes for characters of tokens, as a table with one entry per byte: [`OTHER`],
/// [`SPECIAL`] or the character. The two alphabets of base64 (RFC 4648 4 and 5) differ in two characters, which count as
/// equal: `+` as `-`, and `/` as `_`. Special bytes that stand for themselves also count as equal.
pub(super) struct Alphabet {
    table: [u8; 256],
    /// True if each character that a token may have is in the alphabet (RFC 6749 A.12). Special bytes then may also stand
    /// for themselves.
    is_whole: bool,
}

impl Alphabet {
    /// Returns the smallest alphabet for these tokens.
    pub(super) fn of(tokens: &[&str]) -> Self {
        let consist_of = |marks: &&&[u8]| {
            tokens
                .iter()
                .all(|token| token.bytes().all(|byte| is_of(&byte, marks)))
        };
        let marks = [OF_JWTS, OF_BEARER_TOKENS, COMMON];
        let marks = marks.iter().find(consist_of);
        let is_whole = marks.is_none();
        let mut table = [OTHER; 256];
        for byte in 33..127_u8 {
            if marks.is_none_or(|marks| is_of(&byte, marks)) {
                table[usize::from(byte)] = match byte {
                    b'+' => b'-',
                    b'/' => b'_',
                    _ => byte,
                };
            }
        }
        for byte in SPECIALS {
            let entry = &mut table[usize::from(*byte)];
            // Within an escape these two follow its first byte, and otherwise they stand for themselves.
            if !(is_whole && matches!(byte, b'#' | b';')) {
                *entry = SPECIAL;
            }
        }
        Self { table, is_whole }
    }

    /// Returns true if each character that a token may have is in the alphabet.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the table's entry for a byte.
    #[inline(always)]
    pub(super) fn entry(&self, byte: u8) -> u8 {
        #[cfg(test)]
        super::tests::LOOKED_AT.set(super::tests::LOOKED_AT.get() + 1);
        self.table[usize::from(byte)]
    }

    /// Returns the number of bytes at the beginning of `text` that are simply characters.
    pub(super) fn count(&self, text: &[u8]) -> usize {
        let is_other = |byte: &u8| self.entry(*byte) <= SPECIAL;
        text.iter().position(is_other).unwrap_or(text.len())
    }

    /// Returns true if a byte is a character unless it begins an escape.
    pub(super) fn contains(&self, byte: u8) -> bool {
        match self.entry(byte) {
            SPECIAL => self.is_whole && byte > b' ',
            entry => entry != OTHER,
        }
    }
}

/// Returns true if `byte` is a letter, a digit or one of `marks`.
pub(super) fn is_of(byte: &u8, marks: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || marks.contains(byte)
}
