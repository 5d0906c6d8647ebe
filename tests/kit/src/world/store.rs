//! The browser's store, which keeps pending logins, the shared session, and private keys.

use std::collections::HashMap;

use rules::Secret;
use vault::{Loaded, Taken};

use super::dpop::Named;

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
    session_key: Option<Named>,
    /// The session that vaults share.
    session: Option<Secret>,
    /// The number of times that the session was stored.
    version: u64,
    /// The stored session cannot be decrypted.
    pub is_damaged: bool,
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

    /// Returns the private key that was stored with a record, if any, even after the record was taken.
    pub fn key_of(&self, key: &str) -> Option<&Named> {
        self.keys.get(key)
    }

    pub fn key_of_session(&self) -> Option<&Named> {
        self.session_key.as_ref()
    }

    /// Removes only the private keys from the browser.
    pub fn lose_keys(&mut self) {
        self.keys.clear();
        self.session_key = None;
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

    pub fn put_session(&mut self, session: Secret, key: Option<Named>) -> bool {
        let works = !self.is_full && !self.is_unavailable;
        if works {
            self.version += 1;
            self.session_key = key;
            self.session = Some(session);
            self.is_damaged = false;
        }
        works
    }

    /// Returns the version of the stored session, if there is one.
    pub fn session_version(&self) -> Option<u64> {
        self.session.as_ref().map(|_| self.version)
    }

    pub fn session(&self) -> Loaded {
        match &self.session {
            _ if self.is_unavailable => Loaded::Unavailable,
            _ if self.is_damaged => Loaded::Damaged,
            Some(session) => Loaded::Found(session.clone()),
            None => Loaded::Nothing,
        }
    }

    /// Clears the site's data, as the user may.
    pub fn clear(&mut self) {
        self.records.clear();
        self.session = None;
        self.lose_keys();
    }
}
