//! The network, the provider's responses, and the time that each operation takes.

use super::{Fate, Home, Life, MINUTE, SECOND, Todo};
use kit::world::{Endpoint, Fault, Flaw, JobId, Kind};

impl Life {
    pub(super) fn plan_new_jobs(&mut self) {
        for (job, kind) in self.world.new_jobs() {
            match kind {
                Kind::Provider(endpoint) => self.plan_request(job, endpoint),
                Kind::Call => self.plan_call(job),
                Kind::ResponseBody => self.answer_in(job, &[0, 5, 200, 2 * SECOND]),
                Kind::Store | Kind::Take if self.faults > 0 && self.dice.roll(20) == 0 => {
                    self.tally.fault("storage stuck");
                    self.answer_in(job, &[12 * SECOND, 30 * SECOND]);
                }
                Kind::Persist | Kind::Load if self.is_kept_badly() => {
                    self.tally.fault("storage stuck");
                    if self.dice.roll(2) == 0 {
                        self.world.land_late(job);
                    }
                    self.answer_in(job, &[2 * SECOND, 12 * SECOND, 30 * SECOND]);
                }
                Kind::Changed if self.faults > 0 && self.dice.roll(10) == 0 => {
                    self.tally.fault("late notification of other vaults");
                    self.answer_in(job, &[SECOND, 30 * SECOND, 3 * MINUTE]);
                }
                Kind::Store | Kind::Take | Kind::Persist | Kind::Load => {
                    if self.dice.roll(2) == 0 {
                        self.world.read_now(job);
                    }
                    self.answer_in(job, &[0, 1, 10, 100]);
                }
                Kind::Verify
                | Kind::MakeKey
                | Kind::Lock
                | Kind::LockLost
                | Kind::Changed
                | Kind::Probe
                | Kind::Socket => {
                    self.answer_in(job, &[0, 1]);
                }
            }
        }
    }

    fn is_kept_badly(&mut self) -> bool {
        self.home != Home::Memory && self.faults > 0 && self.dice.roll(40) == 0
    }

    fn answer_in(&mut self, job: JobId, delays: &[u64]) {
        let time = self.now() + self.dice.pick(delays);
        self.at(time, Todo::AnswerArrives(job));
    }

    fn latency(&mut self) -> u64 {
        self.dice.pick(&[1, 5, 30, 80, 200, 400]) + self.dice.roll(20) as u64
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline_until > self.now()
    }

    fn plan_request(&mut self, job: JobId, endpoint: Endpoint) {
        let arrives = self.now() + self.latency();
        let answered = arrives + self.latency();
        if self.is_offline() {
            self.tally.fault("offline");
            return self.at(arrives, Todo::NetworkFails(job));
        }
        if self.refuses_without_reason && endpoint == Endpoint::Refresh {
            self.fates.insert(job, Fate::Fault(Fault::Status(400)));
        } else if self.dice.roll(100) < self.faults {
            return self.plan_fault(job, endpoint, arrives, answered);
        }
        self.at(arrives, Todo::ProviderActs(job));
        self.at(answered, Todo::AnswerArrives(job));
    }

    fn plan_fault(&mut self, job: JobId, endpoint: Endpoint, arrives: u64, answered: u64) {
        match self.dice.roll(12) {
            0 => {
                self.tally.fault("lost before the provider");
                self.at(arrives, Todo::NetworkFails(job));
            }
            1 | 2 => {
                self.tally.fault("response lost");
                self.at(arrives, Todo::ProviderActs(job));
                self.at(answered, Todo::NetworkFails(job));
            }
            3 => self.tally.fault("time-out before the provider"),
            4 => {
                self.tally.fault("time-out after the provider");
                self.at(arrives, Todo::ProviderActs(job));
            }
            5 => {
                self.tally.fault("slow");
                let way = self.dice.pick(&[3, 9, 11]) * SECOND;
                let back = self.dice.pick(&[0, 2, 9, 30]) * SECOND;
                self.at(arrives + way, Todo::ProviderActs(job));
                self.at(answered + way + back, Todo::AnswerArrives(job));
            }
            _ => {
                let fate = self.fate(endpoint);
                self.fates.insert(job, fate);
                self.at(arrives, Todo::ProviderActs(job));
                self.at(answered, Todo::AnswerArrives(job));
            }
        }
    }

    fn fate(&mut self, endpoint: Endpoint) -> Fate {
        let gives_tokens = matches!(endpoint, Endpoint::Refresh | Endpoint::Exchange);
        if endpoint == Endpoint::Refresh && self.more_dice.roll(4) == 0 {
            self.tally.fault("rejected without a reason");
            return Fate::Fault(self.more_dice.pick(&[
                Fault::Status(400),
                Fault::Status(401),
                Fault::Refused("invalid_request"),
                Fault::Refused("something_new"),
            ]));
        }
        if endpoint == Endpoint::Push && self.more_dice.roll(3) == 0 {
            self.tally.fault("push refused");
            return Fate::Fault(self.more_dice.pick(&[
                Fault::Status(403),
                Fault::Status(404),
                Fault::Refused("unauthorized_client"),
                Fault::Refused("invalid_request"),
                Fault::Opaque,
            ]));
        }
        let (name, fate) = match self.dice.roll(20) {
            0..3 => (
                "5xx",
                Fate::Fault(Fault::Status(self.dice.pick(&[500, 502, 503]))),
            ),
            3..5 => ("429", Fate::Fault(Fault::Busy(429, None))),
            5..8 => {
                let status = self.dice.pick(&[429, 503]);
                let wait = self.dice.pick(&[0, 2, 30, 130, 5000]);
                self.longest_wait = self.longest_wait.max(wait.min(600) * SECOND);
                ("Retry-After", Fate::Fault(Fault::Busy(status, Some(wait))))
            }
            8..11 => ("HTML with 200", Fate::Fault(Fault::Html)),
            11..14 => ("truncated JSON", Fate::Fault(Fault::Truncated)),
            14 if gives_tokens => {
                let code = self
                    .dice
                    .pick(&["invalid_client", "invalid_scope", "server_error"]);
                self.longest_wait = self.longest_wait.max(MINUTE);
                ("refused", Fate::Fault(Fault::Refused(code)))
            }
            15 if gives_tokens => {
                let code = self.dice.pick(&["login_required", "mfa_required"]);
                ("user wanted", Fate::Fault(Fault::Refused(code)))
            }
            16 if gives_tokens => (
                "ID token with a wrong signature",
                Fate::Flaw(Flaw::Signature),
            ),
            17 if gives_tokens => ("ID token with an unknown key", Fate::Flaw(Flaw::UnknownKey)),
            18 if endpoint == Endpoint::Refresh => {
                let claim = Flaw::Claim("sub", "mallory".into());
                ("ID token of another user", Fate::Flaw(claim))
            }
            19 if gives_tokens => {
                let flaws = [
                    Fault::Altered("scope", "[]"),
                    Fault::Altered("error", "null"),
                    Fault::Altered("x", r#"1,"x":"\ud800""#),
                    Fault::AsStatus(201),
                    Fault::Altered("token_type", r#""mac""#),
                ];
                ("inexact response", Fate::Fault(self.dice.pick(&flaws)))
            }
            _ => ("everything echoed", Fate::Fault(Fault::Echo)),
        };
        if name == "everything echoed" {
            self.longest_wait = self.longest_wait.max(MINUTE);
        }
        self.tally.fault(name);
        fate
    }

    fn plan_call(&mut self, job: JobId) {
        let latency = self.latency();
        let is_hit = self.dice.roll(200) < self.faults;
        if self.is_offline() || is_hit && self.dice.roll(2) == 0 {
            self.tally.fault("call failed");
            let time = self.now() + latency;
            return self.at(time, Todo::NetworkFails(job));
        }
        if is_hit {
            self.tally.fault("call slow");
            return self.answer_in(job, &[5 * SECOND, 40 * SECOND, 2 * MINUTE]);
        }
        self.answer_in(job, &[latency]);
    }
}
