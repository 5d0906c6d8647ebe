//! A life is a short random run of one vault, or of several vaults that share one store. Users sign in, open and close
//! tabs and call an API, while the network, the provider, and the device's clocks and storage fail. Then the faults
//! stop, and every session that the provider still accepts must work again. A seed determines everything.
//!
//! The vault's operations complete at random times, so that they overlap in every way. Times in the agenda are times of
//! the provider's clock, because the other clocks may stop or jump.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use strongroom::base::clock::Millis;
use strongroom::vault::{Body, PortId};

use crate::tally::Tally;
use kit::dice::Dice;
use kit::world::api::{API, OTHER_API};
use kit::world::invariants::Invariant;
use kit::world::provider::Refusing;
use kit::world::{
    Endpoint, Fault, Fetch, Flaw, JobId, Kind, PageResponse, REFRESH, Request, World,
};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The maximum number of pages that are open in one vault at the same time.
const MAX_PAGES: usize = 5;

/// Time after the last fault within which everything must work, unless the provider asked for a longer wait. The sum
/// consists of the longest delay between two of the vault's attempts, the time limit of a request, and a margin.
const RECOVERY: u64 = (75 + 10 + 15) * SECOND;

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
    Leave(PortId),
    SetClock(i64),
    /// Unfreezes this vault and its pages.
    Thaw(usize),
    /// The holder that is not a vault releases the lock.
    FreeLock,
    /// The captive portal or the broken CDN in front of the provider is gone.
    WayIsFree,
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
    /// True if tokens are bound to a key, and servers require nonces.
    is_bound: bool,
    /// The APIs of this life: only [`API`], or both APIs. If there are both, at least one of them has its own tokens.
    apis: Vec<&'static str>,
    tally: Tally,
    agenda: BTreeMap<(u64, u64), Todo>,
    last_entry: u64,
    pages: Vec<PortId>,
    calls: Vec<Request>,
    home: Home,
    workers: Vec<Worker>,
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

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let idle = dice.pick(&[40, 300, 1800, 1800, 14_400, 14_400]);
        let absolute = dice
            .pick(&[600, 3600, 43_200, 43_200, 43_200, 43_200])
            .max(idle);
        let home = match dice.roll(10) {
            0..4 => Home::Memory,
            4..6 => Home::Store { vaults: 1 },
            _ => Home::Store {
                vaults: 2 + dice.roll(3),
            },
        };
        let (persist, vaults) = match home {
            Home::Memory => ("memory", 1),
            Home::Store { vaults } => ("sealed", vaults),
        };
        let mut more_dice = Dice::new(seed.reverse_bits());
        let is_bound = more_dice.roll(4) == 0;
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
        let rules = apis.iter().map(|api| {
            let resource = of_their_own.iter().find(|(of, _)| of == api);
            let resource = resource.map_or(String::new(), |(_, resource)| {
                format!(r#","resource":"{resource}""#)
            });
            format!(r#"{{"url":"{api}/","methods":["GET","POST"]{resource}}}"#)
        });
        let config = format!(
            r#"{{"session":{{"idle":{idle},"absolute":{absolute},"persist":"{persist}"}},"dpop":{is_bound},"apis":[{}]}}"#,
            rules.collect::<Vec<_>>().join(",")
        );
        let mut world = World::seeded(&config, seed);
        for (api, resource) in of_their_own {
            world.checkers.entry(api).or_default().resource = Some(resource);
            world.provider.resources.push(resource);
        }
        for _ in 1..vaults {
            world.add_vault();
            world.spreads_hints = true;
        }
        let seconds = dice.pick(&[10, 60, 60, 300, 300, 3600]);
        let provider = &mut world.provider;
        provider.lifetime = Duration::from_secs(seconds);
        provider.leeway = Duration::from_secs(dice.pick(&[0, 0, 2, 10, 60]));
        provider.rotates = dice.roll(10) != 0;
        // An API's own tokens can be requested only with a refresh token.
        provider.issues_refresh_tokens = dice.roll(15) != 0 || !of_their_own.is_empty();
        provider.id_token_on_refresh = dice.roll(3) == 0;
        provider.takes_pushed = more_dice.roll(3) == 0;
        provider.wants_pushed = provider.takes_pushed && more_dice.roll(3) == 0;
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
            is_bound,
            apis,
            tally: Tally::default(),
            agenda: BTreeMap::new(),
            last_entry: 0,
            pages: Vec::new(),
            calls: Vec::new(),
            home,
            workers: (0..vaults).map(|_| Worker::default()).collect(),
            lock_queue: VecDeque::new(),
            fates: BTreeMap::new(),
            lifetime: seconds * SECOND,
            offline_until: 0,
            knows_offline: false,
            longest_wait: 0,
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
        let refusing = self.world.provider.refusing;
        self.tell(&format!("the provider rejects refreshes: {refusing:?}"));
        if self.is_bound {
            self.tell("tokens are bound to a key");
        }
        if self.has_own_tokens() {
            self.tell("an API has its own tokens");
        }
        self.begin();
        for _ in 0..10 + self.dice.roll(50) {
            let gap = self.gap();
            self.run(gap);
            self.servers_change();
            self.step();
            self.tally.steps += 1;
        }
        if self.more_dice.roll(30) == 0 {
            self.provoke_suspicion();
        }
        self.faults_stop();
        self.recovers();
        self.run(LONGEST_WAIT);
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
            self.faults = faults;
        }
    }

    // Time

    fn now(&self) -> u64 {
        self.world.true_time
    }

    fn at(&mut self, time: u64, todo: Todo) {
        self.last_entry += 1;
        self.agenda.insert((time, self.last_entry), todo);
    }

    /// Lets time pass and runs due tasks.
    fn run(&mut self, millis: u64) {
        let end = self.now() + millis;
        loop {
            self.plan_new_jobs();
            self.hand_over_lock();
            let todo = self.agenda.first_key_value().map(|(&(time, _), _)| time);
            let alarm = self.next_alarm();
            let tick = alarm.map(|(time, _)| time);
            let next = todo.unwrap_or(u64::MAX).min(tick.unwrap_or(u64::MAX));
            if next > end {
                break;
            }
            self.pass_to(next);
            let tick_is_first = match (tick, todo) {
                (Some(tick), Some(todo)) if tick == todo => self.dice.roll(2) == 0,
                (tick, todo) => todo.is_none_or(|todo| tick.is_some_and(|tick| tick < todo)),
            };
            match alarm {
                Some((_, vault)) if tick_is_first => self.tick(vault),
                _ => {
                    if let Some((_, todo)) = self.agenda.pop_first() {
                        self.do_it(todo);
                    }
                }
            }
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, time: u64) {
        let passed = time.saturating_sub(self.now());
        self.world.pass(Millis(passed));
    }

    /// Returns the time of the next timer of a host, with the index of the timer's vault. Returns `None` if no timer is
    /// set.
    fn next_alarm(&mut self) -> Option<(u64, usize)> {
        let vaults = 0..self.workers.len();
        let alarms = vaults.filter_map(|vault| Some((self.next_alarm_of(vault)?, vault)));
        alarms.collect::<Vec<_>>().into_iter().min()
    }

    /// Returns the time at which the host's timer fires. The timer is late if the browser throttles timers, and early
    /// if the vault's next deadline has moved since the timer was set.
    fn next_alarm_of(&mut self, vault: usize) -> Option<u64> {
        if self.world.is_frozen(vault) {
            return None;
        }
        let due = self.world.tick_due(vault)?;
        let now = self.world.now.monotonic;
        let alarm = match self.workers[vault].alarm {
            Some(alarm) if alarm.due <= due => alarm,
            _ => {
                let late = self.lateness(vault);
                let fires = due.max(now) + late;
                *self.workers[vault].alarm.insert(Alarm { due, fires })
            }
        };
        if alarm.fires.saturating_sub(due) > Millis::from_secs(1) {
            self.world.watch.hinder();
        }
        Some(self.now() + alarm.fires.saturating_sub(now).0)
    }

    fn lateness(&mut self, vault: usize) -> Millis {
        if self.workers[vault].throttled_until > self.now() {
            self.tally.fault("timer late");
            Millis(self.dice.pick(&[900, 5 * SECOND, MINUTE, 4 * MINUTE]))
        } else {
            Millis(self.dice.pick(&[0, 0, 1, 4]))
        }
    }

    fn tick(&mut self, vault: usize) {
        let now = self.now();
        let worker = &mut self.workers[vault];
        let Some(Alarm { due, .. }) = worker.alarm.take() else {
            return;
        };
        let (ticks, since) = worker.ticks;
        worker.ticks = if now > since + 10 * SECOND {
            (1, now)
        } else {
            (ticks + 1, since)
        };
        Invariant::Sanity.holds_if(ticks < 1000, || {
            format!("it asked for {ticks} ticks within 10 s")
        });
        let late = self.world.now.monotonic.saturating_sub(due);
        self.world.timer_of(vault, late);
    }

    fn do_it(&mut self, todo: Todo) {
        if let Some(vault) = self.reaches(&todo)
            && self.world.is_frozen(vault)
        {
            if let Todo::AnswerArrives(job) = todo
                && self.world.kind_of(job) == Some(Kind::Lock)
            {
                // The browser grants the lock to the frozen vault, which cannot release it.
                if self.world.waits_for_lock(job) {
                    return self.lock_queue.push_back(job);
                }
                self.world.grant_lock(job);
            }
            return self.workers[vault].frozen.push(todo);
        }
        match todo {
            Todo::ProviderActs(job) => self.provider_acts(job),
            Todo::AnswerArrives(job) if self.world.waits_for_lock(job) => {
                self.lock_queue.push_back(job);
            }
            Todo::AnswerArrives(job) => {
                self.provider_acts(job);
                self.world.answer_arrives(job);
            }
            Todo::NetworkFails(job) => {
                self.world.knows_offline = self.knows_offline && self.is_offline();
                self.world.network_fails(job);
            }
            Todo::SignIn { login, popup } => self.user_comes_back(login, popup),
            Todo::Leave(page) => self.close(page),
            Todo::SetClock(seconds) => self.set_clock_by(seconds),
            Todo::Thaw(vault) => self.thaw(vault),
            Todo::WayIsFree => {
                self.tell("the provider can be reached again");
                self.clear_way();
            }
            Todo::FreeLock => {
                self.tell("the holder that is not a vault releases the lock");
                self.world.seize_lock(false);
            }
        }
    }

    /// Returns the vault that receives a task and therefore must not be frozen. Returns `None` if no vault receives the
    /// task.
    fn reaches(&self, todo: &Todo) -> Option<usize> {
        match todo {
            Todo::AnswerArrives(job) | Todo::NetworkFails(job) => self.world.vault_of(*job),
            Todo::Leave(page) => Some(self.world.home(*page)),
            Todo::SignIn { login, .. } => Some(self.world.home(login.port)),
            Todo::ProviderActs(_)
            | Todo::SetClock(_)
            | Todo::Thaw(_)
            | Todo::FreeLock
            | Todo::WayIsFree => None,
        }
    }

    /// Grants a free lock to the job that has waited longest.
    fn hand_over_lock(&mut self) {
        while let Some(&job) = self.lock_queue.front() {
            let is_over = self.world.kind_of(job).is_none();
            if !is_over && self.world.waits_for_lock(job) {
                return;
            }
            self.lock_queue.pop_front();
            if !is_over {
                return self.do_it(Todo::AnswerArrives(job));
            }
        }
    }

    fn provider_acts(&mut self, job: JobId) {
        match (self.world.kind_of(job), self.fates.remove(&job)) {
            (Some(Kind::Provider(endpoint)), Some(Fate::Fault(fault))) => {
                self.world.provider.fault(endpoint, &[fault]);
                self.world.provider_acts(job);
            }
            (Some(_), Some(Fate::Flaw(flaw))) => {
                self.world.provider.flaw = Some(flaw);
                self.world.provider_acts(job);
                self.world.provider.flaw = None;
            }
            _ => self.world.provider_acts(job),
        }
    }

    // Network, provider and storage

    fn plan_new_jobs(&mut self) {
        for (job, kind) in self.world.new_jobs() {
            match kind {
                Kind::Provider(endpoint) => self.plan_request(job, endpoint),
                Kind::Call => self.plan_call(job),
                Kind::ResponseBody => self.answer_in(job, &[0, 5, 200, 2 * SECOND]),
                Kind::Store | Kind::Take if self.faults > 0 && self.dice.roll(20) == 0 => {
                    self.tally.fault("storage stuck");
                    self.answer_in(job, &[12 * SECOND, 30 * SECOND]);
                }
                Kind::Persist | Kind::Load if self.is_kept_badly() => {
                    self.tally.fault("storage stuck");
                    if self.dice.roll(2) == 0 {
                        self.world.land_late(job);
                    }
                    self.answer_in(job, &[2 * SECOND, 12 * SECOND, 30 * SECOND]);
                }
                Kind::Changed if self.faults > 0 && self.dice.roll(10) == 0 => {
                    self.tally.fault("late notification of other vaults");
                    self.answer_in(job, &[SECOND, 30 * SECOND, 3 * MINUTE]);
                }
                Kind::Store | Kind::Take | Kind::Persist | Kind::Load => {
                    if self.dice.roll(2) == 0 {
                        self.world.read_now(job);
                    }
                    self.answer_in(job, &[0, 1, 10, 100]);
                }
                Kind::Verify
                | Kind::MakeKey
                | Kind::Lock
                | Kind::Changed
                | Kind::Probe
                | Kind::Socket => {
                    self.answer_in(job, &[0, 1]);
                }
            }
        }
    }

    fn is_kept_badly(&mut self) -> bool {
        self.home != Home::Memory && self.faults > 0 && self.dice.roll(40) == 0
    }

    fn answer_in(&mut self, job: JobId, delays: &[u64]) {
        let time = self.now() + self.dice.pick(delays);
        self.at(time, Todo::AnswerArrives(job));
    }

    fn latency(&mut self) -> u64 {
        self.dice.pick(&[1, 5, 30, 80, 200, 400]) + self.dice.roll(20) as u64
    }

    fn is_offline(&self) -> bool {
        self.offline_until > self.now()
    }

    fn plan_request(&mut self, job: JobId, endpoint: Endpoint) {
        let arrives = self.now() + self.latency();
        let answered = arrives + self.latency();
        if self.is_offline() {
            self.tally.fault("offline");
            return self.at(arrives, Todo::NetworkFails(job));
        }
        if self.refuses_without_reason && endpoint == Endpoint::Refresh {
            self.fates.insert(job, Fate::Fault(Fault::Status(400)));
        } else if self.dice.roll(100) < self.faults {
            return self.plan_fault(job, endpoint, arrives, answered);
        }
        self.at(arrives, Todo::ProviderActs(job));
        self.at(answered, Todo::AnswerArrives(job));
    }

    fn plan_fault(&mut self, job: JobId, endpoint: Endpoint, arrives: u64, answered: u64) {
        match self.dice.roll(12) {
            0 => {
                self.tally.fault("lost before the provider");
                self.at(arrives, Todo::NetworkFails(job));
            }
            1 | 2 => {
                self.tally.fault("response lost");
                self.at(arrives, Todo::ProviderActs(job));
                self.at(answered, Todo::NetworkFails(job));
            }
            3 => self.tally.fault("time-out before the provider"),
            4 => {
                self.tally.fault("time-out after the provider");
                self.at(arrives, Todo::ProviderActs(job));
            }
            5 => {
                self.tally.fault("slow");
                let way = self.dice.pick(&[3, 9, 11]) * SECOND;
                let back = self.dice.pick(&[0, 2, 9, 30]) * SECOND;
                self.at(arrives + way, Todo::ProviderActs(job));
                self.at(answered + way + back, Todo::AnswerArrives(job));
            }
            _ => {
                let fate = self.fate(endpoint);
                self.fates.insert(job, fate);
                self.at(arrives, Todo::ProviderActs(job));
                self.at(answered, Todo::AnswerArrives(job));
            }
        }
    }

    fn fate(&mut self, endpoint: Endpoint) -> Fate {
        let gives_tokens = matches!(endpoint, Endpoint::Refresh | Endpoint::Exchange);
        if endpoint == Endpoint::Refresh && self.more_dice.roll(4) == 0 {
            self.tally.fault("rejected without a reason");
            return Fate::Fault(self.more_dice.pick(&[
                Fault::Status(400),
                Fault::Status(401),
                Fault::Refused("invalid_request"),
                Fault::Refused("something_new"),
            ]));
        }
        if endpoint == Endpoint::Push && self.more_dice.roll(3) == 0 {
            self.tally.fault("push refused");
            return Fate::Fault(self.more_dice.pick(&[
                Fault::Status(403),
                Fault::Status(404),
                Fault::Refused("unauthorized_client"),
                Fault::Refused("invalid_request"),
                Fault::Opaque,
            ]));
        }
        let (name, fate) = match self.dice.roll(20) {
            0..3 => (
                "5xx",
                Fate::Fault(Fault::Status(self.dice.pick(&[500, 502, 503]))),
            ),
            3..5 => ("429", Fate::Fault(Fault::Busy(429, None))),
            5..8 => {
                let status = self.dice.pick(&[429, 503]);
                let wait = self.dice.pick(&[0, 2, 30, 130, 5000]);
                self.longest_wait = self.longest_wait.max(wait.min(600) * SECOND);
                ("Retry-After", Fate::Fault(Fault::Busy(status, Some(wait))))
            }
            8..11 => ("HTML with 200", Fate::Fault(Fault::Html)),
            11..14 => ("truncated JSON", Fate::Fault(Fault::Truncated)),
            14 if gives_tokens => {
                let code = self
                    .dice
                    .pick(&["invalid_client", "invalid_scope", "server_error"]);
                self.longest_wait = self.longest_wait.max(MINUTE);
                ("refused", Fate::Fault(Fault::Refused(code)))
            }
            15 if gives_tokens => {
                let code = self.dice.pick(&["login_required", "mfa_required"]);
                ("user wanted", Fate::Fault(Fault::Refused(code)))
            }
            16 if gives_tokens => (
                "ID token with a wrong signature",
                Fate::Flaw(Flaw::Signature),
            ),
            17 if gives_tokens => ("ID token with an unknown key", Fate::Flaw(Flaw::UnknownKey)),
            18 if endpoint == Endpoint::Refresh => {
                let claim = Flaw::Claim("sub", "mallory".into());
                ("ID token of another user", Fate::Flaw(claim))
            }
            _ => ("everything echoed", Fate::Fault(Fault::Echo)),
        };
        if name == "everything echoed" {
            self.longest_wait = self.longest_wait.max(MINUTE);
        }
        self.tally.fault(name);
        fate
    }

    fn plan_call(&mut self, job: JobId) {
        let latency = self.latency();
        let is_hit = self.dice.roll(200) < self.faults;
        if self.is_offline() || is_hit && self.dice.roll(2) == 0 {
            self.tally.fault("call failed");
            let time = self.now() + latency;
            return self.at(time, Todo::NetworkFails(job));
        }
        if is_hit {
            self.tally.fault("call slow");
            return self.answer_in(job, &[5 * SECOND, 40 * SECOND, 2 * MINUTE]);
        }
        self.answer_in(job, &[latency]);
    }

    // Users and devices

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
                if let Some(family) = self.world.watch.family_in(self.world.home(page)) {
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
            97 => self.freeze(page),
            98 => self.seize_lock(),
            _ => self.lose_record(),
        }
    }

    /// Returns true if an API has its own tokens.
    fn has_own_tokens(&self) -> bool {
        self.apis.len() > 1
    }

    fn some_api(&mut self) -> &'static str {
        if self.has_own_tokens() {
            self.more_dice.pick(&self.apis)
        } else {
            API
        }
    }

    /// Events of lives with bound tokens or with APIs that have their own tokens.
    fn servers_change(&mut self) {
        if self.is_bound {
            match self.more_dice.roll(40) {
                0..4 => {
                    self.tally.fault("the provider's nonce changes");
                    self.world.provider.dpop.nonce = Some(self.some_nonce());
                }
                4..8 => {
                    self.tally.fault("an API's nonce changes");
                    let api = self.some_api();
                    let nonce = self.some_nonce();
                    let hides = self.more_dice.roll(4) == 0;
                    let checker = self.world.checkers.entry(api).or_default();
                    (checker.nonce, checker.hides_challenge) = (Some(nonce), hides);
                }
                8 if self.home != Home::Memory => {
                    self.tally.fault("keys lost");
                    self.tell("the browser loses the keys stored with the sessions");
                    self.world.store.lose_keys();
                }
                _ => {}
            }
        }
        if self.faults > 0 && self.more_dice.roll(60) == 0 {
            self.block_way();
        }
        if self.has_own_tokens() && self.more_dice.roll(12) == 0 {
            let all: Vec<&str> = RESOURCES.iter().map(|(_, resource)| *resource).collect();
            let some = self.more_dice.pick(&[&all[..], &all[..], &all[1..], &[]]);
            if some.len() < all.len() {
                self.tally.fault("resource refused");
            }
            self.tell(&format!("the provider knows the resources {some:?}"));
            self.world.provider.resources = some.to_vec();
            self.longest_wait = self.longest_wait.max(TARGET_RECOVERY);
        }
    }

    /// Puts a broken CDN or a captive portal in front of the provider. CORS hides its responses from the vault.
    fn block_way(&mut self) {
        let provider = &mut self.world.provider;
        let name = if self.more_dice.roll(2) == 0 {
            // The CDN serves only cached documents.
            provider.outage(Endpoint::Probe, Fault::Opaque);
            "CDN without its origin"
        } else {
            for endpoint in [Endpoint::Probe, Endpoint::Discovery, Endpoint::Keys] {
                provider.outage(endpoint, Fault::Html);
            }
            "captive portal"
        };
        for endpoint in [
            Endpoint::Push,
            Endpoint::Refresh,
            Endpoint::Exchange,
            Endpoint::Revoke,
        ] {
            provider.outage(endpoint, Fault::Opaque);
        }
        let millis = self.more_dice.pick(&[20 * SECOND, 5 * MINUTE, 20 * MINUTE]);
        self.tally.fault(name);
        self.tell(&format!("{name}, for {millis} ms"));
        let time = self.now() + millis;
        self.at(time, Todo::WayIsFree);
    }

    fn clear_way(&mut self) {
        for endpoint in [
            Endpoint::Probe,
            Endpoint::Discovery,
            Endpoint::Keys,
            Endpoint::Push,
            Endpoint::Refresh,
            Endpoint::Exchange,
            Endpoint::Revoke,
        ] {
            self.world.provider.repair_one(endpoint);
        }
    }

    fn some_nonce(&mut self) -> String {
        self.more_dice.pick(&["one", "two", "three"]).to_owned()
    }

    /// Freezes a page and its worker, as browsers do with background tabs.
    fn freeze(&mut self, page: PortId) {
        let awake = |vault: &usize| !self.world.is_frozen(*vault);
        if (0..self.workers.len()).filter(awake).count() < 2 {
            return;
        }
        let vault = self.world.home(page);
        let millis = self.dice.pick(&[SECOND, 7 * SECOND, MINUTE, 20 * MINUTE]);
        self.tally.fault(if self.is_refreshing() {
            "tab frozen in the middle of a refresh"
        } else {
            "tab frozen"
        });
        self.tell(&format!("vault {vault} is frozen for {millis} ms"));
        self.plan_new_jobs();
        self.world.freeze(vault);
        self.world.watch.hinder();
        let time = self.now() + millis;
        self.at(time, Todo::Thaw(vault));
    }

    fn thaw(&mut self, vault: usize) {
        if !self.world.is_frozen(vault) {
            return;
        }
        self.tell(&format!("vault {vault} thaws"));
        self.world.thaw_one(vault);
        self.workers[vault].alarm = None;
        let now = self.now();
        for todo in std::mem::take(&mut self.workers[vault].frozen) {
            // Events from different sources have no fixed order.
            let time = now + self.dice.pick(&[0, 0, 1, 5]);
            self.at(time, todo);
        }
    }

    /// Lets a script of the origin take the lock.
    fn seize_lock(&mut self) {
        if self.world.lock_holder().is_none() {
            self.tally.fault("lock never released");
            self.tell("a holder that is not a vault takes the lock");
            self.world.seize_lock(true);
            self.world.watch.hinder();
            let time = self.now() + self.dice.pick(&[2 * SECOND, 20 * SECOND, 2 * MINUTE]);
            self.at(time, Todo::FreeLock);
        }
    }

    fn lose_record(&mut self) {
        match self.dice.roll(3) {
            0 => {
                self.tally.fault("storage cleared");
                self.tell("the site's data is cleared");
                self.world.clear_site_data();
            }
            1 => {
                self.tally.fault("record damaged");
                self.tell("the stored records cannot be decrypted any more");
                self.world.damage_store();
            }
            _ => {}
        }
    }

    /// Starts a refresh, and disturbs it at a random step.
    fn disturb_refresh(&mut self) {
        self.run(self.lifetime);
        for _ in 0..2 {
            let page = self.some_page();
            self.fetch(page);
        }
        let millis = self.dice.roll(700) as u64;
        self.run(millis);
        let page = self.some_page();
        match self
            .dice
            .roll(if self.home == Home::Memory { 6 } else { 9 })
        {
            6 => self.freeze(page),
            7 => self.close_tab(page),
            8 => self.log_out_everywhere(),
            0 => self.kill_worker(page),
            1 => self.close(page),
            2 => self.sleep(),
            3 => {
                self.world.logout(page);
            }
            4 => self.login_now(page),
            _ => self.wall_clock_jumps(),
        }
    }

    /// Returns true during a refresh, at any of its steps.
    fn is_refreshing(&self) -> bool {
        [REFRESH, Kind::Verify, Kind::Persist]
            .iter()
            .any(|kind| self.world.outstanding(*kind) > 0)
    }

    fn tell(&mut self, what: &str) {
        self.world.story(|_| what.to_owned());
    }

    fn wall_clock_jumps(&mut self) {
        let seconds = self.dice.pick(&[-7200, -600, -30, -1, 1, 30, 240, 3600]);
        self.set_clock_by(seconds);
        if self.dice.roll(3) != 0 {
            // The user or the system corrects the clock later.
            let time = self.now() + self.dice.pick(&[SECOND, 2 * MINUTE]);
            self.at(time, Todo::SetClock(-seconds));
        }
    }

    fn set_clock_by(&mut self, seconds: i64) {
        self.tally.fault("wall clock jumps");
        self.tell(&format!("the wall clock changes by {seconds} s"));
        self.world.set_clock_by(seconds);
    }

    fn open(&mut self) -> PortId {
        let awake = |vault: &usize| !self.world.is_frozen(*vault);
        let awake: Vec<usize> = (0..self.workers.len()).filter(awake).collect();
        let vault = self.dice.pick(&awake);
        self.open_in(vault)
    }

    fn open_in(&mut self, vault: usize) -> PortId {
        let its: Vec<PortId> = self.pages_of(vault);
        if its.len() == MAX_PAGES {
            return self.dice.pick(&its);
        }
        let page = self.world.open_in(vault);
        self.pages.push(page);
        if self.home != Home::Memory && self.dice.roll(4) == 0 {
            // The page sends a call before the vault has responded to its `hello`.
            self.fetch(page);
        }
        page
    }

    fn pages_of(&self, vault: usize) -> Vec<PortId> {
        let is_its = |page: &&PortId| self.world.home(**page) == vault;
        self.pages.iter().filter(is_its).copied().collect()
    }

    fn some_page(&mut self) -> PortId {
        let is_awake = |page: &&PortId| !self.world.is_frozen(self.world.home(**page));
        let awake: Vec<PortId> = self.pages.iter().filter(is_awake).copied().collect();
        if awake.is_empty() {
            return self.open();
        }
        self.dice.pick(&awake)
    }

    /// Lets one page of each vault log out at the same time.
    fn log_out_everywhere(&mut self) {
        for vault in 0..self.workers.len() {
            if !self.world.is_frozen(vault)
                && let Some(page) = self.pages_of(vault).first()
            {
                self.world.logout(*page);
            }
        }
    }

    /// Closes a tab that has its own worker.
    fn close_tab(&mut self, page: PortId) {
        let vault = self.world.home(page);
        self.tally.fault("tab closed with its worker");
        self.end_worker(vault);
        self.open_in(vault);
    }

    fn close(&mut self, page: PortId) {
        let Some(i) = self.pages.iter().position(|&p| p == page) else {
            return;
        };
        if self.is_refreshing() {
            self.tally.fault("tab closed in the middle of a refresh");
        }
        self.pages.swap_remove(i);
        self.calls.retain(|call| call.port != page);
        self.world.leave(page);
    }

    fn fetch(&mut self, page: PortId) -> Request {
        let path = self.dice.pick(&[
            "orders",
            "orders",
            "orders",
            "orders",
            "orders",
            "redirect",
            "forbidden",
            "never",
        ]);
        if self.dice.roll(6) == 0 {
            self.world.say(page, r#"{"t":"active"}"#);
        }
        let background = self.dice.roll(4) == 0;
        let body = match self.dice.roll(8) {
            0 => Body::OneShot,
            _ => Body::Replayable,
        };
        self.call(page, path, background, body)
    }

    fn call(&mut self, page: PortId, path: &str, background: bool, body: Body) -> Request {
        let api = self.some_api();
        self.call_of(page, api, path, background, body)
    }

    fn call_of(
        &mut self,
        page: PortId,
        api: &str,
        path: &str,
        background: bool,
        body: Body,
    ) -> Request {
        self.tally.calls += 1;
        let url = format!("{api}/{path}?{}", self.tally.calls);
        let call = self.world.fetch_as(
            page,
            &Fetch {
                url: &url,
                background,
                body,
                ..Fetch::default()
            },
        );
        self.calls.push(call);
        call
    }

    fn abort(&mut self) {
        if !self.calls.is_empty() {
            let call = self.dice.pick(&self.calls);
            self.world.give_up(call, "abort");
        }
    }

    fn login(&mut self) {
        let page = self.some_page();
        let popup = self.dice.roll(2) == 0;
        let mode = if popup { "popup" } else { "redirect" };
        let login = self.world.login(page, mode);
        let after = self
            .dice
            .pick(&[300, 3 * SECOND, 30 * SECOND, 3 * MINUTE, 11 * MINUTE]);
        let time = self.now() + after;
        self.at(time, Todo::SignIn { login, popup });
    }

    /// Lets the user sign in if the login has a URL. A redirect replaces the page. A popup is a separate page until its
    /// response has been handled.
    fn user_comes_back(&mut self, login: Request, popup: bool) {
        let Some(PageResponse::Navigate(address)) = self.world.responses(login).first() else {
            return;
        };
        let address = address.clone();
        self.world.provider.subject = self.dice.pick(&["alice", "alice", "bob"]).to_owned();
        let response = self.world.provider.sign_in(&address);
        let page = if popup {
            // The popup handles its response in the vault of the tab that opened it.
            let vault = self.world.home(login.port);
            self.open_in(vault)
        } else {
            self.close(login.port);
            self.open()
        };
        self.world.callback(page, &response);
        if self.dice.roll(20) == 0 {
            self.world.callback(page, &response);
        }
        if popup {
            let time = self.now() + 5 * SECOND;
            self.at(time, Todo::Leave(page));
        }
    }

    /// Lets the pages notice the worker's end, and connect to another worker.
    fn kill_worker(&mut self, page: PortId) {
        let vault = self.world.home(page);
        self.tally.fault(if self.is_refreshing() {
            "worker killed in the middle of a refresh"
        } else {
            "worker killed"
        });
        for _ in 0..self.end_worker(vault) {
            self.open_in(vault);
        }
    }

    /// Ends the worker at any step and returns the number of its pages. The worker's requests may still reach the
    /// provider, and its writes may still reach the store.
    fn end_worker(&mut self, vault: usize) -> usize {
        self.plan_new_jobs();
        let is_its = |job: &JobId| self.world.vault_of(*job) == Some(vault);
        let jobs = self.agenda.values().filter_map(Todo::acts).filter(is_its);
        let on_their_way: Vec<JobId> = jobs.collect();
        let jobs = self.agenda.values().filter_map(Todo::writes).filter(is_its);
        let writes: Vec<JobId> = jobs.collect();
        for job in on_their_way {
            if self.dice.roll(2) == 0 {
                self.provider_acts(job);
            }
        }
        for job in writes {
            if self.dice.roll(2) == 0 {
                self.world.write_lands(job);
            }
        }
        self.tell(&format!("the worker of vault {vault} is killed"));
        self.world.kill(vault);
        self.workers[vault] = Worker::default();
        let its = self.pages_of(vault);
        self.pages.retain(|page| !its.contains(page));
        self.calls.retain(|call| !its.contains(&call.port));
        its.len()
    }

    /// Lets the device sleep. On some devices the monotonic clock stops during sleep. Requests in flight reach the
    /// provider, and their responses are lost if the sleep was long.
    fn sleep(&mut self) {
        self.tally.fault(if self.is_refreshing() {
            "sleep in the middle of a refresh"
        } else {
            "sleep"
        });
        let millis = self
            .dice
            .pick(&[5 * SECOND, MINUTE, 20 * MINUTE, 20 * MINUTE, 3 * HOUR]);
        let end = self.now() + millis;
        self.world
            .story(|_| format!("the device sleeps for {millis} ms"));
        let clock_stands_still = self.dice.roll(2) == 0;
        self.plan_new_jobs();
        let due: Vec<(u64, u64)> = self.agenda.range(..(end, 0)).map(|(key, _)| *key).collect();
        for key in due {
            match self.agenda[&key] {
                Todo::ProviderActs(job) => {
                    self.agenda.remove(&key);
                    self.sleep_until(key.0, clock_stands_still);
                    self.provider_acts(job);
                }
                Todo::AnswerArrives(job)
                    if millis > 30 * SECOND
                        && matches!(
                            self.world.kind_of(job),
                            Some(Kind::Provider(_) | Kind::Call)
                        )
                        && self.dice.roll(2) == 0 =>
                {
                    self.agenda.insert(key, Todo::NetworkFails(job));
                }
                _ => {}
            }
        }
        self.sleep_until(end, clock_stands_still);
        if self.dice.roll(4) != 0 {
            self.world.wake_unanswered();
        }
    }

    fn sleep_until(&mut self, time: u64, clock_stands_still: bool) {
        let millis = time.saturating_sub(self.now());
        if clock_stands_still {
            self.world.sleep_unnoticed(Duration::from_millis(millis));
        } else {
            self.world.pass(Millis(millis));
            self.world.watch.hinder();
        }
    }

    /// Makes the provider reject every refresh without a reason, until the vaults suspect their sessions.
    fn provoke_suspicion(&mut self) {
        self.tell("the provider rejects every refresh without a reason");
        self.refuses_without_reason = true;
        self.run(self.lifetime);
        for _ in 0..4 {
            let page = self.some_page();
            self.fetch(page);
            self.run(20 * SECOND);
        }
        self.refuses_without_reason = false;
    }

    // The end

    fn faults_stop(&mut self) {
        self.tell("the faults stop here");
        for vault in 0..self.workers.len() {
            self.thaw(vault);
            self.workers[vault].throttled_until = 0;
            self.workers[vault].alarm = None;
        }
        // Planned actions of users are dropped as well.
        let is_a_users = |todo: &Todo| {
            matches!(
                todo,
                Todo::SignIn { .. }
                    | Todo::Leave(_)
                    | Todo::SetClock(_)
                    | Todo::Thaw(_)
                    | Todo::FreeLock
                    | Todo::WayIsFree
            )
        };
        self.agenda.retain(|_, todo| !is_a_users(todo));
        self.faults = 0;
        self.offline_until = 0;
        self.world.seize_lock(false);
        self.fates.clear();
        self.world.provider.repair();
        if self.has_own_tokens() {
            self.world.provider.resources = RESOURCES.map(|(_, resource)| resource).to_vec();
            // The provider may have rejected a request for one API's tokens, after which the vault pauses.
            self.longest_wait = self.longest_wait.max(TARGET_RECOVERY);
        }
        self.world.store.is_full = false;
        self.world.store.is_unavailable = false;
        self.world.persists = true;
    }

    /// Checks that soon, in every vault, each session that the provider accepts works again. If there is no session, a
    /// login must work.
    fn recovers(&mut self) {
        let mut found = Vec::new();
        for vault in 0..self.workers.len() {
            let page = self.open_in(vault);
            self.run(SECOND);
            found.push(self.works_again(page));
        }
        if found.iter().all(|found| *found == Found::Working) {
            self.tally.kept += 1;
        } else {
            self.tally.need_the_user += u64::from(found.contains(&Found::NeedsUser));
            let apart = self.world.now.wall.abs_diff(self.now());
            if !self.world.provider.tells_time && apart > TOLERANCE {
                self.tally.clocks_apart += 1;
                return;
            }
            let vault = self.dice.roll(self.workers.len());
            self.login_works(vault);
            self.login_appears(vault);
        }
        self.run(MINUTE);
        let families = self.families();
        let is_same = families.iter().all(|family| *family == families[0]);
        Invariant::Agreement.holds_if(is_same, || format!("families {families:?}"));
    }

    /// Returns the families of the sessions that the pages of each vault know.
    fn families(&self) -> Vec<Option<usize>> {
        let vaults = 0..self.workers.len();
        let watch = &self.world.watch;
        vaults.map(|vault| watch.family_in(vault)).collect()
    }

    /// Checks that a login in one vault soon reaches all vaults. A vault that holds the lock may first have to repeat a
    /// failed write.
    fn login_appears(&mut self, vault: usize) {
        let end = self.now() + STORE_RECOVERY;
        loop {
            let families = self.families();
            if families[vault].is_none() {
                // The session has already ended, because in some lives tokens or idle limits last only for seconds.
                self.login_works(vault);
            }
            if families.iter().all(|family| *family == families[vault]) {
                break;
            }
            Invariant::Recovery.holds_if(self.now() < end, || {
                format!("a login in vault {vault}, and families {families:?}")
            });
            self.run(SECOND);
        }
        for vault in 0..self.workers.len() {
            let page = self.pages_of(vault)[0];
            let found = self.works_again(page);
            // Without refresh tokens, the session may have ended by now, and the login for the next session may be in
            // flight.
            let is_short =
                !self.world.provider.issues_refresh_tokens || self.families().contains(&None);
            Invariant::Recovery.holds_if(found == Found::Working || is_short, || {
                format!("vault {vault} does not learn of a login")
            });
        }
    }

    fn works_again(&mut self, page: PortId) -> Found {
        for api in self.apis.clone() {
            let found = self.works_again_at(page, api);
            if found != Found::Working {
                return found;
            }
        }
        Found::Working
    }

    fn works_again_at(&mut self, page: PortId, api: &str) -> Found {
        let begun = self.now();
        let mut was_suspected = false;
        loop {
            let (limit, pause) = self.recovery_limit();
            was_suspected |= self.needs_the_user(page) && self.may_be_restored(page);
            let suspected = if was_suspected { SUSPECTED_RECOVERY } else { 0 };
            let end = begun + limit + suspected;
            let page_has_session = self.world.session(page).is_some();
            let call = self.call_of(page, api, "orders", false, Body::Replayable);
            // The last call also gets its full time limit.
            let end_of_call = end.max(self.now() + 30 * SECOND);
            while self.world.response(call).is_none() && self.now() < end_of_call {
                self.run(500);
            }
            match self.world.response(call) {
                Some(PageResponse::Head { status: 200, .. }) if page_has_session => {
                    return Found::Working;
                }
                _ if self.needs_the_user(page) && !self.may_be_restored(page) => {
                    return Found::NeedsUser;
                }
                _ if self.world.session(page).is_none() => return Found::Nothing,
                None => Invariant::Answered.is_broken("a call waits although there are no faults"),
                response => {
                    let response = format!("{response:?}");
                    Invariant::Recovery.holds_if(self.now() < end, || response);
                }
            }
            self.run(pause);
        }
    }

    fn login_works(&mut self, vault: usize) {
        let end = self.now() + RECOVERY;
        loop {
            // The login needs a new page, because an old page may have reached its limit of logins.
            let page = self.world.open_in(vault);
            self.pages.push(page);
            self.run(SECOND);
            self.login_now(page);
            let call = self.call_of(page, API, "orders", false, Body::Replayable);
            self.run(5 * SECOND);
            let response = self.world.response(call);
            if matches!(response, Some(PageResponse::Head { status: 200, .. })) {
                return;
            }
            let response = format!("{response:?} after a login");
            Invariant::Recovery.holds_if(self.now() < end, || response);
        }
    }

    /// Returns true if the page was told that only the user can restore access.
    fn needs_the_user(&self, page: PortId) -> bool {
        let session = self.world.session(page);
        session.and_then(|session| session.str("state")) == Some("interaction_required")
    }

    /// Returns true if the session requires the user only because the vault suspects it. The provider still accepts the
    /// session, so the next attempt restores it.
    fn may_be_restored(&self, page: PortId) -> bool {
        let watch = &self.world.watch;
        watch
            .family_in(self.world.home(page))
            .is_some_and(|family| {
                self.world.provider.honors(family) && !watch.has_asked_for_user(family)
            })
    }

    /// Returns the time until everything must work again, and the time between two attempts.
    fn recovery_limit(&self) -> (u64, u64) {
        let told = self.longest_wait + 30 * SECOND;
        let hidden = match self.world.provider.refusing {
            Refusing::Plainly => 0,
            Refusing::Hidden => HIDDEN_RECOVERY,
            // The vault makes three attempts, each after the longest delay between two attempts.
            _ => HIDDEN_RECOVERY / 2,
        };
        let recovery = match self.home {
            Home::Memory => RECOVERY,
            Home::Store { .. } => RECOVERY + STORE_RECOVERY,
        };
        // If an API also rejects the token from a refresh after a 401, the vault does not refresh again after a 401
        // until that token expires.
        let is_stuck = self.world.has_refused_renewed || !self.world.provider.issues_refresh_tokens;
        if is_stuck {
            let expired = self.lifetime + 30 * SECOND;
            (
                recovery.max(told).max(expired) + hidden,
                SECOND.max(self.lifetime / 60),
            )
        } else {
            (recovery.max(told) + hidden, SECOND)
        }
    }

    fn login_now(&mut self, page: PortId) {
        let login = self.world.login(page, "popup");
        self.run(3 * SECOND);
        if !self.pages.contains(&page) {
            return;
        }
        let Some(PageResponse::Navigate(address)) = self.world.responses(login).first() else {
            return;
        };
        let address = address.clone();
        let response = self.world.provider.sign_in(&address);
        self.world.callback(page, &response);
        self.run(3 * SECOND);
    }

    fn count(&mut self) {
        self.tally.sessions = 1;
        self.tally.bound = u64::from(self.is_bound);
        self.tally.with_own_tokens = u64::from(self.has_own_tokens());
        self.tally.refreshes = self.world.count(REFRESH) as u64;
        self.tally.logins = self.world.watch.logins;
        self.tally.ends = self.world.watch.ends.clone();
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
