//! The router: finds the endpoint or upstream for a request.

use crate::prelude::*;

use crate::base::error::Code;
use crate::base::strings;
use crate::edge::csrf;
use crate::edge::endpoints::client_config;
use crate::edge::io::{OwnResponse, Request, Response};
use crate::edge::request::RequestContext;
use crate::edge::response;
use crate::edge::task::{Task, boxed};

/// Endpoints for top-level navigations only.
const FOR_WINDOWS: &str = "login callback logout/provider popup";

/// Endpoints for scripts.
const FOR_SCRIPTS: &str = "config session";

impl Task {
    /// Handles a request.
    pub(super) async fn handle(self, request: Box<Request>) -> Response {
        match RequestContext::new(self, request) {
            Ok(context) => context.route().await,
            Err(response) => Response::Own(response),
        }
    }
}

impl RequestContext {
    async fn route(&self) -> Response {
        let path = self.url.path();
        let config = self.task.config();
        let own = path.strip_prefix(config.base.as_str());
        let Some(endpoint) = own.and_then(|rest| rest.strip_prefix('/')) else {
            return self.proxy().await;
        };
        let method = self.request.method.as_str();
        let is_navigation = csrf::is_navigation(&self.request);
        Response::Own(match (endpoint, method) {
            ("login", "GET") if is_navigation => boxed(self.login()).await,
            ("callback", "GET") if is_navigation => boxed(self.callback()).await,
            ("logout/provider", "GET") if is_navigation => boxed(self.provider_logout()).await,
            ("popup", "GET") if is_navigation => client_config::popup(),
            (_, "GET") if strings::contains_word(FOR_WINDOWS, endpoint) => response::refuse(
                403,
                Code::CrossSiteRequest,
                msg!("this address is for top-level navigations, not for scripts or frames"),
            ),
            ("session", "GET") => boxed(self.session()).await,
            ("config", "GET") => self.client_config(),
            ("logout", "POST") => boxed(self.logout()).await,
            ("backchannel-logout", "POST") if config.back_channel_logout => {
                boxed(self.back_channel_logout()).await
            }
            ("logout" | "backchannel-logout", _) => method_not_allowed("POST"),
            _ if strings::contains_word(FOR_WINDOWS, endpoint)
                || strings::contains_word(FOR_SCRIPTS, endpoint) =>
            {
                method_not_allowed("GET")
            }
            _ => response::empty(404),
        })
    }
}

fn method_not_allowed(allowed: &str) -> OwnResponse {
    response::method_not_allowed(&[msg!("this address allows only ")], allowed)
}
