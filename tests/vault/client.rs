//! The vault as a client of `tests/both`: a world with one page.

use std::collections::BTreeMap;
use std::time::Duration;

use kit::world::provider::{Provider, params};
use kit::world::{self, Endpoint, Kind, PageResponse, Request, World};
use rules::codec::json::Object;
use vault::PortId;

use crate::both::{Arrived, Client, Failure};

pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) page: PortId,
    /// A page that sends no requests. It is told of the session like the other one.
    other_page: PortId,
    /// True if another worker finds the session.
    is_stored: bool,
}

impl Machine {
    fn open_again(&mut self) {
        self.world.restart();
        self.page = self.world.open();
        self.other_page = self.world.open();
        self.world.answer_all();
    }

    /// Waits for the response to a page's request. The vault may send its own request again after some seconds.
    #[track_caller]
    fn settle(&mut self, request: Request) -> Result<&PageResponse, Failure> {
        self.world.answer_all();
        for _ in 0..11 {
            if self.world.response(request).is_none() {
                self.world.advance(Duration::from_secs(1));
            }
        }
        match self.world.response(request) {
            Some(PageResponse::Error { code, .. }) => Err(Failure {
                code: code.clone(),
                message: self.world.error_message(request).to_owned(),
            }),
            response => Ok(response.unwrap()),
        }
    }
}

impl Client for Machine {
    const STORAGES: [&'static str; 2] = ["{}", world::SEALED];
    const AFTER_EXPIRY: &'static str = "login_required";
    const IGNORED_ID_TOKEN: &'static [&'static str] = &[];

    fn with(config: &str) -> Self {
        let mut world = World::with(config);
        world.provider.name = None;
        let page = world.open();
        let other_page = world.open();
        Self {
            world,
            page,
            other_page,
            is_stored: config.contains("persist"),
        }
    }

    fn provider(&mut self) -> &mut Provider {
        &mut self.world.provider
    }

    fn accept_stated_ends(&mut self) {
        self.world.watch.accept_stated_ends();
    }

    fn begin_login(&mut self, options: &str) -> Result<String, Failure> {
        let comma = if options.is_empty() { "" } else { "," };
        let login = [r#""t":"login","mode":"redirect""#, comma, options].concat();
        let login = self.world.ask(self.page, &login);
        self.settle(login)?;
        Ok(self.world.address(login))
    }

    fn parameters(&self, url: &str) -> BTreeMap<String, String> {
        params(url.split_once('?').unwrap().1)
    }

    fn arrive(&mut self, response: &str) -> Result<Arrived, Failure> {
        let callback = format!(r#""t":"callback","url":"{response}","mayRepeat":true"#);
        let callback = self.world.ask(self.page, &callback);
        match self.settle(callback)? {
            PageResponse::Settled { return_to, .. } => Ok(Arrived::SignedIn(return_to.clone())),
            _ => Ok(Arrived::Again(self.world.address(callback))),
        }
    }

    fn log_out(&mut self) {
        self.world.logout(self.page);
        self.world.answer_all();
    }

    fn call(&mut self) -> Result<u16, String> {
        let call = self.world.fetch(self.page, "/orders");
        match self.settle(call) {
            Ok(PageResponse::Head { status, .. }) => Ok(*status),
            Ok(other) => panic!("no head but {other:?}"),
            Err(failure) => Err(failure.code),
        }
    }

    fn session(&mut self) -> Option<Object> {
        self.world.session(self.page).cloned()
    }

    fn reason(&mut self) -> Option<String> {
        let reason = self.world.reason(self.page);
        assert_eq!(self.world.reason(self.other_page), reason);
        reason.map(str::to_owned)
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.world.warnings(self.page).into_iter();
        warnings.map(str::to_owned).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.world.advance(Duration::from_secs(seconds));
    }

    fn now(&self) -> u64 {
        self.world.true_time
    }

    fn restart(&mut self) {
        if self.is_stored || self.session().is_none() {
            self.open_again();
        }
    }

    fn reconfigure(&mut self, config: &str) {
        self.world.reconfigure(config);
        self.open_again();
    }

    fn count(&self, endpoint: Endpoint) -> usize {
        self.world.count(Kind::Provider(endpoint))
    }

    fn refresh_tokens_sent(&self) -> Vec<String> {
        let sent = self.world.refresh_tokens_sent_to(Endpoint::Refresh);
        sent.to_vec()
    }

    fn seen_by_api(&self) -> Vec<String> {
        let seen = self.world.seen_by_api.iter();
        seen.map(|request| request.authorization.expose().to_owned())
            .collect()
    }
}
