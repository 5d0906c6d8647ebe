//! Sealing of all session data that leaves an isolate: AES-256-GCM with a fresh nonce. Each sealed value is bound to a
//! purpose.
//!
//! A sealed value is `1.<key ID>.<base64url of nonce, ciphertext and tag>`. The version, the key ID and the purpose are
//! authenticated, so a value opens only for the purpose for which it was sealed: a session's cookie does not open as a
//! login's cookie, and one session's record does not open as another session's record. The tenant's name is a part of
//! every purpose, so nothing of one tenant opens at another one.

use rules::prelude::*;

use crate::io::{Effect, NONCE_LEN, Reply};
use crate::lines::Unreadable;
use crate::task::Task;
use rules::Secret;
use rules::base::error::Code;
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json;

/// The version of a sealed value. Its content has a version of its own.
const VERSION: &str = "1";

/// Maximum number of digits of a version.
const LONGEST_VERSION: usize = 3;

/// Length of a nonce and a tag in bytes, which is the length of the shortest sealed value.
const LEAST: usize = NONCE_LEN + 16;

/// Returns the authenticated data for a purpose. The length separates the tenant's name from the purpose.
fn aad(tenant: &str, purpose: &str, key: &str) -> String {
    let mut aad = ["strongroom ", VERSION, " ", key, " "].concat();
    json::write_number(&mut aad, tenant.len() as u64);
    aad.extend([" ", tenant, " ", purpose]);
    aad
}

/// Returns true if a text may be the version of a later or an earlier form.
fn looks_like_version(text: &str) -> bool {
    (1..=LONGEST_VERSION).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Seals a string for one purpose. Returns `None` if the host could not seal the string.
pub(crate) async fn seal(task: &Task, purpose: &str, plain: Secret) -> Option<String> {
    let key = task.config().keys.sealing();
    let nonce: [u8; NONCE_LEN] = task.isolate().random();
    let effect = Effect::Seal {
        nonce,
        plain,
        aad: aad(&task.config().tenant, purpose, key),
    };
    let sealed = match task.perform(effect).await {
        // A reply with another nonce contains another request's data, such as another user's session.
        Reply::Sealed(sealed) if sealed.starts_with(&nonce) => Some(sealed),
        _ => None,
    };
    let Some(sealed) = sealed else {
        task.fault_of(
            Code::Unsupported,
            &[msg!(
                "the host could not seal with the first of cookie.keys"
            )],
        );
        return None;
    };
    Some([VERSION, ".", key, ".", &base64url::encode(&sealed)].concat())
}

/// Opens a value that was sealed for this purpose.
pub(crate) async fn open(task: &Task, purpose: &str, sealed: &str) -> Result<Secret, Unreadable> {
    let mut parts = strings::split(sealed, b'.');
    let (version, id, body) = (parts.next(), parts.next(), parts.next());
    let (Some(version), Some(id), Some(body), None) = (version, id, body, parts.next()) else {
        return Err(Unreadable::NotGenuine);
    };
    if version != VERSION {
        return Err(match looks_like_version(version) {
            true => Unreadable::OtherVersion,
            false => Unreadable::NotGenuine,
        });
    }
    let body = base64url::decode(body).filter(|body| body.len() >= LEAST);
    let body = body.ok_or(Unreadable::NotGenuine)?;
    let key = task.config().keys.find(id).ok_or(Unreadable::UnknownKey)?;
    let effect = Effect::Open {
        key,
        sealed: body,
        aad: aad(&task.config().tenant, purpose, id),
    };
    match task.perform(effect).await {
        Reply::Opened(Some(plain)) => Ok(plain),
        _ => Err(Unreadable::NotGenuine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_has_few_digits() {
        for (text, expected) in [
            ("2", true),
            ("10", true),
            ("", false),
            ("1234", false),
            ("a", false),
        ] {
            assert_eq!(looks_like_version(text), expected, "{text}");
        }
    }

    #[test]
    fn tenant_and_purpose_do_not_run_into_each_other() {
        let all = [
            aad("", "1 a session x", "k"),
            aad("a", "session x", "k"),
            aad("a session", "x", "k"),
            aad("a s", "ession x", "k"),
        ];
        assert_eq!(all[1], "strongroom 1 k 1 a session x");
        for (i, one) in all.iter().enumerate().skip(1) {
            assert!(!all[i + 1..].contains(one), "{one}");
        }
    }
}
