//! The provider's documents: its metadata and its key set.

use alloc::rc::Rc;
use core::pin::Pin;
use rules::prelude::*;

use crate::io::BEAT;
use crate::isolate::silence::Silence;
use crate::provider::requests;
use crate::store::lease;
use crate::task::{FlightGuard, Task, boxed};
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error, Result};
use rules::base::http::{HttpRequest, Outcome};
use rules::oauth::jwks::{Algorithm, Jwk, Jwks, SelectError};
use rules::oauth::metadata::{self, Metadata, Search};

/// The shortest age of the key set at which any token with an unknown key causes a new fetch. The limit exists because
/// anyone can send tokens with an unknown key. It is also the shortest time between two fetches of younger keys, which
/// only [`Sender::TokenEndpoint`] causes.
const KEYS_MIN_AGE: Millis = Millis::from_secs(30);

/// A request waits for this time for the fetch of another one while the provider does not respond.
const A_MOMENT: Millis = Millis::from_secs(1);

/// The end of the error message if there is no response.
const NO_RESPONSE: &str = msg!("no response");

/// The age at which the key set is fetched again, so a withdrawn key is no longer trusted.
const KEYS_MAX_AGE: Millis = Millis::from_secs(3600);

/// A document of the provider.
#[derive(Clone, Copy)]
enum Document {
    Metadata,
    Keys,
}

impl Document {
    /// Returns the name of the flight that fetches this document.
    const fn flight(self) -> &'static str {
        match self {
            Self::Metadata => "fetch metadata",
            Self::Keys => "fetch keys",
        }
    }

    /// Returns the result of `f`, which reads or changes the record of requests without a response.
    fn with_silence<T>(self, task: &Task, f: impl FnOnce(&mut Silence, &Instant) -> T) -> T {
        let provider = &mut task.isolate().provider.borrow_mut();
        let silence = match self {
            Self::Metadata => &mut provider.metadata_silence,
            Self::Keys => &mut provider.keys_silence,
        };
        f(silence, &task.now())
    }

    /// Returns true while the provider does not respond to requests for this document.
    fn is_silent(self, task: &Task) -> bool {
        let limit = task.config().flow.request_timeout;
        self.with_silence(task, |silence, now| silence.is_noted(now, limit))
    }

    /// Returns true if a request for this document may try a provider that does not respond.
    fn may_try(self, task: &Task) -> bool {
        self.with_silence(task, |silence, now| silence.may_try(now))
    }
}

/// Returns the provider's metadata, which is fetched on first use. Provisional metadata is fetched again after
/// [`KEYS_MIN_AGE`]: see [`Search::is_provisional`].
pub(crate) fn metadata(task: &Task) -> impl Future<Output = Result<Rc<Metadata>>> {
    metadata_for(task, Sender::TokenEndpoint)
}

/// Returns the provider's metadata for a token of this sender.
pub(crate) async fn metadata_for(task: &Task, sender: Sender) -> Result<Rc<Metadata>> {
    if let Some(metadata) = known_metadata(task) {
        return Ok(metadata);
    }
    let is_known = |task: &Task| known_metadata(task).is_some();
    let fetch = boxed(search(task));
    let fetched = boxed(share(task, Document::Metadata, sender, is_known, fetch)).await;
    // Without a response, provisional metadata remains in use.
    match known_metadata(task) {
        Some(metadata) => Ok(metadata),
        None => Err(fetched.err().unwrap_or_else(failed_for_another)),
    }
}

/// Waits for the fetch of this document that another request has begun, or calls `fetch`. After a fetch that has failed,
/// only a token of the token endpoint causes another one: otherwise each of many forged tokens would cause a request in
/// an outage of the provider. Returns true if `fetch` was called.
async fn share(
    task: &Task,
    document: Document,
    sender: Sender,
    is_known: fn(&Task) -> bool,
    fetch: Pin<Box<dyn Future<Output = Result<()>> + '_>>,
) -> Result<bool> {
    if await_flight(task, document).await {
        if is_known(task) {
            return Ok(false);
        }
        if sender == Sender::Unknown {
            return Err(failed_for_another());
        }
    }
    let _flight = begin_flight(task, document)?;
    fetch.await?;
    Ok(true)
}

/// Begins the flight in which this task fetches a document.
///
/// # Errors
/// [`Code::ProviderUnavailable`] if the provider does not respond, and another request has tried it a moment ago.
fn begin_flight(task: &Task, document: Document) -> Result<FlightGuard> {
    if document.is_silent(task) {
        if !document.may_try(task) {
            let why = msg!("the provider does not respond; another request is trying it");
            return Err(Error::new(Code::ProviderUnavailable, why));
        }
        let [jitter] = task.isolate().random();
        document.with_silence(task, |silence, now| silence.tries(now, jitter));
    }
    Ok(FlightGuard::begin(task.clone(), document.flight()))
}

/// Returns the metadata, unless it is missing or must be fetched again.
fn known_metadata(task: &Task) -> Option<Rc<Metadata>> {
    let now = task.now();
    let provider = &mut task.isolate().provider.borrow_mut();
    let is_old = |since: &mut Instant| since.elapsed(&now) >= KEYS_MIN_AGE;
    if provider.provisional_since.take_if(is_old).is_some() {
        return None;
    }
    provider.metadata.clone()
}

/// Waits for a fetch of this document that another request has begun, but not longer than a request may take. While the
/// provider does not respond, waits for at most [`A_MOMENT`], and not at all if this request may try it. Returns false if
/// no request has begun a fetch.
///
/// The task that waits may be a flight itself, and a flight without a step counts as dropped. So the wait has a step at
/// each [`BEAT`].
async fn await_flight(task: &Task, document: Document) -> bool {
    let began = task.now();
    let flight = |task: &Task| {
        let cache = task.isolate().session_cache.borrow();
        cache.flight(document.flight(), &task.now())
    };
    let Some(mut awaited) = flight(task) else {
        return false;
    };
    let longest = task.config().flow.request_timeout;
    // The number of steps is limited, too, because a host's clock may stand still.
    for _ in 0..longest.0.div_ceil(BEAT.0) {
        let is_silent = document.is_silent(task);
        let limit = if is_silent {
            A_MOMENT.min(longest)
        } else {
            longest
        };
        let left = limit.saturating_sub(began.elapsed(&task.now()));
        let Some(current) = flight(task) else {
            break;
        };
        // The client of the awaited fetch may have disconnected, and another request has begun the next one.
        let is_over =
            current != awaited && !document.with_silence(task, |known, _| known.is_open());
        if is_over || left == Millis::ZERO || is_silent && document.may_try(task) {
            break;
        }
        awaited = current;
        task.sleep(Some(awaited), left.min(BEAT)).await;
        // A flight that refreshes may have its new tokens already, and waits for the keys of their ID token.
        boxed(lease::renew(task)).await;
    }
    true
}

fn failed_for_another() -> Error {
    let why = msg!("the provider's documents could not be fetched a moment ago");
    Error::new(Code::ProviderUnavailable, why)
}

/// Searches for the metadata. If it cannot be found, provisional metadata remains in use.
async fn search(task: &Task) -> Result<()> {
    let began = task.now();
    let flow = &task.config().flow;
    let expected = flow.expected_metadata();
    let mut search = Search::default();
    let found = loop {
        let url = search.url(expected.issuer);
        let outcome = get(task, Document::Metadata, &url, search.is_at_start()).await;
        // A request must not wait for the time limit at each location.
        let may_continue = began.elapsed(&task.now()) < flow.request_timeout
            && !Document::Metadata.is_silent(task);
        if let Some(found) = search.read(&outcome, &expected, &url, NO_RESPONSE, may_continue) {
            break found;
        }
    };
    if let Ok(Some(flaws)) = found.as_ref().map(|found| found.warning()) {
        task.fault(&flaws);
    }
    let provider = &mut task.isolate().provider.borrow_mut();
    provider.requested = Some(task.now());
    if search.is_provisional {
        provider.provisional_since = Some(task.now());
    }
    match found {
        Ok(metadata) => provider.set_metadata(metadata.into()),
        Err(error) if provider.metadata.is_none() => return Err(error),
        Err(_) => {}
    }
    Ok(())
}

/// Lets metadata and keys be fetched again at their next use, unless the metadata was requested within the last
/// [`KEYS_MIN_AGE`] or is in the configuration. Returns true if they will be fetched. The limit exists because anyone
/// can send a token with another algorithm.
pub(crate) fn expire(task: &Task) -> bool {
    let now = task.now();
    let provider = &mut *task.isolate().provider.borrow_mut();
    let is_old = |since: &mut Instant| since.elapsed(&now) >= KEYS_MIN_AGE;
    if provider.requested.take_if(is_old).is_none() {
        return false;
    }
    // Set the time before the request, for the tokens that arrive meanwhile.
    provider.requested = Some(now);
    // The keys are fetched again for an unknown key only. Otherwise anyone could make this isolate forget them, and a
    // refresh during an outage would not be able to verify its ID token.
    provider.provisional_since = Some(Instant::default());
    true
}

/// Returns the algorithm of the ID token that this isolate has verified last.
pub(crate) fn id_token_algorithm(task: &Task) -> Option<Algorithm> {
    task.isolate().provider.borrow().id_token_algorithm
}

/// Remembers the algorithm of the ID token that this isolate has verified last, or forgets it.
pub(crate) fn set_id_token_algorithm(task: &Task, algorithm: Option<Algorithm>) {
    task.isolate().provider.borrow_mut().id_token_algorithm = algorithm;
}

/// The sender of a signed token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The provider's token endpoint, in exchange for a valid code or refresh token.
    TokenEndpoint,
    /// Anyone.
    Unknown,
}

/// Returns the provider's keys, and true if this token has caused their fetch. The keys are fetched on first use, by one
/// request for all tokens that need them, and again at the age [`KEYS_MAX_AGE`].
async fn keys(task: &Task, sender: Sender) -> Result<(Rc<Jwks>, bool)> {
    if let Some(keys) = known_keys(task) {
        return Ok((keys, false));
    }
    let is_known = |task: &Task| known_keys(task).is_some();
    let fetch = boxed(fetch_keys(task, sender));
    let is_new = boxed(share(task, Document::Keys, sender, is_known, fetch)).await?;
    let keys = known_keys(task).ok_or_else(failed_for_another)?;
    // A tenant's keys do not count as new, because the host may have fetched them for another tenant a moment ago.
    Ok((keys, is_new && task.config().tenant.is_empty()))
}

/// Returns the keys, unless they are missing or too old.
fn known_keys(task: &Task) -> Option<Rc<Jwks>> {
    let provider = &mut task.isolate().provider.borrow_mut();
    let (keys, fetched) = provider.keys.as_mut()?;
    if fetched.elapsed(&task.now()) < KEYS_MAX_AGE {
        return Some(keys.clone());
    }
    // Set the time before the request, so that one failure does not cause a request for each token.
    *fetched = task.now();
    None
}

/// Returns the keys for a token whose key is not in `known`. Waits for a fetch that another such token has caused, or
/// fetches the keys unless [`may_fetch_again`] forbids it.
async fn newer_keys(task: &Task, known: Rc<Jwks>, sender: Sender) -> Result<Rc<Jwks>> {
    if await_flight(task, Document::Keys).await
        && let Some((keys, _)) = &task.isolate().provider.borrow().keys
        && !Rc::ptr_eq(keys, &known)
    {
        return Ok(keys.clone());
    }
    if !may_fetch_again(task, sender) {
        return Ok(known);
    }
    let _flight = begin_flight(task, Document::Keys)?;
    boxed(fetch_keys(task, sender)).await?;
    Ok(known_keys(task).unwrap_or(known))
}

/// Returns true if a token with an unknown key may cause a fetch, and remembers the fetch.
///
/// An ID token of the token endpoint may be signed with a key that the provider began to use a moment ago, so it may
/// also replace keys younger than [`KEYS_MIN_AGE`]. If the key is not published at all, each login would cause a fetch.
/// So such fetches are at least [`KEYS_MIN_AGE`] apart.
fn may_fetch_again(task: &Task, sender: Sender) -> bool {
    let now = task.now();
    let is_recent = |since: &Instant| since.elapsed(&now) < KEYS_MIN_AGE;
    let provider = &mut *task.isolate().provider.borrow_mut();
    if let Some((_, fetched)) = &mut provider.keys {
        if is_recent(fetched) {
            let early = &mut provider.fetched_early;
            if sender != Sender::TokenEndpoint || early.as_ref().is_some_and(is_recent) {
                return false;
            }
            *early = Some(now);
        }
        // Set the time before the request. Otherwise, if the request fails, each token with an unknown key would cause
        // another request.
        *fetched = now;
    }
    true
}

async fn fetch_keys(task: &Task, sender: Sender) -> Result<()> {
    let metadata = metadata_for(task, sender).await?;
    let outcome = get(task, Document::Keys, &metadata.jwks_uri, true).await;
    let text = metadata::read_document(&outcome, msg!("key set"), &metadata.jwks_uri, NO_RESPONSE)?;
    let keys = Rc::new(Jwks::parse(text)?);
    task.isolate().provider.borrow_mut().keys = Some((keys, task.now()));
    Ok(())
}

/// Returns the public key for this algorithm and key ID, as a JWK. Fails if the key set has no such key, or more than
/// one.
pub(crate) async fn key(
    task: &Task,
    algorithm: Algorithm,
    kid: Option<&str>,
    sender: Sender,
) -> Result<String> {
    let (mut keys, is_new) = keys(task, sender).await?;
    if !is_new && let Err(SelectError::Unknown) = keys.select(algorithm, kid) {
        keys = boxed(newer_keys(task, keys, sender)).await?;
    }
    match keys.select(algorithm, kid) {
        Ok(key) => Ok(Jwk::public_json(key).to_owned()),
        Err(error) => Err(keys.explain(algorithm, kid, error)),
    }
}

/// Requests a document. If `may_repeat` is true, requests it once more after a failure that may be over in a moment.
async fn get(task: &Task, document: Document, url: &str, may_repeat: bool) -> Outcome {
    let send = || boxed(send(task, document, url));
    requests::repeated(task, may_repeat, &send).await
}

/// Requests a document, and notes whether the provider responds.
async fn send(task: &Task, document: Document, url: &str) -> Outcome {
    let began = task.now();
    let limit = task.config().flow.request_timeout;
    document.with_silence(task, |silence, now| silence.sent(now, limit));
    let outcome = requests::send(task, HttpRequest::get(url.to_owned()), None, None).await;
    document.with_silence(task, |silence, now| match outcome {
        Outcome::Reply(_) => silence.end(),
        _ => silence.failed(now, began.elapsed(now), limit),
    });
    outcome
}

/// Loads the provider's metadata and keys. Does not fail if only the keys cannot be loaded.
pub(crate) async fn load(task: &Task) -> Result<()> {
    metadata(task).await?;
    if task.config().flow.has_openid() {
        let _ = keys(task, Sender::TokenEndpoint).await;
    }
    Ok(())
}
