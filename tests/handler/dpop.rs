//! `dpop: true`: tokens are bound to a key (RFC 9449) at the provider and at upstreams, and are never sent without a
//! proof.

use std::collections::BTreeSet;

use edge::Head;
use rules::Code;
use rules::codec::base64url;
use rules::oauth::pkce;
use serde_json::json;

use crate::browser::Source;
use crate::crypto::object;
use crate::host::{COOKIE, Host, location};
use crate::provider;
use kit::proof::{self, Proof};

fn new() -> Host {
    Host::with(&json!({ "dpop": true }))
}

fn signed_in() -> Host {
    let mut host = new();
    host.sign_in();
    host
}

fn nonce_wanted(nonce: &str) -> Head {
    Head {
        status: 401,
        challenge: Some(r#"DPoP error="use_dpop_nonce""#.to_owned()),
        dpop_nonce: Some(nonce.to_owned()),
        ..Head::default()
    }
}

fn at_token_endpoint(host: &Host) -> Vec<Proof> {
    let sent = host.provider.sent_to("/token");
    let proofs = sent
        .iter()
        .map(|sent| proof::read(sent.proof.as_ref().unwrap()));
    proofs.collect()
}

fn at_upstream(host: &Host) -> Vec<Proof> {
    let sent = host.upstream.iter();
    sent.map(|sent| proof::read(sent.proof.as_ref().unwrap()))
        .collect()
}

#[test]
fn authorization_code_is_bound_to_dpop_key() {
    for par in [false, true] {
        let mut host = Host::with(&json!({ "dpop": true, "par": par }));
        let url = host.begin_login("/auth/login");
        let jkt = host.provider.parameters(&url)["dpop_jkt"].clone();
        let back = host.provider.sign_in(&url);
        assert_eq!(host.arrive(&back).status, 303);
        let [proof] = &at_token_endpoint(&host)[..] else {
            panic!("not one exchange");
        };
        assert_eq!(proof.jkt, jkt);
        assert_eq!(
            (&*proof.htm, &*proof.htu),
            ("POST", "https://id.example.com/token")
        );
        assert_eq!(
            (proof.iat, &proof.ath, &proof.nonce),
            (host.now.wall / 1000, &None, &None)
        );
        host.call("GET", "/api/orders");
        assert_eq!(at_upstream(&host)[0].jkt, jkt);
        host.pass(600);
        host.call("GET", "/api/orders");
        assert_eq!(at_token_endpoint(&host)[1].jkt, jkt);
    }
}

#[test]
fn every_session_has_its_own_key() {
    let mut host = new();
    for _ in 0..3 {
        host.sign_in();
    }
    let keys: BTreeSet<String> = at_token_endpoint(&host)
        .into_iter()
        .map(|p| p.jkt)
        .collect();
    assert_eq!(keys.len(), 3);
    // Control experiment: without `dpop` the handler creates no key.
    let host = Host::signed_in();
    assert_eq!(host.count("GenerateKey"), 0);
    assert!(host.provider.sent_to("/token")[0].proof.is_none());
}

#[test]
fn upstream_proof_covers_token_method_and_url() {
    let mut host = signed_in();
    assert_eq!(host.call("DELETE", "/api/a%7Eb?c=d").status(), 200);
    let sent = &host.upstream[0];
    let token = sent.authorization.strip_prefix("DPoP ").unwrap();
    let proof = &at_upstream(&host)[0];
    assert_eq!(
        (&*proof.htm, &*proof.htu),
        ("DELETE", "https://api.example.com/v1/a~b")
    );
    assert_eq!(
        proof.ath.as_deref(),
        Some(&*base64url::encode(&pkce::sha256(token.as_bytes())))
    );
    assert_eq!(proof.iat, host.now.wall / 1000);
}

#[test]
fn each_proof_is_unique() {
    let mut host = signed_in();
    host.heads.extend([
        nonce_wanted("n-1"),
        Head {
            status: 200,
            ..Head::default()
        },
    ]);
    for _ in 0..5 {
        host.call("GET", "/api/orders");
    }
    host.pass(600);
    host.call("GET", "/api/orders");
    let all = [at_token_endpoint(&host), at_upstream(&host)].concat();
    let numbers: BTreeSet<&str> = all.iter().map(|proof| &*proof.jti).collect();
    assert_eq!(numbers.len(), all.len());
}

#[test]
fn bound_tokens_are_refused_without_the_option() {
    let mut host = Host::new();
    host.provider.more_members = object(r#"{"token_type":"DPoP"}"#);
    let back = host.come_back("/auth/login");
    assert_eq!(host.arrive(&back).status, 502);
}

#[test]
fn provider_nonce_is_retried_once() {
    let mut host = new();
    let back = host.come_back("/auth/login");
    for nonce in ["p-1", "p-2", "p-3"] {
        let mut reply = provider::json(400, r#"{"error":"use_dpop_nonce"}"#);
        reply.dpop_nonce = Some(nonce.to_owned());
        host.provider.replies.push_back(("/token", Some(reply)));
    }
    assert_eq!(host.arrive(&back).status, 502);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    // The handler also gives up if the second response has no new nonce.
    for nonce in [None, Some("p-2"), Some("no nonce")] {
        let mut host = new();
        let back = host.come_back("/auth/login");
        let mut first = provider::json(400, r#"{"error":"use_dpop_nonce"}"#);
        first.dpop_nonce = Some("p-2".to_owned());
        let mut second = first.clone();
        second.dpop_nonce = nonce.map(str::to_owned);
        host.provider
            .replies
            .extend([("/token", Some(first)), ("/token", Some(second))]);
        host.arrive(&back);
        assert_eq!(host.provider.sent_to("/token").len(), 2, "{nonce:?}");
    }
}

// claim: end-11
#[test]
fn refused_proof_is_made_again_with_the_providers_time() {
    for (ahead, requests) in [(7200, 2), (0, 1)] {
        let mut host = new();
        let back = host.come_back("/auth/login");
        let mut refusal = provider::json(400, r#"{"error":"invalid_dpop_proof"}"#);
        refusal.date = Some(host.now.wall + ahead * 1000);
        host.provider.replies.push_back(("/token", Some(refusal)));
        host.arrive(&back);
        let proofs = at_token_endpoint(&host);
        assert_eq!(proofs.len(), requests);
        if ahead > 0 {
            assert_eq!(proofs[1].iat, host.now.wall / 1000 + ahead);
            host.call("GET", "/api/orders");
            assert_eq!(at_upstream(&host)[0].iat, host.now.wall / 1000 + ahead);
        }
    }
}

/// Signs in at a provider whose first response refuses the proof, and shows a clock that is `ahead` seconds ahead.
fn signed_in_at(host: &mut Host, ahead: i64) {
    host.store_time = false;
    host.provider.set_lifetime(3600);
    let back = host.come_back("/auth/login");
    let mut refusal = provider::json(400, r#"{"error":"invalid_dpop_proof"}"#);
    refusal.date = Some(host.now.wall.saturating_add_signed(ahead * 1000));
    host.provider.replies.push_back(("/token", Some(refusal)));
    assert_eq!(host.arrive(&back).status, 303);
}

#[test]
fn clock_that_was_set_needs_no_correction() {
    for off in [400, -400] {
        let mut host = new();
        signed_in_at(&mut host, off);
        host.now.wall = host.now.wall.saturating_add_signed(off * 1000);
        host.pass(200);
        host.call("GET", "/api/orders");
        assert_eq!(at_upstream(&host)[0].iat, host.now.wall / 1000, "{off}");
    }
}

#[test]
fn slow_refresh_of_two_requests_is_tried_again() {
    let mut host = signed_in();
    host.pass(600);
    host.latency = 9;
    let mut wanted = provider::json(400, r#"{"error":"use_dpop_nonce"}"#);
    wanted.dpop_nonce = Some("p-1".to_owned());
    let replies = [("/token", Some(wanted)), ("/token", None)];
    host.provider.replies.extend(replies);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
}

#[test]
fn each_attempt_has_a_new_client_assertion() {
    let key = crate::crypto::Pair::generate();
    let jwk: serde_json::Value = serde_json::from_str(&key.private_jwk("")).unwrap();
    let auth = json!({ "method": "private_key_jwt", "key": jwk, "alg": "ES256" });
    let mut host = Host::with(&json!({ "dpop": true, "client": { "id": "web", "auth": auth } }));
    host.provider.dpop.nonce = Some("p-1".to_owned());
    host.sign_in();
    let sent = host.provider.sent_to("/token");
    let assertions: BTreeSet<&String> = sent
        .iter()
        .map(|sent| &sent.params["client_assertion"])
        .collect();
    assert_eq!((sent.len(), assertions.len()), (2, 2));
}

#[test]
fn upstream_gets_only_its_own_dpop_nonce() {
    let mut host = new();
    host.provider.dpop.nonce = Some("p-1".to_owned());
    host.sign_in();
    host.heads.push_back(nonce_wanted("a-1"));
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.call("GET", "/api/files/x").status(), 200);
    let nonces: Vec<Option<String>> = at_upstream(&host).into_iter().map(|p| p.nonce).collect();
    let a = Some("a-1".to_owned());
    assert_eq!(nonces, [None, a.clone(), a, None]);
    // The call caused no refresh. The two requests are the two attempts of the code exchange.
    assert_eq!(host.provider.sent_to("/token").len(), 2);
}

#[test]
fn newest_upstream_nonce_is_used() {
    let mut host = signed_in();
    host.heads.push_back(Head {
        status: 200,
        dpop_nonce: Some("a-1".to_owned()),
        ..Head::default()
    });
    host.call("GET", "/api/orders");
    host.call("GET", "/api/orders");
    let proofs = at_upstream(&host);
    assert_eq!(proofs.len(), 2);
    assert_eq!(proofs[1].nonce.as_deref(), Some("a-1"));
}

#[test]
fn repeated_upstream_nonce_causes_no_retry() {
    let mut host = signed_in();
    host.heads.extend(["a-1", "a-1", "a-1"].map(nonce_wanted));
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(host.upstream.len(), 2);
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(host.upstream.len(), 3);
}

#[test]
fn nonce_in_token_response_causes_no_retry() {
    let mut host = new();
    host.provider.dpop.header = Some("p-1".to_owned());
    host.sign_in();
    assert_eq!(host.provider.sent_to("/token").len(), 1);
    host.pass(600);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let nonces: Vec<_> = at_token_endpoint(&host)
        .into_iter()
        .map(|p| p.nonce)
        .collect();
    assert_eq!(nonces, [None, Some("p-1".to_owned())]);
}

#[test]
fn request_body_prevents_retry_but_nonce_is_kept() {
    let mut host = signed_in();
    host.pass(60);
    host.heads.push_back(nonce_wanted("a-1"));
    let mut request = host.by_script("POST", "/api/orders");
    request.has_body = true;
    assert_eq!(host.request(request.clone()).status(), 401);
    assert_eq!(host.upstream.len(), 1);
    assert_eq!(host.request(request).status(), 200);
    assert_eq!(at_upstream(&host)[1].nonce.as_deref(), Some("a-1"));
}

#[test]
fn short_body_is_repeated_with_the_nonce() {
    let mut host = signed_in();
    host.pass(60);
    host.heads.push_back(nonce_wanted("a-1"));
    let mut request = host.by_script("POST", "/api/orders");
    (request.has_body, request.content_length) = (true, Some(100));
    assert_eq!(host.request(request).status(), 200);
    assert_eq!(at_upstream(&host)[1].nonce.as_deref(), Some("a-1"));
}

#[test]
fn upstream_nonce_is_retried_once() {
    let mut host = signed_in();
    host.pass(60);
    host.heads.extend(["a-1", "a-2", "a-3"].map(nonce_wanted));
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(
        (host.upstream.len(), host.provider.sent_to("/token").len()),
        (2, 1)
    );
}

#[test]
fn call_may_need_nonce_and_new_token() {
    let mut host = signed_in();
    host.pass(60);
    let refused = Head {
        status: 401,
        challenge: Some(r#"DPoP error="invalid_token""#.to_owned()),
        ..Head::default()
    };
    host.heads.extend([nonce_wanted("a-1"), refused]);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(
        (host.upstream.len(), host.provider.sent_to("/token").len()),
        (3, 2)
    );
}

#[test]
fn no_token_is_sent_without_a_proof() {
    let mut host = signed_in();
    host.failing = vec!["Sign"];
    assert_eq!(host.call("GET", "/api/orders").status(), 500);
    assert!(host.upstream.is_empty());
    assert_eq!(host.faults(), [Code::Unsupported]);
    host.pass(600);
    assert_eq!(host.call("GET", "/api/orders").status(), 503);
    assert_eq!(host.provider.sent_to("/token").len(), 1);
    host.failing.clear();
    host.pass(60);
    assert_eq!(
        host.call("GET", "/api/orders").status(),
        200,
        "the session was kept"
    );
    assert!(
        host.upstream
            .iter()
            .all(|sent| sent.authorization.starts_with("DPoP "))
    );
}

#[test]
fn login_fails_without_key_generation() {
    let mut host = new();
    host.failing = vec!["GenerateKey"];
    let response = host.go("/auth/login", Source::App).own();
    assert_eq!(
        (response.status, host.faults()),
        (500, vec![Code::Unsupported])
    );
    assert!(host.browser.0.is_empty());
}

#[test]
fn changing_dpop_option_requires_new_login() {
    for (before, after) in [(false, true), (true, false)] {
        let mut host = Host::with(&json!({ "dpop": before }));
        host.sign_in();
        host.restart(&json!({ "dpop": after }));
        let answered = host.call("GET", "/api/orders");
        assert_eq!(
            (answered.status(), &*answered.code()),
            (401, "login_required")
        );
        assert!(host.upstream.is_empty());
        assert_eq!(host.faults(), [Code::CookieInvalid]);
        let response = host.go("/api/files/a", Source::App).own();
        assert!(location(&response).starts_with("/auth/login?"));
        // The user can still end the session.
        host.call("POST", "/auth/logout");
        assert_eq!(host.provider.sent_to("/revoke").len(), 1);
    }
}

// claim: handler-35
#[test]
fn dpop_key_is_not_readable_in_cookies() {
    let mut host = new();
    let back = host.come_back("/auth/login");
    let login = host.browser.0[0].value.clone();
    host.arrive(&back);
    let session = host.browser.get(COOKIE).unwrap().value.clone();
    for value in [login, session] {
        let bytes = base64url::decode(value.split('.').nth(2).unwrap()).unwrap();
        for text in [value.as_bytes(), &bytes] {
            assert!(!String::from_utf8_lossy(text).contains("\"d\""));
        }
    }
}

#[test]
fn sockets_have_proofs() {
    let mut host = signed_in();
    let mut request = host.by_script("GET", "/api/live");
    request.marker = None;
    request.origin = Some(crate::host::APP.to_owned());
    request.upgrade = Some("websocket".to_owned());
    assert_eq!(host.request(request).status(), 200);
    assert_eq!(at_upstream(&host)[0].htu, "https://api.example.com/v1/live");
}
