//! An upstream that refuses an access token: the session is refreshed, and the request is repeated if its body is still
//! there.

use edge::{Head, Request};

use crate::host::Host;
use crate::proxy::head;

/// The length of the longest body that is copied.
const LONGEST: u64 = 64 * 1024;

/// Returns a request with a body. Without a length, it is a stream.
fn post(host: &Host, length: Option<u64>) -> Request {
    let mut request = host.by_script("POST", "/api/graphql");
    (request.has_body, request.content_length) = (true, length);
    request
}

/// Returns the numbers of requests to the upstream and to the token endpoint.
fn sent(host: &Host) -> (usize, usize) {
    (host.upstream.len(), host.provider.sent_to("/token").len())
}

#[test]
fn refused_token_is_replaced_whatever_the_body() {
    for length in [None, Some(LONGEST + 1)] {
        let mut host = Host::signed_in();
        host.pass(60);
        host.heads.push_back(head(401));
        let answered = host.request(post(&host, length));
        assert_eq!(answered.status(), 401);
        assert_eq!(answered.cookies().len(), 1, "the new generation");
        assert_eq!(sent(&host), (1, 2));
        assert_eq!(host.request(post(&host, length)).status(), 200);
        assert_eq!(sent(&host), (2, 2));
        let [first, second] = &host.upstream[..] else {
            panic!("not two requests");
        };
        assert_ne!(first.authorization, second.authorization);
        assert!(!first.copies_body);
    }
}

#[test]
fn short_body_is_sent_again() {
    for length in [0, 1, LONGEST] {
        let mut host = Host::signed_in();
        host.pass(60);
        host.heads.push_back(head(401));
        assert_eq!(host.request(post(&host, Some(length))).status(), 200);
        assert_eq!(sent(&host), (2, 2));
        assert!(host.upstream[0].copies_body);
    }
}

#[test]
fn request_without_a_body_is_sent_again() {
    let mut host = Host::signed_in();
    host.pass(60);
    host.heads.push_back(head(401));
    assert_eq!(host.call("POST", "/api/orders").status(), 200);
    assert_eq!(sent(&host), (2, 2));
}

#[test]
fn new_token_is_not_replaced() {
    for (seconds, is_replaced) in [(29, false), (30, true)] {
        let mut host = Host::signed_in();
        host.pass(seconds);
        host.heads.push_back(head(401));
        let status = host.call("GET", "/api/orders").status();
        assert_eq!(status == 200, is_replaced);
    }
}

#[test]
fn other_refusals_replace_no_token() {
    for error in [
        "insufficient_scope",
        "insufficient_user_authentication",
        "invalid_dpop_proof",
    ] {
        let mut host = Host::signed_in();
        host.pass(60);
        host.heads.push_back(Head {
            status: 401,
            challenge: Some(format!(r#"Bearer error="{error}""#)),
            ..Head::default()
        });
        assert_eq!(host.call("GET", "/api/orders").status(), 401, "{error}");
        assert_eq!(sent(&host), (1, 1), "{error}");
    }
}

/// Sends a request each five seconds for some minutes to an upstream that refuses each token. Returns the number of
/// refreshes.
fn refreshes_in(host: &mut Host, minutes: u64) -> usize {
    let before = host.provider.sent_to("/token").len();
    for _ in 0..minutes * 12 {
        host.pass(5);
        host.heads.clear();
        host.heads.extend([head(401), head(401)]);
        assert_eq!(host.call("GET", "/api/orders").status(), 401);
    }
    host.provider.sent_to("/token").len() - before
}

#[test]
fn upstream_that_refuses_every_token_costs_fewer_and_fewer_refreshes() {
    let mut host = Host::signed_in();
    host.provider.set_lifetime(100_000);
    host.pass(60);
    assert_eq!(refreshes_in(&mut host, 1), 1);
    assert!((4..=5).contains(&refreshes_in(&mut host, 30)));
    assert!(refreshes_in(&mut host, 60) <= 2);
    assert!(host.session().is_object());
}

/// An API may respond with 401 where 403 is meant. It has accepted the same token, so another one would not help.
#[test]
fn route_that_accepts_a_refused_token_costs_fewer_and_fewer_refreshes_too() {
    let mut host = Host::signed_in();
    host.provider.set_lifetime(100_000);
    host.pass(60);
    for _ in 0..720 {
        host.pass(5);
        host.heads.clear();
        host.heads.push_back(head(200));
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        host.heads.clear();
        host.heads.extend([head(401), head(401)]);
        assert_eq!(host.call("GET", "/api/admin").status(), 401);
    }
    let (_, refreshes) = sent(&host);
    assert!((5..=8).contains(&refreshes), "{refreshes}");
}

#[test]
fn streams_cost_fewer_and_fewer_refreshes_too() {
    let mut host = Host::signed_in();
    host.provider.set_lifetime(100_000);
    let refreshes = |host: &Host| sent(host).1 - 1;
    for _ in 0..60 {
        host.pass(61);
        host.heads.push_back(head(401));
        assert_eq!(host.request(post(&host, None)).status(), 401);
    }
    assert!((5..=7).contains(&refreshes(&host)), "{}", refreshes(&host));
}

/// An API that invalidates tokens accepts each replacement, so the next one is not delayed.
#[test]
fn replacement_that_is_accepted_delays_no_other() {
    for body in [Some(1), None] {
        let mut host = Host::signed_in();
        host.provider.set_lifetime(100_000);
        for _ in 0..10 {
            host.pass(40);
            host.heads.push_back(head(401));
            host.request(post(&host, body));
            assert_eq!(host.request(post(&host, body)).status(), 200);
        }
        assert_eq!(sent(&host).1, 11, "{body:?}");
    }
}

#[test]
fn new_token_that_is_accepted_ends_the_waits() {
    for (status, is_accepted) in [(200, true), (404, true), (503, false), (429, false)] {
        let mut host = Host::signed_in();
        host.pass(60);
        host.heads.extend([head(401), head(401)]);
        assert_eq!(host.call("GET", "/api/orders").status(), 401);
        // The next token is not a replacement of a refused one.
        host.pass(host.provider.lifetime.as_secs());
        host.heads.push_back(head(status));
        assert_eq!(host.call("GET", "/api/orders").status(), status);
        let (_, before) = sent(&host);
        host.pass(40);
        host.heads.push_back(head(401));
        host.call("GET", "/api/orders");
        assert_eq!(sent(&host).1 > before, is_accepted, "{status}");
    }
}
