//! Checks `Cookie` headers. The token handler must find the same session cookie as a simple parser, must ignore cookies
//! with the same name, and must not copy anything to `Set-Cookie` except the name of a login's cookie.

use edge::{Config, Effect, Handler, OwnResponse, Reply, Request, Response, Step};
use rules::base::clock::{Instant, Millis};
use rules::codec::base64url;
use std::sync::LazyLock;
use vault::Entropy;

const SESSION: &str = "__Host-strongroom";

const NOW: Instant = Instant {
    monotonic: Millis(5_000_000),
    wall: 1_800_000_000_000,
};

static CONFIG: LazyLock<String> = LazyLock::new(|| {
    r#"{"issuer":"https://id.example.com","client":{"id":"web","auth":{"method":"none"}},
        "cookie":{"keys":["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]},
        "metadata":{"issuer":"https://id.example.com",
        "authorization_endpoint":"https://id.example.com/authorize",
        "token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/jwks"}}"#
        .to_owned()
});

pub(crate) struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

pub(crate) fn handler() -> Handler {
    Handler::new(Config::parse(&CONFIG).unwrap(), Box::new(Zeros))
}

/// Runs a request until the handler responds. `carry_out` performs the handler's effects.
pub(crate) fn answer(request: Request, mut carry_out: impl FnMut(Effect) -> Reply) -> OwnResponse {
    let mut handler = handler();
    let (id, mut step) = handler.begin(NOW, request);
    loop {
        match step {
            Step::Do(effect) => step = handler.resume(NOW, id, carry_out(effect)),
            Step::Done(Response::Own(response)) => return response,
            Step::Done(_) => panic!("not answered by the handler"),
        }
    }
}

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let mut opened = Vec::new();
    let request = Request {
        method: "GET".to_owned(),
        url: "https://app.example.com/auth/session".to_owned(),
        cookie: Some(text.to_owned()),
        marker: Some("1".to_owned()),
        ..Request::default()
    };
    let response = answer(request, |effect| match effect {
        Effect::Open { sealed, .. } => {
            opened.push(sealed);
            Reply::Opened(None)
        }
        other => panic!("{other:?} for a cookie that does not open"),
    });
    assert_eq!(response.status, 200);
    assert_eq!(response.body.unwrap().1, r#"{"session":null}"#);
    assert!(response.cookies.is_empty());
    let found = session(text);
    assert!(opened.len() <= 1);
    for sealed in &opened {
        let found = found.as_ref().expect("a sealed cookie is a session cookie");
        let body = found.split('.').nth(2).unwrap();
        assert_eq!(base64url::encode(sealed), body);
    }
    nothing_else_is_written_back(text);
}

/// Returns the session cookie that a simple parser finds, or `None` if the header has no complete session cookie.
fn session(header: &str) -> Option<String> {
    let pairs: Vec<(&str, &str)> = header
        .split(';')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.trim_ascii(), value.trim_ascii()))
        .collect();
    let one = |name: &str| {
        let mut of_name = pairs.iter().filter(|(known, _)| *known == name);
        let (_, value) = of_name.next()?;
        of_name.next().is_none().then_some(*value)
    };
    let first = one(SESSION)?;
    let Some((count, beginning)) = first.split_once('~') else {
        return Some(first.to_owned());
    };
    let count: usize = count.parse().ok().filter(|count| (2..=5).contains(count))?;
    let mut whole = beginning.to_owned();
    for i in 1..count {
        whole.push_str(one(&format!("{SESSION}.{i}"))?);
    }
    Some(whole)
}

fn nothing_else_is_written_back(text: &str) {
    let request = Request {
        method: "GET".to_owned(),
        url: "https://app.example.com/auth/login".to_owned(),
        cookie: Some(text.to_owned()),
        mode: Some("navigate".to_owned()),
        ..Request::default()
    };
    let response = answer(request, |effect| match effect {
        Effect::Seal { .. } => Reply::Sealed(vec![0; 40]),
        Effect::Sleep { .. } => Reply::Waited,
        other => panic!("{other:?} for a login"),
    });
    assert_eq!(response.status, 303);
    for cookie in &response.cookies {
        let (name, rest) = cookie.split_once('=').unwrap();
        assert!(name.starts_with("__Host-strongroom-login-"), "{cookie}");
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b))
        );
        let (value, attributes) = rest.split_once(';').unwrap();
        let age = if value.is_empty() { 0 } else { 600 };
        let expected = format!(" Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age={age}");
        assert_eq!(attributes, expected, "{cookie}");
        assert!(value.is_empty() || value.starts_with("1."), "{cookie}");
    }
}
