//! Performs the outputs that need the Cargo feature `extended`.

use super::Host;
use crate::browser::key_generation::KeyGeneration;
use crate::browser::operation::Operation;
use crate::vault::Output;

impl Host {
    pub(super) fn carry_out_extended(&mut self, output: Output) {
        match output {
            Output::ProbeSocket { call, url } => {
                self.sockets.probe(&mut self.context, call, url.into_data());
            }
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
            Output::MakeKey { op, .. } => {
                self.begin(op, Operation::MakeKey(KeyGeneration::default()));
            }
            Output::KeepKeys { names } => self.context.keys.keep(&names),
            Output::HandKeyOver => self.hand_key_over(),
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
