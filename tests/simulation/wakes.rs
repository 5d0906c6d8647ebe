//! Days of a laptop that sleeps, wakes and changes networks, at a provider without a leeway. Counts the sessions that end
//! because a response to a refresh was lost.
//!
//! The app is eager: it polls, calls its API when it is shown and when the device is online again, and repeats failed
//! calls. How often a network changes after a wake is assumed, so only the ratio between two runs counts.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kit::dice::Dice;
use kit::world::{Endpoint, Fetch, JobId, Kind, PageResponse, Request, World};
use rules::base::clock::Millis;
use vault::PortId;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

/// The user closes and opens the laptop this often on each day.
const SLEEPS: usize = 8;

/// The device wakes by itself this often in each night.
const DARK_WAKES: usize = 6;

/// The time between two polls of the app.
const POLL: u64 = 30 * SECOND;

/// The delays after which the app repeats a failed call.
const REPEATS: [u64; 4] = [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND];

/// The time after which the browser notices that a connection is dead.
const PING: u64 = 10 * SECOND;

/// A device, and the life of its provider's access tokens.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) lifetime: Duration,
    /// True if the monotonic clock runs on while the device sleeps, as on Windows.
    pub(crate) runs_on: bool,
    /// True if the page is never told that the device is offline.
    pub(crate) is_untold: bool,
    /// True if the device sleeps for less than three minutes at a time.
    pub(crate) sleeps_briefly: bool,
}

/// What happened in some days.
#[derive(Default)]
pub(crate) struct Days {
    /// The number of times that the user opened the laptop.
    pub(crate) wakes: usize,
    pub(crate) lost: usize,
    /// Sessions that were lost while the device was awake by itself.
    pub(crate) lost_in_the_dark: usize,
    refreshes: usize,
    probes: usize,
    failed_calls: usize,
    /// The times from the user's first call after a wake to the first response, in milliseconds.
    first_calls: Vec<u64>,
    days: usize,
}

impl Days {
    pub(crate) fn add(&mut self, other: Self) {
        self.wakes += other.wakes;
        self.lost += other.lost;
        self.lost_in_the_dark += other.lost_in_the_dark;
        self.refreshes += other.refreshes;
        self.probes += other.probes;
        self.failed_calls += other.failed_calls;
        self.first_calls.extend(other.first_calls);
        self.days += other.days;
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.first_calls.clone();
        times.sort_unstable();
        let seconds = |part: usize| {
            let at = times.len() * part / 100;
            times.get(at).map_or(0.0, |time| *time as f64 / 1000.0)
        };
        let (wakes, days) = (self.wakes as f64, self.days as f64);
        let error = (self.lost as f64).sqrt() * 1000.0 / wakes;
        write!(
            f,
            "{:6} wakes: {:5.1} ± {error:.1} sessions lost per 1,000 ({:.1} in the dark); first call {:.1} s, 95 % within {:.1} s; a day {:.1} refreshes, {:.1} probes, {:.1} failed calls",
            self.wakes,
            self.lost as f64 * 1000.0 / wakes,
            self.lost_in_the_dark as f64 * 1000.0 / wakes,
            seconds(50),
            seconds(95),
            self.refreshes as f64 / days,
            self.probes as f64 / days,
            self.failed_calls as f64 / days,
        )
    }
}

#[derive(Clone, Copy)]
enum Todo {
    /// The server acts on a request.
    Act(JobId),
    Arrive(JobId),
    /// The browser sends a request again whose connection was dead.
    SendAgain(JobId),
    /// The network changes, and ends all connections.
    Change,
    NetworkComes,
    /// The page reports that the device is offline.
    Offline,
    Online,
    Shown,
    Poll,
    Active,
    UserCalls,
    /// The app repeats a failed call.
    Repeat(usize),
}

/// A call of the app that waits for its response.
#[derive(Clone, Copy)]
struct Call {
    request: Request,
    /// How often the user's call was repeated. Polls are not repeated.
    repeated: Option<usize>,
}

struct Laptop {
    world: World,
    dice: Dice,
    page: PortId,
    agenda: BTreeMap<(u64, u64), Todo>,
    last_entry: u64,
    /// Requests in flight, with the time at which they reach their server. Requests without a time wait for a connection.
    flights: BTreeMap<JobId, Option<u64>>,
    calls: Vec<Call>,
    is_up: bool,
    /// True if connections must be opened again.
    is_fresh: bool,
    /// True if the open connections are dead, and the browser has not noticed it.
    is_dead: bool,
    /// The end of the time in which responses take longer.
    slow_until: u64,
    in_the_dark: bool,
    /// The user's first call after a wake, while no call has succeeded since.
    first_call: Option<u64>,
    is_untold: bool,
    days: Days,
}

/// Runs one day of this device.
pub(crate) fn day(device: Device, seed: u64) -> Days {
    let mut laptop = Laptop::new(device, seed);
    laptop.day(device);
    laptop.days.refreshes = laptop.world.count(Kind::Provider(Endpoint::Refresh));
    laptop.days.probes = laptop.world.count(Kind::Provider(Endpoint::Probe));
    laptop.days.days = 1;
    laptop.days
}

impl Laptop {
    fn new(device: Device, seed: u64) -> Self {
        let month = 30 * 24 * 3600;
        let config = format!(r#"{{"session":{{"idle":{month},"absolute":{month}}}}}"#);
        let mut world = World::seeded(&config, seed);
        world.provider.lifetime = device.lifetime;
        world.checks_lines = false;
        let page = world.open();
        world.sign_in(page);
        world.new_jobs();
        Self {
            world,
            dice: Dice::new(seed),
            page,
            agenda: BTreeMap::new(),
            last_entry: 0,
            flights: BTreeMap::new(),
            calls: Vec::new(),
            is_up: true,
            is_fresh: true,
            is_dead: false,
            slow_until: 0,
            in_the_dark: false,
            first_call: None,
            is_untold: device.is_untold,
            days: Days::default(),
        }
    }

    fn now(&self) -> u64 {
        self.world.true_time
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.dice.roll(usize::try_from(most - least).unwrap()) as u64
    }

    fn after(&mut self, delay: u64, todo: Todo) {
        self.last_entry += 1;
        let time = self.now() + delay;
        self.agenda.insert((time, self.last_entry), todo);
    }

    fn day(&mut self, device: Device) {
        let runs_on = device.runs_on;
        for _ in 0..SLEEPS {
            self.is_used();
            let asleep = match device.sleeps_briefly {
                true => self.between(10 * SECOND, 170 * SECOND),
                false => self.between(2 * MINUTE, 50 * MINUTE),
            };
            self.sleeps(asleep, runs_on);
            self.wakes(false);
        }
        self.is_used();
        for _ in 0..DARK_WAKES {
            self.sleeps(60 * MINUTE, runs_on);
            self.wakes(true);
            let awake = match self.dice.roll(10) {
                0..6 => 2 * SECOND,
                _ => self.between(20 * SECOND, 45 * SECOND),
            };
            self.run(awake);
        }
    }

    /// Lets the user work for some time.
    fn is_used(&mut self) {
        self.after(0, Todo::Active);
        let time = self.between(20 * MINUTE, 60 * MINUTE);
        if self
            .dice
            .roll(usize::try_from(120 * MINUTE / time).unwrap())
            == 0
        {
            let delay = self.between(0, time);
            self.after(delay, Todo::Change);
        }
        self.after(MINUTE, Todo::UserCalls);
        self.run(time);
    }

    /// The lid is closed: the connections end, and nothing runs until the device wakes.
    fn sleeps(&mut self, time: u64, runs_on: bool) {
        if !self.in_the_dark {
            self.world.say(self.page, r#"{"t":"hidden"}"#);
            let rest = self.between(50, 300);
            self.run(rest);
        }
        self.is_up = false;
        self.agenda.retain(|_, todo| {
            !matches!(
                todo,
                Todo::Change | Todo::NetworkComes | Todo::Offline | Todo::Online
            )
        });
        self.kill_all();
        self.agenda
            .retain(|_, todo| !matches!(todo, Todo::UserCalls | Todo::Active | Todo::Repeat(_)));
        self.first_call = None;
        if runs_on {
            self.world.pass(Millis(time));
        } else {
            self.world.sleep_unnoticed(Duration::from_millis(time));
        }
    }

    fn wakes(&mut self, by_itself: bool) {
        self.in_the_dark = by_itself;
        self.slow_until = self.now() + 10 * SECOND;
        // What was planned for the time of the sleep happens now.
        let late: Vec<_> = self.agenda.values().copied().collect();
        self.agenda.clear();
        late.into_iter().for_each(|todo| self.after(0, todo));
        if !self.agenda.values().any(|todo| matches!(todo, Todo::Poll)) {
            self.after(0, Todo::Poll);
        }
        if !by_itself {
            self.days.wakes += 1;
            let delay = self.between(20, 200);
            self.after(delay, Todo::Shown);
        }
        let comes = match self.dice.roll(4) {
            0 => 0,
            _ => self.between(300, 8 * SECOND),
        };
        if comes == 0 {
            self.is_up = true;
            (self.is_fresh, self.is_dead) = (false, self.dice.roll(10) < 3);
        } else {
            self.after(comes, Todo::NetworkComes);
            if !self.is_untold {
                self.after(SECOND, Todo::Offline);
            }
        }
        for _ in 0..=self.dice.roll(2) {
            let later = match self.dice.roll(10) {
                0..6 => self.between(100, 3 * SECOND),
                _ => self.between(100, 20 * SECOND),
            };
            self.after(comes + later, Todo::Change);
        }
    }

    /// Fails all requests in flight. A server still acts on what it has received.
    fn kill_all(&mut self) {
        (self.is_fresh, self.is_dead) = (true, false);
        let now = self.now();
        self.world.knows_offline = !self.is_up;
        for (job, reaches) in std::mem::take(&mut self.flights) {
            if reaches.is_some_and(|time| time <= now) {
                self.world.provider_acts(job);
            }
            self.world.network_fails(job);
        }
        self.settle();
    }

    fn run(&mut self, time: u64) {
        let end = self.now() + time;
        loop {
            let due = self.world.tick_due(0);
            let now = self.world.now.monotonic;
            let tick = due.map(|due| self.now() + due.saturating_sub(now).0);
            let todo = self.agenda.first_key_value().map(|((time, _), _)| *time);
            let next = todo.unwrap_or(u64::MAX).min(tick.unwrap_or(u64::MAX));
            if next > end {
                break;
            }
            self.pass_to(next);
            if tick.is_some_and(|tick| todo.is_none_or(|todo| tick <= todo)) {
                let late = self.world.now.monotonic.saturating_sub(due.unwrap());
                self.world.timer_of(0, late);
            } else if let Some((_, todo)) = self.agenda.pop_first() {
                self.do_it(todo);
            }
            self.settle();
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, time: u64) {
        self.world.pass(Millis(time.saturating_sub(self.now())));
    }

    fn do_it(&mut self, todo: Todo) {
        match todo {
            Todo::Act(job) => self.world.provider_acts(job),
            Todo::Arrive(job) => {
                if self.flights.remove(&job).is_some() {
                    self.world.answer_arrives(job);
                }
            }
            Todo::SendAgain(job) => {
                if self.flights.contains_key(&job) {
                    self.is_dead = false;
                    self.is_fresh = true;
                    self.send(job);
                }
            }
            Todo::Change => {
                if self.is_up {
                    self.kill_all();
                }
            }
            Todo::NetworkComes => {
                self.is_up = true;
                self.kill_all();
                if !self.is_untold {
                    self.after(500, Todo::Online);
                }
            }
            Todo::Offline => {
                if !self.is_up {
                    self.world.say(self.page, r#"{"t":"offline"}"#);
                }
            }
            Todo::Online => {
                self.world.say(self.page, r#"{"t":"online"}"#);
                self.user_calls();
            }
            Todo::Shown => {
                self.world.say(self.page, r#"{"t":"visible"}"#);
                self.user_calls();
            }
            Todo::Poll => {
                self.after(POLL, Todo::Poll);
                self.call(None);
            }
            Todo::Active => {
                self.world.say(self.page, r#"{"t":"active"}"#);
                self.after(20 * SECOND, Todo::Active);
            }
            Todo::UserCalls => {
                let pause = self.between(MINUTE, 5 * MINUTE);
                self.after(pause, Todo::UserCalls);
                self.user_calls();
            }
            Todo::Repeat(repeated) => self.call(Some(repeated)),
        }
    }

    fn user_calls(&mut self) {
        self.world.say(self.page, r#"{"t":"active"}"#);
        self.call(Some(0));
    }

    fn call(&mut self, repeated: Option<usize>) {
        let background = repeated.is_none();
        let request = self.world.fetch_as(
            self.page,
            &Fetch {
                background,
                ..Fetch::default()
            },
        );
        self.calls.push(Call { request, repeated });
        let is_awaited = self.days.wakes > self.days.first_calls.len();
        if !background && !self.in_the_dark && is_awaited {
            let now = self.now();
            self.first_call.get_or_insert(now);
        }
    }

    /// Sends what the vault asks for, reads its responses, and signs in again if the session was lost.
    fn settle(&mut self) {
        loop {
            let jobs = self.world.new_jobs();
            if jobs.is_empty() {
                break;
            }
            for (job, kind) in jobs {
                match kind {
                    Kind::Provider(_) | Kind::Call => {
                        self.flights.insert(job, None);
                        self.send(job);
                    }
                    _ => self.world.answer_arrives(job),
                }
            }
        }
        let calls = std::mem::take(&mut self.calls);
        for call in calls {
            match self.world.response(call.request) {
                None => self.calls.push(call),
                Some(PageResponse::Head { status: 200, .. }) => {
                    if call.repeated.is_some()
                        && let Some(since) = self.first_call.take()
                    {
                        let time = self.now() - since;
                        self.days.first_calls.push(time);
                    }
                }
                Some(_) => {
                    if let Some(repeated) = call.repeated {
                        self.days.failed_calls += 1;
                        if let Some(delay) = REPEATS.get(repeated) {
                            self.after(*delay, Todo::Repeat(repeated + 1));
                        }
                    }
                }
            }
        }
        if self.world.session(self.page).is_none() {
            self.days.lost += 1;
            self.days.lost_in_the_dark += usize::from(self.in_the_dark);
            self.flights.clear();
            self.world.sign_in(self.page);
            self.world.new_jobs();
            self.calls.clear();
        }
    }

    fn send(&mut self, job: JobId) {
        let Some(kind) = self.world.kind_of(job) else {
            self.flights.remove(&job);
            return;
        };
        if !self.is_up {
            return;
        }
        if self.is_dead {
            return self.after(PING, Todo::SendAgain(job));
        }
        let slowness = if self.now() < self.slow_until { 2 } else { 1 };
        let trip = self.between(20, 120) * slowness;
        let setup = if std::mem::take(&mut self.is_fresh) {
            2 * trip
        } else {
            0
        };
        let work = match kind {
            Kind::Call => self.between(10, 60),
            _ => self.between(50, 250),
        };
        let reaches = setup + trip / 2;
        let time = self.now() + reaches;
        self.flights.insert(job, Some(time));
        self.after(reaches + work, Todo::Act(job));
        self.after(reaches + work + trip / 2, Todo::Arrive(job));
    }
}
