//! Orders of the app's server to end sessions: all sessions of a user, the sessions that began in one session of the
//! provider, or one session by its public ID.
//!
//! An order about several sessions is a part of their [`UserEnd`], with the sessions that it spares. An order about one
//! session is a sealed value under a key that is derived from the session's public ID.

use rules::prelude::*;

use crate::io::Entry;
use crate::isolate::Seldom;
use crate::lines::{LineReader, LineWriter, Unreadable};
use crate::session::Session;
use crate::session::key::public_id;
use crate::session::record::Record;
use crate::store::coordinator::{self, Unreachable};

use crate::store::seal;
use crate::store::user_end::{self, IDENTIFIER, Kind, Name, StoredOrder, Times, UserEnd};
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::error::{Code, Error};
use rules::base::strings;
use rules::codec::base64url;
use rules::oauth::identity::Identity;
use rules::session::EndReason;

/// Maximum number of attempts to write an order or a logout while other isolates write the same value.
const ATTEMPTS: u32 = 5;

/// The version of an order's content.
const VERSION: &str = "1";

/// Matches any identifier. Used if no order is stored: every session that an earlier order could have ended has expired.
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

impl Order {
    /// Creates an order without `by` and `why`.
    pub(crate) const fn of(reason: EndReason) -> Self {
        Self {
            reason,
            by: String::new(),
            why: String::new(),
        }
    }
}

/// The reason that is assumed for a stored order that cannot be opened. It lets only the user begin the next login.
const UNKNOWN: EndReason = EndReason::LoggedOut;

/// The content of a stored order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OrderContent {
    order: Order,
    /// The public IDs of sessions that continue, each with the identifier that the session must have. A session that an
    /// earlier order has ended does not have it. An order about one session spares none.
    spared: Vec<(String, String)>,
}

impl OrderContent {
    fn to_text(&self) -> Secret {
        let mut spared = String::new();
        for (id, identifier) in &self.spared {
            spared.extend([id, "=", identifier, " "]);
        }
        // Neither `by` nor `why` contains a line break.
        let Order { reason, by, why } = &self.order;
        let mut lines = LineWriter::new(VERSION);
        let lines = lines.text(reason.as_str()).text(by).text(why).text(&spared);
        Secret::new(lines.finish())
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = LineReader::new(text, VERSION)?;
        let order = Order {
            reason: EndReason::from_name(lines.text()?)?,
            by: lines.text()?.to_owned(),
            why: lines.text()?.to_owned(),
        };
        let mut spared = Vec::new();
        for one in strings::split(lines.text()?, b' ').filter(|one| !one.is_empty()) {
            let (id, identifier) = strings::split_once(one, b'=');
            spared.push((id.to_owned(), identifier?.to_owned()));
        }
        lines.finish(Self { order, spared })
    }

    /// Returns the content of an order that spares these sessions. It replaces the order `replaced`, whose content is `before`
    /// if it can be opened.
    fn replacing(
        order: &Order,
        spare: &[String],
        replaced: Option<&StoredOrder>,
        before: Option<&Self>,
    ) -> Self {
        let required = |id: &String| match (before, replaced) {
            (_, None) => ANY,
            (Some(before), Some(replaced)) => {
                before.required_of(id).unwrap_or(&replaced.identifier)
            }
            // An order that cannot be opened may have ended every session without its identifier.
            (None, Some(replaced)) => &replaced.identifier,
        };
        let spared = spare.iter().map(|id| (id.clone(), required(id).to_owned()));
        Self {
            order: order.clone(),
            spared: spared.collect(),
        }
    }

    /// Returns the identifier that a session must have to be spared, or `None` if this order does not spare it.
    fn required_of(&self, id: &str) -> Option<&str> {
        let mut spared = self.spared.iter();
        let found = spared.find(|(known, _)| known == id);
        found.map(|(_, identifier)| identifier.as_str())
    }

    /// Returns true if the order spares a session whose ID has the identifier `known` of an earlier order.
    fn spares(&self, session: &Session, known: &str) -> bool {
        self.required_of(&public_id(&session.sid))
            .is_some_and(|required| required == ANY || required == known)
    }
}

/// Opens an order. Returns `None` if that is not possible, such as after its key was removed, and reports it.
async fn open(task: &Task, purpose: &str, sealed: &str) -> Option<OrderContent> {
    let code = match seal::open(task, purpose, sealed).await {
        Ok(text) => match OrderContent::from_text(text.expose()) {
            Some(opened) => return Some(opened),
            None => Code::CoordinatorUnavailable,
        },
        Err(Unreadable::UnknownKey) => Code::KeyUnknown,
        Err(_) => Code::CoordinatorUnavailable,
    };
    let why = msg!(
        "a stored call of handler.end() cannot be opened: its key is not in cookie.keys, or another version wrote it. It also ends the sessions that it should spare"
    );
    task.error_seldom(Seldom::RecordForeign, &Error::new(code, why));
    None
}

/// Returns the purpose for which the order in an end is sealed.
fn purpose(key: &str, times: Times, identifier: &str) -> String {
    [key, "\n", &StoredOrder::clear_part(times, identifier)].concat()
}

async fn open_in(task: &Task, key: &str, order: &StoredOrder) -> Option<OrderContent> {
    let purpose = purpose(key, order.times, &order.identifier);
    open(task, &purpose, &order.sealed).await
}

/// Returns the key of an order about one session.
pub(crate) fn key_of_session(task: &Task, id: &str) -> String {
    coordinator::client_key(task, "end session", id)
}

/// Opens an order about one session. It must never count as no end, so one that cannot be opened ends the session, too.
async fn open_of_session(task: &Task, key: &str, sealed: &str) -> Order {
    let opened = open(task, key, sealed).await;
    opened.map_or_else(|| Order::of(UNKNOWN), |opened| opened.order)
}

/// Reads a value of the coordinator as an end. One that cannot be read is unreachable for its user's sessions: it must not
/// count as missing, and must not end a session that it may spare.
fn read_end(task: &Task, value: &str) -> Result<UserEnd, Unreachable> {
    UserEnd::from_text(value).ok_or_else(|| {
        let why = msg!(
            "the coordinator's entry about a logout or handler.end() was written by another version of the handler: deploy the same version everywhere"
        );
        task.fault_seldom(Seldom::RecordForeign, why);
        Unreachable
    })
}

/// An end, with what this isolate knows of its order.
pub(crate) struct KnownEnd {
    name: Name,
    end: UserEnd,
    opened: Option<OrderContent>,
}

impl KnownEnd {
    /// Returns the order or the back-channel logout by which a session ends. `issued` is the `iat` of its ID token.
    fn end_of(&self, session: &Session, issued: Option<u64>) -> Option<Order> {
        let is_over = |times: Times| times.ends_session(session.began, issued);
        let known = self.name.kind.identifier_in(&session.sid);
        if let Some(order) = &self.end.order
            && order.identifier != known
        {
            match &self.opened {
                Some(opened) if !opened.spares(session, known) => {
                    return Some(opened.order.clone());
                }
                Some(_) => {}
                // The times of the order tell which logins came later.
                None if is_over(order.times) => return Some(Order::of(UNKNOWN)),
                None => {}
            }
        }
        self.end
            .logout
            .filter(|times| is_over(*times))
            .map(|_| Order::of(EndReason::ProviderEnded))
    }
}

/// Reads the ends of sessions, and opens the orders that may have ended one of them. `sids` are the IDs of the sessions.
/// Also returns true if all ends could be read.
pub(crate) async fn open_ends(
    task: &Task,
    ends: Vec<(Name, String)>,
    sids: &[&str],
) -> (Vec<KnownEnd>, bool) {
    let (mut all, mut is_complete) = (Vec::new(), true);
    for (name, value) in ends {
        let Ok(end) = read_end(task, &value) else {
            is_complete = false;
            continue;
        };
        let is_later = |sid: &&str| name.kind.identifier_in(sid) == end.identifier();
        let opened = match &end.order {
            Some(order) if !sids.iter().all(is_later) => {
                boxed(open_in(task, &name.key(task), order)).await
            }
            _ => None,
        };
        all.push(KnownEnd { name, end, opened });
    }
    (all, is_complete)
}

/// Returns the order or the back-channel logout by which one of these ends a session. `issued` is the `iat` of its ID token.
/// `provider_session` is the `sid` of the session's ID token. It is `None` if all `ends` belong to this session.
pub(crate) fn end_in(
    ends: &[KnownEnd],
    session: &Session,
    issued: Option<u64>,
    provider_session: Option<&str>,
) -> Option<Order> {
    let is_of_it = |end: &&KnownEnd| {
        let is_other = provider_session.is_some_and(|sid| sid != end.name.text);
        end.name.kind == Kind::Subject || !is_other
    };
    let mut ends = ends.iter().filter(is_of_it);
    ends.find_map(|end| end.end_of(session, issued))
}

/// The names of the values at the coordinator that may end a session.
pub(crate) struct EndKeys {
    /// The key of the order about this session alone.
    own: Option<String>,
    /// The names of the ends of its user and of its session of the provider, if the user is known.
    names: Vec<Name>,
}

impl EndKeys {
    pub(crate) fn of(task: &Task, session: &Session) -> Self {
        let is_admin = task.config().admin;
        Self {
            own: is_admin.then(|| key_of_session(task, &public_id(&session.sid))),
            names: user_end::names(task, session),
        }
    }

    /// Returns the keys to read.
    pub(crate) fn keys(&self, task: &Task) -> impl Iterator<Item = String> {
        let ends = self.names.iter().map(|name| name.key(task));
        self.own.iter().cloned().chain(ends)
    }

    /// Returns what has ended a session, unless its `record` already has its end. `entries` are those of
    /// [`EndKeys::keys`].
    pub(crate) async fn find(
        self,
        task: &Task,
        session: &Session,
        record: Option<&Record>,
        entries: Vec<Option<Entry>>,
    ) -> FoundEnd {
        if record.is_some_and(|record| record.ended.is_some()) {
            return FoundEnd::default();
        }
        let mut entries = entries.into_iter();
        if let Some(key) = self.own
            && let Some(entry) = entries.next().flatten()
        {
            let order = boxed(open_of_session(task, &key, &entry.value)).await;
            return FoundEnd {
                order: Some(order),
                ..FoundEnd::default()
            };
        }
        let mut issued = user_end::issued_at(session);
        // The renewal of a bound cookie does not know the user, and the record may not either. A request that knows the
        // user must still read the session's ends.
        let mut is_partial = session.user().is_none() && record.is_some_and(Record::has_no_session);
        let (mut names, mut entries) = (self.names, entries.collect());
        // The cookie of a stored session does not name the user. The keys of its ends are therefore known only after the
        // record was read.
        if let Some(kept) = record.and_then(|record| record.session.as_ref())
            && names.is_empty()
        {
            issued = user_end::issued_at(kept);
            names = user_end::names(task, kept);
            let keys: Vec<String> = names.iter().map(|name| name.key(task)).collect();
            if !keys.is_empty() {
                match coordinator::read(task, keys).await {
                    Ok(found) => entries = found,
                    Err(Unreachable) => is_partial = true,
                }
            }
        }
        let found = names.into_iter().zip(entries);
        let ends = found.filter_map(|(name, entry)| Some((name, entry?.value)));
        let (ends, is_readable) = open_ends(task, ends.collect(), &[&session.sid]).await;
        let order = end_in(&ends, session, issued, None);
        FoundEnd {
            is_unreadable: order.is_none() && !is_readable,
            is_partial,
            order,
        }
    }
}

/// The result of [`EndKeys::find`].
#[derive(Default)]
pub(crate) struct FoundEnd {
    /// The order or the back-channel logout that has ended the session.
    pub(crate) order: Option<Order>,
    /// True if some ends could not be asked for.
    pub(crate) is_partial: bool,
    /// True if an end cannot be read, and no other one has ended the session. The session must not be refreshed.
    pub(crate) is_unreadable: bool,
}

/// Returns the suffix of a new session's ID: a dot and the identifier of the latest order about its user, and then the same
/// for the session of the provider, as far as there are orders. Without the coordinator, the login continues without a
/// suffix, and the session ends at the next read if there is an order.
///
/// # Errors
/// [`Code::CoordinatorUnavailable`] if an end cannot be read. The session could not be refreshed, and would end as soon as
/// the end can be read.
pub(crate) async fn identifiers(task: &Task, user: &Identity) -> Result<String, Error> {
    let mut out = String::new();
    let names = user_end::names_of(task, user);
    if names.is_empty() || !coordinator::is_up(task) {
        return Ok(out);
    }
    let keys = names.iter().map(|name| name.key(task));
    let Ok(entries) = coordinator::read(task, keys.collect()).await else {
        return Ok(out);
    };
    let mut dots = String::new();
    for entry in entries {
        dots.push('.');
        let Some(entry) = entry else { continue };
        let end = read_end(task, &entry.value).map_err(|Unreachable| {
            let why = msg!(
                "this server cannot check if the user's sessions have ended; try again in a moment"
            );
            Error::new(Code::CoordinatorUnavailable, why)
        })?;
        if !end.identifier().is_empty() {
            out.extend([&*dots, end.identifier()]);
            dots.clear();
        }
    }
    Ok(out)
}

/// Writes an order about one session.
pub(crate) async fn write_session_order(
    task: &Task,
    id: &str,
    order: &Order,
) -> Result<(), Unreachable> {
    let key = key_of_session(task, id);
    let opened = OrderContent {
        order: order.clone(),
        spared: Vec::new(),
    };
    for _ in 0..ATTEMPTS {
        let (_, version) = read_one(task, &key).await?;
        let sealed = seal::seal(task, &key, opened.to_text()).await;
        if swap(task, &key, version, sealed.ok_or(Unreachable)?).await? {
            return Ok(());
        }
    }
    Err(Unreachable)
}

/// Writes an order about the sessions of a user or of a session of the provider. The sessions with these public IDs
/// continue, unless an earlier order has ended them.
pub(crate) async fn write_order(
    task: &Task,
    name: &Name,
    order: &Order,
    spare: &[String],
) -> Result<(), Unreachable> {
    coordinator::find_time(task).await;
    let now = task.now().wall;
    let own = Times {
        received: now,
        issued: now / 1000,
    };
    let key = name.key(task);
    let mut tried = String::new();
    for _ in 0..ATTEMPTS {
        let (mut end, version) = read_one_end(task, &key).await?;
        // A write may take effect although another one seems to have come first, as after a repeated command.
        if !tried.is_empty() && end.identifier() == tried {
            return Ok(());
        }
        let replaced = end.order.take();
        let before = match &replaced {
            Some(replaced) => boxed(open_in(task, &key, replaced)).await,
            None => None,
        };
        let content = OrderContent::replacing(order, spare, replaced.as_ref(), before.as_ref());
        let earlier = replaced.as_ref().map(|replaced| match &before {
            Some(_) => replaced.times,
            None => replaced
                .times
                .at_most(own, task.config().flow.clock_tolerance),
        });
        let times = own.or_later(earlier);
        // Sessions that began after an earlier attempt may have its identifier.
        tried = base64url::encode(&task.isolate().random::<IDENTIFIER>());
        let purpose = purpose(&key, times, &tried);
        let sealed = seal::seal(task, &purpose, content.to_text()).await;
        end.order = Some(StoredOrder {
            times,
            identifier: tried.clone(),
            sealed: sealed.ok_or(Unreachable)?,
        });
        if swap(task, &key, version, end.to_text()).await? {
            return Ok(());
        }
    }
    Err(Unreachable)
}

/// Writes a back-channel logout.
pub(crate) async fn write_logout(
    task: &Task,
    name: &Name,
    times: Times,
) -> Result<(), Unreachable> {
    let key = name.key(task);
    for _ in 0..ATTEMPTS {
        let (end, version) = read_one_end(task, &key).await?;
        let end = UserEnd {
            logout: Some(times.or_later(end.logout)),
            ..end
        };
        if swap(task, &key, version, end.to_text()).await? {
            return Ok(());
        }
    }
    Err(Unreachable)
}

/// Returns the value under a key and its version.
async fn read_one(task: &Task, key: &str) -> Result<(Option<String>, Option<String>), Unreachable> {
    let mut found = coordinator::read(task, vec![key.to_owned()]).await?;
    Ok(match found.pop().flatten() {
        Some(entry) => (Some(entry.value), Some(entry.version)),
        None => (None, None),
    })
}

/// Returns the end under a key and its version. If the store has no end, returns an empty one.
async fn read_one_end(task: &Task, key: &str) -> Result<(UserEnd, Option<String>), Unreachable> {
    let (value, version) = read_one(task, key).await?;
    let end = match value {
        Some(value) => read_end(task, &value)?,
        None => UserEnd::default(),
    };
    Ok((end, version))
}

/// Writes a value. Returns false if another write came first.
async fn swap(
    task: &Task,
    key: &str,
    version: Option<String>,
    value: String,
) -> Result<bool, Unreachable> {
    let lifetime = user_end::lifetime(task);
    let written = coordinator::swap(task, key.to_owned(), version, value, lifetime).await?;
    Ok(written.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_read_as_it_was_written() {
        let of = str::to_owned;
        let mut opened = OrderContent {
            order: Order {
                reason: EndReason::Security,
                by: of("Ann, support"),
                why: String::new(),
            },
            spared: vec![(of("first"), of("")), (of("second"), of("one"))],
        };
        let read = |text: &str| OrderContent::from_text(text);
        assert_eq!(read(opened.to_text().expose()), Some(opened.clone()));
        opened.spared.clear();
        let text = opened.to_text().expose().to_owned();
        assert_eq!(read(&text), Some(opened));
        let of_other_version = text.replacen('1', "2", 1);
        for other in ["", "1", &of_other_version, &[&text, "\n"].concat()] {
            assert_eq!(read(other), None);
        }
    }
}
