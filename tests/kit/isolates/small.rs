//! A small world in which a search or a test chooses each step: a few isolates with one coordinator and one provider.
//! The session's access token has expired, and its browser has sent requests to all isolates.
//!
//! Operations take no time, so each one that is due may be next. Time passes only when nothing is due. Each step has a
//! name that is the same in every order: the isolate, the kind of step, and its number among the isolate's steps of this
//! kind. `cargo xtask explore --isolates` tries every order of the steps, and prints the order that breaks a rule as a
//! test.

use std::collections::BTreeMap;
use std::fmt;

use super::provider::Endpoint;
use super::watch::LEASE;
use super::{Fault, Setup, Site, Todo, VisitId, World};
use edge::session::record::{Intent, Record};
use edge::{Effect, Reply};

kit::invariants! {
    Served = "isolates_served",
        "without faults, each isolate serves the session until its user signs out";
    Committed = "isolates_committed",
        "a request continues with tokens from the session's record, unless the coordinator fails";
    Yields = "isolates_yields",
        "no isolate replaces an intent of another one before that lease is over";
}

/// How long a paused isolate stands still, in milliseconds: as long as a lease, so that another isolate takes it over in the
/// same moment.
const PAUSE: u64 = LEASE;

/// The size of a small world, and what may happen in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub isolates: usize,
    /// The number of requests.
    pub requests: usize,
    /// The number of faults that may happen: an isolate ends, or a request or a response is lost.
    pub faults: usize,
    /// The number of times that the process of an isolate may stand still.
    pub pauses: usize,
    /// True if the provider accepts a consumed refresh token once more, with another successor.
    pub has_leeway: bool,
    /// True if the user may sign out at any moment.
    pub logs_out: bool,
    /// True if the clocks of the isolates are 10 s apart.
    pub has_clocks_apart: bool,
}

impl Extent {
    /// Two isolates, each with one request, without faults.
    pub const BASE: Self = Self {
        isolates: 2,
        requests: 2,
        faults: 0,
        pauses: 0,
        has_leeway: false,
        logs_out: false,
        has_clocks_apart: false,
    };
}

/// Kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The isolate reads a request.
    Request,
    /// An operation takes effect at its server.
    Acts(Site),
    /// The result of an operation arrives at the isolate.
    Reply(ReplyKind),
    /// The response arrives at its browser.
    Given,
    /// Something that the browser or the platform does on its own.
    Other,
}

/// Kinds of replies to the operations of an isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplyKind {
    Opened,
    Sealed,
    Entries,
    Swapped,
    Appended,
    Waited,
    Noticed,
    Sent,
    Pending,
    Verified,
    Signed,
    Key,
    Connected,
    Body,
    Head,
    Failed,
}

impl ReplyKind {
    /// Returns true if the host computes such a result by itself. It belongs to the step before it, since nothing shared
    /// has a part in it.
    const fn is_own(self) -> bool {
        match self {
            Self::Opened
            | Self::Sealed
            | Self::Verified
            | Self::Signed
            | Self::Key
            | Self::Connected
            | Self::Body
            | Self::Appended => true,
            Self::Entries
            | Self::Swapped
            | Self::Waited
            | Self::Noticed
            | Self::Sent
            | Self::Pending
            | Self::Head
            | Self::Failed => false,
        }
    }
}

/// An entry of the agenda. Entries of a kind are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub isolate: usize,
    pub kind: Kind,
    pub number: u32,
}

impl Name {
    pub const fn of(isolate: usize, kind: Kind, number: u32) -> Self {
        Self {
            isolate,
            kind,
            number,
        }
    }
}

/// A step of a small world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Runs(Name),
    /// A request never arrives at its server.
    Loses(Name),
    /// A server acts, and its response is lost.
    Cuts(Name),
    /// An isolate ends, and another one starts in its place.
    Ends(usize),
    /// The process of an isolate stands still, for longer than a lease.
    Pauses(usize),
    /// The user signs out at this isolate.
    LogsOut(usize),
}

impl Step {
    /// Returns the index of the isolate whose step this is.
    pub const fn isolate(self) -> usize {
        match self {
            Self::Runs(name) | Self::Loses(name) | Self::Cuts(name) => name.isolate,
            Self::Ends(isolate) | Self::Pauses(isolate) | Self::LogsOut(isolate) => isolate,
        }
    }

    /// Returns true if the step reads or changes what isolates share: the coordinator, what the provider knows, or the
    /// browser's cookies.
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Loses(_) | Self::Cuts(_) | Self::Ends(_) | Self::Pauses(_) | Self::LogsOut(_) => {
                true
            }
            Self::Runs(name) => match name.kind {
                Kind::Request | Kind::Reply(_) => false,
                Kind::Acts(site) => is_shared(site),
                Kind::Given | Kind::Other => true,
            },
        }
    }
}

const fn is_shared(site: Site) -> bool {
    match site {
        Site::Read | Site::Swap | Site::Wait => true,
        // These documents do not change in a small world.
        Site::Provider(Endpoint::Discovery | Endpoint::Probe | Endpoint::Keys) => false,
        Site::Provider(
            Endpoint::Exchange
            | Endpoint::Refresh
            | Endpoint::Revoke
            | Endpoint::Profile
            | Endpoint::Push
            | Endpoint::AskDevice
            | Endpoint::PollDevice,
        ) => true,
        // An API sends no request to another server.
        Site::Api => false,
    }
}

pub struct SmallWorld {
    pub world: World,
    browser: usize,
    /// The names of the entries of the agenda.
    names: BTreeMap<u64, Name>,
    /// The number of entries that have names.
    named: u64,
    /// The number of entries of each kind that each isolate has had.
    begun: BTreeMap<(usize, Kind), u32>,
    faults_left: usize,
    pauses_left: usize,
    may_log_out: bool,
    has_faults: bool,
    has_signed_out: bool,
}

impl SmallWorld {
    pub fn new(extent: Extent) -> Self {
        let apart = if extent.has_clocks_apart { 10_000 } else { 0 };
        let mut world = World::new(Setup {
            isolates: extent.isolates,
            skews: (0..extent.isolates).map(|i| apart * i as i64).collect(),
            ..Setup::default()
        });
        world.provider.lifetime = 20_000;
        if extent.has_leeway {
            world.provider.leeway = 60_000;
            world.provider.gives_other_successors();
        }
        world.weather.is_instant = true;
        let browser = world.signed_in("alice", 0);
        world.pass(21_000);
        world.agenda.clear();
        let named = world.entries;
        for request in 0..extent.requests {
            world.call(browser, request % extent.isolates);
        }
        let mut small = Self {
            world,
            browser,
            names: BTreeMap::new(),
            named,
            begun: BTreeMap::new(),
            faults_left: extent.faults,
            pauses_left: extent.pauses,
            may_log_out: extent.logs_out,
            has_signed_out: false,
            has_faults: extent.faults + extent.pauses > 0,
        };
        small.settle();
        small
    }

    /// Names the entries that the last step has added to the agenda, and forgets those that are over.
    fn name(&mut self) {
        let world = &self.world;
        let new = world.agenda.iter().filter(|((_, id), _)| *id > self.named);
        let mut new: Vec<_> = new
            .map(|((_, id), todo)| (*id, world.owner(todo), kind(world, todo)))
            .collect();
        new.sort_unstable();
        for (id, isolate, kind) in new {
            let number = self.begun.entry((isolate, kind)).or_default();
            *number += 1;
            self.names.insert(id, Name::of(isolate, kind, *number));
        }
        self.named = world.entries;
        let kept: Vec<u64> = world.agenda.keys().map(|(_, id)| *id).collect();
        self.names.retain(|id, _| kept.contains(id));
    }

    /// Returns the steps that may be next: the entries of the agenda that are due first.
    pub fn options(&self) -> Vec<Step> {
        if !self.world.is_busy() {
            return Vec::new();
        }
        let mut steps: Vec<Step> = self.due().map(|id| Step::Runs(self.names[&id])).collect();
        assert!(!steps.is_empty(), "a request waits for nothing");
        if self.faults_left > 0 {
            for i in 0..steps.len() {
                if let Step::Runs(name) = steps[i]
                    && let Kind::Acts(_) = name.kind
                {
                    steps.extend([Step::Loses(name), Step::Cuts(name)]);
                }
            }
            steps.extend((0..self.world.isolates.len()).map(Step::Ends));
        }
        if self.pauses_left > 0 {
            steps.extend((0..self.world.isolates.len()).map(Step::Pauses));
        }
        if self.may_log_out {
            steps.extend((0..self.world.isolates.len()).map(Step::LogsOut));
        }
        steps
    }

    /// Takes a step. The step must be one of [`Self::options`].
    #[track_caller]
    pub fn take(&mut self, step: Step) {
        match step {
            Step::Runs(name) => self.run(name),
            Step::Loses(name) => {
                self.faults_left -= 1;
                let place = self.place_of(name);
                self.world.agenda.remove(&place);
            }
            Step::Cuts(name) => {
                self.faults_left -= 1;
                let place = self.place_of(name);
                if let Some(Todo::Act { fault, .. }) = self.world.agenda.get_mut(&place) {
                    *fault = Some(Fault::LostAfter);
                }
                self.run(name);
            }
            Step::Ends(isolate) => {
                self.faults_left -= 1;
                self.world.kill(isolate);
            }
            Step::Pauses(isolate) => {
                self.pauses_left -= 1;
                self.world.stop(isolate, PAUSE);
            }
            Step::LogsOut(isolate) => {
                self.may_log_out = false;
                self.has_signed_out = true;
                self.world.log_out(self.browser, isolate);
            }
        }
        self.settle();
    }

    /// Delivers what hosts compute by themselves.
    fn settle(&mut self) {
        self.name();
        while let Some(name) = self.own_result() {
            self.run(name);
            self.name();
        }
    }

    /// Returns the first result that is due and that a host computes by itself.
    fn own_result(&self) -> Option<Name> {
        let mut due = self.due().map(|id| self.names[&id]);
        due.find(|name| matches!(name.kind, Kind::Reply(answer) if answer.is_own()))
    }

    /// Returns the entries of the agenda that are due first.
    fn due(&self) -> impl Iterator<Item = u64> {
        let first = self.world.agenda.keys().next().map_or(0, |(at, _)| *at);
        let due = self.world.agenda.range((first, 0)..=(first, u64::MAX));
        due.map(|((_, id), _)| *id)
    }

    /// Runs an entry of the agenda.
    #[track_caller]
    fn run(&mut self, name: Name) {
        let place = self.place_of(name);
        let todo = self.world.agenda.remove(&place).unwrap();
        if let Todo::Act { visit, effect, .. } = &todo {
            match &**effect {
                Effect::Forward(forward) => {
                    self.check_token(*visit, forward.authorization.expose());
                }
                Effect::Swap {
                    key,
                    version,
                    value,
                    ..
                } => self.check_intent(key, version.as_deref(), value),
                _ => {}
            }
        }
        self.world.now = self.world.now.max(place.0);
        self.world.agenda.insert((0, 0), todo);
        self.world.step();
    }

    /// Checks the access token of a request to an API.
    fn check_token(&self, visit: VisitId, authorization: &str) {
        let (_, token) = authorization.split_once(' ').unwrap_or_default();
        let isolate = self.world.visits[visit].isolate;
        let mut its = self
            .world
            .visits
            .iter()
            .filter(|visit| visit.isolate == isolate);
        let has_failed = its.any(|visit| visit.coordinator_failed);
        let is_stored = self.world.watch.was_stored(token);
        Invariant::Committed.holds_if(is_stored || has_failed, || format!("visit {visit}"));
    }

    /// Checks the intent in a record that is about to be written.
    fn check_intent(&self, key: &str, version: Option<&str>, value: &str) {
        let world = &self.world;
        let Some(entry) = world.coordinator.read(world.now, key) else {
            return;
        };
        let intent = |value: &str| Record::from_text(&world.unsealed(value)?)?.intent;
        let (Some(before), Some(after)) = (intent(&entry.value), intent(value)) else {
            return;
        };
        let isolate = |intent: &Intent| intent.holder.split('.').next().map(str::to_owned);
        let is_other = isolate(&before) != isolate(&after) && !before.holder.is_empty();
        let is_over = world.now >= before.written_at + LEASE;
        let is_written = version == Some(&entry.version);
        Invariant::Yields.holds_if(!is_written || !is_other || is_over, || {
            format!("{before:?} is replaced by {after:?}")
        });
    }

    /// Returns the place of an entry on the agenda.
    #[track_caller]
    fn place_of(&self, name: Name) -> (u64, u64) {
        let is_it = |(_, id): &&(u64, u64)| self.names[id] == name;
        let place = self.world.agenda.keys().find(is_it);
        *place.unwrap_or_else(|| panic!("{name} is not due"))
    }

    /// Returns the entries of the agenda, each with its time.
    pub fn in_flight(&self) -> impl Iterator<Item = (Name, u64)> {
        let entries = self.world.agenda.keys();
        entries.map(|(at, id)| (self.names[id], *at))
    }

    /// Returns the faults, the pauses and the logout that may still happen.
    pub const fn left(&self) -> (usize, usize, bool) {
        (self.faults_left, self.pauses_left, self.may_log_out)
    }

    /// Takes these steps, except those that are not possible, and then any steps up to the end. For a test: once the core is
    /// fixed, some steps of an order that broke a rule may no longer exist.
    pub fn follow(mut self, steps: &[Step]) {
        for step in steps {
            if self.options().contains(step) {
                self.take(*step);
            }
        }
        (self.faults_left, self.pauses_left, self.may_log_out) = (0, 0, false);
        while let Some(step) = self.options().first() {
            self.take(*step);
        }
        self.end();
    }

    /// Checks the rules that hold when all requests have their responses. If the user has signed out or something has
    /// failed, the world's own rules say what each isolate responds.
    pub fn end(mut self) {
        self.world.answer_all();
        self.call_each();
        if self.has_signed_out {
            self.world.pass(1000 * (self.world.setup.recheck + 1));
            self.call_each();
        }
    }

    /// Sends a request to each isolate.
    fn call_each(&mut self) {
        let is_undisturbed = !self.has_faults && !self.has_signed_out;
        for isolate in 0..self.world.isolates.len() {
            let call = self.world.call(self.browser, isolate);
            self.world.answer_all();
            let given = self.world.visits[call].given.as_ref();
            let is_served = given.is_some_and(super::Given::is_served);
            Invariant::Served.holds_if(is_served || !is_undisturbed, || format!("{given:?}"));
        }
    }
}

fn kind(world: &World, todo: &Todo) -> Kind {
    match todo {
        Todo::Read(..) => Kind::Request,
        Todo::Act { effect, .. } => Kind::Acts(match &**effect {
            Effect::Read(_) => Site::Read,
            Effect::Swap { .. } => Site::Swap,
            Effect::Wait { .. } => Site::Wait,
            Effect::Send { request, .. } => Site::Provider(world.provider.endpoint_of(request)),
            Effect::Forward(_) => Site::Api,
            effect => panic!("no server acts on {effect:?}"),
        }),
        Todo::Reply { reply, .. } => Kind::Reply(answer(reply)),
        Todo::Given(_) => Kind::Given,
        Todo::GoOn(..)
        | Todo::Register { .. }
        | Todo::Ask(_)
        | Todo::SignIn(_)
        | Todo::GiveUp(_) => Kind::Other,
    }
}

const fn answer(reply: &Reply) -> ReplyKind {
    match reply {
        Reply::Opened(_) => ReplyKind::Opened,
        Reply::Sealed(_) => ReplyKind::Sealed,
        Reply::Entries { .. } => ReplyKind::Entries,
        Reply::Swapped(_) => ReplyKind::Swapped,
        Reply::Appended(_) => ReplyKind::Appended,
        Reply::Waited => ReplyKind::Waited,
        Reply::Noticed => ReplyKind::Noticed,
        Reply::Sent(_) => ReplyKind::Sent,
        Reply::Pending => ReplyKind::Pending,
        Reply::Verified(_) => ReplyKind::Verified,
        Reply::Signed(_) => ReplyKind::Signed,
        Reply::Key(_) => ReplyKind::Key,
        Reply::Connected(_) => ReplyKind::Connected,
        Reply::Body(_) => ReplyKind::Body,
        Reply::Head(_) => ReplyKind::Head,
        Reply::Failed(_) => ReplyKind::Failed,
    }
}

impl World {
    /// Returns the isolate of an entry of the agenda.
    fn owner(&self, todo: &Todo) -> usize {
        let of = |visit: VisitId| self.visits[visit].isolate;
        match todo {
            Todo::GoOn(isolate, _) => *isolate,
            Todo::Read(visit, _)
            | Todo::Act { visit, .. }
            | Todo::Reply { visit, .. }
            | Todo::Given(visit)
            | Todo::GiveUp(visit) => of(*visit),
            Todo::Register { .. } | Todo::Ask(_) | Todo::SignIn(_) => 0,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            isolate,
            kind,
            number,
        } = self;
        match kind {
            Kind::Acts(Site::Provider(endpoint)) => {
                write!(
                    f,
                    "isolate {isolate}: {endpoint:?} {number}, at the provider"
                )
            }
            Kind::Acts(site) => write!(f, "isolate {isolate}: {site:?} {number}, at its server"),
            Kind::Reply(answer) => write!(f, "isolate {isolate}: receives {answer:?} {number}"),
            Kind::Request | Kind::Given | Kind::Other => {
                write!(f, "isolate {isolate}: {kind:?} {number}")
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(name) => name.fmt(f),
            Self::Loses(name) => write!(f, "{name}, which never arrives"),
            Self::Cuts(name) => write!(f, "{name}, and its response is lost"),
            Self::Ends(isolate) => write!(f, "isolate {isolate} ends"),
            Self::Pauses(isolate) => write!(f, "isolate {isolate} stands still"),
            Self::LogsOut(isolate) => write!(f, "isolate {isolate}: the user signs out"),
        }
    }
}
