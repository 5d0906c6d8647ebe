//! Strict readers and writers for the formats on the wire: JSON, base64url, forms and URLs.

pub mod base64url;
pub mod form;
pub mod json;
pub mod url;
