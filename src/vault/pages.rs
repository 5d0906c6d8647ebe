//! The greeting of pages, which is the message `ready`, and the choice of a page to disconnect.

use crate::call_list::CallList;
use crate::config::Persist;
use crate::context::Context;
use crate::hints::Hints;
use crate::io::PortId;
use crate::message::{PROTOCOL, message};

/// Greets a page. The page learns if there is a session, and if this vault is about to stop.
pub(super) fn greet(ctx: &mut Context, hints: &Hints, port: PortId) {
    let mut ready = message("ready");
    ready.number("version", PROTOCOL);
    // Pages name the records of this app and account by a hash, since apps of one origin share localStorage.
    ready.number("app", ctx.config.flow.app().into());
    if ctx.config.accounts > 0 {
        ready.number("account", ctx.config.flow.account);
    }
    if ctx.config.login.has_callback_page {
        ready.flag("callbackPage", true);
    }
    // While the store is being loaded, a session can only come from the store.
    if ctx.is_loading() && ctx.session.is_some() {
        let is_escrowed = ctx.config.persist == Persist::Escrow;
        ready.text("from", if is_escrowed { "escrow" } else { "storage" });
    }
    let text = ctx.session_message(&mut ready);
    ctx.post(port, text);
    if let Some(text) = hints.outdated_message() {
        ctx.post(port, text);
    }
}

/// Greets all pages, which had to wait for the first read of the store.
pub(super) fn greet_all(ctx: &mut Context, hints: &Hints) {
    for i in 0..ctx.ports.len() {
        greet(ctx, hints, ctx.ports[i]);
    }
}

/// Returns the page that was silent for the longest time. Pages without a call in flight are preferred. A page that
/// crashed or was discarded is still connected, because it has sent no `bye`.
pub(super) fn silent_page(ctx: &Context, calls: &CallList) -> Option<PortId> {
    let is_idle = |port: &&PortId| !calls.has_calls(**port);
    let idle = ctx.ports.iter().find(is_idle);
    idle.or(ctx.ports.first()).copied()
}
