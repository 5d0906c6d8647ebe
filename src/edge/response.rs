//! The handler's own answers: for scripts in JSON, for people a redirect or a plain page. Nothing of them may be stored.
//! What header fields they have besides is in [`headers`](crate::edge::proxy::headers).

use crate::prelude::*;

use crate::base::clock::Millis;
use crate::base::error::{Code, Error};
use crate::codec::json::{self, Writer};
use crate::edge::io::Respond;
use crate::edge::refresh::Refusal;

const JSON: &str = "application/json";

/// An answer in JSON.
pub(super) fn json(status: u16, body: String) -> Respond {
    Respond {
        status,
        body: Some((JSON, body)),
        ..Respond::default()
    }
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Respond {
    Respond {
        status,
        ..Respond::default()
    }
}

/// To somewhere else, by GET.
pub(super) fn redirect(location: String) -> Respond {
    Respond {
        status: 303,
        headers: vec![("location", location)],
        ..Respond::default()
    }
}

/// An error, as the page's `StrongroomError` has it.
pub(super) fn error(status: u16, error: &Error) -> Respond {
    error_with(status, error, |_| {})
}

/// The same, with more to say than that. The header field tells a page that it is none of an upstream's.
pub(super) fn error_with(status: u16, error: &Error, more: impl FnOnce(&mut Writer)) -> Respond {
    let mut fault = Writer::object();
    fault
        .text("code", error.code().as_str())
        .text("message", error.message());
    more(&mut fault);
    let mut respond = json(
        status,
        Writer::object().json("error", &fault.finish()).finish(),
    );
    let code = error.code().as_str().to_owned();
    respond.headers.push(("x-strongroom", code));
    respond
}

/// The same, of a code and a message.
pub(super) fn refuse(status: u16, code: Code, message: &str) -> Respond {
    error(status, &Error::new(code, message))
}

/// The method is none of those that are allowed here, which the header field names (RFC 9110 15.5.6).
pub(super) fn method_not_allowed(message: &[&str], allowed: &str) -> Respond {
    let message = [message, &[allowed]].concat();
    let mut respond = error(405, &Error::of(Code::MethodNotAllowed, &message));
    respond.headers.push(("allow", allowed.to_owned()));
    respond
}

/// What only happens when the host breaks its contract.
pub(super) fn failure() -> Respond {
    empty(500)
}

/// Come back later.
pub(super) fn later(fault: &Error, after: Millis) -> Respond {
    let mut seconds = String::new();
    // Rounded up: a client that comes back any sooner would be turned away once more.
    json::write_number(&mut seconds, after.0.div_ceil(1000).max(1));
    let mut respond = error(503, fault);
    respond.headers.push(("retry-after", seconds));
    respond
}

/// Why there is no session for this request.
pub(super) fn refused(refusal: &Refusal) -> Respond {
    match refusal {
        Refusal::Ended(reason) => error_with(
            401,
            &Error::of(
                Code::SessionEnded,
                &[msg!("the session is over: "), reason.as_str()],
            ),
            |fault| {
                fault.text("reason", reason.as_str());
            },
        ),
        Refusal::Later(error, after) => later(error, *after),
        Refusal::Interaction => refuse(
            401,
            Code::InteractionRequired,
            msg!("the provider wants the user to do something before it issues another token"),
        ),
    }
}

/// Nobody is signed in.
pub(super) fn login_required() -> Respond {
    refuse(401, Code::LoginRequired, msg!("there is no session"))
}

/// A page without script, which loads nothing: a heading, and below it what there is to say. All but the title is HTML.
pub(super) fn page(status: u16, title: &str, head: &str, body: &str) -> Respond {
    let html = [
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>"#,
        title,
        "</title><style>body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;overflow-wrap:anywhere}</style>",
        head,
        "</head><body><main><h1>",
        title,
        "</h1>",
        body,
        "</main></body></html>",
    ];
    Respond {
        status,
        headers: vec![(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'".to_owned(),
        )],
        body: Some(("text/html; charset=utf-8", html.concat())),
        ..Respond::default()
    }
}

/// A text as it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_stays_text() {
        let text = r#"<a href="x" title='y'>&amp;</a> é"#;
        let html = "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt; é";
        assert_eq!(escaped(text), html);
    }
}
