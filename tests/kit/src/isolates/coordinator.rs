//! A coordinator as the handler expects one: small texts with versions, one atomic write, and an end for each.

use std::collections::BTreeMap;

use strongroom::base::clock::Millis;
use strongroom::edge::Entry;

/// What is kept under a key.
struct Kept {
    entry: Entry,
    until: u64,
}

/// All of it. Each call is one moment: nothing is seen half.
#[derive(Default)]
pub struct Coordinator {
    kept: BTreeMap<String, Kept>,
    writes: u64,
}

impl Coordinator {
    pub fn read(&self, now: u64, key: &str) -> Option<Entry> {
        let kept = self.kept.get(key).filter(|kept| kept.until > now);
        kept.map(|kept| kept.entry.clone())
    }

    pub fn version(&self, now: u64, key: &str) -> Option<String> {
        self.read(now, key).map(|entry| entry.version)
    }

    /// The new version, unless another one was there than expected.
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
        self.kept.insert(key.to_owned(), Kept { entry, until });
        Some(version)
    }
}
