//! The beginning of a navigation, and the pages that wait for the user's click.
//!
//! A route gets a token only if the user wants to open it. A navigation of the app's own pages is a sign of this
//! (`Sec-Fetch-Site: same-origin`), but not a proof: after a login that began elsewhere, a page of this handler, or a
//! provider on the app's own origin, can turn the navigation of another site into one of the app's origin. The app may
//! then redirect it to a route. So such a login sets a mark, a cookie that lasts as long as the browser's session. While
//! the mark is set, only the user's click leads to a route, and ends the mark:
//!
//! - a navigation from the app's origin with `Sec-Fetch-User: ?1`, or
//! - the link of this handler's own page. The link contains a sealed value that is bound to the mark's random value, and
//!   so to this browser, and to the address. The value works once, because the mark ends with it. WebKit does not send
//!   `Sec-Fetch-User`.
//!
//! A service worker that passes navigations on hides who began them, so its navigations always need the link.
//!
//! Redirects keep `Sec-Fetch-User`, so no redirect follows a click that was meant for something else, such as the
//! provider's form: a page of the handler comes in between.

use rules::prelude::*;

use crate::csrf;
use crate::io::OwnResponse;
use crate::isolate::Seldom;
use crate::marker;
use crate::refresh::bound;
use crate::refusal::Refusal;
use crate::request::{CLICK, RequestContext};
use crate::response;
use crate::session::cookies::CookieValue;
use crate::store::seal;
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::digest::sha256;
use rules::base::error::Code;
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::url::Url;

/// Number of random bytes in a mark.
const MARK: usize = 18;

/// A navigation to one address is repeated at most once within this time.
const REPEATED: Millis = Millis::from_secs(10);

/// The mark of a browser.
enum Mark {
    /// The browser has no mark.
    Missing,
    /// The random value of the mark.
    Random(String),
    /// The mark is malformed, or there are two. It counts as a mark: if it counted as missing, a second cookie of its name
    /// would end the protection.
    Malformed,
}

fn mark(context: &RequestContext) -> Mark {
    match context.cookies().value(context.jar().outside()) {
        CookieValue::Missing => Mark::Missing,
        CookieValue::Value(value)
            if base64url::decode(&value).is_some_and(|bytes| bytes.len() == MARK) =>
        {
            Mark::Random(value)
        }
        _ => Mark::Malformed,
    }
}

/// Returns the random value of the browser's mark, and the cookie that sets the mark unless it is set already.
fn marked(context: &RequestContext) -> (String, Option<String>) {
    if let Mark::Random(value) = mark(context) {
        return (value, None);
    }
    let value = base64url::encode(&context.task.isolate().random::<MARK>());
    let cookie = context.jar().set_outside(&value);
    (value, Some(cookie))
}

/// Sets the mark with a response.
pub(super) fn set_mark(context: &RequestContext, response: &mut OwnResponse) {
    let name = context.jar().outside();
    let is_set = response.cookies.iter().any(|set| set.starts_with(name));
    if let (_, Some(cookie)) = marked(context)
        && !is_set
    {
        response.cookies.push(cookie);
    }
}

/// Returns the cookie that ends the mark, if there is a mark.
pub(super) fn end_mark(context: &RequestContext) -> Option<String> {
    let jar = context.jar();
    (!matches!(mark(context), Mark::Missing)).then(|| jar.clear(jar.outside()))
}

/// Returns true if a page of the app, or the user in a page of the app, began this navigation.
pub(super) fn is_begun_by_app(context: &RequestContext) -> bool {
    let is_unmarked = || matches!(mark(context), Mark::Missing);
    csrf::is_clicked_in_app(&context.request)
        || csrf::is_from_app(&context.request) && is_unmarked()
}

/// Returns true if this navigation may get a token. The mark must then end.
pub(super) async fn may_open(context: &RequestContext) -> bool {
    is_begun_by_app(context) || is_by_own_link(context).await
}

/// Returns true if the user has clicked on the link of [`ask_for_click`] in this browser, for this address.
async fn is_by_own_link(context: &RequestContext) -> bool {
    let is_near = context.request.site.is_none() || csrf::is_same_origin(&context.request);
    let (Some(click), Mark::Random(value), true) = (&context.click, mark(context), is_near) else {
        return false;
    };
    let purpose = purpose(&value, &context.url);
    seal::open(&context.task, &purpose, click).await.is_ok()
}

/// Returns the purpose to which the value of a link is bound: the browser's mark and the address.
fn purpose(mark: &str, url: &Url) -> String {
    ["click ", mark, " ", url.relative_without_fragment()].concat()
}

/// Builds a page that waits for the user's click on a link to a route.
pub(super) async fn ask_for_click(
    context: &RequestContext,
    status: u16,
    title: &str,
    url: &Url,
) -> OwnResponse {
    let (value, cookie) = marked(context);
    let purpose = purpose(&value, url);
    let mut href = url.without_fragment().to_owned();
    // Without the value, the link still works in browsers that send `Sec-Fetch-User`.
    if let Some(sealed) = seal::seal(&context.task, &purpose, Secret::default()).await {
        let has_query = strings::contains_byte(href.as_bytes(), b'?');
        href.push(if has_query { '&' } else { '?' });
        href.push_str(CLICK);
        href.push_str(&sealed);
    }
    if url.has_fragment() {
        href.push('#');
        href.push_str(url.fragment());
    }
    let mut response = response::link_page(status, title, &href, Some(url.relative()));
    response.cookies.extend(cookie);
    response
}

/// Builds the page that people see if a service worker has sent another request in place of their navigation. `path` is the
/// beginning of the addresses that the worker must leave to the browser.
pub(super) fn worker_page(context: &RequestContext, path: &str) -> OwnResponse {
    let message = msg!(
        "a script of the app, probably its service worker, requested an address that only the browser may open: the service worker must ignore addresses that begin with "
    );
    let message = [message, path].concat();
    context.task.fault_seldom(Seldom::Worker, &message);
    let body = [
        "<p>A script of this app requested this page instead of your browser. Reload the page while you hold the Shift key.</p><p>If you develop this app: its service worker must ignore these addresses. Begin its <code>fetch</code> listener with this line, or exclude the addresses in its configuration:</p><pre>if (new URL(event.request.url).pathname.startsWith('",
        &response::escaped(path),
        "')) return</pre>",
    ];
    let mut page = response::page(403, "This page could not be opened", "", &body.concat());
    let code = Code::CrossSiteRequest.as_str().to_owned();
    page.headers.push((marker::HANDLER_HEADER, code));
    page.code = Some(Code::CrossSiteRequest);
    page
}

/// Sends the browser to a path of the app, at the end of a login that did not begin in the app. A navigation that has the
/// user's click ends on a page with a link, because the app may redirect it to a route.
pub(super) fn to_app(context: &RequestContext, title: &str, path: &str) -> OwnResponse {
    if csrf::is_clicked_in_app(&context.request) {
        return response::link_page(200, title, path, Some(path));
    }
    response::redirect(path.to_owned())
}

/// Returns true if the browser may not have renewed the bound cookie before this navigation: the navigation came from
/// another origin, and has no bound cookie.
pub(super) fn may_lack_renewal(context: &RequestContext) -> bool {
    let bound = context.task.bound_cookie();
    let request = &context.request;
    bound.mode.is_enforced()
        && bound.value.is_none()
        && !bound.was_skipped
        && csrf::is_navigation(request)
        // Without Fetch Metadata, the repetition could not be recognized.
        && request.site.is_some()
        && !csrf::is_same_origin(request)
}

/// Returns a page that repeats a navigation to `address`, a page of the app, by `Refresh`. Returns `None` if no bound session
/// lacks its cookie, or if the navigation was repeated already. The repetition comes from the app's own origin, or from an
/// opaque origin in a sandboxed window. So a cookie for the address keeps the page from repeating itself without end. The page
/// sets the mark, because the navigation began elsewhere.
pub(super) async fn renewing_page(context: &RequestContext, address: &str) -> Option<OwnResponse> {
    if times_sent(context, address) > 0 {
        return None;
    }
    let session = context.presented().await.ok()??;
    let Err(Refusal::BoundCookieMissing { .. }) = bound::check(&context.task, &session) else {
        return None;
    };
    let mut page = response::link_page(200, "One moment", address, None);
    page.cookies.push(sent_cookie(context, address, 1));
    set_mark(context, &mut page);
    Some(page)
}

/// Returns how many times the handler has sent this browser to an address within [`REPEATED`]: 2 at most.
pub(super) fn times_sent(context: &RequestContext, address: &str) -> usize {
    let known = context.cookies().value(&context.jar().repeated());
    let is_known = |times: &usize| known == CookieValue::Value(sent_value(address, *times));
    (1..=2).find(is_known).unwrap_or_default()
}

/// Returns the cookie that remembers how many times the handler has sent the browser to an address.
pub(super) fn sent_cookie(context: &RequestContext, address: &str, times: usize) -> String {
    let jar = context.jar();
    jar.set_lax(&jar.repeated(), &sent_value(address, times), REPEATED)
}

/// Returns the hash of the whole address, repeated `times` times. A path that begins with two slashes would be another address.
fn sent_value(address: &str, times: usize) -> String {
    base64url::encode(&sha256(address.as_bytes())).repeat(times)
}
