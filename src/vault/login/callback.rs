//! The end of a login. The vault matches the authorization response with its pending login, exchanges the code for
//! tokens, validates the ID token, and begins a session.

use crate::context::{Context, Purpose};
use crate::dpop::{self, Dpop};
use crate::io::{OpId, Output, PortId, RequestId, Taken};
use crate::login::in_flight::Logins;
use crate::message::{callback_error, message};
use crate::provider::Provider;
use crate::verification::{Next, Verification, evidence};
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error, Result, quote_url};
use rules::base::http::{HttpRequest, Outcome};
use rules::base::list::{self, List};
use rules::codec::json::Writer;
use rules::login::authorization_request::{self, Pending};
use rules::login::authorization_response::AuthorizationResponse;
use rules::oauth::dpop::PublicKey;
use rules::oauth::id_token::Occasion;
use rules::oauth::identity::Identity;
use rules::oauth::token_endpoint::{self, TokenSet, Wanted};
use rules::prelude::*;
use rules::session::profile;

/// Largest number of authorization responses that are processed at the same time.
const MAX_CALLBACKS: usize = 32;

/// An authorization response that is being processed.
pub(crate) struct Callback {
    /// The page that waits for the result. If the page has gone, the login continues, because the authorization code
    /// cannot be used again.
    page: CallbackPage,
    key: String,
    stage: CallbackStage,
    /// True if the user logged out after the response arrived, in this or another vault. The login then fails. If no
    /// other session has begun, tokens that the provider has issued for this login are revoked.
    is_canceled: bool,
    /// True if the request for the profile was repeated.
    is_repeated: bool,
    /// True if the page can go to the provider again.
    may_repeat: bool,
}

enum CallbackStage {
    /// Waits for metadata before the login is taken out of the store. A login can be taken out only once, and would be
    /// lost if the provider is unavailable.
    NeedsMetadata(Box<AuthorizationResponse>),
    Taking(OpId, Box<AuthorizationResponse>),
    Exchanging(OpId, Box<Pending>, Instant, Box<AuthorizationResponse>),
    Verifying(Box<Pending>, Box<Verification>),
    /// Waits for the UserInfo response.
    Identified(Box<Identified>),
}

/// A login whose ID token was accepted, and whose UserInfo response has not arrived.
struct Identified {
    op: OpId,
    pending: Box<Pending>,
    tokens: Box<TokenSet>,
    user: Identity,
    requested: Instant,
}

impl Callback {
    /// Returns the DPoP key of this login.
    fn public_key(&self) -> Option<&PublicKey> {
        match &self.stage {
            CallbackStage::Identified(identified) => identified.pending.dpop_key.as_ref(),
            CallbackStage::Exchanging(_, pending, ..) | CallbackStage::Verifying(pending, _) => {
                pending.dpop_key.as_ref()
            }
            CallbackStage::NeedsMetadata(_) | CallbackStage::Taking(..) => None,
        }
    }
}

/// The authorization responses that are being processed.
#[derive(Default)]
pub(crate) struct Callbacks {
    in_flight: List<Callback>,
    /// Completed logins whose session is not in the store yet.
    unstored: Vec<CompletedLogin>,
}

impl CallbackStage {
    const fn needs_metadata(&self) -> bool {
        matches!(self, Self::NeedsMetadata(_))
    }

    const fn awaits_keys(&self) -> bool {
        matches!(self, Self::Verifying(_, verification) if verification.awaits_keys())
    }

    fn awaits_profile(&self, op: OpId) -> bool {
        match self {
            Self::Verifying(_, verification) => verification.awaits(op),
            Self::Identified(login) => login.op == op,
            _ => false,
        }
    }
}

impl Callbacks {
    /// Begins to process the authorization response in `url`, the address of a page. If the login has expired at the
    /// provider, and `may_repeat` is true, the page gets the URL of another authorization request.
    pub(crate) fn begin(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        logins: &Logins,
        (port, id): (PortId, RequestId),
        url: &str,
        may_repeat: bool,
    ) {
        if self.in_flight.len() == MAX_CALLBACKS {
            let why = msg!("32 callbacks are in flight already");
            return ctx.decline(port, id, Code::LimitExceeded, why);
        }
        let redirect_uri = logins.redirect_uri(&ctx.config, url);
        let authorization = match AuthorizationResponse::parse(
            &ctx.config.flow,
            &ctx.config.redirection(redirect_uri),
            url,
        ) {
            Ok(authorization) => Box::new(authorization),
            Err(error) => return ctx.post_error(port, id, &error),
        };
        let has_iss = authorization.has_iss();
        self.in_flight.push(Box::new(Callback {
            page: CallbackPage(Some((port, id))),
            key: authorization.key.clone(),
            stage: CallbackStage::NeedsMetadata(authorization),
            is_canceled: false,
            is_repeated: false,
            may_repeat,
        }));
        if provider.need_metadata_for_callback(ctx, has_iss) {
            self.resume(ctx);
        }
    }

    /// Takes a callback out of the list. The caller puts it back if the callback continues.
    fn take(&mut self, is_it: impl Fn(&CallbackStage) -> bool) -> Option<Box<Callback>> {
        list::take(&mut self.in_flight, |callback| is_it(&callback.stage))
    }

    /// Continues the callbacks that waited for metadata.
    pub(crate) fn resume(&mut self, ctx: &mut Context) {
        while let Some(mut callback) = self.take(CallbackStage::needs_metadata) {
            let CallbackStage::NeedsMetadata(authorization) = callback.stage else {
                return;
            };
            let op = ctx.begin_limited(Purpose::TakeLogin);
            let key = callback.key.clone();
            ctx.outputs.push(Output::Take { op, key });
            callback.stage = CallbackStage::Taking(op, authorization);
            self.in_flight.push(callback);
        }
    }

    pub(crate) fn fail_waiting(&mut self, ctx: &mut Context, logins: &mut Logins, error: &Error) {
        while let Some(callback) = self.take(CallbackStage::needs_metadata) {
            // The login is still in the store, so the address to return to is not known yet.
            callback.page.fail(ctx, logins, &callback.key, None, error);
        }
    }

    pub(crate) fn taken(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        logins: &mut Logins,
        dpop: &mut Dpop,
        op: OpId,
        taken: &Taken,
    ) {
        let callback = self.take(|stage| matches!(stage, CallbackStage::Taking(o, _) if *o == op));
        let Some(mut callback) = callback else {
            return;
        };
        let CallbackStage::Taking(_, authorization) = callback.stage else {
            return;
        };
        // A canceled login is also marked as used, because it was taken out of the store.
        let pending = match pending_login(ctx, logins, &callback.key, taken) {
            Ok(pending) => pending,
            Err(error) => {
                let is_opened_again =
                    matches!(error.code(), Code::LoginReplayed | Code::LoginUnknown);
                if is_opened_again && ctx.session.is_some() {
                    return callback
                        .page
                        .settle_again(ctx, logins.target(&callback.key));
                }
                return callback.page.fail(ctx, logins, &callback.key, None, &error);
            }
        };
        logins.remember_target(&callback.key, &pending.return_to);
        let sent = if callback.is_canceled {
            Err(canceled())
        } else {
            check_login(ctx, &pending)
                .and_then(|()| exchange(ctx, (provider, dpop), &authorization, &pending))
        };
        match sent {
            Ok(op) => {
                callback.stage = CallbackStage::Exchanging(op, pending, ctx.now, authorization);
                self.in_flight.push(callback);
            }
            Err(error) => {
                if let Some((port, id)) = callback.page.0.filter(|_| callback.may_repeat)
                    && let Some(params) = authorization.to_repeat(&error, &pending)
                {
                    return logins.begin(ctx, provider, port, id, params);
                }
                callback
                    .page
                    .fail(ctx, logins, &callback.key, Some(&pending), &error);
            }
        }
    }

    /// Records that the code is sent again, under the same operation number. The age of the tokens is counted from this
    /// time. Returns false if the login was canceled.
    pub(crate) fn exchange_sent_again(&mut self, ctx: &Context, op: OpId) -> bool {
        let mut is_wanted = false;
        for callback in &mut self.in_flight {
            match &mut callback.stage {
                CallbackStage::Exchanging(o, _, requested, _) if *o == op => {
                    *requested = ctx.now;
                    is_wanted = !callback.is_canceled;
                }
                _ => {}
            }
        }
        is_wanted
    }

    /// Sends the code of the exchange `op` to the token endpoint that the provider has now. Returns false if no login waits
    /// for this exchange.
    pub(crate) fn exchange_again(
        &mut self,
        ctx: &mut Context,
        server: (&Provider, &mut Dpop),
        op: OpId,
    ) -> bool {
        let is_it =
            |stage: &CallbackStage| matches!(stage, CallbackStage::Exchanging(o, ..) if *o == op);
        let mut callbacks = self.in_flight.iter_mut();
        let callback = callbacks.find(|callback| is_it(&callback.stage) && !callback.is_canceled);
        let Some(CallbackStage::Exchanging(op, pending, requested, authorization)) =
            callback.map(|callback| &mut callback.stage)
        else {
            return false;
        };
        let sent = exchange(ctx, server, authorization, pending);
        *requested = ctx.now;
        sent.map(|sent| *op = sent).is_ok()
    }

    /// Handles the response to a code exchange.
    pub(crate) fn exchanged(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        logins: &mut Logins,
        op: OpId,
        outcome: &Outcome,
    ) -> CallbackOutcome {
        let is_it =
            |stage: &CallbackStage| matches!(stage, CallbackStage::Exchanging(o, ..) if *o == op);
        let Some(mut callback) = self.take(is_it) else {
            return CallbackOutcome::None;
        };
        let CallbackStage::Exchanging(_, pending, requested, authorization) = callback.stage else {
            return CallbackOutcome::None;
        };
        ctx.log_error(outcome, &authorization.secrets(), &pending);
        let mut unused = None;
        let verification =
            exchanged(outcome, ctx.config.flow.wanted_tokens(), provider).and_then(|tokens| {
                match evidence(ctx, provider, &tokens) {
                    Ok(evidence) => Ok(Verification::new(tokens, requested, evidence)),
                    Err(error) => {
                        unused = Some(tokens);
                        Err(error)
                    }
                }
            });
        match verification {
            Ok(verification) => {
                callback.stage = CallbackStage::Verifying(pending, Box::new(verification));
                self.advance(ctx, provider, logins, callback)
            }
            Err(error) => {
                let was_stopped = callback.is_canceled;
                let error = if was_stopped { canceled() } else { error };
                callback
                    .page
                    .fail(ctx, logins, &callback.key, Some(&pending), &error);
                unused.map_or(CallbackOutcome::None, CallbackOutcome::Unused)
            }
        }
    }

    /// Verifies the tokens of a login on another device. Such a login has no authorization response, so no page waits
    /// for a callback.
    pub(crate) fn begin_detached(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        logins: &mut Logins,
        key: String,
        pending: Box<Pending>,
        verification: Box<Verification>,
    ) -> CallbackOutcome {
        let callback = Box::new(Callback {
            page: CallbackPage(None),
            key,
            stage: CallbackStage::Verifying(pending, verification),
            is_canceled: false,
            is_repeated: false,
            may_repeat: false,
        });
        self.advance(ctx, provider, logins, callback)
    }

    fn advance(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        logins: &mut Logins,
        mut callback: Box<Callback>,
    ) -> CallbackOutcome {
        let CallbackStage::Verifying(_, verification) = &mut callback.stage else {
            return CallbackOutcome::None;
        };
        if verification.needs_profile(ctx) {
            return CallbackOutcome::NeedsProfile(callback);
        }
        match verification.advance(ctx, provider, Purpose::VerifyLogin) {
            Ok(Next::Conclude) => verified(ctx, logins, callback, true),
            Ok(Next::Wait) => {
                self.in_flight.push(callback);
                CallbackOutcome::None
            }
            Err(error) => fail_verification(ctx, logins, callback, &error),
        }
    }

    /// Requests the profile of the user who has logged in.
    pub(crate) fn ask_profile(
        &mut self,
        ctx: &mut Context,
        (provider, dpop): (&Provider, &mut Dpop),
        logins: &mut Logins,
        mut callback: Box<Callback>,
    ) -> CallbackOutcome {
        let purpose = Purpose::AskProfile;
        let address = match provider.profile_address(ctx) {
            Ok(Some(address)) => address,
            Ok(None) => return CallbackOutcome::None,
            Err(error) => return fail_verification(ctx, logins, callback, &error),
        };
        match &mut callback.stage {
            CallbackStage::Verifying(pending, verification) => {
                let request = profile::request(address, &verification.tokens.access_token);
                let key = dpop::key_of_login(pending);
                verification.await_profile(dpop.send_proven(ctx, purpose, request, key));
            }
            CallbackStage::Identified(login) => {
                let request = profile::request(address, &login.tokens.access_token);
                let key = dpop::key_of_login(&login.pending);
                login.op = dpop.send_proven(ctx, purpose, request, key);
            }
            _ => {}
        }
        self.in_flight.push(callback);
        CallbackOutcome::None
    }

    /// Returns true if the login that waits for this profile was not canceled.
    pub(crate) fn wants_profile(&self, op: OpId) -> bool {
        let mut callbacks = self.in_flight.iter();
        callbacks.any(|callback| callback.stage.awaits_profile(op) && !callback.is_canceled)
    }

    /// Returns the login that waits for this profile, so that the profile is asked for at another address. Returns `None`
    /// if it was canceled.
    pub(crate) fn profile_again(&mut self, op: OpId) -> Option<Box<Callback>> {
        list::take(&mut self.in_flight, |callback| {
            callback.stage.awaits_profile(op) && !callback.is_canceled
        })
    }

    /// Handles the response of the profile address.
    pub(crate) fn profile_received(
        &mut self,
        ctx: &mut Context,
        logins: &mut Logins,
        op: OpId,
        outcome: &Outcome,
    ) -> CallbackOutcome {
        let is_it = |stage: &CallbackStage| stage.awaits_profile(op);
        let Some(mut callback) = self.take(is_it) else {
            return CallbackOutcome::None;
        };
        if !callback.is_repeated && !callback.is_canceled && ctx.may_be_brief(outcome) {
            callback.is_repeated = true;
            return CallbackOutcome::NeedsProfile(callback);
        }
        if let CallbackStage::Identified(login) = callback.stage {
            let Callback {
                page,
                key,
                is_canceled,
                ..
            } = *callback;
            return user_info_received(ctx, logins, (page, key, is_canceled), *login, outcome);
        }
        let CallbackStage::Verifying(_, verification) = &mut callback.stage else {
            return CallbackOutcome::None;
        };
        match profile::read(&ctx.config.flow, outcome, &verification.tokens) {
            Ok(claims) => {
                verification.tokens.identity = Some(claims);
                verified(ctx, logins, callback, true)
            }
            Err(error) => {
                let was_stopped = callback.is_canceled;
                let error = if was_stopped { canceled() } else { error };
                fail_verification(ctx, logins, callback, &error)
            }
        }
    }

    /// Cancels the callbacks in flight, so that they do not begin a session after a logout.
    pub(crate) fn cancel(&mut self) {
        for callback in &mut self.in_flight {
            callback.is_canceled = true;
        }
    }

    /// Returns true if a callback waits for the provider's keys.
    pub(crate) fn await_keys(&self) -> bool {
        let mut callbacks = self.in_flight.iter();
        callbacks.any(|callback| callback.stage.awaits_keys())
    }

    /// Takes the callbacks that wait for the provider's keys out of the list.
    pub(crate) fn take_waiting_for_keys(&mut self) -> List<Callback> {
        let mut waiting = Vec::new();
        while let Some(callback) = self.take(CallbackStage::awaits_keys) {
            waiting.push(callback);
        }
        waiting
    }

    /// Continues a callback that waited for the provider's keys. `failure` is the error if the keys could not be
    /// fetched.
    pub(crate) fn resume_verification(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        logins: &mut Logins,
        callback: Box<Callback>,
        failure: Option<&Error>,
    ) -> CallbackOutcome {
        match failure {
            None => self.advance(ctx, provider, logins, callback),
            Some(error) => fail_verification(ctx, logins, callback, error),
        }
    }

    /// Handles the result of the check of an ID token's signature.
    pub(crate) fn verified(
        &mut self,
        ctx: &mut Context,
        logins: &mut Logins,
        op: OpId,
        valid: bool,
    ) -> CallbackOutcome {
        let is_it =
            |stage: &CallbackStage| matches!(stage, CallbackStage::Verifying(_, v) if v.awaits(op));
        let Some(callback) = self.take(is_it) else {
            return CallbackOutcome::None;
        };
        verified(ctx, logins, callback, valid)
    }

    pub(crate) fn forget_port(&mut self, port: PortId) {
        for callback in &mut self.in_flight {
            callback.page.forget(port);
        }
        for login in &mut self.unstored {
            login.page.forget(port);
        }
    }

    /// Delays the completion of a login until the store has its session. After the completion the page is likely to
    /// navigate away, which also ends a dedicated worker.
    pub(crate) fn complete_when_stored(&mut self, login: CompletedLogin) {
        self.unstored.push(login);
    }

    /// Completes the delayed logins, after the session was stored or could not be stored.
    pub(crate) fn complete_stored(
        &mut self,
        ctx: &mut Context,
        logins: &mut Logins,
        is_stored: bool,
    ) {
        for login in core::mem::take(&mut self.unstored) {
            login.complete(ctx, logins, is_stored);
        }
    }

    /// Returns the DPoP keys of these logins.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.in_flight
            .iter()
            .filter_map(|callback| callback.public_key())
    }
}

/// The result of a step of a callback.
pub(crate) enum CallbackOutcome {
    /// No further step is needed now.
    None,
    /// A login failed after the provider had issued these tokens.
    Unused(Box<TokenSet>),
    /// A login whose tokens were accepted.
    Verified(Box<VerifiedLogin>),
    /// The profile address must say who the user of this login is.
    NeedsProfile(Box<Callback>),
}

/// A login whose tokens were accepted.
pub(crate) struct VerifiedLogin {
    pub(crate) login: CompletedLogin,
    pub(crate) tokens: Box<TokenSet>,
    pub(crate) user: Identity,
    /// The time at which the tokens were requested.
    pub(crate) requested: Instant,
}

/// A login whose session has begun, but whose page has not been told.
pub(crate) struct CompletedLogin {
    page: CallbackPage,
    key: String,
    pub(crate) pending: Box<Pending>,
}

impl CompletedLogin {
    /// Tells the page that the login is complete. If the page is a popup, also tells the page that opened the popup.
    /// `is_stored` is true if the store has the session.
    pub(crate) fn complete(&self, ctx: &mut Context, logins: &mut Logins, is_stored: bool) {
        if let Some((port, id)) = self.page.0 {
            // While another page is connected, a shared worker does not end with this page.
            let is_kept = is_stored || ctx.ports.iter().any(|other| *other != port);
            let text = settled(id, &self.pending.return_to, self.pending.popup, is_kept);
            ctx.post(port, text);
        }
        logins.complete_opener(ctx, &self.key, Ok(()));
    }
}

fn settled(id: RequestId, return_to: &str, popup: bool, is_kept: bool) -> String {
    let mut settled = message("settled");
    address(&mut settled, id, return_to);
    if is_kept {
        settled.flag("kept", true);
    }
    settled.flag("popup", popup).finish()
}

fn settled_again(id: RequestId, return_to: &str) -> String {
    let mut settled = message("settled");
    address(&mut settled, id, return_to);
    settled.flag("popup", false).flag("again", true).finish()
}

fn address(settled: &mut Writer, id: RequestId, return_to: &str) {
    settled
        .number("id", id.0)
        .flag("callback", true)
        .text("returnTo", return_to);
}

/// The page that requested a callback, and the page's number for the request. `None` if the page has gone.
struct CallbackPage(Option<(PortId, RequestId)>);

impl CallbackPage {
    fn port(&self) -> Option<PortId> {
        self.0.map(|(port, _)| port)
    }

    fn forget(&mut self, port: PortId) {
        self.0 = self.0.filter(|(page, _)| *page != port);
    }

    /// Tells the page that a response was opened again while a user is signed in. The page shows its target, and no error.
    fn settle_again(&self, ctx: &mut Context, return_to: &str) {
        if let Some((port, id)) = self.0 {
            ctx.post(port, settled_again(id, return_to));
        }
    }

    /// Tells the page that the login has failed. If the page is a popup, also tells the page that opened the popup. If
    /// `pending` is given, the page also learns the address to return to.
    fn fail(
        &self,
        ctx: &mut Context,
        logins: &mut Logins,
        key: &str,
        pending: Option<&Pending>,
        error: &Error,
    ) {
        if let Some((port, id)) = self.0 {
            let return_to = pending.map(|pending| &*pending.return_to);
            ctx.post(port, callback_error(id, error, return_to));
        }
        logins.complete_opener(ctx, key, Err(error));
    }
}

/// Decides whether the login succeeds. `valid` is the result of the check of the ID token's signature.
#[expect(clippy::boxed_local, reason = "moving a box is less code")]
fn verified(
    ctx: &mut Context,
    logins: &mut Logins,
    callback: Box<Callback>,
    valid: bool,
) -> CallbackOutcome {
    let Callback {
        page,
        key,
        stage: CallbackStage::Verifying(pending, verification),
        is_canceled,
        is_repeated,
        ..
    } = *callback
    else {
        return CallbackOutcome::None;
    };
    let occasion = Occasion::CodeExchange {
        nonce: &pending.nonce,
        max_age_seconds: pending.max_age,
    };
    let occasion = if pending.is_device {
        Occasion::DeviceGrant
    } else {
        occasion
    };
    let requested = verification.requested;
    let (tokens, user) = verification.conclude(ctx, valid, occasion);
    if let (Ok(user), Some(session)) = (&user, &ctx.session)
        && let Some(warning) = pending.sign_in_warning(session.original(), user)
    {
        ctx.warn_developer(page.port(), &warning);
    }
    let checked = match user {
        Ok(_) if is_canceled => Err(canceled()),
        Ok(user) => check_granted(ctx, &tokens, &pending, page.port()).map(|()| user),
        Err(rejected) => Err(rejected.into()),
    };
    match checked {
        Ok(user) if ctx.config.flow.asks_user_info => {
            let login = Box::new(Identified {
                op: OpId(0),
                pending,
                tokens,
                user,
                requested,
            });
            CallbackOutcome::NeedsProfile(Box::new(Callback {
                page,
                key,
                stage: CallbackStage::Identified(login),
                is_canceled,
                is_repeated,
                may_repeat: false,
            }))
        }
        Ok(user) => CallbackOutcome::Verified(Box::new(VerifiedLogin {
            login: CompletedLogin { page, key, pending },
            tokens,
            user,
            requested,
        })),
        Err(error) => {
            page.fail(ctx, logins, &key, Some(&pending), &error);
            CallbackOutcome::Unused(tokens)
        }
    }
}

#[expect(clippy::boxed_local, reason = "moving a box is less code")]
fn fail_verification(
    ctx: &mut Context,
    logins: &mut Logins,
    callback: Box<Callback>,
    error: &Error,
) -> CallbackOutcome {
    let (pending, tokens) = match callback.stage {
        CallbackStage::Verifying(pending, verification) => (pending, verification.tokens),
        CallbackStage::Identified(login) => (login.pending, login.tokens),
        _ => return CallbackOutcome::None,
    };
    callback
        .page
        .fail(ctx, logins, &callback.key, Some(&pending), error);
    CallbackOutcome::Unused(tokens)
}

/// Completes a login with the UserInfo response.
fn user_info_received(
    ctx: &mut Context,
    logins: &mut Logins,
    (page, key, is_canceled): (CallbackPage, String, bool),
    login: Identified,
    outcome: &Outcome,
) -> CallbackOutcome {
    let Identified {
        pending,
        tokens,
        user,
        requested,
        ..
    } = login;
    let user = if is_canceled {
        Err(canceled())
    } else {
        profile::with_user_info(&ctx.config.flow, outcome, &tokens, user)
    };
    match user {
        Ok(user) => CallbackOutcome::Verified(Box::new(VerifiedLogin {
            login: CompletedLogin { page, key, pending },
            tokens,
            user,
            requested,
        })),
        Err(error) => {
            page.fail(ctx, logins, &key, Some(&pending), &error);
            CallbackOutcome::Unused(tokens)
        }
    }
}

/// Sends the request that exchanges the code for tokens.
fn exchange(
    ctx: &mut Context,
    (provider, dpop): (&Provider, &mut Dpop),
    authorization: &AuthorizationResponse,
    pending: &Pending,
) -> Result<OpId> {
    let request = exchange_request(ctx, provider, authorization, pending)?;
    let key = dpop::key_of_login(pending);
    Ok(dpop.send_proven(ctx, Purpose::Exchange, request, key))
}

/// Returns the request that exchanges the code for tokens.
fn exchange_request(
    ctx: &mut Context,
    provider: &Provider,
    authorization: &AuthorizationResponse,
    pending: &Pending,
) -> Result<HttpRequest> {
    let Some(metadata) = &provider.metadata else {
        return Err(Error::new(
            Code::ProviderUnavailable,
            msg!("there is no metadata"),
        ));
    };
    let code = authorization.code(pending, metadata).inspect_err(|error| {
        if let Some(description) = authorization.fault(error, pending) {
            ctx.log_description(description, &authorization.secrets(), pending);
        }
    })?;
    Ok(token_endpoint::code_request(
        &metadata.token_endpoint,
        &ctx.config.flow.client_id,
        pending.redirect_uri(&ctx.config.redirect_uri).href(),
        code,
        &pending.code_verifier,
    ))
}

/// Returns the pending login `key`, and marks it as used.
fn pending_login(
    ctx: &Context,
    logins: &mut Logins,
    key: &str,
    taken: &Taken,
) -> Result<Box<Pending>> {
    let remembered = logins.recall(key);
    let was_used = logins.mark_used(key);
    let pending = match taken {
        Taken::Used => None,
        // The copy in memory is preferred to the stored login. A script of this origin can replace the stored login,
        // and with it the DPoP key.
        _ if remembered.is_some() => remembered,
        Taken::Found(text) => Pending::from_json(text.expose()),
        Taken::Unavailable | Taken::Absent => None,
    };
    let Some(mut pending) = pending.filter(|_| !was_used) else {
        let (code, why) = if was_used || matches!(taken, Taken::Used) {
            (
                Code::LoginReplayed,
                msg!("the response to this login was used before"),
            )
        } else {
            (
                Code::LoginUnknown,
                msg!("no login that began here is waiting for this response"),
            )
        };
        return Err(Error::new(code, why));
    };
    // The login may come from the store, to which scripts of this origin can write, so its members are checked again.
    pending.return_to =
        authorization_request::return_to(&ctx.config.redirect_uri, Some(&pending.return_to))?;
    pending.check_scope(&ctx.config.flow);
    Ok(pending)
}

/// Returns an error if the login is too old, or began under another configuration.
fn check_login(ctx: &Context, pending: &Pending) -> Result<()> {
    pending.check_age(ctx.now.wall, Millis::ZERO)?;
    if pending.dpop_key.is_some() != ctx.config.flow.uses_dpop {
        let message = msg!("the login was begun with another `dpop` than the one configured now");
        return Err(Error::new(Code::LoginUnknown, message));
    }
    if pending.issuer != ctx.config.flow.issuer {
        return Err(Error::new(
            Code::IssuerMismatch,
            msg!("the login was begun with another issuer than the one configured now"),
        ));
    }
    Ok(())
}

/// Compares the granted scopes with the scopes that the login requested. A script of the page can add scopes to a
/// request that is not pushed. Additional scopes do not prove such a change, because many providers grant scopes that
/// were not requested. Warns the developer about additional and missing scopes, about a missing refresh token, and about
/// members that are not usable.
///
/// # Errors
/// If the configuration refuses additional scopes: [`Code::ScopeExceeded`] if the provider granted some, and
/// [`Code::TokenResponseInvalid`] if the response does not say which scopes it granted.
fn check_granted(
    ctx: &mut Context,
    tokens: &TokenSet,
    pending: &Pending,
    port: Option<PortId>,
) -> Result<()> {
    let requested = ctx.config.flow.scope.as_str();
    let requested = pending.scope.as_deref().unwrap_or(requested);
    // Without OpenID Connect, a server that issues no refresh tokens is not unusual.
    let misses_refresh_token = tokens.refresh_token.is_none()
        && (ctx.config.flow.has_openid() || tokens.misses_refresh_token(requested))
        && !ctx.config.flow.asks_consent
        && !pending.is_silent;
    // With targets, the login's own token may have some of the scopes only.
    let has_targets = !ctx.config.rules.targets().is_empty();
    let reduced = tokens.scope_short_of(requested).filter(|_| !has_targets);
    let refuses_others = ctx.config.flow.refuses_unrequested_scopes;
    if let Some(unusable) = tokens.unusable_scope().filter(|_| refuses_others) {
        return Err(unusable);
    }
    if let Some(exceeded) = tokens.scope_beyond(requested) {
        if refuses_others {
            return Err(exceeded);
        }
        ctx.warn_developer(port, &exceeded);
    }
    if let Some(reduced) = reduced {
        ctx.warn_developer(port, &reduced);
    }
    if misses_refresh_token {
        let message = msg!(
            "the provider issued no refresh token, so the session ends with its access token; some providers, such as Spring Authorization Server, issue no refresh tokens to public clients, and need a token handler"
        );
        ctx.warn_developer(port, &Error::new(Code::RefreshTokenMissing, message));
    }
    if let Some(flaws) = tokens.warning() {
        ctx.warn_developer(port, &flaws);
    }
    Ok(())
}

fn canceled() -> Error {
    Error::new(Code::LoginCanceled, msg!("the user logged out meanwhile"))
}

/// Returns the tokens in the response to a code exchange.
fn exchanged(outcome: &Outcome, wanted: Wanted<'_>, provider: &Provider) -> Result<Box<TokenSet>> {
    if matches!(outcome, Outcome::KeyLost) {
        return Err(crate::dpop::key_lost(Code::StorageUnavailable));
    }
    let Outcome::Reply(reply) = outcome else {
        let message = [
            msg!("the token endpoint "),
            &quote_url(provider.token_url()),
            msg!(" did not respond (is it up, and does its CORS allow this origin?)"),
        ];
        return Err(Error::of(Code::ProviderUnavailable, &message));
    };
    token_endpoint::read_code_exchange(reply, wanted)
}
