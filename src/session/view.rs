//! The part of a session that a page may see.

use super::{Session, after};
use crate::codec::json::{self, Writer};
use crate::config::Config;
use crate::oauth::scope::scope_tokens;
use crate::prelude::*;

/// Serializes the part that a page may see: `Session` in `pkg/src/protocol/messages.ts`. `is_kept` is `None` if the
/// configuration does not store sessions, and otherwise true if the store accepts this session. `is_suspected` is true
/// if the provider seems to have ended the session silently.
#[must_use]
pub fn view(
    session: &Session,
    config: &Config,
    is_kept: Option<bool>,
    is_suspected: bool,
) -> String {
    let state = if session.interaction_required || is_suspected {
        "interaction_required"
    } else {
        "active"
    };
    let (_, access_token_expires_at) = session.access_token_times();
    let expires_at = after(session.times.started.wall, config.limits.absolute);
    let idle_expires_at = after(session.times.last_activity.wall, config.limits.idle);
    let mut view = Writer::object();
    if let Some(is_kept) = is_kept {
        view.flag("kept", is_kept);
    }
    session.extension.write_view(&mut view);
    view.json("claims", &visible_claims(session, config))
        .json("scopes", &scopes(session))
        .text("state", state)
        .number("startedAt", session.times.started.wall)
        .number("expiresAt", expires_at)
        .number("idleExpiresAt", idle_expires_at.min(expires_at))
        .number("accessTokenExpiresAt", access_token_expires_at)
        .finish()
}

pub(super) fn visible_claims(session: &Session, config: &Config) -> String {
    let mut visible = Writer::object();
    visible.text("sub", session.original.subject());
    let claims = session
        .latest
        .as_ref()
        .unwrap_or(&session.original)
        .claims();
    for name in &config.claims {
        // A provider may omit claims of the first ID token from refreshed ID tokens.
        let value = claims
            .get(name)
            .or_else(|| session.original.claims().get(name));
        if let Some(value) = value {
            visible.value(name, value);
        }
    }
    visible.finish()
}

pub(super) fn scopes(session: &Session) -> String {
    json::string_array(scope_tokens(
        session.tokens.scope.as_deref().unwrap_or_default(),
    ))
}
