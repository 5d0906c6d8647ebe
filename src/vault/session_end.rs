//! The end of a session: by logout, by a limit, or by the provider. The session ends at once and in all vaults; the
//! revocation of its refresh token (RFC 7009) follows and may fail.

pub(super) mod limits;
pub(super) mod logout;
pub(super) mod revocation;

use crate::Secret;
use crate::base::error::{Code, Error};
use crate::prelude::*;
use crate::session::{EndReason, Session};
use crate::vault::api_calls::{Calls, Waiters};
use crate::vault::api_sockets::Sockets;
use crate::vault::context::Context;
use crate::vault::io::OpId;
use crate::vault::tokens::Tokens;

/// A session that was closed.
pub(super) struct Closed {
    session: Box<Session>,
    /// The successor of its refresh token, if the session has not adopted that.
    successor: Option<Secret>,
}

/// Ends the session. Returns the operation that revokes its refresh token, if there is one.
pub(super) fn end(
    ctx: &mut Context,
    tokens: &mut Tokens,
    calls: &mut Calls,
    reason: EndReason,
) -> Option<OpId> {
    let Closed { session, successor } = close(ctx, tokens, calls, reason)?;
    let token = successor.as_ref().or(session.refresh_token());
    let token = token.filter(|_| reason.calls_for_revocation());
    if ctx.keeps() && matches!(reason, EndReason::Idle | EndReason::Absolute) {
        tokens.record_end(ctx, &session, reason, token.cloned());
        return None;
    }
    let revocation = token.and_then(|token| tokens.revoke(ctx, token));
    tokens.record_end(ctx, &session, reason, None);
    revocation
}

/// Closes the session for all pages.
pub(super) fn close(
    ctx: &mut Context,
    tokens: &mut Tokens,
    calls: &mut Calls,
    reason: EndReason,
) -> Option<Closed> {
    let session = ctx.session.take()?;
    ctx.end_reason = Some(reason);
    let successor = tokens.refresh.end(ctx);
    ctx.broadcast_session();
    ctx.trace("session_ended", Some(reason.as_str()));
    let message = [msg!("the session has ended: "), reason.as_str()];
    let error = Error::of(Code::SessionEnded, &message);
    calls.give_up_all(ctx, &mut tokens.dpop, Waiters::SessionEnded, &error);
    Sockets::close(ctx, &mut calls.list, Some(reason));
    Some(Closed { session, successor })
}

/// Replaces the current session by another session. Returns the refresh token to revoke, if the user is another one.
/// Waiting calls of the former user are rejected.
pub(super) fn replace(
    ctx: &mut Context,
    tokens: &mut Tokens,
    calls: &mut Calls,
    session: Box<Session>,
) -> Option<Secret> {
    let mut detached = None;
    if ctx.keeps() {
        if tokens.persistence.is_stored {
            tokens.persistence.replaced =
                ctx.session.as_deref().map(|before| before.sid().to_owned());
        }
        tokens.persistence.activity.forget(ctx);
        if tokens.refresh.is_sent() {
            // The response to that refresh will be ignored. Until the new session is written, the store has the consumed refresh token.
            tokens.persistence.fall_behind();
        }
    }
    if let Some(before) = ctx.session.take()
        && before.original().subject() != session.original().subject()
    {
        let successor = tokens.refresh.end(ctx);
        let error = Error::new(Code::SessionEnded, msg!("another user has signed in"));
        // control: calls_of_former_user_are_rejected
        calls.give_up_all(ctx, &mut tokens.dpop, Waiters::SessionEnded, &error);
        detached = successor.or(before.refresh_token().cloned());
    }
    tokens.refresh.abandon(ctx);
    calls.list.detach();
    Sockets::close(ctx, &mut calls.list, None);
    ctx.session = Some(session);
    ctx.end_reason = None;
    detached
}
