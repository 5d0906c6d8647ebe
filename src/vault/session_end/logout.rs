//! Logouts that pages wait for. A logout is complete when the store has the end of the session or cannot be written,
//! and the first attempt to revoke the refresh token has ended.

use rules::prelude::*;

use crate::context::Context;
use crate::io::{OpId, PortId, RequestId};
use crate::provider::Provider;
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::base::list::{self, List};
use rules::codec::form::{Form, with_query};
use rules::codec::url::Url;

/// The logouts that are not complete.
#[derive(Default)]
pub(crate) struct Logouts {
    in_flight: List<Logout>,
    /// Logouts that wait for the provider's metadata. The metadata contains the `end_session_endpoint`, to which the
    /// user's browser navigates, and the `revocation_endpoint`.
    unaddressed: List<LogoutRequest>,
}

/// A page's request to log out.
pub(crate) struct LogoutRequest {
    pub(crate) port: PortId,
    pub(crate) id: RequestId,
    /// True if the user also wants to log out at the provider.
    pub(crate) provider: bool,
    pub(crate) return_to: Option<String>,
    /// The ID token of the session that this logout has ended, if the address of the provider's logout contains it.
    pub(crate) hint: Option<Secret>,
    /// True if the provider may have issued a successor that has not arrived, so that the revoked refresh token may not be
    /// the newest.
    pub(crate) may_have_successor: bool,
}

/// A page that waits for its logout.
struct Logout {
    port: PortId,
    id: RequestId,
    /// The first attempt at the revocation, if it is in flight.
    op: Option<OpId>,
    /// True while the store does not have the end of the session. The page must wait for the store, because it may
    /// navigate away after the logout, which ends a dedicated worker.
    awaits_store: bool,
    /// True if the provider has confirmed the revocation.
    is_revoked: bool,
    may_have_successor: bool,
    url: Option<String>,
}

impl Logouts {
    pub(crate) fn forget_port(&mut self, port: PortId) {
        list::discard(&mut self.in_flight, |logout| logout.port == port);
        list::discard(&mut self.unaddressed, |logout| logout.port == port);
    }

    /// Continues a logout after the session has ended in this vault. `op` is the revocation in flight, if there is one.
    /// `awaits_store` is true if the store does not have the end of the session yet, and `awaits_metadata` if a
    /// revocation waits for the provider's metadata.
    pub(crate) fn begin(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        request: LogoutRequest,
        op: Option<OpId>,
        awaits_store: bool,
        awaits_metadata: bool,
    ) {
        // A vault that restored its session from the store may not have fetched the metadata yet. The page must wait
        // also for a revocation, because it may navigate away after the logout, which ends a dedicated worker.
        let needs_address = request.provider
            && provider
                .awaits_metadata_with(ctx, |metadata| metadata.end_session_endpoint.is_some());
        if needs_address || awaits_metadata {
            return self.unaddressed.push(Box::new(request));
        }
        self.conclude(ctx, provider, &request, op, awaits_store);
    }

    /// Continues the logouts that waited for metadata, even if the metadata could not be fetched. `op` is the revocation
    /// that waited for the metadata, too.
    pub(crate) fn resume(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        op: Option<OpId>,
        awaits_store: bool,
    ) {
        for request in core::mem::take(&mut self.unaddressed) {
            self.conclude(ctx, provider, &request, op, awaits_store);
        }
    }

    fn conclude(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        request: &LogoutRequest,
        op: Option<OpId>,
        awaits_store: bool,
    ) {
        let &LogoutRequest {
            port,
            id,
            may_have_successor,
            ..
        } = request;
        let url = request
            .provider
            .then(|| end_session_url(ctx, provider, request))
            .transpose();
        let url = match url {
            Ok(url) => url,
            Err(error) => return ctx.post_error(port, id, &error),
        };
        if url.is_some() {
            recommend_hint(ctx, port);
        }
        if op.is_none() && !awaits_store {
            return ctx.post_done(port, id, url.as_deref(), false);
        }
        self.in_flight.push(Box::new(Logout {
            port,
            id,
            op,
            awaits_store,
            is_revoked: false,
            may_have_successor,
            url,
        }));
    }

    /// Stops waiting for the store, because the store has the end of the session, or cannot be written now.
    pub(crate) fn store_done(&mut self, ctx: &mut Context) {
        for logout in &mut self.in_flight {
            logout.awaits_store = false;
        }
        // control: stored_end_completes_logouts
        self.complete(ctx);
    }

    /// Stops waiting for a revocation after its first attempt. The session has ended, even if the revocation failed.
    pub(crate) fn on_revocation(&mut self, ctx: &mut Context, op: OpId, is_revoked: bool) {
        // Several logouts may have waited for the same metadata.
        let is_its = |logout: &Logout| logout.op == Some(op);
        while let Some(logout) = list::find(&mut self.in_flight, is_its) {
            logout.op = None;
            // control: unknown_successor_is_not_revoked
            logout.is_revoked = is_revoked && !logout.may_have_successor;
        }
        self.complete(ctx);
    }

    fn complete(&mut self, ctx: &mut Context) {
        let is_complete = |logout: &Logout| logout.op.is_none() && !logout.awaits_store;
        while let Some(logout) = list::take(&mut self.in_flight, is_complete) {
            let url = logout.url.as_deref();
            ctx.post_done(logout.port, logout.id, url, logout.is_revoked);
        }
    }
}

/// Tells a developer, whose app is on loopback, why the provider may refuse a logout without an ID token.
fn recommend_hint(ctx: &mut Context, port: PortId) {
    let is_loopback = ctx.config.redirect_uri.scheme() == "http";
    if is_loopback && !ctx.config.login.sends_id_token_hint && !ctx.framed.contains(&port) {
        let message = msg!(
            "some providers refuse a logout without an ID token as a hint, and leave the user on an error page; if yours does, set `idTokenHint: true`"
        );
        ctx.warn_developer(Some(port), &Error::new(Code::Unsupported, message));
    }
}

/// Returns the URL for a logout at the provider (OIDC RP-Initiated Logout 2). By default the URL contains `client_id` and
/// no `id_token_hint`, because the page sees the URL and must not see an ID token.
fn end_session_url(ctx: &Context, provider: &Provider, request: &LogoutRequest) -> Result<String> {
    let metadata = provider.metadata.as_ref();
    let Some(endpoint) = metadata.and_then(|m| m.end_session_endpoint.as_deref()) else {
        let message = msg!("the provider has no end_session_endpoint, or nobody was signed in");
        return Err(Error::new(Code::Unsupported, message));
    };
    let mut form = Form::new();
    form.push("client_id", &ctx.config.flow.client_id);
    if let Some(hint) = &request.hint {
        form.push("id_token_hint", hint.expose());
    }
    if let Some(return_to) = request.return_to.as_deref() {
        // The address may be of another origin than the redirect URI, because a vault may serve an app of another
        // origin. The provider accepts only addresses that are registered for the client.
        let url = Url::parse_with_base(return_to, &ctx.config.redirect_uri);
        let Some(url) = url.filter(Url::is_trustworthy) else {
            let message = msg!("logout option returnTo must be an https URL");
            return Err(Error::new(Code::MessageInvalid, message));
        };
        form.push("post_logout_redirect_uri", url.href());
    }
    Ok(with_query(endpoint, &form.finish()))
}
