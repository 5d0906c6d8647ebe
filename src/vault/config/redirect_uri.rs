//! The option `redirectUri`.

use rules::codec::url::{self, Url};
use rules::config::Options;
use rules::config::reader::NOT_HTTPS;
use rules::prelude::*;

/// The option `redirectUri`.
pub(crate) struct RedirectUri {
    pub(crate) url: Url,
    /// True if the URL is not on the origin that serves the worker file.
    pub(crate) is_elsewhere: bool,
}

impl RedirectUri {
    /// Reads the option. `base` is the worker's address.
    pub(super) fn read(options: &Options<'_>, base: Url) -> Self {
        const OPTION: &str = "redirectUri";
        const WHY: &str = msg!(
            "it must be a URL, or a path such as '/callback' on the worker's origin, without fragment"
        );
        let is_custom = options.boolean("customLogin");
        let text = options.text(OPTION, WHY);
        // `callback` would be a path in the folder of the worker's file.
        let is_explicit = text.starts_with(['/', '.']) || text.contains(':');
        let url = Url::parse_with_base(text, &base)
            .filter(|url| is_explicit && !url.has_fragment() && !url.has_userinfo());
        let Some(url) = url else {
            options.refuse(OPTION, WHY);
            return Self {
                url: base,
                is_elsewhere: false,
            };
        };
        if !(url.is_trustworthy() || is_custom && url.is_private_use()) {
            options.refuse(OPTION, NOT_HTTPS);
        }
        let is_elsewhere = !url.is_same_origin(&base);
        if is_elsewhere && !is_custom {
            let is_local = url::is_loopback_http(url.href()) && url::is_loopback_http(base.href());
            let opened = [
                msg!("the app was opened at "),
                url::origin(base.href()),
                msg!(
                    ", which is another origin for browsers: open it at the address in this option, or change the option (an app in Electron, Tauri or Capacitor can set customLogin: true)"
                ),
            ]
            .concat();
            let why = if is_local {
                opened.as_str()
            } else {
                msg!(
                    "it must be on the origin that serves the worker file, or the response goes to a page that cannot reach the vault (an app in a shell can set customLogin: true)"
                )
            };
            options.refuse(OPTION, why);
            return Self {
                url: base,
                is_elsewhere: false,
            };
        }
        Self { url, is_elsewhere }
    }
}
