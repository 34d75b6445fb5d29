//! RTSP 1.0 (RFC 2326, with what RFC 7826 clarifies): messages, authentication, session descriptions, client, server.

pub mod client;
pub mod describe;
pub mod digest;
pub mod message;
pub mod sdp;
pub mod server;
pub mod transport;
pub mod url;
