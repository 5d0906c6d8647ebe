//! Outputs that only the extended module has.

use super::Host;
use crate::browser::key_generation::KeyGeneration;
use crate::browser::operation::Operation;
use crate::vault::Output;

impl Host {
    pub(super) fn carry_out_extended(&mut self, output: Output) {
        match output {
            Output::ProbeSocket { call, url } => self.sockets.probe(&mut self.context, call, url),
            Output::OpenSocket { call, handshake } => {
                let payload = self.calls.take_payload(call);
                self.sockets
                    .open(&mut self.context, call, &handshake, payload);
            }
            Output::SendFirst { call, text, token } => {
                self.sockets.send_first(call, text.expose(), token.expose());
            }
            Output::CloseSocket { call, code, reason } => {
                self.sockets.close_socket(call, code, &reason);
            }
            Output::MakeKey { op } => {
                self.begin(op, Operation::MakeKey(KeyGeneration::default()));
            }
            Output::KeepKeys { names } => self.context.keys.keep(&names),
            Output::HandKeyOver => self.hand_key_over(),
            _ => {}
        }
    }

    /// Hands the key of sessions to its escrow once more, without waiting.
    fn hand_key_over(&mut self) {
        let scope = &self.context.scope;
        let escrow = self.context.escrow.as_ref();
        if let Some(promise) = escrow.and_then(|escrow| escrow.hand_over(scope)) {
            // Nothing uses the result, but a rejection must have a listener.
            self.context.wait(&promise.into());
        }
    }
}
