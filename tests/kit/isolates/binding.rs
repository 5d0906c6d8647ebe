//! The part of the oracle that knows which sessions are bound to which key, and which bound cookies prove it.

use std::collections::BTreeSet;

use edge::Entry;
use edge::session::record::Record;

use super::device::{is_bound_by, thumbprint};
use super::invariants::Invariant;
use super::watch::{Account, Presented, SKEW};
use super::{BOUND, Given, Purpose, Visit, VisitId, World};

/// Milliseconds for which a bound cookie is valid.
const VALID: u64 = 660_000;

/// Milliseconds before and after the binding within which requests pass without the bound cookie.
const IN_FLIGHT: u64 = 10_000;

/// Milliseconds after its login within which a session may be unbound although it must be bound, apart from
/// `session.recheck`.
const OFFERED: u64 = 60_000;

/// The handler counts the life of a bound cookie in seconds.
const ROUNDING: u64 = 1000;

/// Longest time in milliseconds from a response until its browser has it.
const SLOWEST_RESPONSE: u64 = 5000;

/// The binding of a session.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    thumbprint: String,
    since: u64,
    /// The time at which the coordinator got the binding.
    written: u64,
}

/// Everything that the oracle knows about the keys of a session.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) bound: Option<Bound>,
    /// The thumbprints of all keys that were sent for the session.
    sent: BTreeSet<String>,
    /// Logouts without a proof.
    pub(super) unproven_logouts: Vec<VisitId>,
}

impl Keys {
    pub(super) fn has_unproven_logout(&self) -> bool {
        !self.unproven_logouts.is_empty()
    }

    /// Returns true if somebody else may have registered the first or the second key.
    pub(super) fn are_many(&self) -> bool {
        self.sent.len() > 1
    }
}

/// A bound cookie that the handler has set.
pub(super) struct Issued {
    sid: String,
    thumbprint: String,
    at: u64,
}

impl Given {
    /// Returns true if the request was refused because it has no valid bound cookie.
    pub fn lacks_proof(&self) -> bool {
        let texts = [
            "bound_cookie_missing",
            "renewal_failed",
            r#""code":"bound_cookie_missing""#,
        ];
        texts.iter().any(|text| self.body.contains(text))
    }
}

impl World {
    /// Returns the session that a registration or a renewal is for.
    pub(super) fn named_by_device(&mut self, id: VisitId) -> Option<Presented> {
        let visit = &self.visits[id];
        let sealed = match visit.purpose {
            Purpose::Bind => visit.body.clone()?,
            Purpose::Renew => visit.path.split_once('?')?.1.to_owned(),
            _ => return None,
        };
        let key = visit.key.clone().unwrap();
        let sid = self.unsealed(&sealed)?.lines().nth(1)?.to_owned();
        if self.visits[id].purpose == Purpose::Bind {
            let account = self.watch.accounts.entry(sid.clone()).or_default();
            account.keys.sent.insert(thumbprint(&key));
        }
        Some(Presented { sid, session: None })
    }

    /// Returns true if a browser can renew the bound cookie of this session. It does not renew if it has the bound cookie of
    /// another session: that of the session before a login may come later than that of the login.
    pub fn has_key_of(&self, browser: usize, presented: &Presented) -> bool {
        let browser = &self.browsers[browser];
        let cookie = browser.jar.get(BOUND);
        let issued = cookie.and_then(|cookie| self.watch.bound_cookies.get(cookie));
        if issued.is_some_and(|issued| issued.sid != presented.sid) {
            return false;
        }
        let device = browser.device.as_ref();
        let known = device.and_then(|device| device.session.as_ref());
        let bound = &self.watch.accounts[&presented.sid].keys.bound;
        match (known, bound) {
            (Some(known), Some(bound)) => thumbprint(&known.key) == bound.thumbprint,
            _ => false,
        }
    }

    /// Records the binding in a record that the coordinator has stored.
    pub(super) fn wrote_binding(account: &mut Account, found: Option<(&str, u64)>, now: u64) {
        match (&account.keys.bound, found) {
            (None, Some((thumbprint, since))) => {
                account.keys.bound = Some(Bound {
                    thumbprint: thumbprint.to_owned(),
                    since,
                    written: now,
                });
            }
            (Some(known), found) => {
                let is_same = found.is_some_and(|(thumbprint, _)| known.thumbprint == thumbprint);
                Invariant::Binding.holds_if(is_same, || {
                    format!("the record had {known:?}, and now has {found:?}")
                });
            }
            (None, None) => {}
        }
    }

    /// Returns true if the request has a bound cookie for this binding that was issued at most `life` milliseconds ago.
    fn is_proven(&self, id: VisitId, sid: &str, bound: &Bound, life: u64) -> bool {
        let visit = &self.visits[id];
        let cookie = visit.bound_cookie.as_ref();
        let issued = cookie.and_then(|cookie| self.watch.bound_cookies.get(cookie));
        issued.is_some_and(|issued| {
            let is_its = issued.sid == sid && issued.thumbprint == bound.thumbprint;
            is_its && visit.began <= issued.at + life
        })
    }

    /// Returns true if the isolate must know that the session is bound.
    fn must_know(&self, id: VisitId, presented: &Presented, bound: &Bound) -> bool {
        let session = presented.session.as_ref();
        let is_in_cookie = session.is_some_and(|session| session.bound.is_some());
        let visit = &self.visits[id];
        let recheck = self.setup.recheck * 1000 + 1;
        is_in_cookie
            || self.has_read_binding(visit, bound)
            || self.has_asked(id) && visit.began >= bound.written + recheck
    }

    /// Returns true if the isolate had read the record with the binding when it judged this request.
    fn has_read_binding(&self, visit: &Visit, bound: &Bound) -> bool {
        let key = (visit.isolate, visit.epoch, bound.thumbprint.clone());
        let read = self.watch.read_bindings.get(&key);
        // The view of a session may be ready before a read for its cookie.
        let is_view = visit.purpose == Purpose::Session;
        !is_view && read.is_some_and(|read| *read < visit.sent_to_api.unwrap_or(self.now))
    }

    /// Records that an isolate has read the binding of a session.
    pub(super) fn read_binding(&mut self, id: VisitId, entries: &[Option<Entry>]) {
        let visit = &self.visits[id];
        let (isolate, epoch) = (visit.isolate, visit.epoch);
        for entry in entries.iter().flatten() {
            let plain = self.unsealed(&entry.value);
            let record = plain.and_then(|plain| Record::from_text(&plain));
            if let Some(bound) = record.and_then(|record| record.bound) {
                let key = (isolate, epoch, bound.thumbprint);
                let now = self.now;
                self.watch.read_bindings.entry(key).or_insert(now);
            }
        }
    }

    /// Returns true if the handler must not serve this request, because the request has no proof and the session is bound,
    /// or must be bound by now.
    pub(super) fn must_be_refused(&self, id: VisitId, presented: &Presented) -> bool {
        match &self.watch.accounts[&presented.sid].keys.bound {
            Some(bound) if self.is_overdue(id, presented) => self.lacks_proof(id, presented, bound),
            Some(_) => self.must_prove(id, presented),
            None => self.is_overdue(id, presented),
        }
    }

    /// Returns true if this request must not end the session, because the session is bound and the request has no proof.
    pub(super) fn must_prove(&self, id: VisitId, presented: &Presented) -> bool {
        let bound = &self.watch.accounts[&presented.sid].keys.bound;
        bound.as_ref().is_some_and(|bound| {
            self.lacks_proof(id, presented, bound) && self.must_know(id, presented, bound)
        })
    }

    /// Returns true if the request has no proof, and was not in flight when the session was bound.
    fn lacks_proof(&self, id: VisitId, presented: &Presented, bound: &Bound) -> bool {
        let visit = &self.visits[id];
        let allowance = SKEW + self.watch.accepted_lateness(visit);
        let browser = visit.browser.map(|browser| &self.browsers[browser]);
        let copied =
            browser.and_then(|browser| browser.copied.filter(|_| browser.device.is_none()));
        let is_old = copied.is_some_and(|copied| visit.began > copied + VALID + allowance);
        let may_be_in_flight = visit.began <= bound.since + IN_FLIGHT + allowance;
        let may_be_proven = self.is_proven(id, &presented.sid, bound, VALID + allowance);
        !may_be_in_flight && (is_old || !may_be_proven)
    }

    /// Returns true if the session must be bound by now, and its cookie says that it is not.
    fn is_overdue(&self, id: VisitId, presented: &Presented) -> bool {
        let unbound = presented.session.as_ref();
        let unbound = unbound.filter(|session| session.bound.is_none());
        let longest = OFFERED + self.setup.recheck * 1000 + SKEW;
        self.setup.requires_binding
            && unbound.is_some_and(|session| self.visits[id].began > session.began + longest)
    }

    /// Returns true if the session may have to be bound by now.
    pub(super) fn may_be_overdue(&self, presented: &Presented) -> bool {
        let family = self.watch.accounts[&presented.sid].family;
        let shortest = OFFERED + self.setup.recheck * 1000 - SKEW;
        let login_at = self.provider.login_at(family);
        self.setup.requires_binding && self.now > login_at + shortest
    }

    /// Checks that the handler may serve this request of a session.
    pub(super) fn may_be_unproven(&mut self, id: VisitId, presented: &Presented) {
        Invariant::Copied.holds_if(!self.must_be_refused(id, presented), || {
            let bound = &self.watch.accounts[&presented.sid].keys.bound;
            format!("visit {id} was served without a proof: {bound:?}")
        });
        let visit = &self.visits[id];
        let browser = visit.browser.map(|browser| &self.browsers[browser]);
        let is_copy = browser.is_some_and(|browser| browser.copied.is_some());
        let is_bound = self.watch.accounts[&presented.sid].keys.bound.is_some();
        self.watch.copies_served += u64::from(is_copy && is_bound);
    }

    /// Returns true if the bound session of this request cannot be ended by a copy of a replaced cookie.
    pub(super) fn outlasts_copies(&self, id: VisitId, presented: Option<&Presented>) -> bool {
        presented.is_some_and(|presented| {
            let bound = &self.watch.accounts[&presented.sid].keys.bound;
            let bound = bound.as_ref();
            bound.is_some_and(|bound| self.must_know(id, presented, bound))
        })
    }

    /// Returns true if the response refuses a request without a proof, and checks that it may do so.
    pub(super) fn is_refused_for_proof(
        &mut self,
        id: VisitId,
        presented: &Presented,
        given: &Given,
    ) -> bool {
        let visit = &self.visits[id];
        let bound = self.watch.accounts[&presented.sid].keys.bound.clone();
        let is_logout = visit.purpose == Purpose::Logout && bound.is_some();
        let is_unproven_logout = is_logout && given.body.contains(r#""ended":false"#);
        if !given.lacks_proof() && !is_unproven_logout {
            return false;
        }
        let spread = self.setup.spread + ROUNDING;
        let has_proof = bound.as_ref().is_some_and(|bound| {
            let is_in_flight = visit.began.abs_diff(bound.since) + spread <= IN_FLIGHT;
            is_in_flight || self.is_proven(id, &presented.sid, bound, VALID - spread)
        });
        let may_refuse = match &bound {
            // The isolate may refuse the session as unbound until the write of the binding has been answered, or it reads again.
            Some(bound) if !self.must_know(id, presented, bound) => {
                !has_proof || self.may_be_overdue(presented)
            }
            Some(_) => !has_proof,
            None => self.may_be_overdue(presented),
        };
        Invariant::Owner.holds_if(may_refuse, || {
            format!("visit {id} got {} {}: {bound:?}", given.status, given.body)
        });
        let cookie = visit.bound_cookie.as_ref();
        let issued = cookie.and_then(|cookie| self.watch.bound_cookies.get(cookie));
        let is_of_other = issued.is_some_and(|issued| issued.sid != presented.sid);
        let browser = visit.browser.filter(|_| !visit.was_skipped && !is_of_other);
        let has_key = browser.is_some_and(|browser| self.has_key_of(browser, presented));
        Invariant::Owner.holds_if(!has_key, || {
            format!(
                "visit {id} got {}, and its browser has the key",
                given.status
            )
        });
        let is_later = given.status == 503 && given.header("retry-after").is_some();
        Invariant::Owner.holds_if(is_later || is_logout || !visit.was_skipped, || {
            format!("visit {id} got {} after a failed renewal", given.status)
        });
        let browser = visit.browser.map(|browser| &self.browsers[browser]);
        if browser.is_some_and(|browser| browser.copied.is_some()) {
            self.watch.copies_refused += 1;
        } else if visit.was_skipped {
            self.watch.not_renewed += 1;
        } else if is_of_other || visit.browser.is_some_and(|it| self.has_crossed_logins(it)) {
            self.watch.keys_crossed += 1;
        } else if self.is_honored(presented) {
            // Otherwise a late response has brought back the cookie of the session before the login.
            self.watch.keys_lost += 1;
        }
        true
    }

    /// Returns true if two logins of this browser ended at the same time. The browser may have the session of one of them
    /// and the key of the other.
    fn has_crossed_logins(&self, browser: usize) -> bool {
        let is_its = |visit: &&Visit| visit.browser == Some(browser);
        let logins = self.visits.iter().filter(is_its);
        let logins: Vec<_> = logins
            .filter(|visit| visit.purpose == Purpose::Callback)
            .map(|visit| (visit.began, visit.given.as_ref().map(|given| given.at)))
            .collect();
        let crossed = |pair: &[(u64, Option<u64>)]| {
            let ended = pair[0].1;
            ended.is_none_or(|ended| pair[1].0 < ended + SLOWEST_RESPONSE)
        };
        logins.windows(2).any(crossed)
    }

    /// Checks the response to a registration or a renewal.
    pub(super) fn answered_device(&mut self, id: VisitId, given: &Given) {
        let Some(presented) = self.watch.presented(id).cloned() else {
            return;
        };
        let visit = &self.visits[id];
        let is_renewal = visit.purpose == Purpose::Renew;
        Invariant::Owner.holds_if(matches!(given.status, 200 | 403 | 503), || {
            format!(
                "visit {id} got {}, so its browser forgets the key",
                given.status
            )
        });
        let spread = self.setup.spread + ROUNDING;
        let is_good_answer = visit
            .is_answer_until
            .is_some_and(|until| visit.began + spread < until);
        Invariant::Owner.holds_if(given.status != 403 || !is_good_answer, || {
            format!("visit {id} answered a challenge, and gets another one")
        });
        if is_bound_by(given) {
            let thumbprint = thumbprint(visit.key.as_ref().unwrap());
            let start = [BOUND, "="].concat();
            let mut cookies = given.cookies.iter();
            let cookie = cookies.find_map(|cookie| cookie.strip_prefix(&start));
            let value = cookie.and_then(|cookie| cookie.split(';').next()).unwrap();
            let account = &self.watch.accounts[&presented.sid];
            let bound = account.keys.bound.as_ref();
            let is_its = bound.is_some_and(|bound| bound.thumbprint == thumbprint);
            Invariant::Binding.holds_if(is_its, || {
                format!("visit {id} got a cookie for another key than {bound:?}")
            });
            let issued = Issued {
                sid: presented.sid,
                thumbprint,
                at: self.now,
            };
            self.watch.bound_cookies.insert(value.to_owned(), issued);
            let count = match is_renewal {
                true => &mut self.watch.renewals,
                false => &mut self.watch.registrations,
            };
            *count += 1;
        } else if given.status == 200 {
            let account = &self.watch.accounts[&presented.sid];
            let is_over = !self.is_honored(&presented) || account.is_said_over;
            let is_over = is_over || visit.coordinator_failed || self.is_past(account);
            let is_second = account.keys.are_many();
            let (invariant, is_right) = match is_renewal {
                true => (Invariant::Owner, is_over || is_second),
                false => (Invariant::Binding, is_over),
            };
            invariant.holds_if(is_right, || {
                format!("visit {id} was told that its session is over")
            });
            self.watch.second_keys += u64::from(!is_renewal && is_second);
        }
    }
}
