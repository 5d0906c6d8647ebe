//! Readers of `reflection`, `allowHeaders` and `denyHeaders`, which a rule of a vault and a route of a token handler have.

use super::reader::Options;
use crate::base::http::is_token;
use crate::codec::json::Value;
use crate::egress::request_headers::Exceptions;
use crate::egress::token_reflection::Scope;

/// Returns the parts of responses that are searched for reflected tokens.
pub fn reflection(options: &Options<'_>) -> Scope {
    const OPTION: &str = "reflection";
    match options.object.get(OPTION).map(Value::as_str) {
        None | Some(Some("refuse")) => return Scope::All,
        Some(Some("headers")) => return Scope::Headers,
        Some(Some("allow")) => return Scope::Nothing,
        Some(_) => {}
    }
    options.refuse(OPTION, msg!("it must be 'refuse', 'headers' or 'allow'"));
    Scope::All
}

/// The reason why a list of header names is refused.
pub const NOT_HEADERS: &str = msg!(
    "it must be an array of header names such as ['X-Api-Key'], without those that no rule can change, such as Authorization, Cookie and Host"
);

/// Reads `allowHeaders` and `denyHeaders`, the exceptions from the lists in [`crate::egress::request_headers`].
pub fn header_exceptions(options: &Options<'_>) -> Exceptions {
    let mut exceptions = Exceptions::default();
    for name in options.strings("allowHeaders", "", NOT_HEADERS) {
        if !(is_token(&name) && exceptions.allow(&name)) {
            options.refuse("allowHeaders", NOT_HEADERS);
        }
    }
    for name in options.strings("denyHeaders", "", NOT_HEADERS) {
        if !is_token(&name) {
            options.refuse("denyHeaders", NOT_HEADERS);
        }
        exceptions.deny(&name);
    }
    exceptions
}
