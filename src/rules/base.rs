//! The foundation of all other modules: time, random numbers, errors and their messages, HTTP types, secrets, strings
//! and digests.

// This module comes first because the others use its macros.
#[macro_use]
pub mod messages;

pub mod clock;
pub mod digest;
pub mod entropy;
pub mod error;
pub mod http;
pub mod list;
pub mod proof;
pub mod secret;
pub mod strings;
