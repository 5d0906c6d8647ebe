//! A login that another site begins, such as the portal of a provider (OIDC Core 4): the page's URL is
//! `initiateLoginUri` with the parameter `iss`, and perhaps `login_hint` and `target_link_uri`.
//!
//! A session is kept, so that no other site can switch the user. Without a session the page decides if it begins a login,
//! since only the page's storage knows how the last session ended.

use rules::prelude::*;

use crate::config::Config;
use crate::context::Context;
use crate::io::{PortId, RequestId};
use crate::message::message;
use rules::base::error::Result;
use rules::codec::form;
use rules::codec::url::Url;
use rules::login::authorization_request;
use rules::login::initiation::Initiation;

/// If another site begins a login at `url`, a page's URL, tells the page which path to open, and if a user is signed in.
/// Returns false for any other URL.
pub(crate) fn respond(ctx: &mut Context, port: PortId, id: RequestId, url: &str) -> bool {
    let Some(initiation) = read(&ctx.config, url) else {
        return false;
    };
    let checked = initiation.and_then(|initiation| {
        initiation.check_issuer(&ctx.config.flow.issuer)?;
        Ok(initiation)
    });
    let initiation = match checked {
        Ok(initiation) => initiation,
        Err(error) => {
            ctx.post_error(port, id, &error);
            return true;
        }
    };
    let chosen = initiation.target.as_deref();
    let target = target(&ctx.config, chosen.filter(|chosen| !chosen.is_empty()));
    let text = message("initiated")
        .number("id", id.0)
        .text("returnTo", target.as_deref().unwrap_or("/"))
        .flag("targetRefused", target.is_none())
        .flag("signedIn", ctx.session.is_some())
        .optional_text("loginHint", initiation.login_hint.as_deref())
        .finish();
    ctx.post(port, text);
    true
}

fn read(config: &Config, url: &str) -> Option<Result<Box<Initiation>>> {
    let own = config.login.initiate_login_uri.as_ref()?;
    let url = Url::parse(url).filter(|url| url.without_query() == *own)?;
    Initiation::read(form::parse(url.query())?)
}

/// Returns the path of the app to which the login leads, or `None` if the chosen address is not on the app's origin, or
/// if it is that of a response or of another login.
fn target(config: &Config, chosen: Option<&str>) -> Option<String> {
    let redirect_uri = &config.redirect_uri;
    let path = authorization_request::return_to(redirect_uri, chosen).ok()?;
    let url = Url::parse_within(&path, redirect_uri)?;
    let address = url.without_query();
    // Without parameters, the redirect URI is a page like any other.
    let is_response = address == redirect_uri.without_query() && url.relative() != url.path();
    let is_login = config.login.initiate_login_uri.as_ref() == Some(&address);
    (!is_response && !is_login).then_some(path)
}
