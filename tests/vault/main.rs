//! Tests of the vault in virtual time, with a provider that issues tokens and an API that checks them.
//!
//! Each file tests one behavior. All files share `tests/kit`. The world of each test checks invariants, most of them at
//! each step. At the end it also checks that every request of a page got exactly one response, unless the page gave up
//! the request, and that no page received a secret.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

mod accounts;
mod activity;
mod api_failures;
#[path = "../both/mod.rs"]
mod both;
mod callback;
mod calls;
mod claims;
mod client;
mod clocks;
mod counts;
mod custom_login;
mod device;
mod dpop;
mod end;
mod escrow;
mod expired_at_provider;
mod flawed_responses;
mod forged_logins;
mod frozen_pages;
mod hints;
mod id_token_hint;
mod interleavings;
mod keepalive;
mod keeping;
mod keeping_ends;
mod keeping_races;
mod keeping_writes;
mod known_ends;
mod limits;
mod line;
mod login;
mod login_elsewhere;
mod logout;
mod media;
mod minimal;
mod nothing_hangs;
mod outage;
mod pages;
mod pinned;
mod plain_oauth;
mod profile_address;
mod provider_time;
mod pushed;
mod reasons;
mod refresh;
mod refresh_expiry;
mod refresh_failures;
mod repeated_requests;
mod resources;
mod resumed;
mod searches;
mod secrecy;
mod session_expiry;
mod sockets;
mod step_up;
mod storms;
mod stuck_store;
mod suspected;
mod tampered_requests;
mod unauthorized;
mod user_info;
