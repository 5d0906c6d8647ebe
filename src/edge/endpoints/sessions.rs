//! The list of the user's sessions, for a page of the user: `GET <base>/sessions`, and their end: `DELETE <base>/sessions`.
//!
//! Both need the current session, with its bound cookie if it is bound, and neither is activity of the user. The public IDs in
//! the list give no access to a session.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::csrf;
use crate::io::OwnResponse;
use crate::manage;
use crate::refusal::RETRY_AFTER;
use crate::request::RequestContext;
use crate::response;
use crate::session::Session;
use crate::session::key::public_id;
use crate::store::coordinator::Unreachable;
use crate::store::index;
use crate::task::boxed;
use rules::base::error::{Code, Error};
use rules::codec::form;
use rules::codec::json::Writer;

/// Responds to `GET` with the list, and to `DELETE` after the session with the public ID in the query's `id` has ended, or
/// without `id` all other sessions of the user.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    if let Err(error) = csrf::check_script(&context.request, &context.origin) {
        return response::error(403, &error);
    }
    // A session that has ended must not end others.
    if context.read_record().await.is_err() {
        return unavailable();
    }
    let (session, is_new) = match context.current_session().await {
        Ok(Some(found)) => found,
        Ok(None) => {
            return response::login_required();
        }
        Err(refusal) => return context.refusal_response(&refusal).await,
    };
    let mut response = match respond(context, &session).await {
        Ok(response) => response,
        Err(Unreachable) => unavailable(),
    };
    let cookies = context.updated_cookies(session, is_new).await;
    response.cookies.extend(cookies);
    response
}

fn unavailable() -> OwnResponse {
    let why = msg!("the coordinator cannot be reached");
    response::later(&Error::new(Code::CoordinatorUnavailable, why), RETRY_AFTER)
}

async fn respond(
    context: &RequestContext,
    session: &Rc<Session>,
) -> Result<OwnResponse, Unreachable> {
    let task = &context.task;
    let user = session.user();
    let user = user.as_ref().map_or("", |user| user.subject());
    let current = public_id(&session.sid);
    if context.request.method == "GET" {
        let found = boxed(index::list(task, user)).await?;
        let list = manage::listed(&found, Some(&current));
        return Ok(response::json(200, list));
    }
    let Some(parameters) = form::parse(context.url.query()) else {
        return Ok(response::empty(400));
    };
    let is_ended = match &*parameters {
        // Nothing identifies the user, so there is nothing to list.
        _ if user.is_empty() => return Ok(response::empty(404)),
        [] if context.url.query().is_empty() => {
            boxed(manage::end_others(task, user, current)).await
        }
        [(name, id)] if name == "id" => {
            // Only sessions of the user may be ended.
            let found = boxed(index::list(task, user)).await?;
            if !found.iter().any(|one| one.id == *id) {
                return Ok(response::empty(404));
            }
            boxed(manage::end_one(task, id.clone())).await
        }
        _ => return Ok(response::empty(400)),
    };
    match is_ended {
        true => Ok(response::json(
            200,
            Writer::object().flag("ended", true).finish(),
        )),
        false => Err(Unreachable),
    }
}
