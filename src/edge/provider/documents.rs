//! The provider's documents: its metadata and its key set.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::base::error::Result;
use crate::base::http::{HttpRequest, Outcome};
use crate::edge::provider::requests;
use crate::edge::task::{FlightGuard, Task, boxed};
use crate::oauth::jwks::{Algorithm, Jwk, Jwks, SelectError};
use crate::oauth::metadata::{self, Metadata, Search};

/// The shortest age of the key set at which any token with an unknown key causes a new fetch. The limit exists because
/// anyone can send tokens with an unknown key. It is also the shortest time between two fetches of younger keys, which
/// only [`Sender::TokenEndpoint`] causes.
const KEYS_MIN_AGE: Millis = Millis::from_secs(30);

/// The name of the flight that fetches the keys again.
const KEYS_FLIGHT: &str = "fetch keys";

/// The end of the error message if there is no response.
const NO_RESPONSE: &str = msg!("no response");

/// The age at which the key set is fetched again, so a withdrawn key is no longer trusted.
const KEYS_MAX_AGE: Millis = Millis::from_secs(3600);

/// Returns the provider's metadata, which is fetched on first use. Provisional metadata is fetched again after
/// [`KEYS_MIN_AGE`]: see [`Search::is_provisional`].
pub(in crate::edge) async fn metadata(task: &Task) -> Result<Rc<Metadata>> {
    let now = task.now();
    {
        let provider = &mut task.isolate().provider.borrow_mut();
        let is_old = |since: &Instant| since.elapsed(&now) >= KEYS_MIN_AGE;
        let since = &mut provider.provisional_since;
        if since.take_if(|since| is_old(since)).is_none()
            && let Some(metadata) = &provider.metadata
        {
            return Ok(metadata.clone());
        }
    }
    boxed(search(task)).await
}

/// Searches for the metadata. If it cannot be found, provisional metadata remains in use.
async fn search(task: &Task) -> Result<Rc<Metadata>> {
    let began = task.now();
    let flow = &task.config().flow;
    let expected = flow.expected_metadata();
    let mut search = Search::default();
    let found = loop {
        let url = search.url(expected.issuer);
        let outcome = get(task, &url, search.is_at_start()).await;
        // A request must not wait for the time limit at each location.
        let may_continue = began.elapsed(&task.now()) < flow.request_timeout;
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
    match (found, &provider.metadata) {
        (Ok(metadata), _) => {
            let metadata: Rc<Metadata> = metadata.into();
            provider.set_metadata(metadata.clone());
            Ok(metadata)
        }
        (Err(_), Some(known)) => Ok(known.clone()),
        (Err(error), None) => Err(error),
    }
}

/// Lets metadata and keys be fetched again at their next use, unless the metadata was requested within the last
/// [`KEYS_MIN_AGE`] or is in the configuration. Returns true if they will be fetched. The limit exists because anyone
/// can send a token with another algorithm.
pub(in crate::edge) fn expire(task: &Task) -> bool {
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
pub(in crate::edge) fn id_token_algorithm(task: &Task) -> Option<Algorithm> {
    task.isolate().provider.borrow().id_token_algorithm
}

/// Remembers the algorithm of the ID token that this isolate has verified last, or forgets it.
pub(in crate::edge) fn set_id_token_algorithm(task: &Task, algorithm: Option<Algorithm>) {
    task.isolate().provider.borrow_mut().id_token_algorithm = algorithm;
}

/// The sender of a signed token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum Sender {
    /// The provider's token endpoint, in exchange for a valid code or refresh token.
    TokenEndpoint,
    /// Anyone.
    Unknown,
}

/// Returns the provider's keys, and true if they were fetched now. The keys are fetched on first use, and again at the
/// age [`KEYS_MAX_AGE`].
async fn keys(task: &Task) -> Result<(Rc<Jwks>, bool)> {
    if let Some((keys, fetched)) = &mut task.isolate().provider.borrow_mut().keys {
        if fetched.elapsed(&task.now()) < KEYS_MAX_AGE {
            return Ok((keys.clone(), false));
        }
        // Set the time before the request, so that one failure does not cause a request for each token.
        *fetched = task.now();
    }
    Ok((fetch_keys(task).await?, true))
}

/// Returns the keys for a token whose key is not in `known`. Waits for a fetch that another such token has caused, or
/// fetches the keys unless [`may_fetch_again`] forbids it.
async fn newer_keys(task: &Task, known: Rc<Jwks>, sender: Sender) -> Result<Rc<Jwks>> {
    let now = task.now();
    let flight = task
        .isolate()
        .session_cache
        .borrow()
        .flight(KEYS_FLIGHT, &now);
    if flight.is_some() {
        task.sleep(flight, task.config().flow.request_timeout).await;
        if let Some((keys, _)) = &task.isolate().provider.borrow().keys
            && !Rc::ptr_eq(keys, &known)
        {
            return Ok(keys.clone());
        }
    }
    if !may_fetch_again(task, sender) {
        return Ok(known);
    }
    let _flight = FlightGuard::begin(task.clone(), KEYS_FLIGHT);
    fetch_keys(task).await
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

async fn fetch_keys(task: &Task) -> Result<Rc<Jwks>> {
    let metadata = metadata(task).await?;
    let text = document(task, msg!("key set"), &metadata.jwks_uri).await?;
    let keys = Rc::new(Jwks::parse(text.expose())?);
    task.isolate().provider.borrow_mut().keys = Some((keys.clone(), task.now()));
    Ok(keys)
}

/// Returns the public key for this algorithm and key ID, as a JWK. Fails if the key set has no such key, or more than
/// one.
pub(in crate::edge) async fn key(
    task: &Task,
    algorithm: Algorithm,
    kid: Option<&str>,
    sender: Sender,
) -> Result<String> {
    let (mut keys, is_new) = keys(task).await?;
    if !is_new && let Err(SelectError::Unknown) = keys.select(algorithm, kid) {
        keys = boxed(newer_keys(task, keys, sender)).await?;
    }
    match keys.select(algorithm, kid) {
        Ok(key) => Ok(Jwk::public_json(key).to_owned()),
        Err(error) => Err(keys.explain(algorithm, kid, error)),
    }
}

async fn document(task: &Task, what: &str, url: &str) -> Result<Secret> {
    let outcome = get(task, url, true).await;
    metadata::read_document(&outcome, what, url, NO_RESPONSE).map(Secret::from)
}

/// Requests a document. If `may_repeat` is true, requests it once more after a failure that may be over in a moment.
async fn get(task: &Task, url: &str, may_repeat: bool) -> Outcome {
    let send = || requests::send(task, HttpRequest::get(url.to_owned()), None, None);
    if may_repeat {
        requests::repeated(task, send).await
    } else {
        send().await
    }
}

/// Loads the provider's metadata and keys. Does not fail if only the keys cannot be loaded.
pub(in crate::edge) async fn load(task: &Task) -> Result<()> {
    metadata(task).await?;
    if task.config().flow.has_openid() {
        let _ = keys(task).await;
    }
    Ok(())
}
