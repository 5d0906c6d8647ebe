//! A login on another device (RFC 8628). The rest of the vault handles it like the login of a popup: a page waits for
//! the result, and the tokens are verified in the same way as those of an authorization response.

use crate::context::{Context, Purpose};
use crate::dpop::Dpop;
use crate::io::OpId;
use crate::login::callback::{CallbackOutcome, Callbacks, Parts};
use crate::login::device_stage::{Device, Timing};
use crate::login::in_flight::{Login, LoginStage, Logins};
use crate::message::message;
use crate::provider::Provider;
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error, Result};
use rules::base::http::Outcome;
use rules::codec::json;
use rules::login::authorization_request::Pending;
use rules::login::device_authorization::{self, PollOutcome};
use rules::prelude::*;

impl Login {
    fn is_of(&self, op: OpId) -> bool {
        matches!(&self.stage, LoginStage::AtDevice(device) if device.awaits(op))
    }
}

impl Logins {
    /// Requests the device code and the user code. The caller has already fetched the provider's metadata.
    pub(super) fn begin_device(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        mut login: Box<Login>,
    ) {
        match device_request(ctx, provider, &login) {
            Ok(op) => {
                login.stage = LoginStage::AtDevice(Device::Asked(op));
                // The lifetime of the codes limits this login instead of the deadline.
                login.deadline = Millis::MAX;
                self.put(login);
                ctx.trace("login_started", None);
            }
            Err(error) => ctx.post_error(login.port, login.id, &error),
        }
    }

    /// Handles the response with the codes. Posts the user code to the page, which shows it to the user.
    pub(crate) fn device_asked(&mut self, ctx: &mut Context, op: OpId, outcome: &Outcome) {
        let Some(mut login) = self.take(|login| login.is_of(op)) else {
            return;
        };
        let shown = match device_authorization::read_authorization(outcome) {
            Ok(shown) => shown,
            Err(error) => return ctx.post_error(login.port, login.id, &error),
        };
        if let Some(flaws) = shown.warning() {
            ctx.warn_developer(Some(login.port), &flaws);
        }
        let mut text = message("device");
        text.number("id", login.id.0)
            .text("userCode", &shown.user_code)
            .text("verificationUri", &shown.verification_uri);
        if let Some(complete) = &shown.verification_uri_complete {
            text.text("verificationUriComplete", complete);
        }
        text.number("expiresAt", ctx.now.wall.saturating_add(shown.expires_in.0));
        ctx.post(login.port, text.finish());
        let timing = Timing {
            shown_at: ctx.now,
            interval: shown.interval,
            asked_at: ctx.now,
            op: None,
        };
        if let LoginStage::AtDevice(device) = &mut login.stage {
            *device = Device::Shown(Box::new(shown), timing);
        }
        self.put(login);
    }

    /// Polls the token endpoint for each login whose next poll is due.
    pub(crate) fn poll_devices(&mut self, ctx: &mut Context, provider: &Provider, dpop: &mut Dpop) {
        let now = ctx.now;
        let is_due = |login: &Login| match &login.stage {
            LoginStage::AtDevice(device) => device.due().is_some_and(|due| due <= now.monotonic),
            _ => false,
        };
        while let Some(mut login) = self.take(is_due) {
            let LoginStage::AtDevice(Device::Shown(shown, timing)) = &mut login.stage else {
                return;
            };
            if timing.shown_at.elapsed(&now) >= shown.expires_in {
                let why = msg!("the code expired before a user entered it");
                let error = Error::new(Code::LoginExpired, why);
                ctx.post_error(login.port, login.id, &error);
                continue;
            }
            let Some(metadata) = &provider.metadata else {
                return;
            };
            let request = device_authorization::poll_request(
                &metadata.token_endpoint,
                &ctx.config.flow,
                &shown.device_code,
            );
            timing.asked_at = now;
            let purpose = Purpose::PollDevice;
            timing.op = Some(dpop.send_proven(ctx, purpose, request, login.key.clone()));
            self.put(login);
        }
    }

    /// Records that the poll `op` is sent again, under the same operation number. The age of the tokens is counted from
    /// this time. Returns false if the login was canceled.
    pub(crate) fn poll_sent_again(&mut self, now: Instant, op: OpId) -> bool {
        let Some(mut login) = self.take(|login| login.is_of(op)) else {
            return false;
        };
        if let LoginStage::AtDevice(Device::Shown(_, timing)) = &mut login.stage {
            timing.asked_at = now;
        }
        self.put(login);
        true
    }

    /// Handles the response to a poll.
    pub(crate) fn device_polled(
        &mut self,
        ctx: &mut Context,
        (provider, dpop): (&Provider, &mut Dpop),
        callbacks: &mut Callbacks,
        op: OpId,
        outcome: &Outcome,
    ) -> CallbackOutcome {
        let wanted = ctx.config.flow.wanted_tokens();
        let Some(mut login) = self.take(|login| login.is_of(op)) else {
            // The login was canceled during the poll, so its tokens are not needed.
            return match device_authorization::read_poll(outcome, wanted, Millis::ZERO) {
                PollOutcome::Tokens(tokens) => CallbackOutcome::Unused(tokens),
                _ => CallbackOutcome::None,
            };
        };
        let LoginStage::AtDevice(Device::Shown(_, timing)) = &mut login.stage else {
            return CallbackOutcome::None;
        };
        match device_authorization::read_poll(outcome, wanted, timing.interval) {
            PollOutcome::Pending(interval) => {
                timing.op = None;
                timing.interval = interval;
                // The interval until the next poll starts when the response arrives, so that a slow provider is not
                // polled more often.
                timing.asked_at = ctx.now;
                self.put(login);
            }
            PollOutcome::Failed(error) => ctx.post_error(login.port, login.id, &error),
            PollOutcome::Tokens(tokens) => {
                let granted = (tokens, timing.asked_at);
                let (key, pending) = self.device_granted(ctx, op, login);
                let parts = Parts {
                    provider,
                    dpop,
                    logins: self,
                };
                return callbacks.begin_detached(ctx, parts, key, pending, granted);
            }
        }
        CallbackOutcome::None
    }

    /// Returns the name of a login whose tokens have arrived, and the pending login. The page waits until they are verified.
    fn device_granted(
        &mut self,
        ctx: &Context,
        op: OpId,
        mut login: Box<Login>,
    ) -> (String, Box<Pending>) {
        // This name contains a space. The names of all other logins are hashes without a space, so the names cannot be
        // equal.
        let mut key = "device ".to_owned();
        json::write_number(&mut key, op.0.into());
        let dpop_key = login.key.take();
        let pending = Pending::of_device(&ctx.config.flow, &login.params, ctx.now.wall, dpop_key);
        login.stage = LoginStage::AtProvider { key: key.clone() };
        self.put(login);
        (key, Box::new(pending))
    }
}

fn device_request(ctx: &mut Context, provider: &Provider, login: &Login) -> Result<OpId> {
    let metadata = provider.metadata.as_ref();
    let endpoint = metadata.and_then(|m| m.device_authorization_endpoint.as_deref());
    let endpoint = if ctx.config.login.has_device_flow {
        endpoint.ok_or(msg!(
            "login({ mode: 'device' }) needs a provider whose metadata has a device_authorization_endpoint over https"
        ))
    } else {
        Err(msg!(
            "login({ mode: 'device' }) needs deviceFlow: true in the worker's file"
        ))
    };
    let endpoint = endpoint.map_err(|why| Error::new(Code::Unsupported, why))?;
    let params = &login.params;
    if params.prompt.is_some()
        || params.acr_values.is_some()
        || params.max_age.is_some()
        || !params.more.is_empty()
    {
        // The device authorization request has no such parameters (RFC 8628 3.1), so the provider would ignore these
        // options.
        let why = msg!(
            "login({ mode: 'device' }) takes no prompt, acrValues, maxAge or params: ask for them in another mode"
        );
        return Err(Error::new(Code::MessageInvalid, why));
    }
    let more = login.params.requested_scope(&ctx.config.flow)?;
    let scope = more.as_deref().unwrap_or(&ctx.config.flow.scope);
    let flow = &ctx.config.flow;
    let resources = ctx.config.rules.resources(&flow.target);
    let request = device_authorization::request(endpoint, flow, &resources, scope);
    Ok(ctx.send(Purpose::AskDevice, request))
}
