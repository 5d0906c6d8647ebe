//! Access to the coordinator. The coordinator sees hashed keys and sealed values. Two values are not sealed: the clear
//! part of an [end](crate::store::user_end::UserEnd), and the mark that a logout token was used.

use rules::prelude::*;

use crate::event::{CallResult, Happened, Server};
use crate::io::{Effect, Entry, Reply};
use crate::isolate::Seldom;
use crate::session::key::key;
use crate::task::Task;
use rules::base::clock::{Instant, Millis, UnixMillis};

/// Longest time that the host gives a coordinator for a read or a write.
pub(crate) const COORDINATOR_TIME: Millis = Millis::from_secs(3);

/// Longest time for which a request waits for what it does not need: the record of a session whose access token is valid, or
/// the coordinator's time.
pub(crate) const STATUS_TIME: Millis = Millis(300);

/// The names of the calls in events.
const READ: &str = "read";
const SWAP: &str = "swap";

/// The coordinator did not respond, or its response was invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable;

/// Returns the key for a value about a user or a session: an end, an order, a list, or the mark of a logout token. The key
/// names the client, because the logout tokens of one client say nothing about the sessions of another client of the same issuer, which may use the same store. It also names the tenant,
/// so that a tenant cannot end sessions of another one. The keys of records need no tenant, because a session's ID is
/// random.
pub(crate) fn client_key(task: &Task, kind: &str, text: &str) -> String {
    let config = task.config();
    let flow = &config.flow;
    key(kind, &[&flow.issuer, &flow.client_id, &config.tenant, text])
}

/// Largest number of keys in a read for a list: a store may limit them.
const LISTED_KEYS: usize = 24;

/// Reads entries for a list of sessions. A failure says nothing about the reads that sessions need, so they do not avoid the
/// coordinator because of it.
pub(crate) async fn read_for_list(
    task: &Task,
    keys: &[String],
) -> Result<Vec<Option<Entry>>, Unreachable> {
    let mut all = Vec::new();
    for keys in keys.chunks(LISTED_KEYS) {
        let asked = task.own_time();
        match task.perform(Effect::Read(keys.to_vec())).await {
            Reply::Entries { entries, .. } if entries.len() == keys.len() => {
                observe(task, READ, CallResult::Done, &asked);
                all.extend(entries);
            }
            _ => {
                observe(task, READ, CallResult::Failed, &asked);
                let why = msg!("the list of a user's sessions could not be read");
                task.fault_seldom(Seldom::List, why);
                return Err(Unreachable);
            }
        }
    }
    Ok(all)
}

pub(crate) async fn read(
    task: &Task,
    keys: Vec<String>,
) -> Result<Vec<Option<Entry>>, Unreachable> {
    let count = keys.len();
    let asked = task.own_time();
    match task.perform(Effect::Read(keys)).await {
        Reply::Entries { entries, time } if entries.len() == count => {
            learn_time(task, time, asked);
            responds(task, READ, CallResult::Done, &asked);
            Ok(entries)
        }
        _ => {
            observe(task, READ, CallResult::Failed, &asked);
            failed(task, &asked, msg!("it cannot be read"));
            Err(Unreachable)
        }
    }
}

/// Notes a response of the coordinator to a call that began at `asked`.
fn responds(task: &Task, operation: &'static str, result: CallResult, asked: &Instant) {
    task.isolate()
        .session_cache
        .borrow_mut()
        .on_coordinator_response();
    // A store that is full or read-only still reads.
    let refuses_writes = &task.isolate().refuses_writes;
    if operation == SWAP {
        refuses_writes.set(false);
    }
    if !refuses_writes.get() {
        task.server_works(Server::Coordinator);
    }
    observe(task, operation, result, asked);
}

fn observe(task: &Task, operation: &'static str, result: CallResult, asked: &Instant) {
    task.observe(Happened::Coordinator {
        operation,
        result,
        cause: task.failure(),
        duration: asked.elapsed(&task.own_time()),
    });
}

/// Learns the coordinator's time, and reports if this machine's clock differs.
fn learn_time(task: &Task, time: Option<UnixMillis>, asked: Instant) {
    let (clock, now) = (&task.isolate().clock, task.own_time());
    clock.learn(time, asked, now);
    if let Some(time) = time {
        task.compare_clocks(Server::Coordinator, time, &asked);
    }
}

/// Reads the coordinator's time, unless this isolate knows it already or the coordinator has no clock. Called before a time
/// is written that other isolates will read. If the coordinator does not respond in a moment, this machine's clock must do.
pub(crate) async fn find_time(task: &Task) {
    const NAME: &str = "time";
    if !task.isolate().clock.is_unknown() || !is_up(task) {
        return;
    }
    let found = {
        let cache = task.isolate().session_cache.borrow();
        cache.flight(NAME, &task.now())
    };
    let flight = found.unwrap_or_else(|| {
        task.start_flight(NAME, |part| async move {
            // A failure is in the log.
            let _ = read(&part, Vec::new()).await;
        })
    });
    task.sleep(Some(flight), STATUS_TIME).await;
}

pub(crate) async fn swap(
    task: &Task,
    key: String,
    version: Option<String>,
    value: String,
    lifetime: Millis,
) -> Result<Option<String>, Unreachable> {
    let effect = Effect::Swap {
        key,
        version,
        value,
        lifetime,
    };
    let asked = task.own_time();
    match task.perform(effect).await {
        Reply::Swapped(version) => {
            let result = match version {
                Some(_) => CallResult::Done,
                None => CallResult::Conflict,
            };
            responds(task, SWAP, result, &asked);
            Ok(version)
        }
        _ => {
            task.isolate().refuses_writes.set(true);
            observe(task, SWAP, CallResult::Failed, &asked);
            failed(task, &asked, msg!("it cannot be written to"));
            Err(Unreachable)
        }
    }
}

/// Adds a line to an entry, and keeps its last `most` lines. Returns false if the coordinator has no such operation.
pub(crate) async fn append(
    task: &Task,
    key: String,
    line: &str,
    most: usize,
    lifetime: Millis,
) -> Result<bool, Unreachable> {
    let effect = Effect::Append {
        key,
        line: line.to_owned(),
        most,
        lifetime,
    };
    let asked = task.own_time();
    match task.perform(effect).await {
        Reply::Appended(is_done) => {
            if is_done {
                responds(task, SWAP, CallResult::Done, &asked);
            }
            Ok(is_done)
        }
        _ => {
            // Only the list needs it, so sessions do not avoid the coordinator because of it.
            observe(task, SWAP, CallResult::Failed, &asked);
            let why = msg!("a login could not be added to the list of its user's sessions");
            task.fault_seldom(Seldom::List, why);
            Err(Unreachable)
        }
    }
}

/// Reports that the coordinator failed in a call that began at `asked`, and records the time of the failure for [`is_up`],
/// unless a late period of this process excuses the failure.
fn failed(task: &Task, asked: &Instant, why: &str) {
    let isolate = task.isolate();
    if isolate
        .coordinator_excuse
        .covers(&isolate.lateness, asked, &task.own_time())
    {
        return;
    }
    avoid(task);
    task.server_failed(Server::Coordinator, why);
}

/// Lets requests avoid the coordinator for a moment, because it has failed or cannot be used for a session.
pub(crate) fn avoid(task: &Task) {
    let now = task.now();
    task.isolate()
        .session_cache
        .borrow_mut()
        .coordinator_failed(&now);
}

/// Returns true if the last request to the coordinator failed.
pub(crate) fn has_failed(task: &Task) -> bool {
    let cache = task.isolate().session_cache.borrow();
    cache.has_coordinator_failed()
}

/// Returns true unless the coordinator failed a moment ago.
pub(crate) fn is_up(task: &Task) -> bool {
    let cache = task.isolate().session_cache.borrow();
    cache.is_coordinator_up(&task.now())
}
