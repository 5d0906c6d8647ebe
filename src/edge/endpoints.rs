//! The endpoints under the base path: login, callback, logout, the session and the client's configuration.

pub(super) mod back_channel_logout;
pub(super) mod callback;
pub(super) mod client_config;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod session_view;
