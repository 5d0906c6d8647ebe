//! What may leave with a token, and what may come back: the egress policy, the request headers that a page must not
//! set, the search for reflected tokens, and `WebSocket` tokens.

pub mod policy;
pub mod request_headers;
pub mod token_reflection;
#[cfg(feature = "extended")]
pub mod websocket;
