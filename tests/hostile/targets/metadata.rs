//! Checks provider metadata. The metadata must belong to the configured issuer, its endpoints must be safe destinations
//! for tokens, and pages must not be able to call these endpoints.

use super::assert_presentable;
use rules::Code;
use rules::codec::url::Url;
use rules::egress::policy::{EgressPolicy, Rule};
use rules::oauth::metadata::{MAX_LEN, Metadata};

const ISSUER: &str = "https://id.example.com";

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let metadata = match Metadata::parse(text, ISSUER) {
        Ok(metadata) => metadata,
        Err(error) => {
            assert!(matches!(
                error.code(),
                Code::MetadataInvalid | Code::IssuerMismatch
            ));
            return assert_presentable(error.message());
        }
    };
    assert!(text.len() <= MAX_LEN);
    assert_eq!(metadata.issuer, ISSUER);
    assert!(!metadata.id_token_signing_algorithms.is_empty());
    let endpoints = metadata.endpoints();
    for needed in [&metadata.token_endpoint, &metadata.authorization_endpoint] {
        assert!(
            endpoints.contains(&needed.as_str()),
            "{needed} is not among them"
        );
    }
    let optional = [
        &metadata.revocation_endpoint,
        &metadata.end_session_endpoint,
        &metadata.pushed_authorization_request_endpoint,
        &metadata.device_authorization_endpoint,
    ];
    let needed = [
        &metadata.token_endpoint,
        &metadata.authorization_endpoint,
        &metadata.jwks_uri,
    ];
    for endpoint in optional.into_iter().flatten().chain(needed) {
        is_for_tokens(endpoint);
        is_out_of_reach(endpoint, &metadata);
    }
    if let Some(warning) = metadata.warning() {
        assert_presentable(warning.message());
    }
}

fn is_for_tokens(endpoint: &str) {
    let url = url::Url::parse(endpoint).unwrap();
    assert_eq!(url.scheme(), "https", "{endpoint}");
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{endpoint}"
    );
    assert_eq!(url.fragment(), None, "{endpoint}");
    // The URL must not contain characters that a server may parse in another way.
    assert!(endpoint.bytes().all(|b| b.is_ascii_graphic()), "{endpoint}");
    assert!(
        endpoint.starts_with("https://") && !endpoint.contains('\\'),
        "{endpoint}"
    );
}

/// Checks that a page cannot call the endpoint, even if an `apis` entry covers the endpoint's origin.
fn is_out_of_reach(endpoint: &str, metadata: &Metadata) {
    let origin = Url::parse(endpoint)
        .and_then(|url| Url::parse_with_base("/", &url))
        .unwrap();
    let methods = ["GET", "POST"].map(str::to_owned).to_vec();
    let mut rules = EgressPolicy::new(vec![Rule::new(origin, methods).unwrap()]);
    rules.forbid(&metadata.endpoints());
    for written in [
        endpoint.to_owned(),
        endpoint.replace("://", "://%"),
        [endpoint, "?x"].concat(),
        [endpoint, "#"].concat(),
    ] {
        let decision = rules.authorize(&written, "POST");
        assert!(decision.is_err(), "{written}");
    }
}
