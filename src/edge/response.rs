//! The handler's own responses: JSON for scripts, redirects and plain pages for people. Caches must not store these
//! responses. The host adds the headers that all these responses have: see [`headers`](crate::proxy::headers).

use rules::prelude::*;

use crate::io::OwnResponse;
use crate::marker::HANDLER_HEADER;
use crate::refusal::{RETRY_AFTER, Refusal};
use rules::base::clock::Millis;
use rules::base::error::{Code, Error};
use rules::codec::json::{self, Writer};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The end of a page.
const END: &str = "</main></body></html>";

/// The header with the ID of the request.
const REQUEST_ID: &str = "x-request-id";

/// Most characters of a path that a link shows. A longer path could push the link out of the window.
const LONGEST_TEXT: usize = 200;

/// Builds a JSON response.
pub(super) fn json(status: u16, body: String) -> OwnResponse {
    OwnResponse {
        status,
        body: Some((JSON, body)),
        ..OwnResponse::default()
    }
}

/// Builds a response without a body.
pub(super) fn empty(status: u16) -> OwnResponse {
    OwnResponse {
        status,
        ..OwnResponse::default()
    }
}

/// Builds the response to a prefetch. Browsers do not use a response with this status, and send the request again when the
/// user opens the address.
pub(super) fn not_prefetched() -> OwnResponse {
    empty(503)
}

/// Builds a redirect that is followed by GET.
pub(super) fn redirect(location: String) -> OwnResponse {
    OwnResponse {
        status: 303,
        headers: vec![("location", location)],
        ..OwnResponse::default()
    }
}

/// Builds an error response in the form of the page's `StrongroomError`.
pub(super) fn error(status: u16, error: &Error) -> OwnResponse {
    error_with(status, error, |_| {})
}

/// Builds an error response with more members in `error`. The header `X-Strongroom` distinguishes the response from an
/// upstream's error.
pub(super) fn error_with(
    status: u16,
    error: &Error,
    more: impl FnOnce(&mut Writer),
) -> OwnResponse {
    let mut fault = Writer::object();
    fault
        .text("code", error.code().as_str())
        .text("message", error.message());
    more(&mut fault);
    let mut response = json(
        status,
        Writer::object().json("error", &fault.finish()).finish(),
    );
    let code = error.code().as_str().to_owned();
    response.headers.push((HANDLER_HEADER, code));
    response.code = Some(error.code());
    response
}

/// Adds the ID of the request to an error response, so that a report of a user can be found in the log.
pub(super) fn add_request_id(response: &mut OwnResponse, id: &str) {
    if response.status < 400 {
        return;
    }
    response.headers.push((REQUEST_ID, id.to_owned()));
    match &mut response.body {
        Some((JSON, body)) if body.ends_with("}}") => {
            body.truncate(body.len() - 2);
            body.push_str(",\"requestId\":\"");
            body.push_str(id);
            body.push_str("\"}}");
        }
        Some((HTML, body)) if body.ends_with(END) => {
            body.truncate(body.len() - END.len());
            let line = ["<p><small>Request ", &escaped(id), "</small></p>", END];
            body.push_str(&line.concat());
        }
        _ => {}
    }
}

/// Builds an error response from a code and a message.
pub(super) fn refuse(status: u16, code: Code, message: &str) -> OwnResponse {
    error(status, &Error::new(code, message))
}

/// Builds the response to a method that is not allowed. The header `Allow` names the allowed methods (RFC 9110 15.5.6).
pub(super) fn method_not_allowed(message: &[&str], allowed: &str) -> OwnResponse {
    let message = [message, &[allowed]].concat();
    let mut response = error(405, &Error::of(Code::MethodNotAllowed, &message));
    response.headers.push(("allow", allowed.to_owned()));
    response
}

/// Builds an error response without details, for faults of the host.
pub(super) fn failure() -> OwnResponse {
    empty(500)
}

/// Builds a response that asks the client to retry later.
pub(super) fn later(fault: &Error, after: Millis) -> OwnResponse {
    let mut response = error(503, fault);
    // control: retry_after_is_sent
    response.headers.push(retry_after(after));
    response
}

/// Returns the header that asks the client to retry after this time.
pub(super) fn retry_after(time: Millis) -> (&'static str, String) {
    // The time is rounded up, since an earlier retry would fail again.
    let seconds = time.0.div_ceil(1000).max(1);
    ("retry-after", json::digits(seconds))
}

/// Builds the response to a request without a usable session.
pub(super) fn refusal(refusal: &Refusal) -> OwnResponse {
    match refusal {
        Refusal::Ended(reason) => error_with(
            401,
            &Error::of(
                Code::SessionEnded,
                &[msg!("the session has ended: "), reason.seen_as()],
            ),
            |fault| {
                fault.text("reason", reason.seen_as());
            },
        ),
        Refusal::Later(error, after) => later(error, *after),
        Refusal::BoundCookieMissing { was_skipped: true } => later(
            &Error::new(
                Code::RenewalFailed,
                msg!("the browser could not renew the bound cookie of its session"),
            ),
            RETRY_AFTER,
        ),
        Refusal::BoundCookieMissing { was_skipped: false } => refuse(
            401,
            Code::BoundCookieMissing,
            msg!(
                "the session is bound to a key of the browser, and the request has no valid bound cookie"
            ),
        ),
        Refusal::Interaction => refuse(
            401,
            Code::InteractionRequired,
            msg!("the provider requires an interaction of the user before it issues another token"),
        ),
    }
}

/// Builds the response to a request without a session.
pub(super) fn login_required() -> OwnResponse {
    refuse(401, Code::LoginRequired, msg!("there is no session"))
}

/// Builds a page that loads nothing, and whose Content-Security-Policy forbids scripts. `title` is a plain string;
/// `head` and `body` are HTML.
pub(super) fn page(status: u16, title: &str, head: &str, body: &str) -> OwnResponse {
    let html = [
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>"#,
        title,
        "</title><style>body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;overflow-wrap:anywhere}</style>",
        head,
        "</head><body><main><h1>",
        title,
        "</h1>",
        body,
        END,
    ];
    OwnResponse {
        status,
        headers: vec![(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'".to_owned(),
        )],
        body: Some((HTML, html.concat())),
        ..OwnResponse::default()
    }
}

/// Styles that keep clicks from links which the user meant for something else:
///
/// - For a second after the page has appeared, links are hidden. The user meant the click for the previous page.
/// - A link works only after the mouse has been on the page for a second. The user meant the click for a window above the
///   page, which has closed between the two clicks of a double-click. A finger does not hover, so touch screens have no
///   such delay, and the keyboard needs none.
const LATE_LINKS: &str = "<style>a{animation:a 1s step-end}@keyframes a{from{visibility:hidden}}@media(hover:hover){a{pointer-events:none;opacity:.5}main:hover a{animation:a 1s step-end,b 1s step-end forwards}}@keyframes b{to{pointer-events:auto;opacity:1}}</style>";

/// Builds a page with a sentence, and with a link to `href` that begins a login. A window that opened this page loses its
/// control over it.
pub(super) fn question_page(title: &str, sentence: &str, href: &str) -> OwnResponse {
    let body = [
        "<p>",
        sentence,
        r#"</p><p><a href=""#,
        &escaped(href),
        r#"">Sign in</a></p>"#,
    ];
    sever(page(200, title, LATE_LINKS, &body.concat()))
}

/// Builds a page with a link to `href`. With a `path`, the page shows the beginning of this path, and waits for the user's
/// click, which is a navigation from the app itself. A window that opened this page loses its control over it, and the
/// link does not take clicks that the user meant for something else. Without a `path`, the page forwards the browser at once.
pub(super) fn link_page(status: u16, title: &str, href: &str, path: Option<&str>) -> OwnResponse {
    let href = escaped(href);
    let (head, target, end, ask) = match path {
        Some(_) => (
            LATE_LINKS,
            "",
            "",
            "<p>Continue only if you expected this address:</p>",
        ),
        None => (
            r#"<meta http-equiv="refresh" content="0; url="#,
            &*href,
            r#"">"#,
            "",
        ),
    };
    let head = [head, target, end].concat();
    let whole = path.unwrap_or("Go on to the app");
    let mut text: String = whole.chars().take(LONGEST_TEXT).collect();
    if text.len() < whole.len() {
        text.push('…');
    }
    let body = [
        ask,
        r#"<p><a href=""#,
        &href,
        r#"">"#,
        &escaped(&text),
        "</a></p>",
    ];
    let response = page(status, title, &head, &body.concat());
    if path.is_none() {
        return response;
    }
    sever(response)
}

/// Ends the control of the window that opened a page. That window also does not learn from the page, or from those to which
/// it leads, if the user is signed in.
pub(super) fn sever(mut response: OwnResponse) -> OwnResponse {
    const NAME: &str = "cross-origin-opener-policy";
    if response.headers.iter().all(|(name, _)| *name != NAME) {
        response.headers.push((NAME, "same-origin".to_owned()));
    }
    response
}

/// Escapes a string for HTML.
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
