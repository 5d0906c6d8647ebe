//! Browsers sign users in, call APIs, log out and disconnect.

use super::device::Device;
use super::{
    About, BOUND, Browser, COOKIE, ORIGIN, Purpose, State, Todo, UNBOUND, Visit, VisitId, World,
};
use edge::{FlightId, Reply, Request, TaskId};

impl World {
    pub fn open_browser(&mut self, subject: &str) -> usize {
        self.browsers.push(Browser {
            subject: subject.to_owned(),
            device: self.setup.binds.then(Device::default),
            ..Browser::default()
        });
        self.browsers.len() - 1
    }

    /// Creates a browser whose user signs in through this isolate.
    pub fn signed_in(&mut self, subject: &str, isolate: usize) -> usize {
        let browser = self.open_browser(subject);
        self.log_in(browser, isolate);
        self.answer_all();
        self.answer_all();
        assert!(self.browsers[browser].jar.contains_key(COOKIE));
        browser
    }

    pub fn log_in(&mut self, browser: usize, isolate: usize) -> VisitId {
        self.visit(Some(browser), isolate, Purpose::Login, "/auth/login", None)
    }

    pub fn call(&mut self, browser: usize, isolate: usize) -> VisitId {
        self.visit(Some(browser), isolate, Purpose::Call, "/api/orders", None)
    }

    pub fn poll(&mut self, browser: usize, isolate: usize) -> VisitId {
        self.visit(Some(browser), isolate, Purpose::Poll, "/api/news", None)
    }

    pub fn ask_session(&mut self, browser: usize, isolate: usize) -> VisitId {
        let path = "/auth/session";
        self.visit(Some(browser), isolate, Purpose::Session, path, None)
    }

    pub fn log_out(&mut self, browser: usize, isolate: usize) -> VisitId {
        let path = "/auth/logout";
        self.visit(Some(browser), isolate, Purpose::Logout, path, None)
    }

    /// Sends the logout token with which the provider ends a family's session.
    pub fn back_channel(&mut self, family: usize, isolate: usize) -> VisitId {
        let token = self.provider.logout_token(self.now, family);
        let body = Some(format!("logout_token={token}"));
        let path = "/auth/backchannel-logout";
        self.visit(None, isolate, Purpose::BackChannel, path, body)
    }

    /// Lets the app's server end sessions at an isolate. `target` and `options` are JSON.
    pub fn end(&mut self, isolate: usize, target: &str, options: &str) -> VisitId {
        let command = format!(r#"{{"end":{target},"options":{options}}}"#);
        self.ordered(self.visits.len(), target, options);
        self.manage(isolate, &command)
    }

    /// Returns the list of a user's sessions, in JSON.
    pub fn sessions(&mut self, isolate: usize, user: &str) -> String {
        let command = format!(r#"{{"sessions":{{"user":"{user}"}}}}"#);
        let id = self.manage(isolate, &command);
        self.answer_all();
        self.visits[id].given.as_ref().unwrap().body.clone()
    }

    fn manage(&mut self, isolate: usize, command: &str) -> VisitId {
        // The app's server is the same process.
        if let Some((until, _)) = self.isolates[isolate].stopped {
            self.run_until(until);
        }
        let id = self.enroll(None, isolate, Purpose::Manage, "", None);
        self.visits[id].read_at = Some(self.now);
        let (clock, epoch) = (self.clock(isolate), self.isolates[isolate].epoch);
        let (task, step) = self.isolates[isolate].handler.manage(clock, command);
        let visit = &mut self.visits[id];
        (visit.began, visit.epoch, visit.task) = (self.now, epoch, task);
        self.isolates[isolate].running.insert(task, id);
        self.take(id, step);
        id
    }

    /// Copies a browser with its cookies, as a thief would.
    pub fn copy_of(&mut self, browser: usize) -> usize {
        let cookies = self.browsers[browser].cookies(self.now);
        let jar = cookies.map(|(name, value)| (name.clone(), value.clone()));
        let thief = Browser {
            jar: jar.collect(),
            subject: "thief".to_owned(),
            copied: Some(self.now),
            ..Browser::default()
        };
        self.browsers.push(thief);
        self.browsers.len() - 1
    }

    pub(super) fn visit(
        &mut self,
        browser: Option<usize>,
        isolate: usize,
        purpose: Purpose,
        path: &str,
        body: Option<String>,
    ) -> VisitId {
        let id = self.enroll(browser, isolate, purpose, path, body);
        if !self.holds(id) {
            self.send(id, Request::default());
        }
        id
    }

    /// Adds a request that has not been sent.
    pub(super) fn enroll(
        &mut self,
        browser: Option<usize>,
        isolate: usize,
        purpose: Purpose,
        path: &str,
        body: Option<String>,
    ) -> VisitId {
        let id = self.visits.len();
        self.tell(|| {
            format!("visit {id}: {purpose:?} of browser {browser:?} at isolate {isolate}")
        });
        // After a login at a provider on another site, browsers send no cookies with these requests.
        let has_cookies = !matches!(purpose, Purpose::Bind | Purpose::Renew);
        self.visits.push(Visit {
            browser,
            refresh: None,
            read: None,
            isolate,
            epoch: self.isolates[isolate].epoch,
            task: TaskId::default(),
            serial: 0,
            purpose,
            began: self.now,
            read_at: None,
            cookie: None,
            path: path.to_owned(),
            bound_cookie: None,
            has_cookies,
            key: None,
            is_answer_until: None,
            was_skipped: false,
            state: State::Open,
            given: None,
            body,
            looked: 0,
            sent_to_api: None,
            coordinator_failed: false,
            api_failed: false,
            spent_elsewhere: 0,
            asked_elsewhere: None,
            sending: None,
        });
        self.watch.open.insert(id);
        id
    }

    /// Sends a request, with `more` headers.
    pub(super) fn send(&mut self, id: VisitId, more: Request) {
        let now = self.now;
        let visit = &self.visits[id];
        let (isolate, purpose, path) = (visit.isolate, visit.purpose, visit.path.clone());
        let is_by_browser = matches!(purpose, Purpose::Bind | Purpose::Renew);
        let browser = visit.browser.filter(|_| visit.has_cookies);
        let browser = browser.map(|browser| &self.browsers[browser]);
        let of = |name: &str| {
            let mut all = browser.into_iter().flat_map(|browser| browser.cookies(now));
            let found = all.find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let (cookie, bound_cookie) = (of(COOKIE), of(BOUND));
        let cookies: Vec<String> = browser
            .into_iter()
            .flat_map(|browser| browser.cookies(now))
            .map(|(name, value)| [name, "=", value].concat())
            .collect();
        let is_script = matches!(
            purpose,
            Purpose::Call | Purpose::Poll | Purpose::Session | Purpose::Logout
        );
        let is_navigation = matches!(purpose, Purpose::Login | Purpose::Callback);
        let is_post = matches!(purpose, Purpose::Logout | Purpose::BackChannel);
        let request = Request {
            method: match is_post || is_by_browser {
                true => "POST",
                false => "GET",
            }
            .to_owned(),
            url: [ORIGIN, &*path].concat(),
            cookie: (!cookies.is_empty()).then(|| cookies.join("; ")),
            // A page of the app begins the login, and the provider is another site.
            site: match purpose {
                Purpose::Login => Some("same-origin".to_owned()),
                Purpose::Callback => Some("cross-site".to_owned()),
                _ => more.site,
            },
            mode: match is_navigation {
                true => Some("navigate".to_owned()),
                false => more.mode,
            },
            marker: is_script.then(|| match purpose {
                Purpose::Poll => "background".to_owned(),
                _ => "1".to_owned(),
            }),
            ..more
        };
        let epoch = self.isolates[isolate].epoch;
        let visit = &mut self.visits[id];
        (visit.began, visit.epoch) = (now, epoch);
        (visit.cookie, visit.bound_cookie) = (cookie, bound_cookie);
        self.began(id);
        match self.isolates[isolate].stopped {
            Some((until, _)) => self.after(until - now, Todo::Read(id, Box::new(request))),
            None => self.read(id, request),
        }
    }

    /// Lets the isolate of a request read it.
    pub(super) fn read(&mut self, id: VisitId, request: Request) {
        let visit = &mut self.visits[id];
        if visit.state == State::Dead || visit.epoch != self.isolates[visit.isolate].epoch {
            visit.state = State::Dead;
            self.watch.open.remove(&id);
            return;
        }
        visit.read_at = Some(self.now);
        let isolate = visit.isolate;
        let clock = self.clock(isolate);
        let (task, step) = self.isolates[isolate].handler.begin(clock, request);
        self.visits[id].task = task;
        self.isolates[isolate].running.insert(task, id);
        self.take(id, step);
    }

    /// Runs the refresh that a request has started.
    pub(super) fn start_refresh(&mut self, of: VisitId, task: TaskId) {
        let id = self.start_part(of, task, Purpose::Refresh);
        self.visits[of].refresh = Some(id);
    }

    /// Runs the read of a record that a request has started.
    pub(super) fn start_read(&mut self, of: VisitId, task: TaskId, flight: FlightId) {
        let id = self.start_part(of, task, Purpose::Read);
        self.visits[of].read = Some(id);
        let isolate = self.visits[id].isolate;
        self.watch.read_began(isolate, id, flight, self.now);
    }

    fn start_part(&mut self, of: VisitId, task: TaskId, purpose: Purpose) -> VisitId {
        let id = self.visits.len();
        self.tell(|| format!("visit {id}: the {purpose:?} of visit {of}"));
        let visit = &self.visits[of];
        let part = Visit {
            browser: None,
            refresh: None,
            read: None,
            isolate: visit.isolate,
            epoch: visit.epoch,
            task,
            serial: 0,
            purpose,
            began: visit.began,
            read_at: Some(self.now),
            cookie: None,
            path: String::new(),
            bound_cookie: None,
            has_cookies: false,
            key: None,
            is_answer_until: None,
            was_skipped: false,
            state: State::Abandoned,
            given: None,
            body: None,
            looked: visit.looked,
            sent_to_api: None,
            coordinator_failed: visit.coordinator_failed,
            api_failed: visit.api_failed,
            spent_elsewhere: 0,
            asked_elsewhere: None,
            sending: None,
        };
        let isolate = visit.isolate;
        self.visits.push(part);
        self.isolates[isolate].running.insert(task, id);
        self.watch.started(of, id);
        let delay = if self.weather.uneven {
            self.up_to(1)
        } else {
            0
        };
        self.reply(id, 0, delay, Reply::Waited, About::Nothing);
        id
    }

    /// Lets the browser disconnect before the response arrives.
    pub fn abandon(&mut self, id: VisitId) {
        if self.visits[id].state != State::Open {
            return;
        }
        self.tell(|| format!("visit {id} is abandoned"));
        let (isolate, task) = (self.visits[id].isolate, self.visits[id].task);
        if self.visits[id].read_at.is_none() {
            self.visits[id].state = State::Abandoned;
            return;
        }
        if self.isolates[isolate].handler.abandon(task) {
            self.finish(id, State::Answered);
        } else {
            self.visits[id].state = State::Abandoned;
        }
        self.events(isolate);
    }

    /// Ends an isolate and starts a new one in its place.
    pub fn kill(&mut self, i: usize) {
        self.tell(|| format!("isolate {i} dies"));
        let running = std::mem::take(&mut self.isolates[i].running);
        self.watch.isolate_ended(i);
        let epoch = self.isolates[i].epoch + 1;
        self.isolates[i] = self.isolate(i, epoch);
        for visit in running.into_values() {
            self.visits[visit].state = State::Dead;
            self.watch.open.remove(&visit);
        }
    }

    /// Drops a request and what it has started without telling their isolate, as some platforms do.
    pub fn drop_request(&mut self, id: VisitId) {
        let visit = &self.visits[id];
        let all = [Some(id), visit.refresh, visit.read];
        for id in all.into_iter().flatten() {
            let (isolate, task) = (self.visits[id].isolate, self.visits[id].task);
            self.watch.read_dropped(isolate, id, self.now);
            self.isolates[isolate].running.remove(&task);
            self.visits[id].state = State::Dead;
            self.watch.open.remove(&id);
        }
    }

    pub(super) fn finish(&mut self, id: VisitId, state: State) {
        let visit = &mut self.visits[id];
        visit.state = state;
        let (isolate, task) = (visit.isolate, visit.task);
        self.isolates[isolate].running.remove(&task);
        self.watch.open.remove(&id);
        self.is_over(id);
    }

    pub(super) fn receive(&mut self, id: VisitId) {
        let visit = &self.visits[id];
        let (Some(browser), Some(given)) = (visit.browser, visit.given.clone()) else {
            return;
        };
        let (purpose, isolate) = (visit.purpose, visit.isolate);
        for cookie in &given.cookies {
            let (pair, rest) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let now = self.now;
            let Browser { jar, until, .. } = &mut self.browsers[browser];
            if rest.ends_with("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
            if matches!(name, BOUND | UNBOUND)
                && let Some((_, age)) = rest.split_once("Max-Age=")
            {
                let age: u64 = age.split(';').next().unwrap().parse().unwrap();
                until.insert(name.to_owned(), now + age * 1000);
            }
        }
        match purpose {
            Purpose::Bind => self.registered(id, browser, &given),
            Purpose::Renew => self.renewed(id, browser, &given),
            _ if given.lacks_proof() => self.refused_without_key(id, browser),
            purpose => self.offered(browser, &given, purpose == Purpose::Session),
        }
        if purpose == Purpose::Login
            && let Some(location) = given.header("location")
        {
            self.sign_in_at_provider(browser, isolate, location);
        }
    }

    /// Lets the user sign in at the provider, and sends the browser back with the code.
    pub(super) fn sign_in_at_provider(&mut self, browser: usize, isolate: usize, location: &str) {
        let logins = self.visits.len();
        let mut subject = self.browsers[browser].subject.clone();
        if self.is_new_user {
            subject = format!("{subject} by login {logins}");
        }
        let back = self.provider.sign_in(subject, location);
        let path = back.strip_prefix(ORIGIN).unwrap();
        self.visit(Some(browser), isolate, Purpose::Callback, path, None);
    }
}
