//! ICE after the handshake: a viewer asks every few seconds whether it may go on (RFC 7675) and is answered as an ICE
//! lite agent answers (RFC 8445 §7.3). What it signs with the session's password proves that it is there, and where.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use str0m::crypto::Sha1HmacProvider;
use str0m::ice::StunMessage;

/// A viewer's question.
pub(super) struct Consent {
    /// What to answer, to the address that asked.
    pub(super) reply: Vec<u8>,
    /// The viewer wants its media at the address that it asks from.
    pub(super) nominates: bool,
}

/// Reads a binding request; None when it is none, or is not signed with `password`.
pub(super) fn answer(
    datagram: &[u8],
    source: SocketAddr,
    password: &str,
    hmac: &dyn Sha1HmacProvider,
) -> Option<Consent> {
    let sha1 = |key: &[u8], parts: &[&[u8]]| hmac.sha1_hmac(key, parts);
    let read = || {
        let request = StunMessage::parse(datagram).ok()?;
        if !request.is_binding_request() || !request.verify(password.as_bytes(), sha1) {
            return None;
        }
        let mut reply = vec![0; 128];
        let response = StunMessage::binding_reply(request.trans_id(), source);
        let length = response.to_bytes(Some(password.as_bytes()), &mut reply, sha1).ok()?;
        reply.truncate(length);
        Some(Consent {
            reply,
            nominates: request.use_candidate(),
        })
    };
    // A parser of strangers' bytes that we did not write.
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}
