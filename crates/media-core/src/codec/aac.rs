//! MPEG-4 AAC: AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).

use super::BitReader;
use crate::error::{Error, ErrorKind, Result};
use crate::track::{Codec, TrackParameters};

/// Rates by samplingFrequencyIndex.
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];
const EXPLICIT_RATE: u32 = 15;
const OBJECT_SBR: u8 = 5;
const OBJECT_PS: u8 = 29;

/// Samples per channel in one frame of AAC-LC at the core rate.
pub const FRAME_SAMPLES: u32 = 1024;

/// The parts of an AudioSpecificConfig that a container needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// audioObjectType: 2 AAC-LC, 5 and 29 with SBR (and PS) signalled in front.
    pub object_type: u8,
    /// Rate of the core coder in Hz.
    pub sample_rate: u32,
    /// Rate after SBR where it is signalled in front, else `sample_rate`.
    pub output_rate: u32,
    /// Channels; 0 when the stream itself says (channelConfiguration 0).
    pub channels: u16,
}

impl AudioSpecificConfig {
    /// Reads the configuration. What follows the channel configuration (frame length, program config, implicit SBR
    /// signalling) is left to the decoder.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut bits = BitReader::new(bytes, "AudioSpecificConfig");
        let object_type = object_type(&mut bits)?;
        let sample_rate = sample_rate(&mut bits)?;
        let channel_configuration = bits.bits(4)? as u16;
        let output_rate = if matches!(object_type, OBJECT_SBR | OBJECT_PS) {
            self::sample_rate(&mut bits)?
        } else {
            sample_rate
        };
        let channels = match channel_configuration {
            0..=6 => channel_configuration,
            7 | 12 => 8,
            11 => 7,
            other => return Err(bits.malformed(&format!("channelConfiguration {other} is reserved"))),
        };
        Ok(Self {
            object_type,
            sample_rate,
            output_rate,
            channels,
        })
    }

    /// The shortest bytes that say this (GASpecificConfig: 1024 samples, no core coder, no extension). `Invalid` for
    /// object types other than 1 to 4 and for channels other than 1 to 6 and 8.
    pub fn build(&self) -> Result<Vec<u8>> {
        let channel_configuration = match self.channels {
            1..=6 => self.channels as u64,
            8 => 7,
            other => return Err(Error::new(ErrorKind::Invalid, format!("AAC with {other} channels"))),
        };
        if !(1..=4).contains(&self.object_type) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("AAC object type {}", self.object_type),
            ));
        }
        let (mut value, mut length) = (self.object_type as u64, 5);
        let mut put = |bits: u32, number: u64| {
            value = value << bits | number;
            length += bits;
        };
        match SAMPLE_RATES.iter().position(|rate| *rate == self.sample_rate) {
            Some(index) => put(4, index as u64),
            None if self.sample_rate < 1 << 24 => {
                put(4, EXPLICIT_RATE as u64);
                put(24, self.sample_rate as u64);
            }
            None => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("AAC at {} Hz", self.sample_rate),
                ));
            }
        }
        put(4, channel_configuration);
        put(3, 0);
        let bytes = (value << (64 - length)).to_be_bytes();
        Ok(bytes[..length.div_ceil(8) as usize].to_vec())
    }
}

/// Parameters of a track with this AudioSpecificConfig. `clock_rate` is that of the pts (the RTP clock); `channels`
/// counts where the configuration leaves them open.
pub fn parameters(configuration: &[u8], clock_rate: u32, channels: u16) -> Result<TrackParameters> {
    let config = AudioSpecificConfig::parse(configuration)?;
    Ok(TrackParameters {
        codec: Codec::Aac,
        clock_rate,
        configuration: bytes::Bytes::copy_from_slice(configuration),
        width: 0,
        height: 0,
        channels: if config.channels == 0 {
            channels
        } else {
            config.channels
        },
        reorder_depth: 0,
        fps_milli: 0,
    })
}

fn object_type(bits: &mut BitReader<'_>) -> Result<u8> {
    Ok(match bits.bits(5)? as u8 {
        31 => 32 + bits.bits(6)? as u8,
        object_type => object_type,
    })
}

fn sample_rate(bits: &mut BitReader<'_>) -> Result<u32> {
    let index = bits.bits(4)?;
    if index == EXPLICIT_RATE {
        return match bits.bits(24)? {
            0 => Err(bits.malformed("samplingFrequency 0")),
            rate => Ok(rate),
        };
    }
    let rate = SAMPLE_RATES.get(index as usize);
    rate.copied()
        .ok_or_else(|| bits.malformed(&format!("samplingFrequencyIndex {index} is reserved")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_common_configurations_read_and_build() {
        let stereo = AudioSpecificConfig {
            object_type: 2,
            sample_rate: 44_100,
            output_rate: 44_100,
            channels: 2,
        };
        assert_eq!(AudioSpecificConfig::parse(&[0x12, 0x10]).unwrap(), stereo);
        assert_eq!(stereo.build().unwrap(), [0x12, 0x10]);
        let odd = AudioSpecificConfig {
            object_type: 2,
            sample_rate: 16_001,
            output_rate: 16_001,
            channels: 1,
        };
        assert_eq!(AudioSpecificConfig::parse(&odd.build().unwrap()).unwrap(), odd);
    }

    #[test]
    fn sbr_in_front_gives_both_rates() {
        // 00101 0110 0010 0011 00010 ...: SBR, core 24 kHz, stereo, output 48 kHz, then AAC-LC.
        let config = AudioSpecificConfig::parse(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!(
            (
                config.object_type,
                config.sample_rate,
                config.output_rate,
                config.channels
            ),
            (5, 24_000, 48_000, 2)
        );
    }

    #[test]
    fn broken_configurations_are_errors() {
        for bytes in [
            &[][..],
            &[0x12],
            &[0x16, 0x90],
            &[0x17, 0x80, 0, 0, 0x10],
            &[0x12, 0x40],
        ] {
            assert!(AudioSpecificConfig::parse(bytes).is_err(), "{bytes:x?}");
        }
        let sound = AudioSpecificConfig {
            object_type: 2,
            sample_rate: 8_000,
            output_rate: 8_000,
            channels: 1,
        };
        for broken in [
            AudioSpecificConfig { channels: 7, ..sound },
            AudioSpecificConfig {
                object_type: 5,
                ..sound
            },
            AudioSpecificConfig {
                sample_rate: 1 << 24,
                ..sound
            },
        ] {
            assert_eq!(broken.build().unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn open_channels_come_from_the_session() {
        assert_eq!(parameters(&[0x12, 0x00], 44_100, 6).unwrap().channels, 6);
        assert_eq!(parameters(&[0x12, 0x10], 44_100, 6).unwrap().channels, 2);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = AudioSpecificConfig::parse(&bytes);
        }
    }
}
