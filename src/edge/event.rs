//! Events for the operator and the host.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::io::FlightId;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error};
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

/// The severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The provider or the coordinator is down, the provider refuses the client, or the configuration is wrong.
    Error,
    /// Everything else, such as a fault of one request, session or API.
    Warn,
    /// An outage is over.
    Info,
}

impl Level {
    /// Returns the usual level of a code.
    pub(super) const fn of(code: Code) -> Self {
        match code {
            Code::ConfigInvalid | Code::ClientRejected => Self::Error,
            _ => Self::Warn,
        }
    }

    /// Returns the level as a string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
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

/// A kind of event, with its own members. Durations are by the handler's clock, and have its resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A login was redirected to the provider, or failed before that.
    Login {
        /// The code of the failure.
        code: Option<Code>,
        /// The time until the response.
        duration: Millis,
    },
    /// A response of the provider to a login was handled.
    Callback {
        /// The code of the failure.
        code: Option<Code>,
        /// The time until the response.
        duration: Millis,
    },
    /// A refresh has ended.
    Refresh {
        /// The result.
        result: RefreshResult,
        /// The code, if the refresh failed.
        code: Option<Code>,
        /// The status of the provider's last response, if there was one.
        status: Option<u16>,
        /// The host's name of a failure, or an empty string.
        cause: String,
        /// The time with the calls to the coordinator.
        duration: Millis,
        /// The number of other requests in this isolate that waited for it.
        waiting: u64,
    },
    /// Requests were refused with an error of the handler.
    Refused {
        /// The code.
        code: Code,
        /// The status.
        status: u16,
        /// The number of requests since the last such event.
        count: u64,
    },
    /// A session has begun.
    SessionBegan,
    /// A session has ended.
    SessionEnded(EndReason),
    /// The coordinator was called.
    Coordinator {
        /// The method.
        operation: &'static str,
        /// The result.
        result: CallResult,
        /// The host's name of a failure, or an empty string.
        cause: String,
        /// The duration.
        duration: Millis,
    },
    /// A server is down.
    OutageBegan {
        /// The server.
        server: Server,
        /// The status of its last response, if that was the failure.
        status: Option<u16>,
        /// The host's name of the failure, or an empty string.
        cause: String,
    },
    /// A server works again.
    OutageEnded {
        /// The server.
        server: Server,
        /// The duration of the outage.
        duration: Millis,
        /// The number of requests that were refused because of it.
        count: u64,
    },
    /// A browser asked for another bound cookie.
    Renewal {
        /// True if it got one. False if it got a challenge to sign.
        is_renewed: bool,
    },
    /// A request was refused because its cookie seems to be a copy.
    CopyRefused(Code),
}

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshResult {
    /// The session has new tokens.
    Renewed,
    /// Another isolate has refreshed the session.
    Superseded,
    /// The session has ended.
    Ended,
    /// The provider asked to wait, did not respond, failed or refused the client, or the coordinator failed. The session is
    /// kept.
    Failed,
    /// The provider requires an interaction of the user. The session is kept.
    InteractionRequired,
}

impl RefreshResult {
    /// Returns the result as a string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Superseded => "superseded",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::InteractionRequired => "interaction_required",
        }
    }
}

/// The result of a call to the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It was read or written.
    Done,
    /// Another write came first.
    Conflict,
    /// There was no usable response.
    Failed,
}

impl CallResult {
    /// Returns the result as a string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

/// A server without which sessions cannot be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The provider.
    Provider,
    /// The coordinator.
    Coordinator,
}

impl Server {
    /// Both servers.
    pub(super) const ALL: [Self; 2] = [Self::Provider, Self::Coordinator];

    /// Returns the server as a string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Coordinator => "coordinator",
        }
    }

    /// Returns the code of the errors with which requests fail in an outage of the server.
    pub(super) const fn code(self) -> Code {
        match self {
            Self::Provider => Code::ProviderUnavailable,
            Self::Coordinator => Code::CoordinatorUnavailable,
        }
    }
}
