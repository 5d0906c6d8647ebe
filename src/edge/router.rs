//! The router: finds the endpoint or upstream for a request.

use crate::prelude::*;

use crate::base::error::Code;
use crate::base::strings;
use crate::edge::csrf;
use crate::edge::endpoints::back_channel_logout;
use crate::edge::endpoints::bind;
use crate::edge::endpoints::callback;
use crate::edge::endpoints::client_config;
use crate::edge::endpoints::login_elsewhere;
use crate::edge::endpoints::logout;
use crate::edge::endpoints::session_view;
use crate::edge::io::{OwnResponse, Request, Response};
use crate::edge::navigation;
use crate::edge::proxy;
use crate::edge::request::RequestContext;
use crate::edge::response;
use crate::edge::task::{Task, boxed};

/// Endpoints for top-level navigations only.
const FOR_WINDOWS: &str = "login callback logout/provider popup";

/// Endpoints that scripts read.
const FOR_SCRIPTS: &str = "config session";

/// Handles a request.
pub(super) async fn handle(task: Task, request: Box<Request>) -> Response {
    match RequestContext::new(task, request) {
        Ok(context) => route(&context).await,
        Err(response) => Response::Own(response),
    }
}

async fn route(context: &RequestContext) -> Response {
    let path = context.url.path();
    let config = context.task.config();
    let own = path.strip_prefix(config.base.as_str());
    let Some(endpoint) = own.and_then(|rest| rest.strip_prefix('/')) else {
        return proxy::handle(context).await;
    };
    let method = context.request.method.as_str();
    let is_navigation = csrf::is_navigation(&context.request);
    let response = match (endpoint, method) {
        (_, "GET") if csrf::is_prefetch(&context.request) => response::not_prefetched(),
        ("login", "GET") if is_navigation => boxed(login_elsewhere::handle(context)).await,
        ("login", "POST") if csrf::is_posted_form(&context.request) => {
            boxed(login_elsewhere::handle_form(context)).await
        }
        ("callback", "GET") if is_navigation => {
            return Response::Own(boxed(callback::handle(context)).await);
        }
        ("logout/provider", "GET") if is_navigation => {
            boxed(logout::redirect_to_provider(context)).await
        }
        ("popup", "GET") if is_navigation => client_config::popup(),
        (_, "GET")
            if strings::contains_word(FOR_WINDOWS, endpoint)
                && csrf::is_replaced(&context.request) =>
        {
            navigation::worker_page(context, &[config.base.as_str(), "/"].concat())
        }
        (_, "GET") if strings::contains_word(FOR_WINDOWS, endpoint) => response::refuse(
            403,
            Code::CrossSiteRequest,
            msg!("this address is for top-level navigations, not for scripts or frames"),
        ),
        ("session", "GET") => boxed(session_view::handle(context)).await,
        ("config", "GET") => client_config::handle(context),
        ("logout", "POST") => boxed(logout::handle(context)).await,
        ("backchannel-logout", "POST") if config.back_channel_logout => {
            boxed(back_channel_logout::handle(context)).await
        }
        ("bind", "POST") => boxed(bind::registration::handle(context)).await,
        ("bind/refresh", "POST") => boxed(bind::renewal::handle(context)).await,
        ("logout" | "backchannel-logout" | "bind" | "bind/refresh", _) => {
            method_not_allowed("POST")
        }
        _ if strings::contains_word(FOR_WINDOWS, endpoint)
            || strings::contains_word(FOR_SCRIPTS, endpoint) =>
        {
            method_not_allowed("GET")
        }
        _ => response::empty(404),
    };
    // A refusal at this address, too, may be the document of a window, whose opener must not read a code in the address.
    Response::Own(if endpoint == "callback" {
        response::sever(response)
    } else {
        response
    })
}

fn method_not_allowed(allowed: &str) -> OwnResponse {
    response::method_not_allowed(&[msg!("this address allows only ")], allowed)
}
