//! strongroom

pub mod clock;
pub mod error;
pub mod json;
pub mod secret;

pub use error::{Code, Error, Result};
pub use secret::Secret;
