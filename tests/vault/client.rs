//! The vault as a client of `tests/both`: a world with one page.

use std::time::Duration;

use kit::flaws::Flaw;
use kit::world::{self, Endpoint, Fault, PageResponse, World};
use rules::codec::json::{Object, Value};
use vault::PortId;

use crate::both::{Client, Failure};

pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) page: PortId,
}

pub(crate) fn fault((name, text): Flaw) -> Fault {
    match name {
        "status" => Fault::AsStatus(text.parse().unwrap()),
        _ => Fault::Altered(name, text),
    }
}

impl Client for Machine {
    const STORAGES: [&'static str; 2] = ["{}", world::SEALED];
    const AFTER_EXPIRY: &'static str = "login_required";

    fn with(config: &str) -> Self {
        let mut world = World::with(config);
        let page = world.open();
        Self { world, page }
    }

    fn sign_in(&mut self) -> Result<(), Failure> {
        let login = self.world.sign_in(self.page);
        match self.world.response(login) {
            Some(PageResponse::Error { code, .. }) => Err(Failure {
                code: code.clone(),
                message: self.world.error_message(login).to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn call(&mut self) -> Result<u16, String> {
        let call = self.world.fetch(self.page, "/orders");
        self.world.answer_all();
        // A refresh may be repeated after some seconds.
        for _ in 0..5 {
            if self.world.response(call).is_none() {
                self.world.advance(Duration::from_secs(1));
            }
        }
        match self.world.response(call) {
            Some(PageResponse::Head { status, .. }) => Ok(*status),
            Some(PageResponse::Error { code, .. }) => Err(code.clone()),
            other => panic!("no response but {other:?}"),
        }
    }

    fn session(&mut self) -> Option<Object> {
        self.world.session(self.page).cloned()
    }

    fn reason(&mut self) -> Option<String> {
        self.world.reason(self.page).map(str::to_owned)
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.world.warnings(self.page).into_iter();
        warnings.map(str::to_owned).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.world.advance(Duration::from_secs(seconds));
    }

    fn lifetime(&self) -> u64 {
        self.world.provider.lifetime.as_secs()
    }

    fn flaw_login(&mut self, flaw: Flaw) {
        let provider = &mut self.world.provider;
        provider.fault(Endpoint::Exchange, &[fault(flaw)]);
    }

    fn flaw_refresh(&mut self, flaw: Flaw) {
        let provider = &mut self.world.provider;
        provider.fault(Endpoint::Refresh, &[fault(flaw)]);
    }

    fn flaw_refreshes(&mut self, flaw: Flaw) {
        let provider = &mut self.world.provider;
        provider.outage(Endpoint::Refresh, fault(flaw));
    }

    fn state(&mut self, claim: &'static str, value: Value) {
        self.world.provider.flaw = Some(world::Flaw::Claim(claim, value));
    }

    fn refresh_tokens_sent(&self) -> Vec<String> {
        let sent = self.world.refresh_tokens_sent_to(Endpoint::Refresh);
        sent.to_vec()
    }

    fn is_revoked(&self) -> bool {
        self.world.provider.has_revoked_everything()
    }

    fn seen_by_api(&self) -> Vec<String> {
        let seen = self.world.seen_by_api.iter();
        seen.map(|request| request.authorization.expose().to_owned())
            .collect()
    }
}
