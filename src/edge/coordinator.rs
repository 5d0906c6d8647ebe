//! The way to the coordinator. It gets keys that say nothing and values that are sealed.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::base::clock::{Instant, Millis};
use crate::base::error::{Code, Error};
use crate::codec::base64url;
use crate::codec::json;
use crate::edge::io::{Effect, Entry, Reply};
use crate::edge::refusal::Refusal;
use crate::edge::session::Session;
use crate::edge::session::record::Record;
use crate::edge::session::seal::OpenError;
use crate::edge::task::{PendingReply, Task, boxed};
use crate::oauth::pkce;
use crate::session::EndReason;

pub(super) const A_MINUTE: Millis = Millis::from_secs(60);
const A_DAY: Millis = Millis::from_secs(24 * 3600);

/// How often a user's activity is written, against others who write at the same time.
const TOUCHES: u32 = 3;

/// The longest text that every store takes, in bytes: see `Coordinator` in pkg/src/edge/coordinators/coordinator.ts.
const LONGEST: usize = 60 * 1024;

/// The coordinator did not answer, or with something that it was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreachable;

/// What the coordinator has of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// The version that a write goes over; none if there is nothing.
    pub(super) version: Option<String>,
    /// The record, unless there is none that can be read.
    pub(super) record: Option<Rc<Record>>,
}

/// Under which key something is found that is known by these texts.
pub(super) fn key(kind: &str, texts: &[&str]) -> String {
    let mut all = kind.to_owned();
    for text in texts {
        // Their lengths as well: no two lists of texts are one.
        json::write_number(&mut all, text.len() as u64);
        all.push(' ');
        all.push_str(text);
    }
    [kind, ".", &base64url::encode(&pkce::sha256(all.as_bytes()))].concat()
}

/// Whether this isolate knows of a session what the coordinator does not: a generation that it could not commit, or an
/// end that it could not write.
fn is_ahead(ours: &Record, theirs: Option<&Record>) -> bool {
    // control: uncommitted_successor_is_kept
    match theirs {
        Some(theirs) if theirs.ended.is_some() => false,
        Some(theirs) => ours.ended.is_some() || ours.generation > theirs.generation,
        None => ours.ended.is_some() || ours.generation > 0,
    }
}

fn record_key(sid: &str) -> String {
    key("session", &[sid])
}

impl Task {
    /// The record of a session, which the isolate remembers from then on; and whether the provider has ended it.
    pub(super) async fn fetch_record(&self, session: &Session) -> Result<Stored, Unreachable> {
        let mut keys = vec![record_key(&session.sid)];
        if self.config().back_channel_logout {
            keys.extend(self.tombstones(session));
        }
        let asked = self.now();
        let mut entries = self.read(keys).await?.into_iter();
        let mut stored = self.opened(&session.sid, entries.next().flatten()).await?;
        let mut ends: Vec<Option<Entry>> = entries.collect();
        let mut is_all = true;
        // Of a session that is in the store its cookie does not say whose it is.
        if let Some(kept) = stored
            .record
            .as_ref()
            .and_then(|record| record.session.as_ref())
            && ends.is_empty()
            && self.config().back_channel_logout
        {
            match self.read(self.tombstones(kept)).await {
                Ok(entries) => ends = entries,
                Err(Unreachable) => is_all = false,
            }
        }
        let now = self.now();
        let is_over = ends
            .iter()
            .flatten()
            .any(|entry| json::parse_u64(&entry.value).is_none_or(|at| session.began <= at));
        // control: back_channel_logout_is_found
        if is_over {
            let over = Record::of_ended(session, EndReason::ProviderEnded, now.wall);
            stored.record = Some(Rc::new(over));
        }
        let unwritten = self
            .cached_record(&session.sid)
            .record
            .filter(|ours| is_ahead(ours, stored.record.as_deref()));
        if let Some(ours) = &unwritten {
            stored.record = unwritten.clone();
            if let Ok(Some(version)) = self.write(session, stored.version.clone(), ours).await {
                stored.version = Some(version);
            }
        }
        let mut cache = self.isolate().session_cache.borrow_mut();
        let cached = cache.entry(&session.sid, &now);
        // What is not known of it is asked for again. The answer says how things were when it was asked for, at worst.
        cached.checked = if is_all { asked } else { Instant::default() };
        // What was committed while this was asked is newer, and the user may have been seen here since it was written.
        let ours = cached.stored.record.as_ref();
        if let Some(theirs) = &mut stored.record
            && let Some(ours) = ours.and_then(|ours| ours.session.as_ref())
        {
            theirs.note_active(ours.active);
        }
        if !ours.is_some_and(|ours| is_ahead(ours, stored.record.as_deref())) {
            cached.stored = stored.clone();
        }
        Ok(stored)
    }

    async fn opened(&self, sid: &str, entry: Option<Entry>) -> Result<Stored, Unreachable> {
        let Some(Entry { value, version }) = entry else {
            return Ok(Stored::default());
        };
        let version = Some(version);
        let opened = self.open(&record_key(sid), &value).await;
        {
            let now = self.now();
            let mut cache = self.isolate().session_cache.borrow_mut();
            let is_sealed_elsewhere = matches!(opened, Err(OpenError::UnknownKey));
            cache.entry(sid, &now).is_sealed_elsewhere = is_sealed_elsewhere;
        }
        let read = match opened {
            Ok(text) => Record::from_text(text.expose()),
            Err(OpenError::NotGenuine) => None,
            Err(OpenError::UnknownKey) => {
                self.fault_of(
                    Code::KeyUnknown,
                    &[msg!(
                        "a session's record is sealed with a key that is not in cookie.keys"
                    )],
                );
                // What it says may count, so nobody here may act as if there were nothing.
                return Err(Unreachable);
            }
        };
        match read {
            Some(record) => Ok(Stored {
                version,
                record: Some(Rc::new(record)),
            }),
            None => {
                self.coordinator_failed(msg!("a record is not what was written"));
                Err(Unreachable)
            }
        }
    }

    /// Remembers what the coordinator did not take: it is written when it can be.
    pub(super) fn cache_record(&self, session: &Session, record: Rc<Record>) {
        let now = self.now();
        let mut cache = self.isolate().session_cache.borrow_mut();
        cache.entry(&session.sid, &now).stored.record = Some(record);
    }

    /// Remembers that a session's user is active, where that could not be written.
    fn cache_activity(&self, session: &Session) {
        let now = self.now();
        let mut cache = self.isolate().session_cache.borrow_mut();
        let record = &mut cache.entry(&session.sid, &now).stored.record;
        // What is there may have been replaced meanwhile, and only that much of it is to be changed.
        if let Some(record) = record {
            record.note_active(session.active);
        }
    }

    /// What the isolate knows of a session's record.
    pub(super) fn cached_record(&self, sid: &str) -> Stored {
        let cache = self.isolate().session_cache.borrow();
        cache
            .get(sid)
            .map(|cached| cached.stored.clone())
            .unwrap_or_default()
    }

    /// Writes a session's record over the one of this version. `None`: another one is there.
    pub(super) async fn write(
        &self,
        session: &Session,
        version: Option<String>,
        record: &Rc<Record>,
    ) -> Result<Option<String>, Unreachable> {
        let key = record_key(&session.sid);
        let Some(value) = self.seal(&key, record.to_text()).await else {
            return Err(Unreachable);
        };
        let left = session.left(&self.config().flow.limits, &self.now());
        // Longer than its session: an old copy of its cookie is not to end it, and tell of it, once more.
        let lifetime = left
            + if record.ended.is_some() {
                A_DAY
            } else {
                A_MINUTE
            };
        let written = self.swap(key, version, value, lifetime).await?;
        if let Some(version) = &written {
            let now = self.now();
            let mut cache = self.isolate().session_cache.borrow_mut();
            // Whether the provider has ended it was not asked.
            let cached = cache.entry(&session.sid, &now);
            let ours = cached.stored.record.as_ref();
            // The answer to a later write may have been here sooner.
            if !ours.is_some_and(|ours| is_ahead(ours, Some(record))) {
                cached.stored = Stored {
                    version: Some(version.clone()),
                    record: Some(record.clone()),
                };
            }
        }
        Ok(written)
    }

    /// The session in the store that a cookie has the number of.
    pub(super) async fn stored(&self, number: &str) -> Result<Rc<Session>, Refusal> {
        let Some((sid, began)) = Session::reference_from_text(number) else {
            return Err(Refusal::Ended(EndReason::StorageLost));
        };
        let is_due = {
            let cache = self.isolate().session_cache.borrow();
            cache.is_due(sid, self.config().recheck, &self.now())
        };
        let is_up = self
            .isolate()
            .session_cache
            .borrow()
            .is_coordinator_up(&self.now());
        let looked = if is_due {
            let unknown = Session::unknown(sid, began);
            self.fetch_record(&unknown).await.map(|_| ())
        } else {
            Ok(())
        };
        let record = self.cached_record(sid).record;
        if let Some(reason) = record.as_ref().and_then(|record| record.ended) {
            return Err(Refusal::Ended(reason));
        }
        match record.and_then(|record| record.session.clone()) {
            Some(session) => Ok(session),
            _ if looked.is_err() || !is_up => Err(self.unavailable(sid)),
            _ => Err(Refusal::Ended(EndReason::StorageLost)),
        }
    }

    /// Puts a session into the store: one that begins, or one that was in a cookie so far.
    pub(super) async fn store(&self, session: &Rc<Session>) -> Result<(), Refusal> {
        let Stored { version, record } = self.cached_record(&session.sid);
        let has_it = |record: &Record| {
            let kept = record.session.as_ref();
            kept.is_some_and(|kept| kept.generation >= session.generation)
        };
        if record.as_deref().is_some_and(has_it) {
            boxed(self.touch(session)).await;
            return Ok(());
        }
        let record = match record {
            Some(record) => record.followed_by(session, self.now().wall),
            None => Record::of(session, session.began),
        };
        let record = Rc::new(record);
        // In base64, with some bytes in front of it and behind.
        if record.to_text().expose().len() * 4 / 3 + 100 > LONGEST {
            let error = Error::new(
                Code::LimitExceeded,
                msg!("the session is too long for a coordinator: its tokens have more than 45 KB"),
            );
            return Err(Refusal::Later(error, A_MINUTE));
        }
        match self.write(session, version, &record).await {
            Ok(Some(_)) => Ok(()),
            // A request that came at the same time has stored it.
            Ok(None)
                if boxed(self.fetch_record(session))
                    .await
                    .is_ok_and(|s| s.record.as_deref().is_some_and(has_it)) =>
            {
                Ok(())
            }
            _ => Err(self.unavailable(&session.sid)),
        }
    }

    /// Notes that a session's user is active.
    pub(super) async fn touch(&self, session: &Session) {
        for _ in 0..TOUCHES {
            let Stored { version, record } = self.cached_record(&session.sid);
            let Some(mut record) = record else {
                return;
            };
            if !record.note_active(session.active) {
                return;
            }
            match self.write(session, version, &record).await {
                // Somebody else has written, perhaps the next generation.
                Ok(None) if self.fetch_record(session).await.is_ok() => {}
                Ok(_) => return,
                Err(Unreachable) => return self.cache_activity(session),
            }
        }
    }

    /// Waits for another isolate to write a session's record.
    pub(super) fn wait(
        &self,
        sid: &str,
        version: Option<String>,
        time: Millis,
    ) -> PendingReply<'_> {
        let effect = Effect::Wait {
            key: record_key(sid),
            version,
            time,
        };
        self.perform(effect)
    }

    /// Waits for this long.
    pub(super) fn pause(&self, time: Millis) -> PendingReply<'_> {
        self.perform(Effect::Linger { flight: None, time })
    }

    pub(super) async fn read(&self, keys: Vec<String>) -> Result<Vec<Option<Entry>>, Unreachable> {
        let count = keys.len();
        match self.perform(Effect::Read(keys)).await {
            Reply::Entries(entries) if entries.len() == count => {
                self.isolate()
                    .session_cache
                    .borrow_mut()
                    .coordinator_answered();
                Ok(entries)
            }
            _ => {
                self.coordinator_failed(msg!("it cannot be read"));
                Err(Unreachable)
            }
        }
    }

    pub(super) async fn swap(
        &self,
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
        match self.perform(effect).await {
            Reply::Swapped(version) => {
                self.isolate()
                    .session_cache
                    .borrow_mut()
                    .coordinator_answered();
                Ok(version)
            }
            _ => {
                self.coordinator_failed(msg!("it cannot be written to"));
                Err(Unreachable)
            }
        }
    }

    fn coordinator_failed(&self, why: &str) {
        let now = self.now();
        self.isolate()
            .session_cache
            .borrow_mut()
            .coordinator_failed(&now);
        self.fault_of(
            Code::CoordinatorUnavailable,
            &[msg!("the coordinator: "), why],
        );
    }

    /// Where it stands written that the provider has ended sessions: this one, and all of this user's.
    pub(super) fn tombstones(&self, session: &Session) -> Vec<String> {
        let Some(id_token) = session.id_token() else {
            return Vec::new();
        };
        let issuer = id_token.issuer();
        let mut keys = vec![key("subject", &[issuer, id_token.subject()])];
        if let Some(sid) = id_token.claims().str("sid") {
            keys.push(key("sid", &[issuer, sid]));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolate_is_ahead_by_a_generation_or_an_end() {
        let record = |generation: u64, ended: Option<EndReason>| Record {
            generation,
            ended,
            ..Record::default()
        };
        let (first, second) = (record(0, None), record(1, None));
        let over = record(0, Some(EndReason::LoggedOut));
        // Without a record, the session is the one of the login.
        assert!(!is_ahead(&first, None));
        assert!(is_ahead(&second, None));
        assert!(is_ahead(&over, None));
        assert!(!is_ahead(&second, Some(&second)));
        assert!(is_ahead(&second, Some(&first)));
        assert!(!is_ahead(&first, Some(&second)));
        assert!(is_ahead(&over, Some(&second)));
        assert!(!is_ahead(&second, Some(&over)));
        assert!(!is_ahead(&over, Some(&over)));
    }
}
