//! The keys under which the coordinator stores values: a kind, and a hash.

use rules::prelude::*;

use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json;
use rules::oauth::pkce;

/// Returns the key under which the coordinator stores a value: `kind`, and a hash of `kind` and `texts`.
pub(crate) fn key(kind: &str, texts: &[&str]) -> String {
    let mut all = kind.to_owned();
    for text in texts {
        // The lengths separate the strings. Without them, "ab" and "c" would have the same key as "a" and "bc".
        json::write_number(&mut all, text.len() as u64);
        all.push(' ');
        all.push_str(text);
    }
    [kind, ".", &base64url::encode(&pkce::sha256(all.as_bytes()))].concat()
}

/// Returns the key of a session's record.
pub(crate) fn record_key(sid: &str) -> String {
    key("session", &[sid])
}

/// The length of a public ID: 96 bits of the hash.
const PUBLIC_ID: usize = 16;

/// Returns the ID of a session for the operator: the beginning of the hash in its key. It gives no access to the session.
pub(crate) fn public_id(sid: &str) -> String {
    let key = record_key(sid);
    let (_, hash) = strings::split_once(&key, b'.');
    hash.and_then(|hash| hash.get(..PUBLIC_ID))
        .unwrap_or_default()
        .to_owned()
}
