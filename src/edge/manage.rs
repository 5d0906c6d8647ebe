//! The commands of the app's server, which come without a request of a browser: to end sessions, and to list them.

use rules::prelude::*;

use crate::io::Response;
use crate::session::key::public_id;
use crate::store::coordinator::Unreachable;
use crate::store::index::{self, Found};
use crate::store::order::{self, Order};
use crate::store::user_end::Name;
use crate::task::{Task, boxed};
use rules::base::error::{Code, Error, Result};
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json::{Object, Value, Writer};
use rules::session::EndReason;

/// The longest user or session of the provider, in bytes. A `sub` has at most 255 characters (OpenID Connect Core 2).
const LONGEST_NAME: usize = 1024;

/// The longest `by` or `why`, in bytes.
const LONGEST_TEXT: usize = 200;

/// Largest number of sessions that an order spares.
const MOST_SPARED: usize = 16;

/// Length of a public ID in bytes, before base64url.
const PUBLIC_ID: usize = 12;

/// The sessions that an order ends.
enum Target {
    Sessions(Name),
    Session(String),
}

/// An order as the app's server gives it.
struct Given {
    target: Target,
    order: Order,
    spare: Vec<String>,
}

/// Carries out a command: `{"end": <the sessions>, "options": <members of the order>}`, or `{"sessions": {"user": …}}`.
pub(super) async fn handle(task: Task, command: String) -> Response {
    let command = Value::parse(&command).ok();
    let command = command.as_ref().and_then(Value::as_object);
    if let Some(user) = command.and_then(|command| command.get("sessions")) {
        return Response::Managed(boxed(sessions(&task, user)).await);
    }
    Response::Managed(match command.ok_or_else(|| invalid(ONE)).and_then(given) {
        Ok(given) => boxed(end_and_report(&task, &given)).await,
        Err(error) => Err(error),
    })
}

const ONE: &str = msg!(
    "it must have one of `user`, `providerSession` and `session`, with a string: a sub, the sid of an ID token, or a public ID"
);

fn invalid(why: &str) -> Error {
    Error::of(Code::MessageInvalid, &[msg!("handler.end(): "), why])
}

/// Reads an order.
fn given(command: &Object) -> Result<Given> {
    let target = command.get("end").and_then(Value::as_object);
    let mut members = target.into_iter().flat_map(Object::iter);
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(invalid(ONE));
    };
    let text = value.as_str().unwrap_or_default();
    if !is_name(text) {
        return Err(invalid(ONE));
    }
    let target = match name {
        "user" => Target::Sessions(Name::subject(text)),
        "providerSession" => Target::Sessions(Name::provider_session(text)),
        "session" if is_public_id(text) => Target::Session(text.to_owned()),
        _ => return Err(invalid(ONE)),
    };
    let mut given = Given {
        target,
        order: Order::of(EndReason::LoggedOut),
        spare: Vec::new(),
    };
    let options = command.get("options").map(Value::as_object);
    let options = options.map_or(Ok(None), |found| {
        found.ok_or_else(|| invalid(OPTIONS)).map(Some)
    });
    for (name, value) in options?.into_iter().flat_map(Object::iter) {
        read_option(&mut given, name, value)?;
    }
    Ok(given)
}

const OPTIONS: &str = msg!("its options are `by`, `why`, `reason` and `spare`");

fn read_option(given: &mut Given, name: &str, value: &Value) -> Result<()> {
    let order = &mut given.order;
    match (name, value.as_str()) {
        ("by", Some(text)) if is_printable(text) => text.clone_into(&mut order.by),
        ("why", Some(text)) if is_printable(text) => text.clone_into(&mut order.why),
        ("by" | "why", _) => {
            return Err(invalid(msg!(
                "`by` and `why` must be one line of at most 200 bytes, without marks that change the direction of text"
            )));
        }
        ("reason", Some("logged_out")) => order.reason = EndReason::LoggedOut,
        ("reason", Some("security")) => order.reason = EndReason::Security,
        ("reason", _) => {
            return Err(invalid(msg!("`reason` must be 'logged_out' or 'security'")));
        }
        ("spare", _) => given.spare = spared(&given.target, value)?,
        _ => return Err(invalid(OPTIONS)),
    }
    Ok(())
}

/// Reads the public IDs of sessions that continue.
fn spared(target: &Target, value: &Value) -> Result<Vec<String>> {
    let ids = value.as_array().unwrap_or_default().iter();
    let ids: Vec<String> = ids
        .filter_map(|id| id.as_str().filter(|id| is_public_id(id)))
        .map(str::to_owned)
        .collect();
    let is_whole = value.as_array().is_some_and(|all| all.len() == ids.len());
    if !is_whole || ids.len() > MOST_SPARED || matches!(target, Target::Session(_)) {
        return Err(invalid(msg!(
            "`spare` must be an array of at most 16 public IDs of sessions, and has no use with `session`"
        )));
    }
    Ok(ids)
}

fn is_public_id(text: &str) -> bool {
    base64url::decode(text).is_some_and(|bytes| bytes.len() == PUBLIC_ID)
}

/// Returns true if a text for reports stays in one line.
fn is_printable(text: &str) -> bool {
    text.len() <= LONGEST_TEXT && strings::is_line(text)
}

/// Ends all sessions of a user except the one with this public ID, for the user. Returns true if this is written.
pub(super) async fn end_others(task: &Task, user: &str, current: String) -> bool {
    let target = Target::Sessions(Name::subject(user));
    end_for_user(task, target, vec![current]).await
}

/// Ends the session with this public ID, for its user. Returns true if this is written.
pub(super) async fn end_one(task: &Task, id: String) -> bool {
    end_for_user(task, Target::Session(id), Vec::new()).await
}

async fn end_for_user(task: &Task, target: Target, spare: Vec<String>) -> bool {
    let order = Order {
        reason: EndReason::LoggedOut,
        by: BY_USER.to_owned(),
        why: String::new(),
    };
    let given = Given {
        target,
        order,
        spare,
    };
    end(task, &given).await.unwrap_or(false)
}

/// The `by` of an order that a user gives by the list of sessions.
const BY_USER: &str = "user";

/// Writes an order of the app's server, and reports it in the log. Returns `true`, or `false` if the coordinator could not
/// be written.
async fn end_and_report(task: &Task, given: &Given) -> Result<String> {
    let is_written = end(task, given).await?;
    if is_written {
        let what = match given.target {
            Target::Session(_) => msg!("one session"),
            Target::Sessions(_) => {
                msg!("the sessions of a user or of a session of the provider")
            }
        };
        let mut line = [msg!("handler.end() has ended "), what].concat();
        let Order { by, why, .. } = &given.order;
        for (name, text) in [("; by: ", by), ("; why: ", why)] {
            if !text.is_empty() {
                line.extend([name, text]);
            }
        }
        task.inform(Code::SessionEnded, &[&line]);
    }
    Ok(if is_written { "true" } else { "false" }.to_owned())
}

/// Writes an order. Returns true unless the coordinator could not be written.
async fn end(task: &Task, given: &Given) -> Result<bool> {
    let config = task.config();
    let order = &given.order;
    let written = match &given.target {
        Target::Session(id) => {
            require_admin(config.admin, msg!("`session`"))?;
            boxed(order::write_session_order(task, id, order)).await
        }
        Target::Sessions(name) => {
            require_admin(
                config.admin || config.back_channel_logout,
                msg!("`user` and `providerSession` without back-channel logout"),
            )?;
            boxed(order::write_order(task, name, order, &given.spare)).await
        }
    };
    let mut cache = task.isolate().session_cache.borrow_mut();
    cache.invalidate(|sid| match &given.target {
        Target::Session(id) => *id == public_id(sid),
        Target::Sessions(_) => true,
    });
    Ok(written.is_ok())
}

/// Returns the sessions of a user, as far as they are in the index.
async fn sessions(task: &Task, of: &Value) -> Result<String> {
    let members = of.as_object();
    let user = members.and_then(|members| members.str("user"));
    let is_alone = members.is_some_and(|members| members.iter().count() == 1);
    let Some(user) = user.filter(|user| is_alone && is_name(user)) else {
        let why = msg!("handler.sessions(): it must have `user` with a string, a sub");
        return Err(Error::new(Code::MessageInvalid, why));
    };
    if !task.config().admin {
        let why = msg!("handler.sessions() needs `session.admin: true`");
        return Err(Error::new(Code::ConfigInvalid, why));
    }
    match boxed(index::list(task, user)).await {
        Ok(found) => Ok(listed(&found, None)),
        Err(Unreachable) => Err(Error::new(
            Code::CoordinatorUnavailable,
            msg!("the coordinator cannot be reached"),
        )),
    }
}

/// Returns the list of sessions as JSON. `current` is the public ID of the session whose browser asks.
pub(super) fn listed(found: &[Found], current: Option<&str>) -> String {
    let mut list = "[".to_owned();
    for one in found {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&one.to_json(current.map(|id| id == one.id)));
    }
    list.push(']');
    Writer::object()
        .json("sessions", &list)
        .flag("mayBeIncomplete", true)
        .finish()
}

/// Returns true for a user or a session of the provider that an order or a list may name.
const fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME
}

/// Returns the error unless isolates read what an order needs.
fn require_admin(is_enough: bool, what: &str) -> Result<()> {
    if is_enough {
        return Ok(());
    }
    let message = [
        msg!("handler.end(): "),
        what,
        msg!(" needs `session.admin: true`"),
    ];
    Err(Error::of(Code::ConfigInvalid, &message))
}
