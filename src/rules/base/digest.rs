//! SHA-256, SHA-384 and SHA-512 digests of short messages (FIPS 180-4).
//!
//! The compression functions are those of the `sha2` crate. The crate's code for incremental hashing is not used, since
//! each message here is short and complete.

use crate::base::secret;
use crate::prelude::*;

/// Returns the SHA-256 digest of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    // The initial hash value of SHA-256 (FIPS 180-4 section 5.3.3).
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut padded = padded(bytes, 64);
    sha2::block_api::compress256(&mut state, padded.as_chunks().0);
    secret::wipe(&mut padded);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Returns the SHA-384 digest of `bytes`.
#[must_use]
pub fn sha384(bytes: &[u8]) -> Vec<u8> {
    // The initial hash value of SHA-384 (FIPS 180-4 section 5.3.4).
    let mut digest = compressed(
        bytes,
        [
            0xcbbb_9d5d_c105_9ed8,
            0x629a_292a_367c_d507,
            0x9159_015a_3070_dd17,
            0x152f_ecd8_f70e_5939,
            0x6733_2667_ffc0_0b31,
            0x8eb4_4a87_6858_1511,
            0xdb0c_2e0d_64f9_8fa7,
            0x47b5_481d_befa_4fa4,
        ],
    );
    digest.truncate(48);
    digest
}

/// Returns the SHA-512 digest of `bytes`.
#[must_use]
pub fn sha512(bytes: &[u8]) -> Vec<u8> {
    // The initial hash value of SHA-512 (FIPS 180-4 section 5.3.5).
    compressed(
        bytes,
        [
            0x6a09_e667_f3bc_c908,
            0xbb67_ae85_84ca_a73b,
            0x3c6e_f372_fe94_f82b,
            0xa54f_f53a_5f1d_36f1,
            0x510e_527f_ade6_82d1,
            0x9b05_688c_2b3e_6c1f,
            0x1f83_d9ab_fb41_bd6b,
            0x5be0_cd19_137e_2179,
        ],
    )
}

/// Hashes `bytes` with SHA-384 or SHA-512, and returns the final state as bytes. The initial `state` selects the
/// algorithm.
fn compressed(bytes: &[u8], mut state: [u64; 8]) -> Vec<u8> {
    let mut padded = padded(bytes, 128);
    sha2::block_api::compress512(&mut state, padded.as_chunks().0);
    secret::wipe(&mut padded);
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Pads the message to whole blocks of `block` bytes: appends a one bit, zeros, and the message's length in bits. The
/// field for this length takes an eighth of a block (FIPS 180-4 section 5.1).
fn padded(bytes: &[u8], block: usize) -> Vec<u8> {
    let end = (bytes.len() + block / 8) / block * block + block;
    let mut padded = Vec::with_capacity(end);
    padded.extend_from_slice(bytes);
    padded.extend_from_slice(&[0x80]);
    padded.resize(end - 8, 0);
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::digest::{SHA256, SHA384, SHA512, digest};

    #[test]
    fn digests_match_ring() {
        let bytes: Vec<u8> = (0..300).map(|i| (i * 7) as u8).collect();
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            let theirs = |algorithm| digest(algorithm, bytes).as_ref().to_vec();
            assert_eq!(sha256(bytes).to_vec(), theirs(&SHA256), "{length} bytes");
            assert_eq!(sha384(bytes), theirs(&SHA384), "{length} bytes");
            assert_eq!(sha512(bytes), theirs(&SHA512), "{length} bytes");
        }
    }
}
