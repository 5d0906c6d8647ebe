//! The index of a user's sessions, for a list of devices: one entry of the coordinator for each user, with a sealed line for
//! each session. A line is added after a login, and only if that succeeds at once, so lines may be missing. Nothing is
//! decided by the index, and no session ends by it.

use rules::prelude::*;

use crate::config::Storage;
use crate::lines::{LineReader, LineWriter};
use crate::session::Session;
use crate::session::key::{public_id, record_key};
use crate::session::record::Record;
use crate::store::coordinator::{self, Unreachable};
use crate::store::order;
use crate::store::seal;
use crate::store::user_end::{self, Name};
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::clock::UnixMillis;
use rules::base::strings;
use rules::codec::json::Writer;

/// Largest number of attempts to add a session while other logins of the user add theirs.
const ATTEMPTS: u32 = 3;

/// Largest number of sessions in the list of a user.
const MOST: usize = 20;

/// Largest number of lines in the index of a user. A full index is reduced to [`MOST`] lines, which few logins then have to do.
/// The longest index fits into every store.
const LINES: usize = 30;

/// The longest session of the provider in the index, in bytes.
const LONGEST_NAME: usize = 255;

/// The version of a line.
const VERSION: &str = "1";

/// The longest description of a browser, in bytes.
pub(crate) const LONGEST_DESCRIPTION: usize = 200;

/// A session in the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Listed {
    sid: String,
    began: UnixMillis,
    /// The `iat` of the login's ID token.
    issued: Option<u64>,
    /// The `sid` of the login's ID token, or an empty string.
    provider_session: String,
    /// The description of the browser, in one line.
    description: String,
}

impl Listed {
    fn to_text(&self) -> Secret {
        let mut lines = LineWriter::new(VERSION);
        lines
            .text(&self.sid)
            .number(self.began)
            .optional_number(self.issued)
            .text(&self.provider_session)
            .text(&self.description);
        Secret::new(lines.finish())
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = LineReader::new(text, VERSION)?;
        let listed = Self {
            sid: lines.text()?.to_owned(),
            began: lines.number()?,
            issued: lines.optional_number()?,
            provider_session: lines.text()?.to_owned(),
            description: lines.text()?.to_owned(),
        };
        lines.finish(listed)
    }
}

fn key(task: &Task, user: &str) -> String {
    coordinator::client_key(task, "sessions", user)
}

/// Adds a session that has begun to the index of its user.
pub(crate) async fn add(task: &Task, session: &Session, description: &str) {
    let names = user_end::names(task, session);
    let mut names = names.into_iter().map(|name| name.text);
    let Some(user) = names.next() else {
        return;
    };
    let is_kept = |sid: &String| sid.len() <= LONGEST_NAME && strings::is_line(sid);
    let own = Listed {
        sid: session.sid.clone(),
        began: session.began,
        issued: user_end::issued_at(session),
        provider_session: names.next().filter(is_kept).unwrap_or_default(),
        description: description.to_owned(),
    };
    let key = key(task, &user);
    if let Some(sealed) = seal::seal(task, &key, own.to_text()).await
        && append(task, key.clone(), &sealed).await.is_ok()
    {
        let _ = boxed(make_room(task, &user, key)).await;
    }
}

/// Removes lines from a full index: first those of sessions that have ended, then the oldest ones. If another login has
/// written meanwhile, leaves that to a later one.
async fn make_room(task: &Task, user: &str, key: String) -> Result<(), Unreachable> {
    let Some((lines, version)) = read(task, &key).await? else {
        return Ok(());
    };
    if lines.len() < LINES {
        return Ok(());
    }
    let found = boxed(survey(task, user, &lines)).await?;
    let mut surplus = lines.len() - MOST;
    let mut kept = Vec::new();
    for ((line, _), found) in lines.iter().zip(&found) {
        let is_dropped = found.is_none() && surplus > 0;
        surplus -= usize::from(is_dropped);
        if !is_dropped {
            kept.push(line.as_str());
        }
    }
    let value = kept.split_off(surplus).join("\n");
    let lifetime = task.config().flow.limits.absolute;
    coordinator::swap(task, key, Some(version), value, lifetime).await?;
    Ok(())
}

/// Adds a line to the coordinator's entry, in one step if the coordinator can. Otherwise tries to replace the entry.
async fn append(task: &Task, key: String, line: &str) -> Result<(), Unreachable> {
    let lifetime = task.config().flow.limits.absolute;
    if coordinator::append(task, key.clone(), line, LINES, lifetime).await? {
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        let mut found = coordinator::read(task, vec![key.clone()]).await?;
        let (mut value, mut version) = (String::new(), None);
        if let Some(entry) = found.pop().flatten() {
            let lines: Vec<&str> = strings::split(&entry.value, b'\n').collect();
            for known in &lines[(lines.len() + 1).saturating_sub(LINES)..] {
                value.extend([known, "\n"]);
            }
            version = Some(entry.version);
        }
        value.push_str(line);
        let written = coordinator::swap(task, key.clone(), version, value, lifetime).await?;
        if written.is_some() {
            break;
        }
    }
    Ok(())
}

/// A sealed line of an index, with the session that it names. The session is `None` if the line cannot be opened, or if the
/// session has reached its absolute limit.
type Line = (String, Option<Listed>);

/// Reads the index of a user, and its version.
async fn read(task: &Task, key: &str) -> Result<Option<(Vec<Line>, String)>, Unreachable> {
    let mut entries = coordinator::read_for_list(task, &[key.to_owned()]).await?;
    let Some(entry) = entries.pop().flatten() else {
        return Ok(None);
    };
    let absolute = task.config().flow.limits.absolute.0;
    let now = task.now().wall;
    let mut all = Vec::new();
    let lines: Vec<&str> = strings::split(&entry.value, b'\n').collect();
    // A coordinator may keep more lines than it was told to.
    let skipped = lines.len().saturating_sub(LINES);
    for line in lines.into_iter().skip(skipped) {
        let opened = seal::open(task, key, line).await.ok();
        let listed = opened.and_then(|text| Listed::from_text(text.expose()));
        let listed = listed.filter(|one| now.saturating_sub(one.began) < absolute);
        all.push((line.to_owned(), listed));
    }
    Ok(Some((all, entry.version)))
}

/// A session of a user that has not ended, as far as the coordinator knows.
pub(crate) struct Found {
    /// The public ID.
    pub(crate) id: String,
    began: UnixMillis,
    /// The time of the last refresh, if there was one.
    refreshed: Option<UnixMillis>,
    is_bound: bool,
    description: String,
}

impl Found {
    /// Returns the session in JSON. `is_current` is true for the session of the request, if it comes from a browser.
    pub(crate) fn to_json(&self, is_current: Option<bool>) -> String {
        let mut out = Writer::object();
        out.text("session", &self.id)
            .number("startedAt", self.began)
            .flag("isBound", self.is_bound);
        if let Some(at) = self.refreshed {
            out.number("refreshedAt", at);
        }
        if !self.description.is_empty() {
            out.text("description", &self.description);
        }
        if let Some(is_current) = is_current {
            out.flag("isCurrent", is_current);
        }
        out.finish()
    }
}

/// Returns the sessions of a user that are in the index and have not ended, the latest ones first.
pub(crate) async fn list(task: &Task, user: &str) -> Result<Vec<Found>, Unreachable> {
    let Some((lines, _)) = boxed(read(task, &key(task, user))).await? else {
        return Ok(Vec::new());
    };
    let found = survey(task, user, &lines).await?;
    Ok(found.into_iter().flatten().rev().take(MOST).collect())
}

/// Returns the session of each line, unless it has ended.
async fn survey(
    task: &Task,
    user: &str,
    lines: &[Line],
) -> Result<Vec<Option<Found>>, Unreachable> {
    let listed: Vec<&Listed> = lines.iter().flat_map(|(_, listed)| listed).collect();
    let names = names_of(user, &listed);
    let records = listed.iter().map(|one| record_key(&one.sid));
    let orders = listed
        .iter()
        .map(|one| order::key_of_session(task, &public_id(&one.sid)));
    let ends = names.iter().map(|name| name.key(task));
    let keys: Vec<String> = records.chain(orders).chain(ends).collect();
    let mut entries = coordinator::read_for_list(task, &keys).await?.into_iter();
    let records: Vec<_> = entries.by_ref().take(listed.len()).collect();
    let orders: Vec<_> = entries.by_ref().take(listed.len()).collect();
    let ends = names.into_iter().zip(entries);
    let ends = ends.filter_map(|(name, entry)| Some((name, entry?.value)));
    let sids: Vec<&str> = listed.iter().map(|one| one.sid.as_str()).collect();
    let (ends, _) = boxed(order::open_ends(task, ends.collect(), &sids)).await;
    let mut all = Vec::new();
    for (((one, entry), order), key) in listed.iter().zip(records).zip(orders).zip(&keys) {
        let session = Session::unknown(&one.sid, one.began);
        let of_it = Some(one.provider_session.as_str());
        let is_over =
            order.is_some() || order::end_in(&ends, &session, one.issued, of_it).is_some();
        let text = match entry {
            Some(entry) if !is_over => seal::open(task, key, &entry.value).await.ok(),
            _ => None,
        };
        let record = text.and_then(|text| Record::from_text(text.expose()));
        all.push(
            (!is_over)
                .then(|| found(task, one, &record.unwrap_or_default()))
                .flatten(),
        );
    }
    let mut all = all.into_iter();
    let of_line = |(_, listed): &Line| listed.as_ref().and_then(|_| all.next().flatten());
    Ok(lines.iter().map(of_line).collect())
}

/// Returns the names of all records of ends that may concern these sessions of a user. The first name is the user's.
fn names_of(user: &str, listed: &[&Listed]) -> Vec<Name> {
    let mut names = vec![Name::subject(user)];
    for one in listed {
        let mut known = names.iter().skip(1);
        let is_known = known.any(|name| name.text == one.provider_session);
        if !one.provider_session.is_empty() && !is_known {
            names.push(Name::provider_session(&one.provider_session));
        }
    }
    names
}

/// Returns an indexed session with the data of its record, unless the session has ended.
fn found(task: &Task, one: &Listed, record: &Record) -> Option<Found> {
    let idle = task.config().flow.limits.idle.0;
    // The coordinator learns of activity only at a refresh if sessions are in cookies.
    let unknown_until = |it: &Session| match task.config().storage {
        Storage::InStore => it.active,
        Storage::SealedInCookie => it.active.max(it.requested.saturating_add(it.lifetime.0)),
    };
    let is_idle = |it: &Session| unknown_until(it).saturating_add(idle) <= task.now().wall;
    let is_idle = record.session.as_deref().is_some_and(is_idle);
    (record.ended.is_none() && !is_idle).then(|| Found {
        id: public_id(&one.sid),
        began: one.began,
        refreshed: (record.generation > 0).then_some(record.committed_at),
        is_bound: record.bound.is_some(),
        description: one.description.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_read_as_it_was_written() {
        let first = Listed {
            sid: "a.b".to_owned(),
            began: 7,
            issued: Some(5),
            provider_session: "op".to_owned(),
            description: "Firefox on a phone".to_owned(),
        };
        let second = Listed {
            sid: "c".to_owned(),
            ..Listed::default()
        };
        for one in [first, second] {
            let text = one.to_text();
            assert_eq!(Listed::from_text(text.expose()), Some(one));
        }
        for other in ["2\na\n1\n\n\n", "1\na\nb", "1", ""] {
            assert_eq!(Listed::from_text(other), None);
        }
    }
}
