//! Orders of the app's server to end sessions: all sessions of a user, the sessions that began in one session of the
//! provider, or one session by its public ID.
//!
//! An order about a user or a session of the provider has two values. One is a [`tombstone`], by which
//! isolates of earlier versions end the sessions, too. The other one is the sealed [`Beside`], under a key of its own, which
//! only isolates that have found a tombstone read. Both are written with each order, [`Beside`] first.
//!
//! A tombstone has times, and the clocks of servers differ. Times must not end the session of a user who has signed in
//! again after an order, so each order has a random identifier. A login stores the identifiers of the latest orders in the
//! session's ID, and a session ends if they are not those of the latest orders. An isolate of an earlier version stores no
//! identifier and compares the times, so it may end too many sessions, but never too few.
//!
//! An order about one session is a sealed value under a key that is derived from the session's public ID.

use rules::prelude::*;

use crate::isolate::Seldom;
use crate::session::Session;
use crate::session::key::public_id;
use crate::store::coordinator::{self, Unreachable};
use crate::store::seal::{self, OpenError};
use crate::store::tombstone::{self, Kind, LogoutTimes, Name};
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::error::{Code, Error};
use rules::base::strings;
use rules::codec::base64url;
use rules::oauth::identity::Identity;
use rules::session::EndReason;

/// Maximum number of attempts to write an order or a tombstone while other isolates also write it.
const ATTEMPTS: u32 = 5;

/// The version of the sealed values.
const VERSION: &str = "1";

/// Length of an order's identifier in bytes.
const IDENTIFIER: usize = 9;

/// Largest number of earlier tombstones that an order knows: those of orders at the same moment.
const MOST_EARLIER: usize = 16;

/// Stands for an identifier that no session has.
const UNKNOWN: &str = "?";

/// Stands for any identifier. Before the first order, or after the last one has expired, no order has ended a session that
/// still lives.
const ANY: &str = "*";

/// An order of the app's server, or a back-channel logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) reason: EndReason,
    /// The name of who gave the order, for reports.
    pub(crate) by: String,
    /// The reason in words, for reports.
    pub(crate) why: String,
}

/// A back-channel logout.
impl Default for Order {
    fn default() -> Self {
        Self {
            reason: EndReason::ProviderEnded,
            by: String::new(),
            why: String::new(),
        }
    }
}

impl Order {
    /// Returns the lines to seal. Neither `by` nor `why` contains a line break.
    fn to_text(&self) -> String {
        let reason = self.reason.as_str();
        [VERSION, "\n", reason, "\n", &self.by, "\n", &self.why].concat()
    }

    fn from_lines<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let is_sound = lines.next()? == VERSION;
        let order = Self {
            reason: EndReason::from_name(lines.next()?)?,
            by: lines.next()?.to_owned(),
            why: lines.next()?.to_owned(),
        };
        is_sound.then_some(order)
    }

    /// Returns the order in place of one that cannot be opened. Only the user may begin the next login, as after any order.
    fn unknown() -> Self {
        Self {
            reason: EndReason::LoggedOut,
            ..Self::default()
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = strings::split(text, b'\n');
        let order = Self::from_lines(&mut lines)?;
        lines.next().is_none().then_some(order)
    }
}

/// The value beside a tombstone: the latest order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Beside {
    order: Order,
    identifier: String,
    /// The tombstone as it was written with this value.
    written: String,
    /// The tombstone that was replaced, or an empty string. It is still there if only this value could be written.
    found: String,
    /// Earlier tombstones, also those that an order at the same moment may still write.
    earlier: Vec<String>,
    /// The tombstone of back-channel logouts alone, or an empty string.
    before: String,
    /// The public IDs of sessions that continue, each with the identifier that the session must have. A session that an
    /// earlier order has ended does not have it.
    spared: Vec<(String, String)>,
}

impl Beside {
    fn to_text(&self) -> String {
        let mut text = self.order.to_text();
        for line in [&self.identifier, &self.written, &self.found, &self.before] {
            text.push('\n');
            text.push_str(line);
        }
        text.push('\n');
        for known in &self.earlier {
            text.extend([known, "|"]);
        }
        text.push('\n');
        for (id, identifier) in &self.spared {
            text.extend([id, "=", identifier, " "]);
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = strings::split(text, b'\n');
        let order = Order::from_lines(&mut lines)?;
        let mut line = || lines.next().map(str::to_owned);
        let (identifier, written, found, before) = (line()?, line()?, line()?, line()?);
        let earlier = strings::split(lines.next()?, b'|').filter(|one| !one.is_empty());
        let earlier = earlier.map(str::to_owned).collect();
        let mut spared = Vec::new();
        for one in strings::split(lines.next()?, b' ').filter(|one| !one.is_empty()) {
            let (id, identifier) = strings::split_once(one, b'=');
            spared.push((id.to_owned(), identifier?.to_owned()));
        }
        let beside = Self {
            order,
            identifier,
            written,
            found,
            earlier,
            before,
            spared,
        };
        lines.next().is_none().then_some(beside)
    }

    /// Returns the part of the tombstone `text` that counts: the back-channel logouts. An isolate of an earlier version may
    /// have added one, and then all of it counts.
    fn logouts_in<'a>(&'a self, text: &'a str) -> &'a str {
        let is_known = self.earlier.iter().any(|known| known == text);
        if is_known || text == self.written || text == self.found {
            &self.before
        } else {
            text
        }
    }

    /// Returns the identifier that a session must have to be spared, or `None` if this order does not spare it.
    fn required_of(&self, id: &str) -> Option<&str> {
        let mut spared = self.spared.iter();
        let found = spared.find(|(known, _)| known == id);
        found.map(|(_, identifier)| identifier.as_str())
    }

    /// Returns true if the order ends a session of this kind of tombstone.
    fn ends(&self, session: &Session, kind: Kind) -> bool {
        let known = identifier_in(&session.sid, kind);
        if known == self.identifier {
            return false;
        }
        let required = self.required_of(&public_id(&session.sid));
        required.is_none_or(|required| required != known && required != ANY)
    }
}

/// Returns the key of the value beside a tombstone.
fn key_beside(task: &Task, name: &Name) -> String {
    let kind = match name.kind {
        Kind::Subject => "end subject",
        Kind::ProviderSession => "end sid",
    };
    coordinator::client_key(task, kind, &name.text)
}

/// Returns the key of an order about one session.
pub(crate) fn key_of_session(task: &Task, id: &str) -> String {
    coordinator::client_key(task, "end session", id)
}

/// Returns the identifier that a session's ID contains, or an empty string.
fn identifier_in(sid: &str, kind: Kind) -> &str {
    let mut parts = strings::split(sid, b'.').skip(1);
    let (subject, provider_session) = (parts.next(), parts.next());
    match kind {
        Kind::Subject => subject.unwrap_or_default(),
        Kind::ProviderSession => provider_session.unwrap_or_default(),
    }
}

/// A value that cannot be opened, such as after its key was removed. It is an order, so it must never count as no end, and it
/// must not keep users out either.
struct Unopenable;

async fn open(task: &Task, key: &str, sealed: &str) -> Result<Secret, Unopenable> {
    seal::open(task, key, sealed).await.map_err(|error| {
        let why = msg!(
            "an order to end sessions cannot be opened: it counts without what it spares; repeat it if it should spare sessions"
        );
        let code = match error {
            OpenError::UnknownKey => Code::KeyUnknown,
            OpenError::NotGenuine => Code::CoordinatorUnavailable,
        };
        task.error_seldom(Seldom::RecordForeign, &Error::new(code, why));
        Unopenable
    })
}

async fn open_beside(task: &Task, key: &str, sealed: &str) -> Result<Beside, Unopenable> {
    let text = open(task, key, sealed).await?;
    Beside::from_text(text.expose()).ok_or(Unopenable)
}

/// Opens an order about one session. A value that cannot be opened ends the session, too.
pub(crate) async fn open_order(task: &Task, key: &str, sealed: &str) -> Order {
    let opened = open(task, key, sealed).await.ok();
    let order = opened.and_then(|text| Order::from_text(text.expose()));
    order.unwrap_or_else(Order::unknown)
}

/// A tombstone with the order beside it.
pub(crate) struct Loaded {
    name: Name,
    tombstone: String,
    beside: Option<Result<Beside, Unopenable>>,
}

/// Reads the orders beside tombstones.
pub(crate) async fn load(
    task: &Task,
    tombstones: Vec<(Name, String)>,
) -> Result<Vec<Loaded>, Unreachable> {
    if tombstones.is_empty() {
        return Ok(Vec::new());
    }
    let keys = tombstones.iter().map(|(name, _)| key_beside(task, name));
    let keys: Vec<String> = keys.collect();
    let entries = coordinator::read(task, keys.clone()).await?;
    let mut loaded = Vec::new();
    for (((name, tombstone), key), entry) in tombstones.into_iter().zip(&keys).zip(entries) {
        let beside = match entry {
            Some(entry) => Some(open_beside(task, key, &entry.value).await),
            None => None,
        };
        loaded.push(Loaded {
            name,
            tombstone,
            beside,
        });
    }
    Ok(loaded)
}

/// Returns the order or the back-channel logout by which one of these tombstones ends a session. `issued` is the `iat` of its
/// ID token. If the tombstones are not only those of the session, `provider_session` is the `sid` of its ID token.
pub(crate) fn end_in(
    tombstones: &[Loaded],
    session: &Session,
    issued: Option<u64>,
    provider_session: Option<&str>,
) -> Option<Order> {
    let mut ended = None;
    for Loaded {
        name,
        tombstone,
        beside,
    } in tombstones
    {
        let is_of_other = provider_session.is_some_and(|sid| sid != name.text);
        if name.kind == Kind::ProviderSession && is_of_other {
            continue;
        }
        let mut logouts = tombstone.as_str();
        if let Some(Ok(beside)) = beside {
            logouts = beside.logouts_in(tombstone);
            if beside.ends(session, name.kind) {
                return Some(beside.order.clone());
            }
        }
        let is_over = !logouts.is_empty()
            && LogoutTimes::from_text(logouts).is_none_or(|it| it.end(session.began, issued));
        if is_over {
            // The times of an order are in the tombstone, too.
            ended = Some(match beside {
                Some(Err(Unopenable)) => Order::unknown(),
                _ => Order::default(),
            });
        }
    }
    ended
}

/// Returns the end of the ID of a session that begins now: a dot and the identifier of the latest order about its user, and
/// another dot and identifier for the session of the provider, as far as there are orders. Without the coordinator, the login
/// continues without them, and the session ends at the next read if there is an order.
pub(crate) async fn identifiers(task: &Task, user: &Identity) -> String {
    let mut out = String::new();
    let keys: Vec<String> = tombstone::names_of(task, user)
        .iter()
        .map(|name| key_beside(task, name))
        .collect();
    if keys.is_empty() || !coordinator::is_up(task) {
        return out;
    }
    let Ok(entries) = coordinator::read(task, keys.clone()).await else {
        return out;
    };
    let mut dots = String::new();
    for (key, entry) in keys.iter().zip(entries) {
        dots.push('.');
        if let Some(entry) = entry
            && let Ok(beside) = open_beside(task, key, &entry.value).await
        {
            out.extend([&*dots, &beside.identifier]);
            dots.clear();
        }
    }
    out
}

/// Seals a value and writes it. Returns false if another write came first.
async fn swap(
    task: &Task,
    key: &str,
    version: Option<String>,
    text: String,
) -> Result<bool, Unreachable> {
    let Some(sealed) = seal::seal(task, key, Secret::new(text)).await else {
        return Err(Unreachable);
    };
    let lifetime = tombstone::lifetime(task);
    let written = coordinator::swap(task, key.to_owned(), version, sealed, lifetime).await?;
    Ok(written.is_some())
}

/// Writes an order about one session.
pub(crate) async fn end_session(task: &Task, id: &str, order: &Order) -> Result<(), Unreachable> {
    let key = key_of_session(task, id);
    for _ in 0..ATTEMPTS {
        let mut found = coordinator::read(task, vec![key.clone()]).await?;
        let version = found.pop().flatten().map(|entry| entry.version);
        if swap(task, &key, version, order.to_text()).await? {
            return Ok(());
        }
    }
    Err(Unreachable)
}

/// Writes an order about the sessions of a tombstone. The sessions with these public IDs continue, unless an earlier order
/// has ended them.
pub(crate) async fn end_all(
    task: &Task,
    name: &Name,
    order: &Order,
    spare: &[String],
) -> Result<(), Unreachable> {
    // Isolates of earlier versions compare the time with those of logins.
    coordinator::find_time(task).await;
    let identifier = base64url::encode(&task.isolate().random::<IDENTIFIER>());
    let now = task.now().wall;
    let times = LogoutTimes {
        received: now,
        issued: now / 1000,
    };
    let replace = |found: &str, replaced: Option<Result<Beside, Unopenable>>| {
        let required = |id: &String| match &replaced {
            None => ANY.to_owned(),
            // An order that cannot be opened may have ended the session.
            Some(Err(Unopenable)) => UNKNOWN.to_owned(),
            Some(Ok(replaced)) => {
                let required = replaced.required_of(id);
                required.unwrap_or(&replaced.identifier).to_owned()
            }
        };
        let before = match &replaced {
            Some(Ok(replaced)) => replaced.logouts_in(found),
            _ => found,
        };
        Some(Beside {
            order: order.clone(),
            identifier: identifier.clone(),
            before: before.to_owned(),
            spared: spare.iter().map(|id| (id.clone(), required(id))).collect(),
            ..Beside::default()
        })
    };
    write(task, name, times, &replace).await
}

/// Writes the tombstone of a back-channel logout, or the later times of a tombstone that is already there.
pub(crate) async fn leave(task: &Task, name: &Name, times: LogoutTimes) -> Result<(), Unreachable> {
    let add = |found: &str, beside: Option<Result<Beside, Unopenable>>| {
        // Beside a value that cannot be opened, the whole tombstone counts.
        let beside = beside?.ok()?;
        Some(Beside {
            before: times.or_later(beside.logouts_in(found)).to_text(),
            ..beside
        })
    };
    write(task, name, times, &add).await
}

/// Returns the value to write beside a tombstone, from the tombstone and the value that were found. Returns `None` if
/// there is nothing to write.
type Change<'a> = dyn Fn(&str, Option<Result<Beside, Unopenable>>) -> Option<Beside> + 'a;

/// Writes a tombstone with these times, or with the later ones of the tombstone that is there, after the value beside it.
async fn write(
    task: &Task,
    name: &Name,
    times: LogoutTimes,
    change: &Change<'_>,
) -> Result<(), Unreachable> {
    let (key, key_beside) = (name.key(task), key_beside(task, name));
    for _ in 0..ATTEMPTS {
        let keys = vec![key.clone(), key_beside.clone()];
        let mut entries = coordinator::read(task, keys).await?.into_iter();
        let (tombstone, beside) = (entries.next().flatten(), entries.next().flatten());
        let found = tombstone.as_ref().map_or("", |entry| &entry.value);
        let mut earlier: Vec<String> = Vec::new();
        let written = times.or_later(found).to_text();
        let (version, known) = match beside {
            Some(entry) => {
                let opened = boxed(open_beside(task, &key_beside, &entry.value)).await;
                if let Ok(replaced) = &opened {
                    earlier.clone_from(&replaced.earlier);
                    earlier.extend([replaced.found.clone(), replaced.written.clone()]);
                    earlier.retain(|one| !one.is_empty());
                    earlier.dedup();
                    earlier.drain(..earlier.len().saturating_sub(MOST_EARLIER));
                }
                (Some(entry.version), Some(opened))
            }
            None => (None, None),
        };
        if let Some(changed) = change(found, known) {
            let beside = Beside {
                written: written.clone(),
                found: found.to_owned(),
                earlier: earlier.clone(),
                ..changed
            };
            if !swap(task, &key_beside, version, beside.to_text()).await? {
                continue;
            }
        }
        let version = tombstone.map(|entry| entry.version);
        let lifetime = tombstone::lifetime(task);
        let swapped = coordinator::swap(task, key.clone(), version, written, lifetime).await?;
        if swapped.is_some() {
            return Ok(());
        }
    }
    Err(Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside() -> Beside {
        let of = str::to_owned;
        Beside {
            order: Order {
                reason: EndReason::Security,
                by: of("Ann, support"),
                why: String::new(),
            },
            identifier: of("two"),
            written: of("20 2"),
            found: of("10 1"),
            earlier: Vec::new(),
            before: String::new(),
            spared: vec![(of("first"), of("")), (of("second"), of("one"))],
        }
    }

    #[test]
    fn value_beside_a_tombstone_is_read_as_it_was_written() {
        let mut beside = beside();
        assert_eq!(Beside::from_text(&beside.to_text()), Some(beside.clone()));
        beside.spared.clear();
        let text = beside.to_text();
        assert_eq!(Beside::from_text(&text), Some(beside.clone()));
        assert_eq!(
            Order::from_text(&beside.order.to_text()),
            Some(beside.order)
        );
        let others = [
            "",
            "1",
            &text.replacen('1', "2", 1),
            &[&text, "\n"].concat(),
        ];
        for other in others {
            assert_eq!(Beside::from_text(other), None);
            assert_eq!(Order::from_text(other), None);
        }
    }

    #[test]
    fn logouts_count_alone_unless_somebody_else_wrote_the_tombstone() {
        let beside = beside();
        for (text, expected) in [("20 2", ""), ("10 1", ""), ("20 3", "20 3")] {
            assert_eq!(beside.logouts_in(text), expected);
        }
    }

    #[test]
    fn session_id_has_the_identifiers_of_its_login() {
        let [subject, provider_session] = [Kind::Subject, Kind::ProviderSession];
        for (sid, first, second) in [
            ("a", "", ""),
            ("a.b", "b", ""),
            ("a..c", "", "c"),
            ("a.b.c", "b", "c"),
        ] {
            assert_eq!(identifier_in(sid, subject), first);
            assert_eq!(identifier_in(sid, provider_session), second);
        }
    }
}
