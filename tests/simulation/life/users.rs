//! Users and their tabs.

use vault::{Body, PortId};

use super::{Home, Life, MAX_PAGES, MINUTE, SECOND, Todo};
use kit::world::api::API;
use kit::world::{Fetch, PageResponse, Request};

/// The demand of an API for another authentication (RFC 9470).
const STRONGER: (u16, &str) = (
    401,
    r#"Bearer error="insufficient_user_authentication", acr_values="phr", max_age=300"#,
);

impl Life {
    pub(super) fn open(&mut self) -> PortId {
        let awake = |vault: &usize| !self.world.is_frozen(*vault);
        let awake: Vec<usize> = (0..self.workers.len()).filter(awake).collect();
        let vault = self.dice.pick(&awake);
        self.open_in(vault)
    }

    /// Opens a page of the account of a vault. Returns `None` if each vault of this account is frozen.
    fn open_beside(&mut self, vault: usize) -> Option<PortId> {
        if self.account_dice.is_none() {
            return Some(self.open());
        }
        let page = self.vaults_of(self.account_of(vault));
        let awake: Vec<usize> = page.filter(|vault| !self.world.is_frozen(*vault)).collect();
        let vault = (!awake.is_empty()).then(|| self.dice.pick(&awake))?;
        Some(self.open_in(vault))
    }

    pub(super) fn account_of(&self, vault: usize) -> usize {
        vault % self.users.len()
    }

    pub(super) fn vaults_of(&self, account: usize) -> impl Iterator<Item = usize> + use<> {
        (account..self.workers.len()).step_by(self.users.len())
    }

    /// Returns the family of the session that pages of an account know, if any.
    pub(super) fn told_in(&self, account: usize) -> Option<usize> {
        let sessions = &self.world.watch.sessions;
        self.vaults_of(account)
            .find_map(|vault| sessions.told(vault))
    }

    /// Lets the usual user of an account sign in at the provider from now on, or the user of the account's session.
    fn usual_user_returns(&mut self, vault: usize) {
        if self.account_dice.is_some() {
            let account = self.account_of(vault);
            let provider = &self.world.provider;
            let user = match self.told_in(account) {
                Some(family) => provider.subject_of(family).to_owned(),
                None => self.users[account].to_owned(),
            };
            self.world.provider.subject = user;
        }
    }

    /// Shows the response to a login to a page of another account, in some lives.
    fn show_elsewhere(&mut self, vault: usize, response: &str) {
        let Some(dice) = &mut self.account_dice else {
            return;
        };
        if dice.roll(3) > 0 {
            return;
        }
        let account = self.users.len() - 1 - self.account_of(vault);
        let others: Vec<usize> = self.vaults_of(account).collect();
        let awake = |vault: &usize| !self.world.is_frozen(*vault);
        if let Some(other) = others.into_iter().find(awake) {
            self.tally.shown_elsewhere += 1;
            let page = self.open_in(other);
            self.world.callback(page, response);
        }
    }

    pub(super) fn open_in(&mut self, vault: usize) -> PortId {
        let its: Vec<PortId> = self.pages_of(vault);
        if its.len() == MAX_PAGES {
            return self.dice.pick(&its);
        }
        let page = match self.build_dice {
            Some(_) => self.world.open_loaded_at(self.world.now.wall, vault),
            None => self.world.open_in(vault),
        };
        self.pages.push(page);
        if self.home != Home::Memory && self.dice.roll(4) == 0 {
            // The page sends a call before the vault has responded to its `hello`.
            self.fetch(page);
        }
        page
    }

    pub(super) fn pages_of(&self, vault: usize) -> Vec<PortId> {
        let is_its = |page: &&PortId| self.world.home(**page) == vault;
        self.pages.iter().filter(is_its).copied().collect()
    }

    pub(super) fn some_page(&mut self) -> PortId {
        let is_awake = |page: &&PortId| !self.world.is_frozen(self.world.home(**page));
        let awake: Vec<PortId> = self.pages.iter().filter(is_awake).copied().collect();
        if awake.is_empty() {
            return self.open();
        }
        self.dice.pick(&awake)
    }

    /// Lets one page of each vault log out at the same time.
    pub(super) fn log_out_everywhere(&mut self) {
        for vault in 0..self.workers.len() {
            if !self.world.is_frozen(vault)
                && let Some(page) = self.pages_of(vault).first()
            {
                self.world.logout(*page);
            }
        }
    }

    /// Closes a tab that has its own worker.
    pub(super) fn close_tab(&mut self, page: PortId) {
        let vault = self.world.home(page);
        self.tally.fault("tab closed with its worker");
        self.end_worker(vault);
        self.open_in(vault);
    }

    pub(super) fn close(&mut self, page: PortId) {
        let Some(i) = self.pages.iter().position(|&p| p == page) else {
            return;
        };
        if self.is_refreshing() {
            self.tally.fault("tab closed in the middle of a refresh");
        }
        self.pages.swap_remove(i);
        self.calls.retain(|call| call.port != page);
        self.world.leave(page);
    }

    pub(super) fn fetch(&mut self, page: PortId) -> Request {
        let path = self.dice.pick(&[
            "orders",
            "orders",
            "orders",
            "orders",
            "orders",
            "redirect",
            "forbidden",
            "never",
        ]);
        if self.dice.roll(6) == 0 {
            self.world.say(page, r#"{"t":"active"}"#);
        }
        let background = self.dice.roll(4) == 0;
        let body = match self.dice.roll(8) {
            0 => Body::OneShot,
            _ => Body::Replayable,
        };
        self.call(page, path, background, body)
    }

    pub(super) fn call(
        &mut self,
        page: PortId,
        path: &str,
        background: bool,
        body: Body,
    ) -> Request {
        let api = self.some_api();
        self.call_of(page, api, path, background, body)
    }

    /// Returns the method of calls of a path. If an API has a rule for each method, the path that refuses all tokens has its
    /// own.
    fn method_of(&self, path: &str) -> &'static str {
        match path {
            "never" if self.has_many_rules => "HEAD",
            _ => "GET",
        }
    }

    pub(super) fn call_of(
        &mut self,
        page: PortId,
        api: &str,
        path: &str,
        background: bool,
        body: Body,
    ) -> Request {
        self.tally.calls += 1;
        let url = format!("{api}/{path}?{}", self.tally.calls);
        let call = self.world.fetch_as(
            page,
            &Fetch {
                url: &url,
                method: self.method_of(path),
                background,
                body,
                ..Fetch::default()
            },
        );
        self.calls.push(call);
        call
    }

    /// Lets an API demand another login in some lives, and the user follow the demand.
    pub(super) fn step_up(&mut self) {
        let Some(mut dice) = self.demand_dice.take() else {
            return;
        };
        if dice.roll(8) == 0 {
            self.world.provider.api_demands = dice.pick(&[None, Some(STRONGER)]);
        }
        if dice.roll(6) == 0 {
            let page = self.some_page();
            let call = self.call_of(page, API, "demanding", false, Body::Replayable);
            self.demanding.push(call);
        }
        for call in std::mem::take(&mut self.demanding) {
            let page = call.port;
            match self.world.offered_login(call) {
                None if self.world.response(call).is_none() => self.demanding.push(call),
                Some(options) if self.pages.contains(&page) => {
                    let options = &options[1..options.len() - 1];
                    let members = format!(r#""t":"login","mode":"popup",{options}"#);
                    let login = self.world.ask(page, &members);
                    let time = self.now() + dice.pick(&[3 * SECOND, 3 * MINUTE]);
                    self.at(time, Todo::SignIn { login, popup: true });
                    self.tally.step_ups += 1;
                }
                _ => {}
            }
        }
        self.demand_dice = Some(dice);
    }

    /// Lets a page open a socket in some lives. It stays open until the session ends or the page leaves.
    pub(super) fn open_a_socket(&mut self) {
        let Some(dice) = &mut self.socket_dice else {
            return;
        };
        if dice.roll(10) == 0 {
            let page = self.some_page();
            let url = self.some_api().replacen("https", "wss", 1);
            self.tally.sockets += 1;
            self.world.socket(page, &[&url, "/live"].concat(), &[]);
        }
    }

    pub(super) fn abort(&mut self) {
        if !self.calls.is_empty() {
            let call = self.dice.pick(&self.calls);
            self.world.give_up(call, "abort");
        }
    }

    pub(super) fn login(&mut self) {
        let page = self.some_page();
        if let Some(dice) = &mut self.device_dice
            && dice.roll(2) == 0
        {
            let after = dice.pick(&[3 * SECOND, 30 * SECOND, 3 * MINUTE, 11 * MINUTE]);
            let is_abandoned = dice.roll(8) == 0;
            self.tally.device_logins += 1;
            self.world.login(page, "device");
            if !is_abandoned {
                self.at(self.now() + after, Todo::EnterCodes);
            }
            return;
        }
        let popup = self.dice.roll(2) == 0;
        let mode = if popup { "popup" } else { "redirect" };
        let login = self.world.login(page, mode);
        let after = self
            .dice
            .pick(&[300, 3 * SECOND, 30 * SECOND, 3 * MINUTE, 11 * MINUTE]);
        let time = self.now() + after;
        self.at(time, Todo::SignIn { login, popup });
    }

    /// Lets the user sign in if the login has a URL. A redirect replaces the page. A popup is a separate page until its
    /// response has been handled.
    pub(super) fn user_comes_back(&mut self, login: Request, popup: bool) {
        let Some(PageResponse::Navigate(address)) = self.world.responses(login).first() else {
            return;
        };
        let address = address.clone();
        let vault = self.world.home(login.port);
        let user = self.dice.pick(&["alice", "alice", "bob"]);
        self.world.provider.subject = user.to_owned();
        if let Some(dice) = &mut self.account_dice
            && dice.roll(4) > 0
        {
            self.usual_user_returns(vault);
        }
        let response = self.world.provider.sign_in(&address);
        self.show_elsewhere(vault, &response);
        let page = if popup {
            // The popup handles its response in the vault of the tab that opened it.
            self.open_in(vault)
        } else {
            self.close(login.port);
            let Some(page) = self.open_beside(vault) else {
                return;
            };
            page
        };
        self.world.callback(page, &response);
        if self.dice.roll(20) == 0 {
            self.world.callback(page, &response);
        }
        if popup {
            let time = self.now() + 5 * SECOND;
            self.at(time, Todo::Leave(page));
        }
    }

    pub(super) fn login_now(&mut self, page: PortId) {
        let login = self.world.login(page, "popup");
        self.run(3 * SECOND);
        if !self.pages.contains(&page) {
            return;
        }
        let Some(PageResponse::Navigate(address)) = self.world.responses(login).first() else {
            return;
        };
        let address = address.clone();
        self.usual_user_returns(self.world.home(page));
        let response = self.world.provider.sign_in(&address);
        self.world.callback(page, &response);
        self.run(3 * SECOND);
    }
}
