//! Request headers that a page may not set: one list for the vault, which refuses them, and for the token handler, which
//! removes them.
//!
//! Names are in lower case. A name that ends in `*` stands for all names with that beginning. Servers behind CGI or a
//! similar interface cannot tell `-` from `_`, and some cannot tell it from other punctuation. So each character that
//! is not a letter or a digit counts as `-`.

use crate::base::strings;
use crate::prelude::*;

/// Headers that no rule can allow: those that carry the vault's own credentials, and those that frame a message or
/// belong to one connection (RFC 9110 7.6.1).
const FIXED: &str = "\
    authorization dpop cookie cookie2 proxy-* host connection keep-alive te trailer transfer-encoding upgrade \
    http2-settings content-length expect sec-*";

/// Headers by which a sender can pass for somebody else, reach another address, or use another method. Proxies, load
/// balancers and platforms set them for the servers behind them (RFC 9440 4 demands removal of one pair of them).
const TRUSTED: &str = "\
    forwarded via origin referer x-forward* x-real-ip x-client-ip client-ip true-client-ip x-cluster-client-ip \
    x-originating-ip x-scheme x-host x-http-method* x-http-host-override x-method-override x-original-* x-rewrite-* \
    x-middleware-* service-worker* remote-* x-remote-* x-webauth-* x-proxy-user x-userinfo x-id-token x-jwt-assertion \
    x-endpoint-api-userinfo x-apigateway-api-userinfo x-auth-request-* x-authenticated-* x-consumer-* x-credential-* \
    x-pomerium-* x-authentik-* x-grafana-user x-ms-token-* x-ms-client-principal* impersonate-* oidc-* tailscale-* \
    client-cert* x-client-cert* x-client-dn x-client-verify ssl-* x-ssl-* cf-* cloudfront-* fastly-* fly-* x-amzn-* \
    x-appengine-* x-arr-* x-azure-* x-envoy-* x-goog-authenticated-* x-goog-iap-* x-nf-* x-vercel-* sm-* iv-* oam-* \
    shib-* x-accel-* x-sendfile-type";

/// Credentials, which the token handler removes too. A page may send its own key to an API gateway, but a request with
/// a session cookie must not carry a key that somebody else chose.
#[cfg(feature = "edge")]
const CREDENTIALS: &str = "\
    x-auth-* x-authorization x-access-token x-api-key x-apikey x-api-token api-key apikey private-token x-vault-token \
    x-hasura-admin-secret x-goog-api-key x-functions-key ocp-apim-subscription-key x-amz-security-token";
/// Headers that concern the handler itself. It removes `Accept-Encoding` because the platform asks for the encodings
/// that it can decode.
#[cfg(feature = "edge")]
const HANDLERS_OWN: &str = "x-strongroom accept-encoding";

/// Headers that ask for a part of a response. An API that echoes its request would return the token in pieces, none of
/// which the search recognizes. (Some servers still take `Request-Range` for `Range`, and Azure Storage `x-ms-range`.)
pub(crate) const RANGES: &str = "range if-range request-range x-ms-range";

/// The exceptions of a rule: names with spaces between them. Few configurations have any, so the module without the
/// Cargo feature `extended` does not support them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    #[cfg(feature = "extended")]
    allowed: String,
    #[cfg(feature = "extended")]
    denied: String,
}

impl Exceptions {
    /// Allows the header of this name. Returns false if no rule can.
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn allow(&mut self, name: &str) -> bool {
        let name = as_read(name);
        push(&mut self.allowed, &name);
        !is_among(FIXED, &name) && !is_handlers_own(&name)
    }

    /// Denies the header of this name.
    #[cfg(feature = "extended")]
    pub fn deny(&mut self, name: &str) {
        push(&mut self.denied, &as_read(name));
    }

    /// Returns true if a page may not set this header.
    #[must_use]
    pub fn refuse(&self, name: &str) -> bool {
        let name = as_read(name);
        let is_listed = is_among(FIXED, &name) || is_among(TRUSTED, &name);
        self.has_denied(&name) || (is_listed && !self.has_allowed(&name))
    }

    /// Returns true if this header asks for a part of a response and the rule does not allow it.
    #[must_use]
    pub fn refuse_range(&self, name: &str) -> bool {
        let name = as_read(name);
        is_among(RANGES, &name) && !self.has_allowed(&name)
    }

    #[cfg(feature = "extended")]
    fn has_allowed(&self, name: &str) -> bool {
        is_among(&self.allowed, name)
    }

    #[cfg(feature = "extended")]
    fn has_denied(&self, name: &str) -> bool {
        is_among(&self.denied, name)
    }

    #[cfg(not(feature = "extended"))]
    const fn has_allowed(&self, _: &str) -> bool {
        false
    }

    #[cfg(not(feature = "extended"))]
    const fn has_denied(&self, _: &str) -> bool {
        false
    }

    /// The names in the list of [`removed`] that the token handler keeps all the same, with spaces between them.
    #[cfg(feature = "edge")]
    pub(crate) fn kept(&self) -> &str {
        &self.allowed
    }

    /// The names that the token handler removes besides those of [`removed`].
    #[cfg(feature = "edge")]
    pub(crate) fn removed(&self, is_searched: bool) -> String {
        let mut names = self.denied.clone();
        for name in strings::split(RANGES, b' ') {
            if is_searched && self.refuse_range(name) {
                push(&mut names, name);
            }
        }
        names
    }
}

/// The names that the token handler removes from each request, with spaces between them.
#[cfg(feature = "edge")]
pub(crate) fn removed() -> String {
    [FIXED, " ", TRUSTED, " ", CREDENTIALS, " ", HANDLERS_OWN].concat()
}

#[cfg(feature = "edge")]
fn is_handlers_own(name: &str) -> bool {
    is_among(HANDLERS_OWN, name)
}

#[cfg(all(feature = "extended", not(feature = "edge")))]
const fn is_handlers_own(_: &str) -> bool {
    false
}

/// Returns the name as the least precise server reads it: in lower case, with `-` for each character that is not a letter
/// or a digit.
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

#[cfg(feature = "extended")]
fn push(names: &mut String, name: &str) {
    if !names.is_empty() {
        names.push(' ');
    }
    names.push_str(name);
}

fn is_among(names: &str, name: &str) -> bool {
    strings::split(names, b' ').any(|one| match one.as_bytes() {
        [start @ .., b'*'] => name.as_bytes().starts_with(start),
        whole => name.as_bytes() == whole,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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

    #[test]
    fn a_rule_allows_and_denies_more_names() {
        let mut exceptions = Exceptions::default();
        assert!(exceptions.allow("X_Amzn-Trace-Id"));
        assert!(exceptions.allow("Range"));
        exceptions.deny("X-Api_Key");
        assert!(!exceptions.refuse("x-amzn-trace-id"));
        assert!(exceptions.refuse("x-amzn-oidc-data"));
        assert!(!exceptions.refuse_range("range"));
        assert!(exceptions.refuse_range("If-Range"));
        assert!(exceptions.refuse("x-api-key"));
        assert!(exceptions.refuse("X_API_KEY"));
    }

    #[test]
    fn denied_headers_win_over_allowed_ones() {
        let mut exceptions = Exceptions::default();
        assert!(exceptions.allow("cf-ray"));
        exceptions.deny("cf-ray");
        assert!(exceptions.refuse("cf-ray"));
    }

    #[test]
    fn no_rule_allows_credential_or_framing_headers() {
        for name in strings::split_list(FIXED) {
            let name = name.replace('*', "x");
            assert!(!Exceptions::default().allow(&name), "{name}");
            let mut exceptions = Exceptions::default();
            let _ = exceptions.allow(&name.replace('-', "_"));
            assert!(!exceptions.allow(&name.replace('-', "_")), "{name}");
        }
        for name in ["X-Strongroom", "Accept-Encoding"] {
            assert!(!Exceptions::default().allow(name), "{name}");
        }
    }
}
