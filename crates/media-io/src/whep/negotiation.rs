//! From an offer and what the camera sends to an answer and a WebRTC session that has not met its viewer yet.

use super::keys::{Dtls, crypto_provider};
use super::offer::{Format, Offer, Section, SectionKind, parameter};
use media_core::{Codec, Error, ErrorKind, Result, TrackKind, TrackParameters};
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use str0m::change::SdpOffer;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::Sha1HmacProvider;
use str0m::format::{Codec as WireCodec, CodecConfig, CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Frequency, Mid, Pt};
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc};

/// What all sessions have in common: one certificate, so that its fingerprint and its cost exist once.
pub(super) struct Identity {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

/// One direction of media agreed on.
#[derive(Debug, Clone)]
pub(super) struct AgreedStream {
    /// The section's name, 1 to 16 letters and digits.
    pub(super) mid: String,
    pub(super) payload_type: u8,
    pub(super) codec: Codec,
    pub(super) clock_rate: u32,
    pub(super) ssrc: u32,
    /// Payload type and SSRC of retransmissions (RFC 4588), where the viewer takes them.
    pub(super) repeats: Option<(u8, u32)>,
    /// Identifiers of the header extensions that the viewer reads.
    pub(super) mid_id: Option<u8>,
    pub(super) playout_delay_id: Option<u8>,
    /// Of the send time, from which the viewer estimates what its path carries.
    pub(super) send_time_id: Option<u8>,
    /// How long after their arrival pictures are shown at least and at most, ms; 0 to 0 is at once.
    pub(super) shown_after_ms: (u16, u16),
}

/// A session ready for its viewer.
pub(super) struct Agreed {
    pub(super) rtc: Rtc,
    pub(super) dtls: Dtls,
    /// Names the source of all streams in reports.
    pub(super) cname: String,
    pub(super) answer: String,
    pub(super) video: AgreedStream,
    pub(super) audio: Option<AgreedStream>,
}

/// A section and the payload type in it that fits a track.
#[derive(Debug)]
struct Choice<'a> {
    section: usize,
    mid: &'a str,
    format: Format,
    codec: Codec,
}

impl Identity {
    /// Makes a certificate.
    pub(super) fn new() -> Result<Self> {
        Self::with(crypto_provider())
    }

    /// Makes a certificate for sessions that use `provider`, whose DTLS can be watched.
    pub(super) fn with(provider: CryptoProvider) -> Result<Self> {
        let certificate = provider.dtls_provider.generate_certificate();
        let certificate = certificate.ok_or_else(|| Error::new(ErrorKind::Internal, "no DTLS certificate was made"))?;
        Ok(Self {
            provider: Arc::new(provider),
            certificate,
        })
    }

    /// What signs and checks ICE messages.
    pub(super) fn sha1_hmac(&self) -> &'static dyn Sha1HmacProvider {
        self.provider.sha1_hmac_provider
    }

    /// Agrees on a session for `offer_sdp` that shows `video` and, where the offer allows, `audio` of `camera`.
    /// `candidates` are the addresses that the viewer can reach. `estimates`: the viewer shall say what its path carries.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn agree(
        &self,
        camera: &str,
        offer_sdp: &str,
        video: &TrackParameters,
        audio: Option<&TrackParameters>,
        candidates: &[SocketAddr],
        estimates: bool,
        now: Instant,
    ) -> Result<Agreed> {
        let offer = Offer::parse(offer_sdp)?;
        let video = choose_video(&offer, camera, video)?;
        let audio = audio.and_then(|parameters| choose_audio(&offer, video.mid, parameters));
        let kept: Vec<usize> = [Some(video.section), audio.as_ref().map(|a| a.section)]
            .into_iter()
            .flatten()
            .collect();
        let narrowed = offer.keeping(&kept);
        // str0m fails fast on what it holds impossible and says to catch it where peers are strangers.
        let accepted = catch_unwind(AssertUnwindSafe(|| {
            self.accept(&narrowed, &video, audio.as_ref(), candidates, estimates, now)
        }));
        let (mut rtc, dtls, answer) =
            accepted.unwrap_or_else(|_| Err(Error::malformed("SDP offer contradicts itself")))?;
        let agreed_video = agreed_stream(&mut rtc, &video);
        let agreed_audio = audio.as_ref().and_then(|audio| agreed_stream(&mut rtc, audio));
        let video = agreed_video.ok_or_else(|| Error::malformed("SDP offer contradicts itself about its video"))?;
        let names = SourceNames::of(&answer, &video.mid);
        let answer = match &agreed_audio {
            Some(audio) => in_step(&answer, &names, &SourceNames::of(&answer, &audio.mid)),
            None => answer,
        };
        Ok(Agreed {
            answer: finish_answer(&answer, offer.bundle().is_some()),
            rtc,
            dtls,
            cname: names.cname,
            video,
            audio: agreed_audio,
        })
    }

    fn accept(
        &self,
        offer: &str,
        video: &Choice<'_>,
        audio: Option<&Choice<'_>>,
        candidates: &[SocketAddr],
        estimates: bool,
        now: Instant,
    ) -> Result<(Rtc, Dtls, String)> {
        let refused = |e: &dyn std::fmt::Display| Error::malformed(format!("SDP offer: {e}"));
        let offer = SdpOffer::from_sdp_string(offer).map_err(|e| refused(&e))?;
        let mut config = Rtc::builder()
            .set_crypto_provider(self.provider.clone())
            .set_dtls_cert(self.certificate.clone())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .clear_extension_map()
            .set_extension(4, Extension::RtpMid)
            .set_extension(5, Extension::PlayoutDelay);
        if estimates {
            config = config.set_extension(6, Extension::AbsoluteSendTime);
        }
        let params = [Some(video), audio]
            .into_iter()
            .flatten()
            .filter_map(|choice| payload_params(choice, estimates))
            .collect();
        *config.codec_config() = CodecConfig::new_from_payload_params(params);
        let (mut rtc, dtls) = Dtls::watch(|| config.build(now));
        let dtls = dtls.ok_or_else(|| Error::new(ErrorKind::Internal, "a session without DTLS"))?;
        for address in candidates {
            if let Ok(candidate) = Candidate::host(*address, "udp") {
                rtc.add_local_candidate(candidate);
            }
        }
        let answer = rtc.sdp_api().accept_offer(offer).map_err(|e| refused(&e))?;
        Ok((rtc, dtls, answer.to_sdp_string()))
    }
}

/// What an answer calls the source of a stream, and the group of streams that it belongs to.
#[derive(Debug, Default)]
struct SourceNames {
    cname: String,
    group: String,
}

impl SourceNames {
    /// The names in section `mid` of an answer, empty where it has none.
    fn of(answer: &str, mid: &str) -> Self {
        let line = format!("a=mid:{mid}");
        let mut sections = answer.split("\nm=");
        let section = sections.find(|section| section.lines().any(|l| l == line));
        let lines = || section.into_iter().flat_map(str::lines);
        let cname = lines().find_map(|line| line.strip_prefix("a=ssrc:")?.split_once(" cname:"));
        let group = lines().find_map(|line| line.strip_prefix("a=msid:")?.split_once(' '));
        Self {
            cname: cname.map_or("", |(_, name)| name).to_owned(),
            group: group.map_or("", |(group, _)| group).to_owned(),
        }
    }
}

/// str0m names sound and picture as if they came from two sources; browsers then do not keep them in step. The sound
/// takes the picture's names, which like all of them are long and random.
fn in_step(answer: &str, picture: &SourceNames, sound: &SourceNames) -> String {
    let named = |names: &SourceNames| !names.cname.is_empty() && !names.group.is_empty();
    if !named(picture) || !named(sound) {
        return answer.to_owned();
    }
    let twice = format!("WMS {0} {0}", picture.group);
    answer
        .replace(&sound.cname, &picture.cname)
        .replace(&sound.group, &picture.group)
        .replace(&twice, &format!("WMS {}", picture.group))
}

/// What str0m has agreed on for `choice`.
fn agreed_stream(rtc: &mut Rtc, choice: &Choice<'_>) -> Option<AgreedStream> {
    let wire = wire_codec(choice.codec)?;
    let mid = Mid::from(choice.mid);
    let params = rtc.codec_config().params().iter().find(|p| p.spec().codec == wire)?;
    let (payload_type, repeats_type) = (params.pt(), params.resend());
    let media = rtc.media(mid)?;
    if !media.remote_pts().contains(&payload_type) {
        return None;
    }
    let extensions = media.remote_extmap();
    let mid_id = extensions.id_of(Extension::RtpMid);
    let playout_delay_id = extensions.id_of(Extension::PlayoutDelay);
    let send_time_id = extensions.id_of(Extension::AbsoluteSendTime);
    let mut api = rtc.direct_api();
    let stream = api.stream_tx_by_mid(mid, None)?;
    Some(AgreedStream {
        mid: choice.mid.to_owned(),
        payload_type: *payload_type,
        codec: choice.codec,
        clock_rate: choice.format.clock_rate,
        ssrc: *stream.ssrc(),
        repeats: repeats_type.zip(stream.rtx()).map(|(pt, ssrc)| (*pt, *ssrc)),
        mid_id,
        playout_delay_id,
        send_time_id,
        shown_after_ms: (0, 0),
    })
}

/// The codec in str0m's words; None for what has no WebRTC form here.
fn wire_codec(codec: Codec) -> Option<WireCodec> {
    match codec {
        Codec::H264 => Some(WireCodec::H264),
        Codec::H265 => Some(WireCodec::H265),
        Codec::PcmA => Some(WireCodec::PCMA),
        Codec::PcmU => Some(WireCodec::PCMU),
        Codec::Opus => Some(WireCodec::Opus),
        Codec::Av1 | Codec::Mjpeg | Codec::Aac | Codec::OnvifMetadata => None,
    }
}

/// Exactly what was offered, so that str0m matches it whatever it thinks of profiles and levels: the picture is the
/// camera's and cannot be changed, and decoders in practice take any profile of a codec that they take at all.
fn payload_params(choice: &Choice<'_>, estimates: bool) -> Option<PayloadParams> {
    let format = &choice.format;
    let spec = CodecSpec {
        codec: wire_codec(choice.codec)?,
        clock_rate: Frequency::new(format.clock_rate)?,
        channels: format.channels,
        format: FormatParams::parse_line(&format.parameters),
    };
    let retransmission = format.retransmission.map(Pt::new_with_value);
    let mut params = PayloadParams::new(Pt::new_with_value(format.payload_type), retransmission, spec);
    // The viewer estimates, if anyone: feedback on each packet costs both sides, and a choice between two streams needs
    // no more than a figure now and then.
    params.set_fb_transport_cc(false);
    params.set_fb_remb(estimates && choice.codec.kind() == TrackKind::Video);
    Some(params)
}

fn choose_video<'a>(offer: &Offer<'a>, camera: &str, parameters: &TrackParameters) -> Result<Choice<'a>> {
    let bundle = offer.bundle().unwrap_or_default();
    let mut offered = Vec::new();
    let mut receiving = 0;
    for (index, section) in of_kind(offer, SectionKind::Video) {
        if section.refused(&bundle) || !section.receives() {
            continue;
        }
        receiving += 1;
        let Some(mid) = section.mid else {
            return Err(Error::malformed("SDP offer: a video section without a=mid"));
        };
        if !carries(mid) {
            return Err(Error::malformed(format!(
                "SDP offer: a=mid:{mid} is not of 1 to 16 letters and digits"
            )));
        }
        let formats = section.formats();
        let best = match parameters.codec {
            Codec::H264 => best_h264(&formats, &parameters.configuration),
            Codec::H265 => best_h265(&formats, &parameters.configuration),
            _ => None,
        };
        if let Some(format) = best {
            return Ok(Choice {
                section: index,
                mid,
                format: format.clone(),
                codec: parameters.codec,
            });
        }
        for format in formats {
            if !offered.contains(&format.encoding) {
                offered.push(format.encoding);
            }
        }
    }
    if receiving == 0 {
        return Err(Error::malformed("SDP offer without a video section that receives"));
    }
    let sent = parameters.codec.as_str();
    let message = format!("{camera} sends {sent}, the viewer takes {}", offered.join(", "));
    Err(Error::new(ErrorKind::Unsupported, message))
}

fn choose_audio<'a>(offer: &Offer<'a>, video_mid: &str, parameters: &TrackParameters) -> Option<Choice<'a>> {
    // One transport for both, or the video alone.
    let bundle = offer.bundle().filter(|bundle| bundle.contains(&video_mid))?;
    let (encoding, clock_rate, channels) = match parameters.codec {
        Codec::PcmA => ("pcma", 8000, 1),
        Codec::PcmU => ("pcmu", 8000, 1),
        Codec::Opus => ("opus", 48_000, 2),
        _ => return None,
    };
    if parameters.clock_rate != clock_rate || parameters.channels > channels {
        return None;
    }
    let candidates = of_kind(offer, SectionKind::Audio).filter(|(_, section)| section.receives());
    candidates
        .filter_map(|(index, section)| Some((index, section, section.mid?)))
        .find_map(|(index, section, mid)| {
            let fits = |f: &Format| f.encoding == encoding && f.clock_rate == clock_rate;
            let format = section
                .formats()
                .into_iter()
                .find(fits)
                .filter(|_| bundle.contains(&mid) && carries(mid))?;
            Some(Choice {
                section: index,
                mid,
                format,
                codec: parameters.codec,
            })
        })
}

/// Whether str0m keeps a mid as it is; it is cut and letters replaced otherwise, and the viewer would not know it again.
fn carries(mid: &str) -> bool {
    (1..=16).contains(&mid.len()) && mid.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn of_kind<'s, 'a>(offer: &'s Offer<'a>, kind: SectionKind) -> impl Iterator<Item = (usize, &'s Section<'a>)> {
    offer
        .sections
        .iter()
        .enumerate()
        .filter(move |(_, section)| section.kind == kind)
}

/// H.264 profiles in the order of what they can do: constrained baseline, baseline, main, constrained high, high, and
/// far off the rest. From `profile-level-id` (RFC 6184 §8.1, table 5).
fn h264_rank(profile_level_id: u32) -> u32 {
    let [_, profile, constraints, _] = profile_level_id.to_be_bytes();
    match (profile, constraints) {
        (0x42, c) if c & 0x40 != 0 => 0,
        (0x42, _) => 1,
        (0x4d, c) if c & 0x80 != 0 => 0,
        (0x4d, _) => 2,
        (0x64, c) if c & 0x0c == 0x0c => 3,
        (0x64, _) => 4,
        _ => 20,
    }
}

/// The offered H.264 format closest to the camera's profile, rather above than below; single NAL unit mode last.
fn best_h264<'a>(formats: &'a [Format], avcc: &[u8]) -> Option<&'a Format> {
    let camera = match avcc.get(1..4) {
        Some(&[profile, constraints, level]) => h264_rank(u32::from_be_bytes([0, profile, constraints, level])),
        _ => 0,
    };
    let h264 = formats
        .iter()
        .enumerate()
        .filter(|(_, f)| f.encoding == "h264" && f.clock_rate == 90_000);
    let best = h264.max_by_key(|(index, format)| {
        // RFC 6184 §8.1: baseline where none is given.
        let id = parameter(&format.parameters, "profile-level-id").and_then(|id| u32::from_str_radix(id, 16).ok());
        let offered = id.map_or(1, h264_rank);
        let distance = offered.abs_diff(camera) * 2 + u32::from(offered < camera);
        let fragments = parameter(&format.parameters, "packetization-mode") == Some("1");
        (fragments, Reverse(distance), Reverse(*index))
    });
    best.map(|(_, format)| format)
}

/// The offered H.265 format with the camera's profile, else the first.
fn best_h265<'a>(formats: &'a [Format], hvcc: &[u8]) -> Option<&'a Format> {
    let camera = hvcc.get(1).map_or(1, |byte| u32::from(byte & 0x1f));
    let h265 = formats
        .iter()
        .enumerate()
        .filter(|(_, f)| f.encoding == "h265" && f.clock_rate == 90_000);
    let best = h265.max_by_key(|(index, format)| {
        // RFC 7798 §7.1: profile 1 (Main) where none is given.
        let id = parameter(&format.parameters, "profile-id").and_then(|id| id.parse().ok());
        (id.unwrap_or(1) == camera, Reverse(*index))
    });
    best.map(|(_, format)| format)
}

/// str0m writes the candidates into the first section even when that one is refused, where browsers ignore them, and
/// always a bundle: they move to the first section that lives, and the bundle goes where none was offered.
fn finish_answer(answer: &str, bundled: bool) -> String {
    let mut text = String::with_capacity(answer.len());
    let is_candidate = |line: &&str| line.starts_with("a=candidate:");
    let candidates: Vec<&str> = answer.lines().filter(is_candidate).collect();
    let (mut alive, mut placed) = (false, false);
    for line in answer.lines().filter(|line| !is_candidate(line)) {
        if line.starts_with("a=group:BUNDLE") && !bundled {
            continue;
        }
        if line.starts_with("m=") {
            alive = line.split(' ').nth(1) != Some("0");
        }
        text.push_str(line);
        text.push_str("\r\n");
        // After the connection line, where attributes may begin (RFC 8866 §5).
        if line.starts_with("c=") && alive && !placed {
            placed = true;
            for candidate in &candidates {
                text.push_str(candidate);
                text.push_str("\r\n");
            }
        }
    }
    text
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
