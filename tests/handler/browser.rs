//! A simulated browser. It follows the cookie rules (RFC 6265bis) on which the handler depends.

/// The page or site that caused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A page of the app, without the user's click, or in a browser that does not tell about clicks.
    App,
    /// The user's click in a page of the app.
    Click,
    /// A navigation that another site started.
    CrossSite,
    /// A navigation that the browser began, such as a typed address. Redirects by other sites do not change this source.
    Browser,
}

/// A stored cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) attributes: Vec<String>,
}

/// The cookies of one browser, in the order of their creation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser(pub(crate) Vec<Cookie>);

impl Browser {
    /// Stores the cookie of a `Set-Cookie` header.
    pub(crate) fn set(&mut self, header: &str) {
        let mut parts = header.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes: Vec<String> = parts.map(str::to_owned).collect();
        assert!(name.len() + value.len() <= 4096, "{name} is too long");
        if name.starts_with("__Host-") {
            assert!(attributes.contains(&"Secure".to_owned()), "{header}");
            assert!(attributes.contains(&"Path=/".to_owned()), "{header}");
        }
        let cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            attributes,
        };
        let place = self.0.iter().position(|known| known.name == name);
        match (place, cookie.is_over()) {
            (Some(place), true) => drop(self.0.remove(place)),
            (Some(place), false) => self.0[place] = cookie,
            (None, true) => {}
            (None, false) => self.0.push(cookie),
        }
    }

    /// Returns the `Cookie` header of a request from this source, or `None` if the browser sends no cookie.
    pub(crate) fn header(&self, from: Source) -> Option<String> {
        let is_sent = |cookie: &&Cookie| {
            from != Source::CrossSite || cookie.attributes.contains(&"SameSite=Lax".to_owned())
        };
        let sent = self.0.iter().filter(is_sent);
        let pairs: Vec<String> = sent.map(|c| format!("{}={}", c.name, c.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Removes the cookie with this name, as at the end of its life.
    pub(crate) fn lose(&mut self, name: &str) {
        self.0.retain(|cookie| cookie.name != name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Cookie> {
        self.0.iter().find(|cookie| cookie.name == name)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|cookie| cookie.name.as_str()).collect()
    }

    /// Returns the number of cookies whose names start with `beginning`, without the cookies that say that the user is
    /// signed out, and that a login began outside the app.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        let names = self.names();
        names
            .iter()
            .filter(|name| name.starts_with(beginning))
            .filter(|name| !name.ends_with("-left") && !name.ends_with("-outside"))
            .count()
    }
}

impl Cookie {
    fn is_over(&self) -> bool {
        self.attributes.contains(&"Max-Age=0".to_owned())
    }
}
