//! Rules for requests with a token and their responses: the egress policy, the request headers that a page must not set,
//! the search for reflected tokens, the order in which a response's head and body cross, and `WebSocket` tokens.

pub mod body_delivery;
pub mod policy;
pub mod request_headers;
pub mod token_reflection;
pub mod websocket;
