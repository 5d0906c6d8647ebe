//! Request headers that a page may not set. The vault refuses a request with such a header. The token handler removes
//! such headers, and also those in `exceptions.rs`.
//!
//! Names are in lower case. A name that ends in `*` stands for all names with that beginning, and a name that begins with
//! `*` for all names with that end. Servers behind CGI or a similar interface cannot
//! distinguish `-` from `_`, and some servers cannot distinguish `-` from other punctuation. Each character that is not
//! a letter or a digit therefore counts as `-`. [`pattern`] is the same rule as a regular expression.

mod exceptions;

use crate::base::strings;
use crate::prelude::*;

pub use exceptions::Exceptions;

/// Headers that no rule can allow, such as headers that carry the vault's own credentials, headers that frame a
/// message, headers that belong to one connection (RFC 9110 7.6.1), and headers of this project's own protocols.
const FIXED: &str = "\
    authorization dpop cookie cookie2 proxy-* host connection keep-alive te trailer transfer-encoding upgrade \
    http2-settings content-length expect sec-* secure-session-* strongroom-*";

/// Headers by which a sender can pretend to be another client, reach another address, or use another method. Proxies,
/// load balancers and platforms set these headers for the servers behind them. (RFC 9440 4 requires a proxy to remove
/// two of these headers from requests.)
const TRUSTED: &str = "\
    forwarded via origin referer x-forward* x-real-ip x-client-ip client-ip true-client-ip x-cluster-client-ip \
    x-originating-ip x-scheme x-host x-http-method* x-http-host-override x-method-override x-original-* x-rewrite-* \
    x-middleware-* service-worker* remote-* x-remote-* x-webauth-* x-proxy-user x-userinfo x-id-token x-jwt-assertion \
    x-endpoint-api-userinfo x-apigateway-api-userinfo x-auth-request-* x-authenticated-* x-consumer-* x-credential-* \
    x-pomerium-* x-authentik-* x-grafana-user x-ms-token-* x-ms-client-principal* impersonate-* oidc-* tailscale-* \
    client-cert* x-client-cert* x-client-dn x-client-verify ssl-* x-ssl-* cf-* cloudfront-* fastly-* fly-* x-amzn-* \
    x-appengine-* x-arr-* x-azure-* x-envoy-* x-goog-authenticated-* x-goog-iap-* x-nf-* x-vercel-* sm-* iv-* oam-* \
    shib-* x-accel-* x-sendfile-type";

/// Headers that ask for a part of a response. An API that echoes its request would return the token in pieces, which
/// the search does not recognize. (Some servers still accept `Request-Range` in place of `Range`, and Azure Storage
/// accepts `x-ms-range`.)
pub(crate) const RANGES: &str = "range if-range request-range x-ms-range";

impl Exceptions {
    /// Returns true if a page may not set this header. [`Self::refuse_range`] decides about the headers in `RANGES`.
    #[must_use]
    pub fn refuse(&self, name: &str) -> bool {
        let name = as_read(name);
        let is_listed = is_among(FIXED, &name) || is_among(TRUSTED, &name);
        self.has_denied(&name) || (is_listed && !self.has_allowed(&name))
    }

    /// Returns true if this header asks for a part of a response and the rule does not allow the header.
    #[must_use]
    pub fn refuse_range(&self, name: &str) -> bool {
        let name = as_read(name);
        is_among(RANGES, &name) && !self.has_allowed(&name)
    }
}

/// Returns the name as the least precise server reads it: in lower case, with `-` for each character that is not a
/// letter or a digit.
fn as_read(name: &str) -> String {
    let mut read = String::new();
    for byte in name.bytes() {
        let is_kept = byte.is_ascii_alphanumeric();
        let byte = if is_kept {
            byte.to_ascii_lowercase()
        } else {
            b'-'
        };
        read.push(char::from(byte));
    }
    read
}

fn is_among(names: &str, name: &str) -> bool {
    strings::split(names, b' ').any(|one| match one.as_bytes() {
        [start @ .., b'*'] => name.as_bytes().starts_with(start),
        [b'*', end @ ..] => name.as_bytes().ends_with(end),
        whole => name.as_bytes() == whole,
    })
}

/// Returns a regular expression of JavaScript that matches the headers in `names`, which are separated by spaces. The
/// token handler's host compares names in lower case with it.
#[must_use]
pub fn pattern(names: &str) -> String {
    let mut pattern = String::from("^(?:");
    for char in names.chars() {
        match char {
            ' ' => pattern.push('|'),
            '*' => pattern.push_str(".*"),
            '-' => pattern.push_str("[^a-z0-9]"),
            char => pattern.push(char),
        }
    }
    pattern.push_str(")$");
    pattern
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn pattern_matches_the_names_of_the_list() {
        use kit::dice::Dice;
        use kit::request_headers::is_matched;

        let lists = [FIXED, TRUSTED, RANGES, "*cdn-cache-control x-sendfile", ""];
        let mut dice = Dice::new(7);
        let mut counts = [0_u32; 2];
        for list in lists {
            let pattern = pattern(list);
            let names = strings::split(list, b' ').flat_map(|name| [name; 200]);
            for listed in names.chain(["accept"; 20]) {
                let mut name = listed.replace('*', "").into_bytes();
                for _ in 0..dice.roll(4) {
                    let at = dice.roll(name.len() + 1);
                    let byte = dice.pick(b"-_.~!#$%&'*+^`|ax09");
                    match (dice.roll(3), at < name.len()) {
                        (0, true) => drop(name.remove(at)),
                        (1, true) => drop(core::mem::replace(&mut name[at], byte)),
                        _ => name.insert(at, byte),
                    }
                }
                let name = String::from_utf8(name).unwrap();
                let is_listed = is_among(list, &as_read(&name));
                // No header has an empty name.
                if !name.is_empty() {
                    assert_eq!(is_matched(&pattern, &name), is_listed, "{name}: {pattern}");
                    counts[usize::from(is_listed)] += 1;
                }
            }
        }
        assert!(counts[0] > 2000 && counts[1] > 2000, "{counts:?}");
    }

    // claim: script-10
    #[test]
    fn punctuation_counts_as_a_hyphen() {
        let exceptions = Exceptions::default();
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-FORWARDED_FOR",
            "x.forwarded.for",
            "X~Forwarded!For",
            "REMOTE_USER",
            "Host",
        ] {
            assert!(exceptions.refuse(name), "{name}");
        }
        for name in ["x-forwar-ded", "hosts", "xforwarded", "accept"] {
            assert!(!exceptions.refuse(name), "{name}");
        }
    }
}
