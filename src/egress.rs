//! Rules for requests with a token and their responses: the egress policy, the request headers that a page must not set,
//! the search for reflected tokens, and `WebSocket` tokens.

pub mod policy;
pub mod request_headers;
pub mod token_reflection;
pub mod websocket;
