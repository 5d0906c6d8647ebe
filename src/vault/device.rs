//! A login on another device (RFC 8628). For the rest of the vault it is a popup's: somebody waits for it, and what
//! it brings goes the way of a callback.

use crate::base::clock::{Instant, Millis};
use crate::base::error::{Code, Error, Result};
use crate::base::http::Outcome;
use crate::codec::json;
use crate::oauth::authorization_request::{self, Pending};
use crate::oauth::device_authorization::{self, DeviceAuthorization, PollOutcome};
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;
use crate::vault::callback::{self, Callback};
use crate::vault::login::{Login, Stage};
use crate::vault::message::message;
use crate::vault::verification::Verification;
use crate::vault::{OpId, Purpose, Vault};

/// A login on another device, as far as it has come.
pub(super) enum Device {
    /// The provider is asked for codes.
    Asked(OpId),
    /// The user has them.
    Shown(Box<DeviceAuthorization>, Timing),
}

/// When to ask whether the user is through.
pub(super) struct Timing {
    shown_at: Instant,
    interval: Millis,
    /// The last question, or when the user was shown the code.
    asked_at: Instant,
    /// The question that has no answer yet.
    op: Option<OpId>,
}

impl Device {
    /// When something is to be done, by the monotonic clock.
    pub(super) fn due(&self) -> Option<Millis> {
        match self {
            Self::Shown(shown, timing) if timing.op.is_none() => {
                let next = timing.asked_at.monotonic + timing.interval;
                Some(next.min(timing.shown_at.monotonic + shown.expires_in))
            }
            _ => None,
        }
    }

    fn awaits(&self, awaited: OpId) -> bool {
        match self {
            Self::Asked(op) => *op == awaited,
            Self::Shown(_, timing) => timing.op == Some(awaited),
        }
    }
}

impl Login {
    fn is_of(&self, op: OpId) -> bool {
        matches!(&self.stage, Stage::AtDevice(device) if device.awaits(op))
    }
}

impl Vault {
    /// Asks for the codes. The provider's metadata is there.
    pub(super) fn begin_device(&mut self, mut login: Box<Login>) {
        match self.device_request(&login) {
            Ok(op) => {
                login.stage = Stage::AtDevice(Device::Asked(op));
                // It has a time limit of its own.
                login.deadline = Millis::MAX;
                self.logins.put(login);
                self.trace("login_started", None);
            }
            Err(error) => self.post_error(login.port, login.id, &error),
        }
    }

    fn device_request(&mut self, login: &Login) -> Result<OpId> {
        let endpoint = self.provider.metadata.as_ref();
        let endpoint = endpoint.and_then(|m| m.device_authorization_endpoint.as_deref());
        let (true, Some(endpoint)) = (self.config.flows.has_device, endpoint) else {
            let why = msg!(
                "login({ mode: 'device' }) needs deviceFlow: true in the worker's file, and a provider with a device_authorization_endpoint"
            );
            return Err(Error::new(Code::Unsupported, why));
        };
        let params = &login.params;
        if params.prompt.is_some()
            || params.acr_values.is_some()
            || params.max_age.is_some()
            || !params.more.is_empty()
        {
            // RFC 8628 3.1 has no such parameters: what was asked for would not be so.
            let why = msg!(
                "login({ mode: 'device' }) takes no prompt, acrValues, maxAge or params: ask for them in another mode"
            );
            return Err(Error::new(Code::MessageInvalid, why));
        }
        let more =
            authorization_request::requested_scope(&self.config, login.params.scope.as_deref())?;
        let scope = more.as_deref().unwrap_or(&self.config.scope);
        let request = device_authorization::request(endpoint, &self.config, scope);
        Ok(self.send(Purpose::AskDevice, request))
    }

    /// The provider has made codes, or not: the page shows them.
    pub(super) fn device_asked(&mut self, op: OpId, outcome: &Outcome) {
        let Some(mut login) = self.logins.take(|login| login.is_of(op)) else {
            return;
        };
        let shown = match device_authorization::read_authorization(outcome) {
            Ok(shown) => shown,
            Err(error) => return self.post_error(login.port, login.id, &error),
        };
        let mut text = message("device");
        text.number("id", login.id)
            .text("userCode", &shown.user_code)
            .text("verificationUri", &shown.verification_uri);
        if let Some(complete) = &shown.verification_uri_complete {
            text.text("verificationUriComplete", complete);
        }
        text.number(
            "expiresAt",
            self.now.wall.saturating_add(shown.expires_in.0),
        );
        self.post(login.port, text.finish());
        let timing = Timing {
            shown_at: self.now,
            interval: shown.interval,
            asked_at: self.now,
            op: None,
        };
        login.stage = Stage::AtDevice(Device::Shown(Box::new(shown), timing));
        self.logins.put(login);
    }

    /// Asks whether users are through, where it is time to.
    pub(super) fn poll_devices(&mut self) {
        let now = self.now;
        let is_due = |login: &Login| match &login.stage {
            Stage::AtDevice(device) => device.due().is_some_and(|due| due <= now.monotonic),
            _ => false,
        };
        while let Some(mut login) = self.logins.take(is_due) {
            let Stage::AtDevice(Device::Shown(shown, timing)) = &mut login.stage else {
                return;
            };
            if timing.shown_at.elapsed(&now) >= shown.expires_in {
                let why = msg!("nobody typed the code in while it was good");
                let error = Error::new(Code::LoginExpired, why);
                self.post_error(login.port, login.id, &error);
                continue;
            }
            let Some(metadata) = &self.provider.metadata else {
                return;
            };
            let request = device_authorization::poll_request(
                &metadata.token_endpoint,
                &self.config.client_id,
                &shown.device_code,
            );
            timing.asked_at = now;
            timing.op = Some(self.send_proven(Purpose::PollDevice, request, login.key.clone()));
            self.logins.put(login);
        }
    }

    pub(super) fn device_polled(&mut self, op: OpId, outcome: &Outcome) {
        let Some(mut login) = self.logins.take(|login| login.is_of(op)) else {
            // It was given up meanwhile.
            if let PollOutcome::Tokens(tokens) =
                device_authorization::read_poll(outcome, self.config.scheme(), Millis::ZERO)
            {
                self.refuse_grant(&tokens);
            }
            return;
        };
        let Stage::AtDevice(Device::Shown(_, timing)) = &mut login.stage else {
            return;
        };
        match device_authorization::read_poll(outcome, self.config.scheme(), timing.interval) {
            PollOutcome::Pending(interval) => {
                timing.op = None;
                timing.interval = interval;
                // From the answer on: a slow provider is not asked the sooner for it.
                timing.asked_at = self.now;
                self.logins.put(login);
            }
            PollOutcome::Failed(error) => self.post_error(login.port, login.id, &error),
            PollOutcome::Tokens(tokens) => {
                let requested = timing.asked_at;
                self.device_granted(op, login, tokens, requested);
            }
        }
    }

    fn device_granted(
        &mut self,
        op: OpId,
        mut login: Box<Login>,
        tokens: Box<TokenSet>,
        requested: Instant,
    ) {
        let unverified = match self.unverified(&tokens) {
            Ok(unverified) => unverified,
            Err(error) => {
                self.refuse_grant(&tokens);
                return self.post_error(login.port, login.id, &error);
            }
        };
        // No answer of an authorization endpoint has such a key: theirs are hashes.
        let mut key = "device ".to_owned();
        json::write_number(&mut key, op.into());
        let pending =
            Pending::of_device(&self.config, &login.params, self.now.wall, login.key.take());
        login.stage = Stage::AtProvider { key: key.clone() };
        self.logins.put(login);
        let verification = Verification::new(tokens, requested, unverified);
        let stage = callback::Stage::Verifying(Box::new(pending), Box::new(verification));
        self.advance_callback(Callback::of_nobody(key, stage));
    }
}
