//! The beginning of a login. The vault fetches the provider's metadata, builds the authorization request, and stores
//! the pending login. A popup's login stays in memory, unless another vault finishes it. Only after these steps, the page gets the URL to
//! navigate to.

pub(super) mod callback;
mod custom;
pub(super) mod device;
pub(super) mod device_stage;
pub(super) mod in_flight;
pub(super) mod initiated;
pub(super) mod pushed;

use rules::prelude::*;

use crate::context::Context;
use crate::dpop;
use crate::io::{OpId, PortId, RequestId};
use crate::login::in_flight::{Login, LoginStage, Logins, is_finished_elsewhere};
use crate::provider::Provider;
use rules::base::clock::Millis;
use rules::base::error::{Code, Result};
use rules::base::list;
use rules::login::authorization_request::{self, AuthorizationRequest, LIFETIME, LoginParams};
use rules::oauth::dpop::PublicKey;
use rules::session::Session;
use zeroize::Zeroize;

impl Logins {
    /// Begins a login for a page.
    pub(super) fn begin(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        port: PortId,
        id: RequestId,
        mut params: Box<LoginParams>,
    ) {
        self.expire(ctx);
        let session = ctx.session.as_deref();
        let earlier = session.and_then(Session::requested_scope);
        params.earlier_scope = earlier.map(ToOwned::to_owned);
        if self.are_too_many(port) {
            let why = msg!("4 logins of this page, or 32 of all, are in flight already");
            return ctx.decline(port, id, Code::LimitExceeded, why);
        }
        if is_finished_elsewhere(&ctx.config, &params) && !ctx.stores_sessions() {
            let why = msg!(
                "login({ mode: 'popup' }) with `callbackPage` and a dedicated worker, whose session is in memory, cannot finish: use mode 'redirect' or a shared worker, or store the session with session.persist"
            );
            return ctx.decline(port, id, Code::Unsupported, why);
        }
        let is_device = params.is_device;
        self.in_flight.push(Box::new(Login {
            port,
            id,
            params,
            deadline: ctx.now.monotonic + LIFETIME + Millis(1),
            stage: LoginStage::NeedsMetadata,
            key: None,
        }));
        if provider.need_metadata_for_login(ctx, is_device) {
            self.resume(ctx, provider);
        }
    }

    /// Continues the logins that waited for metadata.
    pub(super) fn resume(&mut self, ctx: &mut Context, provider: &Provider) {
        while let Some(mut login) = list::take(&mut self.in_flight, Login::needs_metadata) {
            if ctx.config.flow.uses_dpop {
                login.stage = LoginStage::MakingKey(dpop::make_key(ctx));
                self.in_flight.push(login);
            } else {
                self.begin_with_key(ctx, provider, login, None);
            }
        }
    }

    /// Continues a login that has its DPoP key, or does not need one.
    fn begin_with_key(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        mut login: Box<Login>,
        key: Option<PublicKey>,
    ) {
        if login.params.is_device {
            login.key = key;
            return self.begin_device(ctx, provider, login);
        }
        let bound = |begun: Box<AuthorizationRequest>| match key {
            Some(key) => begun.with_dpop_key(key),
            None => begun,
        };
        match authorization_request(ctx, &login.params).map(bound) {
            Ok(begun) => self.push_or_begin(ctx, provider, login, begun),
            Err(error) => ctx.post_error(login.port, login.id, &error),
        }
    }

    /// Continues the login that waited for its DPoP key.
    pub(super) fn key_made(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        op: OpId,
        key: Option<PublicKey>,
    ) {
        let is_it = |login: &Login| matches!(login.stage, LoginStage::MakingKey(o) if o == op);
        let Some(login) = list::take(&mut self.in_flight, is_it) else {
            return;
        };
        if key.is_some() {
            return self.begin_with_key(ctx, provider, login, key);
        }
        let why = msg!("this browser cannot create keys for ES256, which dpop needs");
        ctx.decline(login.port, login.id, Code::Unsupported, why);
    }
}

fn authorization_request(
    ctx: &mut Context,
    params: &LoginParams,
) -> Result<Box<AuthorizationRequest>> {
    let redirect_uri =
        custom::redirect_uri(params, ctx.config.login.custom, &ctx.config.redirect_uri)?;
    let mut entropy = [0; authorization_request::ENTROPY];
    ctx.entropy.fill(&mut entropy);
    let config = &ctx.config;
    let chosen = redirect_uri.as_ref().unwrap_or(&config.redirect_uri);
    let mut begun = authorization_request::build(
        &config.flow,
        &config.redirection(chosen),
        &config.rules.resources(&config.flow.target),
        params,
        &entropy,
        ctx.now.wall,
    );
    entropy.zeroize();
    if let Ok(begun) = &mut begun {
        begun.pending.redirect_uri = redirect_uri;
    }
    begun
}
