//! Checks the requests that a vault sends, and the tokens in them.

use super::invariants::{IdTokenFacts, Invariant};
use super::jobs::{Job, Task};
use super::provider::{Endpoint, form_of};
use super::{REFRESH, World, invariants, plain, sockets};
use rules::Secret;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::json::Value;
use rules::oauth::dpop::UnsignedProof;

impl World {
    /// Checks that a request with a bound token, or for a bound token, has a proof that the token's key signed.
    pub(super) fn check_proof(
        &self,
        authorization: &str,
        key: Option<&str>,
        proof: Option<&UnsignedProof>,
    ) {
        if !self.uses_dpop || self.provider.ignores_dpop {
            return;
        }
        let has_scheme = authorization.starts_with("DPoP ");
        Invariant::Proven.holds_if(has_scheme, || {
            "a token is sent without its scheme".to_owned()
        });
        let by = proof.map(|proof| proof.key.as_str());
        Invariant::Proven.holds_if(by.is_some() && (key.is_none() || by == key), || {
            format!("by {by:?}, and the token is bound to {key:?}")
        });
    }

    /// Signs a proof, as the host does. The witness then checks that no page receives the proof.
    pub(super) fn sign(&mut self, proof: Option<&UnsignedProof>) -> Option<String> {
        let proof = self.keys[self.workers.turn].sign(proof?)?;
        self.witness.secret(&proof);
        Some(proof)
    }

    /// Checks that the vault may send the access token in `text` on a socket, if `text` contains a token.
    pub(super) fn check_token_in(&mut self, text: &str) {
        if let Some(token) = sockets::token_in(text) {
            let family = self.provider.family_of_access(token);
            let now = self.time_of(self.workers.turn);
            self.watch.call(self.workers.turn, token, family, &now);
        }
    }

    pub(super) fn check_request(&mut self, endpoint: Endpoint, request: &HttpRequest) {
        self.check_line(endpoint, request);
        let token = |request: &HttpRequest| {
            let token = request.access_token.as_ref();
            token.map(|token| token.expose().to_owned())
        };
        let is_same = |job: &Job| {
            job.vault == self.workers.turn
                && matches!(&job.task, Task::Send(_, other, _)
                if other.url == request.url && form_of(other) == form_of(request) && token(other) == token(request))
        };
        // A probe after a refresh and a probe after a pushed request may be in flight at the same time. All logins on another
        // device begin with the same request.
        let may_be_twice = matches!(endpoint, Endpoint::Probe | Endpoint::AskDevice);
        let is_single = may_be_twice || !self.jobs.pending.iter().any(is_same);
        Invariant::SingleFlight.holds_if(is_single, || {
            format!("{endpoint:?} receives the same request twice at once")
        });
        let form = form_of(request);
        self.check_account(endpoint, request);
        if let Some(token) = form.get("refresh_token").or_else(|| form.get("token")) {
            self.jobs
                .sent
                .entry(endpoint)
                .or_default()
                .push(token.clone());
        }
        let (Endpoint::Exchange | Endpoint::Refresh) = endpoint else {
            return;
        };
        let secret = form.get("refresh_token").unwrap_or_else(|| &form["code"]);
        let family = self.provider.family_of(secret);
        let key = family.and_then(|family| self.provider.key_of_family(family));
        self.check_proof("DPoP ", key, request.proof.as_ref());
        let is_of_family = |job: &&Job| match &job.task {
            Task::Send(_, other, _) if job.kind == REFRESH && !job.is_overtaken => {
                family.is_some()
                    && self.provider.family_of(&form_of(other)["refresh_token"]) == family
            }
            _ => false,
        };
        // A vault that could not store its last tokens keeps the lock, and may lose it without knowing that. It may then send a
        // token that was never stored. If the provider does not rotate tokens, this may be the stored token, which two vaults
        // can send without harm.
        let has_lost_lock = self.has_lost_lock(self.workers.turn);
        let in_flight = match has_lost_lock {
            true => 0,
            false => self.jobs.pending.iter().filter(is_of_family).count(),
        };
        let now = self.time_of(self.workers.turn);
        let from = (
            self.workers.turn,
            &now,
            self.is_lock_held_by(self.workers.turn) || has_lost_lock && !self.provider.rotates,
        );
        // What another server learns or says does not concern the provider.
        if !self.provider.has_left(request) {
            self.watch
                .token_request(endpoint, secret, family, in_flight, from);
        }
    }

    /// Checks that a request has only secrets of its vault's account.
    fn check_account(&self, endpoint: Endpoint, request: &HttpRequest) {
        let (sessions, turn) = (&self.watch.sessions, self.workers.turn);
        let form = form_of(request);
        let token = form.get("refresh_token").or_else(|| form.get("token"));
        let family = match &request.access_token {
            Some(token) => self.provider.family_of_access(token.expose()),
            None => token.and_then(|token| self.provider.family_of(token)),
        };
        sessions.acts_for(turn, family, || format!("{endpoint:?}"));
        if let Some(verifier) = form.get("code_verifier") {
            sessions.exchanges(turn, verifier);
        }
        if endpoint == Endpoint::Revoke && self.config.parsed.flow.forgets {
            sessions.revokes_shared(family);
        }
    }

    /// Records the provider's response. `true_time` is the time of the request by the provider's clock.
    pub(super) fn replied(
        &mut self,
        request: &HttpRequest,
        outcome: &Outcome,
        (asked_at, true_time): (Instant, UnixMillis),
    ) {
        if self.provider.has_left(request) {
            return self.watch.another_server_responded();
        }
        let endpoint = match self.provider.endpoint_of(request) {
            // A successful poll returns the same tokens as a code exchange.
            Endpoint::PollDevice => Endpoint::Exchange,
            endpoint => endpoint,
        };
        let form = form_of(request);
        let mut secrets = ["refresh_token", "code", "device_code"].iter();
        let secret = secrets.find_map(|name| form.get(*name));
        let sent = secret.map_or("", String::as_str);
        let family = self.provider.family_of(sent);
        let now = self.time_of(self.workers.turn);
        let requested = Instant {
            monotonic: asked_at.monotonic + Millis(self.workers.ahead[self.workers.turn]),
            wall: asked_at.wall,
        };
        let to = (self.workers.turn, &requested, &now);
        let is_for_target = form.contains_key("resource") || form.contains_key("audience");
        if is_for_target && invariants::is_refusal_of_target(outcome) {
            // The error concerns this resource and not the session (RFC 8707 section 2).
            return self.watch.refused_target(self.workers.turn, family);
        }
        if !self.provider.is_plain {
            self.watch
                .replied(endpoint, sent, family, outcome, to, true_time);
            if endpoint == Endpoint::Profile {
                self.profile_replied(request, outcome, &now);
            }
            return;
        }
        let outcome = plain::in_usual_form(outcome, endpoint);
        self.watch
            .replied(endpoint, sent, family, &outcome, to, true_time);
        if endpoint == Endpoint::Profile {
            return self.profile_replied(request, &outcome, &now);
        }
        // The response itself identifies the user, instead of a signed ID token.
        if let (Outcome::Reply(reply), Some(family)) = (&outcome, family)
            && self.provider.profile_url.is_none()
            && let Some(object) = plain::tokens(reply)
        {
            let user = object.str(&self.provider.sub_member);
            let facts = IdTokenFacts {
                family,
                is_login: endpoint == Endpoint::Exchange,
                ends_for: user
                    .filter(|user| *user != self.provider.subject_of(family))
                    .map(|_| "security"),
            };
            self.watch.verified(self.workers.turn, &facts, true, &now);
        }
    }

    /// Records the response of the profile address, which identifies the user after a login.
    fn profile_replied(&mut self, request: &HttpRequest, outcome: &Outcome, now: &Instant) {
        let token = request.access_token.as_ref().map_or("", Secret::expose);
        let Some(family) = self.provider.family_of_access(token) else {
            return;
        };
        let facts = IdTokenFacts {
            family,
            is_login: true,
            ends_for: None,
        };
        let is_profile = plain::object(outcome).is_some();
        self.watch
            .verified(self.workers.turn, &facts, is_profile, now);
    }

    /// Describes a request to the provider in words.
    pub(super) fn describe(&self, request: &HttpRequest) -> String {
        let endpoint = self.provider.endpoint_of(request);
        let form = form_of(request);
        match form.get("refresh_token").or_else(|| form.get("token")) {
            Some(token) => format!("{endpoint:?}, {}", self.provider.describe(token)),
            None => format!("{endpoint:?}"),
        }
    }

    /// Returns the refresh tokens that were sent to this endpoint, in order.
    pub fn refresh_tokens_sent_to(&self, endpoint: Endpoint) -> &[String] {
        self.jobs.sent.get(&endpoint).map_or(&[], Vec::as_slice)
    }

    /// Counts every token that was issued so far as consumed. A control then checks that the oracle notices.
    pub fn count_all_as_consumed(&mut self) {
        self.watch.count_as_dead(self.witness.secrets());
    }

    pub(super) fn learn_issued_secrets(&mut self) {
        for secret in self.provider.issued.drain(..) {
            self.witness.secret(&secret);
        }
    }

    pub(super) fn learn_secrets_of_login(&mut self, value: &Secret) {
        let login = Value::parse(value.expose()).unwrap();
        let login = login.as_object().unwrap();
        let verifier = login.str("code_verifier").unwrap();
        self.watch.sessions.began(self.workers.turn, verifier);
        self.witness.secret(verifier);
        self.witness.secret_in_requests(login.str("nonce").unwrap());
    }
}
