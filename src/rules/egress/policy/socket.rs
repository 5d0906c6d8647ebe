//! The authorization of WebSocket connections.

use super::{Allowed, Credentials, EgressPolicy, Refusal, refusal_error};
use crate::base::error::{Code, Result};
use crate::codec::url::Url;
use crate::egress::websocket::{self, Place};
use crate::prelude::*;

impl EgressPolicy {
    /// Authorizes a WebSocket connection, or refuses it. The URL is checked as if its scheme were `https` (or `http` on
    /// loopback), but only against rules that allow WebSocket connections.
    ///
    /// # Errors
    /// [`Code::UrlNotAllowed`], [`Code::LimitExceeded`].
    pub fn authorize_socket(&self, text: &str) -> Result<(Allowed, &Place)> {
        let text = websocket::as_http(text);
        self.check(&text, |url| self.check_socket(url))
            .map_err(|refusal| refusal_error(refusal, &text, ""))
    }

    fn check_socket(&self, url: &Url) -> core::result::Result<(Allowed, &Place), Refusal> {
        self.refuse_other_spelling(url)?;
        let only_exact = self.has_exact_rule_for(url);
        let with_socket = self.rules.iter().enumerate().find_map(|(i, rule)| {
            let place = rule.socket.as_ref()?;
            let is_it = rule.covers(url) && rule.is_exact == only_exact;
            is_it.then_some((place, i, rule))
        });
        let Some((place, i, rule)) = with_socket else {
            let why = msg!("no rule in apis that covers this URL has webSocket");
            return Err((Code::UrlNotAllowed, why));
        };
        if !place.is_unused_in(url) {
            let why = msg!("the URL has the query parameter that is reserved for the token");
            return Err((Code::UrlNotAllowed, why));
        }
        let allowed = Allowed {
            url: websocket::as_ws(url.without_fragment()),
            method: "GET".to_owned(),
            reflection: rule.reflection,
            credentials: Credentials::Include,
            rule: i,
            steps_up: false,
            caches: false,
            token_selector: rule.token_selector,
        };
        Ok((allowed, place))
    }
}
