//! A coordinator in memory. It stores short strings, each with a version and an expiry time, and has an atomic write.

use std::collections::BTreeMap;

use edge::Entry;
use rules::base::clock::Millis;

/// The entry of a key.
#[derive(Clone)]
struct Stored {
    entry: Entry,
    until: u64,
}

/// The coordinator's store. Each call of its methods is atomic.
#[derive(Clone, Default)]
pub struct Coordinator {
    stored: BTreeMap<String, Stored>,
    writes: u64,
    /// The key of the last write, with the entry that this write replaced.
    last: Option<(String, Stored)>,
}

impl Coordinator {
    pub fn read(&self, now: u64, key: &str) -> Option<Entry> {
        let stored = self.stored.get(key).filter(|stored| stored.until > now);
        stored.map(|stored| stored.entry.clone())
    }

    /// Returns to an earlier state, as a store does that loses its last writes. Versions are not used again.
    pub fn lose_writes_since(&mut self, earlier: &Self) {
        self.stored = earlier.stored.clone();
        self.last = None;
    }

    /// Returns the key of the last write, and the state before this write. Returns `None` if the key had no entry.
    pub fn before_last_write(&self) -> Option<(String, Self)> {
        let (key, replaced) = self.last.clone()?;
        let mut earlier = self.clone();
        earlier.stored.insert(key.clone(), replaced);
        Some((key, earlier))
    }

    /// Returns the keys and values of all entries.
    pub fn entries(&self, now: u64) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.stored.iter().filter(move |(_, it)| it.until > now);
        entries.map(|(key, it)| (key.as_str(), it.entry.value.as_str()))
    }

    pub fn version(&self, now: u64, key: &str) -> Option<String> {
        self.read(now, key).map(|entry| entry.version)
    }

    /// Writes a string and returns its new version. If the key's current version is not `version`, writes nothing and
    /// returns `None`.
    pub fn swap(
        &mut self,
        now: u64,
        key: &str,
        version: Option<&str>,
        value: &str,
        lifetime: Millis,
    ) -> Option<String> {
        if self.version(now, key).as_deref() != version {
            return None;
        }
        self.writes += 1;
        let version = self.writes.to_string();
        let entry = Entry {
            value: value.to_owned(),
            version: version.clone(),
        };
        let until = now.saturating_add(lifetime.0);
        let replaced = self.stored.insert(key.to_owned(), Stored { entry, until });
        self.last = replaced.map(|replaced| (key.to_owned(), replaced));
        Some(version)
    }
}
