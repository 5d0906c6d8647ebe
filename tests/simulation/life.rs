//! A life is a short random run of one vault, or of several vaults that share one store. Users sign in, open and close
//! tabs and call an API, while the network, the provider, and the device's clocks and storage fail. Then the faults
//! stop, and every session that the provider still accepts must work again. A seed determines everything.
//!
//! The vault's operations complete at random times, so that they overlap in every way. Times in the agenda are times of
//! the provider's clock, because the other clocks may stop or jump.

mod copies;
mod devices;
mod network;
mod recovery;
mod servers;
mod time;
mod users;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use rules::base::clock::Millis;
use vault::PortId;

use crate::tally::Tally;
use copies::Script;
use kit::dice::Dice;
use kit::world::api::{API, OTHER_API};
use kit::world::provider::{BASE, Refusing};
use kit::world::{Fault, Flaw, JobId, Request, World};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The maximum number of pages that are open in one vault at the same time.
const MAX_PAGES: usize = 5;

/// Time after the last fault within which everything must work, unless the provider asked for a longer wait. The sum
/// consists of the longest delay between two of the vault's attempts, the time limit of a refresh, and a margin.
const RECOVERY: u64 = (75 + 30 + 15) * SECOND;

/// Time after the last fault within which calls and logouts that waited have their responses. APIs take up to two minutes.
const SETTLED: u64 = 3 * MINUTE;

/// Additional time for persisted sessions: failed reads and writes are repeated after a minute at most, and the vault
/// waits up to 30 seconds for the lock.
const STORE_RECOVERY: u64 = (60 + 30) * SECOND;

/// The largest difference between the clocks with which a login must work if the provider does not send the time. The
/// vault accepts a little more.
const TOLERANCE: u64 = 50 * SECOND;

/// Time between two attempts to refresh a suspected session.
const SUSPECTED_RECOVERY: u64 = 5 * MINUTE;

/// Time for five rejections that CORS hides, each after the longest delay between two attempts, with a margin.
const HIDDEN_RECOVERY: u64 = 6 * 85 * SECOND;

/// Time during which the vault sends no further request for one API's tokens after the provider has rejected one.
const TARGET_RECOVERY: u64 = MINUTE;

/// The `resource` of each API (RFC 8707), if APIs have their own tokens.
const RESOURCES: [(&str, &str); 2] = [(API, "https://api.example.com/"), (OTHER_API, "urn:other")];

/// Seconds by which a proof's `iat` may differ from the server's time.
const PROOF_TOLERANCE: u64 = 60;

/// The longest time for any request. A login takes longest, and may take ten minutes.
const LONGEST_WAIT: u64 = 11 * MINUTE;

/// Values of `webSocket` in the rules of APIs.
const SOCKETS: [&str; 2] = [
    r#","webSocket":{"token":"protocol","prefix":"bearer."}"#,
    r#","webSocket":{"token":"message","message":"{\"token\":\"{token}\"}"}"#,
];

/// Values of `identity`. The claim `name` distinguishes sessions in a store, so only the last value needs one vault without
/// a store.
const IDENTITIES: [&str; 3] = [
    r#"{"from":"token_response","sub":"user_id","claims":["name"]}"#,
    r#"{"url":"https://id.example.com/profile","sub":"user_id","claims":["name"]}"#,
    r#""none""#,
];

#[derive(Clone, Copy)]
enum Todo {
    ProviderActs(JobId),
    AnswerArrives(JobId),
    NetworkFails(JobId),
    /// The user signs in at the provider.
    SignIn {
        login: Request,
        popup: bool,
    },
    /// Users who have a code from a device enter it at the provider.
    EnterCodes,
    Leave(PortId),
    SetClock(i64),
    /// Unfreezes this vault and its pages.
    Thaw(usize),
    /// The holder that is not a vault releases the lock.
    FreeLock,
    /// All requests in flight fail, because the device gets another address.
    NetworkChanges,
    /// All pages report that the device is online.
    Online,
    /// The captive portal or the broken CDN in front of the provider is gone.
    WayIsFree,
    /// The requests that waited when the faults stopped must have their responses.
    AreSettled,
}

/// The vaults of a life, and where they keep their session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    /// One vault without persistence that all pages share.
    Memory,
    /// Vaults that share one store.
    Store { vaults: usize },
}

/// The state in which a page finds its session after the faults.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Working,
    NeedsUser,
    Nothing,
}

/// The browser's treatment of a vault's worker.
#[derive(Default)]
struct Worker {
    alarm: Option<Alarm>,
    /// Number of recent ticks of the timer, and the time of the first one that was counted.
    ticks: (u32, u64),
    throttled_until: u64,
    /// Tasks that wait until the worker is no longer frozen.
    frozen: Vec<Todo>,
}

/// A timer of the host: the time for which it was set (`due`), and the time at which it fires.
#[derive(Clone, Copy)]
struct Alarm {
    due: Millis,
    fires: Millis,
}

pub(crate) struct Life {
    world: World,
    dice: Dice,
    /// Separate random numbers for optional features. Lives without these features therefore do not change when a
    /// feature is added.
    more_dice: Dice,
    /// Decides about deployments, in some lives.
    build_dice: Option<Dice>,
    /// Decides which vaults have no store, in some lives: an app is deployed in two builds, and only one of them persists
    /// sessions.
    storage_dice: Option<Dice>,
    /// Decides about logins on another device, in some lives.
    device_dice: Option<Dice>,
    /// Decides about accounts, in some lives.
    account_dice: Option<Dice>,
    /// The user who usually signs in in each account. Most lives have one account, and any user.
    users: Vec<&'static str>,
    /// Copies records of the store, in some lives.
    script: Option<Script>,
    /// Decides about APIs that demand another login, in some lives.
    demand_dice: Option<Dice>,
    /// Calls that an API may answer with such a demand.
    demanding: Vec<Request>,
    /// Decides about sockets, in some lives.
    socket_dice: Option<Dice>,
    /// The configuration with [`PERSIST`] in the place of `session.persist`, this value for vaults with a store, and the
    /// number of times that a new build of the app was deployed.
    config: String,
    persist: &'static str,
    builds: u64,
    /// True if tokens are bound to a key, and servers require nonces.
    uses_dpop: bool,
    /// The option `identity`, for a server without OpenID Connect.
    identity: Option<&'static str>,
    /// True if an API has a rule for each method.
    has_many_rules: bool,
    /// The APIs of this life: only [`API`], or both APIs. If there are both, at least one of them has its own tokens.
    apis: Vec<&'static str>,
    tally: Tally,
    agenda: BTreeMap<(u64, u64), Todo>,
    last_entry: u64,
    pages: Vec<PortId>,
    calls: Vec<Request>,
    home: Home,
    workers: Vec<Worker>,
    /// True if the next vault that gets the lock is frozen at once.
    freezes_holder: bool,
    /// Jobs that wait for the store's lock, in order.
    lock_queue: VecDeque<JobId>,
    /// The fault of each request when it reaches the provider.
    fates: BTreeMap<JobId, Fate>,
    lifetime: u64,
    /// Percentage of the requests to the provider that fail.
    faults: usize,
    refuses_without_reason: bool,
    offline_until: u64,
    /// True if the device knows that it is offline. False if it believes that its network works.
    knows_offline: bool,
    /// The longest wait that the provider asked for.
    longest_wait: u64,
    /// The requests that waited when the faults stopped.
    settling: Vec<Request>,
}

#[derive(Clone)]
enum Fate {
    Fault(Fault),
    Flaw(Flaw),
}

/// Runs the life of this seed and counts its events.
pub(crate) fn live(seed: u64) -> Tally {
    let mut life = Life::new(seed);
    life.live();
    life.tally
}

/// Runs the life of this seed and prints each step, up to the first broken rule.
pub(crate) fn tell(seed: u64, line: &mut dyn FnMut(&str)) -> Tally {
    let mut life = Life::new(seed);
    life.world.story = Some(Vec::new());
    let end = catch_unwind(AssertUnwindSafe(|| life.live()));
    let story = life.world.story.take().unwrap_or_default();
    story.iter().for_each(|step| line(step));
    match end {
        Ok(()) => life.tally,
        Err(panic) => resume_unwind(panic),
    }
}

/// Returns a value of `identity` for some seeds.
fn some_identity(seed: u64, home: Home) -> Option<&'static str> {
    // Lives of other seeds do not change when this feature changes.
    let mut dice = Dice::new(seed.rotate_left(13));
    let values = match home {
        Home::Memory => &IDENTITIES[..],
        Home::Store { .. } => &IDENTITIES[..2],
    };
    (dice.roll(5) == 0).then(|| dice.pick(values))
}

/// Configurations of two accounts.
const ACCOUNTS: [&str; 2] = [r#""accounts":2,"#, r#""accounts":2,"logout":"forget","#];

/// The users of two accounts.
const USERS: [[&str; 2]; 2] = [["alice", "alice"], ["alice", "bob"]];

/// In a configuration, stands for a value of `session.persist`.
const PERSIST: &str = "PERSIST";

/// Returns the value of `session.persist` for vaults with a store.
fn some_storage(seed: u64) -> &'static str {
    match Dice::new(seed.rotate_left(39)).roll(4) {
        0 => "escrow",
        _ => "sealed",
    }
}

/// The option `pinned`, with the endpoints of a provider that has moved all of them since.
const OUTDATED_PIN: &str = r#""pinned":{"at":"2026-11-28","issuer":"https://id.example.com",
    "authorization_endpoint":"https://id.example.com/authorize",
    "token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/jwks",
    "revocation_endpoint":"https://id.example.com/revoke",
    "authorization_response_iss_parameter_supported":true},"#;

/// Returns what responds at the pinned endpoints of the life with this seed. Two thirds of the lives have no pin. No life has
/// a correct pin: the invariants expect that a refusal counts at once, and with a pin it first waits for the document.
fn outdated_pin(seed: u64, is_plain: bool) -> Option<Fault> {
    let mut dice = Dice::new(seed.rotate_left(32));
    let left = dice.pick(&[
        Fault::Status(404),
        Fault::Status(0),
        Fault::Html,
        Fault::Opaque,
        Fault::Refused("invalid_grant"),
        Fault::Refused("invalid_client"),
    ]);
    (!is_plain && dice.roll(3) == 0).then_some(left)
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let idle = dice.pick(&[40, 300, 1800, 1800, 14_400, 14_400]);
        let absolute = dice
            .pick(&[600, 3600, 43_200, 43_200, 43_200, 43_200])
            .max(idle);
        // Half of the lives keep sessions in memory only, as apps do by default. Of the others, most have several vaults.
        let home = match dice.roll(10) {
            0..5 => Home::Memory,
            5..7 => Home::Store { vaults: 1 },
            _ => Home::Store {
                vaults: 2 + dice.roll(3),
            },
        };
        let mut account_dice = Dice::new(seed.rotate_left(59));
        let has_accounts = account_dice.roll(6) == 0;
        let (of_accounts, users, home) = match (has_accounts, home) {
            (false, _) => ("", vec!["alice"], home),
            (true, Home::Memory) => (
                account_dice.pick(&ACCOUNTS),
                account_dice.pick(&USERS).to_vec(),
                home,
            ),
            (true, Home::Store { vaults }) => {
                let home = Home::Store {
                    vaults: vaults.max(2),
                };
                (
                    account_dice.pick(&ACCOUNTS),
                    account_dice.pick(&USERS).to_vec(),
                    home,
                )
            }
        };
        let (persist, vaults) = match home {
            Home::Memory => ("memory", users.len()),
            Home::Store { vaults } => (some_storage(seed), vaults),
        };
        let mut more_dice = Dice::new(seed.reverse_bits());
        let uses_dpop = more_dice.roll(4) == 0;
        // The APIs that have their own tokens: both APIs, only the second API, or none.
        let of_their_own = match more_dice.roll(8) {
            0 => &RESOURCES[..],
            1 => &RESOURCES[1..],
            _ => &[],
        };
        let apis = if of_their_own.is_empty() {
            vec![API]
        } else {
            vec![API, OTHER_API]
        };
        let mut socket_dice = Dice::new(seed.rotate_left(21));
        let has_sockets = !uses_dpop && socket_dice.roll(6) == 0;
        let place = match has_sockets {
            true => socket_dice.pick(&SOCKETS),
            false => "",
        };
        let mut demand_dice = Dice::new(seed.rotate_left(27));
        let has_demands = demand_dice.roll(8) == 0;
        let step_up = match has_demands {
            true => r#","stepUp":true"#,
            false => "",
        };
        let has_many_rules = Dice::new(seed.rotate_left(43)).roll(6) == 0;
        let rules = apis.iter().map(|api| {
            let resource = of_their_own.iter().find(|(of, _)| of == api);
            let resource = resource.map_or(String::new(), |(_, resource)| {
                format!(r#","resource":"{resource}""#)
            });
            let rule = |methods| {
                format!(r#"{{"url":"{api}/","methods":{methods}{place}{step_up}{resource}}}"#)
            };
            match has_many_rules {
                true => [rule(r#"["GET"]"#), rule(r#"["HEAD"]"#)].join(","),
                false => rule(r#"["GET","POST"]"#),
            }
        });
        let identity = some_identity(seed, home);
        let of_server = identity.map_or(String::new(), |identity| {
            format!(r#""scope":"read offline_access","identity":{identity},"#)
        });
        let left = outdated_pin(seed, identity.is_some());
        let pinned = left.map_or("", |_| OUTDATED_PIN);
        let mut device_dice = Dice::new(seed.rotate_left(5));
        let has_devices = device_dice.roll(8) == 0;
        let devices = match has_devices {
            true => r#""deviceFlow":true,"#,
            false => "",
        };
        let config = format!(
            r#"{{{of_server}{pinned}{devices}{of_accounts}"session":{{"idle":{idle},"absolute":{absolute},"persist":"{PERSIST}"}},"dpop":{uses_dpop},"apis":[{}]}}"#,
            rules.collect::<Vec<_>>().join(",")
        );
        let mut world = World::seeded(&config.replace(PERSIST, persist), seed);
        for (api, resource) in of_their_own {
            world.checkers.entry(api).or_default().resource = Some(resource);
            world.provider.resources.push(resource);
        }
        let mut storage_dice = Dice::new(seed.rotate_left(53));
        let is_mixed = home != Home::Memory && storage_dice.roll(5) == 0;
        for vault in 1..vaults {
            if is_mixed {
                let persist = storage_dice.pick(&[persist, "memory"]);
                world.reconfigure(&config.replace(PERSIST, persist));
            }
            world.add_vault_of((vault % users.len()) as u64);
            world.spreads_hints = true;
        }
        let mut build_dice = Dice::new(seed.rotate_left(47));
        let is_deploying = build_dice.roll(4) == 0;
        let seconds = dice.pick(&[10, 60, 60, 300, 300, 3600]);
        let provider = &mut world.provider;
        provider.names_families = true;
        provider.lifetime = Duration::from_secs(seconds);
        provider.leeway = Duration::from_secs(dice.pick(&[0, 0, 2, 10, 60]));
        provider.rotates = dice.roll(10) != 0;
        // An API's own tokens can be requested only with a refresh token.
        provider.issues_refresh_tokens = dice.roll(15) != 0 || !of_their_own.is_empty();
        provider.id_token_on_refresh = dice.roll(3) == 0;
        if left.is_some() {
            provider.base = BASE;
            provider.left = left;
        }
        provider.knows_devices = has_devices;
        provider.takes_pushed = more_dice.roll(3) == 0;
        provider.wants_pushed = provider.takes_pushed && more_dice.roll(3) == 0;
        // The pin does not name the endpoint. A provider that requires it refuses the first login.
        provider.wants_pushed &= left.is_none();
        let minutes = |dice: &mut Dice| dice.pick(&[0, 0, 0, 0, -5, -1, 1, 7]);
        let ahead = minutes(&mut dice) * 60_000;
        provider.tells_time = dice.roll(if ahead == 0 { 2 } else { 8 }) != 0;
        // A provider that sends the time may check the time of proofs strictly.
        provider.dpop.tolerance = provider.tells_time.then_some(PROOF_TOLERANCE);
        world.true_time = world.true_time.saturating_add_signed(ahead);
        provider.refusing = more_dice.pick(&[
            Refusing::Plainly,
            Refusing::Plainly,
            Refusing::Plainly,
            Refusing::Empty,
            Refusing::Unauthorized,
            Refusing::InvalidRequest,
            Refusing::Hidden,
            Refusing::Hidden,
        ]);
        world.service_worker = (more_dice.roll(3) == 0).then(BTreeMap::new);
        if seconds >= 300 {
            world.api_ahead = minutes(&mut dice).clamp(-2, 2) * 60_000;
        }
        Self {
            world,
            faults: dice.pick(&[0, 5, 20, 50]),
            refuses_without_reason: false,
            dice,
            more_dice,
            build_dice: is_deploying.then_some(build_dice),
            storage_dice: is_mixed.then_some(storage_dice),
            device_dice: has_devices.then_some(device_dice),
            account_dice: has_accounts.then_some(account_dice),
            users,
            script: Script::of(seed, home),
            demand_dice: has_demands.then_some(demand_dice),
            demanding: Vec::new(),
            socket_dice: has_sockets.then_some(socket_dice),
            config,
            persist,
            builds: 0,
            uses_dpop,
            identity,
            has_many_rules,
            apis,
            tally: Tally::default(),
            agenda: BTreeMap::new(),
            last_entry: 0,
            pages: Vec::new(),
            calls: Vec::new(),
            home,
            workers: (0..vaults).map(|_| Worker::default()).collect(),
            freezes_holder: false,
            lock_queue: VecDeque::new(),
            fates: BTreeMap::new(),
            lifetime: seconds * SECOND,
            offline_until: 0,
            knows_offline: false,
            longest_wait: 0,
            settling: Vec::new(),
        }
    }

    fn live(&mut self) {
        let provider = &self.world.provider;
        let circumstances = format!(
            "access tokens live {} s, leeway {} s, rotation {}, refresh tokens {}, {} faults in 100",
            provider.lifetime.as_secs(),
            provider.leeway.as_secs(),
            provider.rotates,
            provider.issues_refresh_tokens,
            self.faults,
        );
        self.tell(&circumstances);
        self.tell(&match self.home {
            Home::Memory => "one vault without persistence".to_owned(),
            Home::Store { vaults } => format!("{vaults} vaults over one store"),
        });
        if self.storage_dice.is_some() {
            self.tell("some vaults have no store");
        }
        if self.account_dice.is_some() {
            self.tell(&format!("two accounts, of {:?}", self.users));
        }
        let refusing = self.world.provider.refusing;
        self.tell(&format!("the provider rejects refreshes: {refusing:?}"));
        if self.uses_dpop {
            self.tell("tokens are bound to a key");
        }
        if self.has_own_tokens() {
            self.tell("an API has its own tokens");
        }
        if self.has_many_rules {
            self.tell("an API has a rule for each method");
        }
        if let Some(left) = self.world.provider.left {
            self.tell(&format!(
                "outdated metadata is pinned, and its endpoints respond with {left:?}"
            ));
        }
        if let Some(identity) = self.identity {
            self.tell(&format!("no OpenID Connect, identity {identity}"));
        }
        self.begin();
        for _ in 0..10 + self.dice.roll(50) {
            let gap = self.gap();
            self.run(gap);
            self.servers_change();
            self.deploys();
            self.open_a_socket();
            self.step_up();
            self.script_acts();
            self.step();
            self.tally.steps += 1;
            self.notice_storages();
            self.notice_accounts();
        }
        if self.more_dice.roll(30) == 0 {
            self.provoke_suspicion();
        }
        if self.has_many_rules {
            self.provoke_refusals();
        }
        self.faults_stop();
        self.recovers();
        self.run(LONGEST_WAIT);
        self.tally.hand_overs += u64::from(self.world.hand_overs);
        self.tally.discarded += self.world.discarded;
        self.world.check_end();
        self.count();
    }

    fn begin(&mut self) {
        let page = self.open();
        for vault in 1..self.workers.len() {
            self.open_in(vault);
        }
        if self.dice.roll(5) != 0 {
            let faults = std::mem::take(&mut self.faults);
            self.login_now(page);
            let sharing = self.sharing();
            let accounts = self.users.len();
            for vault in 1..self.workers.len() {
                if vault < accounts || !sharing.contains(&vault) {
                    let page = self.pages_of(vault)[0];
                    self.login_now(page);
                }
            }
            self.faults = faults;
        }
    }

    fn gap(&mut self) -> u64 {
        let lifetime = self.lifetime;
        self.dice
            .pick(&[0, 0, 1, 30, 300, 300, 3 * SECOND, lifetime / 2, lifetime])
    }

    fn step(&mut self) {
        let page = self.some_page();
        if self.world.session(page).is_none() && self.dice.roll(3) == 0 {
            return self.login();
        }
        match self.dice.roll(100) {
            0..36 => {
                self.fetch(page);
            }
            36..50 => {
                for _ in 0..2 + self.dice.roll(5) {
                    let page = self.some_page();
                    self.fetch(page);
                }
            }
            50..54 => {
                self.open();
            }
            54..58 => self.close(page),
            58..64 => self.login(),
            64..66 => {
                for _ in 0..1 + self.dice.roll(2) {
                    let page = self.some_page();
                    self.world.logout(page);
                }
            }
            66..69 => self.abort(),
            69 => self.kill_worker(page),
            70..73 => self.sleep(),
            73..75 => self.wall_clock_jumps(),
            75..77 => {
                let millis = self.dice.pick(&[MINUTE, 20 * MINUTE]);
                let until = self.now() + millis;
                let worker = &mut self.workers[self.world.home(page)];
                (worker.throttled_until, worker.alarm) = (until, None);
                self.tell("the browser throttles timers");
            }
            77..80 => {
                let millis = self.dice.pick(&[SECOND, 20 * SECOND, 5 * MINUTE]);
                self.offline_until = self.now() + millis;
                self.knows_offline = self.more_dice.roll(2) == 0;
                self.tell(&format!("the device is offline for {millis} ms"));
            }
            80..82 => {
                self.tally.fault("access tokens withdrawn");
                self.tell("the API rejects all tokens issued so far");
                self.world.provider.withdraw_access_tokens();
            }
            82 => {
                if let Some(family) = self.world.watch.sessions.told(self.world.home(page)) {
                    self.tally.fault("grant revoked");
                    self.tell("an administrator revokes the grant");
                    self.world.provider.revoke_family(family);
                }
            }
            83..85 => {
                self.world.store.is_full = self.dice.roll(2) == 0;
                self.world.store.is_unavailable = self.dice.roll(4) == 0;
                self.world.persists = self.dice.roll(2) == 0;
                self.tally.fault("storage full or failing");
                self.tell("storage stops working, or works again");
            }
            85..88 => self.world.wake_unanswered(),
            88..91 => self.faults = self.dice.pick(&[0, 5, 30, 90]),
            91..94 => {
                let millis = self.dice.pick(&[MINUTE, 10 * MINUTE, 40 * MINUTE]);
                self.run(millis);
            }
            94..97 => self.disturb_refresh(),
            _ if self.home == Home::Memory => {}
            97 if self.dice.roll(2) == 0 => self.freezes_holder = true,
            97 => self.freeze(page),
            98 => self.seize_lock(),
            _ => self.lose_record(),
        }
    }

    fn tell(&mut self, what: &str) {
        self.world.story(|_| what.to_owned());
    }
}

impl Todo {
    fn acts(&self) -> Option<JobId> {
        match self {
            Self::ProviderActs(job) => Some(*job),
            _ => None,
        }
    }

    fn writes(&self) -> Option<JobId> {
        match self {
            Self::AnswerArrives(job) => Some(*job),
            _ => None,
        }
    }
}
