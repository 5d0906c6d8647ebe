//! Orders of the app's server to end sessions: all sessions of a user, the sessions that began in one session of the
//! provider, or one session by its public ID.
//!
//! An order about several sessions is sealed in their [`end`], with the sessions that it spares. An order about one session
//! is a sealed value under a key that is derived from the session's public ID.

use rules::prelude::*;

use crate::io::Entry;
use crate::isolate::Seldom;
use crate::lines::{Reader, Unreadable, Writer};
use crate::session::Session;
use crate::session::key::public_id;
use crate::session::record::Record;
use crate::store::coordinator::{self, Unreachable};
use crate::store::end::{self, End, Kind, Name, SealedOrder, Times};
use crate::store::seal;
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::error::{Code, Error};
use rules::base::strings;
use rules::codec::base64url;
use rules::oauth::identity::Identity;
use rules::session::EndReason;

/// Maximum number of attempts to write an order or a logout while other isolates write the same value.
const ATTEMPTS: u32 = 5;

/// The version of an order.
const VERSION: &str = "1";

/// Length of an order's identifier in bytes.
const IDENTIFIER: usize = 9;

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
    /// Returns the order in place of one that cannot be opened. Only the user may begin the next login, as after any order.
    fn unknown() -> Self {
        Self {
            reason: EndReason::LoggedOut,
            ..Self::default()
        }
    }
}

/// The content of a sealed order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Opened {
    order: Order,
    /// The public IDs of sessions that continue, each with the identifier that the session must have. A session that an
    /// earlier order has ended does not have it. An order about one session spares none.
    spared: Vec<(String, String)>,
}

impl Opened {
    fn to_text(&self) -> Secret {
        let mut spared = String::new();
        for (id, identifier) in &self.spared {
            spared.extend([id, "=", identifier, " "]);
        }
        // Neither `by` nor `why` contains a line break.
        let Order { reason, by, why } = &self.order;
        let mut lines = Writer::new(VERSION);
        let lines = lines.text(reason.as_str()).text(by).text(why).text(&spared);
        Secret::new(lines.finish())
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = Reader::new(text, VERSION).ok()?;
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
async fn open(task: &Task, purpose: &str, sealed: &str) -> Option<Opened> {
    let code = match seal::open(task, purpose, sealed).await {
        Ok(text) => match Opened::from_text(text.expose()) {
            Some(opened) => return Some(opened),
            None => Code::CoordinatorUnavailable,
        },
        Err(Unreadable::UnknownKey) => Code::KeyUnknown,
        Err(_) => Code::CoordinatorUnavailable,
    };
    let why = msg!(
        "an order to end sessions cannot be opened: it counts without what it spares; repeat it if it should spare sessions"
    );
    task.error_seldom(Seldom::RecordForeign, &Error::new(code, why));
    None
}

/// Returns the purpose for which the order in an end is sealed.
fn purpose(key: &str, times: Times, identifier: &str) -> String {
    [key, "\n", &SealedOrder::clear_part(times, identifier)].concat()
}

async fn open_in(task: &Task, key: &str, order: &SealedOrder) -> Option<Opened> {
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
    opened.map_or_else(Order::unknown, |opened| opened.order)
}

/// Reads a value of the coordinator as an end. An end of another version is unreachable for its user's sessions: it must
/// neither count as none, nor end what it perhaps spares.
fn read_end(task: &Task, value: &str) -> Result<End, Unreachable> {
    End::from_text(value).map_err(|unreadable| {
        let why = if unreadable == Unreadable::OtherVersion {
            msg!(
                "the end of a user's sessions was written by another version of the handler: deploy the same version everywhere"
            )
        } else {
            msg!("the end of a user's sessions in the coordinator was not written by a handler")
        };
        task.fault_seldom(Seldom::RecordForeign, why);
        Unreachable
    })
}

/// An end, with what this isolate knows of its order.
pub(crate) struct KnownEnd {
    name: Name,
    end: End,
    opened: Option<Opened>,
}

impl KnownEnd {
    /// Returns the order or the back-channel logout by which a session ends. `issued` is the `iat` of its ID token.
    fn end_of(&self, session: &Session, issued: Option<u64>) -> Option<Order> {
        let is_over = |times: Times| times.end(session.began, issued);
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
                None if is_over(order.times) => return Some(Order::unknown()),
                None => {}
            }
        }
        self.end
            .logout
            .filter(|times| is_over(*times))
            .map(|_| Order::default())
    }
}

/// Reads the ends of sessions, and opens the orders that may have ended one of them. `sids` are the IDs of the sessions.
pub(crate) async fn open_ends(
    task: &Task,
    ends: Vec<(Name, String)>,
    sids: &[&str],
) -> Result<Vec<KnownEnd>, Unreachable> {
    let mut all = Vec::new();
    for (name, value) in ends {
        let end = read_end(task, &value)?;
        let is_later = |sid: &&str| name.kind.identifier_in(sid) == end.identifier();
        let opened = match &end.order {
            Some(order) if !sids.iter().all(is_later) => {
                boxed(open_in(task, &name.key(task), order)).await
            }
            _ => None,
        };
        all.push(KnownEnd { name, end, opened });
    }
    Ok(all)
}

/// Returns the order or the back-channel logout by which one of these ends a session. `issued` is the `iat` of its ID token.
/// If the ends are not only those of the session, `provider_session` is the `sid` of its ID token.
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

/// The values at the coordinator that may end a session.
pub(crate) struct Ends {
    /// The key of the order about this session alone.
    own: Option<String>,
    /// The names of the ends of its user and of its session of the provider, if the user is known.
    names: Vec<Name>,
}

impl Ends {
    pub(crate) fn of(task: &Task, session: &Session) -> Self {
        let is_admin = task.config().admin;
        Self {
            own: is_admin.then(|| key_of_session(task, &public_id(&session.sid))),
            names: end::names(task, session),
        }
    }

    /// Returns the keys to read.
    pub(crate) fn keys(&self, task: &Task) -> impl Iterator<Item = String> {
        let ends = self.names.iter().map(|name| name.key(task));
        self.own.iter().cloned().chain(ends)
    }

    /// Returns the order or the logout that has ended a session, and true if this is certain. `record` is the store's
    /// record, which perhaps has the end already, and `entries` are those of [`Ends::keys`].
    pub(crate) async fn find(
        self,
        task: &Task,
        session: &Session,
        record: Option<&Record>,
        entries: Vec<Option<Entry>>,
    ) -> Result<(Option<Order>, bool), Unreachable> {
        if record.is_some_and(|record| record.ended.is_some()) {
            return Ok((None, true));
        }
        let mut entries = entries.into_iter();
        if let Some(key) = self.own
            && let Some(entry) = entries.next().flatten()
        {
            let order = boxed(open_of_session(task, &key, &entry.value)).await;
            return Ok((Some(order), true));
        }
        let mut issued = end::issued_at(session);
        // The renewal of a bound cookie does not know the user, and the record may not either. A request that knows the
        // user must still read the session's ends.
        let mut is_all = session.user().is_some() || !record.is_some_and(Record::has_no_session);
        let (mut names, mut entries) = (self.names, entries.collect());
        // The cookie of a stored session does not name the user. The keys of its ends are therefore known only after the
        // record was read.
        if let Some(kept) = record.and_then(|record| record.session.as_ref())
            && names.is_empty()
        {
            issued = end::issued_at(kept);
            names = end::names(task, kept);
            let keys: Vec<String> = names.iter().map(|name| name.key(task)).collect();
            if !keys.is_empty() {
                match coordinator::read(task, keys).await {
                    Ok(found) => entries = found,
                    Err(Unreachable) => is_all = false,
                }
            }
        }
        let found = names.into_iter().zip(entries);
        let ends = found.filter_map(|(name, entry)| Some((name, entry?.value)));
        let ends = open_ends(task, ends.collect(), &[&session.sid]).await?;
        Ok((end_in(&ends, session, issued, None), is_all))
    }
}

/// Returns the end of the ID of a session that begins now: a dot and the identifier of the latest order about its user, and
/// another dot and identifier for the session of the provider, as far as there are orders. Without the coordinator, the login
/// continues without them, and the session ends at the next read if there is an order.
///
/// # Errors
/// [`Code::CoordinatorUnavailable`] if an end cannot be read: the session would end at its first request.
pub(crate) async fn identifiers(task: &Task, user: &Identity) -> Result<String, Error> {
    let mut out = String::new();
    let names = end::names_of(task, user);
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
                "the user's sessions have an end that this server cannot read; try again in a moment"
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
pub(crate) async fn end_session(task: &Task, id: &str, order: &Order) -> Result<(), Unreachable> {
    let key = key_of_session(task, id);
    let opened = Opened {
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
pub(crate) async fn end_all(
    task: &Task,
    name: &Name,
    order: &Order,
    spare: &[String],
) -> Result<(), Unreachable> {
    coordinator::find_time(task).await;
    let identifier = base64url::encode(&task.isolate().random::<IDENTIFIER>());
    let now = task.now().wall;
    let own = Times {
        received: now,
        issued: now / 1000,
    };
    let key = name.key(task);
    for _ in 0..ATTEMPTS {
        let (mut end, version) = read_one_end(task, &key).await?;
        let replaced = end.order.take();
        let before = match &replaced {
            Some(replaced) => boxed(open_in(task, &key, replaced)).await,
            None => None,
        };
        let required = |id: &String| match (&before, &replaced) {
            (_, None) => ANY,
            (Some(before), Some(replaced)) => {
                before.required_of(id).unwrap_or(&replaced.identifier)
            }
            // An order that cannot be opened may have ended every session without its identifier.
            (None, Some(replaced)) => &replaced.identifier,
        };
        let opened = Opened {
            order: order.clone(),
            spared: spare
                .iter()
                .map(|id| (id.clone(), required(id).to_owned()))
                .collect(),
        };
        let times = own.or_later(replaced.as_ref().map(|replaced| replaced.times));
        let purpose = purpose(&key, times, &identifier);
        let sealed = seal::seal(task, &purpose, opened.to_text()).await;
        end.order = Some(SealedOrder {
            times,
            identifier: identifier.clone(),
            sealed: sealed.ok_or(Unreachable)?,
        });
        if swap(task, &key, version, end.to_text()).await? {
            return Ok(());
        }
    }
    Err(Unreachable)
}

/// Writes a back-channel logout.
pub(crate) async fn log_out(task: &Task, name: &Name, times: Times) -> Result<(), Unreachable> {
    let key = name.key(task);
    for _ in 0..ATTEMPTS {
        let (end, version) = read_one_end(task, &key).await?;
        let end = End {
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
async fn read_one_end(task: &Task, key: &str) -> Result<(End, Option<String>), Unreachable> {
    let (value, version) = read_one(task, key).await?;
    let end = match value {
        Some(value) => read_end(task, &value)?,
        None => End::default(),
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
    let lifetime = end::lifetime(task);
    let written = coordinator::swap(task, key.to_owned(), version, value, lifetime).await?;
    Ok(written.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_read_as_it_was_written() {
        let of = str::to_owned;
        let mut opened = Opened {
            order: Order {
                reason: EndReason::Security,
                by: of("Ann, support"),
                why: String::new(),
            },
            spared: vec![(of("first"), of("")), (of("second"), of("one"))],
        };
        let read = |text: &str| Opened::from_text(text);
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
