//! The provider's documents: its metadata and its key set.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::base::error::Result;
use crate::base::http::{HttpRequest, Outcome};
use crate::edge::provider::requests;
use crate::edge::task::{Task, boxed};
use crate::oauth::jwks::{Algorithm, Jwk, Jwks, SelectError};
use crate::oauth::metadata::{self, Metadata, Search};

/// The shortest age of the key set at which a token with an unknown key causes a new fetch. The limit exists because
/// anyone can send tokens with an unknown key.
const KEYS_MIN_AGE: Millis = Millis::from_secs(30);

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

/// Returns the provider's keys. The keys are fetched on first use, and again at the age [`KEYS_MAX_AGE`]. If `is_stale`
/// is true, the keys are fetched again unless they are younger than [`KEYS_MIN_AGE`].
async fn keys(task: &Task, is_stale: bool) -> Result<Rc<Jwks>> {
    if let Some((keys, fetched)) = &mut task.isolate().provider.borrow_mut().keys {
        let age = fetched.elapsed(&task.now());
        if age < KEYS_MIN_AGE || !is_stale && age < KEYS_MAX_AGE {
            return Ok(keys.clone());
        }
        // Set the time before the request. Otherwise, if the request fails, each token with an unknown key would cause
        // another request.
        *fetched = task.now();
    }
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
) -> Result<String> {
    let mut is_stale = false;
    loop {
        let keys = keys(task, is_stale).await?;
        match keys.select(algorithm, kid) {
            Ok(key) => return Ok(Jwk::public_json(key).to_owned()),
            Err(SelectError::Unknown) if !is_stale => is_stale = true,
            Err(error) => return Err(keys.explain(algorithm, kid, error)),
        }
    }
}

async fn document(task: &Task, what: &str, url: &str) -> Result<Secret> {
    let outcome = get(task, url, true).await;
    metadata::read_document(&outcome, what, url, NO_RESPONSE).map(Secret::from)
}

/// Requests a document. If `may_repeat` is true, requests it once more after a failure that may be over in a moment.
async fn get(task: &Task, url: &str, mut may_repeat: bool) -> Outcome {
    loop {
        let began = task.now();
        let outcome = requests::send(task, HttpRequest::get(url.to_owned()), None, None).await;
        if !may_repeat || !requests::pause_after(task, &outcome, &began).await {
            return outcome;
        }
        may_repeat = false;
    }
}

/// Loads the provider's metadata and keys. Does not fail if only the keys cannot be loaded.
pub(in crate::edge) async fn load(task: &Task) -> Result<()> {
    metadata(task).await?;
    if task.config().flow.has_openid() {
        let _ = keys(task, false).await;
    }
    Ok(())
}
