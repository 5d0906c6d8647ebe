//! Checks when vaults send refresh tokens and probes: after a sign that the network may have changed, a refresh token
//! leaves only after a server has answered, and without such a sign there is no probe.

use std::collections::{BTreeMap, BTreeSet};

use rules::base::clock::{Instant, Millis};
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::json::Value;
use rules::codec::url::origin;
use vault::Input;

use super::invariants::{Invariant, in_words};

use super::World;
use super::provider::{Endpoint, form_of};

/// What a vault can know about its line. The times are the world's.
#[derive(Default)]
struct Line {
    last_input: Option<Instant>,
    reported: BTreeMap<&'static str, Millis>,
    /// The last sign of a change that the vault cannot have missed.
    doubted: Option<Millis>,
    /// The last event that the vault may have taken as a sign.
    may_be_doubted: Option<Millis>,
    /// The start of the last request that a server answered, and that no cache can have answered.
    proven: Option<Millis>,
    /// Origins that have not answered since their last failure.
    silent: BTreeSet<String>,
    /// True if the vault has sent a refresh token and no readable response has arrived since.
    may_be_spent: bool,
    /// The family of the refresh token whose response was lost, if no new token of that family has arrived since.
    lost: Option<Option<usize>>,
    /// True if the vault has read a document of the provider.
    has_read: bool,
    /// The number of probes in a row without an answer, and whether any server has answered since the first of them.
    unanswered: u32,
    others_answer: bool,
    /// The time since which no probe could be read although the device was online.
    unreadable_since: Option<Millis>,
    has_pushed: bool,
}

impl Line {
    fn has_proof_since(&self, doubt: Option<Millis>) -> bool {
        doubt <= self.proven
    }

    fn answered(&mut self, url: &str, asked_at: Millis, is_proof: bool) {
        self.silent.remove(origin(url));
        self.others_answer = true;
        if is_proof {
            self.proven = self.proven.max(Some(asked_at));
        }
    }

    fn failed(&mut self, url: &str, now: Millis) {
        if self.silent.insert(origin(url).to_owned()) {
            self.may_be_doubted = Some(now);
        }
    }
}

/// The lines of all vaults.
#[derive(Default)]
pub(super) struct Lines(BTreeMap<usize, Line>);

impl World {
    fn line(&mut self) -> &mut Line {
        self.lines.0.entry(self.workers.turn).or_default()
    }

    /// Forgets what a vault knew, because its worker has ended.
    pub(super) fn forget_line(&mut self, vault: usize) {
        self.lines.0.remove(&vault);
    }

    /// Sees an input before the vault does.
    pub(super) fn see_line(&mut self, input: &Input<'_>) {
        let now = self.now;
        let report = match input {
            Input::Message { port, text, .. } if self.pages.greeted.contains(port) => {
                let reports = [r#""t":"online""#, r#""t":"offline""#];
                reports.into_iter().find(|report| text.contains(report))
            }
            _ => None,
        };
        let line = self.line();
        if let Some(last) = line.last_input.replace(now) {
            let passed = now.monotonic.saturating_sub(last.monotonic);
            let by_wall = Millis(now.wall.saturating_sub(last.wall));
            if by_wall.saturating_sub(passed) >= Millis::from_secs(2) {
                line.doubted = Some(now.monotonic);
                line.may_be_doubted = line.doubted;
            } else if passed >= Millis::from_secs(180) {
                line.may_be_doubted = Some(now.monotonic);
            }
        }
        let is_repeated = |at: &Millis| now.monotonic.saturating_sub(*at) < Millis::from_secs(10);
        if let Some(report) = report
            && !line.reported.get(report).is_some_and(is_repeated)
        {
            line.reported.insert(report, now.monotonic);
            line.doubted = Some(now.monotonic);
            line.may_be_doubted = line.doubted;
        }
    }

    /// Sees the end of a request to the provider before the vault does.
    pub(super) fn see_end(
        &mut self,
        endpoint: Endpoint,
        request: &HttpRequest,
        asked_at: Millis,
        outcome: &Outcome,
    ) {
        let now = self.now.monotonic;
        let family = (endpoint == Endpoint::Refresh)
            .then(|| self.provider.family_of(&form_of(request)["refresh_token"]));
        let line = self.line();
        let is_probe = endpoint == Endpoint::Probe;
        let is_read = is_probe || matches!(endpoint, Endpoint::Discovery | Endpoint::Keys);
        match outcome {
            Outcome::Reply(reply) => {
                line.answered(&request.url, asked_at, is_probe || request.form.is_some());
                line.has_read |= is_read;
                if endpoint == Endpoint::Refresh {
                    if in_words(outcome).starts_with("tokens") && line.lost == family {
                        line.lost = None;
                    }
                    // The response did not arrive whole.
                    let text = reply.json_text();
                    if reply.status == 200
                        && text.is_some_and(|text| Value::parse_tolerant(text).is_err())
                    {
                        line.lost = family.or(line.lost);
                    }
                    line.may_be_spent = line.lost.is_some();
                    // The probes are blocked.
                    line.has_read &= line.unanswered < 3;
                }
                if is_probe {
                    line.unanswered = 0;
                    line.unreadable_since = None;
                    if matches!(reply.status, 429 | 503) {
                        // A refresh may have to wait.
                        self.watch.hinder();
                    }
                }
            }
            Outcome::KeyLost => line.may_be_spent &= endpoint != Endpoint::Refresh,
            Outcome::Failed | Outcome::Opaque => {
                line.failed(&request.url, now);
                line.lost = family.or(line.lost);
                // A response to a refresh of another session may have arrived since the request was sent.
                line.may_be_spent |= family.is_some();
                if is_probe {
                    line.others_answer &= line.unanswered > 0;
                    line.unanswered += 1;
                    line.unreadable_since = match outcome {
                        Outcome::Opaque => line.unreadable_since.or(Some(now)),
                        // A probe after a pushed request may say nothing about refreshes.
                        _ if line.has_pushed => line.unreadable_since,
                        _ => None,
                    };
                    // A refresh may have waited for its answer.
                    self.watch.hinder();
                }
            }
        }
    }

    /// Sees the head of a response of an API, or its failure, before the vault does.
    pub(super) fn see_call(&mut self, url: &str, asked_at: Millis, is_answered: bool) {
        let now = self.now.monotonic;
        let line = self.line();
        match is_answered {
            true => line.answered(url, asked_at, false),
            false => line.failed(url, now),
        }
    }

    /// Checks a request that the vault sends to the provider.
    pub(super) fn check_line(&mut self, endpoint: Endpoint, request: &HttpRequest) {
        if !self.checks_lines {
            return;
        }
        let is_of_refresh = self.answers_refresh;
        let now = self.now.monotonic;
        let line = self.line();
        match endpoint {
            Endpoint::Refresh => {
                let is_long = |at: Millis| now.saturating_sub(at) >= Millis::from_secs(300);
                let is_blocked = line.unanswered >= 3
                    && (line.others_answer || line.unreadable_since.is_some_and(is_long));
                let needs_proof = line.has_read && !is_blocked;
                let is_proven = line.has_proof_since(line.doubted);
                // The response that asks for another DPoP nonce has just arrived.
                let may_leave = is_proven || !needs_proof || line.may_be_spent || is_of_refresh;
                line.may_be_spent = true;
                Invariant::Unproven.holds_if(may_leave, || {
                    format!("{} leaves", form_of(request)["refresh_token"])
                });
            }
            Endpoint::Probe if !is_of_refresh => {
                let (may_be_doubted, proven, silent) =
                    (line.may_be_doubted, line.proven, line.silent.clone());
                let is_needed = !line.has_proof_since(line.may_be_doubted) || line.may_be_spent;
                Invariant::Unproven.holds_if(is_needed || line.has_pushed || !line.has_read, || {
                    format!("there is a probe although nothing has changed since {may_be_doubted:?}, and a server answered at {proven:?}; {silent:?}")
                });
            }
            Endpoint::Push => line.has_pushed = true,
            _ => {}
        }
    }
}
