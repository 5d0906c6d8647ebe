//! Access to the coordinator. It sees only hashed keys and sealed values.

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

/// Most attempts to write a user's activity while other isolates write the record, too.
const TOUCHES: u32 = 3;

/// The longest value that every store accepts, in bytes: see `Coordinator` in pkg/src/edge/coordinators/coordinator.ts.
const LONGEST: usize = 60 * 1024;

/// The coordinator did not respond, or its response was invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreachable;

/// The coordinator's entry for a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// The version that the next write replaces, or `None` without an entry.
    pub(super) version: Option<String>,
    /// The record, if there is one and it can be read.
    pub(super) record: Option<Rc<Record>>,
}

/// Returns the coordinator's key for these strings.
pub(super) fn key(kind: &str, texts: &[&str]) -> String {
    let mut all = kind.to_owned();
    for text in texts {
        // The lengths make the key of each array of strings unique.
        json::write_number(&mut all, text.len() as u64);
        all.push(' ');
        all.push_str(text);
    }
    [kind, ".", &base64url::encode(&pkce::sha256(all.as_bytes()))].concat()
}

/// Returns true if this isolate's record is newer than the coordinator's: a generation that it could not commit, or an
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
    /// Reads the record of a session into the cache, and checks whether the provider has ended the session.
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
        // The cookie of a stored session does not contain its user, so the tombstones are read after the record.
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
        // An incomplete read is repeated. `asked` is the start of the read, so the cached state is at least that new.
        cached.checked = if is_all { asked } else { Instant::default() };
        // A commit during the read is newer, and this isolate may have seen newer activity.
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
                // The record may be valid, so treat it as unreachable and not as missing.
                return Err(Unreachable);
            }
        };
        match read {
            Some(record) => Ok(Stored {
                version,
                record: Some(Rc::new(record)),
            }),
            None => {
                self.coordinator_failed(msg!("it returned a record that was never written"));
                Err(Unreachable)
            }
        }
    }

    /// Caches a record that the coordinator did not accept. It is written on the next read.
    pub(super) fn cache_record(&self, session: &Session, record: Rc<Record>) {
        let now = self.now();
        let mut cache = self.isolate().session_cache.borrow_mut();
        cache.entry(&session.sid, &now).stored.record = Some(record);
    }

    /// Caches a user's activity that could not be written.
    fn cache_activity(&self, session: &Session) {
        let now = self.now();
        let mut cache = self.isolate().session_cache.borrow_mut();
        let record = &mut cache.entry(&session.sid, &now).stored.record;
        // The record may have been replaced in the meantime, so change only the activity.
        if let Some(record) = record {
            record.note_active(session.active);
        }
    }

    /// Returns the cached record of a session.
    pub(super) fn cached_record(&self, sid: &str) -> Stored {
        let cache = self.isolate().session_cache.borrow();
        cache
            .get(sid)
            .map(|cached| cached.stored.clone())
            .unwrap_or_default()
    }

    /// Writes a session's record over this version. Returns `None` if the entry has another version.
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
        // Keep the record longer than the session, so an old copy of its cookie does not end it and report the end
        // again.
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
            // `checked` stays as it is: the tombstones were not read.
            let cached = cache.entry(&session.sid, &now);
            let ours = cached.stored.record.as_ref();
            // The response to a later write may have arrived first.
            if !ours.is_some_and(|ours| is_ahead(ours, Some(record))) {
                cached.stored = Stored {
                    version: Some(version.clone()),
                    record: Some(record.clone()),
                };
            }
        }
        Ok(written)
    }

    /// Returns the stored session to which a cookie refers.
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

    /// Writes a session to the store: a new one, or one that was in a cookie so far.
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
        // The size in base64, with the version, key ID, nonce and tag.
        if record.to_text().expose().len() * 4 / 3 + 100 > LONGEST {
            let error = Error::new(
                Code::LimitExceeded,
                msg!("the session is too long for a coordinator: its tokens have more than 45 KB"),
            );
            return Err(Refusal::Later(error, A_MINUTE));
        }
        match self.write(session, version, &record).await {
            Ok(Some(_)) => Ok(()),
            // A parallel request has stored it.
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

    /// Records that a session's user is active.
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
                // Another isolate has written, perhaps the next generation.
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

    /// Returns the keys of the tombstones by which the provider ends sessions: this session, and all of this user's.
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
