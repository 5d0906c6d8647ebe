//! The session as pages see it: `GET <base>/session`.

use crate::prelude::*;

use crate::codec::json::{self, Writer};
use crate::edge::csrf;
use crate::edge::io::OwnResponse;
use crate::edge::refusal::Refusal;
use crate::edge::request::RequestContext;
use crate::edge::response;
use crate::edge::session::Session;
use crate::oauth::scope::scope_tokens;

/// Responds with the session as pages may see it: `GET <base>/session`.
pub(in crate::edge) async fn handle(context: &RequestContext) -> OwnResponse {
    if let Err(error) = csrf::check_script(&context.request, &context.origin) {
        return response::error(403, &error);
    }
    let said = |view: &str| {
        let body = Writer::object().json("session", view).finish();
        response::json(200, body)
    };
    match context.current_session().await {
        Ok(None) => said("null"),
        Ok(Some((session, is_new))) => {
            let response = said(&view(context, &session, "active"));
            let cookies = context.updated_cookies(session, is_new).await;
            OwnResponse {
                cookies,
                ..response
            }
        }
        // The session will continue after the interaction, so the response still shows the user.
        Err(Refusal::Interaction) => match context.presented().await {
            Ok(Some(session)) => said(&view(context, &session, "interaction_required")),
            _ => context.refusal_response(&Refusal::Interaction),
        },
        Err(Refusal::Ended(reason)) => {
            let body = Writer::object()
                .json("session", "null")
                .text("reason", reason.as_str())
                .finish();
            OwnResponse {
                cookies: context.jar().clear_session(&context.cookies()),
                ..response::json(200, body)
            }
        }
        Err(refusal) => context.refusal_response(&refusal),
    }
}

/// Builds the JSON of the type `Session` in `pkg/src/protocol/messages.ts`.
fn view(context: &RequestContext, session: &Session, state: &str) -> String {
    let config = &context.task.config().flow;
    let id_token = session.id_token();
    let mut claims = Writer::object();
    if let Some(id_token) = &id_token {
        claims.text("sub", id_token.subject());
        for name in &config.claims {
            if let Some(value) = id_token.claims().get(name) {
                claims.value(name, value);
            }
        }
    }
    let expires_at = session.began.saturating_add(config.limits.absolute.0);
    let idle_expires_at = session.active.saturating_add(config.limits.idle.0);
    Writer::object()
        .json("claims", &claims.finish())
        .json(
            "scopes",
            &json::string_array(scope_tokens(session.scopes())),
        )
        .text("state", state)
        .number("startedAt", session.began)
        .number("expiresAt", expires_at)
        .number("idleExpiresAt", idle_expires_at.min(expires_at))
        .number(
            "accessTokenExpiresAt",
            session.requested.saturating_add(session.lifetime.0),
        )
        .finish()
}
