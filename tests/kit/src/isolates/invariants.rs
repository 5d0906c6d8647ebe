//! What must hold whatever goes wrong, and in whatever order.

use crate::rules::invariants;

invariants! {
    Consumed = "isolates_consumed",
        "no isolate sends a refresh token that it could know to be consumed, and the provider meets a consumed one only if its successor was really lost";
    SingleFlight = "isolates_single_flight",
        "as long as an intent has not run out, nobody else sends its refresh token, and a holder that reaches the coordinator keeps it from running out";
    Serves = "isolates_serves",
        "as long as the access token is valid the request is served, whatever coordinator and provider do";
    Later = "isolates_later",
        "without a valid access token the answer is 503 with Retry-After, or that the provider wants the user, and nothing else of a session that is not over";
    DefiniteEnd = "isolates_definite_end",
        "a session ends by a logout, by the provider, by a limit or by a replayed cookie, and by nothing else; nor is its cookie taken away";
    Grace = "isolates_grace",
        "a cookie is good until a later one was presented, and for the grace period after that";
    Replay = "isolates_replay",
        "a cookie that was replaced longer ago than the grace period ends the session";
    EndStays = "isolates_end_stays",
        "a session that is over is over in every isolate that asks the coordinator again, and is asked for after the recheck period at the latest";
    Settles = "isolates_settles",
        "every request is answered within a bounded time";
    Prompt = "isolates_prompt",
        "a request with a valid access token waits for no other request's refresh, and is answered within a short bounded time";
    Expired = "isolates_expired",
        "no isolate sends an API an access token that has expired";
    Withdrawn = "isolates_withdrawn",
        "a refresh that is over leaves no intent in the record";
    Refused = "isolates_refused",
        "after invalid_grant the record has the end and the operator was told, unless the record has the successor";
    Secrecy = "isolates_secrecy",
        "nothing secret is in an event, nor in an answer";
    Told = "isolates_told",
        "the operator is told of the end of a session once";
    Recovery = "isolates_recovery",
        "after the last fault every session that the provider still honours is served again";
    Sanity = "isolates_sanity",
        "no isolate panics";
}
