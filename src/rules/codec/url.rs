//! URLs, parsed by the platform's own parser.
//!
//! In WebAssembly builds this parser is the host's `URL`, so the checked URL and the fetched URL cannot differ. Native
//! builds use the `url` crate, which follows the same standard (WHATWG URL) except in rare cases: for example, `..` does
//! not remove a segment like `c:`.
//!
//! The parser only returns the serialized URL. Splitting this URL into parts is safe: a part never contains the
//! character that ends the part, because the serialization escapes that character (WHATWG URL 4.5).

use crate::prelude::*;

use crate::base::strings;

/// An absolute URL with an authority, as parsed and serialized by the WHATWG URL standard. `data:`, `blob:` and
/// `javascript:` URLs cannot be represented. A URL of a private-use scheme may have a path without an authority, such
/// as `com.example.app:/callback`.
///
/// The type is one pointer wide: without the box, each place that passes a URL on would need code to move all offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    href: String,
    scheme_end: usize,
    host_start: usize,
    path_start: usize,
    query_start: usize,
    fragment_start: usize,
}

impl Url {
    /// Parses an absolute URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        platform::href(text, None).and_then(Self::split)
    }

    /// Parses a URL that may be relative to `base`.
    #[must_use]
    pub fn parse_with_base(text: &str, base: &Self) -> Option<Self> {
        platform::href(text, Some(base.href())).and_then(Self::split)
    }

    /// Parses a URL, which may be relative to `base`. Returns `None` if the URL has another origin than `base`, or has
    /// user information.
    #[must_use]
    pub fn parse_within(text: &str, base: &Self) -> Option<Self> {
        Self::parse_with_base(text, base)
            .filter(|url| url.is_same_origin(base) && !url.has_userinfo())
    }

    fn split(href: String) -> Option<Self> {
        const SEPARATOR: &[u8] = b"://";
        let scheme_end = find(&href, 0, b":");
        let mut authority_start = scheme_end + SEPARATOR.len();
        if href.as_bytes().get(scheme_end..authority_start) != Some(SEPARATOR) {
            if !has_private_path(&href, scheme_end) {
                return None;
            }
            authority_start = scheme_end + 1;
        }
        let path_start = find(&href, authority_start, b"/?#");
        let userinfo_end = find(&href, authority_start, b"@");
        let host_start = if userinfo_end < path_start {
            userinfo_end + 1
        } else {
            authority_start
        };
        let query_start = find(&href, path_start, b"?#");
        let fragment_start = find(&href, query_start, b"#");
        Some(Self(Box::new(Parts {
            href,
            scheme_end,
            host_start,
            path_start,
            query_start,
            fragment_start,
        })))
    }

    /// Returns the URL of a path on the same origin, without the time that the parser takes. The path must be in the
    /// parser's normal form, without query and fragment.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        let href = [self.scheme(), "://", self.host(), path].concat();
        let host_start = self.scheme().len() + "://".len();
        Self(Box::new(Parts {
            scheme_end: self.scheme().len(),
            host_start,
            path_start: host_start + self.host().len(),
            query_start: href.len(),
            fragment_start: href.len(),
            href,
        }))
    }

    // The offsets are always character boundaries.
    fn part(&self, start: usize, end: usize) -> &str {
        strings::part(&self.0.href, start, end)
    }

    /// Returns the serialized URL with its fragment.
    #[must_use]
    pub fn href(&self) -> &str {
        &self.0.href
    }

    /// Returns the scheme without its colon.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.part(0, self.0.scheme_end)
    }

    /// Returns the host, with the port unless it is the default of the scheme.
    #[must_use]
    pub fn host(&self) -> &str {
        self.part(self.0.host_start, self.0.path_start)
    }

    /// Returns the path, which starts with `/` in http(s) URLs.
    #[must_use]
    pub fn path(&self) -> &str {
        self.part(self.0.path_start, self.0.query_start)
    }

    /// Returns the query without its `?`.
    #[must_use]
    pub fn query(&self) -> &str {
        self.part(self.0.query_start + 1, self.0.fragment_start)
    }

    /// Returns the fragment without its `#`.
    #[must_use]
    pub fn fragment(&self) -> &str {
        self.part(self.0.fragment_start + 1, self.0.href.len())
    }

    /// Returns the path, query and fragment.
    #[must_use]
    pub fn relative(&self) -> &str {
        self.part(self.0.path_start, self.0.href.len())
    }

    /// Returns the path and query.
    #[must_use]
    pub fn relative_without_fragment(&self) -> &str {
        self.part(self.0.path_start, self.0.fragment_start)
    }

    /// Returns the serialized URL without its fragment, as sent in requests.
    #[must_use]
    pub fn without_fragment(&self) -> &str {
        self.part(0, self.0.fragment_start)
    }

    /// Returns the origin and path: the URL without user information, query and fragment.
    #[must_use]
    pub fn without_query(&self) -> String {
        let separator = if self.has_authority() { "://" } else { ":" };
        [self.scheme(), separator, self.host(), self.path()].concat()
    }

    const fn has_authority(&self) -> bool {
        self.0.host_start > self.0.scheme_end + 1
    }

    /// Returns true if the scheme is a domain name in reverse order, which an app uses in private (RFC 8252 7.1).
    #[must_use]
    pub fn is_private_use(&self) -> bool {
        strings::contains_byte(self.scheme().as_bytes(), b'.')
    }

    /// Returns true if there is a user name or password.
    #[must_use]
    pub const fn has_userinfo(&self) -> bool {
        self.0.host_start > self.0.scheme_end + 3
    }

    /// Returns true if there is a fragment, which may be empty.
    #[must_use]
    pub const fn has_fragment(&self) -> bool {
        self.0.fragment_start < self.0.href.len()
    }

    /// Returns true if the URL consists of an origin and a path only.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !self.has_userinfo() && self.0.query_start == self.0.href.len()
    }

    /// Returns true if scheme, host and port are equal to those of `other`.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.scheme() == other.scheme() && self.host() == other.host()
    }

    /// Returns true if tokens may be sent to the URL: its scheme is https, or http with a host on this device.
    #[must_use]
    pub fn is_trustworthy(&self) -> bool {
        match self.scheme() {
            "https" => true,
            "http" => is_loopback(self.host()),
            _ => false,
        }
    }
}

/// Returns true for the URL of a private-use scheme that has a path and no authority.
fn has_private_path(href: &str, scheme_end: usize) -> bool {
    strings::contains_byte(strings::part(href, 0, scheme_end).as_bytes(), b'.')
        && href.as_bytes().get(scheme_end + 1) == Some(&b'/')
}

/// Returns scheme, host and port of a serialized URL.
pub fn origin(url: &str) -> &str {
    let slashes = url.bytes().enumerate().filter(|(_, b)| *b == b'/');
    let third = slashes.map(|(i, _)| i).nth(2).unwrap_or(url.len());
    url.get(..third).unwrap_or_default()
}

/// Returns the target of a redirect from the URL `from`, without query and fragment, which may be secret. Returns `None` if
/// the host does not see the header `Location`, or the header is not a URL.
pub fn redirect_target(location: Option<&str>, from: &str) -> Option<String> {
    let target = Url::parse_with_base(location?, &Url::parse(from)?)?;
    Some(target.without_query())
}

/// Searches `text` from `start` on, and returns the position of the first byte that is one of `separators`. If there is
/// no such byte, returns the end of `text`.
fn find(text: &str, start: usize, separators: &[u8]) -> usize {
    let mut i = start;
    while text
        .as_bytes()
        .get(i)
        .is_some_and(|b| !separators.contains(b))
    {
        i += 1;
    }
    i
}

/// Returns true if tokens may be sent to `text`, and `text` is an absolute URL without user information.
#[must_use]
pub fn is_trustworthy(text: &str) -> bool {
    Url::parse(text).is_some_and(|url| url.is_trustworthy() && !url.has_userinfo())
}

/// Returns true for a URL with the scheme http and a host on this device.
pub fn is_loopback_http(text: &str) -> bool {
    Url::parse(text).is_some_and(|url| url.scheme() == "http" && url.is_trustworthy())
}

/// Returns true for serialized hosts that name this device: `localhost` and its subdomains (RFC 6761 6.3), 127.0.0.0/8
/// and `[::1]`.
fn is_loopback(host: &str) -> bool {
    let bytes = host.as_bytes();
    let port = bytes.iter().rposition(|b| !b.is_ascii_digit());
    let name = match port.filter(|&i| bytes.get(i) == Some(&b':')) {
        Some(colon) => strings::part(host, 0, colon),
        None => host,
    };
    if let Some(below) = name.strip_suffix("localhost") {
        return below.is_empty() || below.ends_with('.');
    }
    // The parser normalizes an IPv4 address to four decimal numbers, and rejects other hosts that end in a number. A
    // name of digits and dots is therefore an address.
    name == "[::1]"
        || name.starts_with("127.") && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.'))
}

#[cfg(not(target_arch = "wasm32"))]
mod platform {
    pub(super) fn href(text: &str, base: Option<&str>) -> Option<String> {
        let base = base.map(url::Url::parse).transpose().ok()?;
        let url = url::Url::options().base_url(base.as_ref()).parse(text);
        url.ok().map(Into::into)
    }
}

#[cfg(target_arch = "wasm32")]
mod platform {
    use crate::prelude::*;

    pub(super) fn href(text: &str, base: Option<&str>) -> Option<String> {
        let url = match base {
            Some(base) => web_sys::Url::new_with_base(text, base),
            None => web_sys::Url::new(text),
        };
        Some(url.ok()?.href())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // claim: network-1
    #[test]
    fn only_https_and_loopback_are_trustworthy() {
        for text in [
            "https://id.example.com/token",
            "http://localhost:4401/token",
            "http://vault.app.localhost:4401/token",
            "http://app.localhost/",
            "http://127.0.0.1/token",
            "http://127.1/token",
            "http://[::1]:8080/",
        ] {
            assert!(is_trustworthy(text), "{text}");
        }
        for text in [
            "http://id.example.com/token",
            "http://localhost.evil.test/",
            "http://evil-localhost/",
            "http://localhost9/",
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
    fn sent_url_has_no_fragment() {
        let url = Url::parse("https://api.example.com/v1/a?b=c#d").unwrap();
        assert_eq!(url.without_fragment(), "https://api.example.com/v1/a?b=c");
        assert_eq!(url.without_query(), "https://api.example.com/v1/a");
    }

    #[test]
    fn parts_agree_with_the_parser() {
        for text in [
            "https://a.test",
            "HTTPS://A.test:443/b/../c?d=/e?@#f?g#h",
            "http://a.test:8080?b",
            "https://a.test#b@c",
            "https://a.test/b@c:d?e:f@g",
            "https://user@a.test/b",
            "https://:pw@a.test:1/b",
            "https://u@s:e/r@p:w@a.test/",
            "https://u%2f?x@a.test/",
            "https://u:p@q@a.test/x@y",
            "http://[::1]:8080/x?y#z",
            "http://[2001:DB8::1]/",
            "http://0x7f.1/",
            "https://b\u{fc}cher.test/\u{fc}?\u{fc}#\u{fc}",
            "https://a.test\\b\\c",
            "https://a.test/ b\tc\n?d e",
            "wss://a.test/x?y",
            "file:///a/b",
            "custom://a.test/b?c#d",
            "custom://u:p@a.test:9",
            "custom://a.test",
        ] {
            let Ok(parsed) = url::Url::parse(text) else {
                assert_eq!(Url::parse(text), None, "{text}");
                continue;
            };
            let url = Url::parse(text).unwrap();
            let host = parsed.host_str().unwrap_or_default().to_owned();
            let port = parsed.port().map(|port| format!(":{port}"));
            assert_eq!(url.href(), parsed.as_str(), "{text}");
            assert_eq!(url.scheme(), parsed.scheme(), "{text}");
            assert_eq!(url.host(), host + &port.unwrap_or_default(), "{text}");
            assert_eq!(url.path(), parsed.path(), "{text}");
            assert_eq!(url.query(), parsed.query().unwrap_or_default(), "{text}");
            assert_eq!(url.has_fragment(), parsed.fragment().is_some(), "{text}");
            let has_userinfo = !parsed.username().is_empty() || parsed.password().is_some();
            assert_eq!(url.has_userinfo(), has_userinfo, "{text}");
        }
        for text in [
            "data:text/plain,//a.test/",
            "blob:https://a.test/1",
            "javascript://a.test/%0aalert(1)",
            "mailto:a@b.test",
        ] {
            assert!(Url::parse(text).is_none_or(|url| !url.is_trustworthy()));
        }
    }

    #[test]
    fn url_with_another_path_is_as_parsed() {
        for text in [
            "https://a.test/b?c#d",
            "http://u:p@[::1]:8080?x@y/",
            "wss://a.test",
        ] {
            let url = Url::parse(text).unwrap();
            let other = url.with_path("/auth/callback");
            assert!(url.is_same_origin(&other), "{text}");
            assert_eq!(Url::parse(other.href()), Some(other), "{text}");
        }
    }

    #[test]
    fn only_private_use_urls_lack_an_authority() {
        let url = Url::parse("com.example.app:/callback/a?b=c#d").unwrap();
        assert_eq!((url.scheme(), url.host()), ("com.example.app", ""));
        assert_eq!((url.path(), url.query()), ("/callback/a", "b=c"));
        assert_eq!(url.without_query(), "com.example.app:/callback/a");
        assert!(url.is_private_use() && !url.is_trustworthy() && !url.has_userinfo());
        let other = Url::parse("com.example.app://callback/a").unwrap();
        assert_eq!(other.without_query(), "com.example.app://callback/a");
        assert!(!other.is_same_origin(&url));
        for text in [
            "app:/callback",
            "com.example.app:callback",
            "com.example.app:",
            "javascript:alert(1)",
            "data:/a.b",
        ] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }

    #[test]
    fn parse_within_compares_scheme_host_and_port() {
        let base = Url::parse("https://a.test/b").unwrap();
        for text in ["/c", "", "d?e#f", "https://a.test:443/", "//A.test/"] {
            assert!(Url::parse_within(text, &base).is_some(), "{text}");
        }
        for text in [
            "http://a.test/",
            "https://a.test:444/",
            "//b.test/",
            "//a.test.b.test",
            "https://u@a.test/",
            "javascript:1",
        ] {
            assert!(Url::parse_within(text, &base).is_none(), "{text}");
        }
    }
}
