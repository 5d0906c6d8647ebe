//! The egress policy: a request carries a token only if a rule allows its parsed URL and its method.
//!
//! Only [`EgressPolicy::authorize`] and [`EgressPolicy::authorize_socket`] create an [`Allowed`]. A
//! request with a token can only be made from an [`Allowed`]. Code that sends a token without such a check therefore
//! does not compile. A URL is checked twice: first as a string, which must not contain anything that parsers interpret
//! differently, and then as parsed by the platform's parser. The request goes to the URL that this parser serializes.

use crate::base::error::{Code, Error, Result, quote};
use crate::base::http::is_token;
use crate::base::strings;
use crate::codec::url::Url;
use crate::egress::request_headers::Exceptions;
use crate::egress::token_reflection::Scope;
use crate::egress::websocket::Place;
use crate::oauth::resource_indicators::Target;
use crate::prelude::*;

mod socket;
pub mod spelling;

/// The longest URL that is sent, in bytes.
pub const MAX_URL: usize = 8 * 1024;

/// The largest number of headers that a page may set on a request.
pub const MAX_HEADERS: usize = 100;
/// The largest total size of the names and values of these headers, in bytes.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;

/// A rule that allows requests below a path of an origin, or to one path, with certain methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The URL below which requests are allowed. Its path starts and ends with `/`, so that a match ends at the
    /// boundary of a path segment. An exact rule allows only this URL, with any query.
    url: Url,
    methods: Vec<String>,
    /// True if the rule allows only its URL, with any query, and nothing below it.
    is_exact: bool,
    reflection: Scope,
    credentials: Credentials,
    headers: Exceptions,
    /// True if the browser may keep responses in its HTTP cache.
    caches: bool,
    /// The position of the token in WebSocket connections, if the rule allows such connections.
    socket: Option<Place>,
    /// True if pages learn about step-up challenges of the API.
    steps_up: bool,
    token_selector: TokenSelector,
    /// The path prefix on the app's origin that the vault maps to the rule's URL, for requests of elements.
    media: Option<String>,
}

/// Selects one of a session's access tokens: the index of a [`Target`] in [`EgressPolicy::targets`], or `None` for the
/// token of the login.
pub type TokenSelector = Option<usize>;

/// The cookies of APIs that requests under a rule carry and accept, as in Fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// No cookies.
    Omit,
    /// The cookies of the worker's own origin, unless the page omits them.
    #[default]
    SameOrigin,
    /// The page decides.
    Include,
}

/// An error in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFault {
    /// The URL is neither an `https` URL nor an `http` URL on loopback.
    NotHttps,
    /// The URL has a user name, query or fragment.
    NotPlain,
    /// The path does not end in `/`, and the rule is not exact.
    NoTrailingSlash,
    /// The path contains an escape or segment that is refused in requests.
    UnusablePath,
    /// There are no methods, one has a character other than `A` to `Z`, or one is a method that `fetch` refuses to
    /// send.
    Method,
}

impl Rule {
    /// Creates a rule. `methods` must be in upper case.
    ///
    /// # Errors
    /// The first fault in the rule.
    pub fn new(url: Url, methods: Vec<String>) -> core::result::Result<Self, RuleFault> {
        Self::checked(url, methods, false)
    }

    /// Creates a rule for requests to exactly this origin and path, with any query. `methods` must be in upper case. No
    /// other rule then applies to this URL, unless it is exact, too.
    ///
    /// # Errors
    /// The first fault in the rule.
    pub fn exact(url: Url, methods: Vec<String>) -> core::result::Result<Self, RuleFault> {
        Self::checked(url, methods, true)
    }

    fn checked(
        url: Url,
        methods: Vec<String>,
        is_exact: bool,
    ) -> core::result::Result<Self, RuleFault> {
        if !url.is_trustworthy() {
            return Err(RuleFault::NotHttps);
        }
        if !url.is_plain() {
            return Err(RuleFault::NotPlain);
        }
        if !is_exact && !url.path().ends_with('/') {
            return Err(RuleFault::NoTrailingSlash);
        }
        if spelling::fault(url.path()).is_some() {
            return Err(RuleFault::UnusablePath);
        }
        let is_usable = |method: &String| {
            !method.is_empty()
                && method.bytes().all(|b| b.is_ascii_uppercase())
                && !matches!(method.as_str(), "CONNECT" | "TRACE" | "TRACK")
        };
        if methods.is_empty() || !methods.iter().all(is_usable) {
            return Err(RuleFault::Method);
        }
        Ok(Self {
            url,
            methods,
            is_exact,
            reflection: Scope::default(),
            credentials: Credentials::default(),
            headers: Exceptions::default(),
            caches: false,
            socket: None,
            steps_up: false,
            token_selector: None,
            media: None,
        })
    }

    /// Sets the parts of responses that are searched for the token.
    #[must_use]
    pub const fn with_reflection(mut self, reflection: Scope) -> Self {
        self.reflection = reflection;
        self
    }

    /// Sets the cookies that requests carry and accept.
    #[must_use]
    pub const fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets the exceptions from the list of headers that a page may not set.
    #[must_use]
    pub fn with_headers(mut self, headers: Exceptions) -> Self {
        self.headers = headers;
        self
    }

    /// Lets the browser keep responses under this rule in its HTTP cache. These responses are not searched for the
    /// token, because a page can read them from the cache piece by piece.
    #[must_use]
    pub const fn with_cache(mut self) -> Self {
        self.caches = true;
        self.reflection = Scope::Nothing;
        self
    }

    /// Allows WebSocket connections if `socket` has a value, which is the position of the token.
    #[must_use]
    pub fn with_socket(mut self, socket: Option<Place>) -> Self {
        self.socket = socket;
        self
    }

    /// If `steps_up` is true, pages learn about step-up challenges: see [`crate::oauth::www_authenticate`].
    #[must_use]
    pub const fn with_step_up(mut self, steps_up: bool) -> Self {
        self.steps_up = steps_up;
        self
    }

    /// Sets the access token that requests under this rule carry.
    #[must_use]
    pub const fn with_token_selector(mut self, selector: TokenSelector) -> Self {
        self.token_selector = selector;
        self
    }

    /// Sets the path prefix on the app's origin that the vault maps to the rule's URL, for requests of elements. The prefix
    /// starts and ends with `/`.
    #[must_use]
    pub fn with_media(mut self, prefix: Option<String>) -> Self {
        self.media = prefix;
        self
    }

    /// Returns the path prefix that [`Rule::with_media`] has set.
    #[must_use]
    pub fn media(&self) -> Option<&str> {
        self.media.as_deref()
    }

    /// Returns the rule's URL, resolved against the worker's address.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns true if `url` is below the rule's URL, or if the rule is exact and the paths are equal.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        let is_at = if self.is_exact {
            url.path() == self.url.path()
        } else {
            url.path().starts_with(self.url.path())
        };
        url.is_same_origin(&self.url) && is_at
    }
}

/// A request that a rule allows. Only [`EgressPolicy::authorize`] and [`EgressPolicy::authorize_socket`] create this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    url: String,
    method: String,
    reflection: Scope,
    credentials: Credentials,
    /// The index of the rule in [`EgressPolicy::rules`].
    rule: usize,
    steps_up: bool,
    caches: bool,
    token_selector: TokenSelector,
}

impl Allowed {
    /// Returns the URL to send to: as serialized by the parser, without fragment.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the method to send.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the parts of the response that are searched for the token.
    #[must_use]
    pub const fn reflection(&self) -> Scope {
        self.reflection
    }

    /// Returns Fetch's `credentials` for the request. `asked` is the value that the page asked for.
    ///
    /// # Errors
    /// [`Code::Unsupported`] if the page asks for `include` and the rule does not allow it.
    pub fn credentials<'a>(&self, asked: Option<&'a str>) -> Result<&'a str> {
        let asked = asked.unwrap_or("same-origin");
        if asked == "include" && self.credentials != Credentials::Include {
            let message = msg!("credentials: 'include' needs the same option in the rule");
            return Err(Error::new(Code::Unsupported, message));
        }
        Ok(match self.credentials {
            Credentials::Omit => "omit",
            _ => asked,
        })
    }

    /// Returns true if the page learns about step-up challenges.
    #[must_use]
    pub const fn steps_up(&self) -> bool {
        self.steps_up
    }

    /// Returns true if the browser may keep the response in its HTTP cache.
    #[must_use]
    pub const fn caches(&self) -> bool {
        self.caches
    }

    /// Returns the number of the rule that allows the request.
    #[must_use]
    pub const fn rule(&self) -> usize {
        self.rule
    }

    /// Returns the selector of the access token that the request carries.
    #[must_use]
    pub const fn token_selector(&self) -> TokenSelector {
        self.token_selector
    }

    /// Returns the method and the URL without its query, for the inspector.
    #[must_use]
    pub fn description(&self) -> String {
        let (bare, _) = strings::split_once(&self.url, b'?');
        [&self.method, " ", bare].concat()
    }
}

/// The rules of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    rules: Vec<Rule>,
    /// The origins and paths to which no request is allowed, such as those of the provider's endpoints, as
    /// [`spelling::read`] returns them, with a question mark if the URL has a query.
    forbidden: Vec<String>,
    /// The targets of access tokens that belong to rules.
    targets: Vec<Target>,
}

impl EgressPolicy {
    /// Creates a policy of these rules.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            forbidden: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Sets the targets of access tokens that belong to rules.
    #[must_use]
    pub fn with_targets(mut self, targets: Vec<Target>) -> Self {
        self.targets = targets;
        self
    }

    /// Returns the targets of access tokens that belong to rules.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns the resources of all targets, without duplicates, and first that of the login's own target.
    #[must_use]
    pub fn resources<'a>(&'a self, login: &'a Target) -> Vec<&'a str> {
        let mut resources = Vec::new();
        let targets = core::iter::once(login).chain(&self.targets);
        for resource in targets.filter_map(|target| target.resource.as_deref()) {
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        resources
    }

    /// Forbids requests to these URLs, and to URLs below them, even if a rule covers them: see `spelling::may_reach`.
    pub fn forbid(&mut self, endpoints: &[&str]) {
        for endpoint in endpoints {
            let place = Url::parse(endpoint).and_then(|url| {
                let mut place = spelling::read(&url)?;
                if strings::contains_byte(url.without_fragment().as_bytes(), b'?') {
                    place.push('?');
                }
                Some(place)
            });
            if let Some(place) = place.filter(|place| !self.forbidden.contains(place)) {
                self.forbidden.push(place);
            }
        }
    }

    /// Returns the forbidden URLs, in the form in which they are compared.
    #[must_use]
    pub fn forbidden(&self) -> &[String] {
        &self.forbidden
    }

    /// Adds forbidden URLs that another vault has stored, perhaps one of another version.
    pub fn extend_forbidden(&mut self, forbidden: Vec<String>) {
        for url in forbidden {
            self.forbid(&[&url]);
        }
    }

    /// Returns true if there is only one rule.
    #[must_use]
    pub fn has_one_rule(&self) -> bool {
        self.rules.len() == 1
    }

    /// Returns the first rule that covers `url`.
    #[must_use]
    pub fn rule_for(&self, url: &Url) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.covers(url))
    }

    /// Authorizes a request, or refuses it.
    ///
    /// # Errors
    /// [`Code::UrlNotAllowed`], [`Code::MethodNotAllowed`], [`Code::LimitExceeded`]. The message quotes at most 60
    /// characters of the parsed URL, without user name, password, query and fragment.
    pub fn authorize(&self, text: &str, method: &str) -> Result<Allowed> {
        self.decide(text, method)
            .map_err(|refusal| refusal_error(refusal, text, method))
    }

    /// Decides as [`EgressPolicy::authorize`] does, with errors that quote nothing.
    ///
    /// # Errors
    /// The codes of [`EgressPolicy::authorize`], each with its reason.
    pub fn decide(&self, text: &str, method: &str) -> core::result::Result<Allowed, Refusal> {
        self.check(text, |url| self.check_method(url, method))
    }

    /// Authorizes the request of an element, such as an image, for `address`: a path on the app's origin, with its query.
    /// The request goes to the URL of the rule whose `media` is a prefix of the address, with the rest of the address. A URL
    /// is refused if a rule without `media` covers it in any spelling, with any method, and that rule is earlier, has a longer
    /// path, or is exact. Only rules with `media` are meant for requests that a page's content can cause.
    ///
    /// # Errors
    /// The errors of [`EgressPolicy::authorize`].
    pub fn authorize_media(&self, address: &str) -> Result<Allowed> {
        let found = self.rules.iter().enumerate().find_map(|(i, rule)| {
            let rest = address.strip_prefix(rule.media()?)?;
            Some((i, [rule.url.href(), rest].concat()))
        });
        let refused = |why| {
            let (path, _) = strings::split_once(address, b'?');
            Err(Error::of(Code::UrlNotAllowed, &[why, ": ", &quote(path)]))
        };
        let Some((i, url)) = found else {
            // The page recognizes the first of these messages: pkg/src/page/media/page-media.ts.
            return refused(match self.media().next() {
                None => msg!("no rule in apis has `media`"),
                Some(_) => msg!("no rule in apis has `media` for this path"),
            });
        };
        match self.authorize(&url, "GET") {
            // Only an exact rule can lack this method here.
            Err(error) if error.code() != Code::MethodNotAllowed => Err(error),
            Ok(allowed) if allowed.rule == i && !self.may_belong_to_another_rule(&allowed) => {
                Ok(allowed)
            }
            _ => refused(msg!(
                "another rule covers this URL, or one that servers may read as the same. Put a wider rule after the rule with `media`"
            )),
        }
    }

    /// Returns true if a rule without `media` that is earlier or has a longer path may cover the URL, as servers read paths. File
    /// extensions are not considered. For exact rules, `refuse_other_spelling` has done this.
    fn may_belong_to_another_rule(&self, allowed: &Allowed) -> bool {
        let Some(url) = Url::parse(&allowed.url) else {
            return true;
        };
        let own = self.rules[allowed.rule].url.path().len();
        self.rules.iter().enumerate().any(|(i, other)| {
            let decides = i < allowed.rule || other.url.path().len() > own;
            decides
                && other.media.is_none()
                && !other.is_exact
                && other.url.is_same_origin(&url)
                && spelling::may_be_below(url.path(), other.url.path())
        })
    }

    /// Returns the path prefixes of all rules with `media`.
    pub fn media(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(Rule::media)
    }

    /// Checks the headers that a page sets on a request.
    ///
    /// # Errors
    /// [`Code::HeaderNotAllowed`] for headers that a page may not set, and [`Code::LimitExceeded`] for too many headers
    /// or bytes.
    pub fn check_headers(&self, allowed: &Allowed, headers: &[(&str, &str)]) -> Result<()> {
        let bytes: usize = headers.iter().map(|(n, v)| n.len() + v.len()).sum();
        if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            return Err(Error::new(
                Code::LimitExceeded,
                msg!("the request has more than 100 headers, or more than 32768 bytes of them"),
            ));
        }
        let is_searched = allowed.reflection == Scope::All;
        let exceptions = &self.rules[allowed.rule].headers;
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let refuse = |message: &[&str]| Err(Error::of(Code::HeaderNotAllowed, message));
            if !is_token(&name) {
                return refuse(&[msg!("a header's name is not a token (RFC 9110 5.6.2)")]);
            }
            if value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
                return refuse(&[
                    msg!("the value of "),
                    &name,
                    msg!(" has a line break or NUL"),
                ]);
            }
            let is_range = is_searched && exceptions.refuse_range(&name);
            if is_range || exceptions.refuse(&name) {
                let why = if is_range {
                    msg!(
                        ": the API could return the token in parts, which are not recognized; write reflection: 'headers' in the rule"
                    )
                } else {
                    ""
                };
                return refuse(&[msg!("a page may not set "), &name, why]);
            }
        }
        Ok(())
    }

    fn check_method(&self, url: &Url, method: &str) -> core::result::Result<Allowed, Refusal> {
        let method = normalized_method(method);
        let (mut is_covered, mut allowing) = (false, None);
        self.refuse_other_spelling(url)?;
        let only_exact = self.has_exact_rule_for(url);
        for (i, rule) in self.rules.iter().enumerate() {
            if rule.covers(url) && rule.is_exact == only_exact {
                is_covered = true;
                let is_allowed = rule.methods.iter().any(|allowed| allowed == method);
                allowing = allowing.or(is_allowed.then_some((i, rule)));
            }
        }
        if !is_covered {
            return Err((Code::UrlNotAllowed, msg!("no rule in apis covers this URL")));
        }
        let Some((i, rule)) = allowing else {
            return Err((
                Code::MethodNotAllowed,
                msg!("no rule for this URL allows this method"),
            ));
        };
        Ok(Allowed {
            url: url.without_fragment().to_owned(),
            method: method.to_owned(),
            reflection: rule.reflection,
            credentials: rule.credentials,
            rule: i,
            steps_up: self.steps_up(url, only_exact),
            caches: rule.caches,
            token_selector: rule.token_selector,
        })
    }

    /// Returns true if the page learns about step-up challenges: if any rule of the deciding kind that covers the URL
    /// asks for them.
    fn steps_up(&self, url: &Url, only_exact: bool) -> bool {
        let asks = |rule: &Rule| rule.steps_up && rule.is_exact == only_exact && rule.covers(url);
        self.rules.iter().any(asks)
    }

    /// Returns true if exact rules decide about `url`.
    pub(super) fn has_exact_rule_for(&self, url: &Url) -> bool {
        let is_it = |rule: &Rule| rule.is_exact && rule.covers(url);
        self.rules.iter().any(is_it)
    }

    /// Refuses a URL that no exact rule covers, but that a server may read as the URL of an exact rule. Otherwise the
    /// rule of a folder would decide about it.
    pub(super) fn refuse_other_spelling(&self, url: &Url) -> core::result::Result<(), Refusal> {
        if self.has_exact_rule_for(url) {
            return Ok(());
        }
        let is_it = |rule: &Rule| match (spelling::read(url), spelling::read(&rule.url)) {
            (Some(read), Some(known)) => spelling::is_read_as(&read, &known),
            _ => false,
        };
        if self.rules.iter().any(|rule| rule.is_exact && is_it(rule)) {
            let why = msg!(
                "the URL is another spelling of the URL of an exact rule; if it is a resource of its own, it needs an exact rule of its own"
            );
            return Err((Code::UrlNotAllowed, why));
        }
        Ok(())
    }

    /// Returns true if a server may read `url` as a forbidden URL.
    fn is_forbidden(&self, url: &Url) -> bool {
        if self.forbidden.is_empty() {
            return false;
        }
        let read = spelling::read(url);
        let is_it = |known: &String| {
            read.as_ref()
                .is_none_or(|read| spelling::may_reach(read, known))
        };
        self.forbidden.iter().any(is_it)
    }

    /// Parses a URL. Refuses a URL that no rule may allow, and passes any other URL to `authorize`.
    fn check<T>(
        &self,
        text: &str,
        authorize: impl FnOnce(&Url) -> core::result::Result<T, Refusal>,
    ) -> core::result::Result<T, Refusal> {
        let refused = |why| Err((Code::UrlNotAllowed, why));
        if !is_plainly_written(text) {
            return refused(msg!(
                "the URL is not an absolute http(s) URL, or has a user name, a backslash, a space or a control character"
            ));
        }
        let Some(url) = Url::parse(text) else {
            return refused(msg!("the URL cannot be parsed"));
        };
        // The limit applies to the URL as sent: escaping turns a quotation mark into three bytes, and other characters
        // into more.
        if url.href().len() > MAX_URL {
            return Err((
                Code::LimitExceeded,
                msg!("the URL is longer than 8192 bytes"),
            ));
        }
        if url.has_userinfo() {
            return refused(msg!("the URL has a user name or password"));
        }
        if let Some(why) = spelling::fault(url.path()) {
            return refused(why);
        }
        if self.is_forbidden(&url) {
            return refused(msg!(
                "the URL is an endpoint of the authorization server, or another spelling of one"
            ));
        }
        authorize(&url)
    }
}

/// The code of a refusal, and its reason.
pub type Refusal = (Code, &'static str);

fn refusal_error((code, why): Refusal, text: &str, method: &str) -> Error {
    let shown = Url::parse(text).map(|url| quote(&url.without_query()));
    let method = match code {
        Code::MethodNotAllowed => quote(method) + " ",
        _ => String::new(),
    };
    Error::of(code, &[why, ": ", &method, &shown.unwrap_or_default()])
}

/// Converts the six methods that `fetch` normalizes to upper case, and leaves other methods unchanged (Fetch 4.6).
fn normalized_method(method: &str) -> &str {
    for known in strings::split("DELETE GET HEAD OPTIONS POST PUT", b' ') {
        if method.eq_ignore_ascii_case(known) {
            return known;
        }
    }
    method
}

/// Returns true if all parsers read the URL in the same way: it has `http(s)://`, an ASCII authority without `@` and
/// `%`, and no character that parsers remove or replace.
fn is_plainly_written(text: &str) -> bool {
    if text.bytes().any(|b| b <= b' ' || b == b'\\' || b == 0x7f) {
        return false;
    }
    let begins_with =
        |scheme: &&str| strings::part(text, 0, scheme.len()).eq_ignore_ascii_case(scheme);
    let Some(scheme) = ["https://", "http://"].into_iter().find(begins_with) else {
        return false;
    };
    let mut authority_len = 0;
    for byte in text.bytes().skip(scheme.len()) {
        match byte {
            b'/' | b'?' | b'#' => break,
            b'@' | b'%' | 0x80.. => return false,
            _ => authority_len += 1,
        }
    }
    authority_len > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::websocket::Place;

    fn rules(urls: &[&str], methods: &[&str]) -> EgressPolicy {
        let methods: Vec<String> = methods.iter().map(|&m| m.to_owned()).collect();
        EgressPolicy::new(
            urls.iter()
                .map(|url| Rule::new(Url::parse(url).unwrap(), methods.clone()).unwrap())
                .collect(),
        )
    }

    fn authorize(url: &str) -> Result<Allowed> {
        rules(&["https://api.example.com/v1/"], &["GET", "POST"]).authorize(url, "GET")
    }

    #[test]
    fn sent_url_is_serialized_without_fragment() {
        let sent = |url| authorize(url).unwrap().url().to_owned();
        assert_eq!(
            sent("HTTPS://API.EXAMPLE.COM:443/v1/a?b#c"),
            "https://api.example.com/v1/a?b"
        );
        assert_eq!(
            sent("https://api.example.com/x/../v1/a"),
            "https://api.example.com/v1/a"
        );
    }

    #[test]
    fn length_limit_applies_to_serialized_url() {
        let quoted = |marks: usize| ["https://api.example.com/v1/", &"\"".repeat(marks)].concat();
        let longest = (MAX_URL - quoted(0).len()) / "%22".len();
        assert_eq!(authorize(&quoted(longest)).map(|_| ()), Ok(()));
        let error = authorize(&quoted(longest + 1)).unwrap_err();
        assert_eq!(error.code(), Code::LimitExceeded);
    }

    #[test]
    fn ambiguous_paths_are_refused_with_their_reason() {
        for (path, reason) in [
            ("..;/admin", "may read as `.`"),
            ("a%252fb", "an escaped slash"),
            ("a%zz", "begins no escape"),
        ] {
            let error = authorize(&["https://api.example.com/v1/", path].concat()).unwrap_err();
            assert_eq!(error.code(), Code::UrlNotAllowed, "{path}");
            assert!(error.message().contains(reason), "{path}: {error}");
        }
    }

    #[test]
    fn names_with_a_percent_sign_are_sent_unchanged() {
        // `encodeURIComponent` of `100%` and of `100%25`.
        for path in ["100%25", "100%2525", "a%2520b"] {
            let url = ["https://api.example.com/v1/", path].concat();
            assert_eq!(authorize(&url).unwrap().url(), url);
        }
    }

    #[test]
    fn provider_endpoints_are_refused_despite_rules() {
        let mut rules = rules(&["https://example.com/"], &["POST"]);
        let token = "https://example.com/oauth/token";
        assert!(rules.authorize(token, "POST").is_ok());
        rules.forbid(&[token]);
        for url in [
            token,
            "https://example.com/oauth/token?x=1",
            "https://example.com/oauth/%74oken",
            "https://EXAMPLE.com:443/oauth/./%74%6Fken#x",
            "https://example.com/oauth/Token/",
            "https://example.com//oauth//token",
            "https://example.com/oauth;a/token;b=c",
            "https://example.com/oauth/token%20",
            "https://example.com/oauth/.;/token",
            "https://example.com/.;a=b/oauth/token",
            "https://example.com/oauth/%2574oken",
            "https://example.com/oauth/token.",
            "https://example.com/oauth./token",
            "https://example.com/oauth/token::$DATA",
            "https://example.com/oauth/token.json",
            "https://example.com/oauth/token%3Fx",
            "https://example.com/oauth/token/x",
            "https://example.com/oauth/Token.php/x/../y?z",
            "https://example.com/oauth%EF%BC%8Ftoken",
            "https://example.com/oauth\u{2215}token",
            "https://example.com/oauth/to%E2%84%AAen",
        ] {
            let error = rules.authorize(url, "POST").unwrap_err();
            assert_eq!(error.code(), Code::UrlNotAllowed, "{url}");
        }
    }

    #[test]
    fn apis_below_the_root_and_a_front_controller_are_not_forbidden() {
        let mut rules = rules(&["https://example.com/"], &["POST"]);
        rules.forbid(&[
            "https://example.com/",
            "https://example.com/index.php?route=token",
        ]);
        // Another vault reads the stored endpoints.
        let stored = rules.forbidden().to_vec();
        rules.extend_forbidden(stored.clone());
        assert_eq!(rules.forbidden(), stored);
        for (path, is_allowed) in [
            ("", false),
            ("?x", false),
            ("index.php", false),
            ("index.php?route=api", false),
            ("index.php/api", true),
            ("api", true),
        ] {
            let url = ["https://example.com/", path].concat();
            assert_eq!(rules.authorize(&url, "POST").is_ok(), is_allowed, "{path}");
        }
    }

    #[test]
    fn stored_endpoints_of_other_versions_are_forbidden() {
        let mut rules = rules(&["https://example.com/"], &["POST"]);
        let stored = ["https:/example.com/oauth/token", "https:/example.com/a./b"];
        rules.extend_forbidden(stored.map(str::to_owned).to_vec());
        for url in [
            "https://example.com/oauth/Token.",
            "https://example.com/a/b",
        ] {
            assert!(rules.authorize(url, "POST").is_err(), "{url}");
        }
        let before = rules.forbidden().to_vec();
        rules.extend_forbidden(before.clone());
        assert_eq!(rules.forbidden(), before);
    }

    #[test]
    fn refusal_names_url_without_secrets() {
        let rules = rules(&["https://api.example.com/v1/"], &["GET"]);
        for (url, shown) in [
            (
                "https://api.example.com/v2/a?key=1#x",
                "'https://api.example.com/v2/a'",
            ),
            (
                "https://api.example.com/v2/a#key=1",
                "'https://api.example.com/v2/a'",
            ),
            (
                "https://api.example.com/v2/@alice/bob@example.com",
                "'https://api.example.com/v2/@alice/bob@example.com'",
            ),
            (
                "https://user:p@ss@api.example.com/v1/",
                "'https://api.example.com/v1/'",
            ),
            ("https://user:pa#ss@api.example.com/v1/", ""),
        ] {
            let error = rules.authorize(url, "GET").unwrap_err();
            let (_, named) = error.message().rsplit_once(": ").unwrap();
            assert_eq!(named, shown);
        }
    }

    #[test]
    fn disallowed_method_has_its_own_code() {
        let rules = rules(&["https://api.example.com/v1/"], &["GET"]);
        let error = rules
            .authorize("https://api.example.com/v1/a", "DELETE")
            .unwrap_err();
        assert_eq!(error.code(), Code::MethodNotAllowed);
        assert!(
            error
                .message()
                .ends_with("'DELETE' 'https://api.example.com/v1/a'")
        );
    }

    #[test]
    fn second_rule_may_allow_another_method() {
        let get = Rule::new(
            Url::parse("https://a.test/").unwrap(),
            vec!["GET".to_owned()],
        )
        .unwrap();
        let put = Rule::new(
            Url::parse("https://a.test/files/").unwrap(),
            vec!["PUT".to_owned()],
        )
        .unwrap();
        let rules = EgressPolicy::new(vec![get, put]);
        assert!(rules.authorize("https://a.test/files/1", "PUT").is_ok());
        assert!(rules.authorize("https://a.test/other", "PUT").is_err());
    }

    /// Returns a policy with a rule for one URL between two rules for folders.
    fn with_exact(url: &str, methods: &[&str]) -> EgressPolicy {
        let parsed = |url: &str| Url::parse(url).unwrap();
        let methods = methods.iter().map(|&m| m.to_owned()).collect();
        let folder = |url: &str| Rule::new(parsed(url), vec!["PUT".to_owned()]).unwrap();
        EgressPolicy::new(vec![
            folder("https://a.test/"),
            Rule::exact(parsed(url), methods).unwrap(),
            folder("https://a.test/me/"),
        ])
    }

    #[test]
    fn exact_rule_allows_one_path_with_any_query() {
        let rules = with_exact("https://a.test/me", &["GET"]);
        for url in [
            "https://a.test/me",
            "https://a.test/me?fields=all",
            "https://a.test/x/../me",
        ] {
            assert!(rules.authorize(url, "GET").is_ok(), "{url}");
        }
        for url in [
            "https://a.test/me/",
            "https://a.test/me/x",
            "https://a.test/men",
            "https://a.test/m",
            "https://a.test/Me",
            "https://a.test/%6De",
            "https://a.test//me",
            "https://a.test:8443/me",
            "https://b.test/me",
        ] {
            assert!(rules.authorize(url, "GET").is_err(), "{url}");
        }
    }

    // claim: script-9
    #[test]
    fn exact_rule_decides_before_folders() {
        let rules = with_exact("https://a.test/me", &["GET"]);
        let error = rules.authorize("https://a.test/me", "PUT").unwrap_err();
        assert_eq!(error.code(), Code::MethodNotAllowed);
        assert!(rules.authorize("https://a.test/me/x", "PUT").is_ok());
        // A server may read these as the same path, so the rules of folders do not decide about them.
        for other in [
            "%6De",
            "%6de",
            "%256de",
            "me;x",
            "me.",
            "me.;x",
            "me%20",
            "me::$DATA",
            "me.json",
            "Me",
            "me/",
            "/me",
            ";x/me",
        ] {
            let url = ["https://a.test/", other].concat();
            let error = rules.authorize(&url, "PUT").unwrap_err();
            assert_eq!(error.code(), Code::UrlNotAllowed, "{url}");
        }
    }

    #[test]
    fn other_spelling_may_have_an_exact_rule_of_its_own() {
        let exact = |url: &str, method: &str| {
            Rule::exact(Url::parse(url).unwrap(), vec![method.to_owned()]).unwrap()
        };
        let rules = EgressPolicy::new(vec![
            exact("https://a.test/report", "GET"),
            exact("https://a.test/report.pdf", "POST"),
        ]);
        assert!(rules.authorize("https://a.test/report", "GET").is_ok());
        let other = "https://a.test/report.pdf";
        assert!(rules.authorize(other, "POST").is_ok());
        let error = rules.authorize(other, "GET").unwrap_err();
        assert_eq!(error.code(), Code::MethodNotAllowed);
    }

    #[test]
    fn exact_rule_does_not_allow_forbidden_endpoints() {
        let mut rules = with_exact("https://a.test/token", &["GET"]);
        assert!(rules.authorize("https://a.test/token", "GET").is_ok());
        rules.forbid(&["https://a.test/token"]);
        let error = rules.authorize("https://a.test/token", "GET").unwrap_err();
        assert_eq!(error.code(), Code::UrlNotAllowed);
    }

    #[test]
    fn exact_rule_decides_about_sockets_and_step_up() {
        let mut rules = with_exact("https://a.test/me", &["GET"]);
        let place = Place::Protocol {
            prefix: String::new(),
            is_encoded: true,
        };
        rules.rules[0] = rules.rules[0]
            .clone()
            .with_socket(Some(place))
            .with_step_up(true);
        assert!(rules.authorize_socket("wss://a.test/other").is_ok());
        assert!(rules.authorize_socket("wss://a.test/me").is_err());
        let allowed = rules.authorize("https://a.test/me", "GET").unwrap();
        assert!(!allowed.steps_up());
    }

    #[test]
    fn socket_has_the_number_of_its_rule() {
        let place = Place::Protocol {
            prefix: String::new(),
            is_encoded: true,
        };
        let mut rules = rules(&["https://a.test/", "https://b.test/"], &["GET"]);
        rules.rules[1] = rules.rules[1].clone().with_socket(Some(place));
        let (allowed, _) = rules.authorize_socket("wss://b.test/live").unwrap();
        assert_eq!(allowed.rule(), 1);
    }

    #[test]
    fn invalid_rules_have_distinct_errors() {
        let fault = |url: &str, methods: &[&str]| {
            let methods: Vec<String> = methods.iter().map(|&m| m.to_owned()).collect();
            Rule::new(Url::parse(url).unwrap(), methods).unwrap_err()
        };
        assert_eq!(fault("http://api.test/", &["GET"]), RuleFault::NotHttps);
        assert_eq!(fault("https://u@api.test/", &["GET"]), RuleFault::NotPlain);
        assert_eq!(fault("https://api.test/?a", &["GET"]), RuleFault::NotPlain);
        assert_eq!(
            fault("https://api.test/v1", &["GET"]),
            RuleFault::NoTrailingSlash
        );
        assert_eq!(
            fault("https://api.test/a%2fb/", &["GET"]),
            RuleFault::UnusablePath
        );
        for method in ["get", "", "TRACE", "CONNECT", "GET "] {
            assert_eq!(fault("https://api.test/", &[method]), RuleFault::Method);
        }
        assert_eq!(fault("https://api.test/", &[]), RuleFault::Method);
    }

    #[test]
    fn rejects_line_breaks_and_nul_in_header_values() {
        let rules = rules(&["https://api.example.com/v1/"], &["GET"]);
        let allowed = rules
            .authorize("https://api.example.com/v1/", "GET")
            .unwrap();
        let check = |value: &str| {
            let checked = rules.check_headers(&allowed, &[("x-a", value)]);
            checked.map_err(|error| error.code())
        };
        for value in ["a\rb", "a\nb", "a\0b", "\r", "\n", "\0", "1\r\nx-b: 2"] {
            assert_eq!(check(value), Err(Code::HeaderNotAllowed), "{value:?}");
        }
        assert_eq!(check("a\tb"), Ok(()));
    }

    #[test]
    fn headers_are_limited_in_number_and_bytes() {
        let rules = rules(&["https://api.example.com/v1/"], &["GET"]);
        let allowed = rules
            .authorize("https://api.example.com/v1/", "GET")
            .unwrap();
        let check = |headers: &[(&str, &str)]| {
            let checked = rules.check_headers(&allowed, headers);
            checked.map_err(|error| error.code())
        };
        let too_many = Err(Code::LimitExceeded);
        assert_eq!(check(&[("x-a", "b"); MAX_HEADERS]), Ok(()));
        assert_eq!(check(&[("x-a", "b"); MAX_HEADERS + 1]), too_many);
        let long = "b".repeat(MAX_HEADER_BYTES - "x-a".len());
        assert_eq!(check(&[("x-a", &long)]), Ok(()));
        assert_eq!(check(&[("x-aa", &long)]), too_many);
    }

    #[test]
    fn accepts_only_plainly_written_urls() {
        for text in ["https://a.test", "HTTP://a.test/@%", "https://a?\u{e9}"] {
            assert!(is_plainly_written(text), "{text}");
        }
        for text in [
            "https://",
            "https:///a",
            "ftp://a.test/",
            "https://b@a.test/",
            "https://a%2etest/",
            "https://\u{e9}.test/",
            "https://a.test/ b",
            "https://a.test/\\b",
            "https://a.test/\u{7f}",
            "https://a.test/\n",
        ] {
            assert!(!is_plainly_written(text), "{text:?}");
        }
    }

    #[test]
    fn credential_and_override_headers_are_refused() {
        let rules = rules(&["https://api.example.com/v1/"], &["GET"]);
        let allowed = rules
            .authorize("https://api.example.com/v1/", "GET")
            .unwrap();
        let check = |name: &str, value: &str| {
            let checked = rules.check_headers(&allowed, &[(name, value)]);
            checked.map_err(|error| error.code())
        };
        for name in [
            "Authorization",
            "dpop",
            "COOKIE",
            "Host",
            "Proxy-Authorization",
            "X-HTTP-Method-Override",
            "Sec-Fetch-Site",
            "X-Forwarded-For",
            "",
            "a b",
            "a:b",
        ] {
            assert_eq!(check(name, "x"), Err(Code::HeaderNotAllowed), "{name}");
        }
        assert_eq!(check("accept", "application/json"), Ok(()));
        assert_eq!(check("x-a", &"x".repeat(40_000)), Err(Code::LimitExceeded));
    }
}
