//! RTP and RTCP (RFC 3550) and the payload formats that cameras send.

pub mod packet;
pub mod rtcp;
