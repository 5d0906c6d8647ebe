//! Builds responses of the simulated provider.

use rules::Secret;
use rules::base::http::HttpReply;
use rules::codec::json::Writer;

pub fn json(status: u16, body: &str) -> HttpReply {
    HttpReply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        date: None,
        body: Some(Secret::from(body)),
        dpop_nonce: None,
        location: None,
    }
}

/// Returns the error response of a token endpoint with this code.
pub fn refusal(code: &str) -> HttpReply {
    json(400, &Writer::object().text("error", code).finish())
}
