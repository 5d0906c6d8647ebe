//! Tests of the vault in virtual time, with a provider that issues tokens and an API that checks them.
//!
//! Each file tests one behavior. All files share `tests/kit`. The world of each test checks invariants, most of them at
//! each step. At the end it also checks that every request of a page got exactly one response, unless the page gave up
//! the request, and that no page received a secret.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![cfg_attr(
    not(feature = "extended"),
    allow(
        dead_code,
        unused_imports,
        reason = "only tests that need the larger module use them"
    )
)]

mod activity;
mod callback;
mod calls;
#[cfg(any(feature = "plain-oauth", feature = "profile-address"))]
mod claims;
#[cfg(feature = "custom-login")]
mod custom_login;
#[cfg(feature = "device-login")]
mod device;
#[cfg(feature = "dpop")]
mod dpop;
mod end;
#[cfg(feature = "escrow")]
mod escrow;
mod forged_logins;
mod hints;
#[cfg(feature = "login-options")]
mod id_token_hint;
mod interleavings;
#[cfg(feature = "stored-sessions")]
mod keeping;
#[cfg(feature = "stored-sessions")]
mod keeping_ends;
#[cfg(feature = "stored-sessions")]
mod keeping_races;
#[cfg(feature = "stored-sessions")]
mod keeping_writes;
mod limits;
mod login;
#[cfg(feature = "login-options")]
mod login_elsewhere;
mod logout;
mod nothing_hangs;
mod outage;
mod pages;
#[cfg(feature = "plain-oauth")]
mod plain_oauth;
#[cfg(feature = "profile-address")]
mod profile_address;
mod provider_time;
mod pushed;
#[cfg(feature = "reasons")]
mod reasons;
mod refresh;
mod refresh_failures;
#[cfg(feature = "resource-tokens")]
mod resources;
#[cfg(feature = "stored-sessions")]
mod resumed;
mod secrecy;
mod session_expiry;
#[cfg(feature = "sockets")]
mod sockets;
#[cfg(feature = "step-up")]
mod step_up;
mod stuck_store;
mod suspected;
mod tampered_requests;
mod unauthorized;
#[cfg(feature = "profile-address")]
mod user_info;
