//! The browser's store, which keeps pending logins, the shared sessions, and private keys.

use std::collections::HashMap;

use rules::Secret;
use rules::base::clock::UnixMillis;
use vault::{Loaded, Taken};

use super::dpop::Named;

/// The name of the usual app's record.
pub const RECORD: &str = "session https://id.example.com spa";

#[derive(Default)]
pub struct Store {
    /// True if nothing can be written.
    pub is_full: bool,
    /// True if nothing can be written or read.
    pub is_unavailable: bool,
    /// Records by key. `None` marks a record that was taken.
    records: HashMap<String, Option<Secret>>,
    /// The private keys that are stored with the records.
    keys: HashMap<String, Named>,
    /// The sessions that vaults share, by the names of their records.
    sessions: HashMap<String, Stored>,
    /// The times at which records expire, by their names.
    expiries: HashMap<String, UnixMillis>,
    /// The number of times that a session was stored.
    version: u64,
}

/// A stored session.
struct Stored {
    text: Secret,
    key: Option<Named>,
    version: u64,
    /// True if it cannot be decrypted.
    is_damaged: bool,
}

impl Store {
    pub fn put(&mut self, key: String, value: Secret) -> bool {
        let works = !self.is_full && !self.is_unavailable;
        if works {
            self.records.insert(key, Some(value));
        }
        works
    }

    /// Stores a record together with a private key.
    pub fn put_with(&mut self, key: String, value: Secret, pair: Option<Named>) -> bool {
        let works = self.put(key.clone(), value);
        if let Some(pair) = pair.filter(|_| works) {
            self.keys.insert(key, pair);
        }
        works
    }

    /// Records when a record expires.
    pub fn expires(&mut self, name: &str, at: UnixMillis) {
        self.expiries.insert(name.to_owned(), at);
    }

    /// Removes the records that have expired. Returns their number.
    pub fn discard_expired(&mut self, now: UnixMillis) -> u64 {
        let all = self.expiries.len();
        let Self {
            records, sessions, ..
        } = self;
        self.expiries.retain(|name, at| {
            let is_kept = *at >= now;
            if !is_kept {
                records.remove(name);
                sessions.remove(name);
            }
            is_kept
        });
        (all - self.expiries.len()) as u64
    }

    /// Returns the private key that was stored with a record, if any, even after the record was taken.
    pub fn key_of(&self, key: &str) -> Option<&Named> {
        self.keys.get(key)
    }

    pub fn key_of_session(&self, name: &str) -> Option<&Named> {
        self.sessions.get(name)?.key.as_ref()
    }

    /// Removes only the private keys from the browser.
    pub fn lose_keys(&mut self) {
        self.keys.clear();
        let sessions = self.sessions.values_mut();
        sessions.for_each(|session| session.key = None);
    }

    pub fn take(&mut self, key: &str) -> Taken {
        if self.is_unavailable {
            return Taken::Unavailable;
        }
        match self.records.get_mut(key).map(Option::take) {
            None => Taken::Absent,
            Some(None) => Taken::Used,
            Some(Some(value)) => Taken::Found(value),
        }
    }

    /// Writes a record, as a script of the origin could. An existing record is replaced.
    pub fn forge(&mut self, key: &str, text: &str) {
        self.records.insert(key.to_owned(), Some(text.into()));
    }

    /// Returns the keys and values of all records that were not taken, as a script of the origin could read them.
    pub fn copy(&self) -> Vec<(String, String)> {
        let text = |secret: &Secret| secret.expose().to_owned();
        let records = self.records.iter();
        records
            .filter_map(|(key, value)| Some((key.clone(), text(value.as_ref()?))))
            .collect()
    }

    pub fn put_session(&mut self, name: &str, text: Secret, key: Option<Named>) -> bool {
        let works = !self.is_full && !self.is_unavailable;
        if works {
            self.version += 1;
            let stored = Stored {
                text,
                key,
                version: self.version,
                is_damaged: false,
            };
            self.sessions.insert(name.to_owned(), stored);
        }
        works
    }

    /// Returns a stored session and its private key, as a script of the origin could copy them.
    pub fn copy_session(&self, name: &str) -> Option<(Secret, Option<Named>)> {
        let session = self.sessions.get(name)?;
        Some((session.text.clone(), session.key.clone()))
    }

    /// Returns the version of a stored session, if there is one.
    pub fn session_version(&self, name: &str) -> Option<u64> {
        Some(self.sessions.get(name)?.version)
    }

    pub fn session(&self, name: &str) -> Loaded {
        match self.sessions.get(name) {
            _ if self.is_unavailable => Loaded::Unavailable,
            None => Loaded::Nothing,
            Some(session) if session.is_damaged => Loaded::Damaged,
            Some(session) => Loaded::Found(session.text.clone()),
        }
    }

    /// Makes the stored sessions unreadable.
    pub fn damage(&mut self) {
        let sessions = self.sessions.values_mut();
        sessions.for_each(|session| session.is_damaged = true);
    }

    /// Clears the site's data, as the user may.
    pub fn clear(&mut self) {
        self.records.clear();
        self.sessions.clear();
        self.keys.clear();
    }
}
