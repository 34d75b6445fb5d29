//! RTSP 1.0 (RFC 2326, with what RFC 7826 clarifies): messages, authentication, session descriptions, the client.

pub mod client;
pub mod digest;
pub mod message;
pub mod sdp;
pub mod transport;
pub mod url;
pub mod describe;
pub mod server;
