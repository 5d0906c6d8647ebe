//! The header `X-Strongroom`. With it, scripts of the app mark their requests and say if the user caused them; the handler
//! marks its own errors.

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
}

/// Returns true for background requests, which do not count as activity of the user.
pub(super) fn is_background(request: &Request) -> bool {
    request.marker.as_deref() == Some(BACKGROUND)
}
