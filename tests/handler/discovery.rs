//! The handler requests the provider's metadata at the URL of OpenID Connect Discovery and, without a readable document
//! there, at the URL of RFC 8414.

use rules::Code;
use rules::base::http::HttpReply;

use crate::browser::Source;
use crate::host::Host;
use crate::provider::json;

const USUAL: &str = "/.well-known/openid-configuration";
const OTHER: &str = "/.well-known/oauth-authorization-server";

/// Creates a host whose provider has its metadata at the URL of RFC 8414. The provider responds with `usual` at the URL
/// of OpenID Connect Discovery, or not at all if `usual` is `None`.
fn elsewhere(usual: Option<&HttpReply>) -> Host {
    let mut host = Host::new();
    let document = host.provider.metadata();
    let replies = &mut host.provider.replies;
    for _ in 0..attempts(usual) {
        replies.push_back((USUAL, usual.cloned()));
    }
    replies.push_back((OTHER, Some(json(200, &document))));
    host
}

/// Returns the number of requests for a document whose response is `reply` each time.
fn attempts(reply: Option<&HttpReply>) -> usize {
    match reply {
        Some(reply) if reply.status != 503 => 1,
        _ => 2,
    }
}

fn asked(host: &Host) -> Vec<&str> {
    let requests = host.provider.requests.iter();
    requests
        .map(|request| request.path.as_str())
        .filter(|path| path.starts_with("/.well-known/"))
        .collect()
}

#[test]
fn unreadable_document_leads_to_rfc_8414_address() {
    let html = HttpReply {
        content_type: Some("text/html".to_owned()),
        ..json(200, "<html>")
    };
    for usual in [
        None,
        Some(json(404, "")),
        Some(json(500, "")),
        Some(json(403, "")),
        Some(json(410, "")),
        Some(html),
    ] {
        let what = format!("{usual:?}");
        let attempts = attempts(usual.as_ref());
        let mut host = elsewhere(usual.as_ref());
        let url = host.begin_login("/auth/login");
        let back = host.provider.sign_in(&url);
        assert_eq!(host.arrive(&back).status, 303, "{what}");
        let expected = [&vec![USUAL; attempts][..], &[OTHER]].concat();
        assert_eq!(asked(&host), expected, "and only once: {what}");
        assert!(host.faults().is_empty(), "{what}");
    }
}

#[test]
fn first_readable_document_counts() {
    for usual in [
        json(200, "<html>"),
        json(200, "{}"),
        json(200, r#"{"issuer":"https://other.example.com"}"#),
    ] {
        let what = format!("{usual:?}");
        let mut host = elsewhere(Some(&usual));
        let status = host.go("/auth/login", Source::App).status();
        assert!(status >= 400, "{status} {what}");
        assert_eq!(asked(&host), [USUAL], "{what}");
    }
}

#[test]
fn outage_at_every_address_is_an_outage() {
    let mut host = Host::new();
    for path in [USUAL, USUAL, OTHER] {
        host.provider.replies.push_back((path, Some(json(503, ""))));
    }
    assert_eq!(host.go("/auth/login", Source::App).status(), 503);
    assert_eq!(host.faults(), [Code::ProviderUnavailable]);
    assert_eq!(asked(&host), [USUAL, USUAL, OTHER]);
}

#[test]
fn document_found_after_a_blip_is_replaced() {
    for (usual, is_replaced) in [
        (None, true),
        (Some(json(503, "")), true),
        (Some(json(404, "")), false),
    ] {
        let what = format!("{usual:?}");
        let first = [&vec![USUAL; attempts(usual.as_ref())][..], &[OTHER]].concat();
        let mut host = elsewhere(usual.as_ref());
        for _ in 0..2 {
            host.begin_login("/auth/login");
            assert_eq!(asked(&host), first, "{what}");
        }
        host.pass(30);
        // During another blip, the document that was found stays in use.
        for path in [USUAL, USUAL, OTHER] {
            host.provider.replies.push_back((path, None));
        }
        host.begin_login("/auth/login");
        let second: &[&str] = if is_replaced {
            &[USUAL, USUAL, OTHER]
        } else {
            &[]
        };
        let expected = [&first[..], second].concat();
        assert_eq!(asked(&host), expected, "{what}");
        host.provider.replies.clear();
        host.pass(30);
        for _ in 0..2 {
            host.begin_login("/auth/login");
        }
        assert_eq!(
            asked(&host).len(),
            expected.len() + usize::from(is_replaced)
        );
        host.pass(30);
        host.begin_login("/auth/login");
        assert_eq!(
            asked(&host).len(),
            expected.len() + usize::from(is_replaced)
        );
    }
}

#[test]
fn missing_metadata_is_not_an_outage() {
    let mut host = Host::new();
    for path in [USUAL, OTHER] {
        host.provider.replies.push_back((path, Some(json(404, ""))));
    }
    let response = host.go("/auth/login", Source::App).own();
    assert_eq!(response.status, 502);
    assert_eq!(host.faults(), [Code::MetadataInvalid]);
    assert_eq!(asked(&host), [USUAL, OTHER]);
    // The next login requests the document again and finds it.
    host.begin_login("/auth/login");
    assert_eq!(asked(&host), [USUAL, OTHER, USUAL]);
}

#[test]
fn documents_are_fetched_before_a_refresh() {
    let mut host = Host::signed_in();
    host.restart(&serde_json::json!({}));
    host.provider.requests.clear();
    host.pass(600);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let paths = ["/.well-known/openid-configuration", "/jwks", "/token"];
    let asked = host.provider.requests.iter();
    assert!(asked.map(|request| request.path.as_str()).eq(paths));
}
