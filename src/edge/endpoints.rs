//! The endpoints under the base path: login, callback, logout and the client's configuration.

mod callback;
pub(super) mod client_config;
mod login;
mod logout;
mod session_view;
