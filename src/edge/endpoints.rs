//! The endpoints under the base path: login, also one that another site begins, callback, logout by the user and by the
//! provider, the binding of a session, the session, the list of the user's sessions, the client's configuration, and the page that closes a popup.

pub(super) mod back_channel_logout;
pub(super) mod bind;
pub(super) mod callback;
pub(super) mod client_config;
pub(super) mod login;
pub(super) mod login_elsewhere;
pub(super) mod logout;
pub(super) mod session_view;
pub(super) mod sessions;
