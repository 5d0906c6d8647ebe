//! A small world in which a search or a test chooses each step: a few isolates with one coordinator and one provider.
//! The session's access token has expired, and its browser has sent requests to all isolates.
//!
//! Operations take no time, so each one that is due may be next. Time passes only when nothing is due. Each step has a
//! name that is the same in every order: the isolate, the kind of step, and its number among the isolate's steps of this
//! kind. `cargo xtask explore --isolates` tries every order of the steps, and prints the order that breaks a rule as a
//! test.

use std::collections::BTreeMap;
use std::fmt;

use super::invariants::Invariant;
use super::provider::Endpoint;
use super::{Setup, Site, Todo, VisitId, World};
use edge::{Effect, Reply};

/// What a small world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub isolates: usize,
    /// The number of requests.
    pub requests: usize,
    /// The number of faults that may happen: an isolate ends.
    pub faults: usize,
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
    Reply(Answer),
    /// The response arrives at its browser.
    Given,
    /// Something that the browser or the platform does on its own.
    Other,
}

/// Results of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
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

/// An entry of the agenda. Entries of a kind are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub isolate: usize,
    pub kind: Kind,
    pub which: u32,
}

impl Name {
    pub const fn of(isolate: usize, kind: Kind, which: u32) -> Self {
        Self {
            isolate,
            kind,
            which,
        }
    }
}

/// A step of a small world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Runs(Name),
    /// An isolate ends, and another one starts in its place.
    Ends(usize),
    /// The user signs out at this isolate.
    LogsOut(usize),
}

impl Step {
    /// Returns the index of the isolate whose step this is.
    pub const fn isolate(self) -> usize {
        match self {
            Self::Runs(name) => name.isolate,
            Self::Ends(isolate) | Self::LogsOut(isolate) => isolate,
        }
    }

    /// Returns true if the step reads or changes what isolates share: the coordinator, what the provider knows, or the
    /// browser's cookies.
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Ends(_) | Self::LogsOut(_) => true,
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
        // An API asks nobody.
        Site::Api => false,
    }
}

pub struct Small {
    pub world: World,
    browser: usize,
    /// The names of the entries of the agenda.
    names: BTreeMap<u64, Name>,
    /// The number of entries that have names.
    named: u64,
    /// The number of entries of each kind that each isolate has had.
    begun: BTreeMap<(usize, Kind), u32>,
    faults_left: usize,
    may_log_out: bool,
    /// True if nothing can end the session.
    is_undisturbed: bool,
}

impl Small {
    pub fn new(extent: Extent) -> Self {
        let apart = if extent.has_clocks_apart { 10_000 } else { 0 };
        let mut world = World::new(Setup {
            isolates: extent.isolates,
            skews: (0..extent.isolates).map(|i| apart * i as i64).collect(),
            ..Setup::default()
        });
        world.provider.lifetime = 20_000;
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
            may_log_out: extent.logs_out,
            is_undisturbed: extent.faults == 0 && !extent.logs_out,
        };
        small.name();
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
            let which = self.begun.entry((isolate, kind)).or_default();
            *which += 1;
            self.names.insert(id, Name::of(isolate, kind, *which));
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
        let Some(((first, _), _)) = self.world.agenda.first_key_value() else {
            panic!("a request waits for nothing");
        };
        let due = self.world.agenda.range((*first, 0)..=(*first, u64::MAX));
        let mut steps: Vec<Step> = due.map(|((_, id), _)| Step::Runs(self.names[id])).collect();
        if self.faults_left > 0 {
            steps.extend((0..self.world.isolates.len()).map(Step::Ends));
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
            Step::Runs(name) => {
                let found = self.names.iter().find(|(_, other)| **other == name);
                let (id, _) = found.unwrap_or_else(|| panic!("{name} is not due"));
                self.world.step_of(*id);
            }
            Step::Ends(isolate) => {
                self.faults_left -= 1;
                self.world.kill(isolate);
            }
            Step::LogsOut(isolate) => {
                self.may_log_out = false;
                self.world.log_out(self.browser, isolate);
            }
        }
        self.name();
    }

    /// Returns the entries of the agenda, each with its time.
    pub fn in_flight(&self) -> impl Iterator<Item = (Name, u64)> {
        let entries = self.world.agenda.keys();
        entries.map(|(at, id)| (self.names[id], *at))
    }

    /// Returns the faults and the logout that may still happen.
    pub const fn left(&self) -> (usize, bool) {
        (self.faults_left, self.may_log_out)
    }

    /// Checks the rules that hold when all requests have their responses: each isolate serves the session, unless it has
    /// ended. The world's other rules say when it may end.
    pub fn end(mut self) {
        self.world.answer_all();
        for isolate in 0..self.world.isolates.len() {
            let call = self.world.call(self.browser, isolate);
            self.world.answer_all();
            let given = self.world.visits[call].given.as_ref();
            let is_served = given.is_some_and(super::Given::is_served);
            Invariant::Recovery
                .holds_if(is_served || !self.is_undisturbed, || format!("{given:?}"));
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

const fn answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Opened(_) => Answer::Opened,
        Reply::Sealed(_) => Answer::Sealed,
        Reply::Entries { .. } => Answer::Entries,
        Reply::Swapped(_) => Answer::Swapped,
        Reply::Appended(_) => Answer::Appended,
        Reply::Waited => Answer::Waited,
        Reply::Noticed => Answer::Noticed,
        Reply::Sent(_) => Answer::Sent,
        Reply::Pending => Answer::Pending,
        Reply::Verified(_) => Answer::Verified,
        Reply::Signed(_) => Answer::Signed,
        Reply::Key(_) => Answer::Key,
        Reply::Connected(_) => Answer::Connected,
        Reply::Body(_) => Answer::Body,
        Reply::Head(_) => Answer::Head,
        Reply::Failed(_) => Answer::Failed,
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

    /// Runs this entry of the agenda next.
    fn step_of(&mut self, id: u64) {
        let found = self.agenda.keys().find(|(_, other)| *other == id).copied();
        let (at, _) = found.expect("the entry is on the agenda");
        let todo = self.agenda.remove(&(at, id)).unwrap();
        self.now = self.now.max(at);
        self.agenda.insert((0, 0), todo);
        self.step();
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            isolate,
            kind,
            which,
        } = self;
        match kind {
            Kind::Acts(Site::Provider(endpoint)) => {
                write!(
                    f,
                    "isolate {isolate}: {endpoint:?} {which}, at the provider"
                )
            }
            Kind::Acts(site) => write!(f, "isolate {isolate}: {site:?} {which}, at its server"),
            Kind::Reply(answer) => write!(f, "isolate {isolate}: receives {answer:?} {which}"),
            Kind::Request | Kind::Given | Kind::Other => {
                write!(f, "isolate {isolate}: {kind:?} {which}")
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(name) => name.fmt(f),
            Self::Ends(isolate) => write!(f, "isolate {isolate} ends"),
            Self::LogsOut(isolate) => write!(f, "isolate {isolate}: the user signs out"),
        }
    }
}
