//! Checks that every request of a page gets exactly one response, so that no request hangs.

use std::collections::BTreeMap;

use super::page::Request;
use vault::PortId;

/// All requests of pages, and the number of responses to each.
#[derive(Clone, Default)]
pub struct Ledger(BTreeMap<Request, Entry>);

#[derive(Clone, Default)]
struct Entry {
    asked: u32,
    answered: u32,
    /// The page no longer needs a response, so both one response and no response are correct.
    is_waived: bool,
    /// The request is a login, which may wait for the user.
    waits_for_user: bool,
}

impl Ledger {
    pub fn asked(&mut self, request: Request) {
        self.0.entry(request).or_default().asked += 1;
    }

    pub fn answered(&mut self, request: Request) {
        self.0.entry(request).or_default().answered += 1;
    }

    pub fn waive(&mut self, request: Request) {
        self.0.entry(request).or_default().is_waived = true;
    }

    pub fn waive_page(&mut self, port: PortId) {
        for (_, entry) in self
            .0
            .iter_mut()
            .filter(|(request, _)| request.port == port)
        {
            entry.is_waived = true;
        }
    }

    pub fn waits_for_user(&mut self, request: Request) {
        self.0.entry(request).or_default().waits_for_user = true;
    }

    /// Returns the requests without a response that do not wait for the user.
    pub fn unanswered(&self) -> impl Iterator<Item = Request> {
        let waits = |entry: &Entry| {
            entry.answered < entry.asked && !entry.is_waived && !entry.waits_for_user
        };
        let all = self.0.iter().filter(move |(_, entry)| waits(entry));
        all.map(|(request, _)| *request)
    }

    /// Returns descriptions of the requests that got no response, or too many responses.
    pub fn faults(&self) -> Vec<String> {
        let is_wrong = |entry: &Entry| {
            entry.answered > entry.asked || (entry.answered < entry.asked && !entry.is_waived)
        };
        self.0
            .iter()
            .filter(|(_, entry)| is_wrong(entry))
            .map(|(request, entry)| {
                let Entry {
                    asked, answered, ..
                } = entry;
                format!("{request:?} was asked {asked} and answered {answered} times")
            })
            .collect()
    }
}
