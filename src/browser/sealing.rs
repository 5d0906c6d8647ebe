//! Encryption of stored records with AES-256-GCM, by WebCrypto.

use js_sys::{Object, Promise, Uint8Array};
use rules::base::strings;
use wasm_bindgen::JsValue;
use web_sys::CryptoKey;

use crate::platform::{self, AesGcm, Record, WorkerScope};
use rules::Secret;

/// The length of a key, in bytes.
pub(super) const KEY_LEN: usize = 32;

/// The longest record that is accepted after decryption, in bytes. The vault's own records are far shorter.
const MAX_SEALED: usize = 1024 * 1024;

/// Begins to import a key.
pub(super) fn import_key(scope: &WorkerScope, secret: &[u8; KEY_LEN]) -> Result<Promise, JsValue> {
    let bytes = Uint8Array::new_from_slice(secret);
    let usages = platform::usages("encrypt", "decrypt");
    let importing =
        platform::subtle(scope)?.import_key_with_object("raw", &bytes, &aes_gcm(), false, &usages);
    // The bytes can be wiped now, because WebCrypto has copied them (Web Cryptography API 14.3.9).
    platform::wipe(&bytes);
    importing
}

/// Begins to seal `plain` for `record`, and sets the record's initialization vector.
pub(super) fn seal(
    scope: &WorkerScope,
    key: &CryptoKey,
    name: &str,
    record: &Record,
    plain: &Secret,
) -> Result<Promise, JsValue> {
    let mut iv = [0; 12];
    wasm::fill_random(&mut iv);
    let iv = Uint8Array::new_from_slice(&iv);
    record.set_iv(&iv);
    platform::subtle(scope)?.encrypt_with_object_and_u8_array(
        &parameters(name, &iv),
        key,
        plain.expose().as_bytes(),
    )
}

/// Begins to decrypt a record. Fails if the record contains no ciphertext.
pub(super) fn open(
    scope: &WorkerScope,
    key: &CryptoKey,
    name: &str,
    record: &Record,
) -> Result<Promise, JsValue> {
    let sealed = record.sealed().ok_or(JsValue::UNDEFINED)?;
    let parameters = parameters(name, &record.iv());
    platform::subtle(scope)?.decrypt_with_object_and_buffer_source(&parameters, key, &sealed)
}

fn aes_gcm() -> AesGcm {
    platform::dictionary(r#"{"name":"AES-GCM"}"#)
}

/// Returns the parameters of AES-GCM. The record's name is authenticated with the ciphertext, so a ciphertext that was
/// copied to a record of another name cannot be decrypted.
fn parameters(name: &str, iv: &Object) -> AesGcm {
    let parameters = aes_gcm();
    parameters.set_iv(iv);
    parameters.set_additional_data(&Uint8Array::new_from_slice(name.as_bytes()));
    parameters
}

/// Copies a decrypted record into this module's memory and wipes the platform's copy. Returns `None` if the record is
/// too long or not UTF-8.
pub(super) fn opened(buffer: &JsValue) -> Option<Secret> {
    let bytes = platform::bytes_of(buffer);
    if bytes.length() as usize > MAX_SEALED {
        return None;
    }
    let plain = bytes.to_vec();
    platform::wipe(&bytes);
    strings::from_utf8(plain).map(Secret::new)
}
