//! Targets for hostile input. Each target takes arbitrary bytes and checks invariants. `cargo test` runs the targets
//! with seeds and a few thousand mutations of them, and `cargo xtask fuzz` runs them with libFuzzer, which searches for
//! bytes that reach new code.
//!
//! The targets check more than the absence of panics. A target compares the core with another parser (`serde_json`,
//! `url`, `base64ct`) or with a second implementation of the rule. It checks that results do not depend on surrounding
//! input, and that messages do not contain secrets.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "these are tests, as a library for `cargo test` and for libFuzzer"
)]

pub mod callback;
pub mod challenge;
pub mod edge_cookie;
pub mod edge_logout;
pub mod edge_record;
pub mod edge_session;
pub mod egress;
pub mod form;
pub mod id_token;
pub mod json;
pub mod jwks;
pub mod jwt;
pub mod kept;
pub mod metadata;
pub mod reflection;
pub mod socket;
pub mod token_reply;
pub mod vault;

/// A kind of input.
pub struct Target {
    /// The name of the target's file in this folder, of its file of seeds, and of its binary in `fuzz/`.
    pub name: &'static str,
    /// Panics if an invariant does not hold.
    pub check: fn(&[u8]),
    /// The seeds, separated by lines of four hyphens.
    pub seeds: &'static str,
}

macro_rules! targets {
    ($($(#[$needs:meta])? $name:ident),+ $(,)?) => {
        /// All kinds of input.
        pub const ALL: &[Target] = &[$($(#[$needs])? Target {
            name: stringify!($name),
            check: $name::check,
            seeds: include_str!(concat!("../seeds/", stringify!($name), ".txt")),
        }),+];
    };
}

targets![
    callback,
    challenge,
    edge_cookie,
    edge_logout,
    edge_record,
    edge_session,
    egress,
    form,
    id_token,
    json,
    jwks,
    jwt,
    kept,
    metadata,
    reflection,
    socket,
    token_reply,
    vault,
];

impl Target {
    /// Returns the seeds.
    pub fn seeds(&self) -> impl Iterator<Item = &'static str> {
        let seeds = self.seeds.strip_suffix('\n').unwrap_or(self.seeds);
        seeds.split("\n----\n")
    }
}

/// Checks that an error message can be shown. The message must be printable ASCII of moderate length.
pub(crate) fn assert_presentable(message: &str) {
    let is_plain = message.bytes().all(|b| (b' '..=b'~').contains(&b));
    assert!(is_plain, "{message:?}");
    assert!(message.len() < 400, "{message}");
}
