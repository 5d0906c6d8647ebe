//! The calls in flight, sockets among them.

pub(super) mod socket;

use crate::api_warnings::ApiWarnings;
use crate::call_list::socket::Socket;
use crate::context::Context;
use crate::io::{Body, CallId, Output, PortId, RequestId};
use crate::line::Exchange;
use crate::message::message;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error, Result};
use rules::base::list::{self, List};
use rules::egress::policy::{Allowed, TokenSelector};
use rules::oauth::dpop::ProvenRequest;
use rules::prelude::*;

/// Largest number of calls in flight of one page, so that other pages can also make calls.
const MAX_CALLS_OF_A_PAGE: usize = 512;
/// Largest number of calls in flight of all pages together.
pub(crate) const MAX_CALLS: usize = 1024;

/// The longest time for which a call with `keepalive` continues after its page has gone.
const LIFE_WITHOUT_PAGE: Millis = Millis::from_secs(30);

/// A page's request to an API, or its request for a socket to an API.
pub(crate) struct Call {
    pub(crate) call: CallId,
    pub(crate) port: PortId,
    pub(crate) id: RequestId,
    pub(crate) allowed: Allowed,
    /// The members of `RequestInit`: see [`init`](crate::ApiRequest::init).
    pub(crate) init: String,
    pub(crate) body: Body,
    pub(crate) stage: CallStage,
    pub(crate) was_retried: bool,
    /// True if the call was sent with a token of a session that is over.
    pub(crate) is_detached: bool,
    /// True if the call continues when its page has gone (Fetch `keepalive`).
    pub(crate) is_kept_alive: bool,
    /// True if the user began the call, and its method can have a body.
    pub(crate) is_upload: bool,
    /// True if the response is for an element of the page: see [`crate::message::FetchRequest::is_media`].
    pub(crate) is_media: bool,
    /// True if the app has marked the call as one that no user waits for.
    pub(crate) is_poll: bool,
    /// The monotonic time at which the call was sent.
    pub(crate) sent: Millis,
    /// The time at which the call ends, if its page has gone. No message goes to that page.
    pub(crate) ends_at: Option<Millis>,
    /// The socket to open, if the call is not a request.
    pub(crate) socket: Option<Box<Socket>>,
    pub(crate) proven: ProvenRequest,
}

pub(crate) enum CallStage {
    /// Waits for a valid access token.
    Waiting,
    /// Sent with the access token of this generation, which is a number that each refresh increments.
    Sent {
        generation: u64,
    },
    /// Received a 401. `head` is the message for the page if no retry succeeds.
    Held {
        head: String,
        /// The generation of the refused token.
        generation: u64,
    },
    Delivered,
}

/// The calls in flight, in the order in which they began.
#[derive(Default)]
pub(crate) struct CallList {
    pub(crate) calls: List<Call>,
    pub(crate) warnings: ApiWarnings,
}

impl Call {
    /// Creates a call that waits for a token.
    pub(crate) fn new(
        call: CallId,
        (port, id): (PortId, RequestId),
        allowed: Allowed,
        init: String,
        body: Body,
        socket: Option<Box<Socket>>,
    ) -> Self {
        Self {
            call,
            port,
            id,
            allowed,
            init,
            body,
            stage: CallStage::Waiting,
            was_retried: false,
            is_detached: false,
            is_kept_alive: false,
            is_upload: false,
            is_media: false,
            is_poll: false,
            sent: Millis::ZERO,
            ends_at: None,
            socket,
            proven: ProvenRequest::default(),
        }
    }
}

impl Call {
    /// Returns what the end of the call says about the line. A service worker or a cache can have the response.
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        Exchange {
            url: self.allowed.url(),
            began: self.sent,
            is_from_server: false,
        }
    }
}

impl CallList {
    /// Returns an error if too many calls are in flight, or if the page already has a call with this number in flight.
    pub(crate) fn find_room(&self, (port, id): (PortId, RequestId)) -> Result<()> {
        let of_this_page = self.calls.iter().filter(|call| call.port == port).count();
        if self.calls.len() >= MAX_CALLS || of_this_page >= MAX_CALLS_OF_A_PAGE {
            let message = msg!("512 calls of this page, or 1024 of all, are in flight already");
            return Err(Error::new(Code::LimitExceeded, message));
        }
        if self.calls.iter().any(|c| c.port == port && c.id == id) {
            let message = msg!("a call with this id is in flight");
            return Err(Error::new(Code::MessageInvalid, message));
        }
        Ok(())
    }

    /// Returns the selector of the token that a call needs: the session's own token, or the token for a single API.
    pub(crate) fn selector_of(&self, call: CallId) -> TokenSelector {
        let known = self.calls.iter().find(|c| c.call == call);
        known.map_or_else(TokenSelector::default, |known| {
            known.allowed.token_selector()
        })
    }

    /// Detaches the calls from a session that is over. Responses to calls that were already sent are delivered, but
    /// these calls are not sent again with the token of another session.
    pub(crate) fn detach(&mut self) {
        for call in &mut self.calls {
            match &mut call.stage {
                CallStage::Sent { .. } => call.is_detached = true,
                // The API refused a token of the old session, so the call may be sent with the new session's token.
                CallStage::Held { generation, .. } => *generation = 0,
                _ => {}
            }
        }
    }

    pub(crate) fn waiting(&self) -> Vec<CallId> {
        let mut waiting = Vec::new();
        for call in &self.calls {
            if matches!(call.stage, CallStage::Waiting | CallStage::Held { .. }) {
                waiting.push(call.call);
            }
        }
        waiting
    }

    /// Returns true if a waiting call may be sent. A call that has received a 401 needs a newer token than the refused
    /// one.
    pub(crate) fn can_resume(&self, ctx: &Context, call: CallId) -> bool {
        let session = ctx.session.as_deref();
        let can_go = |c: &Call| match c.stage {
            CallStage::Held { generation, .. } => {
                Some(generation) < session.map(|s| s.issued(c.allowed.token_selector()))
            }
            _ => true,
        };
        self.calls.iter().any(|c| c.call == call && can_go(c))
    }

    /// Returns the calls that have received a 401.
    pub(crate) fn held(&self) -> Vec<CallId> {
        let is_held = |c: &Call| matches!(c.stage, CallStage::Held { .. });
        let held = self.calls.iter().filter(|c| is_held(c));
        held.map(|c| c.call).collect()
    }

    /// Returns true if a user waits for the call.
    pub(crate) fn is_awaited(&self, call: CallId) -> bool {
        self.calls.iter().any(|c| c.call == call && !c.is_poll)
    }

    /// Records that the response of a call, a 401, is held back until a refresh has ended.
    pub(crate) fn hold(&mut self, call: CallId, generation: u64, head: String) {
        if let Some(known) = list::find(&mut self.calls, |c| c.call == call) {
            known.stage = CallStage::Held { head, generation };
        }
    }

    pub(crate) fn deliver(&mut self, ctx: &mut Context, call: CallId, text: String) {
        if self.is_without_page(call) {
            return self.closed(ctx, call);
        }
        if let Some(known) = list::find(&mut self.calls, |c| c.call == call) {
            known.stage = CallStage::Delivered;
            ctx.outputs.push(Output::Deliver { call, text });
        }
    }

    pub(crate) fn failed(&mut self, ctx: &mut Context, call: CallId) {
        let Some(known) = self.forget(call) else {
            return;
        };
        if matches!(known.stage, CallStage::Sent { .. }) {
            let doubt = ctx.line.failed(ctx.now.monotonic, known.exchange());
            ctx.report_doubt(doubt);
        }
        if !matches!(known.stage, CallStage::Delivered) && known.ends_at.is_none() {
            let text = message("network_error").number("id", known.id.0).finish();
            ctx.post(known.port, text);
            ctx.trace_call("call_answered", call, None, Some("no response"));
            self.warnings
                .on_failure(ctx, known.port, known.allowed.url());
        }
        ctx.drop_call(call);
    }

    /// Rejects a call whose response contains the token. The page does not get the rest of the response.
    pub(crate) fn reflected(&mut self, ctx: &mut Context, call: CallId) {
        let message = msg!("the API's response contains the access token");
        self.reject(ctx, call, &Error::new(Code::TokenReflected, message));
        ctx.drop_call(call);
    }

    /// Rejects a call for an element of the page, because the `Content-Range` of its response cannot be read.
    pub(crate) fn range_hidden(&mut self, ctx: &mut Context, call: CallId) {
        let Some(known) = self.calls.iter().find(|known| known.call == call) else {
            return;
        };
        let (port, url) = (known.port, known.allowed.url());
        let error = self.warnings.on_hidden_range(ctx, port, url);
        self.reject(ctx, call, &error);
    }

    pub(crate) fn closed(&mut self, ctx: &mut Context, call: CallId) {
        self.forget(call);
        ctx.drop_call(call);
    }

    pub(crate) fn abort(&mut self, ctx: &mut Context, port: PortId, id: RequestId) {
        if let Some(known) = list::take(&mut self.calls, |c| c.port == port && c.id == id) {
            ctx.drop_call(known.call);
        }
    }

    /// Returns true if a call of this session sends a body for its user. The host does not say how much of the body was
    /// sent, so each such call counts until its response begins.
    pub(crate) fn has_upload(&self) -> bool {
        let is_sent = |call: &Call| matches!(call.stage, CallStage::Sent { .. });
        let mut calls = self.calls.iter();
        calls.any(|call| call.is_upload && !call.is_detached && is_sent(call))
    }

    pub(crate) fn has_calls(&self, port: PortId) -> bool {
        self.calls.iter().any(|call| call.port == port)
    }

    /// Ends the calls of a page that has gone, except those with `keepalive` that have no response yet.
    pub(crate) fn forget_port(&mut self, ctx: &mut Context, port: PortId) {
        for call in &mut self.calls {
            if call.port == port
                && call.is_kept_alive
                && !matches!(call.stage, CallStage::Delivered)
            {
                call.ends_at = Some(ctx.now.monotonic + LIFE_WITHOUT_PAGE);
            }
        }
        self.end(ctx, |call| call.port == port && call.ends_at.is_none());
    }

    /// Ends the calls whose page has gone.
    pub(crate) fn end_without_page(&mut self, ctx: &mut Context) {
        self.end(ctx, |call| call.ends_at.is_some());
    }

    /// Ends the calls whose page has gone too long ago.
    pub(crate) fn expire(&mut self, ctx: &mut Context) {
        let now = ctx.now.monotonic;
        self.end(ctx, |call| call.ends_at.is_some_and(|at| at <= now));
    }

    pub(crate) fn for_each_deadline(&self, see: &mut dyn FnMut(Millis)) {
        for at in self.calls.iter().filter_map(|call| call.ends_at) {
            see(at);
        }
    }

    fn end(&mut self, ctx: &mut Context, is_over: impl Fn(&Call) -> bool) {
        while let Some(known) = list::take(&mut self.calls, &is_over) {
            ctx.drop_call(known.call);
        }
    }

    /// Returns true if the page of a call has gone.
    pub(crate) fn is_without_page(&self, call: CallId) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|known| known.call == call && known.ends_at.is_some())
    }

    pub(crate) fn reject(&mut self, ctx: &mut Context, call: CallId, error: &Error) {
        if let Some(known) = self.forget(call) {
            if known.ends_at.is_none() {
                ctx.post_error(known.port, known.id, error);
            }
            ctx.drop_call(call);
        }
    }

    pub(crate) fn forget(&mut self, call: CallId) -> Option<Box<Call>> {
        list::take(&mut self.calls, |c| c.call == call)
    }
}
