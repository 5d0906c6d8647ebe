//! A life is a short random run of several isolates that share one coordinator. Users sign in, call an API from several
//! tabs at once and log out; thieves use copies of cookies; the sealing key is replaced. Meanwhile isolates end, and
//! the coordinator, the provider, the API and the connection to the browser fail. Then the faults stop, and every
//! session that the provider still accepts must work again. A seed determines everything.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Lives;
use kit::dice::Dice;
use kit_isolates::invariants::Invariant;
use kit_isolates::watch::{Loss, SKEW};
use kit_isolates::{COOKIE, Purpose, REPLACED, RETIRED, Setup, State, VisitId, World};

/// Milliseconds after the faults within which every wait ends: an intent expires, a `Retry-After` passes, and a pause
/// after a rejection ends.
const RECOVERY: u64 = 90_000;

/// One seed in this number has a second life, in which browsers bind their sessions to keys. Such a life is longer than the
/// others, because a bound cookie is valid for minutes.
const BOUND_LIVES: usize = 4;

/// Lives of isolates of the token handler.
pub(crate) struct Isolates;

impl Lives for Isolates {
    type Tally = Tally;
    const ENOUGH: u64 = 6000;
    const SANITY: (&'static str, &'static str) =
        (Invariant::Sanity.name(), Invariant::Sanity.sentence());
    const COUNTED_FROM: &'static str = "the beginning";

    fn live(seed: u64) -> Self::Tally {
        live(seed)
    }

    fn tell(seed: u64, line: &mut dyn FnMut(&str)) -> Self::Tally {
        tell(seed, line)
    }

    fn add(sum: &mut Self::Tally, more: &Self::Tally) {
        sum.add(more);
    }

    fn count(tally: &Self::Tally) -> u64 {
        tally.lives - tally.bound
    }
}

/// Returns the names of the invariants of isolates.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Invariant::ALL.iter().map(|invariant| invariant.name())
}

/// Events counted over many lives.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) lives: u64,
    visits: u64,
    served: u64,
    later: u64,
    wanted: u64,
    rotations: u64,
    deaths: u64,
    /// Intents that the coordinator lost.
    lost_intents: u64,
    /// Lives whose clocks differ by more than two seconds: with the coordinator's time, and without it.
    far: u64,
    own: u64,
    /// Times at which the clock of an isolate was set.
    jumps: u64,
    /// Number of times that an isolate's process stood still.
    stops: u64,
    /// Number of times that one isolate could not reach the coordinator.
    cuts: u64,
    /// Writes of the coordinator that took place after their isolate had given up.
    late_writes: u64,
    /// Lives in which the sealing key was replaced. The next field counts those in which the old key was also removed.
    replaced: u64,
    retired: u64,
    /// Sessions that were served again after the faults.
    kept: u64,
    ends: BTreeMap<&'static str, u64>,
    losses: BTreeMap<Loss, u64>,
    /// Lives whose browsers bind their sessions, and what happened in them.
    bound: u64,
    must_bind: u64,
    registrations: u64,
    renewals: u64,
    second_keys: u64,
    copies_served: u64,
    copies_refused: u64,
    not_renewed: u64,
    keys_lost: u64,
    keys_crossed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.lives, other.lives),
            (&mut self.visits, other.visits),
            (&mut self.served, other.served),
            (&mut self.later, other.later),
            (&mut self.rotations, other.rotations),
            (&mut self.wanted, other.wanted),
            (&mut self.deaths, other.deaths),
            (&mut self.lost_intents, other.lost_intents),
            (&mut self.far, other.far),
            (&mut self.own, other.own),
            (&mut self.jumps, other.jumps),
            (&mut self.stops, other.stops),
            (&mut self.cuts, other.cuts),
            (&mut self.late_writes, other.late_writes),
            (&mut self.replaced, other.replaced),
            (&mut self.retired, other.retired),
            (&mut self.kept, other.kept),
            (&mut self.bound, other.bound),
            (&mut self.must_bind, other.must_bind),
            (&mut self.registrations, other.registrations),
            (&mut self.renewals, other.renewals),
            (&mut self.second_keys, other.second_keys),
            (&mut self.copies_served, other.copies_served),
            (&mut self.copies_refused, other.copies_refused),
            (&mut self.not_renewed, other.not_renewed),
            (&mut self.keys_lost, other.keys_lost),
            (&mut self.keys_crossed, other.keys_crossed),
        ] {
            *sum += more;
        }
        for (reason, count) in &other.ends {
            *self.ends.entry(reason).or_default() += count;
        }
        for (loss, count) in &other.losses {
            *self.losses.entry(*loss).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lives,
            visits,
            served,
            later,
            wanted,
            rotations,
            deaths,
            lost_intents,
            far,
            own,
            jumps,
            stops,
            cuts,
            late_writes,
            replaced,
            retired,
            kept,
            bound,
            must_bind,
            registrations,
            renewals,
            second_keys,
            copies_served,
            copies_refused,
            not_renewed,
            keys_lost,
            keys_crossed,
            ..
        } = self;
        writeln!(
            f,
            "  {lives} lives of isolates: {visits} requests ({served} served, {later} put off, of them {wanted} until the user has been at the provider), {rotations} rotations, {deaths} isolates died, {lost_intents} intents lost by the coordinator"
        )?;
        writeln!(
            f,
            "  in {far} of them clocks differed by 10 s to an hour and were set {jumps} times; processes stood still {stops} times for up to five minutes; in {own} of them clocks differed by up to five minutes, and the coordinator had none"
        )?;
        writeln!(
            f,
            "  one isolate was cut off from the coordinator {cuts} times, and {late_writes} writes took place after their isolate had given up"
        )?;
        writeln!(
            f,
            "  in {replaced} of them the key was replaced, and in {retired} the old one was taken away"
        )?;
        writeln!(
            f,
            "  in {bound} of them browsers bound sessions, which {must_bind} required: {registrations} keys, {renewals} renewals, {second_keys} second keys; copies of cookies: {copies_served} requests served in time, {copies_refused} refused; {not_renewed} requests put off because a renewal failed, {keys_lost} refused because the browser had no key, {keys_crossed} because it had the key of another login"
        )?;
        writeln!(
            f,
            "  after the last fault {kept} sessions were served again"
        )?;
        let ends: Vec<String> = self
            .ends
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        writeln!(f, "  ends that were reported: {}", ends.join(", "))?;
        let lost = |loss| self.losses.get(&loss).copied().unwrap_or_default();
        write!(
            f,
            "  allowed losses of a successor: {} with the provider's response and beyond its leeway, {} with an isolate that died, {} that the coordinator did not take, {} by an isolate that could not know of a lost intent, {} by a request that the next one overtook",
            lost(Loss::Response),
            lost(Loss::Isolate),
            lost(Loss::Commit),
            lost(Loss::Intent),
            lost(Loss::Overtaken)
        )
    }
}

/// Runs the lives of this seed and counts their events.
pub(crate) fn live(seed: u64) -> Tally {
    let mut tally = Tally::default();
    for binds in lives_of(seed) {
        let mut life = Life::new(seed, binds);
        life.live();
        tally.add(&life.tally());
    }
    tally
}

/// Runs the lives of this seed and prints each step, up to the first broken rule.
pub(crate) fn tell(seed: u64, line: &mut dyn FnMut(&str)) -> Tally {
    let mut tally = Tally::default();
    for binds in lives_of(seed) {
        let mut life = Life::new(seed, binds);
        life.world.story = Some(vec![format!("{:?}", life.world.setup)]);
        let end = catch_unwind(AssertUnwindSafe(|| life.live()));
        let story = life.world.story.take().unwrap_or_default();
        story.iter().for_each(|step| line(step));
        match end {
            Ok(()) => tally.add(&life.tally()),
            Err(panic) => resume_unwind(panic),
        }
    }
    tally
}

/// Returns the lives of a seed. The value is true if browsers bind their sessions.
fn lives_of(seed: u64) -> impl Iterator<Item = bool> {
    let is_second = Dice::new(seed ^ 0xb0_07d5).roll(BOUND_LIVES) == 0;
    [false, true]
        .into_iter()
        .filter(move |binds| !binds || is_second)
}

/// The clocks of the isolates in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clocks {
    /// They differ by at most two seconds.
    Near,
    /// They differ by up to this many seconds, and jump. The coordinator gives its time.
    Far(i64),
    /// They differ by up to five minutes, and do not jump. The coordinator has no clock.
    Own,
}

impl Clocks {
    /// Chooses the clocks of a life. The life of a bound cookie depends on clocks that are near.
    fn of(dice: &mut Dice, binds: bool) -> Self {
        match dice.roll(6) {
            _ if binds => Self::Near,
            0..2 => Self::Far(dice.pick(&[10, 180, 3600])),
            2 => Self::Own,
            _ => Self::Near,
        }
    }

    fn set(self, setup: Setup, dice: &mut Dice) -> Setup {
        let (most, spread) = match self {
            Self::Near => return setup,
            // A clock may jump once more.
            Self::Far(seconds) => (seconds, seconds.unsigned_abs() * 8000),
            Self::Own => (149, 298_000),
        };
        let any = |dice: &mut Dice| {
            let signs = [-1, 0, 1];
            let exact = most * 1000;
            match dice.roll(2) {
                0 => exact * dice.pick(&signs),
                _ => i64::try_from(dice.roll(2 * exact.unsigned_abs() as usize)).unwrap() - exact,
            }
        };
        Setup {
            skews: (0..setup.isolates).map(|_| any(dice)).collect(),
            has_time: self != Self::Own,
            is_steady: dice.roll(3) != 0,
            spread,
            ..setup
        }
    }
}

struct Life {
    world: World,
    dice: Dice,
    clocks: Clocks,
    /// Decides about jumps of clocks.
    clock_dice: Dice,
    jumps: u64,
    /// Decides about processes that stand still, in some lives.
    stop_dice: Option<Dice>,
    stops: u64,
    /// Decides about isolates that cannot reach the coordinator, in some lives.
    cut_dice: Option<Dice>,
    cuts: u64,
    users: Vec<usize>,
    thieves: Vec<usize>,
    deaths: u64,
    lost_intents: u64,
    kept: u64,
    /// The time at which all isolates had stopped sealing with the old key.
    replaced: Option<u64>,
    /// True if isolates are replaced one after the other without a pause.
    is_restless: bool,
    /// True if faults are rare. Some lives have no faults at all.
    is_calm: bool,
    /// True if deployments change `session.storage`. In such a life nobody copies cookies, because the handler does not
    /// recognize a copy of a sealed cookie that was replaced by a reference.
    changes_storage: bool,
}

impl Life {
    fn new(seed: u64, binds: bool) -> Self {
        let mut dice = Dice::new(seed);
        let isolates = 1 + dice.roll(4);
        let is_skewed = dice.roll(2) == 0;
        let setup = Setup {
            isolates,
            in_store: dice.roll(3) == 0,
            binds,
            requires_binding: binds && Dice::new(seed ^ 0x4e9f).roll(3) == 0,
            grace: dice.pick(&[0, 5, 20, 60]),
            recheck: dice.pick(&[0, 2, 10, 30]),
            idle: dice.pick(&[400, 900, 3000]),
            absolute: dice.pick(&[600, 3000, 6000]),
            request_timeout: dice.pick(&[2, 5, 10]),
            refresh_timeout: 10,
            skews: (0..isolates)
                .map(|_| {
                    let skew = i64::try_from(dice.roll(2000)).unwrap() - 1000;
                    if is_skewed { skew } else { 0 }
                })
                .collect(),
            ..Setup::default()
        };
        let mut clocks = Dice::new(seed ^ 0xc10c_4500);
        let clock = Clocks::of(&mut clocks, binds);
        let setup = clock.set(setup, &mut clocks);
        let mut stop_dice = Dice::new(seed ^ 0x57_0b5);
        let is_stopping = setup.is_steady && !binds && stop_dice.roll(3) == 0;
        let stop_dice = is_stopping.then_some(stop_dice);
        let setup = match binds {
            // Shorter sessions would end before their second renewal.
            true => Setup {
                idle: 3000,
                absolute: 6000,
                ..setup
            },
            false => Setup {
                idle: setup.idle.min(setup.absolute),
                ..setup
            },
        };
        let mut cut_dice = Dice::new(seed ^ 0xc0_70ff);
        let is_cutting = setup.isolates > 1 && cut_dice.roll(4) == 0;
        let late_writes = match cut_dice.roll(4) {
            0 => (cut_dice.pick(&[2, 10]), cut_dice.pick(&[100, 5000, 60_000])),
            _ => (0, 0),
        };
        let mut world = World::with_seed(setup, seed ^ 0x1501_a7e5);
        world.provider.lifetime = dice.pick(&[20_000, 60_000, 120_000, 300_000]);
        world.provider.leeway = dice.pick(&[0, 0, 10_000, 60_000]);
        world.weather.uneven = true;
        let is_calm = dice.roll(4) == 0;
        if !is_calm {
            world.weather.faults = dice.pick(&[0, 2, 10, 30]);
            world.weather.lost_responses = dice.pick(&[0, 10, 40]);
            world.weather.late_writes = late_writes;
        }
        let is_restless = dice.roll(8) == 0;
        let changes_storage = dice.roll(4) == 0;
        Self {
            world,
            dice,
            clocks: clock,
            clock_dice: clocks,
            jumps: 0,
            stop_dice,
            stops: 0,
            cut_dice: (is_cutting && !is_calm).then_some(cut_dice),
            cuts: 0,
            users: Vec::new(),
            thieves: Vec::new(),
            deaths: 0,
            lost_intents: 0,
            kept: 0,
            replaced: None,
            is_restless,
            is_calm,
            changes_storage,
        }
    }

    fn tally(self) -> Tally {
        let step = self.world.ring;
        let watch = self.world.watch;
        Tally {
            lives: 1,
            visits: self.world.visits.len() as u64,
            served: watch.served,
            later: watch.later,
            wanted: watch.wanted,
            rotations: watch.rotations,
            deaths: self.deaths,
            lost_intents: self.lost_intents,
            far: u64::from(matches!(self.clocks, Clocks::Far(_))),
            own: u64::from(self.clocks == Clocks::Own),
            jumps: self.jumps,
            stops: self.stops,
            cuts: self.cuts,
            late_writes: watch.late_writes,
            replaced: u64::from(step >= REPLACED),
            retired: u64::from(step == RETIRED),
            kept: self.kept,
            bound: u64::from(self.world.setup.binds),
            must_bind: u64::from(self.world.setup.requires_binding),
            registrations: watch.registrations,
            renewals: watch.renewals,
            second_keys: watch.second_keys,
            copies_served: watch.copies_served,
            copies_refused: watch.copies_refused,
            not_renewed: watch.not_renewed,
            keys_lost: watch.keys_lost,
            keys_crossed: watch.keys_crossed,
            ends: watch.ends,
            losses: watch.losses,
        }
    }

    fn isolate(&mut self) -> usize {
        self.dice.roll(self.world.setup.isolates)
    }

    fn live(&mut self) {
        for i in 0..=self.dice.roll(2) {
            let user = self.world.open_browser(&format!("user {i}"));
            self.users.push(user);
            let isolate = self.isolate();
            self.world.log_in(user, isolate);
            if self.world.setup.binds {
                self.copy_early(user);
            }
            self.world.pass(3000);
        }
        for _ in 0..10 + self.dice.roll(40) {
            self.act();
            let pause = match self.dice.roll(8) {
                0..3 => self.dice.roll(50),
                3..5 => self.dice.roll(3000),
                5..7 => self.dice.roll(40_000),
                _ if self.world.setup.binds => self.dice.roll(700_000),
                _ => self.dice.roll(200_000),
            };
            self.world.pass(pause as u64);
        }
        self.recover();
    }

    fn act(&mut self) {
        if self.is_restless && self.dice.roll(3) == 0 {
            self.deploy();
        }
        self.set_a_clock();
        self.stop_an_isolate();
        self.cut_an_isolate_off();
        let user = self.dice.pick(&self.users);
        let isolate = self.isolate();
        if self.world.setup.binds && !self.changes_storage && self.dice.roll(4) == 0 {
            match self.thieves.is_empty() || self.dice.roll(3) == 0 {
                true => self.thieves.push(self.world.copy_of(user)),
                false => self.steal(isolate),
            }
            return;
        }
        match self.dice.roll(100) {
            0..53 => self.calls(user),
            53..55 => self.deploy(),
            55..65 => {
                self.world.poll(user, isolate);
            }
            65..72 => {
                self.world.ask_session(user, isolate);
            }
            72..75 if !self.changes_storage => {
                let thief = self.world.copy_of(user);
                self.thieves.push(thief);
            }
            75..78 if !self.thieves.is_empty() => {
                self.steal(isolate);
            }
            78..80 => {
                self.world.log_out(user, isolate);
            }
            80..81 if self.world.provider.family_count() > 0 => {
                let families = self.world.provider.family_count();
                let family = self.dice.roll(families);
                self.world.back_channel(family, isolate);
            }
            81..84 => {
                self.world.log_in(user, isolate);
            }
            84..88 => self.abandon(),
            88..93 if !self.is_calm => {
                self.world.kill(isolate);
                self.deaths += 1;
            }
            93..96 if !self.is_calm => {
                let down = &mut self.world.weather.coordinator_down;
                *down = !*down;
            }
            96..98 if !self.is_calm => {
                let down = &mut self.world.weather.provider_down;
                *down = !*down;
            }
            98 if !self.is_calm && self.dice.roll(4) == 0 => {
                self.world.provider.next_is_other_user = true;
            }
            _ => self.calls(user),
        }
    }

    /// Lets the process of an isolate stand still in some lives.
    fn stop_an_isolate(&mut self) {
        let Some(dice) = &mut self.stop_dice else {
            return;
        };
        if dice.roll(10) == 0 {
            let isolate = dice.roll(self.world.setup.isolates);
            let longest = dice.pick(&[5000, 90_000, 300_000]);
            let millis = 1000 + dice.roll(longest - 999) as u64;
            self.stops += 1;
            self.world.stop(isolate, millis);
        }
    }

    /// Lets an isolate lose its connection to the coordinator in some lives, or get it back.
    fn cut_an_isolate_off(&mut self) {
        let Some(dice) = &mut self.cut_dice else {
            return;
        };
        if dice.roll(6) == 0 {
            let isolate = dice.roll(self.world.setup.isolates);
            let cut_off = &mut self.world.weather.cut_off;
            *cut_off = cut_off.is_none().then_some(isolate);
            self.cuts += u64::from(cut_off.is_some());
        }
    }

    /// Sets the clock of an isolate in some lives, perhaps to the right time.
    fn set_a_clock(&mut self) {
        let Clocks::Far(most) = self.clocks else {
            return;
        };
        if self.clock_dice.roll(8) != 0 {
            return;
        }
        let isolate = self.clock_dice.roll(self.world.setup.isolates);
        let now = self.world.setup.skews[isolate];
        let next = 1000 * most * self.clock_dice.pick(&[-1, 0, 1]);
        if next != now {
            self.jumps += 1;
            self.world.set_clock(isolate, next - now);
        }
    }

    /// Lets a thief copy the cookies soon after a login, perhaps before the session is bound. The thief may bind the
    /// session to a key of their own.
    fn copy_early(&mut self, user: usize) {
        if self.changes_storage || self.dice.roll(2) == 0 {
            return;
        }
        let pause = self.dice.pick(&[300, 1000, 3000]);
        self.world.pass(self.dice.roll(pause) as u64);
        let thief = self.world.copy_of(user);
        self.thieves.push(thief);
        if self.dice.roll(4) == 0 {
            if self.world.setup.requires_binding {
                self.world.bind_by_offer(thief, user);
            }
            self.world.pass(self.dice.roll(20_000) as u64);
            let isolate = self.isolate();
            self.world.bind_copy(thief, isolate);
        }
    }

    /// Lets a thief use a copy of cookies.
    fn steal(&mut self, isolate: usize) {
        let thief = self.dice.pick(&self.thieves);
        if !self.world.setup.binds {
            self.world.call(thief, isolate);
            return;
        }
        match self.dice.roll(10) {
            0 => self.world.log_out(thief, isolate),
            1 => self.world.ask_session(thief, isolate),
            2 => self.world.poll(thief, isolate),
            _ => self.world.call(thief, isolate),
        };
    }

    /// Lets a page make several calls at once, during which an isolate may end.
    fn calls(&mut self, user: usize) {
        for _ in 0..=self.dice.roll(6) {
            let isolate = self.isolate();
            self.world.call(user, isolate);
            for _ in 0..self.dice.roll(6) {
                self.world.step();
            }
        }
        if !self.is_calm && self.dice.roll(3) == 0 {
            // The store fails over as soon as this loses an intent that other isolates honor.
            for _ in 0..self.dice.roll(100) {
                if self.world.lose_intent() {
                    self.lost_intents += 1;
                    break;
                }
                self.world.step();
            }
        }
        if !self.is_calm && self.dice.roll(12) == 0 {
            for _ in 0..self.dice.roll(40) {
                self.world.step();
            }
            let isolate = self.isolate();
            self.world.kill(isolate);
            self.deaths += 1;
        }
    }

    /// Replaces an isolate by one with the other `session.storage`. Later isolates have this storage, too.
    fn replace_storage(&mut self) {
        let isolate = self.isolate();
        self.world.setup.in_store = !self.world.setup.in_store;
        self.world.kill(isolate);
        self.deaths += 1;
    }

    /// Continues replacing the key: one more isolate gets the current list of keys, or the next list becomes current.
    /// The old key is removed when everything that it sealed has expired.
    fn deploy(&mut self) {
        if self.changes_storage && self.dice.roll(2) == 0 {
            self.replace_storage();
            return;
        }
        let (now, step) = (self.world.now, self.world.ring);
        let mut isolates = self.world.isolates.iter();
        if let Some(old) = isolates.position(|isolate| isolate.ring < step) {
            self.world.kill(old);
            self.deaths += 1;
            return;
        }
        if step == REPLACED {
            let since = *self.replaced.get_or_insert(now);
            if now < since + self.world.setup.absolute * 1000 + 2 * SKEW {
                return;
            }
        }
        if step < RETIRED {
            self.world
                .tell(|| format!("step {} of replacing the key", step + 1));
            self.world.ring += 1;
        }
    }

    fn abandon(&mut self) {
        let open: Vec<VisitId> = self.world.watch.open.iter().copied().collect();
        let is_open = |id: &&VisitId| {
            let visit = &self.world.visits[**id];
            // A registration that is lost is a fault.
            visit.state == State::Open && !(self.is_calm && visit.purpose == Purpose::Bind)
        };
        let open: Vec<VisitId> = open.iter().filter(is_open).copied().collect();
        if !open.is_empty() {
            let id = self.dice.pick(&open);
            self.world.abandon(id);
        }
    }

    /// Stops all faults.
    fn recover(&mut self) {
        let weather = &mut self.world.weather;
        weather.faults = 0;
        weather.lost_responses = 0;
        weather.late_writes = (0, 0);
        weather.cut_off = None;
        weather.coordinator_down = false;
        weather.provider_down = false;
        self.world.provider.next_is_other_user = false;
        self.world.tell(|| "the faults stop".to_owned());
        let end = self.world.now + 400_000;
        while self.world.is_busy() {
            let goes_on = self.world.now < end && self.world.step();
            Invariant::Answered.holds_if(goes_on, || {
                format!("these still wait: {:?}", self.world.watch.open)
            });
        }
        self.world.pass(RECOVERY);
        // An isolate without a monotonic clock notices with its next request that its clock was set back.
        for isolate in self.world.watch.unsteady.clone() {
            self.world.poll(self.users[0], isolate);
        }
        self.world.answer_all();
        self.world.pass(2000);
        let watch = &self.world.watch;
        let is_undisturbed = self.is_calm && self.deaths == 0 && watch.second_keys == 0;
        Invariant::Owner.holds_if(!is_undisturbed || watch.keys_lost == 0, || {
            format!("{} requests were refused without a fault", watch.keys_lost)
        });
        for user in self.users.clone() {
            let Some(cookie) = self.world.browsers[user].jar.get(COOKIE).cloned() else {
                continue;
            };
            let presented = self.world.reading(&cookie).unwrap();
            let isolate = self.isolate();
            let visit = self.world.call(user, isolate);
            self.world.answer_all();
            let given = self.world.visits[visit].given.clone().unwrap();
            if given.is_served() {
                self.kept += 1;
            } else if given.status == 401 && !given.lacks_proof() {
                // The oracle has already checked that the session was allowed to end.
            } else {
                let is_lost = given.lacks_proof() && !self.world.has_key_of(user, &presented);
                Invariant::Recovery.holds_if(is_lost || !self.world.is_honored(&presented), || {
                    format!("visit {visit} got {} {}", given.status, given.body)
                });
            }
        }
    }
}
