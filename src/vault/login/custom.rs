//! The redirect URI of a login whose authorization URL the app opens itself. The app may choose the port of a loopback
//! address (RFC 8252 7.3).

use crate::config::CustomLogin;
use rules::base::error::{Code, Error, Result};
use rules::base::strings;
use rules::codec::json;
use rules::codec::url::Url;
use rules::login::authorization_request::LoginParams;
use rules::prelude::*;

/// Returns the redirect URI of the request, if the app chose its port (RFC 8252 7.3).
///
/// # Errors
/// [`Code::Unsupported`] if the configuration does not allow this mode; [`Code::MessageInvalid`] if the port is not
/// valid, or if the configured redirect URI has no loopback address.
pub(super) fn redirect_uri(
    params: &LoginParams,
    custom: CustomLogin,
    configured: &Url,
) -> Result<Option<Url>> {
    let unsupported = if params.is_custom {
        (custom == CustomLogin::Off).then_some(msg!(
            "login({ mode: 'custom' }) needs customLogin: true in the worker's file"
        ))
    } else if custom == CustomLogin::Required {
        Some(msg!(
            "redirectUri in the worker's file is of another origin, so login() needs mode: 'custom'"
        ))
    } else {
        params
            .port
            .map(|_| msg!("login option port needs mode: 'custom'"))
    };
    if let Some(why) = unsupported {
        return Err(Error::new(Code::Unsupported, why));
    }
    let Some(port) = params.port else {
        return Ok(None);
    };
    let with_port = match loopback(configured) {
        Some(start) => with_port(start, port, configured)
            .ok_or(msg!("login option port must be from 1 to 65535")),
        None => Err(msg!(
            "login option port needs a redirectUri of http://127.0.0.1 or http://[::1] in the worker's file"
        )),
    };
    with_port
        .map(Some)
        .map_err(|why| Error::new(Code::MessageInvalid, why))
}

/// Returns the start of a loopback address, up to its port, or `None` for other URLs.
fn loopback(url: &Url) -> Option<&'static str> {
    match (url.scheme(), strings::split_once(url.host(), b':').0) {
        ("http", "127.0.0.1") => Some("http://127.0.0.1:"),
        // The only IPv6 address that a configuration may have with this scheme.
        ("http", "[") => Some("http://[::1]:"),
        _ => None,
    }
}

/// Returns the URL with this start and port. Returns `None` if the port is not valid.
fn with_port(start: &str, port: u64, url: &Url) -> Option<Url> {
    let mut text = start.to_owned();
    json::write_number(&mut text, port);
    text.push_str(url.relative());
    // The parser refuses a port above 65535.
    Url::parse(&text).filter(|_| port > 0)
}
