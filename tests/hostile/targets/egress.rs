//! Checks URLs against the policy of `apis`. An allowed URL must be below the path of an `apis` entry even for a
//! lenient server, and the vault must send exactly the URL that it checked.

use super::assert_presentable;
use rules::codec::url::Url;
use rules::egress::policy::{EgressPolicy, MAX_URL, Rule};

pub(super) const PREFIX: &str = "https://api.example.com/v1/";
/// An endpoint of the authorization server below the path of the `apis` entry.
pub(super) const FORBIDDEN: &str = "https://api.example.com/v1/oauth/token";

fn rules() -> EgressPolicy {
    let methods = ["GET", "POST"].map(str::to_owned).to_vec();
    let rule = Rule::new(Url::parse(PREFIX).unwrap(), methods).unwrap();
    let mut rules = EgressPolicy::new(vec![rule]);
    rules.forbid(&[FORBIDDEN]);
    rules
}

/// Takes a URL in the first line, a method in the second, and names and values of headers in the other lines.
pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.split('\n');
    let address = lines.next().unwrap_or_default();
    let method = lines.next().unwrap_or("GET");
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let rules = rules();
    for text in [text, address] {
        match rules.authorize(text, method) {
            Ok(allowed) => {
                assert!(allowed.url().len() <= MAX_URL);
                is_below_the_rule(text, allowed.url());
                assert!(["GET", "POST"].contains(&allowed.method()));
                assert!(method.eq_ignore_ascii_case(allowed.method()));
                // The policy also allows the URL that is sent, and leaves it unchanged.
                assert_eq!(rules.authorize(allowed.url(), method).unwrap(), allowed);
                let described = allowed.description();
                assert!(!described.contains(['?', '#']), "{described}");
            }
            Err(error) => {
                assert_presentable(error.message());
                is_silent_on_secrets(text, error.message());
            }
        }
    }
    let allowed = rules
        .authorize("https://api.example.com/v1/", "GET")
        .unwrap();
    if rules.check_headers(&allowed, &headers).is_ok() {
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let is_reserved = [
                "authorization",
                "dpop",
                "cookie",
                "host",
                "x-http-method-override",
            ]
            .contains(&name.as_str());
            assert!(
                !is_reserved && !name.starts_with("proxy-") && !name.starts_with("sec-"),
                "{name}"
            );
            assert!(!value.contains(['\r', '\n', '\0']));
        }
    }
}

pub(super) fn is_below_the_rule(text: &str, sent: &str) {
    // The `url` crate parses the original URL to the same result with and without a base.
    let parsed = url::Url::parse(text).unwrap();
    for base in [
        "https://evil.test/a/b",
        "http://api.example.com/",
        "https://api.example.com/v2/x",
    ] {
        let base = url::Url::parse(base).unwrap();
        assert_eq!(base.join(text).unwrap(), parsed, "{text}");
    }
    let mut plain = parsed.clone();
    plain.set_fragment(None);
    if text.starts_with("https") {
        assert_eq!(plain.as_str(), sent);
    }
    let url = url::Url::parse(sent).unwrap();
    assert_eq!(url.as_str(), sent);
    assert_eq!(url.scheme(), "https");
    assert_eq!(url.host_str(), Some("api.example.com"));
    assert_eq!(url.port(), None);
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(sent.starts_with(PREFIX), "{sent}");
    assert!(
        sent.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'),
        "{sent}"
    );
    let path = forgiving(url.path());
    assert!(
        path.starts_with("/v1/") || path == "/v1",
        "{sent} may be read as {path}"
    );
    let (without_extension, _) = path.split_once('.').unwrap_or((path.as_str(), ""));
    assert_ne!(without_extension, "/v1/oauth/token", "{sent}");
}

/// Returns a path as the most lenient server reads it: repeatedly decoded and without a query that this reveals, with
/// backslashes replaced, parameters and data streams removed, dot segments resolved, and dots and spaces at the end of
/// names removed.
fn forgiving(path: &str) -> String {
    let mut bytes = path.as_bytes().to_vec();
    loop {
        let decoded = decode(&bytes);
        if decoded == bytes {
            break;
        }
        bytes = decoded;
    }
    let text = String::from_utf8_lossy(&bytes)
        .to_ascii_lowercase()
        .replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('?').next().unwrap_or_default().split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        let name = name.split("::$").next().unwrap_or_default();
        match name.trim_end_matches([' ', '+']) {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other.trim_end_matches(['.', ' ', '+'])),
        }
    }
    ["/", &segments.join("/")].concat()
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Checks that a refusal does not contain the user name, password, query or fragment.
fn is_silent_on_secrets(text: &str, message: &str) {
    let Ok(url) = url::Url::parse(text) else {
        return;
    };
    for part in [url.password(), url.query(), url.fragment()]
        .into_iter()
        .flatten()
    {
        // A short part of the URL may occur by chance in the words of the message.
        let is_elsewhere =
            url.path().contains(part) || url.host_str().is_some_and(|h| h.contains(part));
        let is_long = part.len() > 30;
        assert!(
            !is_long || is_elsewhere || !message.contains(part),
            "{message}"
        );
    }
}

#[cfg(test)]
mod controls {
    use super::is_below_the_rule;
    use std::panic::catch_unwind;

    fn is_noticed(text: &str) -> bool {
        let sent = url::Url::parse(text).map(String::from).unwrap_or_default();
        catch_unwind(|| is_below_the_rule(text, &sent)).is_err()
    }

    #[test]
    fn control_wrongly_allowed_address_is_detected() {
        for text in [
            "https://api.example.com/v1/..%2fadmin",
            "https://api.example.com/v1/%252e%252e/admin",
            "https://api.example.com/v1/..;/admin",
            "https://api.example.com/v1/..%5cadmin",
            "https://api.example.com/v1/%25%32%65./admin",
            "https://api.example.com/v1/../admin",
            "https://api.example.com/v1evil/",
            "https://api.example.com:444/v1/",
            "https://api.example.com.evil.test/v1/",
            "http://api.example.com/v1/",
            "https://u@api.example.com/v1/",
            "https:/api.example.com/v1/",
            "//api.example.com/v1/",
            "https://api.example.com/v1/oauth/token",
            "https://api.example.com/v1/OAuth//%74oken;x",
            "https://api.example.com/v1/oauth/%2574oken.",
            "https://api.example.com/v1/oauth/.;/token.json",
            "https://api.example.com/v1/oauth/token::$DATA",
            "https://api.example.com/v1/oauth/token%3Fx",
            "https://api.example.com/v1/..%20/admin",
        ] {
            assert!(is_noticed(text), "{text}");
        }
        assert!(!is_noticed("https://api.example.com/v1/a%20b/../c?d=e"));
    }
}
