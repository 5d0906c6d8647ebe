//! Events for the operator and the host.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::io::FlightId;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error};
use rules::codec::json::Writer;
use rules::session::EndReason;

/// An event for the operator or the host. No event but [`Event::Ended`] contains personal data, and none contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line for the operator's log.
    Fault(Fault),
    /// Something that an operator may count. Only a handler that [is observed](crate::Handler::observe) emits this event.
    Observed(Observation),
    /// This isolate has ended a session.
    Ended {
        /// The reason.
        reason: EndReason,
        /// The `sub` of the session's user, for the operator's hook. The host must not log this value.
        subject: String,
        /// The session's public ID.
        session: String,
        /// The name of who ordered the end, or an empty string.
        by: String,
        /// The reason for the order in words, or an empty string.
        why: String,
    },
    /// A flight has finished, so tasks that wait for it continue.
    FlightFinished(FlightId),
}

/// A line of the log: a fault, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The severity.
    pub level: Level,
    /// The code and the message. The message ends with the cause, if the host knows a name for it.
    pub error: Error,
    /// The request and the session.
    pub about: About,
    /// The status with which the provider responded last to this request, if the line is about the provider.
    pub status: Option<u16>,
}

/// Defines an enum with a string for each variant.
macro_rules! named {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $string:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// Returns the value as a string.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $string,)+ }
            }
        }

        impl Member for $name {
            fn write(&self, name: &str, out: &mut Writer) {
                out.text(name, self.as_str());
            }
        }
    };
}

named! {
    /// The severity of a line.
    Level {
        /// The provider or the coordinator is down, the provider refuses the client, or the configuration is wrong.
        Error = "error",
        /// Everything else, such as a fault of one request, session or API.
        Warn = "warn",
        /// An outage is over, the provider accepts the client again, or an order has ended sessions.
        Info = "info",
    }
}

impl Level {
    /// Returns the usual level of a code.
    pub(super) const fn of(code: Code) -> Self {
        match code {
            Code::ConfigInvalid | Code::ClientRejected => Self::Error,
            _ => Self::Warn,
        }
    }
}

/// The request and the session that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The ID of the request: see [`Request::request_id`](crate::Request::request_id).
    pub request_id: Option<Rc<str>>,
    /// The public ID of the session: the beginning of the hash in its key in the coordinator. It gives no access.
    pub session: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The kind, with its own members.
    pub happened: Happened,
    /// The request and the session.
    pub about: About,
}

/// Defines the kinds of events. A row has the members that an observer gets, and its subject: a request or the isolate. The
/// build writes the package's TypeScript types from this table. There, durations are in seconds, and a member without a
/// value is absent. `as` gives the TypeScript type of a member if it is narrower than the Rust type.
macro_rules! events {
    ($(
        $(#[doc = $about:literal])+
        $variant:ident
        $(($(#[doc = $one_doc:literal])+ $one:ident: $one_type:ty $(as $one_typescript:literal)?))?
        $({$($(#[doc = $doc:literal])+ $member:ident: $typed:ty $(as $typescript:literal)?,)+})?
        = $name:literal of $subject:ident;
    )+) => {
        /// A kind of event, with its own members. Durations are by the handler's clock, and have its resolution.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Happened {
            $($(#[doc = $about])+ $variant $(($(#[doc = $one_doc])+ $one_type))? $({$($(#[doc = $doc])+ $member: $typed,)+})?,)+
        }

        impl Observation {
            /// Returns the flat object that an observer gets.
            #[must_use]
            pub fn to_json(&self) -> String {
                let out = &mut Writer::object();
                match &self.happened {
                    $(Happened::$variant $(($one))? $({$($member),+})? => {
                        out.text("type", $name);
                        $($one.write(stringify!($one), out);)?
                        $($($member.write(stringify!($member), out);)+)?
                        if matches!(Subject::$subject, Subject::Request) {
                            self.about.write(out);
                        }
                    })+
                }
                out.finish()
            }
        }
    };
}

/// The subject of an event.
enum Subject {
    Request,
    Isolate,
}

events! {
    /// A login was redirected to the provider, or failed before that.
    Login {
        /// The code of the failure. Absent: the browser was redirected.
        code: Option<Code>,
        /// The time until the response.
        duration: Millis,
    } = "login" of Request;
    /// A login has succeeded or failed, after the provider's response to it.
    Callback {
        /// The code of the failure. Absent: a session has begun.
        code: Option<Code>,
        /// The time until the response.
        duration: Millis,
    } = "callback" of Request;
    /// A refresh has ended.
    Refresh {
        /// The result.
        result: RefreshResult,
        /// The code of the failure, such as `provider_unavailable`, `coordinator_unavailable` or `client_rejected`.
        code: Option<Code>,
        /// The status of the provider's last response. Absent: there was none.
        status: Option<u16>,
        /// The platform's name of a failure, such as `ECONNREFUSED`.
        cause: String,
        /// The time with the calls to the coordinator.
        duration: Millis,
        /// The number of other requests in this isolate that waited for the refresh.
        waiting: u64,
    } = "refresh" of Request;
    /// Requests were refused with an error of the handler. At most one event a second for each code and status.
    Refused {
        /// The code of the error.
        code: Code,
        /// The status of the responses.
        status: u16,
        /// The number of requests since the last such event.
        count: u64,
    } = "refused" of Isolate;
    /// A session has begun.
    SessionBegan = "session_began" of Request;
    /// This isolate has ended a session. An end by a back-channel logout or by `handler.end()` is reported at the next
    /// request.
    SessionEnded(
        /// A reason of docs/sessions.md, such as `logged_out`.
        reason: EndReason
    ) = "session_ended" of Request;
    /// The coordinator was called.
    Coordinator {
        /// The method.
        operation: &'static str as "'read' | 'swap'",
        /// The result.
        result: CallResult,
        /// The platform's name of a failure.
        cause: String,
        /// The duration of the call.
        duration: Millis,
    } = "coordinator" of Request;
    /// A server is down.
    OutageBegan {
        /// The server.
        server: Server,
        /// The status of its last response, if that was the failure.
        status: Option<u16>,
        /// The platform's name of the failure.
        cause: String,
    } = "outage_began" of Isolate;
    /// A server works again.
    OutageEnded {
        /// The server.
        server: Server,
        /// The duration of the outage.
        duration: Millis,
        /// The number of requests that were refused because of the outage.
        count: u64,
    } = "outage_ended" of Isolate;
    /// This machine's clock differs from a server's by five seconds or more. At most one event an hour.
    ClockDiffers {
        /// The server.
        server: Server,
        /// The difference in seconds. The log says which clock is ahead.
        seconds: u64,
    } = "clock_differs" of Isolate;
    /// A browser asked for another bound cookie (`session.bind`).
    Renewal {
        /// The result.
        result: RenewalResult,
    } = "renewal" of Request;
    /// A request was refused because its cookie seems to be a copy.
    CopyRefused(
        /// `session_replayed`: a replaced cookie or a second key was used, and the session was ended. `bound_cookie_missing`:
        /// a request of a bound session had no bound cookie; the session continues in the browser that has the key.
        code: Code as "'session_replayed' | 'bound_cookie_missing'"
    ) = "copy_refused" of Request;
}

/// A value that an event or a line of the log has as a member.
trait Member {
    /// Adds the member, unless it has no value.
    fn write(&self, name: &str, out: &mut Writer);
}

impl<T: Member> Member for Option<T> {
    fn write(&self, name: &str, out: &mut Writer) {
        if let Some(value) = self {
            value.write(name, out);
        }
    }
}

impl Member for str {
    fn write(&self, name: &str, out: &mut Writer) {
        if !self.is_empty() {
            out.text(name, self);
        }
    }
}

impl Member for Code {
    fn write(&self, name: &str, out: &mut Writer) {
        self.as_str().write(name, out);
    }
}

impl Member for EndReason {
    fn write(&self, name: &str, out: &mut Writer) {
        self.seen_as().write(name, out);
    }
}

impl Member for u64 {
    fn write(&self, name: &str, out: &mut Writer) {
        out.number(name, *self);
    }
}

impl Member for u16 {
    fn write(&self, name: &str, out: &mut Writer) {
        u64::from(*self).write(name, out);
    }
}

impl Member for Millis {
    fn write(&self, name: &str, out: &mut Writer) {
        self.0.write(name, out);
    }
}

impl About {
    fn write(&self, out: &mut Writer) {
        self.request_id
            .as_deref()
            .unwrap_or_default()
            .write("requestId", out);
        self.session
            .as_deref()
            .unwrap_or_default()
            .write("session", out);
    }
}

impl Fault {
    /// Returns the line as an object. Members without a value are absent.
    #[must_use]
    pub fn to_json(&self) -> String {
        let out = &mut Writer::object();
        self.level.write("level", out);
        self.error.code().write("code", out);
        out.text("message", self.error.message());
        self.status.write("status", out);
        self.about.write(out);
        out.finish()
    }
}

named! {
    /// The result of a refresh.
    RefreshResult {
        /// The session has new tokens.
        Renewed = "renewed",
        /// Another isolate has refreshed the session.
        Superseded = "superseded",
        /// The session has ended.
        Ended = "ended",
        /// The provider asked to wait, did not respond, failed or refused the client, or the coordinator failed. The
        /// session is kept.
        Failed = "failed",
        /// The provider requires an interaction of the user. The session is kept.
        InteractionRequired = "interaction_required",
    }
}

named! {
    /// The result of a call to the coordinator.
    CallResult {
        /// It was read or written.
        Done = "done",
        /// Another write came first.
        Conflict = "conflict",
        /// There was no usable response.
        Failed = "failed",
    }
}

named! {
    /// The result of a request for another bound cookie.
    RenewalResult {
        /// The browser got one.
        Renewed = "renewed",
        /// The browser got a challenge to sign, which is normal before a renewal.
        Challenged = "challenged",
    }
}

named! {
    /// A server without which sessions cannot be refreshed.
    Server {
        /// The provider.
        Provider = "provider",
        /// The coordinator.
        Coordinator = "coordinator",
    }
}

impl Server {
    /// Both servers.
    pub(super) const ALL: [Self; 2] = [Self::Provider, Self::Coordinator];

    /// Returns the code of the errors with which requests fail in an outage of the server.
    pub(super) const fn code(self) -> Code {
        match self {
            Self::Provider => Code::ProviderUnavailable,
            Self::Coordinator => Code::CoordinatorUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_without_a_value_are_absent() {
        let about = About {
            request_id: Some("r1".into()),
            session: None,
        };
        let json = |happened| {
            let about = about.clone();
            Observation { happened, about }.to_json()
        };
        let login = |code| Happened::Login {
            code,
            duration: Millis(5),
        };
        assert_eq!(
            json(login(None)),
            r#"{"type":"login","duration":5,"requestId":"r1"}"#
        );
        assert_eq!(
            json(login(Some(Code::LoginDenied))),
            r#"{"type":"login","code":"login_denied","duration":5,"requestId":"r1"}"#
        );
        assert_eq!(
            json(Happened::SessionEnded(EndReason::Idle)),
            r#"{"type":"session_ended","reason":"idle","requestId":"r1"}"#
        );
        let outage = |cause: &str| Happened::OutageBegan {
            server: Server::Provider,
            status: None,
            cause: cause.to_owned(),
        };
        // An event about the isolate names no request.
        assert_eq!(
            json(outage("")),
            r#"{"type":"outage_began","server":"provider"}"#
        );
        assert_eq!(
            json(outage("ECONNREFUSED")),
            r#"{"type":"outage_began","server":"provider","cause":"ECONNREFUSED"}"#
        );
    }

    #[test]
    fn line_has_its_code_and_message() {
        let fault = Fault {
            level: Level::Warn,
            error: Error::new(Code::ProviderUnavailable, "down"),
            about: About::default(),
            status: Some(503),
        };
        let line =
            r#"{"level":"warn","code":"provider_unavailable","message":"down","status":503}"#;
        assert_eq!(fault.to_json(), line);
    }
}
