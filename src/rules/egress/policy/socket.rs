//! The authorization of WebSocket connections.

use super::{Allowed, Credentials, EgressPolicy, Refusal, Rule, refusal_error};
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
        let is_it = |rule: &&Rule| rule.covers(url) && rule.is_exact == only_exact;
        let mut covering = self.rules.iter().filter(is_it);
        let with_socket = covering.find_map(|rule| {
            let place = rule.socket.as_ref()?;
            Some((place, rule.reflection, rule.token_selector))
        });
        let Some((place, reflection, token_selector)) = with_socket else {
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
            reflection,
            credentials: Credentials::Include,
            rule: 0,
            steps_up: false,
            caches: false,
            token_selector,
        };
        Ok((allowed, place))
    }
}
