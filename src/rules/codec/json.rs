//! A strict reader and writer for JSON (RFC 8259), small enough for the browser.
//!
//! This module reads all JSON from a network or a page. Attackers can exploit texts that two parsers interpret
//! differently. The reader therefore rejects a repeated member name (even if one of the two is written with escapes), a
//! lone surrogate, a byte-order mark, and text after the value. It also rejects nesting deeper than [`MAX_DEPTH`].
//! Numbers stay strings until an integer is asked for, so nothing is rounded, and the module needs no floating-point
//! parser.

mod reader;
mod value;
mod writer;

pub use reader::{JsonError, MAX_DEPTH, MAX_MEMBERS, parse_u64};
pub use value::{Object, Value};
pub use writer::{Writer, digits, string_array, write_number, write_string};
