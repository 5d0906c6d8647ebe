//! The vaults' workers: they start, receive hints, freeze and end.

use super::clock::ahead;
use super::jobs::{Job, Task};
use super::provider::form_of;
use super::{REFRESH, World, configuration, dpop, parse, vault};
use crate::dice::Dice;
use strongroom::vault::{Hint, Input, PortId, Vault};

impl World {
    /// Restarts the worker: its pages and its memory are gone.
    pub fn restart(&mut self) {
        self.story(|_| "the worker is killed, and another one starts".to_owned());
        self.kill(0);
    }

    /// Kills a worker with its pages and its memory, and starts another one.
    pub fn kill(&mut self, which: usize) {
        let homes = &self.homes;
        let its: Vec<PortId> = homes
            .iter()
            .filter(|(_, home)| **home == which)
            .map(|(port, _)| *port)
            .collect();
        for port in &its {
            self.ledger.waive_page(*port);
            self.gone.insert(*port);
        }
        let gone = &self.gone;
        self.calls
            .retain(|_, request| !gone.contains(&request.port));
        self.greeted.retain(|port| !gone.contains(port));
        self.told_beginning.retain(|port, _| !gone.contains(port));
        self.told_user.retain(|port, _| !gone.contains(port));
        let is_rotated = |job: &&Job| job.kind == REFRESH && job.vault == which;
        for job in self.jobs.iter().filter(is_rotated) {
            if let Task::Send(_, request, _) = &job.task {
                self.watch
                    .lost_on_its_way(&form_of(request)["refresh_token"]);
            }
        }
        self.jobs.retain(|job| job.vault != which);
        self.lock = self.lock.filter(|holder| *holder != which);
        self.frozen.remove(&which);
        self.stopped.remove(&which);
        self.watch.killed(which);
        self.last_seed += 1;
        self.vaults[which] = vault(&self.config, self.last_seed);
        self.keys[which].clear();
        self.ahead[which] = ahead(&self.config, &self.now);
    }

    /// The number of vaults.
    pub fn vaults(&self) -> usize {
        self.vaults.len()
    }

    /// The vault to which a page is connected.
    pub fn home(&self, port: PortId) -> usize {
        self.homes[&port]
    }

    /// Sets the configuration of workers that start from now on.
    pub fn reconfigure(&mut self, changes: &str) {
        self.config = configuration(changes);
        self.is_bound = parse(&self.config).binds_tokens();
    }

    /// Starts another worker over the same store. Returns its number.
    pub fn add_vault(&mut self) -> usize {
        self.last_seed += 1;
        self.vaults.push(vault(&self.config, self.last_seed));
        self.ahead.push(ahead(&self.config, &self.now));
        self.keys.push(dpop::Keys::default());
        self.vaults.len() - 1
    }

    /// Restarts the first vault in a dedicated worker.
    pub fn make_dedicated(&mut self) {
        let mut config = parse(&self.config);
        config.is_dedicated = true;
        self.vaults[0] = Vault::new(config, Box::new(Dice::new(self.last_seed)));
    }

    /// Freezes this vault: nothing reaches it, as in a tab that the browser has frozen.
    pub fn freeze(&mut self, vault: usize) {
        self.frozen.insert(vault);
    }

    pub fn is_frozen(&self, vault: usize) -> bool {
        self.frozen.contains(&vault)
    }

    pub fn thaw(&mut self) {
        self.frozen.clear();
    }

    /// Unfreezes this vault and tells it of a granted lock.
    pub fn thaw_one(&mut self, vault: usize) {
        self.frozen.remove(&vault);
    }

    /// Delivers a hint that must not end the vault's session.
    pub fn hint(&mut self, vault: usize, hint: Hint) {
        self.turn = vault;
        self.input(Input::Hinted(hint));
    }

    /// Delivers a hint that must end the vault's session.
    pub fn hint_of_logout(&mut self, vault: usize, hint: Hint) {
        self.watch.logs_out(vault, self.true_time);
        self.hint(vault, hint);
    }
}
