//! The workers of vaults: they start, receive hints, freeze and end.

use std::collections::BTreeSet;

use super::clock::ahead;
use super::jobs::{Job, Task};
use super::provider::form_of;
use super::{BEGINNING, REFRESH, Settings, World, dpop};
use crate::dice::Dice;
use vault::config::Config;
use vault::{Hint, Input, PortId, Vault};

/// The workers, each with its vault. Most tests have one vault; further vaults share its store.
pub(super) struct Workers {
    pub(super) vaults: Vec<Vault>,
    /// The account of each vault.
    pub(super) accounts: Vec<u64>,
    /// What each vault shares with others.
    pub(super) names: Vec<Names>,
    /// Index of the vault that runs now.
    pub(super) turn: usize,
    /// How far the monotonic clock of each worker is ahead of the world's clock.
    pub(super) ahead: Vec<u64>,
    /// Vaults of frozen tabs, which get no input.
    pub(super) frozen: BTreeSet<usize>,
    /// Seed of the newest vault's random numbers.
    pub(super) last_seed: u64,
}

/// The names by which the host of a vault finds what other vaults share with it.
pub(super) struct Names {
    /// The stored session, its lock, and the messages about its changes.
    pub(super) record: String,
    /// The channel for hints about sign-outs, and the one for hints about sign-ins.
    pub(super) channels: [String; 2],
}

impl Workers {
    pub(super) fn new(config: &Settings, seed: u64) -> Self {
        let (vault, names) = started(config, 0, seed);
        Self {
            vaults: vec![vault],
            accounts: vec![0],
            names: vec![names],
            turn: 0,
            ahead: vec![ahead(config, &BEGINNING)],
            frozen: BTreeSet::new(),
            last_seed: seed,
        }
    }
}

impl World {
    /// Restarts the first worker, which loses its pages and its memory.
    pub fn restart(&mut self) {
        self.story(|_| "the worker is killed, and another one starts".to_owned());
        self.kill(0);
    }

    /// Kills a worker with its pages and its memory, and starts another worker in its place.
    pub fn kill(&mut self, which: usize) {
        let homes = &self.pages.homes;
        let its: Vec<PortId> = homes
            .iter()
            .filter(|(_, home)| **home == which)
            .map(|(port, _)| *port)
            .collect();
        for port in &its {
            self.ledger.waive_page(*port);
            self.pages.gone.insert(*port);
        }
        let gone = &self.pages.gone;
        self.calls
            .requests
            .retain(|_, request| !gone.contains(&request.port));
        self.pages.greeted.retain(|port| !gone.contains(port));
        self.pages.told_start.retain(|port, _| !gone.contains(port));
        self.pages.told_user.retain(|port, _| !gone.contains(port));
        let is_rotated = |job: &&Job| job.kind == REFRESH && job.vault == which;
        for job in self.jobs.pending.iter().filter(is_rotated) {
            if let Task::Send(_, request, _) = &job.task {
                self.watch
                    .lost_on_its_way(&form_of(request)["refresh_token"]);
            }
        }
        self.jobs.pending.retain(|job| job.vault != which);
        self.forget_line(which);
        self.lock_mut(which).forget(which);
        self.known_versions[which].clear();
        self.workers.frozen.remove(&which);
        self.stopped.remove(&which);
        self.watch.killed(which);
        self.searches.killed(which);
        self.workers.last_seed += 1;
        let account = self.workers.accounts[which];
        let (vault, names) = started(&self.config, account, self.workers.last_seed);
        self.workers.vaults[which] = vault;
        self.workers.names[which] = names;
        self.keys[which].clear();
        self.workers.ahead[which] = ahead(&self.config, &self.now);
    }

    /// Returns the number of vaults.
    pub fn vaults(&self) -> usize {
        self.workers.vaults.len()
    }

    /// Returns the vault to which a page is connected.
    pub fn home(&self, port: PortId) -> usize {
        self.pages.homes[&port]
    }

    /// Sets the configuration of workers that start from now on.
    pub fn reconfigure(&mut self, changes: &str) {
        self.config = Settings::usual(changes);
        let flow = &self.config.parsed.flow;
        self.uses_dpop = flow.uses_dpop;
        let resource = &flow.target.resource;
        self.provider.login_resource.clone_from(resource);
    }

    /// Replaces the first worker by one of this account.
    pub fn become_account(&mut self, account: u64) {
        self.workers.accounts[0] = account;
        self.watch.sessions.joins(0, account);
        self.restart();
    }

    /// Returns the account of a vault.
    pub fn account(&self, vault: usize) -> u64 {
        self.workers.accounts[vault]
    }

    /// Starts another worker that shares the store. Returns the index of its vault.
    pub fn add_vault(&mut self) -> usize {
        self.add_vault_of(0)
    }

    /// Starts another worker, of this account. Returns the index of its vault.
    pub fn add_vault_of(&mut self, account: u64) -> usize {
        self.workers.last_seed += 1;
        let (vault, names) = started(&self.config, account, self.workers.last_seed);
        let index = self.workers.vaults.len();
        self.watch.sessions.joins(index, account);
        self.workers.vaults.push(vault);
        self.workers.accounts.push(account);
        self.workers.names.push(names);
        self.workers.ahead.push(ahead(&self.config, &self.now));
        self.keys.push(dpop::Keys::default());
        self.known_versions.push(Vec::new());
        index
    }

    /// Restarts the first vault in a dedicated worker.
    pub fn make_dedicated(&mut self) {
        let mut config = self.config.parsed.clone();
        config.is_dedicated = true;
        self.workers.vaults[0] = Vault::new(config, Box::new(Dice::new(self.workers.last_seed)));
    }

    /// Freezes this vault, which then gets no input, like a tab that the browser has frozen.
    pub fn freeze(&mut self, vault: usize) {
        self.workers.frozen.insert(vault);
    }

    pub fn is_frozen(&self, vault: usize) -> bool {
        self.workers.frozen.contains(&vault)
    }

    pub fn thaw(&mut self) {
        self.workers.frozen.clear();
    }

    /// Unfreezes this vault.
    pub fn thaw_one(&mut self, vault: usize) {
        self.workers.frozen.remove(&vault);
    }

    /// Delivers a hint that must not end the vault's session.
    pub fn hint(&mut self, vault: usize, hint: Hint) {
        self.workers.turn = vault;
        self.input(Input::Hinted(hint));
    }

    /// Delivers a hint that must end the vault's session.
    pub fn hint_of_logout(&mut self, vault: usize, hint: Hint) {
        self.watch.sessions.logs_out(vault, true, self.true_time);
        self.hint(vault, hint);
    }
}

/// Starts a vault of this account.
fn started(config: &Settings, account: u64, seed: u64) -> (Vault, Names) {
    let config = config.parsed.clone();
    let config = config.with_account(&account.to_string()).unwrap();
    let names = Names::of(&config);
    (Vault::new(config, Box::new(Dice::new(seed))), names)
}

impl Names {
    /// Returns the names that the host of `src/browser/host.rs` uses for a vault with this configuration.
    fn of(config: &Config) -> Self {
        Self {
            record: ["session ", &config.flow.key()].concat(),
            channels: [config.flow.channel(), config.sign_in_channel()],
        }
    }
}
