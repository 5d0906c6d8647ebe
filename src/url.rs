//! A parsed URL, by the parser that will also send the request.
//!
//! In the browser that is the platform's own `URL`, so there can be no difference between what was
//! checked and what is fetched; natively it is the `url` crate, which implements the same standard.

use crate::prelude::*;
/// The parts of an absolute URL as the WHATWG URL standard parses and serialises them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The whole URL, serialised, with its fragment.
    pub href: String,
    /// Scheme, host and port, or `null` for schemes that have no origin.
    pub origin: String,
    /// The scheme with its colon: `https:`.
    pub protocol: String,
    /// The host without its port; an IPv6 address keeps its brackets.
    pub hostname: String,
    /// The path, which begins with `/` in http(s) URLs.
    pub pathname: String,
    /// The query with its `?`, or nothing.
    pub search: String,
    /// The fragment with its `#`, or nothing.
    pub hash: String,
    /// Whether there is a user name or password.
    pub has_userinfo: bool,
}

impl Url {
    /// Parses an absolute URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        platform::parse(text, None)
    }

    /// Parses a URL that may be relative to `base`.
    #[must_use]
    pub fn parse_with_base(text: &str, base: &str) -> Option<Self> {
        platform::parse(text, Some(base))
    }

    /// The serialised URL without its fragment: what is sent.
    #[must_use]
    pub fn without_fragment(&self) -> &str {
        &self.href[..self.href.len() - self.hash.len()]
    }

    /// Origin and path: the URL without query and fragment.
    #[must_use]
    pub fn without_query(&self) -> String {
        self.origin.clone() + &self.pathname
    }

    /// Whether tokens may travel to it: https, or http to this very device.
    #[must_use]
    pub fn is_trustworthy(&self) -> bool {
        match self.protocol.as_str() {
            "https:" => true,
            "http:" => is_loopback(&self.hostname),
            _ => false,
        }
    }
}

/// Whether `text` is an absolute URL to which tokens may travel, without user information.
#[must_use]
pub fn is_trustworthy(text: &str) -> bool {
    Url::parse(text).is_some_and(|url| url.is_trustworthy() && !url.has_userinfo)
}

/// Whether a serialised host names this device: `localhost`, 127.0.0.0/8 or `[::1]`.
#[must_use]
pub fn is_loopback(hostname: &str) -> bool {
    // The parser has normalised every spelling of an IPv4 address to four decimal numbers, so a
    // name that begins like one but is a DNS name (`127.0.0.1.evil.test`) does not pass.
    let is_loopback_v4 = hostname.starts_with("127.")
        && hostname.split('.').count() == 4
        && hostname.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    hostname == "localhost" || hostname == "[::1]" || is_loopback_v4
}

#[cfg(not(target_arch = "wasm32"))]
mod platform {
    use super::Url;

    pub(super) fn parse(text: &str, base: Option<&str>) -> Option<Url> {
        let url = match base {
            Some(base) => url::Url::parse(base).ok()?.join(text).ok()?,
            None => url::Url::parse(text).ok()?,
        };
        Some(Url {
            origin: url.origin().ascii_serialization(),
            protocol: format!("{}:", url.scheme()),
            hostname: url.host_str().unwrap_or_default().to_owned(),
            pathname: url.path().to_owned(),
            search: suffix('?', url.query()),
            hash: suffix('#', url.fragment()),
            has_userinfo: !url.username().is_empty() || url.password().is_some(),
            href: url.into(),
        })
    }

    fn suffix(mark: char, text: Option<&str>) -> String {
        match text {
            None | Some("") => String::new(),
            Some(text) => format!("{mark}{text}"),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod platform {
    use super::Url;

    pub(super) fn parse(text: &str, base: Option<&str>) -> Option<Url> {
        let url = match base {
            Some(base) => web_sys::Url::new_with_base(text, base),
            None => web_sys::Url::new(text),
        }
        .ok()?;
        Some(Url {
            href: url.href(),
            origin: url.origin(),
            protocol: url.protocol(),
            hostname: url.hostname(),
            pathname: url.pathname(),
            search: url.search(),
            hash: url.hash(),
            has_userinfo: !url.username().is_empty() || !url.password().is_empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_device_are_trustworthy() {
        for text in [
            "https://id.example.com/token",
            "http://localhost:4401/token",
            "http://127.0.0.1/token",
            "http://127.1/token",
            "http://[::1]:8080/",
        ] {
            assert!(is_trustworthy(text), "{text}");
        }
        for text in [
            "http://id.example.com/token",
            "http://localhost.evil.test/",
            "http://127.0.0.1.evil.test/",
            "http://128.0.0.1/",
            "https://user@id.example.com/",
            "wss://id.example.com/",
            "javascript:alert(1)",
            "data:text/plain,hello",
            "/token",
            "",
        ] {
            assert!(!is_trustworthy(text), "{text}");
        }
    }

    #[test]
    fn the_fragment_is_not_part_of_what_is_sent() {
        let url = Url::parse("https://api.example.com/v1/a?b=c#d").unwrap();
        assert_eq!(url.without_fragment(), "https://api.example.com/v1/a?b=c");
        assert_eq!(url.without_query(), "https://api.example.com/v1/a");
    }
}
