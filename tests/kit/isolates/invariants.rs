//! Invariants of isolates, for all faults and all orders of events.

kit::invariants! {
    Consumed = "isolates_consumed",
        "no isolate sends a refresh token that it could know to be consumed, and the provider receives a consumed one only if its successor was really lost";
    SingleFlight = "isolates_single_flight",
        "while an intent is valid, no other isolate sends its refresh token, and a holder that reaches the coordinator renews it in time";
    Serves = "isolates_serves",
        "a request with a valid access token is served, whatever coordinator and provider do";
    Later = "isolates_later",
        "without a valid access token, a live session gets 503 with Retry-After or interaction_required, and nothing else";
    DefiniteEnd = "isolates_definite_end",
        "only a logout, the provider, a limit or a replayed cookie ends a session or deletes its cookie";
    Grace = "isolates_grace",
        "a cookie is valid until a later one is presented, and for the grace period after that";
    Replay = "isolates_replay",
        "a cookie that was replaced before the grace period ends the session";
    EndStays = "isolates_end_stays",
        "an ended session has ended in every isolate that reads its record again, at the latest after the recheck period";
    Heeded = "isolates_heeded",
        "after a 503 response with Retry-After, an isolate starts no refresh of any session before the time has passed";
    Answered = "isolates_answered",
        "every request is answered within a bounded time";
    Prompt = "isolates_prompt",
        "a request with a valid access token does not wait for another request's refresh, and is answered within a short bounded time";
    Expired = "isolates_expired",
        "no isolate sends an expired access token to an API";
    Withdrawn = "isolates_withdrawn",
        "a completed refresh leaves no intent in the record";
    Refused = "isolates_refused",
        "after invalid_grant the end is in the record and was reported to the operator, unless the record has the successor or another request has ended the session";
    Secrecy = "isolates_secrecy",
        "no event and no response contains a secret";
    Told = "isolates_told",
        "each end of a session is reported to the operator once";
    Copied = "isolates_copied",
        "a request of a session that is bound, or must be bound by now, has no effect without a valid bound cookie, and no copy of both cookies works for longer than eleven minutes";
    Owner = "isolates_owner",
        "a browser with the key of its session always gets the next bound cookie, and no request with a valid one is refused for it";
    Binding = "isolates_binding",
        "a binding stays in the session's record, and a second key ends the session";
    Recovery = "isolates_recovery",
        "after the last fault, every session that the provider still accepts is served again";
    Sanity = "isolates_sanity",
        "no isolate panics";
}
