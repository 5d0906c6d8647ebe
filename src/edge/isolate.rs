//! The state that the tasks of an isolate share.

pub(super) mod cache;
pub(super) mod clock;
pub(super) mod opened;
pub(super) mod outage;
pub(super) mod provider;
pub(super) mod silence;

use core::cell::{Cell, OnceCell, RefCell};
use rules::prelude::*;

use crate::config::Config;
use crate::io::{Event, FlightId};
use crate::isolate::cache::SessionCache;
use crate::isolate::clock::Clocks;
use crate::isolate::opened::Opened;
use crate::isolate::provider::Provider;
use rules::base::clock::{Instant, Millis};
use rules::base::entropy::Entropy;
use rules::base::error::{Code, Error};
use rules::codec::base64url;
use rules::codec::json;
use rules::oauth::dpop::Nonces;

const A_MINUTE: Millis = Millis::from_secs(60);

/// Faults that anybody can cause by sending a cookie, a logout token or a link to a login, or many requests.
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
    /// Another site began a login with a target that is not a page of the app.
    Target,
    /// Another site began a login with parameters that cannot be used.
    Elsewhere,
    /// Another site began a login at another issuer.
    OtherIssuer,
    /// A service worker has sent another request in place of a navigation.
    Worker,
    /// An upstream refuses new access tokens of an app on loopback.
    RefusedToken,
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
    /// The provider granted other scopes than a login requested.
    Scopes,
    /// A login failed. Each code counts apart, so forged responses do not hide another failure.
    Login,
    /// The provider described an error in a response, which anybody can forge for a login of their own.
    ProviderSays,
    /// The provider refused the client's assertion.
    Assertion,
    /// No route allows an address. Each code counts apart.
    Address,
    /// The app is served over http.
    PlainHttp,
    /// The authorization response was sent as a form, which the handler does not read.
    FormPost,
    /// A window opened the address at which only POST ends the session.
    LogoutLink,
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

/// The configuration, the caches and the entropy of an isolate.
pub(super) struct Isolate {
    pub(super) config: Config,
    entropy: RefCell<Box<dyn Entropy>>,
    pub(super) provider: RefCell<Provider>,
    /// Nonces of the provider and of upstreams are separate, since the provider and an upstream may share an origin
    /// (RFC 9449 9).
    pub(super) provider_nonces: RefCell<Nonces>,
    pub(super) upstream_nonces: RefCell<Nonces>,
    pub(super) session_cache: RefCell<SessionCache>,
    pub(super) clock: Clocks,
    /// The number of bytes of requests' bodies that the host holds in memory, to send them again.
    pub(super) copied_bytes: Cell<u64>,
    pub(super) opened: RefCell<Opened>,
    events: RefCell<Vec<Event>>,
    /// The reports of faults that anybody can cause: at most one entry for each fault and code.
    seldom: RefCell<Vec<Reports>>,
    /// True after the warning about a session that needs several cookies.
    pub(super) has_warned_of_length: Cell<bool>,
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
            provider: RefCell::new(provider),
            provider_nonces: RefCell::default(),
            upstream_nonces: RefCell::default(),
            session_cache: RefCell::default(),
            clock: Clocks::default(),
            copied_bytes: Cell::default(),
            opened: RefCell::default(),
            events: RefCell::default(),
            seldom: Default::default(),
            has_warned_of_length: Cell::default(),
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

    pub(super) fn emit(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    /// Reports a fault that anybody can cause, but not more often than once a minute. The next report has the number of
    /// times that were not reported.
    pub(super) fn report_seldom(&self, now: &Instant, fault: Seldom, message: &str) {
        let code = match fault {
            Seldom::UnknownKey => Code::KeyUnknown,
            Seldom::UnsignedLogout | Seldom::LogoutToken => Code::LogoutTokenInvalid,
            Seldom::ManyRequests => Code::LimitExceeded,
            Seldom::Target | Seldom::Elsewhere => Code::MessageInvalid,
            Seldom::NotRenewed => Code::RenewalFailed,
            Seldom::OtherIssuer => Code::IssuerMismatch,
            Seldom::Worker => Code::CrossSiteRequest,
            Seldom::Assertion => Code::ClientRejected,
            Seldom::RefusedToken => Code::TokenRefused,
            Seldom::Scopes => Code::ScopeReduced,
            Seldom::Bind | Seldom::PlainHttp => Code::ConfigInvalid,
            Seldom::BoundCookieMissing => Code::BoundCookieMissing,
            Seldom::CannotBind | Seldom::NotBound | Seldom::StaysUnbound => Code::Unsupported,
            Seldom::Login | Seldom::ProviderSays => Code::LoginFailed,
            Seldom::Address => Code::UrlNotAllowed,
            Seldom::UnlistedHost => Code::HostNotAllowed,
            Seldom::FormPost | Seldom::LogoutLink => Code::MethodNotAllowed,
            Seldom::Malformed | Seldom::NotGenuine | Seldom::Logout | Seldom::OtherHost => {
                Code::CookieInvalid
            }
        };
        self.report_seldom_of(now, fault, code, message);
    }

    /// Reports a fault as [`Self::report_seldom`] does, with a code that varies.
    pub(super) fn report_seldom_of(&self, now: &Instant, fault: Seldom, code: Code, message: &str) {
        let mut all = self.seldom.borrow_mut();
        let known = all
            .iter_mut()
            .find(|known| known.fault == fault && known.code == code);
        let mut unreported = 0;
        match known {
            Some(known) if known.at.elapsed(now) < A_MINUTE => {
                known.unreported += 1;
                return;
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
        let (mut joint, mut count) = ("", String::new());
        if unreported > 0 {
            joint = msg!("; more since the last report: ");
            json::write_number(&mut count, unreported);
        }
        self.emit(Event::Fault(Error::of(code, &[message, joint, &count])));
    }

    /// Removes and returns the oldest event, or returns `None` if there is no event.
    pub(super) fn next_event(&self) -> Option<Event> {
        let mut events = self.events.borrow_mut();
        (!events.is_empty()).then(|| events.remove(0))
    }
}
