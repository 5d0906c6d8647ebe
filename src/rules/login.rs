//! The rules of a login, with the configuration: the authorization request, which may be pushed, its response, what follows
//! it, and a login on another device.

pub mod authorization_request;
pub mod authorization_response;
pub mod completion;
pub mod device_authorization;
pub mod initiation;
pub mod pushed_authorization;
