//! The callback: from an authorization response to a session. The vault matches the response with its pending login, and
//! carries out the steps that the login's [`Completion`] returns.

use crate::context::{Context, Purpose};
use crate::dpop::{self, Dpop};
use crate::io::{OpId, Output, PortId, RequestId, Taken};
use crate::login::in_flight::Logins;
use crate::message::{callback_error, message};
use crate::provider::Provider;
use crate::verification::SignatureCheck;
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error, Result, quote_url};
use rules::base::http::{HttpRequest, Outcome};
use rules::base::list::{self, List};
use rules::codec::json::Writer;
use rules::login::authorization_request::{self, Pending};
use rules::login::authorization_response::AuthorizationResponse;
use rules::login::completion::{Completion, Failed, Granted, Known, LOSES_REFRESH_TOKEN, Step};
use rules::oauth::dpop::PublicKey;
use rules::oauth::identity::Identity;
use rules::oauth::token_endpoint::TokenSet;
use rules::prelude::*;
use rules::session::Session;

/// Largest number of authorization responses that are processed at the same time.
const MAX_CALLBACKS: usize = 32;

/// The authorization responses that are being processed.
#[derive(Default)]
pub(crate) struct Callbacks {
    /// Responses whose login is still in the store.
    arrived: List<Arrived>,
    /// Logins that wait for the provider, or for the check of a signature.
    completing: List<Completing>,
    /// Completed logins whose session is not in the store yet.
    unstored: Vec<CompletedLogin>,
}

/// An authorization response whose login is still in the store.
struct Arrived {
    caller: Caller,
    authorization: Box<AuthorizationResponse>,
    /// The operation that takes the login out of the store. `None` while the response waits for metadata: a login can be
    /// taken out only once, and would be lost if the provider is unavailable.
    op: Option<OpId>,
}

/// A login whose authorization response has arrived, or a login on another device that has its tokens.
pub(crate) struct Completing {
    caller: Caller,
    pending: Box<Pending>,
    completion: Completion,
    /// The time at which the tokens were requested.
    requested: Instant,
    /// The last request.
    op: Option<OpId>,
    signature: SignatureCheck,
    /// True if the request for the profile was repeated.
    is_repeated: bool,
}

/// The page that waits for a login, and the login's name.
struct Caller {
    /// The page, and its number for the request. `None` if the page has gone. The login then continues, because the
    /// authorization code cannot be used again.
    page: Option<(PortId, RequestId)>,
    key: String,
    /// True if the user logged out after the response arrived, in this or another vault. The login then fails. If no
    /// other session has begun, tokens that the provider has issued for this login are revoked.
    is_canceled: bool,
    /// True if the page can repeat the login at the provider.
    may_repeat: bool,
}

/// The other parts of the vault that complete logins.
pub(crate) struct Parts<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) dpop: &'a mut Dpop,
    pub(crate) logins: &'a mut Logins,
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
        if self.arrived.len() + self.completing.len() >= MAX_CALLBACKS {
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
        self.arrived.push(Box::new(Arrived {
            caller: Caller {
                page: Some((port, id)),
                key: authorization.key.clone(),
                is_canceled: false,
                may_repeat,
            },
            authorization,
            op: None,
        }));
        if provider.need_metadata_for_callback(ctx, has_iss) {
            self.resume(ctx);
        }
    }

    /// Continues the callbacks that waited for metadata.
    pub(crate) fn resume(&mut self, ctx: &mut Context) {
        for arrived in &mut self.arrived {
            if arrived.op.is_none() {
                let op = ctx.begin_limited(Purpose::TakeLogin);
                let key = arrived.caller.key.clone();
                ctx.outputs.push(Output::Take { op, key });
                arrived.op = Some(op);
            }
        }
    }

    pub(crate) fn fail_waiting(&mut self, ctx: &mut Context, logins: &mut Logins, error: &Error) {
        while let Some(arrived) = list::take(&mut self.arrived, |it| it.op.is_none()) {
            // The login is still in the store, so the address to return to is not known yet.
            arrived.caller.fail(ctx, logins, None, error);
        }
    }

    pub(crate) fn taken(
        &mut self,
        ctx: &mut Context,
        mut parts: Parts<'_>,
        op: OpId,
        taken: &Taken,
    ) -> CallbackOutcome {
        let Some(arrived) = list::take(&mut self.arrived, |it| it.op == Some(op)) else {
            return CallbackOutcome::None;
        };
        let Arrived {
            caller,
            authorization,
            ..
        } = *arrived;
        let logins = &mut parts.logins;
        // A canceled login is also marked as used, because it was taken out of the store.
        let pending = match pending_login(ctx, logins, &caller.key, taken) {
            Ok(pending) => pending,
            Err(error) => {
                let is_opened_again =
                    matches!(error.code(), Code::LoginReplayed | Code::LoginUnknown);
                if is_opened_again && ctx.session.is_some() {
                    caller.settle_again(ctx, logins.target(&caller.key));
                } else {
                    caller.fail(ctx, logins, None, &error);
                }
                return CallbackOutcome::None;
            }
        };
        logins.remember_target(&caller.key, &pending.return_to);
        let checked = check_login(ctx, &pending);
        let mut login = Completing::new(caller, pending, Completion::new(authorization), ctx.now);
        let step = match checked {
            Ok(()) => login.advance(ctx, parts.provider, Completion::send),
            Err(error) => login.completion.fail(error),
        };
        self.carry_out(ctx, parts, login, step)
    }

    /// Completes a login on another device, which has these tokens. It has no authorization response, so no page waits for a
    /// callback.
    pub(crate) fn begin_detached(
        &mut self,
        ctx: &mut Context,
        parts: Parts<'_>,
        key: String,
        pending: Box<Pending>,
        (tokens, requested): (Box<TokenSet>, Instant),
    ) -> CallbackOutcome {
        let caller = Caller {
            page: None,
            key,
            is_canceled: false,
            may_repeat: false,
        };
        let known = known(ctx, parts.provider, &pending);
        let (completion, step) = Completion::of_device(&known, tokens);
        let login = Completing::new(caller, pending, completion, requested);
        self.carry_out(ctx, parts, login, step)
    }

    /// Handles the response to a login's request.
    pub(crate) fn responded(
        &mut self,
        ctx: &mut Context,
        parts: Parts<'_>,
        (op, purpose): (OpId, Purpose),
        outcome: &Outcome,
    ) -> CallbackOutcome {
        let Some(mut login) = self.take(op) else {
            return CallbackOutcome::None;
        };
        let is_again = purpose == Purpose::AskProfile
            && !core::mem::replace(&mut login.is_repeated, true)
            && ctx.may_be_brief(outcome);
        let step = login.advance(ctx, parts.provider, |completion, known| match is_again {
            true => completion.send(known),
            false => completion.responded(known, outcome),
        });
        self.carry_out(ctx, parts, login, step)
    }

    /// Returns true if a login waits for the response to this request.
    pub(crate) fn await_response(&self, op: OpId) -> bool {
        self.completing.iter().any(|login| login.awaits(op))
    }

    /// Sends the request `op` again, to the endpoint in the provider's current metadata.
    pub(crate) fn send_again(
        &mut self,
        ctx: &mut Context,
        parts: Parts<'_>,
        op: OpId,
    ) -> CallbackOutcome {
        let Some(mut login) = self.take(op) else {
            return CallbackOutcome::None;
        };
        let step = login.advance(ctx, parts.provider, Completion::send);
        self.carry_out(ctx, parts, login, step)
    }

    /// Records that the request `op` is sent again, under the same operation number. The age of the tokens is counted from
    /// this time. Returns false if the login was canceled.
    pub(crate) fn sent_again(&mut self, now: Instant, (op, purpose): (OpId, Purpose)) -> bool {
        let Some(login) = list::find(&mut self.completing, |login| login.awaits(op)) else {
            return false;
        };
        if purpose == Purpose::Exchange {
            login.requested = now;
        }
        !login.caller.is_canceled
    }

    /// Handles the result of the check of an ID token's signature.
    pub(crate) fn signature_checked(
        &mut self,
        ctx: &mut Context,
        parts: Parts<'_>,
        op: OpId,
        valid: bool,
    ) -> CallbackOutcome {
        let Some(mut login) = self.take(op) else {
            return CallbackOutcome::None;
        };
        let step = login.advance(ctx, parts.provider, |completion, known| {
            completion.signature_checked(known, Ok(valid))
        });
        self.carry_out(ctx, parts, login, step)
    }

    /// Returns true if a login waits for the provider's keys.
    pub(crate) fn await_keys(&self) -> bool {
        self.completing.iter().any(|login| login.awaits_keys())
    }

    /// Takes the logins that wait for the provider's keys out of the list.
    pub(crate) fn take_waiting_for_keys(&mut self) -> List<Completing> {
        let mut waiting = Vec::new();
        while let Some(login) = list::take(&mut self.completing, Completing::awaits_keys) {
            waiting.push(login);
        }
        waiting
    }

    /// Continues a login that waited for the provider's keys. `failure` is the error if the keys could not be fetched.
    pub(crate) fn resume_with_keys(
        &mut self,
        ctx: &mut Context,
        parts: Parts<'_>,
        mut login: Box<Completing>,
        failure: Option<&Error>,
    ) -> CallbackOutcome {
        let step = match failure {
            None => Step::CheckSignature,
            Some(error) => login.completion.fail(error.clone()),
        };
        self.carry_out(ctx, parts, login, step)
    }

    /// Takes the login that waits for this response, or for this check, out of the list. [`Self::carry_out`] puts it back if
    /// it continues.
    fn take(&mut self, op: OpId) -> Option<Box<Completing>> {
        list::take(&mut self.completing, |login| login.awaits(op))
    }

    /// Carries out the next step of a login, which fails instead if the user has logged out.
    fn carry_out(
        &mut self,
        ctx: &mut Context,
        parts: Parts<'_>,
        mut login: Box<Completing>,
        mut step: Step,
    ) -> CallbackOutcome {
        if login.caller.is_canceled {
            let error = Error::new(Code::LoginCanceled, msg!("the user logged out meanwhile"));
            step = login.completion.cancel(step, error);
        }
        if matches!(step, Step::CheckSignature)
            && let Err(error) = login.check_signature(ctx, parts.provider)
        {
            step = login.completion.fail(error);
        }
        match step {
            Step::Send(request) => login.send(ctx, parts.dpop, request),
            Step::CheckSignature => {}
            Step::Done(granted) => return login.granted(ctx, *granted),
            Step::Failed(failed) => return login.failed(ctx, parts, *failed),
        }
        self.completing.push(login);
        CallbackOutcome::None
    }

    /// Cancels the callbacks in flight, so that they do not begin a session after a logout.
    pub(crate) fn cancel(&mut self) {
        self.for_each_caller(|caller| caller.is_canceled = true);
    }

    pub(crate) fn forget_port(&mut self, port: PortId) {
        self.for_each_caller(|caller| caller.forget(port));
    }

    fn for_each_caller(&mut self, mut change: impl FnMut(&mut Caller)) {
        let arrived = self.arrived.iter_mut().map(|arrived| &mut arrived.caller);
        let completing = self.completing.iter_mut().map(|login| &mut login.caller);
        let unstored = self.unstored.iter_mut().map(|login| &mut login.caller);
        arrived
            .chain(completing)
            .chain(unstored)
            .for_each(&mut change);
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

    /// Fails the delayed logins, because the store has a session of another user.
    pub(crate) fn refuse_unstored(&mut self, ctx: &mut Context, logins: &mut Logins) {
        for login in core::mem::take(&mut self.unstored) {
            login.refuse(ctx, logins);
        }
    }

    /// Returns the DPoP keys of these logins.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        let logins = self.completing.iter();
        logins.filter_map(|login| login.pending.dpop_key.as_ref())
    }
}

impl Completing {
    fn new(
        caller: Caller,
        pending: Box<Pending>,
        completion: Completion,
        requested: Instant,
    ) -> Box<Self> {
        Box::new(Self {
            caller,
            pending,
            completion,
            requested,
            op: None,
            signature: SignatureCheck::default(),
            is_repeated: false,
        })
    }

    fn awaits(&self, op: OpId) -> bool {
        self.op == Some(op) || self.signature.awaits(op)
    }

    fn awaits_keys(&self) -> bool {
        self.completion.id_token().is_some() && self.signature.awaits_keys()
    }

    /// Lets the completion take a step with the vault's current state. Returns the next step.
    fn advance(
        &mut self,
        ctx: &Context,
        provider: &Provider,
        step: impl FnOnce(&mut Completion, &Known<'_>) -> Step,
    ) -> Step {
        step(&mut self.completion, &known(ctx, provider, &self.pending))
    }

    /// Begins to check the signature of the ID token, or waits for the provider's keys.
    fn check_signature(&mut self, ctx: &mut Context, provider: &Provider) -> Result<()> {
        match self.completion.id_token() {
            Some(id_token) => {
                let purpose = Purpose::VerifyLogin;
                self.signature.begin(ctx, provider, id_token, purpose)
            }
            None => Ok(()),
        }
    }

    fn send(&mut self, ctx: &mut Context, dpop: &mut Dpop, request: HttpRequest) {
        let purpose = if request.access_token.is_some() {
            Purpose::AskProfile
        } else {
            self.requested = ctx.now;
            Purpose::Exchange
        };
        let key = dpop::key_of_login(&self.pending);
        self.op = Some(dpop.send_proven(ctx, purpose, request, key));
    }

    /// Warns the developer about a login that succeeds.
    fn granted(self, ctx: &mut Context, granted: Granted) -> CallbackOutcome {
        let Granted {
            tokens,
            user,
            warnings,
            lacks_refresh_token,
            why_no_refresh_token,
        } = granted;
        let Self {
            caller,
            pending,
            requested,
            ..
        } = self;
        let port = caller.page.map(|(port, _)| port);
        for warning in &warnings {
            ctx.warn_developer(port, warning);
        }
        let flow = &ctx.config.flow;
        let requested_scope = pending.requested_scope(flow);
        let before = ctx.session.as_deref().and_then(Session::refresh_token);
        // Without OpenID Connect, a server that issues no refresh tokens is not unusual.
        if tokens.refresh_token.is_none() && before.is_some() {
            let warning = Error::new(Code::RefreshTokenMissing, LOSES_REFRESH_TOKEN);
            ctx.warn_developer(port, &warning);
        } else if lacks_refresh_token
            && (flow.has_openid() || tokens.misses_refresh_token(requested_scope))
        {
            let message = [
                msg!(
                    "the provider issued no refresh token, so the session ends with its access token; some providers, such as Spring Authorization Server, issue no refresh tokens to public clients, and need a token handler"
                ),
                why_no_refresh_token,
            ];
            ctx.warn_developer(port, &Error::of(Code::RefreshTokenMissing, &message));
        }
        if let Some(session) = &ctx.session
            && let Some(warning) = pending.sign_in_warning(session.original(), &user)
        {
            ctx.warn_developer(port, &warning);
        }
        CallbackOutcome::Verified(Box::new(VerifiedLogin {
            login: CompletedLogin { caller, pending },
            tokens,
            user,
            requested,
        }))
    }

    /// Tells the page that the login has failed, or lets the page repeat a login that has expired at the provider.
    fn failed(self, ctx: &mut Context, parts: Parts<'_>, failed: Failed) -> CallbackOutcome {
        let Self {
            caller, pending, ..
        } = self;
        let Failed {
            error,
            description,
            tokens,
            repetition,
        } = failed;
        ctx.log(description);
        let Parts {
            provider, logins, ..
        } = parts;
        match (caller.page, repetition) {
            (Some((port, id)), Some(params)) if caller.may_repeat => {
                logins.begin(ctx, provider, port, id, params);
            }
            _ => caller.fail(ctx, logins, Some(&pending), &error),
        }
        tokens.map_or(CallbackOutcome::None, CallbackOutcome::Unused)
    }
}

/// Returns the vault's current state, as far as a step of this login depends on it.
fn known<'a>(ctx: &'a Context, provider: &'a Provider, pending: &'a Pending) -> Known<'a> {
    Known {
        flow: &ctx.config.flow,
        metadata: provider.metadata.as_deref(),
        pending,
        redirect_uri: &ctx.config.redirect_uri,
        now_seconds: ctx.provider_seconds(),
        has_targets: !ctx.config.rules.targets().is_empty(),
        secrets: ctx.secrets(),
        no_response: |endpoint| {
            let message = [
                msg!("the token endpoint "),
                &quote_url(endpoint),
                msg!(" did not respond (is it up, and does its CORS allow this origin?)"),
            ];
            Error::of(Code::ProviderUnavailable, &message)
        },
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
    caller: Caller,
    pub(crate) pending: Box<Pending>,
}

impl CompletedLogin {
    /// Tells the page that the login is complete. If the page is a popup, also tells the page that opened the popup.
    /// `is_stored` is true if the store has the session.
    pub(crate) fn complete(&self, ctx: &mut Context, logins: &mut Logins, is_stored: bool) {
        if let Some((port, id)) = self.caller.page {
            // While another page is connected, a shared worker does not end with this page.
            let is_kept = is_stored || ctx.ports.iter().any(|other| *other != port);
            let text = settled(id, &self.pending.return_to, self.pending.popup, is_kept);
            ctx.post(port, text);
        }
        logins.complete_opener(ctx, &self.caller.key, Ok(()));
    }

    /// Fails the login, because the account has the session of another user.
    pub(crate) fn refuse(&self, ctx: &mut Context, logins: &mut Logins) {
        let message = msg!("this account has the session of another user");
        let error = Error::new(Code::AccountInUse, message);
        self.caller.fail(ctx, logins, Some(&self.pending), &error);
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

impl Caller {
    fn forget(&mut self, port: PortId) {
        self.page = self.page.filter(|(page, _)| *page != port);
    }

    /// Tells the page that a response was opened again while a user is signed in. The page shows its target, and no error.
    fn settle_again(&self, ctx: &mut Context, return_to: &str) {
        if let Some((port, id)) = self.page {
            ctx.post(port, settled_again(id, return_to));
        }
    }

    /// Tells the page that the login has failed. If the page is a popup, also tells the page that opened the popup. If
    /// `pending` is given, the page also learns the address to return to.
    fn fail(
        &self,
        ctx: &mut Context,
        logins: &mut Logins,
        pending: Option<&Pending>,
        error: &Error,
    ) {
        if let Some((port, id)) = self.page {
            let return_to = pending.map(|pending| &*pending.return_to);
            ctx.post(port, callback_error(id, error, return_to));
        }
        logins.complete_opener(ctx, &self.key, Err(error));
    }
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
    let flow = &ctx.config.flow;
    pending.check(flow, ctx.now.wall, Millis::ZERO)?;
    if pending.dpop_key.is_some() != flow.uses_dpop {
        let message = msg!("the login was begun with another `dpop` than the one configured now");
        return Err(Error::new(Code::LoginUnknown, message));
    }
    Ok(())
}
