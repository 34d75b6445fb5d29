//! Who is at the other end of a connection, as the application shall be told.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) is_tls: bool,
}

impl Peer {
    /// Replaces whatever a client claims about its address by what the connection says.
    pub(super) fn forwarded(&self, headers: &mut HeaderMap) {
        let claimed: Vec<HeaderName> = headers
            .keys()
            .filter(|name| {
                let name = name.as_str();
                name.starts_with("x-forwarded") || name == "forwarded" || name == "x-real-ip" || name == "x-client-ip"
            })
            .cloned()
            .collect();
        for name in claimed {
            headers.remove(name);
        }
        if let Ok(address) = HeaderValue::try_from(self.address.to_canonical().to_string()) {
            headers.insert(X_FORWARDED_FOR, address);
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
}
