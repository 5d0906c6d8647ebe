//! An API that accepts an access token only while the provider considers the token valid. The path of a request selects
//! the response.

use vault::{ApiRequest, ResponseHead};

use super::dpop::Checker;
use super::provider::Provider;

pub const API: &str = "https://api.example.com/v1";

/// Another API, on its own origin.
pub const OTHER_API: &str = "https://other.example.com/v1";

/// Returns the response to a request, or `None` for a network failure.
pub fn respond(
    provider: &Provider,
    now: u64,
    request: &ApiRequest,
    proof: Option<&str>,
    checker: &mut Checker,
) -> Option<ResponseHead> {
    let url = request.allowed.url();
    let path = url.strip_prefix(API).or(url.strip_prefix(OTHER_API));
    let path = path.unwrap();
    // The query only distinguishes calls, and does not affect the response.
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let authorization = request.authorization.expose();
    let (scheme, token) = authorization.split_once(' ').unwrap();
    let wanted = provider.wanted_resource(request, checker.resource);
    let is_accepted = provider.accepts(token, now) && provider.resource_of(token) == wanted;
    let proven = (scheme == "DPoP").then(|| {
        let target = (request.allowed.method(), url);
        let proof = checker.check(proof, target, Some(token), now)?;
        let is_its = provider.key_of(token) == Some(&proof.jkt);
        is_its.then_some(()).ok_or("invalid_token")
    });
    let is_accepted = is_accepted && (proven.is_some() || provider.key_of(token).is_none());
    let challenge = match proven {
        Some(Err(error)) => Some(format!(r#"DPoP error="{error}""#)),
        _ => None,
    };
    let (status, challenge) = match path {
        _ if challenge.is_some() => (401, challenge.as_deref()),
        "/unreachable" => return None,
        "/redirect" => (0, None),
        "/odd-status" => (600, None),
        "/part" | "/hidden-part" => (206, None),
        "/never" => (401, Some(r#"Bearer error="invalid_token""#)),
        "/admin" => (401, Some(r#"Bearer error="insufficient_scope""#)),
        "/step-up" => (
            401,
            Some(r#"Bearer error="insufficient_user_authentication""#),
        ),
        "/demanding" if provider.api_demands.is_some() => {
            let (status, challenge) = provider.api_demands.unwrap();
            (status, Some(challenge))
        }
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
        www_authenticate: challenge
            .map(str::to_owned)
            .filter(|_| !checker.hides_challenge),
        dpop_nonce: checker.header(),
        has_range: path == "/part",
    })
}
