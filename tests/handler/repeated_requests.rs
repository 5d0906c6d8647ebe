//! A login needs the provider's metadata and keys, and with `userInfo` the user's claims. If one of these requests fails
//! for a reason that may be over in a moment, it is repeated once. The code is exchanged once.

use rules::Code;
use rules::base::http::HttpReply;
use serde_json::json;

use crate::host::{COOKIE, Host};
use crate::provider::{self, ISSUER};

const METADATA: &str = "/.well-known/openid-configuration";

/// Signs a user in. The next responses to requests for `path` are `replies`.
fn log_in(path: &'static str, replies: Vec<Option<HttpReply>>) -> Host {
    let mut host = Host::with(&json!({ "userInfo": true }));
    host.provider.metadata = format!(r#","userinfo_endpoint":"{ISSUER}/userinfo""#);
    let replies = replies.into_iter().map(|reply| (path, reply));
    host.provider.replies.extend(replies);
    let info = provider::json(200, r#"{"sub":"ann"}"#);
    host.provider.replies.push_back(("/userinfo", Some(info)));
    let back = host.come_back("/auth/login");
    host.come_in(&back);
    host
}

fn brief() -> [Option<HttpReply>; 2] {
    [None, Some(provider::json(503, ""))]
}

#[test]
fn brief_failure_stops_no_login() {
    for path in [METADATA, "/jwks", "/userinfo"] {
        for failure in brief() {
            let host = log_in(path, vec![failure]);
            assert_eq!(host.browser.count(COOKIE), 1, "{path}");
            assert_eq!(host.provider.sent_to(path).len(), 2, "{path}");
            assert_eq!(host.provider.sent_to("/token").len(), 1);
        }
    }
}

#[test]
fn request_is_repeated_once() {
    for (path, code) in [
        ("/jwks", Code::ProviderUnavailable),
        ("/userinfo", Code::ProfileFailed),
    ] {
        for failure in brief() {
            let mut host = log_in(path, vec![failure.clone(), failure]);
            assert_eq!(host.faults(), [code], "{path}");
            assert_eq!(host.provider.sent_to(path).len(), 2, "{path}");
        }
    }
}

#[test]
fn lasting_failures_are_not_repeated() {
    for path in ["/jwks", "/userinfo"] {
        for status in [404, 500] {
            let host = log_in(path, vec![Some(provider::json(status, ""))]);
            assert_eq!(host.browser.count(COOKIE), 0, "{path} {status}");
            assert_eq!(host.provider.sent_to(path).len(), 1, "{path} {status}");
        }
    }
}

#[test]
fn code_is_exchanged_once() {
    for failure in brief() {
        let mut host = log_in("/token", vec![failure]);
        assert_eq!(host.faults(), [Code::ProviderUnavailable]);
        assert_eq!(host.provider.sent_to("/token").len(), 1);
    }
}
