//! The header `X-Strongroom`. With it, scripts of the app mark their requests and say if the user caused them, and a logout
//! names its session; the handler marks its own errors.

use crate::io::Request;

/// The header that marks requests of the app's scripts, and errors of the handler itself.
pub const HANDLER_HEADER: &str = "x-strongroom";

/// Value of `X-Strongroom` for requests that the user caused.
const USER: &str = "1";

/// Value of `X-Strongroom` for background requests, which do not extend the idle timeout.
const BACKGROUND: &str = "background";

/// Returns true for requests that scripts of the app have marked. A form cannot set headers, and a script of another origin
/// needs a CORS preflight, which the handler never grants.
pub(super) fn is_script(request: &Request) -> bool {
    let marker = request.marker.as_deref();
    marker.is_some_and(|marker| marker == USER || marker == BACKGROUND)
        || named_session(request).is_some()
}

/// Returns the time at which the session of a logout began, as the page has read it. The value is `1`, a space, and this
/// time: a handler that does not know the second part refuses the request, and ends no other session.
pub(super) fn named_session(request: &Request) -> Option<&str> {
    request
        .marker
        .as_deref()?
        .strip_prefix(USER)?
        .strip_prefix(' ')
}

/// Returns true for background requests, which do not count as activity of the user.
pub(super) fn is_background(request: &Request) -> bool {
    request.marker.as_deref() == Some(BACKGROUND)
}
