//! Pages: greeting them, and choosing the one to disconnect.

use crate::vault::api_calls::call_list::CallList;
use crate::vault::context::Context;
use crate::vault::hints::Hints;
use crate::vault::io::PortId;
use crate::vault::message::{PROTOCOL, message};

/// Greets a page: it learns of the session, and if this vault is about to stop.
pub(super) fn greet(ctx: &mut Context, hints: &Hints, port: PortId) {
    let mut ready = message("ready");
    ready.number("version", PROTOCOL);
    // The page had to wait for the first read of the store.
    if ctx.is_loading() && ctx.session.is_some() {
        let is_escrowed = ctx.config.is_escrowed;
        ready.text("from", if is_escrowed { "escrow" } else { "storage" });
    }
    let text = ctx.session_message(&mut ready);
    ctx.post(port, text);
    if let Some(text) = hints.outdated_message() {
        ctx.post(port, text);
    }
}

/// Greets the pages that waited for the first read of the store.
pub(super) fn greet_all(ctx: &mut Context, hints: &Hints) {
    for i in 0..ctx.ports.len() {
        greet(ctx, hints, ctx.ports[i]);
    }
}

/// Returns the page that was silent for the longest time, preferably one without a call. A page that crashed or was
/// discarded has sent no `bye`.
pub(super) fn silent_page(ctx: &Context, calls: &CallList) -> Option<PortId> {
    let is_idle = |port: &&PortId| !calls.has_calls(**port);
    let idle = ctx.ports.iter().find(is_idle);
    idle.or(ctx.ports.first()).copied()
}
