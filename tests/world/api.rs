//! An API that accepts an access token only while the provider stands by it. What it answers is
//! chosen by the path.

use strongroom::vault::{ApiRequest, ResponseHead};

use super::provider::Provider;

pub(crate) const API: &str = "https://api.example.com/v1";

/// Answers a request; `None` for a network failure.
pub(crate) fn answer(provider: &Provider, now: u64, request: &ApiRequest) -> Option<ResponseHead> {
    let url = request.allowed.url();
    let path = url.strip_prefix(API).unwrap();
    // What stands after it only tells calls apart.
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let authorization = request.authorization.expose();
    let token = authorization.strip_prefix("Bearer ").unwrap();
    let is_accepted = provider.accepts(token, now);
    let (status, challenge) = match path {
        "/unreachable" => return None,
        "/redirect" => (0, None),
        "/never" => (401, Some(r#"Bearer error="invalid_token""#)),
        "/admin" => (401, Some(r#"Bearer error="insufficient_scope""#)),
        "/step-up" => (
            401,
            Some(r#"Bearer error="insufficient_user_authentication""#),
        ),
        "/forbidden" => (403, Some(r#"Bearer error="insufficient_scope""#)),
        _ if is_accepted => (200, None),
        _ => (401, Some(r#"Bearer error="invalid_token""#)),
    };
    Some(ResponseHead {
        status,
        status_text: String::new(),
        url: url.to_owned(),
        redirected: false,
        has_body: true,
        www_authenticate: challenge.map(str::to_owned),
    })
}
