//! Performs the outputs that need a capability.

use super::Host;
use crate::browser::dpop::StoredKey;
use crate::browser::key_generation::GenerationStage;
use crate::browser::operation::Operation;
use crate::config::HAS_PERSISTENCE;
use crate::vault::Output;

impl Host {
    /// Performs an output that needs a capability. Passes any other output to [`Self::carry_out_session`].
    pub(super) fn carry_out_extended(&mut self, output: Output, key_pair: Option<StoredKey>) {
        match (output, self.sockets.get_mut()) {
            (Output::ProbeSocket { call, url }, Some(sockets)) => {
                sockets.probe(&mut self.context, call, url.into_data());
            }
            (Output::OpenSocket { call, handshake }, Some(sockets)) => {
                let payload = self.calls.take_payload(call);
                sockets.open(&mut self.context, call, &handshake, payload);
            }
            (Output::SendFirst { call, text, token }, Some(sockets)) => {
                sockets.send_first(call, text.expose(), token.expose());
            }
            (Output::CloseSocket { call, code, reason }, Some(sockets)) => {
                sockets.close_socket(call, code, &reason);
            }
            (Output::MakeKey { op, has }, _) => {
                self.begin(op, Operation::MakeKey(has.with(GenerationStage::default())));
            }
            (Output::KeepKeys { names }, _) => self.context.keys.keep(&names),
            (Output::HandKeyOver, _) => self.hand_key_over(),
            (output, _) if HAS_PERSISTENCE => self.carry_out_session(output, key_pair),
            _ => {}
        }
    }

    /// Sends the key that encrypts sessions to the escrow again, without waiting for the result.
    fn hand_key_over(&mut self) {
        let scope = &self.context.scope;
        let escrow = self.context.escrow.as_ref();
        if let Some(promise) = escrow.and_then(|escrow| escrow.hand_over(scope)) {
            // The result is not used, but a promise without a listener for its rejection would report an unhandled
            // error.
            self.context.wait(&promise.into());
        }
    }
}
