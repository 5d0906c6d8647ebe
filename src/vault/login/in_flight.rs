//! The logins in flight, and the copies of pending logins in memory.

use rules::prelude::*;

use crate::config::Config;
use crate::context::{Context, Purpose};
use crate::io::{OpId, Output, PortId, RequestId};
use crate::login::device_stage::Device;
use crate::message::message;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error};
use rules::base::list::{self, List};
use rules::codec::url::Url;
use rules::login::authorization_request::{AuthorizationRequest, LIFETIME, LoginParams, Pending};
use rules::login::authorization_response::AuthorizationResponse;
use rules::oauth::dpop::PublicKey;

/// Largest number of logins in flight.
const MAX_LOGINS: usize = 32;
/// Largest number of logins in flight of one page, so that other pages can also begin logins.
const MAX_LOGINS_OF_A_PAGE: usize = 4;

/// The logins that pages of this vault have begun.
#[derive(Default)]
pub(crate) struct Logins {
    pub(super) in_flight: List<Login>,
    /// Copies of the pending logins, by name. They are preferred to the store, which may not work and which scripts of
    /// this origin can change.
    remembered: List<(String, Box<Pending>)>,
    /// The logins that have received their authorization response. A second response to such a login gets another error
    /// than a response to an unknown login.
    used: List<UsedLogin>,
    /// True if the provider did not accept a pushed authorization request from this client.
    pub(crate) is_pushing_refused: bool,
}

/// A login that has received its authorization response.
struct UsedLogin {
    key: String,
    /// The page to return to, or `/` if it is not known.
    return_to: String,
}

pub(crate) struct Login {
    pub(crate) port: PortId,
    pub(crate) id: RequestId,
    pub(crate) params: Box<LoginParams>,
    /// The time at which the login fails because no authorization response has arrived.
    pub(crate) deadline: Millis,
    pub(crate) stage: LoginStage,
    /// The DPoP key of this login, if it is a login on another device.
    pub(crate) key: Option<PublicKey>,
}

pub(crate) enum LoginStage {
    NeedsMetadata,
    /// The host creates the DPoP key of the login.
    MakingKey(OpId),
    /// The authorization request is pushed to the provider before the page gets the URL to navigate to.
    Pushing(OpId, Box<AuthorizationRequest>),
    Storing {
        op: OpId,
        url: String,
    },
    /// The user logs in on another device.
    AtDevice(Device),
    /// A popup is at the provider, and the page that opened the popup waits. A login on another device is in this stage
    /// while its tokens are verified.
    AtProvider {
        key: String,
    },
    /// A popup is at the provider, and the vault of the popup's own page will finish the login.
    Elsewhere,
}

impl Login {
    pub(crate) const fn needs_metadata(&self) -> bool {
        matches!(self.stage, LoginStage::NeedsMetadata)
    }
}

impl Logins {
    pub(crate) fn forget_port(&mut self, port: PortId) {
        list::discard(&mut self.in_flight, |login| login.port == port);
    }

    pub(crate) fn put(&mut self, login: Box<Login>) {
        self.in_flight.push(login);
    }

    pub(crate) fn take(&mut self, is_it: impl Fn(&Login) -> bool) -> Option<Box<Login>> {
        list::take(&mut self.in_flight, is_it)
    }

    /// Removes and returns the copy of the pending login `key`, if there is one.
    pub(crate) fn recall(&mut self, key: &str) -> Option<Box<Pending>> {
        let (_, pending) = *list::take(&mut self.remembered, |(k, _)| k == key)?;
        Some(pending)
    }

    /// Returns the redirect URI of the login to which the response in `url` claims to belong. It is not the configured
    /// redirect URI if the app chose its port.
    pub(crate) fn redirect_uri<'a>(&'a self, config: &'a Config, url: &str) -> &'a Url {
        let response = Url::parse(url).and_then(|parsed| {
            AuthorizationResponse::parse(&config.flow, &config.redirection(&parsed), url).ok()
        });
        let login = response.and_then(|response| {
            let mut remembered = self.remembered.iter();
            remembered.find(|login| login.0 == response.key)
        });
        login.map_or(&config.redirect_uri, |login| {
            login.1.redirect_uri(&config.redirect_uri)
        })
    }

    /// Records that the login `key` has received its authorization response. Returns true if it had already received
    /// one.
    pub(crate) fn mark_used(&mut self, key: &str) -> bool {
        if self.used.iter().any(|used| used.key == key) {
            return true;
        }
        if self.used.len() == MAX_LOGINS {
            self.used.remove(0);
        }
        self.used.push(Box::new(UsedLogin {
            key: key.to_owned(),
            return_to: "/".to_owned(),
        }));
        false
    }

    /// Remembers the page to which the login `key` returns, in case its response is opened again.
    pub(crate) fn remember_target(&mut self, key: &str, return_to: &str) {
        for used in self.used.iter_mut().filter(|used| used.key == key) {
            return_to.clone_into(&mut used.return_to);
        }
    }

    /// Returns the page to which the login `key` returns, or `/` if this vault has not received its response.
    pub(crate) fn target(&self, key: &str) -> &str {
        let used = self.used.iter().find(|used| used.key == key);
        used.map_or("/", |used| &used.return_to)
    }

    /// Returns the DPoP keys of these logins.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        let in_flight = self
            .in_flight
            .iter()
            .filter_map(|login| match &login.stage {
                LoginStage::Pushing(_, begun) => begun.pending.dpop_key.as_ref(),
                _ => login.key.as_ref(),
            });
        in_flight.chain(
            self.pending()
                .filter_map(|pending| pending.dpop_key.as_ref()),
        )
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.remembered.iter().map(|login| &*login.1)
    }

    pub(crate) fn for_each_deadline(&self, see: &mut dyn FnMut(Millis)) {
        for login in &self.in_flight {
            see(login.deadline);
            if let LoginStage::AtDevice(device) = &login.stage {
                device.due().map(&mut *see);
            }
        }
    }

    /// Keeps a copy of a pending login in memory. No copy is removed to make room for another: without the copy, the
    /// vault would have to trust the store, to which scripts of this origin can write.
    fn remember(&mut self, key: String, pending: Box<Pending>) {
        self.remembered.push(Box::new((key, pending)));
    }

    /// Returns true if the page must not begin another login.
    pub(super) fn are_too_many(&self, port: PortId) -> bool {
        let logins = self.in_flight.iter();
        let of_this_page = logins.filter(|login| login.port == port).count();
        let is_full = self.in_flight.len() == MAX_LOGINS || self.remembered.len() >= MAX_LOGINS;
        is_full || of_this_page == MAX_LOGINS_OF_A_PAGE
    }

    /// Tells the page the URL to navigate to, or stores the login first. The login of a popup is only kept in memory,
    /// because the page that opened the popup stays open and keeps this vault alive. A login that navigates the page
    /// away must be stored first, and so must a login that another vault finishes: see [`is_finished_elsewhere`].
    #[expect(clippy::boxed_local, reason = "moving a box is less code")]
    pub(super) fn navigate_or_store(
        &mut self,
        ctx: &mut Context,
        mut login: Box<Login>,
        begun: Box<AuthorizationRequest>,
        url: String,
    ) {
        let AuthorizationRequest { key, pending, .. } = *begun;
        if login.params.popup && !is_finished_elsewhere(&ctx.config, &login.params) {
            navigate(ctx, &login, &url);
            login.stage = LoginStage::AtProvider { key: key.clone() };
        } else {
            let op = ctx.begin_limited(Purpose::StoreLogin);
            ctx.outputs.push(Output::Store {
                op,
                key: key.clone(),
                value: pending.to_json(),
                expires_at: ctx.now.wall.saturating_add(LIFETIME.0),
                key_pair: pending.dpop_key.clone(),
            });
            login.stage = LoginStage::Storing { op, url };
        }
        self.remember(key, pending);
        self.in_flight.push(login);
        ctx.trace("login_started", None);
    }

    pub(crate) fn stored(&mut self, ctx: &mut Context, op: OpId, ok: bool) {
        let is_it =
            |login: &Login| matches!(login.stage, LoginStage::Storing { op: o, .. } if o == op);
        let Some(mut login) = list::take(&mut self.in_flight, is_it) else {
            return;
        };
        match &login.stage {
            LoginStage::Storing { url, .. } if ok => {
                navigate(ctx, &login, url);
                // The page that opened a popup waits for its end.
                if login.params.popup {
                    login.stage = LoginStage::Elsewhere;
                    self.in_flight.push(login);
                }
            }
            _ => {
                let why = msg!("the login cannot be kept while the page is away");
                ctx.decline(login.port, login.id, Code::StorageUnavailable, why);
            }
        }
    }

    pub(crate) fn cancel(&mut self, port: PortId, id: RequestId) {
        let is_it = |login: &Login| login.port == port && login.id == id;
        list::take(&mut self.in_flight, is_it);
    }

    pub(crate) fn fail_waiting(&mut self, ctx: &mut Context, error: &Error) {
        self.fail(ctx, error, Login::needs_metadata);
    }

    pub(crate) fn expire(&mut self, ctx: &mut Context) {
        let now = ctx.now;
        let error = Error::new(
            Code::LoginExpired,
            msg!("no response came within 10 minutes"),
        );
        self.fail(ctx, &error, |login| login.deadline <= now.monotonic);
        list::discard(&mut self.remembered, |(_, pending)| {
            pending.check_age(now.wall, Millis::ZERO).is_err()
        });
    }

    fn fail(&mut self, ctx: &mut Context, error: &Error, is_over: impl Fn(&Login) -> bool) {
        while let Some(login) = list::take(&mut self.in_flight, &is_over) {
            ctx.post_error(login.port, login.id, error);
        }
    }

    /// Completes the logins that another vault finishes, because a user has signed in in another vault.
    pub(crate) fn complete_elsewhere(&mut self, ctx: &mut Context) {
        let is_it = |login: &Login| matches!(login.stage, LoginStage::Elsewhere);
        while let Some(login) = list::take(&mut self.in_flight, is_it) {
            ctx.post_done(login.port, login.id, None, false);
        }
    }

    /// Tells the page that opened a popup how the popup's login has ended.
    pub(crate) fn complete_opener(
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

/// Returns true if another vault finishes this login: a popup at the callback page of a dedicated worker has a vault of
/// its own. The callback page passes the response to no other page.
pub(super) fn is_finished_elsewhere(config: &Config, params: &LoginParams) -> bool {
    let is_popup = params.popup && !params.is_custom;
    is_popup && config.login.has_callback_page && config.is_dedicated
}

fn navigate(ctx: &mut Context, login: &Login, url: &str) {
    let mut navigate = message("navigate");
    // The URL of a pushed request does not contain the redirect URI.
    let redirect_uri = ctx.config.redirect_uri.href();
    navigate
        .number("id", login.id.0)
        .text("url", url)
        .text("redirectUri", redirect_uri);
    ctx.post(login.port, navigate.finish());
}
