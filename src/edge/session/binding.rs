//! The binding of a session to a key of the browser (Device Bound Session Credentials), and the cookie that proves it.
//!
//! The browser's key is in its security hardware. Every few minutes the browser signs a challenge with the key, and gets
//! a short-lived cookie for it, the bound cookie. A copy of a bound session's cookie is refused without the bound cookie,
//! and a copy of both works for [`LIFE`] and [`MARGIN`] only.
//!
//! A bound cookie is `1.<key ID>.<expiry in seconds>.<MAC>`. The MAC covers the issuer, the client and the name of the
//! session's cookie, the session's ID and the thumbprint of its key, so the cookie proves nothing for another session.

use crate::prelude::*;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::base::clock::{Millis, UnixMillis};
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::json;
use crate::edge::config::{Bind, Config};

const VERSION: &str = "1";

/// The life of a bound cookie in the browser, which renews it before.
pub(in crate::edge) const LIFE: Millis = Millis::from_secs(600);

/// A bound cookie is valid for this long after its life in the browser, because a request may be in flight.
pub(in crate::edge) const MARGIN: Millis = Millis::from_secs(60);

/// Requests that arrive within this time after the binding may be without the bound cookie: they were in flight.
const IN_FLIGHT: Millis = Millis::from_secs(10);

/// A browser may bind its session within this time after the login. Later, a copy of the cookie could bind the session to
/// a key of its own.
pub(in crate::edge) const REGISTRATION: Millis = Millis::from_secs(60);

/// The key to which a session is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The thumbprint of the public key (RFC 7638), in base64url.
    pub thumbprint: String,
    /// The time of the binding.
    pub since: UnixMillis,
}

impl Binding {
    /// Returns the text for a cookie or a record: the thumbprint and the time, separated by a space.
    pub(in crate::edge) fn to_text(&self) -> String {
        let mut text = [&*self.thumbprint, " "].concat();
        json::write_number(&mut text, self.since);
        text
    }

    /// Reads the output of [`Binding::to_text`].
    pub(in crate::edge) fn from_text(text: &str) -> Option<Self> {
        let (thumbprint, since) = strings::split_once(text, b' ');
        Some(Self {
            thumbprint: thumbprint.to_owned(),
            since: json::parse_u64(since?)?,
        })
    }

    /// Returns true if a request that arrived at this time may have been in flight when the session was bound.
    pub(in crate::edge) const fn was_in_flight(&self, arrived: UnixMillis) -> bool {
        arrived <= self.since.saturating_add(IN_FLIGHT.0)
    }
}

/// The proof that a request brings, and the option that decides about it.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct Proof {
    /// The option `session.bind`, which may depend on the request.
    pub(in crate::edge) mode: Bind,
    /// The bound cookie.
    pub(in crate::edge) cookie: Option<String>,
    /// True if the browser could not renew the bound cookie.
    pub(in crate::edge) was_skipped: bool,
}

/// A use of the MAC. A value for one use is invalid for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Use {
    /// The bound cookie.
    Cookie,
    /// The challenge of a renewal.
    Challenge,
}

/// The session and the key for which a value is authenticated.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Subject<'a> {
    /// The session's ID.
    pub(in crate::edge) sid: &'a str,
    /// The thumbprint of the session's key.
    pub(in crate::edge) thumbprint: &'a str,
}

impl Subject<'_> {
    /// Returns a value that is valid until this time.
    pub(in crate::edge) fn issue(&self, config: &Config, what: Use, until: UnixMillis) -> String {
        let mut seconds = String::new();
        json::write_number(&mut seconds, until / 1000);
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
    pub(in crate::edge) fn verify(
        &self,
        config: &Config,
        what: Use,
        value: &str,
        now: UnixMillis,
    ) -> bool {
        let mut parts = strings::split(value, b'.');
        let (version, id, seconds, mac) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(VERSION), Some(id), Some(seconds), Some(mac), None) =
            (version, id, seconds, mac, parts.next())
        else {
            return false;
        };
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
        };
        let mut mac =
            Hmac::<Sha256>::new_from_slice(config.keys.keys().get(key)?.mac_key()).ok()?;
        // The number of each part's bytes separates it from the next one.
        for part in [
            VERSION,
            what,
            &config.flow.issuer,
            &config.client.id,
            &config.cookie.name,
            self.sid,
            self.thumbprint,
            seconds,
        ] {
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
        assert!(!own.verify(&config("web"), Use::Challenge, &value, NOW));
        for other in [subject("c", "b"), subject("a", "c"), subject("ab", "")] {
            assert!(!other.verify(&config("web"), Use::Cookie, &value, NOW));
        }
        assert!(!own.verify(&config("web"), Use::Cookie, &value, NOW + 1000));
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

    #[test]
    fn binding_is_read_as_written() {
        let binding = Binding {
            thumbprint: "abc".to_owned(),
            since: 5,
        };
        assert_eq!(Binding::from_text(&binding.to_text()), Some(binding));
        assert_eq!(Binding::from_text("abc"), None);
        assert_eq!(Binding::from_text("abc x"), None);
    }
}
