//! Checks of a request's sender. A browser may also send its cookie with a request that another site has caused, so a
//! request that uses the cookie must come from the app's own pages (RFC 10017 6.1.3.3).
//!
//! A script of the app sends the header `X-Strongroom` ([`marker`]). `Origin` and `Sec-Fetch-Site` (Fetch Metadata) must not contradict
//! the header.

use crate::io::{Outer, Request};
use crate::marker;
use rules::base::error::{Code, Error, Result};
use rules::base::strings;
use rules::prelude::*;

/// Checks that a script of the app sent the request.
///
/// # Errors
/// [`Code::CrossSiteRequest`], with the failed check in the message.
pub(super) fn check_script(request: &Request, origin: &str) -> Result<()> {
    if !marker::is_script(request) {
        return refused(msg!("it lacks the header X-Strongroom: 1"));
    }
    check_origin(request, origin)
}

/// Checks that neither `Origin` nor `Sec-Fetch-Site` names another origin. With `Referrer-Policy: no-referrer`, browsers
/// send `Origin: null` although the app's own page sent the request (Fetch 3.2), so `Sec-Fetch-Site` then decides.
fn check_origin(request: &Request, origin: &str) -> Result<()> {
    let is_same = is_same_origin(request);
    let is_own = |said: &str| said == origin || said == "null" && is_same;
    if request.origin.as_deref().is_some_and(|said| !is_own(said)) {
        return refused(msg!("its Origin is not the app's"));
    }
    if is_same || request.site.is_none() {
        return Ok(());
    }
    refused(msg!("its Sec-Fetch-Site is not same-origin"))
}

/// Checks that the app's origin sent a form. A form cannot set headers, but browsers send `Origin` with it, and
/// `Sec-Fetch-Site`, which alone is a proof.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_form(request: &Request, origin: &str) -> Result<()> {
    if is_same_origin(request) {
        return check_origin(request, origin);
    }
    require_origin(request, origin)
}

/// Checks that the app's server may send this request while it handles a page's request. Any site can open a page, so only
/// a form or a script of the app's own may cause a request that changes something. If a service worker of the app passes on
/// a form, its headers do not say who sent it: see [`is_form_of_worker`].
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_outer(request: &Request, outer: &Outer, origin: &str) -> Result<()> {
    if is_safe(&request.method) {
        return Ok(());
    }
    if is_safe(&outer.method) {
        return refused(msg!(
            "for a page's GET or HEAD request, a server may send only GET and HEAD"
        ));
    }
    let page = Request {
        method: outer.method.clone(),
        mode: outer.mode.clone(),
        dest: outer.dest.clone(),
        accept: outer.accept.clone(),
        ..Request::default()
    };
    if is_form_of_worker(&page) {
        return refused(msg!(
            "a service worker passed on a form, which may be another site's: let forms go past the service worker, or send them by script"
        ));
    }
    check_form(request, origin)
}

/// Returns true for the methods that an app's pages are opened with, and that change nothing (RFC 9110 9.2.1).
pub(super) fn is_safe(method: &str) -> bool {
    method == "GET" || method == "HEAD"
}

/// Checks that the app's origin sent a request that must have `Origin`, such as a WebSocket handshake: it cannot set
/// headers, but browsers send `Origin` with it.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn require_origin(request: &Request, origin: &str) -> Result<()> {
    if request.origin.is_none() {
        return refused(msg!("it has no Origin"));
    }
    check_origin(request, origin)
}

/// Returns true for the handshake of a WebSocket (RFC 6455 4.1). Other values of `Upgrade` are ignored.
pub(super) fn is_socket(request: &Request) -> bool {
    let upgrade = request.upgrade.as_deref();
    request.method == "GET" && upgrade.is_some_and(|said| said.eq_ignore_ascii_case("websocket"))
}

/// Checks that a page of the app's origin sent a request that reads something, such as a frame, a script or a picture of its
/// own. Without Fetch Metadata, the sender must prove it by `Origin` or `X-Strongroom`.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_resource(request: &Request, origin: &str) -> Result<()> {
    if is_same_origin(request) || marker::is_script(request) {
        return check_origin(request, origin);
    }
    require_origin(request, origin)
}

/// Checks that the response becomes data, media or a font in the page, but neither a document nor code. The header
/// `X-Strongroom` alone is not enough, because a service worker can add this header to any request of a page.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_destination(request: &Request) -> Result<()> {
    match request.dest.as_deref() {
        None | Some("empty") => Ok(()),
        Some("websocket") if is_socket(request) => Ok(()),
        Some(_) if types_for_element(request).is_some() => Ok(()),
        Some(_) => refused(msg!(
            "its Sec-Fetch-Dest is a document or code, which an API's response must not become"
        )),
    }
}

/// The values of `Sec-Fetch-Dest` for elements that show a response or play it (Fetch, "destination"), each with the
/// beginnings of the types that fit it, where `;` is the end of a type. `pkg/src/media/media.ts` uses this constant, too.
pub(super) const DESTINATION_TYPES: &str = "image image/,video video/ audio/,audio audio/ video/,font font/ application/font-,track text/vtt;";

/// Returns the beginnings of the types that fit the element which sent the request, or `None` if no such element sent it.
fn types_for_element(request: &Request) -> Option<&'static str> {
    let dest = request.dest.as_deref()?;
    let mut entries =
        strings::split(DESTINATION_TYPES, b',').map(|entry| strings::split_once(entry, b' '));
    entries.find(|&(known, _)| known == dest)?.1
}

/// Returns true for the request of an element of a page that shows the response or plays it, which cannot send the header
/// `X-Strongroom`.
pub(super) fn is_of_media_element(request: &Request) -> bool {
    request.marker.is_none() && types_for_element(request).is_some()
}

/// Checks that an element of an app's own page sent the request, for a route with `media`. Only Fetch Metadata can prove it,
/// and every browser version sends all three headers or none.
///
/// # Errors
/// [`Code::CrossSiteRequest`]
pub(super) fn check_media_element(request: &Request, origin: &str) -> Result<()> {
    if !is_same_origin(request) {
        return refused(msg!("its Sec-Fetch-Site is not same-origin"));
    }
    let is_image = request.dest.as_deref() == Some("image");
    match request.mode.as_deref() {
        // Only `<use>` loads an image with this mode, and it clones the image's elements into the page.
        Some("same-origin") if is_image => {}
        Some("cors" | "no-cors" | "same-origin")
            if request.purpose.is_none() || is_prerendered(request) =>
        {
            return check_origin(request, origin);
        }
        _ => {}
    }
    refused(msg!("no element of a page sends such a request"))
}

/// Returns true if a response with this `Content-Type` fits the element that requested it. A response of another type could
/// be used in a way that the app does not expect.
pub(super) fn is_for_element(content_type: &str, request: &Request) -> bool {
    let (kind, _) = strings::split_once(content_type, b';');
    let kind = kind.trim_ascii().to_ascii_lowercase() + ";";
    types_for_element(request).is_some_and(|types| {
        strings::split(types, b' ').any(|beginning| kind.starts_with(beginning))
    })
}

/// Returns true for a top-level navigation, from any site. A navigation that a service worker passes on counts, although
/// it may be that of a frame: see [`is_passed_on`].
pub(super) fn is_navigation(request: &Request) -> bool {
    request.method == "GET" && opens_page(request)
}

/// Returns true for a form that a page of any site sent with POST, as a top-level navigation.
pub(super) fn is_posted_form(request: &Request) -> bool {
    request.method == "POST" && opens_page(request)
}

/// Returns true for a request that the browser makes in case the user opens the address later: a prefetch or a prerendered
/// page (Fetch 3.9, `Sec-Purpose`).
pub(super) fn is_prefetch(request: &Request) -> bool {
    let purpose = request.purpose.as_deref().unwrap_or_default();
    let (purpose, _) = strings::split_once(purpose, b';');
    purpose.trim_ascii() == "prefetch"
}

/// Returns true for a request of a prerendered page.
fn is_prerendered(request: &Request) -> bool {
    let purpose = request.purpose.as_deref().unwrap_or_default();
    let mut parameters = strings::split(
        strings::split_once(purpose, b';').1.unwrap_or_default(),
        b';',
    );
    is_prefetch(request) && parameters.any(|one| one.trim_ascii() == "prerender")
}

/// Returns true if the response becomes the document of a window.
pub(super) fn opens_page(request: &Request) -> bool {
    if request.marker.is_some() {
        return false;
    }
    match (request.mode.as_deref(), request.dest.as_deref()) {
        (Some("navigate"), None | Some("document" | "empty")) => true,
        (Some(_), _) => false,
        // This browser does not support Fetch Metadata, so the `Accept` header decides.
        (None, _) => request.accept.as_deref().is_some_and(accepts_pages),
    }
}

/// Returns true for a navigation that a service worker of the app passes on by `fetch(event.request)`, and for a link with
/// `download`. The headers of such a request prove nothing: in Chromium, a typed address and a frame have
/// `Sec-Fetch-Site: same-origin`, too, and `Sec-Fetch-User` is missing.
pub(super) fn is_passed_on(navigation: &Request) -> bool {
    navigation.dest.as_deref() == Some("empty")
}

/// Returns true for a request that can be a navigation in the hands of a service worker, which has sent a new request in
/// its place: `fetch(event.request.url)`, in Firefox also `fetch(event.request)`. Any script of the app can send such a
/// request, so it does not count as a navigation.
pub(super) fn is_replaced(request: &Request) -> bool {
    let (mode, dest) = (request.mode.as_deref(), request.dest.as_deref());
    request.marker.is_none()
        && matches!(mode, Some("same-origin" | "cors"))
        && matches!(dest, None | Some("empty"))
}

/// Returns true for a form that a service worker of the app passes on or replaces.
pub(super) fn is_form_of_worker(request: &Request) -> bool {
    let is_passed_on = is_posted_form(request) && is_passed_on(request);
    (is_passed_on || is_replaced(request)) && request.accept.as_deref().is_some_and(accepts_pages)
}

/// Returns true if the app's origin sent this request, and only the app's origin redirected it. A navigation that the
/// browser began, such as a typed address, does not count: its `Sec-Fetch-Site` is `none`, and stays `none` if another
/// site redirects it (Fetch Metadata 2.4).
pub(super) fn is_same_origin(request: &Request) -> bool {
    request.site.as_deref() == Some("same-origin")
}

/// Returns true if the app's origin sent this navigation, unless a service worker has passed it on.
pub(super) fn is_from_app(navigation: &Request) -> bool {
    is_same_origin(navigation) && !is_passed_on(navigation)
}

/// Returns true if the user began this navigation in a page of the app's origin, such as by a click. Redirects keep
/// `Sec-Fetch-User` (Fetch Metadata 2.5). WebKit never sends it.
pub(super) fn is_clicked_in_app(navigation: &Request) -> bool {
    is_from_app(navigation) && navigation.user.as_deref() == Some("?1")
}

fn accepts_pages(accept: &str) -> bool {
    strings::split(accept, b',')
        .any(|kind| strings::split_once(kind, b';').0.trim_ascii() == "text/html")
}

fn refused(why: &str) -> Result<()> {
    let message = [
        msg!("the request was not sent by a script of this app: "),
        why,
    ];
    Err(Error::of(Code::CrossSiteRequest, &message))
}
