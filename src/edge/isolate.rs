//! The state that the tasks of an isolate share.

use crate::prelude::*;
use core::cell::{Cell, OnceCell, RefCell};

use crate::codec::base64url;
use crate::edge::config::Config;
use crate::edge::io::{Event, FlightId};
use crate::edge::provider::Provider;
use crate::edge::session::cache::SessionCache;
use crate::oauth::dpop::Nonces;
use crate::vault::Entropy;

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
    events: RefCell<Vec<Event>>,
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
            events: RefCell::default(),
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

    /// Removes and returns the oldest event, or returns `None` if there is no event.
    pub(super) fn next_event(&self) -> Option<Event> {
        let mut events = self.events.borrow_mut();
        (!events.is_empty()).then(|| events.remove(0))
    }
}
