//! Motion JPEG: the size of an image from its frame header (ITU-T T.81 §B.2.2).

use crate::error::{Error, Result};
use crate::track::{Codec, TrackParameters};

/// Width and height of a JPEG image.
pub fn size(image: &[u8]) -> Result<(u32, u32)> {
    let torn = || Error::malformed(format!("JPEG: no frame header in {} bytes", image.len()));
    if !image.starts_with(&[0xff, 0xd8]) {
        return Err(Error::malformed("JPEG: does not begin with SOI"));
    }
    let mut at = 2;
    loop {
        if *image.get(at).ok_or_else(torn)? != 0xff {
            return Err(Error::malformed(format!("JPEG: no marker at byte {at}")));
        }
        let marker = *image.get(at + 1).ok_or_else(torn)?;
        match marker {
            // Fill bytes before a marker.
            0xff => at += 1,
            // Markers without a segment: TEM, RST.
            0x01 | 0xd0..=0xd7 => at += 2,
            // Scan data before any frame header.
            0xd9 | 0xda => return Err(torn()),
            _ => {
                let segment = image.get(at + 2..).ok_or_else(torn)?;
                let length = segment
                    .first_chunk::<2>()
                    .map(|b| u16::from_be_bytes(*b) as usize)
                    .ok_or_else(torn)?;
                // SOF0 to SOF15 without DHT, JPG and DAC.
                if (0xc0..=0xcf).contains(&marker) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    let frame = segment.get(..7).ok_or_else(torn)?;
                    let height = u16::from_be_bytes([frame[3], frame[4]]) as u32;
                    let width = u16::from_be_bytes([frame[5], frame[6]]) as u32;
                    if width == 0 || height == 0 {
                        return Err(Error::malformed(format!("JPEG: an image of {width}x{height}")));
                    }
                    return Ok((width, height));
                }
                if length < 2 {
                    return Err(Error::malformed(format!(
                        "JPEG: a segment of {length} bytes at byte {at}"
                    )));
                }
                at += 2 + length;
            }
        }
    }
}

/// Parameters of a track whose pictures are like `image`.
pub fn parameters(image: &[u8]) -> Result<TrackParameters> {
    let (width, height) = size(image)?;
    Ok(TrackParameters {
        codec: Codec::Mjpeg,
        clock_rate: 90_000,
        configuration: bytes::Bytes::new(),
        width,
        height,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const IMAGE: [u8; 24] = [
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc4, 0, 3, 9, 0xff, 0xc0, 0, 17, 8, 0x04, 0x38, 0x07, 0x80, 3,
    ];

    #[test]
    fn the_size_comes_from_the_frame_header() {
        assert_eq!(size(&IMAGE).unwrap(), (1920, 1080));
        assert_eq!(parameters(&IMAGE).unwrap().height, 1080);
    }

    #[test]
    fn broken_images_are_errors() {
        for length in 0..IMAGE.len() - 1 {
            assert!(size(&IMAGE[..length]).is_err(), "{length}");
        }
        for (at, value) in [(0, 0), (2, 0), (5, 1), (15, 0xda)] {
            let mut image = IMAGE;
            image[at] = value;
            assert!(size(&image).is_err(), "{at}");
        }
        let mut image = IMAGE;
        image[19..21].fill(0);
        assert!(size(&image).unwrap_err().message().contains("1920x0"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![Just(0xffu8), any::<u8>()], 0..60)) {
            let _ = size(&[&[0xff, 0xd8][..], &bytes].concat());
        }
    }
}
