//! Everything around a vault: clocks, entropy, pages, provider, API and store, in virtual time.
//!
//! What the vault asks for waits in a queue. [`World::settle`] answers it in order; a test that wants
//! another order [holds](World::hold) some kinds back, lets the provider [act](World::act) on a
//! request before its answer arrives, and answers the rest one by one. What must hold in any world is
//! checked when the world ends.

pub(crate) mod api;
pub(crate) mod dice;
pub(crate) mod dpop;
mod elapsed;
pub(crate) mod invariants;
pub(crate) mod kept;
pub(crate) mod ledger;
pub(crate) mod page;
mod proof;
pub(crate) mod provider;
pub(crate) mod reply;
#[allow(dead_code, reason = "not every test that has the world needs the list")]
pub(crate) mod request_headers;
pub(crate) mod rules;
pub(crate) mod sockets;
pub(crate) mod store;
pub(crate) mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strongroom::Secret;
use strongroom::base::clock::{Instant, Millis, UnixMillis};
use strongroom::base::http::{HttpRequest, Outcome};
use strongroom::codec::json::{Object, Value};
use strongroom::config::Config;
use strongroom::oauth::dpop::UnsignedProof;
use strongroom::vault::{
    ApiRequest, Body, CallId, Hint, Input, Loaded, News, OpId, Output, PortId, Taken, Vault,
};

pub(crate) use api::API;
use dice::Dice;
use elapsed::Since;
use invariants::{Invariant, Watch, in_words};
use kept::Record;
use ledger::Ledger;
use page::Page;
pub(crate) use page::{Answer, Request};
pub(crate) use provider::params;
pub(crate) use provider::{Endpoint, Fault, Flaw};
use provider::{Provider, form_of};
use store::Store;
use witness::Witness;

/// The moment at which worlds begin.
const BEGINNING: Instant = Instant {
    monotonic: Millis::from_secs(5),
    wall: 1_800_000_000_000,
};

/// A network is no slower than this unless something is wrong.
const PROMPT: Millis = Millis::from_secs(1);

/// What the vault asks its host for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Provider(Endpoint),
    Store,
    Take,
    Verify,
    MakeKey,
    Persist,
    Load,
    Lock,
    /// Another vault has changed the store.
    Changed,
    Call,
    /// The handshake without a token that shows whether the worker's policy allows a socket.
    Probe,
    /// The handshake of a socket.
    Socket,
    /// The body of an answer, on its way to the page.
    ResponseBody,
}

pub(crate) const EXCHANGE: Kind = Kind::Provider(Endpoint::Exchange);
pub(crate) const REFRESH: Kind = Kind::Provider(Endpoint::Refresh);
pub(crate) const PROBE: Kind = Kind::Provider(Endpoint::Probe);
pub(crate) const REVOKE: Kind = Kind::Provider(Endpoint::Revoke);
pub(crate) const KEYS: Kind = Kind::Provider(Endpoint::Keys);
pub(crate) const DISCOVERY: Kind = Kind::Provider(Endpoint::Discovery);

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Asked(Kind),
    Answered(Kind),
    /// A page got a message of this type.
    Told(PortId, String),
}

/// Something that the vault asked its host for; never used twice.
pub(crate) type JobId = u32;

struct Job {
    id: JobId,
    /// Whose request it is.
    vault: usize,
    kind: Kind,
    asked_at: Instant,
    /// When the provider acted.
    acted_at: Option<Instant>,
    task: Task,
    /// What the provider answered, once it has acted.
    outcome: Option<Outcome>,
    /// No answer will come.
    is_silent: bool,
    /// The response is not the provider's: a service worker had it.
    is_from_cache: bool,
    /// A refresh has just been answered: a probe is for its sake, and not for a login's.
    is_after_refresh: bool,
}

enum Task {
    /// With its proof, if it has one.
    Send(OpId, HttpRequest, Option<String>),
    MakeKey(OpId),
    Store(OpId, String, Secret, Option<dpop::Named>),
    Take(OpId, String),
    Verify {
        op: OpId,
        jwk: String,
        signing_input: Secret,
        signature: Vec<u8>,
    },
    Persist(OpId, Option<Secret>, Option<dpop::Named>),
    /// With what was read already, if it was, and what the account of it is.
    Load(OpId, Option<(Loaded, Option<Record>)>),
    Lock(OpId),
    Changed,
    Hinted(Hint),
    /// With its proof, if it has one; without one that it should have, it is not sent.
    Call(CallId, Box<ApiRequest>, Option<String>),
    Probe(CallId),
    Socket(CallId),
    ResponseBody(CallId),
}

/// A request of a page for an API, and how it is made.
pub(crate) struct Fetch<'a> {
    pub(crate) url: &'a str,
    pub(crate) method: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) background: bool,
    pub(crate) body: Body,
}

impl Default for Fetch<'_> {
    fn default() -> Self {
        Self {
            url: "https://api.example.com/v1/orders",
            method: "GET",
            headers: &[],
            background: false,
            body: Body::Replayable,
        }
    }
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) provider: Provider,
    pub(crate) store: Store,
    /// Whether successors can be made durable.
    pub(crate) persists: bool,
    /// Documents by their addresses, if a service worker has those that the network fails to bring.
    pub(crate) service_worker: Option<BTreeMap<String, Outcome>>,
    /// The response to a refresh is being handled.
    answers_refresh: bool,
    /// True if the device knows that it is offline when the network fails.
    pub(crate) knows_offline: bool,
    pub(crate) events: Vec<Event>,
    moments: Vec<(Kind, Duration)>,
    pub(crate) ledger: Ledger,
    pub(crate) witness: Witness,
    pub(crate) watch: Watch,
    /// What happened, for people: nothing is written unless somebody wants to read it.
    pub(crate) story: Option<Vec<String>>,
    /// Usually one; the others have the same store.
    vaults: Vec<Vault>,
    /// Whose turn it is.
    turn: usize,
    /// Which vault has the lock over the store.
    lock: Option<usize>,
    /// A vault that got the lock and does not know yet: it is frozen.
    granted: Option<JobId>,
    /// By how much the monotonic clock of each vault's worker is ahead of the world's: it begins with the
    /// worker.
    ahead: Vec<u64>,
    /// Which vault a page is connected to.
    homes: BTreeMap<PortId, usize>,
    config: String,
    /// Whether tokens are to be bound to a key.
    is_bound: bool,
    /// Of the vault's random numbers.
    last_seed: u64,
    /// The time where the provider is: the device's may be wrong.
    pub(crate) true_time: UnixMillis,
    /// By how many milliseconds the API's clock is ahead of the provider's.
    pub(crate) api_ahead: i64,
    pages: BTreeMap<PortId, Page>,
    gone: BTreeSet<PortId>,
    /// The pages that were greeted and are not gone.
    greeted: BTreeSet<PortId>,
    /// The pages that the vault let go of, in order.
    closed: Vec<PortId>,
    /// Whose session it is, as each page was last told.
    told_user: BTreeMap<PortId, String>,
    /// When the session began, as each page was last told.
    told_beginning: BTreeMap<PortId, Option<u64>>,
    /// Whose session it was when pages asked for something.
    asked_as: BTreeMap<Request, Option<String>>,
    jobs: Vec<Job>,
    last_job: JobId,
    /// The last job that [`Self::new_jobs`] told of.
    announced: JobId,
    held: BTreeSet<Kind>,
    /// Which page waits for which call.
    calls: BTreeMap<CallId, Request>,
    /// The addresses that pages asked for.
    urls: BTreeMap<Request, String>,
    /// A call that is the user's doing and is being handed to the vault.
    touching: Option<Request>,
    /// Calls that were answered with a 401.
    refused: BTreeSet<CallId>,
    /// Whether one of them was sent again with a new token, and answered with another 401.
    pub(crate) has_refused_renewed: bool,
    /// Headers and tokens of the calls, as the API saw them.
    pub(crate) seen_by_api: Vec<ApiRequest>,
    /// The private keys of each vault's worker.
    pub(crate) keys: Vec<dpop::Keys>,
    /// Whether the platform can make some.
    pub(crate) makes_keys: bool,
    /// What APIs want of proofs, by their addresses.
    pub(crate) checkers: BTreeMap<&'static str, dpop::Checker>,
    pub(crate) sockets: sockets::Sockets,
    sent: BTreeMap<Endpoint, Vec<String>>,
    last_port: PortId,
    last_call: CallId,
    has_ended: bool,
    pub(crate) reads_early: bool,
    held_in: Vec<(usize, Kind)>,
    delayed: BTreeSet<JobId>,
    /// True if hints reach the other vaults by themselves.
    pub(crate) spreads_hints: bool,
    /// Hints that vaults have posted, with the number of the vault.
    pub(crate) hints: Vec<(usize, Hint)>,
    /// Vaults that have stopped.
    pub(crate) stopped: BTreeSet<usize>,
    /// How often the key in escrow was handed over.
    pub(crate) hand_overs: u32,
    /// Vaults whose pages are frozen: nothing reaches them.
    frozen: BTreeSet<usize>,
    /// Writes that land though they are given up.
    land_late: BTreeSet<JobId>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("{}")
    }

    /// A world whose configuration has these members, in place of or beside the usual ones.
    pub(crate) fn with(changes: &str) -> Self {
        Self::seeded(changes, 1)
    }

    /// A world with other random numbers.
    pub(crate) fn seeded(changes: &str, seed: u64) -> Self {
        let config = configuration(changes);
        let mut provider = Provider::new();
        provider.names_families = parse(&config).keeps;
        Self {
            now: BEGINNING,
            provider,
            store: Store::default(),
            persists: true,
            events: Vec::new(),
            moments: Vec::new(),
            ledger: Ledger::default(),
            witness: Witness::default(),
            watch: Watch::new(parse(&config).limits, parse(&config).keeps),
            story: None,
            vaults: vec![vault(&config, seed)],
            turn: 0,
            lock: None,
            granted: None,
            ahead: vec![ahead(&config, &BEGINNING)],
            homes: BTreeMap::new(),
            is_bound: parse(&config).dpop,
            config,
            last_seed: seed,
            true_time: BEGINNING.wall,
            api_ahead: 0,
            service_worker: None,
            answers_refresh: false,
            knows_offline: false,
            pages: BTreeMap::new(),
            gone: BTreeSet::new(),
            greeted: BTreeSet::new(),
            closed: Vec::new(),
            told_user: BTreeMap::new(),
            told_beginning: BTreeMap::new(),
            asked_as: BTreeMap::new(),
            jobs: Vec::new(),
            last_job: 0,
            announced: 0,
            held: BTreeSet::new(),
            calls: BTreeMap::new(),
            urls: BTreeMap::new(),
            touching: None,
            refused: BTreeSet::new(),
            has_refused_renewed: false,
            seen_by_api: Vec::new(),
            keys: vec![dpop::Keys::default()],
            makes_keys: true,
            checkers: BTreeMap::new(),
            sockets: sockets::Sockets::default(),
            sent: BTreeMap::new(),
            last_port: 0,
            last_call: 0,
            has_ended: false,
            reads_early: false,
            held_in: Vec::new(),
            delayed: BTreeSet::new(),
            spreads_hints: false,
            hints: Vec::new(),
            stopped: BTreeSet::new(),
            hand_overs: 0,
            frozen: BTreeSet::new(),
            land_late: BTreeSet::new(),
        }
    }

    /// A world with a page that is signed in.
    pub(crate) fn signed_in() -> (Self, PortId) {
        Self::signed_in_with("{}")
    }

    pub(crate) fn signed_in_with(changes: &str) -> (Self, PortId) {
        let mut world = Self::with(changes);
        let page = world.open();
        world.sign_in(page);
        (world, page)
    }

    /// A world with a page that is signed in and whose access token has expired.
    pub(crate) fn expired() -> (Self, PortId) {
        let (mut world, page) = Self::signed_in();
        world.expire_access_token();
        (world, page)
    }

    /// The worker is gone, with all its pages and all it knew, and begins anew.
    pub(crate) fn restart(&mut self) {
        self.story(|_| "the worker is killed, and another one starts".to_owned());
        self.kill(0);
    }

    /// A worker is gone, with all its pages and all it knew, and another one starts.
    pub(crate) fn kill(&mut self, which: usize) {
        let homes = &self.homes;
        let its: Vec<PortId> = homes
            .iter()
            .filter(|(_, home)| **home == which)
            .map(|(port, _)| *port)
            .collect();
        for port in &its {
            self.ledger.waive_page(*port);
            self.gone.insert(*port);
        }
        let gone = &self.gone;
        self.calls
            .retain(|_, request| !gone.contains(&request.port));
        self.greeted.retain(|port| !gone.contains(port));
        self.told_beginning.retain(|port, _| !gone.contains(port));
        self.told_user.retain(|port, _| !gone.contains(port));
        let is_rotated = |job: &&Job| job.kind == REFRESH && job.vault == which;
        for job in self.jobs.iter().filter(is_rotated) {
            if let Task::Send(_, request, _) = &job.task {
                self.watch
                    .lost_on_its_way(&form_of(request)["refresh_token"]);
            }
        }
        self.jobs.retain(|job| job.vault != which);
        self.lock = self.lock.filter(|holder| *holder != which);
        self.frozen.remove(&which);
        self.stopped.remove(&which);
        self.watch.killed(which);
        self.last_seed += 1;
        self.vaults[which] = vault(&self.config, self.last_seed);
        self.keys[which].clear();
        self.ahead[which] = ahead(&self.config, &self.now);
    }

    /// The time as this vault's worker reads it.
    fn time_of(&self, vault: usize) -> Instant {
        Instant {
            monotonic: self.now.monotonic + Millis(self.ahead[vault]),
            wall: self.now.wall,
        }
    }

    /// When this vault wants to be woken, by the world's clock.
    pub(crate) fn tick_due(&self, vault: usize) -> Option<Millis> {
        if self.stopped.contains(&vault) {
            return None;
        }
        let due = self.vaults[vault].next_tick(self.time_of(vault))?;
        Some(due.saturating_sub(Millis(self.ahead[vault])))
    }

    /// How many vaults there are.
    pub(crate) fn vaults(&self) -> usize {
        self.vaults.len()
    }

    /// Which vault a page is connected to.
    pub(crate) fn home(&self, port: PortId) -> usize {
        self.homes[&port]
    }

    /// Workers that start from now on have another configuration.
    pub(crate) fn reconfigure(&mut self, changes: &str) {
        self.config = configuration(changes);
        self.is_bound = parse(&self.config).dpop;
    }

    /// Another worker over the same store. Gives its number.
    pub(crate) fn add_vault(&mut self) -> usize {
        self.last_seed += 1;
        self.vaults.push(vault(&self.config, self.last_seed));
        self.ahead.push(ahead(&self.config, &self.now));
        self.keys.push(dpop::Keys::default());
        self.vaults.len() - 1
    }

    // Pages

    /// A page connects and says hello.
    pub(crate) fn open(&mut self) -> PortId {
        self.open_in(0)
    }

    /// A page connects to this vault and says hello.
    pub(crate) fn open_in(&mut self, vault: usize) -> PortId {
        let port = self.connect();
        self.homes.insert(port, vault);
        self.say(port, r#"{"t":"hello","version":1}"#);
        port
    }

    /// Starts the first vault again, in a dedicated worker.
    pub(crate) fn make_dedicated(&mut self) {
        let mut config = parse(&self.config);
        config.is_dedicated = true;
        self.vaults[0] = Vault::new(config, Box::new(Dice::new(self.last_seed)));
    }

    /// Returns what a page was last told of other vaults.
    pub(crate) fn elsewhere(&self, port: PortId) -> Option<bool> {
        self.last_session_message(port)?.get("elsewhere")?.as_bool()
    }

    /// A page that was loaded at this time connects to this vault.
    pub(crate) fn open_loaded_at(&mut self, loaded: u64, vault: usize) -> PortId {
        let port = self.connect();
        self.homes.insert(port, vault);
        let hello = format!(r#"{{"t":"hello","version":1,"loaded":{loaded}}}"#);
        self.say(port, &hello);
        port
    }

    /// A hint reaches this vault, which is not to end its session.
    pub(crate) fn hint(&mut self, vault: usize, hint: Hint) {
        self.turn = vault;
        self.input(Input::Hinted(hint));
    }

    /// A hint reaches this vault, which is to end its session.
    pub(crate) fn hint_of_logout(&mut self, vault: usize, hint: Hint) {
        self.watch.logs_out(vault, self.true_time);
        self.hint(vault, hint);
    }

    /// A page connects and says nothing.
    pub(crate) fn connect(&mut self) -> PortId {
        self.last_port += 1;
        self.pages.insert(self.last_port, Page::default());
        self.homes.insert(self.last_port, 0);
        self.story(|world| format!("page {} connects", world.last_port));
        self.last_port
    }

    /// A page is gone without a word.
    pub(crate) fn leave(&mut self, port: PortId) {
        self.story(|_| format!("page {port} is closed"));
        self.ledger.waive_page(port);
        // Its going may be the input at which a limit is noticed, of which all pages are told.
        self.turn = self.homes[&port];
        self.input(Input::Disconnected { port });
        self.gone.insert(port);
        self.greeted.remove(&port);
    }

    /// A page says something that is no request.
    pub(crate) fn say(&mut self, port: PortId, text: &str) {
        self.say_with_body(port, text, Body::Replayable);
    }

    fn say_with_body(&mut self, port: PortId, text: &str, body: Body) -> CallId {
        self.last_call += 1;
        let call = self.last_call;
        self.turn = self.homes[&port];
        self.input(Input::Message {
            port,
            call,
            text,
            body,
        });
        call
    }

    /// A page asks for something: `members` are those of its message, without `id`.
    pub(crate) fn ask(&mut self, port: PortId, members: &str) -> Request {
        self.ask_with_body(port, members, Body::Replayable)
    }

    fn ask_with_body(&mut self, port: PortId, members: &str, body: Body) -> Request {
        let page = self.pages.get_mut(&port).unwrap();
        page.last_id += 1;
        let request = Request {
            port,
            id: page.last_id,
        };
        self.ask_again(request, members, body);
        request
    }

    /// A page uses the number of a request, whether or not it did so before.
    pub(crate) fn ask_again(&mut self, request: Request, members: &str, body: Body) {
        self.ledger.asked(request);
        let user = self.told_user.get(&request.port).cloned();
        self.asked_as.insert(request, user);
        self.story(|world| {
            let Request { port, id } = request;
            let path = world
                .urls
                .get(&request)
                .and_then(|url| url.strip_prefix(API));
            let path = path.map(|path| [" ", path].concat()).unwrap_or_default();
            let t = type_of(members);
            format!("page {port} asks {id}: {t}{path}")
        });
        let is_activity =
            members.contains(r#""t":"fetch""#) && !members.contains(r#""background":true"#);
        self.touching = is_activity.then_some(request);
        self.calls.insert(self.last_call + 1, request);
        let text = format!(r#"{{"id":{},{members}}}"#, request.id);
        self.say_with_body(request.port, &text, body);
    }

    /// A page no longer wants an answer: `t` is `abort` or `cancel`.
    pub(crate) fn give_up(&mut self, request: Request, t: &str) {
        self.ledger.waive(request);
        let Request { port, id } = request;
        self.story(|_| format!("page {port} gives up request {id}"));
        self.say(port, &format!(r#"{{"t":"{t}","id":{id}}}"#));
    }

    pub(crate) fn login(&mut self, port: PortId, mode: &str) -> Request {
        self.ask(port, &format!(r#""t":"login","mode":"{mode}""#))
    }

    pub(crate) fn callback(&mut self, port: PortId, url: &str) -> Request {
        self.ask(port, &format!(r#""t":"callback","url":"{url}""#))
    }

    pub(crate) fn logout(&mut self, port: PortId) -> Request {
        self.ask(port, r#""t":"logout","provider":false"#)
    }

    /// A page calls an API: `path` begins with `/`.
    pub(crate) fn fetch(&mut self, port: PortId, path: &str) -> Request {
        self.fetch_as(
            port,
            &Fetch {
                url: &[API, path].concat(),
                ..Fetch::default()
            },
        )
    }

    pub(crate) fn fetch_as(&mut self, port: PortId, fetch: &Fetch<'_>) -> Request {
        let id = self.pages[&port].last_id + 1;
        self.urls.insert(Request { port, id }, fetch.url.to_owned());
        self.ask_with_body(port, &fetch_members(fetch), fetch.body)
    }

    /// Whether a call was not refused for what it is.
    fn is_admitted(&self, call: Request) -> bool {
        let refusals = [
            "login_required",
            "message_invalid",
            "limit_exceeded",
            "url_not_allowed",
            "method_not_allowed",
            "header_not_allowed",
        ];
        !matches!(self.answer(call), Some(Answer::Error { code, .. }) if refusals.contains(&code.as_str()))
    }

    /// A login by redirect from its beginning to its end. Gives the callback's request.
    pub(crate) fn sign_in(&mut self, port: PortId) -> Request {
        let url = self.begin_login(port, "redirect");
        let answer = self.provider.sign_in(&url);
        let callback = self.callback(port, &answer);
        self.settle();
        callback
    }

    /// A login up to where the user is at the provider. Gives the authorization request.
    pub(crate) fn begin_login(&mut self, port: PortId, mode: &str) -> String {
        let login = self.login(port, mode);
        self.settle();
        self.address(login)
    }

    // What pages know

    pub(crate) fn page(&self, port: PortId) -> &Page {
        &self.pages[&port]
    }

    /// All answers to a request, in order.
    pub(crate) fn answers(&self, request: Request) -> &[Answer] {
        let answers = self.pages[&request.port].answers.get(&request.id);
        answers.map_or(&[], Vec::as_slice)
    }

    /// The last answer to a request.
    pub(crate) fn answer(&self, request: Request) -> Option<&Answer> {
        self.answers(request).last()
    }

    /// Where a login or logout sends the user.
    pub(crate) fn address(&self, request: Request) -> String {
        match self.answer(request) {
            Some(Answer::Navigate(url) | Answer::Done(Some(url))) => url.clone(),
            other => panic!("no address but {other:?}"),
        }
    }

    /// The status that a call was answered with.
    #[track_caller]
    pub(crate) fn status(&self, request: Request) -> u16 {
        match self.answer(request) {
            Some(Answer::Head { status, .. }) => *status,
            other => panic!("no head but {other:?}"),
        }
    }

    /// The options of the login that a refused call was offered, as JSON.
    pub(crate) fn offered_login(&self, request: Request) -> Option<String> {
        let errors = self.pages[&request.port].of_type("error");
        let is_its = |m: &&Object| m.get("id").and_then(Value::as_u64) == Some(request.id);
        let mut text = String::new();
        errors.rev().find(is_its)?.get("login")?.write(&mut text);
        Some(text)
    }

    /// The code of the error that a request was answered with.
    #[track_caller]
    pub(crate) fn code(&self, request: Request) -> &str {
        match self.answer(request) {
            Some(Answer::Error { code, .. }) => code,
            other => panic!("no error but {other:?}"),
        }
    }

    /// The code in the last `failed` that a page got.
    pub(crate) fn failure(&self, port: PortId) -> &str {
        let failed = self.pages[&port].of_type("failed").next_back();
        failed.unwrap().str("code").unwrap()
    }

    /// The pages that the vault let go of, in order.
    pub(crate) fn closed(&self) -> &[PortId] {
        &self.closed
    }

    pub(crate) fn is_closed(&self, port: PortId) -> bool {
        self.closed.contains(&port)
    }

    /// The session as a page was last told of it.
    /// The codes of the warnings that a page was told to print.
    pub(crate) fn warnings(&self, port: PortId) -> Vec<&str> {
        let messages = self.page(port).messages.iter();
        let warnings = messages.filter(|message| message.str("t") == Some("warning"));
        warnings
            .map(|warning| warning.str("warning").unwrap())
            .collect()
    }

    pub(crate) fn session(&self, port: PortId) -> Option<&Object> {
        self.last_session_message(port)?.get("session")?.as_object()
    }

    /// Why there is no session, as a page was last told.
    pub(crate) fn reason(&self, port: PortId) -> Option<&str> {
        self.last_session_message(port)?.str("reason")
    }

    fn last_session_message(&self, port: PortId) -> Option<&Object> {
        let has_session = |m: &&Object| m.get("session").is_some();
        self.pages[&port].messages.iter().rfind(has_session)
    }

    // The order of things

    /// Answers to these kinds are held back.
    pub(crate) fn hold(&mut self, kinds: &[Kind]) {
        self.held.extend(kinds);
    }

    /// Answers are held back no longer; what waits is answered.
    pub(crate) fn release(&mut self) {
        self.held.clear();
        self.settle();
    }

    /// Who has the lock.
    pub(crate) fn lock_holder(&self) -> Option<usize> {
        self.lock
    }

    /// Answers to this kind are held back from one vault.
    pub(crate) fn hold_in(&mut self, vault: usize, kind: Kind) {
        self.held_in.push((vault, kind));
    }

    /// Ends what `hold_in` and `delay_pending_loads` began; what waits is answered.
    pub(crate) fn unhold(&mut self) {
        self.held_in.clear();
        self.delayed.clear();
        self.settle();
    }

    /// Ends what `hold` began for this kind, without answering anything yet.
    pub(crate) fn unhold_kind(&mut self, kind: Kind) {
        self.held.remove(&kind);
    }

    /// Holds back the answers to the reads that are under way, and to no later ones.
    pub(crate) fn delay_pending_loads(&mut self) {
        let loads = self.jobs.iter().filter(|job| job.kind == Kind::Load);
        self.delayed.extend(loads.map(|job| job.id));
    }

    /// Nothing that happens reaches this vault, as in a tab that the browser has frozen.
    pub(crate) fn freeze(&mut self, vault: usize) {
        self.frozen.insert(vault);
    }

    pub(crate) fn is_frozen(&self, vault: usize) -> bool {
        self.frozen.contains(&vault)
    }

    pub(crate) fn thaw(&mut self) {
        self.frozen.clear();
    }

    /// Nothing hinders this vault any more, and what the lock's grant was is told to it.
    pub(crate) fn thaw_one(&mut self, vault: usize) {
        self.frozen.remove(&vault);
    }

    /// A frozen vault may get the lock: it does not know, and nobody else can have it.
    pub(crate) fn grant_lock(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && self.lock.is_none()
        {
            self.lock = Some(self.jobs[i].vault);
            self.granted = Some(id);
        }
    }

    /// What is read is read now, and is on its way for some time.
    pub(crate) fn read_now(&mut self, id: JobId) {
        let (loaded, record) = (self.store.session(), self.watch.stored_record());
        if let Some(i) = self.place_of(id)
            && let Task::Load(_, early @ None) = &mut self.jobs[i].task
        {
            *early = Some((loaded, record));
        }
    }

    /// If this write is given up, it lands all the same.
    pub(crate) fn land_late(&mut self, id: JobId) {
        self.land_late.insert(id);
    }

    /// A write lands, and its vault is not told yet.
    pub(crate) fn write_lands(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && let Task::Persist(_, Some(state), key) = &self.jobs[i].task
        {
            let (vault, state, key) = (self.jobs[i].vault, state.clone(), key.clone());
            self.write(vault, state, key);
        }
    }

    fn write(&mut self, vault: usize, state: Secret, key: Option<dpop::Named>) -> bool {
        let text = state.expose().to_owned();
        let works = self.persists && self.store.put_session(state, key);
        self.watch.written(vault, &text, works);
        works
    }

    /// Somebody who is none of the vaults has the lock, or gives it back.
    pub(crate) fn seize_lock(&mut self, takes: bool) {
        const NOBODY: usize = usize::MAX;
        if takes && self.lock.is_none() {
            self.lock = Some(NOBODY);
        } else if !takes && self.lock == Some(NOBODY) {
            self.lock = None;
        }
    }

    /// Clears the site's data: what the store said of ended sessions is lost with them.
    pub(crate) fn clear_site_data(&mut self) {
        self.store.clear();
        self.watch.forget_ends();
    }

    /// Damages every record in the store.
    pub(crate) fn damage_store(&mut self) {
        self.store.is_damaged = true;
        self.watch.forget_ends();
    }

    /// Which vault a job is of.
    pub(crate) fn vault_of(&self, id: JobId) -> Option<usize> {
        Some(self.jobs[self.place_of(id)?].vault)
    }
    pub(crate) fn tick_of(&mut self, v: usize) {
        self.turn = v;
        self.input(Input::Tick);
    }
    /// How many requests of this kind wait.
    pub(crate) fn outstanding(&self, kind: Kind) -> usize {
        self.jobs.iter().filter(|job| job.kind == kind).count()
    }

    /// How many requests of this kind the vault has made.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        let is_it = |event: &&Event| **event == Event::Asked(kind);
        self.events.iter().filter(is_it).count()
    }

    /// When the vault made its requests of this kind, since the first of them.
    pub(crate) fn moments(&self, kind: Kind) -> Vec<Duration> {
        let moments = self.moments.iter().filter(|(k, _)| *k == kind);
        let moments: Vec<Duration> = moments.map(|(_, at)| *at).collect();
        moments.iter().map(|at| *at - moments[0]).collect()
    }

    /// Answers what waits, in order, and what that leads to, but for what is held back.
    pub(crate) fn settle(&mut self) {
        let mut answered = 0;
        while let Some(i) = self.jobs.iter().position(|job| self.can_go(job)) {
            self.answer_job(i);
            answered += 1;
            Invariant::Sanity.holds_if(answered < 100_000, || {
                "the vault asks again and again".to_owned()
            });
        }
    }

    /// Whether it waits for a lock that another has.
    fn is_locked_out(&self, job: &Job) -> bool {
        job.kind == Kind::Lock && self.lock.is_some() && self.granted != Some(job.id)
    }

    /// The same of this job.
    pub(crate) fn waits_for_lock(&self, id: JobId) -> bool {
        self.place_of(id)
            .is_some_and(|i| self.is_locked_out(&self.jobs[i]))
    }

    fn can_go(&self, job: &Job) -> bool {
        !self.is_locked_out(job)
            && !job.is_silent
            && !self.held.contains(&job.kind)
            && !self.held_in.contains(&(job.vault, job.kind))
            && !self.delayed.contains(&job.id)
            && !self.frozen.contains(&job.vault)
    }

    /// Answers the first request of this kind and nothing else.
    #[track_caller]
    pub(crate) fn answer_one(&mut self, kind: Kind) {
        let i = self.jobs.iter().position(|job| job.kind == kind);
        self.answer_job(i.expect("nothing of this kind waits"));
    }

    /// The API answers this call, and nothing else happens.
    #[track_caller]
    pub(crate) fn answer_call(&mut self, request: Request) {
        let i = self.job_of_call(request);
        self.answer_job(i);
    }

    /// The network fails this call.
    #[track_caller]
    pub(crate) fn fail_call(&mut self, request: Request) {
        let i = self.job_of_call(request);
        let job = self.jobs.remove(i);
        self.turn = job.vault;
        if let Task::Call(call, ..) = job.task {
            self.input(Input::CallFailed { call });
        }
    }

    /// The host finds the token in the answer to this call.
    #[track_caller]
    pub(crate) fn reflect_token(&mut self, request: Request) {
        let i = self.job_of_call(request);
        let job = self.jobs.remove(i);
        self.turn = job.vault;
        if let Task::Call(call, ..) = job.task {
            self.input(Input::CallReflected { call });
        }
    }

    #[track_caller]
    fn job_of_call(&self, request: Request) -> usize {
        let is_it = |job: &Job| matches!(&job.task, Task::Call(call, ..) if self.calls.get(call) == Some(&request));
        self.jobs
            .iter()
            .position(is_it)
            .expect("the call is not under way")
    }

    // One by one, for who decides on the order and the time of everything

    /// What the vault has asked for since this was last called, and for what.
    pub(crate) fn new_jobs(&mut self) -> Vec<(JobId, Kind)> {
        let known = std::mem::replace(&mut self.announced, self.last_job);
        let is_new = |job: &&Job| job.id > known;
        let new = self.jobs.iter().filter(is_new);
        new.map(|job| (job.id, job.kind)).collect()
    }

    /// What a job is for, if it is not over.
    pub(crate) fn kind_of(&self, id: JobId) -> Option<Kind> {
        Some(self.jobs[self.place_of(id)?].kind)
    }

    /// The provider acts on a request, unless it did so before; the answer is still on its way.
    pub(crate) fn provider_acts(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && matches!(self.jobs[i].task, Task::Send(..))
            && self.jobs[i].acted_at.is_none()
        {
            self.act_on(i);
        }
    }

    /// The answer arrives.
    pub(crate) fn answer_arrives(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id) {
            self.answer_job(i);
        }
    }

    /// The network fails a request to the provider or to an API, whether or not it was acted on.
    pub(crate) fn network_fails(&mut self, id: JobId) {
        let Some(i) = self.place_of(id) else {
            return;
        };
        if let Task::Call(call, ..) = self.jobs[i].task {
            self.turn = self.jobs.remove(i).vault;
            return self.input(Input::CallFailed { call });
        }
        self.jobs[i].acted_at.get_or_insert(self.now);
        let outcome = if self.knows_offline {
            Outcome::Failed
        } else {
            Outcome::Opaque
        };
        self.jobs[i].outcome = Some(outcome);
        self.answer_job(i);
    }

    fn place_of(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    /// Time passes, and nothing is done.
    pub(crate) fn pass(&mut self, time: Millis) {
        self.now.monotonic = self.now.monotonic + time;
        self.now.wall += time.0;
        self.true_time += time.0;
    }

    /// A timer of the vault's fires, so long after it should have.
    pub(crate) fn timer_fires(&mut self, late: Millis) {
        self.timer_of(self.turn, late);
    }

    /// A timer of this vault fires, so long after it should have.
    pub(crate) fn timer_of(&mut self, vault: usize, late: Millis) {
        self.turn = vault;
        if late > PROMPT {
            self.watch.hinder();
        }
        self.story(|_| format!("the timer fires, {} ms late", late.0));
        self.input(Input::Tick);
    }

    /// The refresh tokens that were sent to the token endpoint or revoked, in order.
    pub(crate) fn refresh_tokens_sent_to(&self, endpoint: Endpoint) -> &[String] {
        self.sent.get(&endpoint).map_or(&[], Vec::as_slice)
    }

    /// A control: what was issued so far counts as consumed.
    pub(crate) fn count_all_as_consumed(&mut self) {
        self.watch.count_as_dead(self.witness.secrets());
    }

    /// Whether the host may drop what came with the last message.
    pub(crate) fn has_forgotten_last_body(&self) -> bool {
        !self.calls.contains_key(&self.last_call)
    }

    /// The provider acts on the first request of this kind; its answer is still on its way.
    #[track_caller]
    pub(crate) fn act(&mut self, kind: Kind) {
        let i = self.jobs.iter().position(|job| job.kind == kind);
        self.act_on(i.expect("nothing of this kind waits"));
    }

    /// Answers one request, or lets the provider act on it, whichever `choose` says.
    pub(crate) fn answer_any(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        if self.jobs.is_empty() {
            return;
        }
        let i = choose(self.jobs.len());
        let job = &self.jobs[i];
        let may_act = matches!(job.task, Task::Send(..)) && job.outcome.is_none();
        if job.is_silent || self.is_locked_out(job) {
            return;
        }
        if may_act && choose(2) == 0 {
            self.act_on(i);
        } else {
            self.answer_job(i);
        }
    }

    /// Time passes; what is due is done, and answered at once.
    pub(crate) fn advance(&mut self, duration: Duration) {
        self.settle();
        self.run(duration, true);
    }

    /// Time passes; what is due is done, and waits for its answer.
    pub(crate) fn pass_time(&mut self, duration: Duration) {
        self.run(duration, false);
    }

    fn run(&mut self, duration: Duration, settles: bool) {
        let end = self.now.monotonic + Millis::from(duration);
        let mut ticks_now = 0;
        let next = |world: &Self| {
            let awake = (0..world.vaults.len()).filter(|vault| !world.frozen.contains(vault));
            let ticks = awake.filter_map(|vault| world.tick_due(vault));
            ticks.min().filter(|tick| *tick <= end)
        };
        while let Some(tick) = next(self) {
            ticks_now = if tick > self.now.monotonic {
                0
            } else {
                ticks_now + 1
            };
            Invariant::Sanity.holds_if(ticks_now < 100, || {
                "the vault asks for a tick again and again".to_owned()
            });
            self.pass(tick.saturating_sub(self.now.monotonic));
            self.tick(settles);
        }
        self.pass(end.saturating_sub(self.now.monotonic));
        self.tick(settles);
    }

    fn tick(&mut self, settles: bool) {
        self.each(|| Input::Tick);
        if settles {
            self.settle();
        }
    }

    /// The device sleeps, which only the wall clock notices, and wakes up.
    pub(crate) fn sleep(&mut self, duration: Duration) {
        self.sleep_unsettled(duration);
        self.settle();
    }

    /// The same, and what waits goes on waiting.
    pub(crate) fn sleep_unsettled(&mut self, duration: Duration) {
        self.sleep_unnoticed(duration);
        self.wake_unsettled();
    }

    /// The device sleeps, and nobody tells the vault that it woke up.
    pub(crate) fn sleep_unnoticed(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.now.wall += millis;
        self.true_time += millis;
        self.watch.hinder();
    }

    /// The device is online again, or a page is visible again.
    pub(crate) fn wake(&mut self) {
        self.wake_unsettled();
        self.settle();
    }

    /// The same, and what waits goes on waiting.
    pub(crate) fn wake_unsettled(&mut self) {
        self.story(|_| "the vault is told that the device is awake, online or visible".to_owned());
        self.each(|| Input::Woke);
    }

    /// The user sets the device's clock.
    pub(crate) fn set_clock_by(&mut self, seconds: i64) {
        self.now.wall = self.now.wall.saturating_add_signed(seconds * 1000);
    }

    pub(crate) fn expire_access_token(&mut self) {
        let lifetime = self.provider.lifetime;
        self.advance(lifetime);
    }

    // The host's work

    /// Every vault gets its own of these.
    fn each(&mut self, input: impl Fn() -> Input<'static>) {
        for vault in 0..self.vaults.len() {
            if self.frozen.contains(&vault) {
                continue;
            }
            self.turn = vault;
            self.input(input());
        }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.witness.debugged(format!("{input:?}"));
        let turn = self.turn;
        if self.stopped.contains(&turn) {
            return;
        }
        let now = self.time_of(turn);
        let holds_lock = self.lock == Some(turn);
        let is_tick = matches!(input, Input::Tick);
        self.watch.before(turn, &now, holds_lock);
        if let Input::Message { port, text, .. } = &input
            && text.contains(r#""t":"logout""#)
            && self.greeted.contains(port)
        {
            self.watch.logs_out(turn, self.true_time);
        }
        let is_active = matches!(&input, Input::Message { port, text, .. }
            if text.contains(r#""t":"active""#) && self.greeted.contains(port));
        self.vaults[turn].handle(now, input);
        while let Some(output) = self.vaults[turn].poll() {
            self.carry_out(output);
        }
        if self.stopped.contains(&turn) {
            return self.watch.killed(turn);
        }
        let is_admitted = |world: &mut Self, call| world.is_admitted(call);
        let touching = self.touching.take();
        if is_active || touching.is_some_and(|call| is_admitted(self, call)) {
            self.watch.touched(turn, &now);
        }
        if self.greeted.is_empty() {
            self.watch.nobody_told();
        }
        let is_here = |port: &&PortId| self.homes[port] == turn;
        let here = self.greeted.iter().filter(is_here);
        let mut told = here.map(|port| &self.told_beginning[port]);
        let first = told.next();
        Invariant::Agreement.holds_if(told.all(|other| Some(other) == first), || {
            format!("{:?}", self.told_beginning)
        });
        let has_pages = self.greeted.iter().any(|port| self.homes[port] == turn);
        let next_tick = self.vaults[turn].next_tick(now);
        self.watch.after(turn, &now, has_pages, next_tick, is_tick);
    }

    /// Tells those who read along, if there are any.
    pub(crate) fn story(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.story.is_none() {
            return;
        }
        let line = what(self);
        let since = |now, then| Duration::from_millis(now - then).as_secs_f64();
        let time = since(self.now.monotonic.0, BEGINNING.monotonic.0);
        let line = if self.vaults.len() > 1 {
            format!("{time:>11.3} v{} {line}", self.turn)
        } else {
            format!("{time:>11.3} {line}")
        };
        self.story.get_or_insert_default().push(line);
    }

    fn carry_out(&mut self, output: Output) {
        self.witness.debugged(format!("{output:?}"));
        match output {
            Output::Post { port, text } => self.tell(port, &text),
            Output::Close { port } => {
                self.ledger.waive_page(port);
                self.gone.insert(port);
                self.greeted.remove(&port);
                self.closed.push(port);
            }
            Output::Send { op, request } => {
                let endpoint = Provider::endpoint_of(&request);
                self.story(|world| format!("vault asks provider: {}", world.describe(&request)));
                self.check_request(endpoint, &request);
                let proof = self.sign(request.proof.as_ref());
                let is_unsigned = request.proof.is_some() && proof.is_none();
                self.job(Kind::Provider(endpoint), Task::Send(op, request, proof));
                if is_unsigned && let Some(job) = self.jobs.last_mut() {
                    job.outcome = Some(Outcome::KeyLost);
                }
            }
            Output::Cancel { op } => {
                let turn = self.turn;
                let is_it = |job: &Job| {
                    let its = match &job.task {
                        Task::Send(op, ..)
                        | Task::MakeKey(op)
                        | Task::Store(op, ..)
                        | Task::Take(op, _)
                        | Task::Persist(op, ..)
                        | Task::Load(op, _)
                        | Task::Lock(op) => *op,
                        _ => return false,
                    };
                    job.vault == turn && its == op
                };
                if let Some(i) = self.jobs.iter().position(is_it) {
                    let job = self.jobs.remove(i);
                    self.story(|_| format!("vault gives up: {:?}", job.kind));
                    self.watch.hinder();
                    match job.task {
                        Task::Send(..) if job.kind == PROBE && job.is_after_refresh => {
                            let now = self.time_of(turn);
                            self.watch.probed(turn, false, &now);
                        }
                        Task::Send(..) if job.kind == REFRESH => self.watch.timed_out(turn),
                        Task::Persist(_, Some(state), key) if self.land_late.contains(&job.id) => {
                            self.watch.wrote(turn, self.last_job);
                            self.story(|_| "what was given up is stored all the same".to_owned());
                            self.write(turn, state, key);
                        }
                        Task::Persist(_, Some(state), _) => {
                            self.watch.wrote(turn, self.last_job);
                            self.watch.written(turn, state.expose(), false);
                        }
                        Task::Persist(_, None, _) => self.watch.persisted(turn, false),
                        Task::Take(op, key) if key.starts_with("ended ") => {
                            let now = self.time_of(turn);
                            let taken = Taken::Unavailable;
                            self.watch.mark_read(turn, op, &taken, &now);
                        }
                        Task::Load(..) => {
                            let now = self.time_of(turn);
                            self.watch
                                .loaded(turn, &Loaded::Unavailable, None, job.id, &now);
                        }
                        // It was granted in the same moment: the host gives it back.
                        Task::Lock(_) if self.granted == Some(job.id) => {
                            (self.granted, self.lock) = (None, None);
                        }
                        _ => {}
                    }
                }
            }
            Output::MakeKey { op } => self.job(Kind::MakeKey, Task::MakeKey(op)),
            Output::KeepKeys { names } => self.keys[self.turn].keep(&names),
            Output::Store {
                op,
                key,
                value,
                key_pair,
                ..
            } => {
                if !key.starts_with("ended ") {
                    self.learn_secrets_of_login(&value);
                }
                let pair = self.keys[self.turn].named(key_pair);
                self.job(Kind::Store, Task::Store(op, key, value, pair));
            }
            Output::Take { op, key } => {
                if key.starts_with("ended ") {
                    self.watch.asks_for_mark(self.turn, op);
                }
                self.job(Kind::Take, Task::Take(op, key));
            }
            Output::Verify {
                op,
                jwk,
                signing_input,
                signature,
                ..
            } => self.job(
                Kind::Verify,
                Task::Verify {
                    op,
                    jwk,
                    signing_input,
                    signature,
                },
            ),
            Output::Persist {
                op,
                state,
                key_pair,
                expires_at,
            } => {
                let is_kept = self.lock == Some(self.turn);
                let now = self.time_of(self.turn).wall;
                Invariant::Sanity.holds_if(!is_kept || expires_at > now, || {
                    "the store is given what has expired".to_owned()
                });
                if let Some(state) = &state {
                    let has_lock = self.lock == Some(self.turn);
                    let access_token = access_token_in(state.expose());
                    let family =
                        access_token.and_then(|token| self.provider.family_of_access(&token));
                    let now = self.time_of(self.turn);
                    self.watch
                        .writes(self.turn, state.expose(), family, &now, has_lock);
                }
                let pair = self.keys[self.turn].named(key_pair);
                self.job(Kind::Persist, Task::Persist(op, state, pair));
            }
            Output::Load { op } => {
                let early = self
                    .reads_early
                    .then(|| (self.store.session(), self.watch.stored_record()));
                self.job(Kind::Load, Task::Load(op, early));
            }
            Output::Lock { op } => self.job(Kind::Lock, Task::Lock(op)),
            Output::Unlock => {
                assert_eq!(self.lock, Some(self.turn), "whose lock is given back");
                self.lock = None;
                self.watch.unlocked(self.turn);
            }
            Output::Hint(hint) if self.spreads_hints => {
                let here = self.turn;
                for vault in (0..self.vaults.len()).filter(|vault| *vault != here) {
                    self.turn = vault;
                    self.job(Kind::Changed, Task::Hinted(hint));
                }
                self.turn = here;
            }
            Output::Hint(hint) => self.hints.push((self.turn, hint)),
            Output::Stop => {
                let is_new = self.stopped.insert(self.turn);
                assert!(is_new, "a vault stops once");
                assert_ne!(self.lock, Some(self.turn), "a vault stops with the lock");
            }
            Output::HandKeyOver => self.hand_overs += 1,
            Output::Announce => {
                let here = self.turn;
                for vault in (0..self.vaults.len()).filter(|vault| *vault != here) {
                    self.turn = vault;
                    self.job(Kind::Changed, Task::Changed);
                }
                self.turn = here;
            }
            Output::Call {
                call,
                port,
                id,
                request,
            } => {
                self.story(|_| format!("vault calls the API for page {port}'s request {id}"));
                let is_its = self.calls.get(&call) == Some(&Request { port, id });
                Invariant::OwnAnswer.holds_if(is_its, || format!("page {port}, request {id}"));
                let authorization = request.authorization.expose();
                let (_, token) = authorization.split_once(' ').unwrap_or_default();
                let family = self.provider.family_of_access(token);
                let now = self.time_of(self.turn);
                self.watch.call(self.turn, token, family, &now);
                let user = self.provider.user_of(authorization);
                let asked_as = &self.asked_as[&Request { port, id }];
                let told = self.told_user.get(&port).map(String::as_str);
                let is_users = user == told && user == asked_as.as_deref();
                Invariant::OwnAnswer.holds_if(is_users, || "another user's token".to_owned());
                let key = self.provider.key_of(token).map(str::to_owned);
                self.check_proof(authorization, key.as_deref(), request.proof.as_ref());
                let url = request.allowed.url();
                let api = self.checkers.iter().find(|(api, _)| url.starts_with(**api));
                let wanted = api.and_then(|(_, checker)| checker.resource);
                let is_its = self.provider.resource_of(token) == wanted;
                Invariant::OwnToken.holds_if(is_its, || {
                    let meant = self.provider.resource_of(token);
                    format!("one for {meant:?} goes to {url}, which is {wanted:?}")
                });
                let proof = self.sign(request.proof.as_ref());
                self.job(Kind::Call, Task::Call(call, request, proof));
            }
            Output::ProbeSocket { call, url } => {
                let has_token = sockets::token_in(&url).is_some();
                assert!(!has_token, "a probe carries a token");
                self.sockets.probed.push(url);
                self.job(Kind::Probe, Task::Probe(call));
            }
            Output::OpenSocket { call, handshake } => {
                let (url, protocols) = (handshake.url.expose(), handshake.protocols.expose());
                self.check_token_in(&[url, protocols].concat());
                self.sockets.opened.push((self.calls[&call], *handshake));
                self.job(Kind::Socket, Task::Socket(call));
            }
            Output::SendFirst { call, text, .. } => {
                self.check_token_in(text.expose());
                let first = (self.calls[&call], text.expose().to_owned());
                self.sockets.first_messages.push(first);
            }
            Output::CloseSocket { call, code, reason } => {
                let request = self.calls[&call];
                self.witness.told(&format!(r#"{{"reason":"{reason}"}}"#));
                // Its page is told by its own port, be it that it never was open.
                if !self.sockets.open.contains(&call) {
                    self.ledger.answered(request);
                }
                self.sockets.closed.push((request, code, reason));
            }
            Output::Deliver { call, text } if self.sockets.has(self.calls[&call]) => {
                self.sockets.open.insert(call);
                self.tell(self.calls[&call].port, &text);
            }
            Output::Deliver { call, text } => {
                let port = self.calls[&call].port;
                self.tell(port, &text);
                self.job(Kind::ResponseBody, Task::ResponseBody(call));
            }
            Output::Drop { call } => {
                let is_its = |task: &Task| match task {
                    Task::Call(c, ..)
                    | Task::Probe(c)
                    | Task::Socket(c)
                    | Task::ResponseBody(c) => *c == call,
                    _ => false,
                };
                if self.sockets.open.remove(&call) {
                    self.sockets.dropped.push(call);
                }
                self.jobs.retain(|job| !is_its(&job.task));
                self.calls.remove(&call);
            }
        }
    }

    /// Where tokens are bound to keys: a request with or for this family's has a proof by its key.
    fn check_proof(&self, authorization: &str, key: Option<&str>, proof: Option<&UnsignedProof>) {
        if !self.is_bound || self.provider.ignores_dpop {
            return;
        }
        let has_scheme = authorization.starts_with("DPoP ");
        Invariant::Proven.holds_if(has_scheme, || "a token is sent as if by itself".to_owned());
        let by = proof.map(|proof| proof.key.as_str());
        Invariant::Proven.holds_if(by.is_some() && (key.is_none() || by == key), || {
            format!("by {by:?}, and the token is bound to {key:?}")
        });
    }

    /// Signs a proof, as the host does; nobody else may ever see it.
    fn sign(&mut self, proof: Option<&UnsignedProof>) -> Option<String> {
        let proof = self.keys[self.turn].sign(proof?)?;
        self.witness.secret(&proof);
        Some(proof)
    }

    fn job(&mut self, kind: Kind, task: Task) {
        self.events.push(Event::Asked(kind));
        self.moments.push((kind, self.now.monotonic.into()));
        self.last_job += 1;
        self.jobs.push(Job {
            id: self.last_job,
            vault: self.turn,
            kind,
            asked_at: self.now,
            acted_at: None,
            task,
            outcome: None,
            is_silent: false,
            is_from_cache: false,
            is_after_refresh: self.answers_refresh,
        });
    }

    fn tell(&mut self, port: PortId, text: &str) {
        Invariant::OwnAnswer.holds_if(!self.gone.contains(&port), || {
            format!("page {port} is gone and told something")
        });
        self.witness.told(text);
        let page = self.pages.get_mut(&port).unwrap();
        let answered = page.told(text);
        let message = page.messages.last().unwrap();
        let t = message.str("t").unwrap();
        let mut what = t.to_owned();
        if let Some(session) = message.get("session") {
            let session = session.as_object();
            let claims = session.and_then(|s| s.get("claims")?.as_object());
            let home = self.homes[&port];
            match claims.and_then(|claims| claims.str("sub")) {
                Some(user) => self.told_user.insert(port, user.to_owned()),
                None => self.told_user.remove(&port),
            };
            let beginning = session.and_then(|s| s.get("startedAt")?.as_u64());
            self.told_beginning.insert(port, beginning);
            let name = claims.and_then(|claims| claims.str("name"));
            match beginning {
                Some(started_at) => {
                    self.watch.told_session(home, started_at, name);
                    let state = session.and_then(|s| s.str("state"));
                    self.watch
                        .told_state(home, state == Some("interaction_required"));
                }
                None => {
                    self.watch
                        .told_no_session(home, message.str("reason").map(plain_reason));
                }
            }
            let reason = message.str("reason").unwrap_or("none");
            what = match self.told_user.get(&port) {
                Some(user) => format!("{t}: {user}'s session"),
                None => format!("{t}: no session, reason {reason}"),
            };
        }
        if t == "ready" {
            self.greeted.insert(port);
        }
        self.events.push(Event::Told(port, t.to_owned()));
        let Some((id, answer)) = answered else {
            return self.story(|_| format!("vault tells page {port}: {what}"));
        };
        self.story(|_| {
            let what = match &answer {
                Answer::Head { status, .. } => format!("{what} {status}"),
                Answer::Error { code, .. } => format!("{what} {code}"),
                _ => what,
            };
            format!("vault answers page {port}'s request {id}: {what}")
        });
        if let (Answer::Head { url, .. }, Some(asked)) =
            (&answer, self.urls.get(&Request { port, id }))
        {
            Invariant::OwnAnswer.holds_if(url == asked, || format!("{asked} is answered by {url}"));
        }
        let mut is_final = id != 0;
        if let Answer::Navigate(url) = &answer {
            // A pushed login by redirect has none in its address.
            if let Some(state) = params(url.split_once('?').unwrap().1).get("state") {
                self.witness.secret_in_requests(state);
                // The opener of a popup waits for the end of the login.
                is_final = !state.ends_with(".p");
            }
        }
        // A login on another device goes on.
        is_final &= !matches!(answer, Answer::Device { .. });
        let was_asked = id == 0 || self.asked_as.contains_key(&Request { port, id });
        Invariant::OwnAnswer.holds_if(was_asked, || format!("page {port} did not ask {id}"));
        if is_final {
            self.ledger.answered(Request { port, id });
        }
    }

    fn act_on(&mut self, i: usize) {
        let job = &mut self.jobs[i];
        let Task::Send(_, request, proof) = &job.task else {
            panic!("the provider has no part in this");
        };
        if job.asked_at.passed(&self.now) > PROMPT {
            self.watch.hinder();
        }
        job.acted_at = Some(self.now);
        let (rotations, reuses) = (self.provider.rotations(), self.provider.reuses);
        match self
            .provider
            .answer(self.true_time, request, proof.as_deref())
        {
            Some(outcome) => job.outcome = Some(outcome),
            None => job.is_silent = true,
        }
        if job.kind == REFRESH {
            let sent = form_of(request).remove("refresh_token").unwrap();
            if self.provider.rotations() > rotations {
                self.watch.rotated(&sent);
            }
            if self.provider.reuses > reuses {
                let family = self.provider.family_of(&sent).unwrap();
                let leeway = self.provider.leeway.into();
                self.watch.reused(&sent, family, leeway);
            }
        }
        self.learn_issued_secrets();
        self.story(|world| {
            let job = &world.jobs[i];
            let Task::Send(_, request, _) = &job.task else {
                return String::new();
            };
            let outcome = job
                .outcome
                .as_ref()
                .map_or("no answer".to_owned(), in_words);
            format!("provider acts on {}: {outcome}", world.describe(request))
        });
    }

    fn answer_job(&mut self, i: usize) {
        if matches!(self.jobs[i].task, Task::Send(..)) && self.jobs[i].outcome.is_none() {
            self.act_on(i);
        }
        if self.jobs[i].is_silent {
            return;
        }
        self.ask_service_worker(i);
        let Job {
            id,
            vault,
            kind,
            task,
            outcome,
            asked_at,
            acted_at,
            is_from_cache,
            is_after_refresh,
            ..
        } = self.jobs.remove(i);
        let waited = |since: &Instant| since.passed(&self.now) > PROMPT;
        let is_of_store = matches!(
            kind,
            Kind::Lock | Kind::Load | Kind::Take | Kind::Persist | Kind::Verify
        );
        if acted_at.as_ref().is_some_and(waited) || is_of_store && waited(&asked_at) {
            self.watch.hinder();
        }
        self.turn = vault;
        self.events.push(Event::Answered(kind));
        self.story(|world| match (&task, &outcome) {
            (Task::Send(_, request, _), Some(outcome)) => {
                let (what, outcome) = (Provider::endpoint_of(request), in_words(outcome));
                format!("vault learns of {what:?}: {outcome}")
            }
            (Task::Call(call, ..), _) => {
                let Request { port, id } = world.calls[call];
                format!("the API answers page {port}'s request {id}")
            }
            (Task::Persist(..), _) if world.persists => "the successor is stored".to_owned(),
            (Task::Persist(..), _) => "the successor cannot be stored".to_owned(),
            _ => format!("{kind:?} is over"),
        });
        match task {
            Task::Send(op, request, _) => {
                let outcome = outcome.unwrap();
                let sent = form_of(&request).remove("refresh_token");
                let family = sent.and_then(|token| self.provider.family_of(&token));
                if let (Outcome::KeyLost, Some(family)) = (&outcome, family) {
                    self.watch.key_lost(vault, family);
                }
                if kind == PROBE && is_after_refresh {
                    let now = self.time_of(vault);
                    let is_there = !is_from_cache && provider::is_metadata(&outcome);
                    self.watch.probed(vault, is_there, &now);
                }
                self.replied(&request, &outcome, asked_at);
                self.answers_refresh = kind == REFRESH;
                self.input(Input::Answered { op, outcome });
                self.answers_refresh = false;
            }
            Task::MakeKey(op) => {
                let key = self.makes_keys.then(|| self.keys[vault].make());
                self.input(Input::KeyMade { op, key });
            }
            Task::Store(op, key, value, pair) => {
                let ok = self.store.put_with(key.clone(), value, pair);
                if let Some(sid) = key.strip_prefix("ended ").filter(|_| ok) {
                    self.watch.marked(sid);
                }
                self.input(Input::Stored { op, ok });
            }
            Task::Take(op, key) => {
                let taken = self.store.take(&key);
                self.keys[vault].insert(self.store.key_of(&key));
                if matches!(taken, Taken::Unavailable) {
                    self.watch.hinder();
                }
                if key.starts_with("ended ") {
                    let now = self.time_of(vault);
                    self.watch.mark_read(vault, op, &taken, &now);
                }
                self.input(Input::Taken { op, taken });
            }
            Task::Verify {
                op,
                jwk,
                signing_input,
                signature,
            } => {
                let valid = self
                    .provider
                    .verify(&jwk, signing_input.expose(), &signature);
                let facts = self.provider.id_token_facts(signing_input.expose());
                if let Some(facts) = facts {
                    let now = self.time_of(vault);
                    self.watch
                        .verified(vault, facts, valid, &now, self.true_time);
                }
                self.input(Input::Verified { op, valid });
            }
            Task::Persist(op, state, key) => {
                let ok = match state {
                    Some(state) => self.write(vault, state, key),
                    None => self.persists,
                };
                self.watch.persisted(vault, ok);
                self.watch.wrote(vault, self.last_job);
                self.input(Input::Stored { op, ok });
            }
            Task::Load(op, early) => {
                let early =
                    early.unwrap_or_else(|| (self.store.session(), self.watch.stored_record()));
                let (loaded, record) = early;
                if matches!(loaded, Loaded::Unavailable) {
                    self.watch.hinder();
                }
                let now = self.time_of(vault);
                self.watch.loaded(vault, &loaded, record.as_ref(), id, &now);
                self.keys[vault].insert(self.store.key_of_session());
                self.input(Input::Loaded { op, loaded });
            }
            Task::Lock(op) => {
                if self.granted.take_if(|granted| *granted == id).is_none() {
                    assert_eq!(self.lock, None, "one lock is granted twice");
                }
                self.lock = Some(vault);
                let last_job = self.last_job;
                self.input(Input::Locked { op });
                let is_read = |job: &&Job| job.vault == vault && job.kind == Kind::Load;
                let read = self.jobs.iter().rfind(is_read).map(|job| job.id);
                if self.lock == Some(vault) {
                    self.watch.locked(vault, last_job, read);
                }
            }
            Task::Changed => self.input(Input::Changed),
            Task::Hinted(hint) => {
                if hint.news != News::SignedIn {
                    self.watch.may_log_out(vault);
                }
                self.input(Input::Hinted(hint));
            }
            Task::Call(call, request, None) if request.proof.is_some() => {
                let authorization = request.authorization.expose();
                let (_, token) = authorization.split_once(' ').unwrap();
                if let Some(family) = self.provider.family_of_access(token) {
                    self.watch.key_lost(vault, family);
                }
                self.input(Input::CallUnsigned { call });
            }
            Task::Call(call, request, proof) => {
                let api_time = self.true_time.saturating_add_signed(self.api_ahead);
                let is_other = request.allowed.url().starts_with(api::OTHER_API);
                let api = if is_other { api::OTHER_API } else { API };
                let checker = self.checkers.entry(api).or_default();
                let proof = proof.as_deref();
                let answer = api::answer(&self.provider, api_time, &request, proof, checker);
                self.seen_by_api.push(*request);
                let is_refused = answer.as_ref().is_some_and(|head| head.status == 401);
                self.has_refused_renewed |= is_refused && !self.refused.insert(call);
                self.input(match answer {
                    Some(head) => Input::CallAnswered { call, head },
                    None => Input::CallFailed { call },
                });
            }
            Task::ResponseBody(call) => self.input(Input::CallClosed { call }),
            Task::Probe(call) => {
                let is_blocked = self.sockets.are_blocked;
                self.input(Input::SocketProbed { call, is_blocked });
            }
            Task::Socket(call) => {
                let protocol = self.sockets.choose(self.calls[&call]);
                self.input(Input::SocketOpened { call, protocol });
            }
        }
    }

    /// A service worker keeps what the provider says to a GET, and says it again when the network fails.
    fn ask_service_worker(&mut self, i: usize) {
        let job = &mut self.jobs[i];
        if let (Some(cache), Task::Send(_, request, _)) = (&mut self.service_worker, &job.task)
            && request.form.is_none()
            && let Some(outcome) = &mut job.outcome
        {
            if provider::is_metadata(outcome) {
                cache.insert(request.url.clone(), outcome.clone());
            } else if let Some(known) = cache.get(&request.url) {
                *outcome = known.clone();
                job.is_from_cache = true;
            }
        }
    }

    /// A page opens a socket.
    pub(crate) fn socket(&mut self, port: PortId, url: &str, protocols: &[&str]) -> Request {
        let mut names = String::new();
        let list: Vec<Value> = protocols.iter().map(|name| Value::from(*name)).collect();
        Value::from(list).write(&mut names);
        let members = format!(r#""t":"socket","url":"{url}","protocols":{names}"#);
        self.ask(port, &members)
    }

    /// The handshake of a socket fails.
    pub(crate) fn refuse_socket(&mut self, request: Request) {
        let is_it = |job: &Job| matches!(&job.task, Task::Socket(call) if self.calls.get(call) == Some(&request));
        let i = self.jobs.iter().position(is_it).expect("it is under way");
        let job = self.jobs.remove(i);
        self.turn = job.vault;
        self.ledger.answered(request);
        if let Task::Socket(call) = job.task {
            self.input(Input::CallClosed { call });
        }
    }

    /// A token that leaves by a socket is one that may.
    fn check_token_in(&mut self, text: &str) {
        if let Some(token) = sockets::token_in(text) {
            let family = self.provider.family_of_access(token);
            let now = self.time_of(self.turn);
            self.watch.call(self.turn, token, family, &now);
        }
    }

    fn check_request(&mut self, endpoint: Endpoint, request: &HttpRequest) {
        let is_same = |job: &Job| {
            job.vault == self.turn
                && matches!(&job.task, Task::Send(_, other, _)
                if other.url == request.url && form_of(other) == form_of(request))
        };
        // A probe after a refresh and one after a pushed request may be in flight together.
        let is_single = endpoint == Endpoint::Probe || !self.jobs.iter().any(is_same);
        Invariant::SingleFlight.holds_if(is_single, || {
            format!("{endpoint:?} is asked the same twice at a time")
        });
        let form = form_of(request);
        if let Some(token) = form.get("refresh_token").or_else(|| form.get("token")) {
            self.sent.entry(endpoint).or_default().push(token.clone());
        }
        let (Endpoint::Exchange | Endpoint::Refresh) = endpoint else {
            return;
        };
        let secret = form.get("refresh_token").unwrap_or_else(|| &form["code"]);
        let family = self.provider.family_of(secret);
        let key = family.and_then(|family| self.provider.key_of_family(family));
        self.check_proof("DPoP ", key, request.proof.as_ref());
        let is_of_family = |job: &&Job| match &job.task {
            Task::Send(_, other, _) if job.kind == REFRESH => {
                family.is_some()
                    && self.provider.family_of(&form_of(other)["refresh_token"]) == family
            }
            _ => false,
        };
        let in_flight = self.jobs.iter().filter(is_of_family).count();
        let now = self.time_of(self.turn);
        let from = (self.turn, &now, self.lock == Some(self.turn));
        self.watch
            .token_request(endpoint, secret, family, in_flight, from);
    }

    fn replied(&mut self, request: &HttpRequest, outcome: &Outcome, asked_at: Instant) {
        let endpoint = match Provider::endpoint_of(request) {
            // What it brings is what a code brings.
            Endpoint::PollDevice => Endpoint::Exchange,
            endpoint => endpoint,
        };
        let form = form_of(request);
        let mut secrets = ["refresh_token", "code", "device_code"].iter();
        let secret = secrets.find_map(|name| form.get(*name));
        let sent = secret.map_or("", String::as_str);
        let family = self.provider.family_of(sent);
        let now = self.time_of(self.turn);
        let requested = Instant {
            monotonic: asked_at.monotonic + Millis(self.ahead[self.turn]),
            wall: asked_at.wall,
        };
        let to = (self.turn, &requested, &now);
        let is_for_target = form.contains_key("resource") || form.contains_key("audience");
        if is_for_target && invariants::is_refusal_of_target(outcome) {
            // RFC 8707 2: that is about this resource, and says nothing of the session.
            return self.watch.refused_target(self.turn);
        }
        self.watch.replied(endpoint, sent, family, outcome, to);
    }

    /// A request to the provider, for people.
    fn describe(&self, request: &HttpRequest) -> String {
        let endpoint = Provider::endpoint_of(request);
        let form = form_of(request);
        match form.get("refresh_token").or_else(|| form.get("token")) {
            Some(token) => format!("{endpoint:?}, {}", self.provider.describe(token)),
            None => format!("{endpoint:?}"),
        }
    }

    /// What must be true when nothing is under way any more.
    pub(crate) fn check_end(&mut self) {
        self.has_ended = true;
        let unsettled = self.ledger.faults();
        Invariant::Settles.holds_if(unsettled.is_empty(), || unsettled.join(", "));
        let leaks = self.witness.leaks();
        Invariant::Secrecy.holds_if(leaks.is_empty(), || format!("{} messages", leaks.len()));
    }

    fn learn_issued_secrets(&mut self) {
        for secret in self.provider.issued.drain(..) {
            self.witness.secret(&secret);
        }
    }

    fn learn_secrets_of_login(&mut self, value: &Secret) {
        let login = Value::parse(value.expose()).unwrap();
        let login = login.as_object().unwrap();
        self.witness.secret(login.str("code_verifier").unwrap());
        self.witness.secret_in_requests(login.str("nonce").unwrap());
    }
}

/// A provider that says more ends a session no less.
fn plain_reason(reason: &str) -> &str {
    match reason {
        "refresh_expired" | "revoked" | "reuse_detected" | "consent_withdrawn" | "mfa_required" => {
            "provider_ended"
        }
        other => other,
    }
}

impl Drop for World {
    /// What must be true at the end of any test.
    fn drop(&mut self) {
        if std::thread::panicking() || self.has_ended {
            return;
        }
        self.held.clear();
        self.held_in.clear();
        self.delayed.clear();
        self.frozen.clear();
        self.provider.repair();
        // Longer than a login may take, which is the longest that anything may wait.
        self.advance(Duration::from_secs(660));
        self.check_end();
    }
}

/// The members of a `fetch` message.
pub(crate) fn fetch_members(fetch: &Fetch<'_>) -> String {
    let pair = |(name, value): &(&str, &str)| Value::from(vec![*name, *value]);
    let headers: Vec<Value> = fetch.headers.iter().map(pair).collect();
    let mut object = Object::new();
    object.push("t", "fetch".into());
    object.push("url", fetch.url.into());
    object.push("method", fetch.method.into());
    object.push("headers", headers.into());
    object.push("background", fetch.background.into());
    let mut text = String::new();
    object.write(&mut text);
    text[1..text.len() - 1].to_owned()
}

/// The type of a message that is not whole yet.
fn type_of(members: &str) -> &str {
    let (_, rest) = members.split_once(r#""t":""#).unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

/// A worker's own clock begins with it, and counts from long ago: see `src/browser/host.rs`.
fn ahead(config: &str, now: &Instant) -> u64 {
    const LONG_AGO: u64 = 1 << 40;
    if parse(config).keeps {
        LONG_AGO - now.monotonic.0
    } else {
        0
    }
}

/// The access token in what is kept, if it is a session that goes on.
fn access_token_in(state: &str) -> Option<String> {
    let state = Value::parse(state).ok()?;
    Some(state.as_object()?.str("access_token")?.to_owned())
}

fn vault(config: &str, seed: u64) -> Vault {
    Vault::new(parse(config), Box::new(Dice::new(seed)))
}

fn parse(config: &str) -> Config {
    Config::parse(config, "https://app.example.com/worker.js").unwrap()
}

pub(crate) fn configuration(changes: &str) -> String {
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
