//! What is done with hostile input: each file takes any bytes and demands what must hold of them. The
//! same functions are run by `cargo test`, over seeds and what a few thousand mutations make of them,
//! and by `cargo xtask fuzz`, where libFuzzer looks for bytes that reach new code.
//!
//! "It does not panic" is the least of it. A target holds what the core says against another reader
//! (`serde_json`, `url`, `base64ct`), or against the rule written down a second time, and demands that
//! a verdict does not depend on what follows or came before, and that no secret is in what is said.

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
pub mod token_reply;
pub mod vault;

/// One kind of input.
pub struct Target {
    /// Its name: of its file here, of its seeds, and of its binary in `fuzz/`.
    pub name: &'static str,
    /// Panics if something that must hold does not.
    pub check: fn(&[u8]),
    /// Inputs to begin with, separated by lines of four hyphens.
    pub seeds: &'static str,
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        /// All kinds of input.
        pub const ALL: &[Target] = &[$(Target {
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
    token_reply,
    vault,
];

impl Target {
    /// The inputs to begin with.
    pub fn seeds(&self) -> impl Iterator<Item = &'static str> {
        let seeds = self.seeds.strip_suffix('\n').unwrap_or(self.seeds);
        seeds.split("\n----\n")
    }
}

/// Demands that an error's message can be shown: printable ASCII of moderate length, in which hostile
/// text is quoted briefly.
pub(crate) fn assert_presentable(message: &str) {
    let is_plain = message.bytes().all(|b| (b' '..=b'~').contains(&b));
    assert!(is_plain, "{message:?}");
    assert!(message.len() < 400, "{message}");
}
