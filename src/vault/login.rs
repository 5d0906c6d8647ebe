//! Beginning a login: metadata, then the authorization request, then a pending login in the store,
//! and only then is the page told where to go.

pub(super) mod callback;
#[cfg(feature = "extended")]
pub(super) mod device;
pub(super) mod pushed;

use crate::prelude::*;

use crate::base::clock::Millis;
use crate::base::error::{Code, Error, Result};
use crate::oauth::authorization_request::{
    self, AuthorizationRequest, LIFETIME, LoginParams, Pending,
};
#[cfg(feature = "extended")]
use crate::oauth::dpop::PublicKey;
use crate::vault::context::{Context, Purpose};
use crate::vault::io::{OpId, Output, PortId};
use crate::vault::list::{self, List};
#[cfg(feature = "extended")]
use crate::vault::login::device::Device;
use crate::vault::message::message;
use crate::vault::provider::Provider;
use zeroize::Zeroize;

/// Most logins that may be under way at once.
const MAX_LOGINS: usize = 32;
/// Most of them that one page may have begun, so that it leaves the others some.
const MAX_LOGINS_OF_A_PAGE: usize = 4;

/// Logins that pages began.
#[derive(Default)]
pub(super) struct Logins {
    in_flight: List<Login>,
    /// Pending logins in memory: what there is where the store does not work.
    remembered: Vec<(String, Box<Pending>)>,
    /// Names of logins whose answer came, so that a second answer is told from an unknown one.
    used: Vec<String>,
    /// True if the provider does not let this client push authorization requests.
    is_pushing_refused: bool,
}

pub(super) struct Login {
    pub(super) port: PortId,
    pub(super) id: u64,
    pub(super) params: Box<LoginParams>,
    /// When the page is told that nothing came.
    pub(super) deadline: Millis,
    pub(super) stage: LoginStage,
    /// What the tokens of a login on another device are to be bound to.
    #[cfg(feature = "extended")]
    pub(super) key: Option<PublicKey>,
}

pub(super) enum LoginStage {
    NeedsMetadata,
    /// The host makes the key that its tokens are to be bound to.
    #[cfg(feature = "extended")]
    MakingKey(OpId),
    /// The provider gets the request before the page is told where to go.
    Pushing(OpId, Box<AuthorizationRequest>),
    Storing {
        op: OpId,
        url: String,
    },
    /// The user is at another device.
    #[cfg(feature = "extended")]
    AtDevice(Device),
    /// A popup is at the provider; its opener waits.
    AtProvider {
        key: String,
    },
}

impl Login {
    const fn needs_metadata(&self) -> bool {
        matches!(self.stage, LoginStage::NeedsMetadata)
    }
}

impl Logins {
    pub(super) fn forget_port(&mut self, port: PortId) {
        list::discard(&mut self.in_flight, |login| login.port == port);
    }

    pub(super) fn put(&mut self, login: Box<Login>) {
        self.in_flight.push(login);
    }

    pub(super) fn take(&mut self, is_it: impl Fn(&Login) -> bool) -> Option<Box<Login>> {
        list::take(&mut self.in_flight, is_it)
    }

    /// The pending login called `key`, if it is in memory. It is there no longer then.
    pub(super) fn recall(&mut self, key: &str) -> Option<Box<Pending>> {
        let i = self.remembered.iter().position(|(k, _)| k == key)?;
        Some(self.remembered.swap_remove(i).1)
    }

    /// Marks `key` as answered; whether it was so before.
    pub(super) fn mark_used(&mut self, key: &str) -> bool {
        if self.used.iter().any(|used| used == key) {
            return true;
        }
        if self.used.len() == MAX_LOGINS {
            self.used.remove(0);
        }
        self.used.push(key.to_owned());
        false
    }

    /// The keys that tokens will be bound to.
    #[cfg(feature = "extended")]
    pub(super) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        let in_flight = self
            .in_flight
            .iter()
            .filter_map(|login| match &login.stage {
                LoginStage::Pushing(_, begun) => begun.pending.key.as_ref(),
                _ => login.key.as_ref(),
            });
        in_flight.chain(self.pending().filter_map(|pending| pending.key.as_ref()))
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.remembered.iter().map(|(_, pending)| &**pending)
    }

    pub(super) fn for_each_deadline(&self, see: &mut dyn FnMut(Millis)) {
        for login in &self.in_flight {
            see(login.deadline);
            #[cfg(feature = "extended")]
            if let LoginStage::AtDevice(device) = &login.stage {
                device.due().map(&mut *see);
            }
        }
    }

    /// Remembers a login. Never evicts one to make room: the vault would then trust what script wrote to the store.
    fn remember(&mut self, key: String, pending: Box<Pending>) {
        self.remembered.push((key, pending));
    }

    fn are_too_many(&self) -> bool {
        self.in_flight.len() == MAX_LOGINS || self.remembered.len() >= MAX_LOGINS
    }
}

impl Logins {
    /// Begins a login for a page.
    pub(super) fn begin(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        port: PortId,
        id: u64,
        params: Box<LoginParams>,
    ) {
        self.expire(ctx);
        let logins = self.in_flight.iter();
        let of_this_page = logins.filter(|login| login.port == port).count();
        if self.are_too_many() || of_this_page == MAX_LOGINS_OF_A_PAGE {
            let why = msg!("4 logins of this page, or 32 of all, are in flight already");
            return ctx.decline(port, id, Code::LimitExceeded, why);
        }
        self.in_flight.push(Box::new(Login {
            port,
            id,
            params,
            deadline: ctx.now.monotonic + LIFETIME + Millis(1),
            stage: LoginStage::NeedsMetadata,
            #[cfg(feature = "extended")]
            key: None,
        }));
        if provider.need_metadata(ctx) {
            self.resume(ctx, provider);
        }
    }

    /// Takes up the logins that waited for metadata.
    #[cfg(feature = "extended")]
    pub(super) fn resume(&mut self, ctx: &mut Context, provider: &Provider) {
        while let Some(login) = list::take(&mut self.in_flight, Login::needs_metadata) {
            if let Some(login) = self.make_key(ctx, login) {
                self.begin_with_key(ctx, provider, login, None);
            }
        }
    }

    /// Takes up the logins that waited for metadata.
    #[cfg(not(feature = "extended"))]
    pub(super) fn resume(&mut self, ctx: &mut Context, provider: &Provider) {
        while let Some(login) = list::take(&mut self.in_flight, Login::needs_metadata) {
            match authorization_request(ctx, &login.params) {
                Ok(begun) => self.push_or_begin(ctx, provider, login, begun),
                Err(error) => ctx.post_error(login.port, login.id, &error),
            }
        }
    }

    /// Begins a login whose key is there, if it needs one.
    #[cfg(feature = "extended")]
    fn begin_with_key(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        mut login: Box<Login>,
        key: Option<PublicKey>,
    ) {
        if login.params.device {
            login.key = key;
            return self.begin_device(ctx, provider, login);
        }
        let bound = |begun: Box<AuthorizationRequest>| match key {
            Some(key) => begun.bound_to(key),
            None => begun,
        };
        match authorization_request(ctx, &login.params).map(bound) {
            Ok(begun) => self.push_or_begin(ctx, provider, login, begun),
            Err(error) => ctx.post_error(login.port, login.id, &error),
        }
    }

    /// Gives the login back if it needs no key.
    #[cfg(feature = "extended")]
    fn make_key(&mut self, ctx: &mut Context, mut login: Box<Login>) -> Option<Box<Login>> {
        if !ctx.config.binds_tokens() {
            return Some(login);
        }
        let op = ctx.begin_limited(Purpose::MakeKey);
        ctx.outputs.push(Output::MakeKey { op });
        login.stage = LoginStage::MakingKey(op);
        self.in_flight.push(login);
        None
    }

    /// Takes up the login that waited for its key.
    #[cfg(feature = "extended")]
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
        let why = msg!("this browser makes no keys for ES256, which dpop needs");
        ctx.decline(login.port, login.id, Code::Unsupported, why);
    }

    /// A popup leaves its opener, and with it this vault, where they are: its login is kept in memory
    /// and nowhere else. One that takes the page along has to survive in the store.
    #[expect(clippy::boxed_local, reason = "moving a box is less code")]
    fn navigate_or_store(
        &mut self,
        ctx: &mut Context,
        mut login: Box<Login>,
        begun: Box<AuthorizationRequest>,
        url: String,
    ) {
        let AuthorizationRequest { key, pending, .. } = *begun;
        if login.params.popup {
            navigate(ctx, &login, &url);
            login.stage = LoginStage::AtProvider { key: key.clone() };
        } else {
            let op = ctx.begin_limited(Purpose::StoreLogin);
            ctx.outputs.push(Output::Store {
                op,
                key: key.clone(),
                value: pending.to_json(),
                expires_at: ctx.now.wall.saturating_add(LIFETIME.0),
                #[cfg(feature = "extended")]
                key_pair: pending.key.as_ref().map(|key| key.thumbprint().to_owned()),
            });
            login.stage = LoginStage::Storing { op, url };
        }
        self.remember(key, pending);
        self.in_flight.push(login);
        ctx.trace("login_started", None);
    }

    pub(super) fn stored(&mut self, ctx: &mut Context, op: OpId, ok: bool) {
        let is_it =
            |login: &Login| matches!(login.stage, LoginStage::Storing { op: o, .. } if o == op);
        let Some(login) = list::take(&mut self.in_flight, is_it) else {
            return;
        };
        match &login.stage {
            LoginStage::Storing { url, .. } if ok => navigate(ctx, &login, url),
            _ => {
                let why = msg!("the login cannot be kept while the page is away");
                ctx.decline(login.port, login.id, Code::StorageUnavailable, why);
            }
        }
    }

    pub(super) fn cancel(&mut self, port: PortId, id: u64) {
        let is_it = |login: &Login| login.port == port && login.id == id;
        list::take(&mut self.in_flight, is_it);
    }

    pub(super) fn fail_waiting(&mut self, ctx: &mut Context, error: &Error) {
        self.fail(ctx, error, Login::needs_metadata);
    }

    pub(super) fn expire(&mut self, ctx: &mut Context) {
        let now = ctx.now;
        let error = Error::new(Code::LoginExpired, msg!("no answer came within 10 minutes"));
        self.fail(ctx, &error, |login| login.deadline <= now.monotonic);
        let remembered = &mut self.remembered;
        let is_old = |(_, pending): &(String, Box<Pending>)| pending.check_age(now.wall).is_err();
        while let Some(i) = remembered.iter().position(is_old) {
            remembered.swap_remove(i);
        }
    }

    fn fail(&mut self, ctx: &mut Context, error: &Error, is_over: impl Fn(&Login) -> bool) {
        while let Some(login) = list::take(&mut self.in_flight, &is_over) {
            ctx.post_error(login.port, login.id, error);
        }
    }

    /// Tells the opener of a popup how its login ended.
    pub(super) fn complete_opener(
        &mut self,
        ctx: &mut Context,
        key: &str,
        outcome: core::result::Result<(), &Error>,
    ) {
        let is_it =
            |login: &Login| matches!(&login.stage, LoginStage::AtProvider { key: k } if k == key);
        let Some(login) = list::take(&mut self.in_flight, is_it) else {
            return;
        };
        match outcome {
            Ok(()) => ctx.post_done(login.port, login.id, None, false),
            Err(error) => ctx.post_error(login.port, login.id, error),
        }
    }
}

fn authorization_request(
    ctx: &mut Context,
    params: &LoginParams,
) -> Result<Box<AuthorizationRequest>> {
    let mut entropy = [0; authorization_request::ENTROPY];
    ctx.entropy.fill(&mut entropy);
    let begun = authorization_request::build(
        &ctx.config,
        &ctx.config.redirect_uri,
        params,
        &entropy,
        ctx.now.wall,
    );
    entropy.zeroize();
    begun
}

fn navigate(ctx: &mut Context, login: &Login, url: &str) {
    let mut navigate = message("navigate");
    navigate.number("id", login.id).text("url", url);
    ctx.post(login.port, navigate.finish());
}
