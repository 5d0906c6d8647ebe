//! Finishing a login: the answer is matched with its pending login, the code is exchanged, the ID
//! token validated, and then there is a session.

use crate::base::clock::Instant;
use crate::base::error::{Code, Error, Result};
use crate::base::http::Outcome;
use crate::oauth::authorization_request::{self, AuthorizationResponse, Pending};
#[cfg(feature = "extended")]
use crate::oauth::dpop::PublicKey;
use crate::oauth::id_token::Occasion;
use crate::oauth::token_endpoint::{self, Scheme, TokenSet};
use crate::prelude::*;
use crate::session::Session;
use crate::vault::list;
use crate::vault::message::{callback_error, message};
use crate::vault::persistence::Login;
use crate::vault::verification::Verification;
use crate::vault::{OpId, Output, PortId, Purpose, Taken, Vault};

/// Most callbacks that may be under way at once.
const MAX_CALLBACKS: usize = 32;

/// An answer of the authorization endpoint on its way to a session.
pub(super) struct Callback {
    /// Who asked, unless they have gone. The login goes on: its code cannot be used again.
    page: Option<(PortId, u64)>,
    key: String,
    stage: Stage,
    /// Somebody logged out meanwhile: what comes is revoked.
    is_canceled: bool,
}

pub(super) enum Stage {
    /// Before the login is taken out of the store: without the provider it would be used up in vain.
    NeedsMetadata(Box<AuthorizationResponse>),
    Taking(OpId, Box<AuthorizationResponse>),
    Exchanging(OpId, Box<Pending>, Instant),
    Verifying(Box<Pending>, Box<Verification>),
}

#[cfg(feature = "extended")]
impl Callback {
    /// What the tokens will be bound to.
    pub(super) fn key(&self) -> Option<&PublicKey> {
        match &self.stage {
            Stage::Exchanging(_, pending, _) | Stage::Verifying(pending, _) => pending.key.as_ref(),
            Stage::NeedsMetadata(_) | Stage::Taking(..) => None,
        }
    }

    /// One that no page asked for: tokens that came otherwise, and are to be verified.
    pub(super) fn of_nobody(key: String, stage: Stage) -> Box<Self> {
        Box::new(Self {
            page: None,
            key,
            stage,
            is_canceled: false,
        })
    }
}

impl Stage {
    const fn needs_metadata(&self) -> bool {
        matches!(self, Self::NeedsMetadata(_))
    }
}

impl Vault {
    pub(super) fn callback(&mut self, port: PortId, id: u64, url: &str) {
        if self.callbacks.len() == MAX_CALLBACKS {
            let why = msg!("32 callbacks are in flight already");
            return self.decline(port, id, Code::LimitExceeded, why);
        }
        let answer =
            match AuthorizationResponse::parse(&self.config, &self.config.redirect_uri, url) {
                Ok(answer) => Box::new(answer),
                Err(error) => return self.post_error(port, id, &error),
            };
        self.callbacks.push(Box::new(Callback {
            page: Some((port, id)),
            key: answer.key.clone(),
            stage: Stage::NeedsMetadata(answer),
            is_canceled: false,
        }));
        if self.need_metadata() {
            self.resume_callbacks();
        }
    }

    /// Takes a callback out of the list, to be put back if it is not over.
    fn take_callback(&mut self, is_it: impl Fn(&Stage) -> bool) -> Option<Box<Callback>> {
        list::take(&mut self.callbacks, |callback| is_it(&callback.stage))
    }

    /// Takes up the callbacks that waited for metadata.
    pub(super) fn resume_callbacks(&mut self) {
        while let Some(mut callback) = self.take_callback(Stage::needs_metadata) {
            let Stage::NeedsMetadata(answer) = callback.stage else {
                return;
            };
            let op = self.begin_limited(Purpose::TakeLogin);
            let key = callback.key.clone();
            self.outputs.push(Output::Take { op, key });
            callback.stage = Stage::Taking(op, answer);
            self.callbacks.push(callback);
        }
    }

    pub(super) fn fail_waiting_callbacks(&mut self, error: &Error) {
        while let Some(callback) = self.take_callback(Stage::needs_metadata) {
            // The login is still in the store: where its user was is not known yet.
            self.fail_callback(callback.page, &callback.key, None, error);
        }
    }

    pub(super) fn login_taken(&mut self, op: OpId, taken: &Taken) {
        let callback = self.take_callback(|stage| matches!(stage, Stage::Taking(o, _) if *o == op));
        let Some(mut callback) = callback else {
            return;
        };
        let Stage::Taking(_, answer) = callback.stage else {
            return;
        };
        // Canceled or not: the login is used up.
        let pending = match self.pending_login(&callback.key, taken) {
            Ok(pending) => pending,
            Err(error) => {
                return self.fail_callback(callback.page, &callback.key, None, &error);
            }
        };
        let sent = if callback.is_canceled {
            Err(canceled())
        } else {
            self.check_login(&pending)
                .and_then(|()| self.exchange(answer, &pending))
        };
        match sent {
            Ok(op) => {
                callback.stage = Stage::Exchanging(op, pending, self.now);
                self.callbacks.push(callback);
            }
            Err(error) => {
                self.fail_callback(callback.page, &callback.key, Some(&pending), &error);
            }
        }
    }

    /// Sends the code to the token endpoint.
    #[expect(clippy::boxed_local, reason = "moving a box is less code")]
    fn exchange(&mut self, answer: Box<AuthorizationResponse>, pending: &Pending) -> Result<OpId> {
        let Some(metadata) = &self.provider.metadata else {
            return Err(Error::new(
                Code::ProviderUnavailable,
                msg!("there is no metadata"),
            ));
        };
        let code = answer.code(pending, metadata)?;
        let request = token_endpoint::code_request(
            &metadata.token_endpoint,
            &self.config.client_id,
            self.config.redirect_uri.href(),
            &code,
            &pending.code_verifier,
        );
        #[cfg(feature = "extended")]
        let op = self.send_proven(Purpose::Exchange, request, pending.key.clone());
        #[cfg(not(feature = "extended"))]
        let op = self.send(Purpose::Exchange, request);
        Ok(op)
    }

    /// The code is to be sent once more, under the same number: its tokens are no older than that. Whether anybody
    /// still wants the login.
    #[cfg(feature = "extended")]
    pub(super) fn exchange_sent_again(&mut self, op: OpId) -> bool {
        let mut is_wanted = false;
        for callback in &mut self.callbacks {
            match &mut callback.stage {
                Stage::Exchanging(o, _, requested) if *o == op => {
                    *requested = self.now;
                    is_wanted = !callback.is_canceled;
                }
                _ => {}
            }
        }
        is_wanted
    }

    fn pending_login(&mut self, key: &str, taken: &Taken) -> Result<Box<Pending>> {
        let remembered = self.logins.recall(key);
        let was_used = self.logins.mark_used(key);
        let pending = match taken {
            Taken::Used => None,
            // Script of this origin can replace what is stored, and with it the key that tokens are bound to. While the
            // vault that began the login is alive, what it remembers counts.
            _ if remembered.is_some() => remembered,
            Taken::Found(text) => Pending::from_json(text.expose()),
            Taken::Unavailable | Taken::Absent => None,
        };
        let Some(mut pending) = pending.filter(|_| !was_used) else {
            let (code, why) = if was_used || matches!(taken, Taken::Used) {
                (
                    Code::LoginReplayed,
                    msg!("the answer to this login was used before"),
                )
            } else {
                (
                    Code::LoginUnknown,
                    msg!("no login that began here is waiting for this answer"),
                )
            };
            return Err(Error::new(code, why));
        };
        // Script of this origin can write to the store, and sign with its key.
        pending.return_to =
            authorization_request::return_to(&self.config.redirect_uri, Some(&pending.return_to))?;
        #[cfg(feature = "extended")]
        {
            // What no page may ask for was not asked for.
            let asked =
                authorization_request::requested_scope(&self.config, pending.scope.as_deref());
            pending.scope = asked.unwrap_or_default();
        }
        Ok(pending)
    }

    /// Returns an error if the login is too old, or began under another configuration.
    fn check_login(&self, pending: &Pending) -> Result<()> {
        pending.check_age(self.now.wall)?;
        #[cfg(feature = "extended")]
        if pending.key.is_some() != self.config.dpop {
            let message =
                msg!("the login was begun with another `dpop` than the one configured now");
            return Err(Error::new(Code::LoginUnknown, message));
        }
        if pending.issuer != self.config.issuer {
            return Err(Error::new(
                Code::IssuerMismatch,
                msg!("the login was begun with another issuer than the one configured now"),
            ));
        }
        Ok(())
    }

    pub(super) fn exchange_answered(&mut self, op: OpId, outcome: &Outcome) {
        let is_it = |stage: &Stage| matches!(stage, Stage::Exchanging(o, ..) if *o == op);
        let Some(mut callback) = self.take_callback(is_it) else {
            return;
        };
        let Stage::Exchanging(_, pending, requested) = callback.stage else {
            return;
        };
        let verification = exchanged(outcome, self.config.scheme()).and_then(|tokens| {
            match self.unverified(&tokens) {
                Ok(unverified) => Ok(Verification::new(tokens, requested, unverified)),
                Err(error) => {
                    self.refuse_grant(&tokens);
                    Err(error)
                }
            }
        });
        match verification {
            Ok(verification) => {
                callback.stage = Stage::Verifying(pending, Box::new(verification));
                self.advance_callback(callback);
            }
            Err(error) => {
                let was_stopped = callback.is_canceled;
                let error = if was_stopped { canceled() } else { error };
                self.fail_callback(callback.page, &callback.key, Some(&pending), &error);
            }
        }
    }

    pub(super) fn advance_callback(&mut self, mut callback: Box<Callback>) {
        let Stage::Verifying(_, verification) = &mut callback.stage else {
            return;
        };
        match self.advance_verification(verification, Purpose::VerifyLogin) {
            Ok(()) => self.callbacks.push(callback),
            Err(error) => self.fail_verification(&callback, &error),
        }
    }

    fn fail_verification(&mut self, callback: &Callback, error: &Error) {
        let mut pending = None;
        if let Stage::Verifying(login, verification) = &callback.stage {
            self.refuse_grant(&verification.tokens);
            pending = Some(&**login);
        }
        self.fail_callback(callback.page, &callback.key, pending, error);
    }

    /// Revokes what a failed login brought: nobody will ever use it. Not beside a session, since many
    /// providers would revoke that, of the same grant, along with it.
    pub(super) fn refuse_grant(&mut self, tokens: &TokenSet) {
        if self.session.is_none() {
            self.revoke_unused(tokens);
        }
    }

    /// Somebody logs out: logins that are not through shall not bring a session after that.
    pub(super) fn cancel_callbacks(&mut self) {
        for callback in &mut self.callbacks {
            callback.is_canceled = true;
        }
    }

    /// Takes up the callbacks that waited for keys.
    pub(super) fn resume_login_verifications(&mut self, failure: Option<&Error>) {
        // Those that go on waiting, for other keys, must not be met again.
        for callback in core::mem::take(&mut self.callbacks) {
            let awaits_keys = matches!(&callback.stage, Stage::Verifying(_, v) if v.awaits_keys());
            match failure {
                _ if !awaits_keys => self.callbacks.push(callback),
                None => self.advance_callback(callback),
                Some(error) => self.fail_verification(&callback, error),
            }
        }
    }

    pub(super) fn login_verified(&mut self, op: OpId, valid: bool) {
        let is_it = |stage: &Stage| matches!(stage, Stage::Verifying(_, v) if v.awaits(op));
        let Some(callback) = self.take_callback(is_it) else {
            return;
        };
        let Stage::Verifying(pending, verification) = callback.stage else {
            return;
        };
        let occasion = Occasion::CodeExchange {
            nonce: &pending.nonce,
            max_age_seconds: pending.max_age,
        };
        #[cfg(feature = "extended")]
        let occasion = if pending.is_device {
            Occasion::DeviceGrant
        } else {
            occasion
        };
        let requested = verification.requested;
        match verification.conclude(self, valid, occasion) {
            (tokens, Ok(_)) if callback.is_canceled => {
                self.refuse_grant(&tokens);
                self.fail_callback(callback.page, &callback.key, Some(&pending), &canceled());
            }
            #[cfg_attr(
                not(feature = "extended"),
                expect(unused_mut, reason = "only the larger module asks for more")
            )]
            (mut tokens, Ok(id_token)) => {
                let port = callback.page.map(|(port, _)| port);
                if let Err(error) = self.check_granted(&tokens, &pending, port) {
                    self.refuse_grant(&tokens);
                    return self.fail_callback(
                        callback.page,
                        &callback.key,
                        Some(&pending),
                        &error,
                    );
                }
                #[cfg(feature = "extended")]
                {
                    // RFC 6749 5.1: left out when it is what was asked for.
                    tokens.scope = tokens.scope.take().or_else(|| pending.scope.clone());
                    self.note_step_up(&pending);
                }
                let sid = self.new_sid();
                let session = Session::begin(id_token, tokens, &self.config, requested, sid);
                #[cfg(feature = "extended")]
                let session = session.bound_to(pending.key.clone());
                self.adopt_session(Box::new(session));
                self.settle_when_kept(Login {
                    page: callback.page,
                    key: callback.key,
                    pending,
                });
            }
            (tokens, Err(rejected)) => {
                self.refuse_grant(&tokens);
                self.fail_callback(
                    callback.page,
                    &callback.key,
                    Some(&pending),
                    &rejected.into(),
                );
            }
        }
    }

    /// Compares what was granted with what the login asked for. Script of the page can add scopes to a request that is
    /// not pushed, but many providers also grant scopes of their own accord.
    ///
    /// # Errors
    /// [`Code::ScopeExceeded`] if the configuration refuses such a grant.
    fn check_granted(
        &mut self,
        tokens: &TokenSet,
        pending: &Pending,
        port: Option<PortId>,
    ) -> Result<()> {
        let requested = self.config.scope.as_str();
        #[cfg(feature = "extended")]
        let requested = pending.scope.as_deref().unwrap_or(requested);
        let misses_refresh_token = tokens.misses_refresh_token(requested)
            && !self.config.asks_consent
            && !pending.is_silent;
        if let Some(exceeded) = tokens.scope_beyond(requested) {
            #[cfg(feature = "extended")]
            if self.config.refuses_unrequested_scopes {
                return Err(exceeded);
            }
            self.warn_developer(port, &exceeded);
        }
        if misses_refresh_token {
            self.warn_developer(port, &token_endpoint::no_refresh_token());
        }
        Ok(())
    }

    /// A new session takes the place of the one before, if any. That one's refresh token is revoked
    /// only if it is another user's: for the same user, many providers would revoke the new one, of
    /// the same grant, along with it.
    fn adopt_session(&mut self, mut session: Box<Session>) {
        session.touch(&self.now);
        self.announce_sign_in();
        if let Some(token) = self.replace_session(session) {
            self.revoke(&token);
        }
        self.broadcast_session();
        self.trace_generation("login_completed");
        self.release_calls();
        self.save();
    }

    pub(super) fn settle_login(&mut self, login: &Login) {
        let Login { page, key, pending } = login;
        if let Some((port, id)) = *page {
            let settled = message("settled")
                .number("id", id)
                .flag("callback", true)
                .text("returnTo", &pending.return_to)
                .flag("popup", pending.popup)
                .finish();
            self.post(port, settled);
        }
        self.settle_opener(key, Ok(()));
    }

    /// Tells the page, and the opener of a popup, that the login has failed. The page also learns where its user was.
    fn fail_callback(
        &mut self,
        page: Option<(PortId, u64)>,
        key: &str,
        pending: Option<&Pending>,
        error: &Error,
    ) {
        if let Some((port, id)) = page {
            let return_to = pending.map(|pending| &*pending.return_to);
            self.post(port, callback_error(id, error, return_to));
        }
        self.settle_opener(key, Err(error));
    }

    pub(super) fn callbacks_disconnected(&mut self, port: PortId) {
        for callback in &mut self.callbacks {
            if callback.page.is_some_and(|(p, _)| p == port) {
                callback.page = None;
            }
        }
    }
}

fn canceled() -> Error {
    Error::new(Code::LoginCanceled, msg!("somebody logged out meanwhile"))
}

/// The tokens of a code exchange.
fn exchanged(outcome: &Outcome, scheme: Scheme) -> Result<Box<TokenSet>> {
    let unavailable = |why: &'static str| Error::new(Code::ProviderUnavailable, why);
    #[cfg(feature = "extended")]
    if matches!(outcome, Outcome::KeyLost) {
        return Err(crate::vault::dpop::key_lost(Code::StorageUnavailable));
    }
    let Outcome::Reply(reply) = outcome else {
        return Err(unavailable(msg!(
            "the token endpoint did not answer (is it up, and does its CORS allow this origin?)"
        )));
    };
    token_endpoint::read_code_exchange(reply, scheme)
}
