//! Who a request is from. A cookie comes along with whatever a browser sends here; so what acts on it has to be from the
//! app's own pages (RFC 10017 6.1.3.3).
//!
//! A script of the app's says so with a header of its own, `X-Strongroom`: forms and other documents cannot set one, and
//! script of another origin may only after a CORS preflight, which is never granted. `Origin` and `Sec-Fetch-Site`
//! (Fetch Metadata) must not say otherwise.

use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::edge::io::Request;

/// What a script writes into its header if nobody has done anything: a poll, which keeps no session alive.
const BACKGROUND: &str = "background";

/// A request by script of the app's.
///
/// # Errors
/// [`Code::CrossSiteRequest`] with what gave it away.
pub(super) fn check_script(request: &Request, origin: &str) -> Result<()> {
    let marker = request.marker.as_deref();
    if !marker.is_some_and(|marker| marker == "1" || marker == BACKGROUND) {
        return refused(msg!("it lacks the header X-Strongroom: 1"));
    }
    check_origin(request, origin)
}

/// Neither `Origin` nor `Sec-Fetch-Site` says that it is from elsewhere.
fn check_origin(request: &Request, origin: &str) -> Result<()> {
    if request.origin.as_deref().is_some_and(|said| said != origin) {
        return refused(msg!("its Origin is another one"));
    }
    match request.site.as_deref() {
        None | Some("same-origin") => Ok(()),
        Some(_) => refused(msg!("its Sec-Fetch-Site is not same-origin")),
    }
}

/// A form of the app's, or a socket: neither can have a header of its own, but both say where they come from.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_named(request: &Request, origin: &str) -> Result<()> {
    if request.origin.is_none() {
        return refused(msg!("it does not say its Origin"));
    }
    check_origin(request, origin)
}

/// Whether it is the handshake of a WebSocket (RFC 6455 4.1). Any other upgrade is of no interest.
pub(super) fn is_socket(request: &Request) -> bool {
    let upgrade = request.upgrade.as_deref();
    request.method == "GET" && upgrade.is_some_and(|said| said.eq_ignore_ascii_case("websocket"))
}

/// What an API's answer may become in a page: data, a picture, a sound, a font; nothing that runs, and no document.
/// A service worker can add the app's header to whatever a page loads, so that alone does not tell.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_destination(request: &Request) -> Result<()> {
    match request.dest.as_deref() {
        None | Some("empty" | "audio" | "font" | "image" | "track" | "video") => Ok(()),
        Some("websocket") if is_socket(request) => Ok(()),
        Some(_) => refused(msg!(
            "its Sec-Fetch-Dest is a document or something that runs, which an API's answer must not become"
        )),
    }
}

/// A user who goes here, from wherever; what comes of it is shown in the browser's window and nowhere else.
pub(super) fn is_navigation(request: &Request) -> bool {
    if request.method != "GET" || request.marker.is_some() {
        return false;
    }
    match (request.mode.as_deref(), request.dest.as_deref()) {
        (Some("navigate"), None | Some("document")) => true,
        (Some(_), _) => false,
        // A browser without Fetch Metadata.
        (None, _) => request.accept.as_deref().is_some_and(accepts_pages),
    }
}

/// A user who goes here from the app, or by themselves.
pub(super) fn is_own_navigation(request: &Request) -> bool {
    is_navigation(request) && matches!(request.site.as_deref(), Some("same-origin" | "none"))
}

/// Whether the request is no sign of the user.
pub(super) fn is_background(request: &Request) -> bool {
    request.marker.as_deref() == Some(BACKGROUND)
}

fn accepts_pages(accept: &str) -> bool {
    strings::split(accept, b',')
        .any(|kind| strings::split_once(kind, b';').0.trim_ascii() == "text/html")
}

fn refused(why: &str) -> Result<()> {
    let message = [msg!("the request is not by script of this app: "), why];
    Err(Error::of(Code::CrossSiteRequest, &message))
}
