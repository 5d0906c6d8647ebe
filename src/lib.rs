//! An OAuth 2.0 and OpenID Connect client that keeps tokens out of the page.
//!
//! This crate is the core of [strongroom](https://www.npmjs.com/package/strongroom). In a browser, the core is compiled
//! to WebAssembly and runs in a Web Worker. There it signs the user in by the authorization code flow with PKCE,
//! validates ID tokens, rotates refresh tokens, and adds the access token to requests for APIs. The page sends commands
//! to the core and receives results, but never a token. On a server, a token handler ([`edge`]) follows the same rules
//! for tokens.
//!
//! # The core does no I/O
//!
//! The core does not read a clock, open a connection or wait, and it has no random numbers of its own. A host passes a
//! source of random numbers ([`base::entropy::Entropy`]) once, and then events, always with the time. The host performs
//! the core's outputs:
//!
//! 1. [`Vault::handle`](vault::Vault::handle) takes an [`Input`](vault::Input), for example a page's message, a
//!    response of the provider, the head of an API's response, a timer or a verified signature.
//! 2. [`Vault::poll`](vault::Vault::poll) returns the next [`Output`](vault::Output), if there is one. An output is a
//!    task for the host, for example to send a request, store a login, verify a signature, or post a message to a page.
//! 3. [`Vault::next_tick`](vault::Vault::next_tick) returns the time of the next timer. The timer may fire late or
//!    early: the core uses the time that every input carries, and never assumes that a timer fired on time.
//!
//! Because the core does no I/O, native tests can run each rule in virtual time and simulate every network fault. The
//! host for browsers is the module `browser` (wasm32 only). The module `bindings` is the JavaScript interface.
//!
//! ```
//! use strongroom::base::clock::{Instant, Millis};
//! use strongroom::config::Config;
//! use strongroom::vault::{Body, CallId, Entropy, Input, Output, PortId, Vault};
//!
//! struct Zeros; // A host uses the platform's random numbers.
//! impl Entropy for Zeros {
//!     fn fill(&mut self, bytes: &mut [u8]) {
//!         bytes.fill(0);
//!     }
//! }
//!
//! let config = Config::parse(
//!     r#"{
//!         "issuer": "https://id.example.com",
//!         "clientId": "spa",
//!         "redirectUri": "/callback",
//!         "scope": "openid offline_access",
//!         "apis": [{ "url": "https://api.example.com/v1/" }]
//!     }"#,
//!     "https://app.example.com/auth.worker.js",
//! )?;
//! let mut vault = Vault::new(config, Box::new(Zeros));
//!
//! // A page connects and wants to log in.
//! let port = PortId(1);
//! let now = Instant { monotonic: Millis::ZERO, wall: 1_790_000_000_000 };
//! for (call, text) in [
//!     (CallId(1), r#"{"t":"hello","version":2}"#),
//!     (CallId(2), r#"{"t":"login","id":1,"mode":"redirect"}"#),
//! ] {
//!     vault.handle(now, Input::Message { port, call, text, body: Body::Replayable });
//! }
//!
//! // The vault greets the page and requests the provider's metadata.
//! let mut posts = 0;
//! while let Some(output) = vault.poll() {
//!     match output {
//!         Output::Post { port: to, .. } => posts += u32::from(to == port),
//!         Output::Send { request, .. } => assert_eq!(
//!             request.url,
//!             "https://id.example.com/.well-known/openid-configuration"
//!         ),
//!         _ => {}
//!     }
//! }
//! assert_eq!(posts, 1);
//!
//! // Without a response the request times out, and the page gets an error.
//! let later = Instant { monotonic: Millis::from_secs(10), wall: now.wall + 10_000 };
//! assert_eq!(vault.next_tick(now), Some(later.monotonic));
//! vault.handle(later, Input::Tick);
//! assert!(matches!(vault.poll(), Some(Output::Cancel { .. })));
//! let Some(Output::Post { text, .. }) = vault.poll() else { panic!() };
//! assert!(text.contains("provider_unavailable"));
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
//! # Rules
//!
//! Each module states its rules. `ARCHITECTURE.md` has an index of the rules, with the code and a test for each rule.
//! Start with [`vault`], [`oauth::refresh_policy`], [`egress::policy`] and [`edge`].

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod prelude;

#[macro_use]
pub mod base;
pub mod codec;
pub mod config;
#[cfg(feature = "edge")]
pub mod edge;
pub mod egress;
pub mod login;
pub mod oauth;
pub mod session;
pub mod vault;

#[cfg(target_arch = "wasm32")]
pub mod bindings;
#[cfg(all(target_arch = "wasm32", feature = "vault"))]
pub mod browser;

pub use base::error::{Code, Error, Result};
pub use base::secret::Secret;
