//! ICE after the handshake: a viewer asks every few seconds whether it may go on (RFC 7675) and is answered as an ICE
//! lite agent answers (RFC 8445 §7.3). What it signs with the session's password proves that it is there, and where.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use str0m::crypto::Sha1HmacProvider;
use str0m::ice::StunMessage;

/// The number of a request (RFC 8489 §5).
pub(super) type Transaction = [u8; 12];

/// A viewer's question.
pub(super) struct Consent {
    /// What to answer, to the address that asked.
    pub(super) reply: Vec<u8>,
    /// The request's own number, by which a replay is known.
    pub(super) transaction: Transaction,
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
            transaction: *datagram.get(8..)?.first_chunk()?,
            nominates: request.use_candidate(),
        })
    };
    // A parser of strangers' bytes that we did not write.
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use str0m::ice::TransId;

    const PASSWORD: &str = "of the session, 22 long";

    fn hmac() -> &'static dyn Sha1HmacProvider {
        str0m::crypto::from_feature_flags().sha1_hmac_provider
    }

    fn bytes(message: StunMessage<'_>, password: &str) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        let sha1 = |key: &[u8], parts: &[&[u8]]| hmac().sha1_hmac(key, parts);
        let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, sha1).unwrap();
        bytes.truncate(length);
        bytes
    }

    fn viewer() -> SocketAddr {
        "192.0.2.9:4711".parse().unwrap()
    }

    #[test]
    fn a_signed_request_is_answered_with_the_address_that_asked() {
        for nominates in [false, true] {
            let id = TransId::new();
            let request = StunMessage::binding_request("session:viewer", id, true, 7, 9, nominates);
            let consent = answer(&bytes(request, PASSWORD), viewer(), PASSWORD, hmac()).unwrap();
            assert_eq!(consent.nominates, nominates);
            let reply = StunMessage::parse(&consent.reply).unwrap();
            assert!(reply.is_successful_binding_response());
            assert_eq!((reply.trans_id(), reply.mapped_address()), (id, Some(viewer())));
            assert!(reply.verify(PASSWORD.as_bytes(), |key, parts| hmac().sha1_hmac(key, parts)));
        }
    }

    #[test]
    fn nothing_else_is_answered() {
        let request = |password| {
            let message = StunMessage::binding_request("session:viewer", TransId::new(), true, 7, 9, true);
            bytes(message, password)
        };
        let refused = |datagram: &[u8]| answer(datagram, viewer(), PASSWORD, hmac()).is_none();
        assert!(refused(&request("of another session")));
        let reply = StunMessage::binding_reply(TransId::new(), viewer());
        assert!(refused(&bytes(reply, PASSWORD)), "an answer is no question");
        let signed = request(PASSWORD);
        assert!(!refused(&signed));
        for length in 0..signed.len() {
            assert!(refused(&signed[..length]), "cut at {length}");
        }
        // Up to the signature; the checksum after it proves nothing.
        for at in 0..signed.len() - 8 {
            let mut forged = signed.clone();
            forged[at] ^= 1;
            assert!(refused(&forged), "byte {at}");
        }
    }
}
