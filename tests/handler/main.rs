//! Tests of one isolate of the token handler in virtual time, with real AES-GCM and real signatures. The provider
//! records its requests, and the browser stores cookies as real browsers do.
//!
//! Each file tests one behavior, and all files share `host`. `tests/isolates` tests several isolates that share a
//! session.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

mod back_channel;
#[path = "../both/mod.rs"]
mod both;
mod bound;
mod bound_modes;
mod bound_navigation;
mod bound_registration;
mod bound_renewal;
mod bound_second_offer;
mod bound_thief;
mod browser;
mod callback;
mod checks;
mod client;
mod client_auth;
mod client_config;
mod config;
mod cookies;
mod costs;
mod cross_site;
mod crypto;
mod device;
mod discovery;
mod dpop;
mod events;
mod expired_at_provider;
mod faults;
mod flawed_responses;
mod grants;
mod header_limits;
mod headers;
mod host;
mod index;
mod login;
mod login_elsewhere;
mod login_host;
mod logout;
mod logout_tokens_random;
mod logs;
mod lost_logins;
mod mark;
mod media;
mod mix_up;
mod navigation;
mod orders;
mod origins;
mod plain_oauth;
mod prefetch;
mod previous_token;
mod profile_address;
mod provider;
mod provider_keys;
mod proxy;
mod refresh_expiry;
mod refused_client;
mod refused_token;
mod request_headers;
mod request_ids;
mod same_claims;
mod same_record;
mod service_worker;
mod session;
mod session_expiry;
mod store;
mod tenants;
mod user_info;
mod versions;
