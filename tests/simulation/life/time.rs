//! The agenda, and the browser's timers.

use rules::base::clock::Millis;

use super::{Alarm, Fate, Life, MINUTE, SECOND, Todo};
use kit::world::invariants::Invariant;
use kit::world::{JobId, Kind};

impl Life {
    pub(super) fn now(&self) -> u64 {
        self.world.true_time
    }

    pub(super) fn at(&mut self, time: u64, todo: Todo) {
        self.last_entry += 1;
        self.agenda.insert((time, self.last_entry), todo);
    }

    /// Lets time pass and runs due tasks.
    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now() + millis;
        loop {
            self.plan_new_jobs();
            self.hand_over_lock();
            let todo = self.agenda.first_key_value().map(|(&(time, _), _)| time);
            let alarm = self.next_alarm();
            let tick = alarm.map(|(time, _)| time);
            let next = todo.unwrap_or(u64::MAX).min(tick.unwrap_or(u64::MAX));
            if next > end {
                break;
            }
            self.pass_to(next);
            let tick_is_first = match (tick, todo) {
                (Some(tick), Some(todo)) if tick == todo => self.dice.roll(2) == 0,
                (tick, todo) => todo.is_none_or(|todo| tick.is_some_and(|tick| tick < todo)),
            };
            match alarm {
                Some((_, vault)) if tick_is_first => self.tick(vault),
                _ => {
                    if let Some((_, todo)) = self.agenda.pop_first() {
                        self.do_it(todo);
                    }
                }
            }
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, time: u64) {
        let passed = time.saturating_sub(self.now());
        self.world.pass(Millis(passed));
    }

    /// Returns the time of the next timer of a host, with the index of the timer's vault. Returns `None` if no timer is
    /// set.
    fn next_alarm(&mut self) -> Option<(u64, usize)> {
        let vaults = 0..self.workers.len();
        let alarms = vaults.filter_map(|vault| Some((self.next_alarm_of(vault)?, vault)));
        alarms.collect::<Vec<_>>().into_iter().min()
    }

    /// Returns the time at which the host's timer fires. The timer is late if the browser throttles timers, and early
    /// if the vault's next deadline has moved since the timer was set.
    fn next_alarm_of(&mut self, vault: usize) -> Option<u64> {
        if self.world.is_frozen(vault) {
            return None;
        }
        let due = self.world.tick_due(vault)?;
        let now = self.world.now.monotonic;
        let alarm = match self.workers[vault].alarm {
            Some(alarm) if alarm.due <= due => alarm,
            _ => {
                let late = self.lateness(vault);
                let fires = due.max(now) + late;
                *self.workers[vault].alarm.insert(Alarm { due, fires })
            }
        };
        if alarm.fires.saturating_sub(due) > Millis::from_secs(1) {
            self.world.watch.hinder();
        }
        Some(self.now() + alarm.fires.saturating_sub(now).0)
    }

    fn lateness(&mut self, vault: usize) -> Millis {
        if self.workers[vault].throttled_until > self.now() {
            self.tally.fault("timer late");
            Millis(self.dice.pick(&[900, 5 * SECOND, MINUTE, 4 * MINUTE]))
        } else {
            Millis(self.dice.pick(&[0, 0, 1, 4]))
        }
    }

    fn tick(&mut self, vault: usize) {
        let now = self.now();
        let worker = &mut self.workers[vault];
        let Some(Alarm { due, .. }) = worker.alarm.take() else {
            return;
        };
        let (ticks, since) = worker.ticks;
        worker.ticks = if now > since + 10 * SECOND {
            (1, now)
        } else {
            (ticks + 1, since)
        };
        Invariant::Sanity.holds_if(ticks < 1000, || {
            format!("it asked for {ticks} ticks within 10 s")
        });
        let late = self.world.now.monotonic.saturating_sub(due);
        if late > Millis::from_secs(1) {
            self.world.watch.sessions.woke();
        }
        self.world.timer_of(vault, late);
    }

    pub(super) fn do_it(&mut self, todo: Todo) {
        if let Some(vault) = self.reaches(&todo)
            && self.world.is_frozen(vault)
        {
            if let Todo::AnswerArrives(job) = todo
                && self.world.kind_of(job) == Some(Kind::Lock)
            {
                // The browser grants the lock to the frozen vault, which cannot release it.
                if self.world.waits_for_lock(job) {
                    return self.lock_queue.push_back(job);
                }
                self.world.grant_lock(job);
            }
            return self.workers[vault].frozen.push(todo);
        }
        match todo {
            Todo::ProviderActs(job) => self.provider_acts(job),
            Todo::AnswerArrives(job) if self.world.waits_for_lock(job) => {
                self.lock_queue.push_back(job);
            }
            Todo::AnswerArrives(job) => {
                let is_lock = self.world.kind_of(job) == Some(Kind::Lock);
                self.provider_acts(job);
                self.world.answer_arrives(job);
                if is_lock {
                    self.freeze_holder();
                }
            }
            Todo::NetworkFails(job) => {
                self.world.knows_offline = self.knows_offline && self.is_offline();
                self.world.network_fails(job);
            }
            Todo::SignIn { login, popup } => self.user_comes_back(login, popup),
            Todo::Leave(page) => self.close(page),
            Todo::SetClock(seconds) => self.set_clock_by(seconds),
            Todo::Thaw(vault) => self.thaw(vault),
            Todo::WayIsFree => {
                self.tell("the provider can be reached again");
                self.clear_way();
            }
            Todo::EnterCodes => {
                self.tell("users enter their codes at the provider");
                self.world.provider.sign_in_on_devices();
            }
            Todo::AreSettled => self.are_settled(),
            Todo::NetworkChanges => self.network_changes(),
            Todo::Online => self.world.wake_unanswered(),
            Todo::FreeLock => {
                self.tell("the holder that is not a vault releases the lock");
                self.world.seize_lock(false);
            }
        }
    }

    /// Returns the vault that receives a task and therefore must not be frozen. Returns `None` if no vault receives the
    /// task.
    fn reaches(&self, todo: &Todo) -> Option<usize> {
        match todo {
            Todo::AnswerArrives(job) | Todo::NetworkFails(job) => self.world.vault_of(*job),
            Todo::Leave(page) => Some(self.world.home(*page)),
            Todo::SignIn { login, .. } => Some(self.world.home(login.port)),
            Todo::ProviderActs(_)
            | Todo::SetClock(_)
            | Todo::Thaw(_)
            | Todo::FreeLock
            | Todo::NetworkChanges
            | Todo::Online
            | Todo::AreSettled
            | Todo::EnterCodes
            | Todo::WayIsFree => None,
        }
    }

    /// Grants a free lock to the job that has waited longest.
    fn hand_over_lock(&mut self) {
        let world = &self.world;
        self.lock_queue.retain(|job| world.kind_of(*job).is_some());
        // A vault that takes the lock over need not be the one that has waited longest.
        let next = |job: &JobId| !world.waits_for_lock(*job);
        if let Some(i) = self.lock_queue.iter().position(next)
            && let Some(job) = self.lock_queue.remove(i)
        {
            self.do_it(Todo::AnswerArrives(job));
        }
    }

    pub(super) fn provider_acts(&mut self, job: JobId) {
        match (self.world.kind_of(job), self.fates.remove(&job)) {
            (Some(Kind::Provider(endpoint)), Some(Fate::Fault(fault))) => {
                self.world.provider.fault(endpoint, &[fault]);
                self.world.provider_acts(job);
            }
            (Some(_), Some(Fate::Flaw(flaw))) => {
                self.world.provider.flaw = Some(flaw);
                self.world.provider_acts(job);
                self.world.provider.flaw = None;
            }
            _ => self.world.provider_acts(job),
        }
    }
}
