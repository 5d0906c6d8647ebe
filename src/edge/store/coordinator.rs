//! Access to the coordinator. The coordinator sees hashed keys and sealed values. Only the values that a back-channel
//! logout writes are not sealed: the time of a tombstone, and the mark that a logout token was used.

use crate::prelude::*;

use crate::base::clock::Millis;
use crate::base::error::Code;
use crate::codec::base64url;
use crate::codec::json;
use crate::edge::io::{Effect, Entry, Reply};
use crate::edge::task::Task;
use crate::oauth::pkce;

/// Longest time that the host gives a coordinator for a read or a write.
pub(in crate::edge) const COORDINATOR_TIME: Millis = Millis::from_secs(3);

/// The coordinator did not respond, or its response was invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Unreachable;

/// Returns the key under which the coordinator stores a value: `kind`, and a hash of `kind` and `texts`.
pub(in crate::edge) fn key(kind: &str, texts: &[&str]) -> String {
    let mut all = kind.to_owned();
    for text in texts {
        // The lengths separate the strings. Without them, "ab" and "c" would have the same key as "a" and "bc".
        json::write_number(&mut all, text.len() as u64);
        all.push(' ');
        all.push_str(text);
    }
    [kind, ".", &base64url::encode(&pkce::sha256(all.as_bytes()))].concat()
}

/// Returns the key for a value of a logout token. The key names the client, because the logout tokens of one client say
/// nothing about the sessions of another client of the same issuer, which may use the same store.
pub(in crate::edge) fn client_key(task: &Task, kind: &str, text: &str) -> String {
    let flow = &task.config().flow;
    key(kind, &[&flow.issuer, &flow.client_id, text])
}

pub(in crate::edge) async fn read(
    task: &Task,
    keys: Vec<String>,
) -> Result<Vec<Option<Entry>>, Unreachable> {
    let count = keys.len();
    match task.perform(Effect::Read(keys)).await {
        Reply::Entries { entries, .. } if entries.len() == count => {
            task.isolate()
                .session_cache
                .borrow_mut()
                .on_coordinator_response();
            Ok(entries)
        }
        _ => {
            failed(task, msg!("it cannot be read"));
            Err(Unreachable)
        }
    }
}

pub(in crate::edge) async fn swap(
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
    match task.perform(effect).await {
        Reply::Swapped(version) => {
            task.isolate()
                .session_cache
                .borrow_mut()
                .on_coordinator_response();
            Ok(version)
        }
        _ => {
            failed(task, msg!("it cannot be written to"));
            Err(Unreachable)
        }
    }
}

/// Reports that the coordinator failed, and records the time of the failure for [`is_up`].
pub(in crate::edge) fn failed(task: &Task, why: &str) {
    let now = task.now();
    task.isolate()
        .session_cache
        .borrow_mut()
        .coordinator_failed(&now);
    task.fault_of(
        Code::CoordinatorUnavailable,
        &[msg!("the coordinator: "), why],
    );
}

/// Returns true if the last request to the coordinator failed.
pub(in crate::edge) fn has_failed(task: &Task) -> bool {
    let cache = task.isolate().session_cache.borrow();
    cache.has_coordinator_failed()
}

/// Returns true unless the coordinator failed a moment ago.
pub(in crate::edge) fn is_up(task: &Task) -> bool {
    let cache = task.isolate().session_cache.borrow();
    cache.is_coordinator_up(&task.now())
}
