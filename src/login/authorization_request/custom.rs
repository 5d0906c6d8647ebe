//! The redirect URI of a login whose authorization URL the app opens itself. The app may choose the port of a loopback
//! address (RFC 8252 7.3).

use super::LoginParams;
use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::codec::json;
use crate::codec::url::Url;
use crate::config::{Config, CustomLogin};
use crate::prelude::*;

impl LoginParams {
    /// Returns the redirect URI of the request, if the app chose its port (RFC 8252 7.3).
    ///
    /// # Errors
    /// [`Code::Unsupported`] if the configuration does not allow this mode; [`Code::MessageInvalid`] if the port is not
    /// valid, or if the configured redirect URI has no loopback address.
    pub fn redirect_uri(&self, config: &Config) -> Result<Option<Url>> {
        let is_allowed = if self.is_custom {
            config.login.custom != CustomLogin::Off
        } else {
            self.port.is_none() && config.login.custom != CustomLogin::Required
        };
        if !is_allowed {
            let why = msg!(
                "login({ mode: 'custom' }) needs customLogin: true in the worker's file; only this mode works if redirectUri there is of another origin, and only this mode takes a port"
            );
            return Err(Error::new(Code::Unsupported, why));
        }
        let Some(port) = self.port else {
            return Ok(None);
        };
        let Some(url) = with_port(&config.redirect_uri, port) else {
            let why = msg!(
                "login option port must be an integer from 1 to 65535, and needs a redirectUri of http://127.0.0.1 or http://[::1] in the worker's file"
            );
            return Err(Error::new(Code::MessageInvalid, why));
        };
        Ok(Some(url))
    }
}

/// Replaces the port of a loopback address, or returns `None` for other URLs and if the port is not valid.
fn with_port(url: &Url, port: u64) -> Option<Url> {
    let start = match (url.scheme(), strings::split_once(url.host(), b':').0) {
        ("http", "127.0.0.1") => "http://127.0.0.1:",
        // The only IPv6 address that a configuration may have with this scheme.
        ("http", "[") => "http://[::1]:",
        _ => return None,
    };
    let mut text = start.to_owned();
    json::write_number(&mut text, port);
    text.push_str(url.relative());
    // The parser refuses a port above 65535.
    Url::parse(&text).filter(|_| port > 0)
}
