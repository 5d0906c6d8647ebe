//! The parts of the policy that need a capability.

use super::{
    Allowed, Credentials, EgressPolicy, Refusal, Rule, RuleFault, normalized, refusal_error,
};
use crate::base::capability;
use crate::base::error::{Code, Result};
use crate::codec::url::Url;
use crate::egress::request_headers::Exceptions;
use crate::egress::token_reflection::Scope;
use crate::egress::websocket::{self, Place};
use crate::oauth::resource_indicators::Target;
use crate::prelude::*;

/// Selects one of a session's access tokens: the index of a [`Target`] in [`EgressPolicy::targets`], or `None` for the
/// token of the login.
pub type TokenSelector = Option<capability::ResourceTokens<usize>>;

/// Additional properties of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleOptions {
    /// Present if the browser may keep responses in its HTTP cache.
    caches: Option<capability::RuleOptions>,
    /// Present if the rule allows only its URL, with any query, and nothing below it.
    exact: Option<capability::RuleOptions>,
    /// The position of the token in WebSocket connections, if the rule allows such connections.
    socket: Option<capability::Sockets<Place>>,
    /// Present if pages learn about step-up challenges of the API.
    steps_up: Option<capability::StepUp>,
    /// The index in [`EgressPolicy::targets`], if the rule has access tokens of its own.
    target: TokenSelector,
}

/// Additional properties of an authorized request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestOptions {
    steps_up: Option<capability::StepUp>,
    caches: Option<capability::RuleOptions>,
    target: TokenSelector,
}

/// The targets of access tokens that belong to rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Targets(capability::IfResourceTokens<Vec<Target>>);

impl RuleOptions {
    pub(super) const fn new() -> Self {
        Self {
            caches: None,
            exact: None,
            socket: None,
            steps_up: None,
            target: None,
        }
    }

    pub(super) const fn is_exact(&self) -> bool {
        self.exact.is_some()
    }
}

impl RequestOptions {
    /// Returns the properties of a request that `rule` allows. The page learns about step-up challenges if any rule of the
    /// same kind that covers the URL asks for them.
    pub(super) fn of(rule: &Rule, rules: &[Rule], url: &Url) -> Self {
        Self {
            steps_up: capability::StepUp::WITNESS.filter(|_| {
                let mut rules = rules.iter();
                rules.any(|other| {
                    let is_same_kind = other.options.is_exact() == rule.options.is_exact();
                    other.options.steps_up.is_some() && is_same_kind && other.covers(url)
                })
            }),
            caches: rule.options.caches,
            target: rule.options.target,
        }
    }
}

impl Rule {
    /// Creates a rule for requests to exactly this origin and path, with any query. `methods` must be in upper case. No
    /// other rule then applies to this URL, unless it is exact, too.
    ///
    /// # Errors
    /// The first fault in the rule.
    pub fn exact(
        has: capability::RuleOptions,
        url: Url,
        methods: Vec<String>,
    ) -> core::result::Result<Self, RuleFault> {
        let mut options = RuleOptions::new();
        options.exact = Some(has);
        Self::with_options(url, methods, options)
    }

    /// Lets the browser keep responses under this rule in its HTTP cache. These responses are not searched for the
    /// token, because a page can read them from the cache piece by piece.
    #[must_use]
    pub const fn with_cache(mut self, has: capability::RuleOptions) -> Self {
        self.options.caches = Some(has);
        self.reflection = Scope::Nothing;
        self
    }

    /// Sets the exceptions from the list of headers that a page may not set.
    #[must_use]
    pub fn with_headers(mut self, headers: Exceptions) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the access token that requests under this rule carry.
    #[must_use]
    pub const fn with_target(mut self, target: TokenSelector) -> Self {
        self.options.target = target;
        self
    }

    /// Allows WebSocket connections if `socket` has a value, which is the position of the token.
    #[must_use]
    pub fn with_socket(mut self, socket: Option<capability::Sockets<Place>>) -> Self {
        self.options.socket = socket;
        self
    }

    /// If `steps_up` has a value, pages learn about step-up challenges: see [`crate::oauth::www_authenticate`].
    #[must_use]
    pub const fn with_step_up(mut self, steps_up: Option<capability::StepUp>) -> Self {
        self.options.steps_up = steps_up;
        self
    }
}

impl Allowed {
    /// Returns true if the page learns about step-up challenges.
    #[must_use]
    pub const fn steps_up(&self) -> bool {
        self.options.steps_up.is_some()
    }

    /// Returns true if the browser may keep the response in its HTTP cache.
    #[must_use]
    pub const fn caches(&self) -> bool {
        self.options.caches.is_some()
    }

    /// Returns the selector of the access token that the request carries.
    #[must_use]
    pub const fn token_selector(&self) -> TokenSelector {
        self.options.target
    }
}

impl EgressPolicy {
    /// Returns true if exact rules decide about `url`.
    pub(super) fn has_exact_rule_for(&self, url: &Url) -> bool {
        let is_it = |rule: &Rule| rule.options.is_exact() && rule.covers(url);
        capability::RuleOptions::WITNESS.is_some() && self.rules.iter().any(is_it)
    }

    /// Refuses a URL that a server may read as the URL of an exact rule, but that is written in another way. Otherwise the
    /// rule of a folder would decide about it.
    pub(super) fn refuse_other_spelling(&self, url: &Url) -> core::result::Result<(), Refusal> {
        if capability::RuleOptions::WITNESS.is_none() {
            return Ok(());
        }
        let read = normalized(url);
        let is_other = |rule: &Rule| {
            rule.options.is_exact() && !rule.covers(url) && normalized(&rule.url) == read
        };
        if self.rules.iter().any(is_other) {
            let why = msg!("the URL is another spelling of the URL of an exact rule");
            return Err((Code::UrlNotAllowed, why));
        }
        Ok(())
    }

    /// Sets the targets of access tokens that belong to rules.
    #[must_use]
    pub fn with_targets(mut self, targets: capability::IfResourceTokens<Vec<Target>>) -> Self {
        self.targets = Targets(targets);
        self
    }

    /// Returns the resources of all targets, without duplicates.
    #[must_use]
    pub fn resources(&self) -> Vec<&str> {
        let mut resources = Vec::new();
        let targets = self.targets().iter();
        for resource in targets.filter_map(|target| target.resource.as_deref()) {
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        resources
    }

    /// Returns the targets of access tokens that belong to rules.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        self.targets.0.get().map_or(&[], Vec::as_slice)
    }

    /// Authorizes a WebSocket connection, or refuses it. The URL is checked as if its scheme were `https` (or `http` on
    /// loopback), but only against rules that allow WebSocket connections.
    ///
    /// # Errors
    /// [`Code::UrlNotAllowed`], [`Code::LimitExceeded`].
    pub fn authorize_socket(&self, text: &str) -> Result<(Allowed, &Place)> {
        let text = websocket::as_http(text);
        self.check(&text, |url| self.check_socket(url))
            .map_err(|refusal| refusal_error(refusal, &text, ""))
    }

    fn check_socket(&self, url: &Url) -> core::result::Result<(Allowed, &Place), Refusal> {
        self.refuse_other_spelling(url)?;
        let only_exact = self.has_exact_rule_for(url);
        let is_it = |rule: &&Rule| rule.covers(url) && rule.options.is_exact() == only_exact;
        let mut covering = self.rules.iter().filter(is_it);
        let with_socket = covering.find_map(|rule| {
            Some((
                rule.options.socket.as_deref()?,
                rule.reflection,
                rule.options.target,
            ))
        });
        let Some((place, reflection, target)) = with_socket else {
            let why = msg!("no rule in apis that covers this URL has webSocket");
            return Err((Code::UrlNotAllowed, why));
        };
        if !place.is_unused_in(url) {
            let why = msg!("the URL has the query parameter that is reserved for the token");
            return Err((Code::UrlNotAllowed, why));
        }
        let allowed = Allowed {
            url: websocket::as_ws(url.without_fragment()),
            method: "GET".to_owned(),
            reflection,
            credentials: Credentials::Include,
            rule: 0,
            options: RequestOptions {
                steps_up: None,
                caches: None,
                target,
            },
        };
        Ok((allowed, place))
    }
}
