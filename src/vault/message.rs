//! The vault's side of the messages between page and vault. `pkg/src/protocol/messages.ts` is the page's side, and
//! describes each message. The build reads kinds and members of all messages from the sources of the vault, and checks
//! that this description has the same ones (`xtask/src/facts/members.rs`).
//!
//! A message of a page may be hostile. The size of a message is limited, and each member must have the expected type.
//! Any other message is refused with `message_invalid`.

use crate::io::RequestId;
use rules::base::clock::UnixMillis;
use rules::base::error::{Code, Error, quote};
use rules::codec::json::{Object, Value, Writer};
use rules::egress::policy::Allowed;
use rules::login::authorization_request::LoginParams;
use rules::prelude::*;

/// The version of the protocol.
pub(super) const PROTOCOL: u64 = 1;

/// The longest message that is parsed, in bytes.
pub(super) const MAX_MESSAGE: usize = 128 * 1024;

/// A message of a page, with the page's own number for the message.
pub(super) struct PageMessage {
    /// The page's number for the message; 0 if the message has none.
    pub id: RequestId,
    /// The request.
    pub request: Request,
}

/// The request of a page.
pub(super) enum Request {
    /// `hello`
    Hello {
        /// The page's version of the protocol.
        version: u64,
        /// The time at which the page was loaded; 0 if the page does not say.
        loaded: UnixMillis,
    },
    /// `login`
    Login(Box<LoginParams>),
    /// `cancel`
    Cancel,
    /// `callback`
    Callback {
        /// The page's address.
        url: String,
        /// True if the page can go to the provider again.
        may_repeat: bool,
    },
    /// `fetch`
    Fetch(FetchRequest),
    /// `socket`
    Socket(SocketRequest),
    /// `abort`
    Abort,
    /// `logout`
    Logout {
        /// True if the user also wants to log out at the provider.
        provider: bool,
        /// The address to which the provider redirects after the logout.
        return_to: Option<String>,
    },
    /// `active`
    Active,
    /// `visible`
    Visible,
    /// `hidden`
    Hidden,
    /// `online`
    Online,
    /// `offline`
    Offline,
    /// `inspect`
    Inspect,
    /// `bye`
    Bye,
}

impl Request {
    /// Returns true if the request uses the body that came with its message.
    pub(super) const fn has_payload(&self) -> bool {
        matches!(self, Self::Fetch(_) | Self::Socket(_))
    }
}

/// A request to an API, which has not been authorized yet.
pub(super) struct FetchRequest {
    /// The URL as the page wrote it.
    pub url: String,
    /// The method as the page wrote it.
    pub method: String,
    /// True if the request is not an activity of the user, so it does not extend the idle timeout.
    pub background: bool,
    /// True if the request continues when its page has gone.
    pub keepalive: bool,
    /// True if the app has marked the request as one that no user waits for.
    pub is_poll: bool,
    /// True if an element of the page causes the request. `url` is then an address on the app's origin, and `method` is
    /// `GET`.
    pub is_media: bool,
    /// All members of the message.
    members: Object,
}

/// A request for a socket, which has not been authorized yet.
pub(super) struct SocketRequest {
    /// The URL as the page wrote it.
    pub url: String,
    /// The sub-protocols that the page names.
    pub protocols: Vec<String>,
}

/// The members of Fetch's `RequestInit` that the message `fetch` may have: see `RequestHead` in
/// `pkg/src/protocol/messages.ts`. All except `headers` and `keepalive` are strings.
const INIT: &[&str] = &["headers", KEEPALIVE, "integrity", "priority"];
const KEEPALIVE: &str = "keepalive";

/// The members of `RequestInit` whose values the vault may change.
const CACHE: &str = "cache";
const CREDENTIALS: &str = "credentials";

const NO_SUCH_LOGIN_OPTION: &str = msg!("login() has no option ");

impl FetchRequest {
    /// Serializes the `RequestInit` for the host: the members that the page chose, and the cache mode and `credentials`
    /// that the vault chooses for the request that is sent, which is not always the one that the page wrote.
    ///
    /// The HTTP cache would also keep a response that the vault rejects because it contains the token. A page could
    /// then read that response in parts by range requests (RFC 9111 3.3, RFC 9110 14.2), and the cache could return it
    /// to the next user. By default, the vault therefore lets the browser store no response. No browser stores a
    /// response to `PUT` or `DELETE` in any case, and with `no-store` Chromium would send a preflight for each request.
    /// Firefox stores responses to `POST` and `PATCH`, although no page can get them from the cache. If the configuration
    /// allows caching for this API, the page's cache mode is used, except that `force-cache` becomes `default`.
    ///
    /// # Errors
    /// [`Code::Unsupported`] if the rule does not allow the `credentials` that the page asks for.
    pub(super) fn init(&self, allowed: &Allowed) -> Result<String, Error> {
        let mut init = Writer::object();
        let mode = if allowed.caches() {
            match self.members.str(CACHE) {
                None | Some("force-cache") => "default",
                Some(asked) => asked,
            }
        } else if matches!(allowed.method(), "PUT" | "DELETE") {
            "default"
        } else {
            "no-store"
        };
        init.text(CACHE, mode);
        let credentials = allowed.credentials(self.members.str(CREDENTIALS))?;
        init.text(CREDENTIALS, credentials);
        for name in INIT {
            if let Some(value) = self.members.get(name)
                && (*name != KEEPALIVE || self.keepalive)
            {
                init.value(name, value);
            }
        }
        Ok(init.finish())
    }

    /// Returns the page's headers.
    pub(super) fn headers(&self) -> Vec<(&str, &str)> {
        let list = self.members.get("headers").and_then(Value::as_array);
        let mut pairs = Vec::new();
        for item in list.unwrap_or_default() {
            if let Some(pair) = pair(item) {
                pairs.push(pair);
            }
        }
        pairs
    }
}

/// Returns true for the name of a member that the message `login` may have.
fn is_login_member(name: &str) -> bool {
    matches!(
        name,
        "acrValues"
            | "id"
            | "loginHint"
            | "maxAge"
            | "mode"
            | "params"
            | "port"
            | "prompt"
            | "returnTo"
            | "scope"
            | "t"
            | "uiLocales"
    )
}

/// Returns the end of the error message if the value of a login option has a wrong type.
fn type_fault(name: &str, value: &Value) -> Option<&'static str> {
    let has_strings = |object: &Object| object.iter().all(|(_, value)| value.as_str().is_some());
    let (is_sound, fault) = match name {
        // The number of the message is read elsewhere, and the mode has an error message of its own.
        "id" | "mode" => return None,
        "maxAge" | "port" => (value.as_u64().is_some(), msg!(" must be a whole number")),
        "params" => (
            value.as_object().is_some_and(has_strings),
            msg!(" must be an object of strings"),
        ),
        _ => (value.as_str().is_some(), msg!(" must be a string")),
    };
    (!is_sound).then_some(fault)
}

/// Returns the name and value of a header, which is an array of two strings.
fn pair(value: &Value) -> Option<(&str, &str)> {
    match value.as_array()? {
        [name, value] => Some((name.as_str()?, value.as_str()?)),
        _ => None,
    }
}

/// The error for a message that cannot be parsed.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// The page's number for the message; 0 if the number could not be parsed.
    pub id: RequestId,
    /// The error.
    pub error: Error,
}

impl PageMessage {
    /// Parses a message.
    ///
    /// # Errors
    /// The reason why the message cannot be parsed.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut value = if text.len() > MAX_MESSAGE {
            Err(msg!("the message is longer than 131072 bytes"))
        } else {
            Value::parse(text).map_err(|error| error.reason)
        };
        let object = match &mut value {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(msg!("the message is not an object")),
            Err(why) => Err(*why),
        };
        let object = object.map_err(|why| Unreadable {
            id: RequestId(0),
            error: Error::new(Code::MessageInvalid, why),
        })?;
        let id = object.get("id").and_then(Value::as_u64);
        let id = RequestId(id.unwrap_or(0));
        let mut members = Members {
            object,
            are_sound: true,
            why: msg!(
                "the message has an unknown type, or a member is missing or has a wrong type"
            ),
            which: String::new(),
            fault: "",
        };
        let request = members.request();
        if members.are_sound {
            return Ok(Self { id, request });
        }
        let error = Error::of(
            Code::MessageInvalid,
            &[members.why, &members.which, members.fault],
        );
        Err(Unreadable { id, error })
    }
}

/// The members of a message. For a member of a wrong type, a getter returns a default and sets `are_sound` to false,
/// which is checked at the end.
struct Members<'a> {
    object: &'a mut Object,
    are_sound: bool,
    /// The error message for the case that `are_sound` is false.
    why: &'static str,
    /// The name of the invalid member, if the error message does not contain it.
    which: String,
    /// The end of the error message.
    fault: &'static str,
}

impl Members<'_> {
    fn request(&mut self) -> Request {
        match self.object.str("t").unwrap_or_default() {
            "hello" => Request::Hello {
                version: self.number("version").unwrap_or_default(),
                loaded: self.number("loaded").unwrap_or_default(),
            },
            "login" => Request::Login(self.login()),
            "callback" => Request::Callback {
                url: self.required("url"),
                may_repeat: self.flag("mayRepeat"),
            },
            "fetch" => Request::Fetch(self.fetch()),
            "socket" => Request::Socket(self.socket()),
            "logout" => Request::Logout {
                provider: self.flag("provider"),
                return_to: self.text("returnTo"),
            },
            "abort" => Request::Abort,
            "cancel" => Request::Cancel,
            "inspect" => Request::Inspect,
            "active" => Request::Active,
            "visible" => Request::Visible,
            "hidden" => Request::Hidden,
            "online" => Request::Online,
            "offline" => Request::Offline,
            "bye" => Request::Bye,
            _ => {
                self.are_sound = false;
                Request::Bye
            }
        }
    }

    fn login(&mut self) -> Box<LoginParams> {
        self.why = msg!(
            "login option mode must be 'redirect' or 'popup' (or 'device' or 'custom', with deviceFlow or customLogin: true in the worker's file)"
        );
        let mode = self.object.str("mode");
        let (is_device, is_custom) = (mode == Some("device"), mode == Some("custom"));
        let popup = match mode {
            // In a custom login, the page waits for the response, as the opener of a popup does.
            Some("popup" | "custom") => true,
            Some("redirect" | "device") => false,
            _ => {
                self.are_sound = false;
                false
            }
        };
        // Unknown options are refused, because a misspelled option would otherwise be ignored silently.
        for (name, value) in self.object.iter() {
            if !is_login_member(name) {
                self.are_sound = false;
                self.why = NO_SUCH_LOGIN_OPTION;
                self.which = quote(name);
                self.fault = "";
                break;
            }
            if let Some(fault) = type_fault(name, value) {
                self.are_sound = false;
                self.why = msg!("login option ");
                self.which = name.to_owned();
                self.fault = fault;
            }
        }
        Box::new(LoginParams {
            popup,
            return_to: self.text("returnTo"),
            prompt: self.text("prompt"),
            login_hint: self.text("loginHint"),
            ui_locales: self.text("uiLocales"),
            acr_values: self.text("acrValues"),
            max_age: self.number("maxAge"),
            more: self.more(),
            scope: self.text("scope"),
            earlier_scope: None,
            is_device,
            is_custom,
            port: self.number("port"),
            is_repetition: false,
            is_final: false,
        })
    }

    /// Reads `params`, an object of strings: see `type_fault`.
    fn more(&self) -> Vec<(String, String)> {
        let mut more = Vec::new();
        let Some(value) = self.object.get("params") else {
            return more;
        };
        for (name, value) in value.as_object().into_iter().flat_map(Object::iter) {
            more.push((
                name.to_owned(),
                value.as_str().unwrap_or_default().to_owned(),
            ));
        }
        more
    }

    fn fetch(&mut self) -> FetchRequest {
        let [headers, keepalive, texts @ ..] = INIT else {
            unreachable!()
        };
        let headers = self.object.get(headers).and_then(Value::as_array);
        let is_pair = |item: &Value| pair(item).is_some();
        self.are_sound &= headers.is_some_and(|list| list.iter().all(is_pair));
        let keepalive = self.flag(keepalive);
        for name in texts {
            self.text(name);
        }
        self.text(CACHE);
        let is_media = self.flag("media");
        let background = self.flag("background");
        let method = self.required("method");
        self.are_sound &= !is_media || method == "GET";
        FetchRequest {
            url: self.required("url"),
            method,
            // Content that a user did not ask for can contain an image.
            background: background || is_media,
            is_poll: background && !is_media && !self.flag("awaited"),
            keepalive: keepalive && !is_media,
            is_media,
            members: core::mem::take(self.object),
        }
    }

    fn socket(&mut self) -> SocketRequest {
        let names = self.object.get("protocols").and_then(Value::as_array);
        self.are_sound &= names.is_some();
        let mut protocols = Vec::new();
        for name in names.unwrap_or_default() {
            self.are_sound &= name.as_str().is_some();
            protocols.extend(name.as_str().map(ToOwned::to_owned));
        }
        SocketRequest {
            url: self.required("url"),
            protocols,
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.object.get(name)?;
        let text = value.as_str().map(ToOwned::to_owned);
        self.are_sound &= text.is_some();
        text
    }

    fn required(&mut self, name: &str) -> String {
        let text = self.text(name);
        self.are_sound &= text.is_some();
        text.unwrap_or_default()
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.object.get(name)?;
        let number = value.as_u64();
        self.are_sound &= number.is_some();
        number
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some(value) = self.object.get(name) else {
            return false;
        };
        let flag = value.as_bool();
        self.are_sound &= flag.is_some();
        flag.unwrap_or_default()
    }
}

/// Returns the beginning of a message of type `t` to a page.
pub(super) fn message(t: &str) -> Writer {
    let mut message = Writer::object();
    message.text("t", t);
    message
}

fn with_fault(message: &mut Writer, error: &Error) -> String {
    message
        .text("code", error.code().as_str())
        .text("message", error.message())
        .finish()
}

/// Returns the `error` message for the page's request `id`.
pub(super) fn error(id: RequestId, error: &Error) -> String {
    with_fault(message("error").number("id", id.0), error)
}

/// Returns the `error` message for the page's callback `id`. `return_to` is the address to return to, if it is known.
pub(super) fn callback_error(id: RequestId, error: &Error, return_to: Option<&str>) -> String {
    let mut message = message("error");
    message.number("id", id.0);
    if let Some(return_to) = return_to {
        message.text("returnTo", return_to);
    }
    with_fault(&mut message, error)
}

/// Returns the `failed` message, which says that the vault cannot serve the page.
#[must_use]
pub fn failed(error: &Error) -> String {
    with_fault(&mut message("failed"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::codec::url::Url;
    use rules::egress::policy::{Credentials, EgressPolicy, Rule};

    /// Returns the `RequestInit` of a request under a rule that allows its method, and keeps responses if `caches` is true.
    fn init(fetch: &FetchRequest, caches: bool) -> String {
        let methods = vec![fetch.method.to_ascii_uppercase()];
        let url = Url::parse("https://a.test/").unwrap();
        let rule = Rule::new(url, methods).unwrap();
        let rule = rule.with_credentials(Credentials::Omit);
        let rule = if caches { rule.with_cache() } else { rule };
        let policy = EgressPolicy::new(vec![rule]);
        let allowed = policy.authorize(&fetch.url, &fetch.method).unwrap();
        fetch.init(&allowed).unwrap()
    }

    #[test]
    fn a_fetch_is_read_whole() {
        let text = r#"{"t":"fetch","id":7,"url":"https://a.test/","method":"PUT",
            "headers":[["accept","*/*"]],"background":true,"keepalive":true}"#;
        let message = PageMessage::parse(text).ok().unwrap();
        assert_eq!(message.id, RequestId(7));
        let Request::Fetch(fetch) = message.request else {
            panic!("not a fetch");
        };
        assert_eq!(fetch.headers(), [("accept", "*/*")]);
        assert!(fetch.background);
        assert_eq!(
            init(&fetch, false),
            r#"{"cache":"default","credentials":"omit","headers":[["accept","*/*"]],"keepalive":true}"#
        );
    }

    // claim: script-11
    #[test]
    fn only_methods_that_browsers_cache_need_no_store() {
        for (method, mode) in [
            ("GET", "no-store"),
            ("HEAD", "no-store"),
            ("QUERY", "no-store"),
            ("post", "no-store"),
            ("POST", "no-store"),
            ("PATCH", "no-store"),
            ("PUT", "default"),
            ("DELETE", "default"),
            ("put", "default"),
        ] {
            let text = format!(
                r#"{{"t":"fetch","id":7,"url":"https://a.test/","method":"{method}","headers":[],"cache":"reload"}}"#
            );
            let message = PageMessage::parse(&text).ok().unwrap();
            let Request::Fetch(fetch) = message.request else {
                panic!("not a fetch");
            };
            let init = init(&fetch, false);
            assert!(
                init.starts_with(&format!(r#"{{"cache":"{mode}""#)),
                "{method}: {init}"
            );
        }
    }

    #[test]
    fn only_caching_rules_use_the_pages_cache_mode() {
        for (asked, with_cache) in [
            ("default", "default"),
            ("no-store", "no-store"),
            ("reload", "reload"),
            ("no-cache", "no-cache"),
            ("force-cache", "default"),
        ] {
            let text = format!(
                r#"{{"t":"fetch","id":7,"url":"https://a.test/","method":"GET","headers":[],"cache":"{asked}"}}"#
            );
            let message = PageMessage::parse(&text).ok().unwrap();
            let Request::Fetch(fetch) = message.request else {
                panic!("not a fetch");
            };
            let expected =
                |cache| format!(r#"{{"cache":"{cache}","credentials":"omit","headers":[]}}"#);
            assert_eq!(init(&fetch, false), expected("no-store"));
            assert_eq!(init(&fetch, true), expected(with_cache));
        }
    }

    #[test]
    fn unknown_login_mode_error_lists_known_modes() {
        let text = r#"{"t":"login","id":3,"mode":"pop"}"#;
        let Unreadable { error, .. } = PageMessage::parse(text).err().unwrap();
        let why = error.message();
        assert!(why.contains("mode must be 'redirect' or 'popup'"), "{why}");
    }

    #[test]
    fn unknown_login_option_is_named_without_its_value() {
        let long = "x".repeat(5000);
        for (name, shown) in [
            ("loginhint", "'loginhint'"),
            ("detectclose", "'detectclose'"),
            ("", "''"),
            ("a\\u0000b", "'a?b'"),
            (&long, &*["'", &long[..60], "...'"].concat()),
        ] {
            let text = [
                r#"{"t":"login","id":3,"mode":"redirect","prompt":"login",""#,
                name,
                r#"":"s3cret"}"#,
            ];
            let Unreadable { id, error } = PageMessage::parse(&text.concat()).err().unwrap();
            assert_eq!(id, RequestId(3));
            assert_eq!(error.code(), Code::MessageInvalid);
            let expected = [NO_SUCH_LOGIN_OPTION, shown].concat();
            assert_eq!(error.message(), expected);
            assert!(!error.message().contains("s3cret"));
        }
    }

    #[test]
    fn login_option_of_a_wrong_type_is_named() {
        for (option, why) in [
            (r#""prompt":1"#, "login option prompt must be a string"),
            (
                r#""maxAge":-1"#,
                "login option maxAge must be a whole number",
            ),
            (r#""port":"1""#, "login option port must be a whole number"),
            (
                r#""params":{"a":1}"#,
                "login option params must be an object of strings",
            ),
            (
                r#""params":["a"]"#,
                "login option params must be an object of strings",
            ),
        ] {
            let text = [r#"{"t":"login","id":3,"mode":"popup","#, option, "}"].concat();
            let Unreadable { error, .. } = PageMessage::parse(&text).err().unwrap();
            assert_eq!(error.message(), why);
        }
    }

    #[test]
    fn messages_are_limited_to_131072_bytes() {
        for (length, is_read) in [(MAX_MESSAGE, true), (MAX_MESSAGE + 1, false)] {
            let mut text = r#"{"t":"logout","id":3}"#.to_owned();
            text.push_str(&" ".repeat(length - text.len()));
            assert_eq!(PageMessage::parse(&text).is_ok(), is_read, "{length}");
        }
    }

    #[test]
    fn malformed_messages_are_refused_with_their_id() {
        for (text, id) in [
            ("", 0),
            ("[]", 0),
            ("{}", 0),
            (r#"{"t":"fetch","id":3}"#, 3),
            (r#"{"t":"nonsense","id":3}"#, 3),
            (r#"{"t":"login","id":3,"mode":"iframe"}"#, 3),
            (r#"{"t":"login","id":3,"mode":"popup","prompt":1}"#, 3),
            (r#"{"t":"login","id":3,"mode":"popup","maxAge":-1}"#, 3),
            (r#"{"t":"callback","id":3,"url":null}"#, 3),
            (
                r#"{"t":"fetch","id":3,"url":"u","method":"GET","headers":[["a"]]}"#,
                3,
            ),
            (
                r#"{"t":"fetch","id":3,"url":"u","method":"GET","headers":{}}"#,
                3,
            ),
            (r#"{"t":"logout","id":3,"provider":"yes"}"#, 3),
        ] {
            let unreadable = PageMessage::parse(text).err().unwrap();
            assert_eq!(unreadable.id, RequestId(id), "{text}");
        }
        let long = [
            r#"{"t":"callback","url":""#,
            &"x".repeat(MAX_MESSAGE),
            "\"}",
        ]
        .concat();
        assert!(PageMessage::parse(&long).is_err());
    }
}
