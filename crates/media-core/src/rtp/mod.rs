//! RTP and RTCP (RFC 3550) and the payload formats that cameras send.

pub mod aac_depacketizer;
pub mod av1_depacketizer;
pub mod clock;
pub mod depacketizer;
pub mod feedback;
pub mod g711_depacketizer;
pub mod h264_depacketizer;
pub mod h265_depacketizer;
pub mod jpeg_depacketizer;
mod jpeg_tables;
pub mod nal_depacketizer;
pub mod onvif_depacketizer;
pub mod packet;
pub mod packetizer;
mod parameter_sets;
pub mod reorder;
pub mod rtcp;
pub mod sequence;
pub mod track_receiver;
