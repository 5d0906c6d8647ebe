//! Bound cookies, the challenges of their renewals, and the cookies that let a registration be offered again: values that
//! the handler authenticates for one session and one key.
//!
//! A value is `1.<key ID>.<expiry in seconds>.<MAC>`. The MAC covers the issuer, the client, the tenant and the name
//! of the session's cookie, the session's ID, and the thumbprint of its key. So a value proves nothing for another session.

use hmac::{Hmac, KeyInit as _, Mac as _};
use rules::prelude::*;
use sha2::Sha256;

use crate::config::Config;
use rules::base::clock::UnixMillis;
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json;

const VERSION: &str = "1";

/// A use of the MAC. A value for one use is invalid for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The bound cookie.
    Cookie,
    /// The challenge of a renewal.
    Challenge,
    /// The cookie that says that a registration has failed. The session has no key yet.
    Offer,
    /// The cookie of a login with which a registration is offered a second time. The session has no key yet.
    SecondOffer,
    /// The cookie that says that a registration was offered a second time. The session has no key yet.
    Offered,
}

/// The session and the key for which a value is authenticated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The session's ID.
    pub(crate) sid: &'a str,
    /// The thumbprint of the session's key.
    pub(crate) thumbprint: &'a str,
}

impl<'a> Subject<'a> {
    /// Returns the subject of a session that has no key yet.
    pub(crate) const fn without_key(sid: &'a str) -> Self {
        Self {
            sid,
            thumbprint: "",
        }
    }

    /// Returns a value that is valid until this time.
    pub(crate) fn issue(&self, config: &Config, what: Use, until: UnixMillis) -> String {
        let seconds = json::digits(until / 1000);
        let id = config.keys.sealing();
        let mac = self.mac(config, what, 0, &seconds);
        let mac = mac.map(|mac| base64url::encode(&mac.finalize().into_bytes()));
        [
            VERSION,
            ".",
            id,
            ".",
            &seconds,
            ".",
            &mac.unwrap_or_default(),
        ]
        .concat()
    }

    /// Returns true if the value was issued for this use, session and key, and has not expired.
    pub(crate) fn verify(&self, config: &Config, what: Use, value: &str, now: UnixMillis) -> bool {
        let mut parts = strings::split(value, b'.');
        let (version, id, seconds, mac) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(VERSION), Some(id), Some(seconds), Some(mac), None) =
            (version, id, seconds, mac, parts.next())
        else {
            return false;
        };
        // control: bound_cookie_expires
        let is_unexpired = json::parse_u64(seconds).is_some_and(|until| now / 1000 < until);
        let (Some(key), Some(mac)) = (config.keys.find(id), base64url::decode(mac)) else {
            return false;
        };
        let expected = self.mac(config, what, key, seconds);
        is_unexpired && expected.is_some_and(|expected| expected.verify_slice(&mac).is_ok())
    }

    fn mac(&self, config: &Config, what: Use, key: usize, seconds: &str) -> Option<Hmac<Sha256>> {
        let what = match what {
            Use::Cookie => "cookie",
            Use::Challenge => "challenge",
            Use::Offer => "offer",
            Use::SecondOffer => "second offer",
            Use::Offered => "offered",
        };
        let mut mac =
            Hmac::<Sha256>::new_from_slice(config.keys.keys().get(key)?.mac_key()).ok()?;
        let parts = [
            VERSION,
            what,
            &config.flow.issuer,
            &config.client.id,
            &config.tenant,
            &config.cookie.name,
            self.sid,
            self.thumbprint,
            seconds,
        ];
        // The number of each part's bytes separates it from the next one.
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_800_000_000_000;

    fn config(client: &str) -> Config {
        let json = [
            r#"{"issuer": "https://id.example.com", "client": {"id": ""#,
            client,
            r#"", "auth": {"method": "none"}},
                "cookie": {"keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]}}"#,
        ];
        Config::parse(&json.concat()).unwrap()
    }

    #[test]
    fn value_is_valid_for_one_session_key_use_and_client() {
        let subject = |sid, thumbprint| Subject { sid, thumbprint };
        let own = subject("a", "b");
        let value = own.issue(&config("web"), Use::Cookie, NOW + 1000);
        assert!(own.verify(&config("web"), Use::Cookie, &value, NOW));
        assert!(!own.verify(&config("other"), Use::Cookie, &value, NOW));
        for other in [Use::Challenge, Use::Offer, Use::SecondOffer, Use::Offered] {
            assert!(!own.verify(&config("web"), other, &value, NOW));
        }
        for other in [subject("c", "b"), subject("a", "c"), subject("ab", "")] {
            assert!(!other.verify(&config("web"), Use::Cookie, &value, NOW));
        }
        assert!(!own.verify(&config("web"), Use::Cookie, &value, NOW + 1000));
    }

    #[test]
    fn value_is_valid_for_one_tenant() {
        // Tenants have different cookie names, which are parts, too.
        let tenant = |name: &str| Config {
            tenant: name.to_owned(),
            ..config("web")
        };
        let own = Subject {
            sid: "a",
            thumbprint: "b",
        };
        let value = own.issue(&tenant("one"), Use::Cookie, NOW + 1000);
        assert!(own.verify(&tenant("one"), Use::Cookie, &value, NOW));
        for other in [tenant("two"), tenant("")] {
            assert!(!own.verify(&other, Use::Cookie, &value, NOW));
        }
    }

    #[test]
    fn changed_value_is_invalid() {
        let own = Subject {
            sid: "a",
            thumbprint: "b",
        };
        let value = own.issue(&config("web"), Use::Cookie, NOW + 1000);
        for i in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character has two bits that base64url does not use.
            assert!(
                !own.verify(&config("web"), Use::Cookie, &changed, NOW),
                "{changed}"
            );
        }
        for malformed in ["", "1", "1...", "1.a.2.b", &[&value, "."].concat()] {
            assert!(!own.verify(&config("web"), Use::Cookie, malformed, NOW));
        }
    }
}
