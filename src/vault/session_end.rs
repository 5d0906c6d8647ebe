//! The end of a session: by logout, by a limit, by the provider's verdict. Whatever the reason, it
//! is over at once and everywhere; revoking the refresh token (RFC 7009) comes after and may fail.

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::form::{Form, with_query};
use crate::codec::url::Url;
use crate::oauth::token_endpoint;
use crate::session::{EndReason, Session};
use crate::vault::api_calls::Waiters;
use crate::vault::list::{self, List};
use crate::vault::message::message;
use crate::vault::persistence;
use crate::vault::{OpId, PortId, Purpose, Vault};

/// How often a revocation is tried.
const ATTEMPTS: u32 = 3;
const RETRY_AFTER_SECONDS: u64 = 2;

/// Sessions that are over but for a formality.
#[derive(Default)]
pub(super) struct Ending {
    logouts: List<Logout>,
    revocations: List<Revocation>,
    /// Pages that wait for the provider's metadata, to be sent where the user is signed out there too.
    unaddressed: Vec<(PortId, u64, Option<String>)>,
    /// Refresh tokens to be revoked as soon as the provider's metadata are there.
    waiting: Vec<Secret>,
}

/// A page that waits for its logout.
struct Logout {
    port: PortId,
    id: u64,
    /// For which revocation, if one is under way.
    op: Option<OpId>,
    /// The store does not know yet: the page is likely to go away, and a worker of its own with it.
    awaits_store: bool,
    /// The provider has confirmed that the refresh token is revoked.
    is_revoked: bool,
    url: Option<String>,
}

struct Revocation {
    request: HttpRequest,
    attempts: u32,
    state: RevocationState,
}

#[derive(PartialEq, Eq)]
enum RevocationState {
    Sent(OpId),
    Due(Millis),
}

impl Ending {
    pub(super) fn forget_port(&mut self, port: PortId) {
        list::discard(&mut self.logouts, |logout| logout.port == port);
        if persistence::IS_BUILT_IN {
            self.unaddressed.retain(|logout| logout.0 != port);
        }
    }
}

impl Vault {
    pub(super) fn enforce_limits(&mut self) {
        let session = self.session.as_deref();
        if let Some(reason) = session.and_then(|s| s.limit_reached(&self.config.limits, &self.now))
            && !self.doubts(reason)
        {
            self.end_session(reason);
        }
    }

    /// How long before a limit pages are told of it: a tenth of the idle limit, at most a minute.
    pub(super) fn warning(&self) -> Millis {
        Millis(self.config.limits.idle.0 / 10).min(Millis::from_secs(60))
    }

    /// Tells pages that a limit is near, once, or that it is so no longer.
    pub(super) fn warn(&mut self) {
        let Some(session) = &self.session else {
            self.has_warned = false;
            return;
        };
        let left = session.until_limit(&self.config.limits, &self.now);
        let is_near = left <= self.warning();
        if is_near && !self.has_warned {
            let at = self.now.wall.saturating_add(left.0);
            let text = message("expiring").number("at", at).finish();
            self.broadcast(&text);
        } else if self.has_warned && !is_near {
            self.broadcast_session();
        }
        self.has_warned = is_near;
    }

    /// The user does something in a page. A token that is about to expire is renewed before it is needed.
    pub(super) fn user_is_active(&mut self) {
        let is_stale = |session: &Session| session.is_stale(&self.now);
        let is_stale = self.session.as_deref().is_some_and(is_stale);
        if self.touch() && is_stale {
            self.start_refresh();
        }
    }

    /// The user did something. Gives whether it counts: when it is in doubt whether the session is alive, it
    /// may be too late for that.
    pub(super) fn touch(&mut self) -> bool {
        let counts = self.note_activity();
        if let Some(session) = self.session.as_mut().filter(|_| counts) {
            session.touch(&self.now);
        }
        counts
    }

    /// Ends the session. Gives the operation that revokes its refresh token, if one does.
    pub(super) fn end_session(&mut self, reason: EndReason) -> Option<OpId> {
        let (session, successor) = self.close_session(reason)?;
        let token = successor.as_ref().or(session.refresh_token());
        let token = token.filter(|_| reason.calls_for_revocation());
        if self.keeps() && matches!(reason, EndReason::Idle | EndReason::Absolute) {
            self.note_end(&session, reason, token.cloned());
            return None;
        }
        let revocation = token.and_then(|token| self.revoke(token));
        self.note_end(&session, reason, None);
        revocation
    }

    /// Takes the session away from everyone. Gives it, and the successor of its refresh token if there
    /// is one that it has not adopted.
    pub(super) fn close_session(
        &mut self,
        reason: EndReason,
    ) -> Option<(Box<Session>, Option<Secret>)> {
        let session = self.session.take()?;
        self.end_reason = Some(reason);
        let successor = self.end_refresh();
        self.broadcast_session();
        self.trace("session_ended", Some(reason.as_str()));
        let message = [msg!("the session has ended: "), reason.as_str()];
        let error = Error::of(Code::SessionEnded, &message);
        self.give_up_calls(Waiters::SessionEnded, &error);
        #[cfg(feature = "extended")]
        self.close_sockets(Some(reason));
        Some((session, successor))
    }

    pub(super) fn logout(
        &mut self,
        port: PortId,
        id: u64,
        provider: bool,
        return_to: Option<&str>,
    ) {
        self.announce_sign_out();
        self.cancel_callbacks();
        // The session ends even if the address to go to is refused.
        let revocation = self.end_session(EndReason::LoggedOut);
        // A session that was kept does not bring the metadata along.
        if self.keeps() && provider && !self.need_metadata() {
            let return_to = return_to.map(ToOwned::to_owned);
            return self.ending.unaddressed.push((port, id, return_to));
        }
        self.conclude_logout(port, id, provider, return_to, revocation);
    }

    /// Takes up the logouts that waited for metadata, which are there or not to be had.
    pub(super) fn resume_logouts(&mut self) {
        if self.keeps() {
            for (port, id, return_to) in core::mem::take(&mut self.ending.unaddressed) {
                self.conclude_logout(port, id, true, return_to.as_deref(), None);
            }
        }
    }

    fn conclude_logout(
        &mut self,
        port: PortId,
        id: u64,
        provider: bool,
        return_to: Option<&str>,
        op: Option<OpId>,
    ) {
        let url = match provider
            .then(|| self.end_session_url(return_to))
            .transpose()
        {
            Ok(url) => url,
            Err(error) => return self.post_error(port, id, &error),
        };
        let awaits_store = self.has_end_to_keep();
        if op.is_none() && !awaits_store {
            return self.post_done(port, id, url.as_deref(), false);
        }
        self.ending.logouts.push(Box::new(Logout {
            port,
            id,
            op,
            awaits_store,
            is_revoked: false,
            url,
        }));
    }

    /// The store knows of the end, or cannot be told for the time being.
    pub(super) fn logouts_kept(&mut self) {
        for logout in &mut self.ending.logouts {
            logout.awaits_store = false;
        }
        self.settle_logouts();
    }

    fn settle_logouts(&mut self) {
        let is_through = |logout: &Logout| logout.op.is_none() && !logout.awaits_store;
        while let Some(logout) = list::take(&mut self.ending.logouts, is_through) {
            let Logout {
                port,
                id,
                is_revoked,
                ..
            } = *logout;
            self.post_done(port, id, logout.url.as_deref(), is_revoked);
        }
    }

    /// OIDC RP-Initiated Logout 2, with `client_id` in place of `id_token_hint`: the user's browser
    /// goes there, and an ID token in an address would be one in the page.
    fn end_session_url(&self, return_to: Option<&str>) -> Result<String> {
        let metadata = self.provider.metadata.as_ref();
        let Some(endpoint) = metadata.and_then(|m| m.end_session_endpoint.as_deref()) else {
            let message = msg!("the provider has no end_session_endpoint, or nobody was signed in");
            return Err(Error::new(Code::Unsupported, message));
        };
        let mut form = Form::new();
        form.push("client_id", &self.config.client_id);
        if let Some(return_to) = return_to {
            // Which addresses are the app's, the provider knows: it has them registered. An app whose vault is on
            // another origin is not on the redirect URI's.
            let url = Url::parse_with_base(return_to, &self.config.redirect_uri);
            let Some(url) = url.filter(Url::is_trustworthy) else {
                let message = msg!("logout option returnTo is no https address");
                return Err(Error::new(Code::MessageInvalid, message));
            };
            form.push("post_logout_redirect_uri", url.href());
        }
        Ok(with_query(endpoint, &form.finish()))
    }

    /// Revokes a refresh token, if the provider can.
    pub(super) fn revoke(&mut self, refresh_token: &Secret) -> Option<OpId> {
        if self.keeps() && !self.need_metadata() {
            let is_it = |token: &Secret| token.matches(refresh_token.expose());
            if !self.ending.waiting.iter().any(is_it) {
                self.ending.waiting.push(refresh_token.clone());
            }
        }
        let metadata = self.provider.metadata.as_ref()?;
        let endpoint = metadata.revocation_endpoint.as_deref()?;
        let client_id = &self.config.client_id;
        let request = token_endpoint::revocation_request(endpoint, client_id, refresh_token);
        if self.keeps() {
            // Of a session that ended here and is met once more in the store.
            let is_it = |r: &Revocation| {
                let forms = r.request.form.as_ref().zip(request.form.as_ref());
                forms.is_some_and(|(one, other)| one.matches(other.expose()))
            };
            if self.ending.revocations.iter().any(|r| is_it(r)) {
                return None;
            }
        }
        let op = self.send(Purpose::Revoke, request.clone());
        self.ending.revocations.push(Box::new(Revocation {
            request,
            attempts: 1,
            state: RevocationState::Sent(op),
        }));
        Some(op)
    }

    /// Takes up the revocations that waited for metadata.
    pub(super) fn revoke_waiting(&mut self) {
        if !self.keeps() {
            return;
        }
        for token in core::mem::take(&mut self.ending.waiting) {
            self.revoke(&token);
        }
    }

    pub(super) fn revocation_answered(&mut self, op: OpId, outcome: &Outcome) {
        let is_it = |r: &Revocation| r.state == RevocationState::Sent(op);
        let Some(mut revocation) = list::take(&mut self.ending.revocations, is_it) else {
            return;
        };
        // RFC 7009 2.2: 200 also for a token that was invalid already. 2.2.1: 503 is not the end.
        let is_settled = matches!(outcome, Outcome::Reply(r) if r.status < 500 && r.status != 429);
        if !is_settled && revocation.attempts < ATTEMPTS {
            let wait = Millis::from_secs(RETRY_AFTER_SECONDS * u64::from(revocation.attempts));
            revocation.state = RevocationState::Due(self.now.monotonic + wait);
            self.ending.revocations.push(revocation);
        }
        let is_revoked = matches!(outcome, Outcome::Reply(reply) if reply.status == 200);
        if is_revoked {
            self.trace("token_revoked", None);
        }
        // One attempt is enough to wait for: the session is over either way.
        let is_its = |logout: &Logout| logout.op == Some(op);
        if let Some(logout) = list::find(&mut self.ending.logouts, is_its) {
            (logout.op, logout.is_revoked) = (None, is_revoked);
            self.settle_logouts();
        }
    }

    pub(super) fn for_each_retry(&self, see: &mut dyn FnMut(Millis)) {
        for revocation in &self.ending.revocations {
            if let RevocationState::Due(at) = revocation.state {
                see(at);
            }
        }
    }

    pub(super) fn retry_revocations(&mut self) {
        let now = self.now.monotonic;
        let is_due = |r: &Revocation| matches!(r.state, RevocationState::Due(at) if at <= now);
        while let Some(mut revocation) = list::take(&mut self.ending.revocations, is_due) {
            let op = self.send(Purpose::Revoke, revocation.request.clone());
            revocation.attempts += 1;
            revocation.state = RevocationState::Sent(op);
            self.ending.revocations.push(revocation);
        }
    }
}
