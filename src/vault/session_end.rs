//! The end of a session, which is caused by a logout, a limit, the provider or an error. In this vault, the session
//! ends immediately. In the other vaults that use the same store, the session ends as soon as they learn of the end.
//! The revocation of the refresh token (RFC 7009) follows and may fail.

pub(super) mod limits;
pub(super) mod logout;

use crate::api_calls::{Calls, GiveUpReason};
use crate::api_sockets;
use crate::context::Context;
use crate::io::OpId;
use crate::tokens::Tokens;
use rules::Secret;
use rules::base::error::{Code, Error};
use rules::oauth::id_token;
use rules::prelude::*;
use rules::session::{EndReason, Session};

/// A session that has ended in this vault.
pub(super) struct Closed {
    session: Box<Session>,
    /// The successor of the session's refresh token, if a refresh has returned one and the session has not adopted it.
    successor: Option<Secret>,
}

impl Closed {
    /// Returns the newest refresh token, if it should be revoked after an end for this reason.
    pub(super) fn token_to_revoke(&self, ctx: &Context, reason: EndReason) -> Option<&Secret> {
        let token = self.successor.as_ref().or(self.session.refresh_token());
        // control: limits_leave_the_grant_valid
        token.filter(|_| reason.revokes(&ctx.config.flow))
    }
}

/// Ends the session. If `reason` calls for a revocation, revokes the session's refresh token. At a limit of a stored
/// session, the revocation waits for the lock. Returns the operation of the revocation, if a request was sent.
pub(super) fn end(
    ctx: &mut Context,
    tokens: &mut Tokens,
    calls: &mut Calls,
    reason: EndReason,
) -> Option<OpId> {
    let closed = close(ctx, tokens, calls, reason)?;
    let (session, token) = (&closed.session, closed.token_to_revoke(ctx, reason));
    if ctx.stores_sessions()
        && matches!(
            reason,
            EndReason::Idle | EndReason::Absolute | EndReason::SessionExpired
        )
    {
        tokens.record_end(ctx, session, reason, token.cloned());
        return None;
    }
    let revocation = token.and_then(|token| tokens.revoke(ctx, token));
    tokens.record_end(ctx, session, reason, None);
    revocation
}

/// Ends the session in this vault only: notifies the pages, rejects waiting calls and closes sockets. Returns `None` if
/// there is no session.
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
    ctx.trace("session_ended", Some(reason.seen_as()));
    let message = [msg!("the session has ended: "), reason.seen_as()];
    let error = Error::of(Code::SessionEnded, &message);
    calls.give_up_all(ctx, &mut tokens.dpop, GiveUpReason::SessionEnded, &error);
    calls.list.end_without_page(ctx);
    api_sockets::close(ctx, &mut calls.list, Some(reason));
    Some(Closed { session, successor })
}

/// Replaces the current session by another session. If the sessions belong to different users, or differ in a claim that
/// must stay the same, rejects the waiting calls. If they belong to different users, returns the refresh token of the former
/// session, which is to be revoked.
pub(super) fn replace(
    ctx: &mut Context,
    tokens: &mut Tokens,
    calls: &mut Calls,
    session: Box<Session>,
) -> Option<Secret> {
    let mut detached = None;
    if ctx.stores_sessions() {
        if tokens.persistence.is_stored {
            tokens.persistence.replaced =
                ctx.session.as_deref().map(|before| before.sid().to_owned());
        }
        tokens.persistence.activity.forget(ctx);
        if tokens.refresh.is_sent() {
            // The response to the refresh in flight will be ignored. The refresh consumes the token in the store, which
            // remains there until the new session is written.
            tokens.persistence.fall_behind();
        }
    }
    if let Some(before) = ctx.session.take() {
        let (before_user, user) = (before.original(), session.original());
        let is_other_user = before_user.may_be_other_user(user.subject());
        let same_claims = &ctx.config.flow.same_claims;
        if is_other_user || id_token::has_other_claims(before_user, user, same_claims) {
            let message = match is_other_user {
                true => msg!("another user has signed in"),
                false => msg!("the user has signed in with another value of a claim in sameClaims"),
            };
            let error = Error::new(Code::SessionEnded, message);
            // control: calls_of_former_user_are_rejected
            calls.give_up_all(ctx, &mut tokens.dpop, GiveUpReason::SessionEnded, &error);
            calls.list.end_without_page(ctx);
        }
        if is_other_user {
            let successor = tokens.refresh.end(ctx);
            detached = successor.or(before.refresh_token().cloned());
            detached = detached.filter(|_| !ctx.config.flow.forgets);
        }
    }
    tokens.refresh.abandon(ctx);
    calls.list.detach();
    api_sockets::close(ctx, &mut calls.list, None);
    ctx.session = Some(session);
    ctx.end_reason = None;
    detached
}
