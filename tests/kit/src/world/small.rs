//! A small world in which a search or a test chooses each step: a few vaults with one store, one lock and one provider.
//! They have read the same stored session, its access token has expired, and each page has sent its calls.
//!
//! Each step has a name that is the same in every order: the vault, the kind of operation, and its number among the
//! vault's operations of this kind. `cargo xtask explore` tries every order of the steps, and prints the order that
//! breaks a rule as a test.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::store::RECORD;
use super::{Endpoint, JobId, Kind, PageResponse, REFRESH, Request, SEALED, World};
use rules::base::clock::Millis;
use rules::codec::json::Object;
use vault::PortId;

crate::invariants! {
    Served = "served",
        "without faults, each vault serves the session until its user signs out";
    SignedOut = "signed_out",
        "after a logout, no vault has the session that the user has ended";
    SignedIn = "signed_in",
        "after a login, each vault that has nothing to do has the session of that login";
}

/// The largest number of steps in which only time passes.
const MOST_TIMERS: usize = 8;

/// The size of a small world, and what may happen in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub vaults: usize,
    /// The number of calls that each page has sent.
    pub calls: usize,
    /// The number of faults that may happen: a refresh, an operation of the store or a call fails, or a worker ends.
    pub faults: usize,
    /// The number of times that so much time may pass that the timer of a vault fires, although operations are in flight.
    pub pauses: usize,
    /// True if the user may sign out at any moment.
    pub logs_out: bool,
    /// True if the user signs in again: the page of the first vault has the provider's response.
    pub logs_in: bool,
}

impl Extent {
    /// Two vaults, each with one call, without faults.
    pub const BASE: Self = Self {
        vaults: 2,
        calls: 1,
        faults: 0,
        pauses: 0,
        logs_out: false,
        logs_in: false,
    };
}

/// An operation of a vault. Operations of a kind are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub vault: usize,
    pub kind: Kind,
    pub number: u32,
}

impl Name {
    pub const fn of(vault: usize, kind: Kind, number: u32) -> Self {
        Self {
            vault,
            kind,
            number,
        }
    }
}

/// A step of a small world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The provider acts on a refresh, or a read of the store takes place. The response stays in flight.
    Acts(Name),
    /// An operation ends, and its vault learns the result.
    Answers(Name),
    /// The response to a request is lost, or the request itself if the provider has not acted.
    Fails(Name),
    /// A worker ends, and its page opens another one.
    Ends(usize),
    /// The user signs out on the page of this vault.
    LogsOut(usize),
    /// The timer of this vault fires, at the earliest time at which a timer is due.
    Timer(usize),
}

impl Step {
    /// Returns the index of the vault whose step this is.
    pub const fn vault(self) -> usize {
        match self {
            Self::Acts(name) | Self::Answers(name) | Self::Fails(name) => name.vault,
            Self::Ends(vault) | Self::LogsOut(vault) | Self::Timer(vault) => vault,
        }
    }

    /// Returns true if the step reads or changes what vaults share: the store, the lock, or what the provider knows.
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Answers(name) => is_shared(name.kind),
            Self::Acts(_) | Self::Fails(_) | Self::Ends(_) | Self::LogsOut(_) | Self::Timer(_) => {
                true
            }
        }
    }
}

/// Returns the name of the user in a session that a page knows.
fn name_in(session: &Object) -> Option<String> {
    let claims = session.get("claims")?.as_object()?;
    Some(claims.str("name")?.to_owned())
}

/// Returns true if such an operation may fail.
const fn may_fail(kind: Kind) -> bool {
    match kind {
        Kind::Provider(_) | Kind::Call | Kind::Store | Kind::Take | Kind::Persist | Kind::Load => {
            true
        }
        Kind::Verify
        | Kind::MakeKey
        | Kind::Lock
        | Kind::LockLost
        | Kind::Changed
        | Kind::Probe
        | Kind::Socket
        | Kind::ResponseBody => false,
    }
}

/// Returns true if the end of such an operation reads or changes what vaults share.
const fn is_shared(kind: Kind) -> bool {
    match kind {
        // The response is only delivered: the provider has acted, or the store was read, in a step of its own.
        Kind::Provider(Endpoint::Refresh) | Kind::Load => false,
        // These documents do not change in a small world.
        Kind::Provider(Endpoint::Discovery | Endpoint::Probe | Endpoint::Keys) => false,
        Kind::Provider(
            Endpoint::Exchange
            | Endpoint::Revoke
            | Endpoint::Profile
            | Endpoint::Push
            | Endpoint::AskDevice
            | Endpoint::PollDevice,
        ) => true,
        Kind::Store | Kind::Take | Kind::Persist | Kind::Lock | Kind::LockLost => true,
        // Keys, pages and bodies belong to one vault. `Changed` was shared when it was sent.
        Kind::Verify | Kind::MakeKey | Kind::Changed | Kind::ResponseBody => false,
        // An API sends no request to another server. Whether it accepts the token shows in the vault's next operations.
        Kind::Call | Kind::Probe | Kind::Socket => false,
    }
}

struct Operation {
    id: JobId,
    name: Name,
    has_acted: bool,
}

pub struct SmallWorld {
    pub world: World,
    extent: Extent,
    /// The page of each vault.
    pages: Vec<PortId>,
    operations: Vec<Operation>,
    /// The number of operations of each kind that each vault has begun.
    begun: BTreeMap<(usize, Kind), u32>,
    faults_left: usize,
    pauses_left: usize,
    may_log_out: bool,
    /// The name of the user in the session that the user has ended.
    signed_out: Option<String>,
    timers: usize,
}

impl SmallWorld {
    pub fn new(extent: Extent) -> Self {
        let mut world = World::with(SEALED);
        for _ in 1..extent.vaults {
            world.add_vault();
        }
        world.spreads_hints = true;
        let mut pages = vec![world.open_in(0)];
        world.sign_in(pages[0]);
        for vault in 1..extent.vaults {
            pages.push(world.open_in(vault));
        }
        world.answer_all();
        world.expire_access_token();
        let response = extent.logs_in.then(|| {
            let url = world.begin_login(pages[0], "popup");
            world.provider.sign_in(&url)
        });
        world.new_jobs();
        if let Some(response) = response {
            world.callback(pages[0], &response);
        }
        for _ in 0..extent.calls {
            for page in &pages {
                world.fetch(*page, "/orders");
            }
        }
        Self {
            world,
            extent,
            pages,
            operations: Vec::new(),
            begun: BTreeMap::new(),
            faults_left: extent.faults,
            pauses_left: extent.pauses,
            signed_out: None,
            may_log_out: extent.logs_out,
            timers: 0,
        }
        .named()
    }

    /// Names the operations that vaults have begun since the last step, and forgets those that have ended.
    fn name(&mut self) {
        for (id, kind) in self.world.new_jobs() {
            let vault = self.world.vault_of(id).unwrap();
            let number = self.begun.entry((vault, kind)).or_default();
            *number += 1;
            self.operations.push(Operation {
                id,
                name: Name::of(vault, kind, *number),
                has_acted: false,
            });
        }
        let world = &self.world;
        self.operations
            .retain(|one| world.kind_of(one.id).is_some());
    }

    fn named(mut self) -> Self {
        self.name();
        self
    }

    /// Returns the steps that may be next.
    pub fn options(&self) -> Vec<Step> {
        let mut steps = self.options_now();
        let may_wait = self.timers < MOST_TIMERS && self.is_waiting();
        if steps.is_empty() && may_wait || !steps.is_empty() && self.pauses_left > 0 {
            let due = |vault| Some((self.world.tick_due(vault)?, vault));
            let first = (0..self.pages.len()).filter_map(due).min();
            steps.extend(first.map(|(_, vault)| Step::Timer(vault)));
        }
        steps
    }

    /// Returns the steps that may be next if no time passes.
    fn options_now(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for one in &self.operations {
            if self.world.waits_for_lock(one.id) {
                continue;
            }
            let has_parts = matches!(one.name.kind, REFRESH | Kind::Load);
            steps.push(match has_parts && !one.has_acted {
                true => Step::Acts(one.name),
                false => Step::Answers(one.name),
            });
            if self.faults_left > 0 && may_fail(one.name.kind) {
                steps.push(Step::Fails(one.name));
            }
        }
        if self.faults_left > 0 {
            let is_busy =
                |vault: &usize| self.operations.iter().any(|one| one.name.vault == *vault);
            steps.extend((0..self.pages.len()).filter(is_busy).map(Step::Ends));
        }
        if self.may_log_out && self.world.session(self.pages[0]).is_some() {
            steps.push(Step::LogsOut(0));
        }
        steps
    }

    /// Returns true if an operation has not ended, or a page waits for a response.
    fn is_waiting(&self) -> bool {
        !self.operations.is_empty() || !self.world.ledger.faults().is_empty()
    }

    /// Takes a step. The step must be one of [`Self::options`].
    #[track_caller]
    pub fn take(&mut self, step: Step) {
        match step {
            Step::Acts(name) => {
                let one = self.place_of(name);
                self.operations[one].has_acted = true;
                self.world.provider_acts(self.operations[one].id);
                self.world.read_now(self.operations[one].id);
            }
            Step::Answers(name) => {
                let one = self.place_of(name);
                self.world.answer_arrives(self.operations[one].id);
            }
            Step::Fails(name) => {
                self.faults_left -= 1;
                let one = self.place_of(name);
                self.fail(name.kind, self.operations[one].id);
            }
            Step::Ends(vault) => {
                self.faults_left -= 1;
                self.world.kill(vault);
                self.pages[vault] = self.world.open_in(vault);
            }
            Step::LogsOut(vault) => {
                self.may_log_out = false;
                self.signed_out = self.world.session(self.pages[vault]).and_then(name_in);
                self.world.logout(self.pages[vault]);
            }
            Step::Timer(vault) => {
                match self.options_now().is_empty() {
                    true => self.timers += 1,
                    false => self.pauses_left -= 1,
                }
                let due = self.world.tick_due(vault).expect("the vault has a timer");
                let wait = due.saturating_sub(self.world.now.monotonic);
                self.world.pass(wait);
                self.world.timer_of(vault, Millis::ZERO);
            }
        }
        self.name();
    }

    /// Lets an operation fail.
    fn fail(&mut self, kind: Kind, id: JobId) {
        let world = &mut self.world;
        if matches!(kind, Kind::Provider(_) | Kind::Call) {
            return world.network_fails(id);
        }
        world.persists = false;
        world.store.is_unavailable = true;
        world.answer_arrives(id);
        world.persists = true;
        world.store.is_unavailable = false;
    }

    #[track_caller]
    fn place_of(&self, name: Name) -> usize {
        let found = self.operations.iter().position(|one| one.name == name);
        found.unwrap_or_else(|| panic!("{name} is not in flight"))
    }

    /// Returns the operations in flight, each with `true` if the provider has acted on it.
    pub fn in_flight(&self) -> impl Iterator<Item = (Name, bool)> {
        self.operations.iter().map(|one| (one.name, one.has_acted))
    }

    /// Returns the faults, the pauses and the logout that may still happen.
    pub const fn left(&self) -> (usize, usize, bool) {
        (self.faults_left, self.pauses_left, self.may_log_out)
    }

    /// Returns numbers that change with each change of what vaults share.
    pub fn shared_changes(&self) -> impl PartialEq + use<> {
        let world = &self.world;
        let provider = &world.provider;
        (
            world.lock_holder(),
            world.lock_takeovers,
            world.store.session_version(RECORD),
            (provider.rotations(), provider.reuses),
            world.announced,
        )
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

    /// Checks the rules that hold when all operations have ended.
    pub fn end(mut self) {
        self.world.provider.repair();
        if self.has_faults() {
            self.world.advance(Duration::from_secs(300));
        }
        if self.faults_left == self.extent.faults {
            self.check_signed_out();
        }
        match self.has_faults() {
            true => self.check_recovery(),
            false => self.check_pages(),
        }
        self.world.check_end();
    }

    /// Checks that no page has the session that the user has ended.
    fn check_signed_out(&self) {
        for page in &self.pages {
            let name = self.world.session(*page).and_then(name_in);
            let is_over = name.is_some() && name == self.signed_out;
            Invariant::SignedOut.holds_if(!is_over, || format!("{page:?} has {name:?}"));
        }
    }

    /// Returns true if operations may have failed, or wait for a timer.
    const fn has_faults(&self) -> bool {
        self.extent.faults + self.extent.pauses > 0 || self.timers > 0
    }

    /// Checks that each session works again, or that its page learns of its end. The world's own rules say when a session
    /// may end.
    fn check_recovery(&mut self) {
        for page in self.pages.clone() {
            if self.world.session(page).is_none() {
                continue;
            }
            let call = self.world.fetch(page, "/orders");
            self.world.advance(Duration::from_secs(120));
            match self.world.session(page) {
                Some(_) => self.check_served(call),
                None => assert!(
                    self.world.response(call).is_some(),
                    "the call has no response"
                ),
            }
        }
    }

    /// Checks what each page has without faults.
    fn check_pages(&mut self) {
        let is_over = self.signed_out.is_some();
        for page in self.pages.clone() {
            let session = self.world.session(page).is_some();
            Invariant::Served.holds_if(session || is_over, || format!("{page:?}"));
            if !session {
                continue;
            }
            if self.extent.logs_in && !is_over {
                let name = self.world.session(page).and_then(name_in);
                let newest = self.world.provider.newest_family().to_string();
                let is_its = name.as_deref() == Some(&newest);
                Invariant::SignedIn.holds_if(is_its, || format!("{page:?} has {name:?}"));
            }
            let call = self.world.fetch(page, "/orders");
            self.world.answer_all();
            self.check_served(call);
        }
    }

    fn check_served(&self, call: Request) {
        let response = self.world.response(call);
        let is_served = matches!(response, Some(PageResponse::Head { status: 200, .. }));
        Invariant::Served.holds_if(is_served, || format!("{response:?}"));
    }

    /// Drops the world without the checks of its end.
    pub fn discard(mut self) {
        self.world.has_ended = true;
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vault,
            kind,
            number,
        } = self;
        match kind {
            Kind::Provider(endpoint) => write!(f, "vault {vault}: {endpoint:?} {number}"),
            kind => write!(f, "vault {vault}: {kind:?} {number}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acts(name) => write!(f, "{name} takes effect"),
            Self::Answers(name) => write!(f, "{name}"),
            Self::Fails(name) => write!(f, "{name} fails"),
            Self::Ends(vault) => write!(f, "vault {vault}: its worker ends"),
            Self::LogsOut(vault) => write!(f, "vault {vault}: the user signs out"),
            Self::Timer(vault) => write!(f, "vault {vault}: its timer fires"),
        }
    }
}
