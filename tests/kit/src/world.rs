//! The surroundings of a vault: clocks, entropy, pages, provider, API and store, in virtual time.
//!
//! The vault's operations wait in a queue. [`World::answer_all`] completes them in order. A test that needs another
//! order can [hold back](World::hold) some kinds of operations, let the provider [act](World::act) on a request before
//! its response arrives, and complete operations one by one. Many invariants are checked at each step, and some when
//! the world is dropped.
//!
//! The world's parts own their state: `workers`, `pages`, `calls`, `jobs` (pending operations), `storage` with its
//! lock, `clock`, `provider` and `sockets`. `outputs` and `requests` handle the vault's output. `invariants` and
//! `sessions` are the oracle, which checks the vault's behavior.

pub mod api;
mod calls;
mod clock;
pub mod dpop;
mod elapsed;
pub mod external;
pub mod invariants;
mod jobs;
pub mod ledger;
mod lines;
mod outputs;
pub mod page;
mod pages;
mod plain;
pub mod provider;
mod requests;
mod searches;
pub mod sessions;
pub mod small;
pub mod sockets;
mod storage;
pub mod store;
pub mod witness;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::http::Outcome;
use rules::codec::json::{Object, Value};
use vault::config::Config;
use vault::{ApiRequest, Hint, PortId};

pub use api::API;
use calls::Calls;
use invariants::{Invariant, Watch};
use jobs::Jobs;
use ledger::Ledger;
pub use page::{PageResponse, Request};
use pages::Pages;
pub use pages::{Fetch, fetch_members};
use provider::Provider;
pub use provider::params;
pub use provider::{Endpoint, Fault, Flaw};
pub use storage::Copied;
use storage::Lock;
use store::Store;
use witness::Witness;
use workers::Workers;

/// The time at which each world starts.
const BEGINNING: Instant = Instant {
    monotonic: Millis::from_secs(5),
    wall: 1_800_000_000_000,
};

/// Longest time that a request takes in a healthy network.
const PROMPT: Millis = Millis::from_secs(1);

/// Kinds of operations that the vault asks its host to perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Provider(Endpoint),
    Store,
    Take,
    Verify,
    MakeKey,
    Persist,
    Load,
    Lock,
    /// The event that tells a vault that another vault has taken the lock over.
    LockLost,
    /// The message that tells a vault that another vault has changed the store.
    Changed,
    Call,
    /// The handshake without a token that shows whether the worker's policy allows a socket.
    Probe,
    /// The handshake of a socket.
    Socket,
    /// The delivery of a response's body to the page.
    ResponseBody,
}

/// The longest time for which a user's call waits for a quiet line.
pub const QUIET: Duration = Duration::from_secs(5);

pub const EXCHANGE: Kind = Kind::Provider(Endpoint::Exchange);
pub const REFRESH: Kind = Kind::Provider(Endpoint::Refresh);
pub const PROBE: Kind = Kind::Provider(Endpoint::Probe);
pub const REVOKE: Kind = Kind::Provider(Endpoint::Revoke);
pub const KEYS: Kind = Kind::Provider(Endpoint::Keys);
pub const DISCOVERY: Kind = Kind::Provider(Endpoint::Discovery);

/// The stages of a refresh at which a vault waits.
pub const REFRESH_STAGES: &[Kind] = &[REFRESH, Kind::Verify, Kind::Persist];

/// Persists sessions.
pub const SEALED: &str = r#"{"session":{"persist":"sealed"}}"#;
/// Configurations for each place in which a vault can keep a session.
pub const STORAGES: &[&str] = &["{}", SEALED];
/// Turns the inspector on.
pub const INSPECTED: &str = r#"{"inspect":true}"#;

/// Events in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Asked(Kind),
    Answered(Kind),
    /// A page received a message of this type.
    Told(PortId, String),
}

/// The id of an operation that the vault asked its host to perform. An id is never used twice.
pub type JobId = u32;

pub struct World {
    pub now: Instant,
    /// The provider's time. The device's clock may be wrong.
    pub true_time: UnixMillis,
    /// How far the API's clock is ahead of the provider's, in milliseconds.
    pub api_ahead: i64,
    config: Settings,
    workers: Workers,
    pages: Pages,
    calls: Calls,
    jobs: Jobs,
    /// The lock of each record.
    locks: BTreeMap<String, Lock>,
    /// The number of times that a vault has taken the lock over.
    pub lock_takeovers: u64,
    /// The versions of the stored session that each vault knows: the one that it last read under the lock, and those that it
    /// has written since.
    known_versions: Vec<Vec<u64>>,
    pub provider: Provider,
    pub store: Store,
    pub sockets: sockets::Sockets,
    searches: searches::Searches,
    pub ledger: Ledger,
    pub witness: Witness,
    pub watch: Watch,
    lines: lines::Lines,
    /// False if the vaults may be without the rules that protect a refresh token after a wake.
    pub checks_lines: bool,
    pub events: Vec<Event>,
    /// A readable log of the events, or `None` if no log is needed.
    pub story: Option<Vec<String>>,
    /// True if the host can make new refresh tokens durable.
    pub persists: bool,
    /// The documents that a service worker has stored, by URL. If a request for such a document fails, the service
    /// worker serves the stored document.
    pub service_worker: Option<BTreeMap<String, Outcome>>,
    /// True if the device knows that it is offline when the network fails.
    pub knows_offline: bool,
    /// True if a read of the store returns the store's content at the time of the request. Otherwise the read returns
    /// the content at the time of the response.
    pub reads_early: bool,
    /// True if hints reach the other vaults automatically.
    pub spreads_hints: bool,
    /// Hints that vaults have posted, with the number of the vault.
    pub hints: Vec<(usize, Hint)>,
    /// Vaults that have stopped.
    pub stopped: BTreeSet<usize>,
    /// Number of times the key in escrow was handed over.
    pub hand_overs: u32,
    /// The number of records that had expired when a vault wrote to the store.
    pub discarded: u64,
    /// The number of times that a vault has told the others that the store has changed.
    pub announced: u32,
    /// For each login that has ended, [`Self::announced`] at that time.
    pub announced_before_settled: Vec<u32>,
    /// The texts that vaults wrote to their worker's console.
    pub log: Vec<String>,
    /// The APIs and methods for which a call was sent again with a new token and received another 401.
    pub refused_renewed: BTreeSet<(&'static str, String)>,
    /// The calls that the API received, with their headers and tokens.
    pub seen_by_api: Vec<ApiRequest>,
    /// The private keys of each vault's worker.
    pub keys: Vec<dpop::Keys>,
    /// True if the platform can create keys.
    pub makes_keys: bool,
    /// The DPoP requirements of APIs, by URL.
    pub checkers: BTreeMap<&'static str, dpop::Checker>,
    /// True if tokens must be bound to a key.
    uses_dpop: bool,
    /// True while a vault handles the response to a refresh.
    answers_refresh: bool,
    has_ended: bool,
    /// The pages and APIs outside of this world, if there are any: see [`external`].
    outside: Option<external::Outside>,
}

impl World {
    pub fn new() -> Self {
        Self::with("{}")
    }

    /// Creates a world whose configuration has these members added or replaced.
    pub fn with(changes: &str) -> Self {
        Self::seeded(changes, 1)
    }

    /// Creates a world with this seed for its random numbers.
    pub fn seeded(changes: &str, seed: u64) -> Self {
        let settings = Settings::usual(changes);
        let mut provider = Provider::new();
        let config = &settings.parsed;
        provider.names_families = config.stores_sessions();
        provider.adapt_to(&config.flow);
        Self::start(settings, provider, seed)
    }

    /// Creates a world whose app is on loopback, as during development.
    pub fn on_loopback(changes: &str) -> Self {
        let base = "http://localhost:5173/worker.js";
        let settings = Settings::of(&configuration(changes), base);
        let mut provider = Provider::new();
        provider.redirect_uri = "http://localhost:5173/callback".to_owned();
        Self::start(settings, provider, 1)
    }

    fn start(config: Settings, provider: Provider, seed: u64) -> Self {
        let parsed = &config.parsed;
        Self {
            now: BEGINNING,
            true_time: BEGINNING.wall,
            api_ahead: 0,
            workers: Workers::new(&config, seed),
            pages: Pages::default(),
            calls: Calls::default(),
            jobs: Jobs::default(),
            locks: BTreeMap::new(),
            lock_takeovers: 0,
            known_versions: vec![Vec::new()],
            provider,
            store: Store::default(),
            sockets: sockets::Sockets::default(),
            searches: searches::Searches::default(),
            ledger: Ledger::default(),
            witness: Witness::default(),
            watch: Watch::new(parsed.flow.limits),
            lines: lines::Lines::default(),
            checks_lines: true,
            events: Vec::new(),
            story: None,
            persists: true,
            service_worker: None,
            knows_offline: false,
            reads_early: false,
            spreads_hints: false,
            hints: Vec::new(),
            stopped: BTreeSet::new(),
            hand_overs: 0,
            discarded: 0,
            announced: 0,
            announced_before_settled: Vec::new(),
            log: Vec::new(),
            refused_renewed: BTreeSet::new(),
            seen_by_api: Vec::new(),
            keys: vec![dpop::Keys::default()],
            makes_keys: true,
            checkers: BTreeMap::new(),
            uses_dpop: parsed.flow.uses_dpop,
            answers_refresh: false,
            has_ended: false,
            outside: None,
            config,
        }
    }

    /// Creates a world with a page whose user is signed in.
    pub fn signed_in() -> (Self, PortId) {
        Self::signed_in_with("{}")
    }

    pub fn signed_in_with(changes: &str) -> (Self, PortId) {
        let mut world = Self::with(changes);
        let page = world.open();
        world.sign_in(page);
        (world, page)
    }

    /// Creates a world with a page whose user is signed in and whose access token has expired.
    pub fn expired() -> (Self, PortId) {
        let (mut world, page) = Self::signed_in();
        world.expire_access_token();
        (world, page)
    }

    /// Adds a line to the story, if there is one.
    pub fn story(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.story.is_none() {
            return;
        }
        let line = what(self);
        let since = |now, then| Duration::from_millis(now - then).as_secs_f64();
        let time = since(self.now.monotonic.0, BEGINNING.monotonic.0);
        let line = if self.workers.vaults.len() > 1 {
            format!("{time:>11.3} v{} {line}", self.workers.turn)
        } else {
            format!("{time:>11.3} {line}")
        };
        self.story.get_or_insert_default().push(line);
    }

    /// Checks the invariants that hold when nothing is in flight.
    pub fn check_end(&mut self) {
        self.has_ended = true;
        let unanswered = self.ledger.faults();
        Invariant::Answered.holds_if(unanswered.is_empty(), || unanswered.join(", "));
        let leaks = self.witness.leaks();
        Invariant::Secrecy.holds_if(leaks.is_empty(), || format!("{} messages", leaks.len()));
    }
}

impl Drop for World {
    /// Checks the invariants that hold at the end of every test.
    fn drop(&mut self) {
        if std::thread::panicking() || self.has_ended {
            return;
        }
        self.jobs.held.clear();
        self.jobs.held_in.clear();
        self.jobs.delayed.clear();
        self.workers.frozen.clear();
        self.provider.repair();
        // This is longer than a login may take, and no other operation may take longer than a login.
        self.advance(Duration::from_secs(660));
        self.check_end();
    }
}

/// A vault's configuration.
struct Settings {
    parsed: Config,
}

impl Settings {
    /// Returns the usual configuration with these members added or replaced.
    fn usual(changes: &str) -> Self {
        Self::of(&configuration(changes), "https://app.example.com/worker.js")
    }

    /// Returns the configuration of a worker with this address.
    fn of(json: &str, base: &str) -> Self {
        Self {
            parsed: Config::parse(json, base).unwrap(),
        }
    }
}

pub fn configuration(changes: &str) -> String {
    let usual = Value::parse(
        r#"{
            "issuer": "https://id.example.com",
            "clientId": "spa",
            "redirectUri": "/callback",
            "scope": "openid profile offline_access",
            "apis": [{ "url": "https://api.example.com/v1/", "methods": ["GET", "POST"] }]
        }"#,
    );
    let (usual, changes) = (usual.unwrap(), Value::parse(changes).unwrap());
    let (usual, changes) = (usual.as_object().unwrap(), changes.as_object().unwrap());
    let kept = usual.iter().filter(|(name, _)| changes.get(name).is_none());
    let mut merged = Object::new();
    for (name, value) in kept.chain(changes.iter()) {
        merged.push(name, value.clone());
    }
    let mut text = String::new();
    merged.write(&mut text);
    text
}
