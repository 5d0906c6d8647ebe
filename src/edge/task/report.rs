//! Lines of the log, and events for the observer, which a task emits.

use rules::prelude::*;

use crate::event::{About, Event, Fault, Happened, Level, Server};
use crate::io::{Broken, OwnResponse};
use crate::isolate::outage::Outage;
use crate::isolate::{Isolate, Seldom};
use crate::session::Session;
use crate::session::key;
use crate::task::{LONGEST_MESSAGE, ProviderResult, Task, loggable};
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::error::{Code, Error};
use rules::codec::json::{self, digits};

impl Task {
    /// Reports a fault to the operator.
    pub(crate) fn fault(&self, error: &Error) {
        self.fault_of(error.code(), &[error.message()]);
    }

    /// Reports a fault with this code and message. If the host knows a name for the failure of the last effect, the message
    /// ends with it.
    pub(crate) fn fault_of(&self, code: Code, message: &[&str]) {
        self.log(Level::of(code), code, &[&message.concat(), &self.cause()]);
    }

    /// Warns of something that is allowed, although the code is usually an error.
    pub(crate) fn warn(&self, code: Code, message: &str) {
        self.log(Level::Warn, code, &[message]);
    }

    /// Writes a line about something that is no fault.
    pub(crate) fn inform(&self, code: Code, message: &[&str]) {
        self.log(Level::Info, code, message);
    }

    /// Reports a fault at most once a minute. Returns true if it was reported.
    pub(crate) fn fault_seldom(&self, fault: Seldom, message: &str) -> bool {
        let code = Isolate::code_of(fault);
        self.report_seldom(&self.own_time(), fault, code, message)
    }

    /// Reports an error at most once a minute for each code.
    pub(crate) fn error_seldom(&self, fault: Seldom, error: &Error) {
        self.report_seldom(&self.now(), fault, error.code(), error.message());
    }

    /// Reports a fault with the number of times since the last report, unless that was less than a minute ago.
    fn report_seldom(&self, now: &Instant, fault: Seldom, code: Code, message: &str) -> bool {
        let Some(unreported) = self.isolate().count_seldom(now, fault, code) else {
            return false;
        };
        if unreported == 0 {
            self.fault_of(code, &[message]);
            return true;
        }
        let joint = msg!("; more since the last report: ");
        self.log(
            Level::of(code),
            code,
            &[message, &self.cause(), joint, &digits(unreported)],
        );
        true
    }

    fn log(&self, level: Level, code: Code, message: &[&str]) {
        let is_about_provider = matches!(
            code,
            Code::ProviderUnavailable
                | Code::ClientRejected
                | Code::TokenResponseInvalid
                | Code::InteractionRequired
        );
        self.isolate().emit(Event::Fault(Fault {
            level,
            error: Error::of(code, message),
            about: self.about(),
            status: self.provider_result().status.filter(|_| is_about_provider),
        }));
    }

    /// Returns the end of a message: a colon and what the host says about the failure of the last effect, or an empty string.
    fn cause(&self) -> String {
        [named(&self.failure()), named(&self.failure_message())].concat()
    }

    /// Reports a response of an upstream that could not be passed on, at most once a minute for each route and code.
    pub(crate) fn response_broke(&self, broken: &Broken<'_>) {
        let Some(route) = self.config().routes.get(broken.route) else {
            return;
        };
        let what = match broken.code {
            Code::TokenReflected => msg!(" responded with an access token of the session"),
            Code::HandlerCrashed => msg!(" sent a response that cannot be passed on"),
            _ => msg!(" broke off its response"),
        };
        let message = [
            route.upstream.href(),
            what,
            &named(&loggable(broken.cause, LONGEST_MESSAGE)),
        ];
        let error = Error::of(broken.code, &message);
        self.error_seldom(Seldom::BrokenResponse(broken.route), &error);
    }

    /// Emits an event for the observer.
    pub(crate) fn observe(&self, happened: Happened) {
        self.isolate().observe(|| self.about(), happened);
    }

    /// Emits an event for the observer about a session that is not the request's.
    pub(crate) fn observe_session(&self, session: &Session, happened: Happened) {
        let about = || About {
            session: Some(key::public_id(&session.sid)),
            ..self.about()
        };
        self.isolate().observe(about, happened);
    }

    fn about(&self) -> About {
        let session = self.session();
        About {
            request_id: Some(self.request_id()),
            session: session.map(|session| key::public_id(&session.sid)),
        }
    }

    /// Reports a failed refresh, unless the operator knows that the provider is down.
    pub(crate) fn refresh_failed(&self, why: &str) {
        if !self.isolate().outage_of(Server::Provider).is_down() {
            let cause = named(&self.provider_result().cause);
            self.fault_seldom(Seldom::Refresh, &[why, &cause].concat());
        }
    }

    /// Ends the pause of refreshes of a refused client: the provider has issued tokens to it.
    pub(crate) fn client_accepted(&self) {
        if self.isolate().client_refusal.end() {
            let message = msg!("the provider accepts this client again");
            self.inform(Code::ClientRejected, &[message]);
        }
    }

    /// Changes what this isolate knows about the provider's outage, and reports if the outage begins or ends. `why` is the last
    /// failure.
    pub(crate) fn change_outage(&self, why: &str, change: impl FnOnce(&mut Outage)) {
        change(&mut self.isolate().session_cache.borrow_mut().outage);
        self.report_outage(why);
    }

    /// Reports if the provider's outage has begun or ended.
    fn report_outage(&self, why: &str) {
        let is_down = self.isolate().session_cache.borrow().outage.is_down();
        match is_down {
            true => self.server_failed(Server::Provider, why),
            false => self.server_works(Server::Provider),
        }
    }

    /// Reports that a server is down, unless the operator knows it. `why` is the last failure.
    pub(crate) fn server_failed(&self, server: Server, why: &str) {
        let (status, cause, shown) = match server {
            Server::Provider => {
                let ProviderResult { status, cause } = self.provider_result();
                let shown = named(&cause);
                (status, cause, shown)
            }
            Server::Coordinator => (None, self.failure(), self.cause()),
        };
        let mut last = why.to_owned();
        if let Some(status) = status {
            last.push_str(msg!(", status "));
            json::write_number(&mut last, status.into());
        }
        last.push_str(&shown);
        let begun = {
            let mut outage = self.isolate().outage_of(server);
            outage.fail(&self.own_time(), last.clone())
        };
        if begun == Some(true) {
            let (name, effect) = match server {
                Server::Provider => (
                    msg!("the provider is down: "),
                    msg!("; refreshes get 503, and sessions are kept"),
                ),
                Server::Coordinator => (
                    msg!("the coordinator is down: "),
                    msg!(
                        "; refreshes get 503, sessions are kept, and logouts do not reach other processes"
                    ),
                ),
            };
            self.log(Level::Error, server.code(), &[name, &last, effect]);
        }
        if begun.is_some() {
            self.observe(Happened::OutageBegan {
                server,
                status,
                cause,
            });
        }
    }

    /// Reports that a server works, unless the operator knows it.
    pub(crate) fn server_works(&self, server: Server) {
        let end = self.isolate().outage_of(server).end(&self.own_time());
        let Some(end) = end else {
            return;
        };
        if end.is_logged {
            let message = [
                &["the ", server.as_str()].concat(),
                msg!(" works again; it was down for "),
                &digits(end.duration.as_secs()),
                msg!(" s; refused requests: "),
                &digits(end.refused),
            ];
            self.log(Level::Info, server.code(), &message);
        }
        self.observe(Happened::OutageEnded {
            server,
            duration: end.duration,
            count: end.refused,
        });
    }

    /// Counts a response that refuses the request.
    pub(crate) fn note_refusal(&self, response: &OwnResponse) {
        let Some(code) = response.code.filter(|_| response.status >= 400) else {
            return;
        };
        let now = self.own_time();
        for server in Server::ALL
            .into_iter()
            .filter(|server| server.code() == code)
        {
            let mut outage = self.isolate().outage_of(server);
            if let Some(period) = outage.refuse(&now) {
                let last = outage.last_failure().to_owned();
                drop(outage);
                self.report_refusals(server, period.duration, period.refused, &last);
            }
        }
        if self.isolate().is_observed.get() {
            let mut refusals = self.isolate().refusals.borrow_mut();
            if let Some(happened) = refusals.count(&now, code, response.status) {
                self.observe(happened);
            }
        }
    }

    fn report_refusals(&self, server: Server, duration: Millis, refused: u64, last: &str) {
        let name = ["the ", server.as_str()].concat();
        let message = [
            &name,
            msg!(" is still down; requests refused in the last "),
            &digits(duration.as_secs()),
            msg!(" s: "),
            &digits(refused),
            msg!("; its last failure: "),
            last,
        ];
        self.log(Level::Error, server.code(), &message);
    }

    /// Reports to the operator, at most once an hour, if this machine's clock differs from a server's, which showed `time` in the
    /// response to a request that was sent at `asked`.
    pub(crate) fn compare_clocks(&self, server: Server, time: UnixMillis, asked: &Instant) {
        let now = self.own_time();
        // A response that was read late seems to come from a clock that is behind.
        if self.isolate().lateness.was_since(asked) {
            return;
        }
        let Some((seconds, is_ahead)) = self.isolate().clock.difference(time, &now) else {
            return;
        };
        let side = match is_ahead {
            true => msg!(" s ahead of the "),
            false => msg!(" s behind the "),
        };
        let message = [
            msg!("this machine's clock is "),
            &digits(seconds),
            side,
            server.as_str(),
            "'s",
        ];
        self.fault_of(Code::ClockDiffers, &message);
        self.observe(Happened::ClockDiffers { server, seconds });
    }
}

/// Returns a colon and the name of a cause, or an empty string.
fn named(cause: &str) -> String {
    match cause.is_empty() {
        true => String::new(),
        false => [": ", cause].concat(),
    }
}
