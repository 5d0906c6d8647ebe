//! The state that the tasks of an isolate share.

pub(super) mod cache;
pub(super) mod client_refusal;
pub(super) mod clock;
mod hourly;
pub(super) mod lateness;
pub(super) mod lost_logins;
pub(super) mod opened;
pub(super) mod outage;
pub(super) mod outage_report;
pub(super) mod provider;
pub(super) mod refusals;
pub(super) mod silence;

use alloc::rc::Rc;
use core::cell::{Cell, OnceCell, RefCell, RefMut};
use rules::prelude::*;

use crate::config::Config;
use crate::event::{About, Event, Happened, Observation, Server};
use crate::io::FlightId;
use crate::isolate::cache::SessionCache;
use crate::isolate::client_refusal::ClientRefusal;
use crate::isolate::clock::Clocks;
use crate::isolate::lateness::{Excuse, Lateness};
use crate::isolate::lost_logins::LostLogins;
use crate::isolate::opened::Opened;
use crate::isolate::outage_report::{A_MINUTE, OutageReport};
use crate::isolate::provider::Provider;
use crate::isolate::refusals::Refusals;
use crate::request_id;
use crate::session::Session;
use rules::base::clock::{Instant, UnixMillis};
use rules::base::entropy::Entropy;
use rules::base::error::Code;
use rules::codec::base64url;
use rules::oauth::dpop::Nonces;

/// Faults that are logged at most once a minute, because anybody or many requests can cause them.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Seldom {
    /// Several cookies have the same name, or parts of a value are missing.
    Malformed,
    /// A cookie is sealed with an unknown key.
    UnknownKey,
    /// A cookie was not sealed by this handler.
    NotGenuine,
    /// A logout had a cookie that could not be opened.
    Logout,
    /// A session was used at another host than its login's.
    OtherHost,
    /// No entry of `origin` matches the host of a request.
    UnlistedHost,
    /// A request to end sessions had no logout token, or one that the provider did not sign.
    UnsignedLogout,
    /// A logout token of the provider was refused.
    LogoutToken,
    /// A request was refused because too many requests were in flight.
    ManyRequests,
    /// A request with a replaced cookie was refused, because it may have waited for this process.
    Late,
    /// Another site began a login with a target that is not a page of the app.
    Target,
    /// Another site began a login with parameters that cannot be used.
    Elsewhere,
    /// Another site began a login at another issuer.
    OtherIssuer,
    /// A service worker has sent another request in place of a navigation.
    Worker,
    /// An upstream, that of the route with this index, refuses new access tokens of an app on loopback.
    RefusedToken(usize),
    /// A request of a bound session had no bound cookie.
    BoundCookieMissing,
    /// The browser of a bound session could not renew its bound cookie.
    NotRenewed,
    /// `session.bind` cannot be used for a request.
    Bind,
    /// A browser could not be asked to bind its session.
    CannotBind,
    /// A session is not bound, and is older than the offer to bind it.
    NotBound,
    /// A session is not bound, although its browser has bound another one.
    StaysUnbound,
    /// The provider granted other scopes than a login requested, or its ID token lacks a claim. Each code counts apart.
    Scopes,
    /// A login failed. Each code counts apart, so forged responses do not hide another failure.
    Login,
    /// The provider described an error in a response, which anybody can forge for a login of their own.
    ProviderSays,
    /// The provider refused the client's assertion.
    Assertion,
    /// A check of a reverse proxy was refused.
    Check,
    /// The guard with the first number keeps a user out, because of the claim with the second number.
    Guard(usize, usize),
    /// A proxy asked about an address of another site, or of the handler itself. The client may have chosen the address.
    CheckedAddress,
    /// No route allows an address. Each code counts apart.
    Address,
    /// The app is served over http.
    PlainHttp,
    /// The authorization response was sent as a form, which the handler does not read.
    FormPost,
    /// A window opened the address at which only POST ends the session.
    LogoutLink,
    /// The refresh of a session failed, although the provider is up as far as this isolate knows.
    Refresh,
    /// The provider refused the client at a refresh.
    Client,
    /// The provider did not revoke a refresh token.
    Revocation,
    /// An upstream, the route with this index, did not respond.
    Upstream(usize),
    /// A response of an upstream, of the route with this index, broke off after its head. Each code counts apart.
    BrokenResponse(usize),
    /// An upstream, that of the route with this index, responded with a redirect, or with a status or an encoding that cannot
    /// be forwarded.
    UpstreamResponse(usize),
    /// A session's record is gone.
    RecordLost,
    /// A record, an end or an order has an unknown key or another version, or was not written by a handler.
    RecordForeign,
    /// The coordinator refuses every write of a session's record.
    RecordConflict,
    /// The end of a session, or its new tokens, could not be written.
    Unwritten,
    /// The list of a user's sessions, which no session needs, could not be read or written.
    List,
    /// A cookie was written by another version, or before the option `dpop` was changed.
    CookieOutdated,
}

/// The reports of one kind of fault.
struct Reports {
    fault: Seldom,
    code: Code,
    /// The time of the last report.
    at: Instant,
    /// The number of faults since the last report.
    unreported: u64,
}

/// The number of requests for whose IDs random bytes are drawn at once.
const DRAWN: usize = 32;

/// The knowledge of an isolate about its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The number of requests without a response yet, and of refreshes in flight.
    pub requests: usize,
    /// The provider.
    pub provider: ServerHealth,
    /// The coordinator.
    pub coordinator: ServerHealth,
}

/// The knowledge of an isolate about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHealth {
    /// The time since which the server is down. `None`: as far as this isolate knows, it works.
    pub down_since: Option<UnixMillis>,
    /// The last failure in an outage, or an empty string.
    pub last_failure: String,
}

/// The configuration, the caches and the entropy of an isolate.
pub(super) struct Isolate {
    pub(super) config: Config,
    entropy: RefCell<Box<dyn Entropy>>,
    /// Random bytes for the IDs of the next requests.
    drawn: RefCell<Vec<[u8; request_id::RANDOM]>>,
    pub(super) provider: RefCell<Provider>,
    /// Nonces of the provider and of upstreams are separate, since the provider and an upstream may share an origin
    /// (RFC 9449 9).
    pub(super) provider_nonces: RefCell<Nonces>,
    pub(super) upstream_nonces: RefCell<Nonces>,
    pub(super) session_cache: RefCell<SessionCache>,
    pub(super) client_refusal: ClientRefusal,
    pub(super) lost_logins: LostLogins,
    pub(super) clock: Clocks,
    pub(super) lateness: Lateness,
    pub(super) coordinator_excuse: Excuse,
    pub(super) provider_excuse: Excuse,
    /// The number of bytes of requests' bodies that the host holds in memory, to send them again.
    pub(super) copied_bytes: Cell<u64>,
    pub(super) opened: RefCell<Opened>,
    /// Sessions that a logout or an order has ended, whose records do not say so yet.
    unwritten_ends: RefCell<Vec<Rc<Session>>>,
    events: RefCell<Vec<Event>>,
    /// The reports of these faults: at most one entry for each fault and code.
    seldom: RefCell<Vec<Reports>>,
    /// The outages of [`Server::ALL`].
    outages: RefCell<[OutageReport; Server::ALL.len()]>,
    /// True if the coordinator has not taken the last write.
    pub(super) refuses_writes: Cell<bool>,
    /// True if the host passes [`Event::Observed`] on.
    pub(super) is_observed: Cell<bool>,
    pub(super) refusals: RefCell<Refusals>,
    /// True after the warning about a session that needs several cookies.
    pub(super) has_warned_of_length: Cell<bool>,
    /// True after the warning about a key for tests.
    pub(super) has_warned_of_test_key: Cell<bool>,
    /// True after a callback for which the function `session.bind` has returned false.
    pub(super) has_unbound_callback: Cell<bool>,
    pub(super) next_flight: Cell<FlightId>,
    /// The name that distinguishes this isolate from others. The name is generated on first use.
    name: OnceCell<String>,
}

impl Isolate {
    pub(super) fn new(mut config: Config, entropy: Box<dyn Entropy>) -> Self {
        let metadata = config.metadata.take();
        let provider = Provider::new(&config.flow.issuer, metadata);
        Self {
            config,
            entropy: RefCell::new(entropy),
            drawn: RefCell::default(),
            provider: RefCell::new(provider),
            provider_nonces: RefCell::default(),
            upstream_nonces: RefCell::default(),
            session_cache: RefCell::default(),
            client_refusal: ClientRefusal::default(),
            lost_logins: LostLogins::default(),
            clock: Clocks::default(),
            lateness: Lateness::default(),
            coordinator_excuse: Excuse::default(),
            provider_excuse: Excuse::default(),
            copied_bytes: Cell::default(),
            opened: RefCell::default(),
            unwritten_ends: RefCell::default(),
            events: RefCell::default(),
            seldom: Default::default(),
            outages: RefCell::default(),
            refuses_writes: Cell::default(),
            is_observed: Cell::default(),
            refusals: RefCell::default(),
            has_warned_of_length: Cell::default(),
            has_warned_of_test_key: Cell::default(),
            has_unbound_callback: Cell::default(),
            next_flight: Cell::default(),
            name: OnceCell::new(),
        }
    }

    /// Returns the isolate's name. The name is generated on first use: some platforms have no entropy before the first
    /// request.
    pub(super) fn name(&self) -> &str {
        self.name
            .get_or_init(|| base64url::encode(&self.random::<9>()))
    }

    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.borrow_mut().fill(&mut bytes);
        bytes
    }

    /// Returns random bytes for the ID of a request. They are drawn for many requests at once, because each call of the
    /// platform takes as long as a tenth of a request.
    pub(super) fn random_for_id(&self) -> [u8; request_id::RANDOM] {
        let mut drawn = self.drawn.borrow_mut();
        if let Some(bytes) = drawn.pop() {
            return bytes;
        }
        let bytes = self.random::<{ request_id::RANDOM * DRAWN }>();
        drawn.extend(bytes.as_chunks().0);
        drawn.pop().unwrap_or_default()
    }

    pub(super) fn emit(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    /// Emits an event for the observer, if there is one.
    pub(super) fn observe(&self, about: impl FnOnce() -> About, happened: Happened) {
        if self.is_observed.get() {
            let about = about();
            self.emit(Event::Observed(Observation { happened, about }));
        }
    }

    /// Remembers a session whose end must be written into its record.
    pub(super) fn note_unwritten(&self, session: Rc<Session>) {
        self.forget_unwritten(&session.sid);
        self.unwritten_ends.borrow_mut().push(session);
    }

    /// Forgets the session with this ID, whose end has been written.
    pub(super) fn forget_unwritten(&self, sid: &str) {
        let mut all = self.unwritten_ends.borrow_mut();
        all.retain(|known| known.sid != sid);
    }

    /// Removes and returns a session whose end must be written, if there is one.
    pub(super) fn take_unwritten(&self) -> Option<Rc<Session>> {
        self.unwritten_ends.borrow_mut().pop()
    }

    /// Emits the counts of refused requests that are due.
    pub(super) fn emit_due_refusals(&self, now: &Instant) {
        for happened in self.refusals.borrow_mut().due(now) {
            self.observe(About::default, happened);
        }
    }

    /// Returns the outage of a server for changes.
    pub(super) fn outage_of(&self, server: Server) -> RefMut<'_, OutageReport> {
        RefMut::map(self.outages.borrow_mut(), |all| &mut all[server as usize])
    }

    /// Returns what this isolate knows about its servers.
    pub(super) fn health(&self, requests: usize) -> Health {
        let state = |server| {
            let outage = self.outage_of(server);
            ServerHealth {
                down_since: outage.began().map(|began| began.wall),
                last_failure: outage.last_failure().to_owned(),
            }
        };
        Health {
            requests,
            provider: state(Server::Provider),
            coordinator: state(Server::Coordinator),
        }
    }

    /// Returns the usual code of a fault.
    pub(super) const fn code_of(fault: Seldom) -> Code {
        match fault {
            Seldom::UnknownKey => Code::KeyUnknown,
            Seldom::UnsignedLogout | Seldom::LogoutToken => Code::LogoutTokenInvalid,
            Seldom::ManyRequests | Seldom::Late => Code::LimitExceeded,
            Seldom::Target | Seldom::Elsewhere => Code::MessageInvalid,
            Seldom::NotRenewed => Code::RenewalFailed,
            Seldom::OtherIssuer => Code::IssuerMismatch,
            Seldom::Worker => Code::CrossSiteRequest,
            Seldom::Assertion => Code::ClientRejected,
            Seldom::RefusedToken(_) => Code::TokenRefused,
            Seldom::Scopes => Code::ScopeReduced,
            Seldom::Bind | Seldom::Check | Seldom::CheckedAddress | Seldom::PlainHttp => {
                Code::ConfigInvalid
            }
            Seldom::Guard(..) => Code::ClaimMissing,
            Seldom::BoundCookieMissing => Code::BoundCookieMissing,
            Seldom::CannotBind | Seldom::NotBound | Seldom::StaysUnbound => Code::Unsupported,
            Seldom::Login | Seldom::ProviderSays => Code::LoginFailed,
            Seldom::Address => Code::UrlNotAllowed,
            Seldom::UnlistedHost => Code::HostNotAllowed,
            Seldom::FormPost | Seldom::LogoutLink => Code::MethodNotAllowed,
            Seldom::Malformed | Seldom::NotGenuine | Seldom::Logout | Seldom::OtherHost => {
                Code::CookieInvalid
            }
            Seldom::Refresh | Seldom::Revocation => Code::ProviderUnavailable,
            Seldom::Client => Code::ClientRejected,
            Seldom::Upstream(_) | Seldom::BrokenResponse(_) | Seldom::UpstreamResponse(_) => {
                Code::UpstreamUnavailable
            }
            Seldom::RecordLost => Code::SessionEnded,
            Seldom::RecordForeign | Seldom::RecordConflict | Seldom::Unwritten | Seldom::List => {
                Code::CoordinatorUnavailable
            }
            Seldom::CookieOutdated => Code::CookieInvalid,
        }
    }

    /// Counts a fault. Returns `None` if it was reported less than a minute ago. Otherwise returns the
    /// number of times since then that were not reported.
    pub(super) fn count_seldom(&self, now: &Instant, fault: Seldom, code: Code) -> Option<u64> {
        let mut all = self.seldom.borrow_mut();
        let known = all
            .iter_mut()
            .find(|known| known.fault == fault && known.code == code);
        let mut unreported = 0;
        match known {
            Some(known) if known.at.elapsed(now) < A_MINUTE => {
                known.unreported += 1;
                return None;
            }
            Some(known) => {
                unreported = core::mem::take(&mut known.unreported);
                known.at = *now;
            }
            None => all.push(Reports {
                fault,
                code,
                at: *now,
                unreported: 0,
            }),
        }
        Some(unreported)
    }

    /// Removes and returns the oldest event, or returns `None` if there is no event.
    pub(super) fn next_event(&self) -> Option<Event> {
        let mut events = self.events.borrow_mut();
        (!events.is_empty()).then(|| events.remove(0))
    }
}

/// Returns the time this many seconds after the host started, for tests.
#[cfg(test)]
pub(crate) fn at_second(seconds: u64) -> Instant {
    let monotonic = rules::base::clock::Millis::from_secs(seconds);
    Instant {
        monotonic,
        wall: monotonic.0,
    }
}
