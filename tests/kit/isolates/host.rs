//! The host of each isolate performs the handler's effects and delivers their replies.

use super::provider::{Endpoint, Provider, field};
use super::{
    API_TIMEOUT, About, Fault, Given, Purpose, RINGS, Sending, Site, State, Todo, VisitId, World,
    device,
};
use edge::{BEAT, Effect, Event, Head, Reply, Response, Step};
use kit::reply::{json, refusal};
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::base64url;
use std::collections::VecDeque;

/// Longest time for which a request with a valid access token waits for a read of its session's record.
pub(super) const STATUS_TIME: Millis = Millis(300);

/// Longest time for which a request waits for a read of another request.
const COORDINATOR_TIME: Millis = Millis::from_secs(3);

impl World {
    pub(super) fn arrive(&mut self, id: VisitId, serial: u32, reply: Reply, about: &About) {
        self.landed(id, serial, about);
        let visit = &mut self.visits[id];
        let mut serial = serial;
        if let Some(sending) = &mut visit.sending
            && sending.began == serial
            && matches!(reply, Reply::Sent(_))
        {
            if sending.arrived.is_some() || sending.is_over {
                return;
            }
            if sending.serial != visit.serial {
                // The handler's task now waits for another effect, so the response is kept until the task asks for it.
                sending.arrived = Some((reply, about.clone()));
                return;
            }
            sending.is_over = true;
            serial = sending.serial;
        }
        let visit = &self.visits[id];
        let is_waiting = matches!(visit.state, State::Open | State::Abandoned);
        if visit.serial == serial && visit.state != State::Dead {
            self.told(id, &reply);
        }
        let visit = &mut self.visits[id];
        if !is_waiting || visit.serial != serial {
            return;
        }
        let isolate = visit.isolate;
        self.watch.own_read_ended(isolate, id, self.now);
        match about {
            About::Coordinator(at) => {
                visit.looked = *at;
                let isolate = visit.isolate;
                self.watch.slow.remove(&isolate);
            }
            About::GaveUp => {
                self.watch.slow.insert(visit.isolate);
            }
            About::CoordinatorFailed => {
                visit.coordinator_failed = true;
                let isolate = visit.isolate;
                self.watch.coordinator_failed(isolate, self.now);
            }
            _ => {}
        }
        match about {
            About::Refresh(token) => self.refreshed(id, token, &reply),
            About::Login => self.heard_from_provider(id, &reply),
            _ => {}
        }
        let now = self.now;
        let visit = &mut self.visits[id];
        if let Some(asked) = visit.asked_elsewhere.take() {
            visit.spent_elsewhere += now - asked;
        }
        visit.serial += 1;
        let (isolate, task) = (visit.isolate, visit.task);
        let clock = self.clock(isolate);
        let step = self.isolates[isolate].handler.resume(clock, task, reply);
        self.take(id, step);
    }

    pub(super) fn take(&mut self, id: VisitId, step: Step) {
        let isolate = self.visits[id].isolate;
        self.events(isolate);
        match step {
            Step::Do(effect) => self.dispatch(id, effect),
            Step::Done(response) => self.done(id, response),
        }
    }

    pub(super) fn events(&mut self, isolate: usize) {
        while let Some(event) = self.isolates[isolate].handler.poll_event() {
            self.tell(|| format!("isolate {isolate}: {event:?}"));
            self.event(isolate, &event);
            self.events.push(event.clone());
            if let Event::FlightFinished(flight) = event {
                let looked = self.read_finished(isolate, flight);
                let sleeping = std::mem::take(&mut self.isolates[isolate].sleeping);
                for (waits_for, visit, serial) in sleeping {
                    if waits_for == flight {
                        let visit_looked = &mut self.visits[visit].looked;
                        *visit_looked = looked.max(*visit_looked);
                        let delay = if self.weather.uneven {
                            self.up_to(2)
                        } else {
                            0
                        };
                        self.reply(visit, serial, delay, Reply::Noticed, About::Nothing);
                    } else {
                        let place = &mut self.isolates[isolate].sleeping;
                        place.push((waits_for, visit, serial));
                    }
                }
            }
        }
    }

    pub(super) fn reply(
        &mut self,
        visit: VisitId,
        serial: u32,
        delay: u64,
        reply: Reply,
        about: About,
    ) {
        let reply = Box::new(reply);
        self.after(
            delay,
            Todo::Reply {
                visit,
                serial,
                reply,
                about,
            },
        );
    }

    pub(super) fn done(&mut self, id: VisitId, response: Response) {
        let given = match response {
            Response::Own(response) => Given {
                status: response.status,
                passed: false,
                cookies: response.cookies,
                headers: response.headers,
                body: response.body.map(|(_, body)| body).unwrap_or_default(),
                at: self.now,
            },
            Response::Upstream { cookies, .. } => Given {
                status: 200,
                passed: true,
                cookies,
                headers: Vec::new(),
                body: String::new(),
                at: self.now,
            },
            Response::Managed(result) => {
                let (status, body) = match result {
                    Ok(body) => (200, body),
                    Err(error) => (400, error.to_string()),
                };
                Given {
                    status,
                    passed: false,
                    cookies: Vec::new(),
                    headers: Vec::new(),
                    body,
                    at: self.now,
                }
            }
            Response::Allowed(_) => panic!("no proxy asks here"),
            // The result of a task that a request has started stays in the handler.
            Response::NotHandled => {
                let purpose = self.visits[id].purpose;
                assert!(matches!(purpose, Purpose::Refresh | Purpose::Read));
                return self.finish(id, State::Answered);
            }
        };
        self.tell(|| {
            let cookies = given.cookies.len();
            format!(
                "visit {id}: {} {} ({cookies} cookies)",
                given.status, given.body
            )
        });
        let was_open = self.visits[id].state == State::Open;
        self.finish(id, State::Answered);
        if was_open {
            self.visits[id].given = Some(given);
            self.answered(id);
            let lost_responses = self.weather.lost_responses;
            let is_login = matches!(self.visits[id].purpose, Purpose::Login | Purpose::Callback);
            if !is_login && self.percent(lost_responses) {
                self.tell(|| format!("visit {id}: the response is lost"));
                return;
            }
            let delay = match self.weather.uneven && self.percent(10) {
                true => self.up_to(5000),
                false => self.moment(),
            };
            self.after(delay, Todo::Given(id));
        }
    }

    /// Performs an effect as a host does.
    pub(super) fn dispatch(&mut self, id: VisitId, effect: Effect) {
        let visit = &self.visits[id];
        let (serial, isolate) = (visit.serial, visit.isolate);
        let site = match &effect {
            Effect::Await => {
                self.visits[id].asked_elsewhere = Some(self.now);
                let sending = self.visits[id].sending.as_mut().unwrap();
                sending.serial = serial;
                match sending.arrived.take() {
                    Some((reply, about)) => self.reply(id, serial, 0, reply, about),
                    None => self.reply(id, serial, BEAT.0, Reply::Pending, About::Nothing),
                }
                return;
            }
            Effect::Open { key, sealed, aad } => {
                let key = RINGS[self.isolates[isolate].ring][*key];
                let opened = self.watch.open(key, sealed, aad);
                let delay = if self.weather.uneven {
                    self.up_to(1)
                } else {
                    0
                };
                let reply = Reply::Opened(opened);
                return self.reply(id, serial, delay, reply, About::Nothing);
            }
            Effect::Seal { nonce, plain, aad } => {
                let key = RINGS[self.isolates[isolate].ring][0];
                let sealed = self.watch.seal(key, nonce, plain, aad);
                let delay = if self.weather.uneven {
                    self.up_to(1)
                } else {
                    0
                };
                return self.reply(id, serial, delay, Reply::Sealed(sealed), About::Nothing);
            }
            Effect::Verify {
                jwk,
                signing_input,
                signature,
                ..
            } => {
                let is_valid = match self.provider.is_key(jwk) {
                    true => self.provider.verify(jwk, signing_input, signature),
                    false => device::is_signed(jwk, signing_input, signature),
                };
                return self.reply(id, serial, 0, Reply::Verified(is_valid), About::Nothing);
            }
            Effect::Client => {
                let is_there = self.visits[id].state == State::Open;
                return self.reply(id, serial, 0, Reply::Connected(is_there), About::Nothing);
            }
            Effect::Body(_) => {
                let body = self.visits[id].body.as_deref().map(Secret::from);
                return self.reply(id, serial, 0, Reply::Body(body), About::Nothing);
            }
            Effect::Sleep {
                flight,
                time,
                started,
            } => {
                match (*flight, *started) {
                    (Some(flight), Some(task)) if *time <= STATUS_TIME => {
                        self.start_read(id, task, flight);
                    }
                    (_, Some(task)) => self.start_refresh(id, task),
                    _ => {}
                }
                if let Some(flight) = flight {
                    // A request may wait for its own refresh. Logins, logouts and refreshes may wait for a fetch of
                    // documents that another one has begun. A shorter wait may be for a read of the record, which each
                    // request needs.
                    let visit = &self.visits[id];
                    let uses_token = matches!(
                        visit.purpose,
                        Purpose::Call | Purpose::Poll | Purpose::Session
                    );
                    if *time > COORDINATOR_TIME && uses_token && visit.refresh.is_none() {
                        self.waits_for_refresh(id);
                    }
                    let place = &mut self.isolates[isolate].sleeping;
                    place.push((*flight, id, serial));
                }
                let about = match flight.is_some() && *time == STATUS_TIME {
                    true => About::GaveUp,
                    false => About::Nothing,
                };
                return self.reply(id, serial, time.0, Reply::Waited, about);
            }
            Effect::Append { .. } => {
                let reply = Reply::Appended(false);
                return self.reply(id, serial, 0, reply, About::Nothing);
            }
            Effect::Sign { .. } | Effect::GenerateKey => panic!("nothing is signed here"),
            Effect::Read(_) => Site::Read,
            Effect::Swap { .. } => Site::Swap,
            Effect::Wait { .. } => Site::Wait,
            Effect::Send { request, .. } => Site::Provider(self.provider.endpoint_of(request)),
            Effect::Forward(_) => Site::Api,
        };
        let is_cut_off = matches!(site, Site::Read | Site::Swap | Site::Wait)
            && self.weather.cut_off == Some(isolate);
        let fault = match is_cut_off {
            true => Some(Fault::LostBefore),
            false => self.fault_of(site),
        };
        let fault = match &effect {
            Effect::Send { request, .. } if site == Site::Provider(Endpoint::Refresh) => {
                let token = field(request, "refresh_token");
                let is_failing = self.failing.contains(&Provider::place(&token).0);
                is_failing.then_some(Fault::Status(500)).or(fault)
            }
            _ => fault,
        };
        self.tell(|| match &effect {
            Effect::Send { request, .. } => {
                let token = field(request, "refresh_token");
                format!("visit {id}: {site:?} {token} ({fault:?})")
            }
            _ => format!("visit {id}: {site:?} ({fault:?})"),
        });
        if let Effect::Forward(forward) = &effect {
            let token = forward.authorization.expose().to_owned();
            self.forwards(id, token.strip_prefix("Bearer ").unwrap());
        }
        if let Effect::Send { request, .. } = &effect
            && site == Site::Provider(Endpoint::Refresh)
        {
            let token = field(request, "refresh_token");
            self.sent_refresh(id, &token);
        }
        self.sent.push((self.now, site));
        match site {
            Site::Wait => self.waits_for_refresh(id),
            Site::Provider(_) | Site::Api => {
                let visit = &mut self.visits[id];
                visit.asked_elsewhere = Some(self.now);
                if site == Site::Api {
                    visit.sent_to_api = Some(self.now);
                }
            }
            Site::Read if self.visits[id].purpose != Purpose::Read => {
                let until = self.now + self.coordinator_timeout;
                self.watch.own_read_began(isolate, id, self.now, until);
            }
            Site::Read | Site::Swap => {}
        }
        let limit = match &effect {
            Effect::Read(_) | Effect::Swap { .. } => self.coordinator_timeout,
            Effect::Wait { time, .. } => time.0.max(1),
            Effect::Send { timeout, .. } => timeout.0,
            _ => API_TIMEOUT,
        };
        let (out, back) = match fault {
            Some(Fault::Slow(out, back)) => (out, back),
            _ => (self.moment(), self.moment()),
        };
        let about = about(&effect);
        // A host that stops waiting does not undo a request in flight.
        let is_lost = matches!(fault, Some(Fault::LostBefore | Fault::LostAfter));
        let (mut gives_up, failure) = match (&effect, site) {
            (_, Site::Wait) => (limit, Reply::Waited),
            (Effect::Send { .. }, _) => (limit, Reply::Sent(Outcome::Failed)),
            _ => (limit, Reply::Failed(String::new())),
        };
        if is_lost && site != Site::Wait && self.weather.uneven {
            gives_up = self.up_to(limit);
        }
        let failed = match about {
            About::Coordinator(_) if site != Site::Wait => About::CoordinatorFailed,
            About::Coordinator(_) => About::Nothing,
            other => other,
        };
        if matches!(effect, Effect::Send { .. }) {
            self.visits[id].sending = Some(Sending {
                began: serial,
                serial,
                arrived: None,
                is_over: false,
            });
            self.reply(id, serial, BEAT.0, Reply::Pending, About::Nothing);
        }
        self.reply(id, serial, gives_up, failure, failed);
        if !matches!(fault, Some(Fault::LostBefore)) {
            let sent = self.now;
            self.after(
                out,
                Todo::Act {
                    visit: id,
                    serial,
                    effect: Box::new(effect),
                    fault,
                    back,
                    sent,
                },
            );
        }
    }

    pub(super) fn fault_of(&mut self, site: Site) -> Option<Fault> {
        if let Some(fault) = self.faults.get_mut(&site).and_then(VecDeque::pop_front) {
            return fault;
        }
        let is_coordinator = matches!(site, Site::Read | Site::Swap | Site::Wait);
        if is_coordinator && self.weather.coordinator_down {
            return Some(match self.dice.roll(8) {
                0 if self.weather.uneven => Fault::LostAfter,
                _ => Fault::LostBefore,
            });
        }
        if let Site::Provider(endpoint) = site
            && self.weather.hangs == Some(endpoint)
        {
            return Some(Fault::LostBefore);
        }
        if matches!(site, Site::Provider(_)) && self.weather.provider_down {
            return Some(self.dice.pick(&[Fault::LostBefore, Fault::Status(502)]));
        }
        let (percentage, latest) = self.weather.late_writes;
        if site == Site::Swap && self.percent(percentage) {
            let delay = self.coordinator_timeout + self.up_to(latest);
            return Some(Fault::Slow(delay, 0));
        }
        let faults = self.weather.faults;
        if !self.percent(faults) {
            return None;
        }
        Some(match site {
            Site::Read | Site::Swap | Site::Wait => match self.dice.roll(3) {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                _ => Fault::Slow(self.up_to(1500), self.up_to(1500)),
            },
            Site::Provider(endpoint) => match self.dice.roll(7) {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                2 => Fault::Status(503),
                3 => {
                    let seconds = 1 + self.up_to(8);
                    self.dice
                        .pick(&[Fault::Busy(seconds), Fault::Unavailable(seconds)])
                }
                4 if endpoint == Endpoint::Refresh => {
                    self.dice
                        .pick(&[Fault::Wanted, Fault::Unexplained, Fault::Gateway])
                }
                _ => Fault::Slow(self.up_to(6000), self.up_to(6000)),
            },
            Site::Api => match self.dice.roll(3) {
                0 => Fault::LostBefore,
                _ => Fault::Slow(self.up_to(20_000), self.up_to(20_000)),
            },
        })
    }

    pub(super) fn act(
        &mut self,
        id: VisitId,
        serial: u32,
        effect: &Effect,
        fault: Option<Fault>,
        back: u64,
        sent: u64,
    ) {
        let is_lost = matches!(fault, Some(Fault::LostAfter));
        let (reply, about) = match effect {
            Effect::Read(keys) => {
                let entries = keys.iter().map(|key| self.coordinator.read(self.now, key));
                let reply = Reply::Entries {
                    entries: entries.collect(),
                    time: self.setup.has_time.then_some(self.now),
                };
                (reply, About::Coordinator(self.now))
            }
            Effect::Swap {
                key,
                version,
                value,
                lifetime,
            } => {
                let written =
                    self.coordinator
                        .swap(self.now, key, version.as_deref(), value, *lifetime);
                if written.is_some() {
                    self.watch.late_writes += u64::from(self.now > sent + self.coordinator_timeout);
                    self.wrote(id, key, value);
                    self.wake(key);
                }
                (Reply::Swapped(written), About::Coordinator(self.now))
            }
            Effect::Wait { key, version, .. } => {
                if self.coordinator.version(self.now, key) == *version {
                    self.waiting.push((key.clone(), id, serial));
                    return;
                }
                (Reply::Noticed, About::Nothing)
            }
            Effect::Send { request, .. } => {
                let about = about(effect);
                let outcome = self.provider_response(id, request, fault, sent);
                (Reply::Sent(outcome), about)
            }
            Effect::Forward(forward) => {
                let token = forward.authorization.expose();
                let token = token.strip_prefix("Bearer ").unwrap();
                let is_good = self.provider.is_good(self.now, token);
                self.visits[id].api_failed |= !is_good;
                let head = Head {
                    status: if is_good { 200 } else { 401 },
                    ..Head::default()
                };
                (Reply::Head(head), About::Nothing)
            }
            _ => panic!("no server acts on {effect:?}"),
        };
        if !is_lost {
            self.reply(id, serial, back, reply, about);
        }
    }

    pub(super) fn provider_response(
        &mut self,
        id: VisitId,
        request: &HttpRequest,
        fault: Option<Fault>,
        sent: u64,
    ) -> Outcome {
        match fault {
            Some(Fault::Status(status)) => {
                return Outcome::from(json(status, ""));
            }
            Some(Fault::Busy(seconds) | Fault::Unavailable(seconds)) => {
                let is_busy = matches!(fault, Some(Fault::Busy(_)));
                let mut reply = json(if is_busy { 429 } else { 503 }, "");
                reply.retry_after = Some(Millis::from_secs(seconds));
                return Outcome::from(reply);
            }
            Some(Fault::Wanted) => {
                self.wanted(&field(request, "refresh_token"));
                return Outcome::from(refusal("interaction_required"));
            }
            Some(Fault::Unexplained) => {
                self.unexplained(id, &field(request, "refresh_token"));
                return Outcome::from(refusal("invalid_request"));
            }
            Some(Fault::Gateway) => {
                self.gateway(&field(request, "refresh_token"));
                return Outcome::from(json(400, "<html>"));
            }
            Some(Fault::Refusal(code)) => {
                return Outcome::from(refusal(code));
            }
            _ => {}
        }
        let (outcome, rotation) = self.provider.act(self.now, request);
        if let Some(rotation) = rotation {
            let token = field(request, "refresh_token");
            self.tell(|| format!("provider: {token} {rotation:?}"));
            self.rotated(id, &token, rotation, sent);
        }
        outcome
    }

    pub(super) fn wake(&mut self, key: &str) {
        let waiting = std::mem::take(&mut self.waiting);
        for (waits_for, visit, serial) in waiting {
            if waits_for != key {
                self.waiting.push((waits_for, visit, serial));
            } else if !self.weather.uneven || !self.percent(10) {
                let delay = self.moment();
                self.reply(visit, serial, delay, Reply::Noticed, About::Nothing);
            }
        }
    }

    /// Returns the content of a string that a host of this world sealed, or `None` for any other string.
    pub fn unsealed(&self, text: &str) -> Option<String> {
        let sealed = base64url::decode(text.split('.').nth(2)?)?;
        self.watch.sealed_text(&sealed)
    }
}

fn about(effect: &Effect) -> About {
    match effect {
        Effect::Read(_) | Effect::Swap { .. } | Effect::Wait { .. } => About::Coordinator(0),
        Effect::Send { request, .. } if field(request, "grant_type") == "refresh_token" => {
            About::Refresh(field(request, "refresh_token"))
        }
        Effect::Send { request, .. } if field(request, "grant_type") == "authorization_code" => {
            About::Login
        }
        _ => About::Nothing,
    }
}
