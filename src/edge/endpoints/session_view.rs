//! The session as pages see it: `GET <base>/session`.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::csrf;
use crate::endpoints::bind;
use crate::io::OwnResponse;
use crate::refusal::Refusal;
use crate::request::RequestContext;
use crate::response;
use crate::session::Session;
use crate::session::key;
use crate::task::boxed;
use rules::base::error::Code;
use rules::codec::json::Writer;
pub(crate) use rules::session::view::{SessionState, SessionView, scopes, visible_claims};

/// Responds with the session as pages may see it: `GET <base>/session`.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    if let Err(error) = csrf::check_script(&context.request, &context.origin) {
        return response::error(403, &error);
    }
    let said = |session: &Session, state: SessionState| {
        let body = Writer::object()
            .json("session", &view(context, session, state))
            .text("publicId", &key::public_id(&session.sid))
            .finish();
        response::json(200, body)
    };
    match context.current_session().await {
        Ok(None) => response::json(200, Writer::object().json("session", "null").finish()),
        Ok(Some((session, is_new))) => {
            let mut response = said(&session, SessionState::Active);
            boxed(offer_again(context, &session, &mut response)).await;
            let cookies = context.updated_cookies(session, is_new).await;
            response.cookies.extend(cookies);
            response
        }
        // The session will continue after the interaction, so the response still shows the user.
        Err(Refusal::Interaction) => match context.presented().await {
            Ok(Some(session)) => said(&session, SessionState::InteractionRequired),
            _ => context.refusal_response(&Refusal::Interaction).await,
        },
        Err(ref refusal @ Refusal::Ended(reason)) => {
            let body = Writer::object()
                .json("session", "null")
                .text("reason", reason.seen_as())
                .finish();
            OwnResponse {
                cookies: context.ended_cookies(refusal).await,
                ..response::json(200, body)
            }
        }
        // A session that must be bound gets its second offer while it is refused.
        Err(refusal @ Refusal::BoundCookieMissing { was_skipped: true }) => {
            let mut response = context.refusal_response(&refusal).await;
            if let Ok(Some(session)) = context.presented().await {
                boxed(offer_again(context, &session, &mut response)).await;
            }
            response
        }
        // The browser has waited for a renewal before this request, so it has no key for the session.
        Err(Refusal::BoundCookieMissing { was_skipped: false }) => {
            let body = Writer::object()
                .json("session", "null")
                .text("code", Code::BoundCookieMissing.as_str())
                .finish();
            response::json(200, body)
        }
        Err(refusal) => context.refusal_response(&refusal).await,
    }
}

/// Offers the binding of the session to a script of the page. The app's server, which asks for a page, does not pass on the
/// offer, so it must not use it up.
async fn offer_again(context: &RequestContext, session: &Rc<Session>, response: &mut OwnResponse) {
    if context.request.outer.is_none() {
        bind::registration::offer_again(context, session, response).await;
    }
}

/// Returns the JSON of the session as pages may see it.
fn view(context: &RequestContext, session: &Session, state: SessionState) -> String {
    let config = &context.task.config().flow;
    let user = session
        .user()
        .map(|user| user.visible(config.asks_user_info));
    let claims = user.as_ref().map_or_else(
        || "{}".to_owned(),
        |user| visible_claims(&config.claims, None, user),
    );
    let limit = session
        .began
        .saturating_add(session.longest(&config.limits).0);
    let access_token_expires_at = session.requested.saturating_add(session.lifetime.0);
    SessionView {
        claims,
        scopes: scopes(&session.scope),
        state,
        needs: None,
        kept: None,
        started_at: session.began,
        expires_at: match session.refresh_token {
            None => limit.min(access_token_expires_at),
            Some(_) => session
                .refresh_ends
                .map_or(limit, |ends| limit.min(ends.max(access_token_expires_at))),
        },
        idle_expires_at: session.active.saturating_add(config.limits.idle.0),
        access_token_expires_at,
    }
    .to_json()
}
