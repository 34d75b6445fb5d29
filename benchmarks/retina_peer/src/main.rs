//! Reads the RTSP URLs given as arguments with retina over TCP, as access units in MP4 form, and throws them away.
//! Prints `ready` once every URL has shown a key frame; runs until it is killed.

use futures_util::StreamExt;
use retina::client::{PlayOptions, Session, SessionOptions, SetupOptions, Transport};
use retina::codec::{CodecItem, FrameFormat};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn watch(url: url::Url, waiting: Arc<AtomicUsize>) -> Result<(), retina::Error> {
    let mut session = Session::describe(url, SessionOptions::default()).await?;
    let video = session.streams().iter().position(|stream| stream.media() == "video").unwrap_or(0);
    let setup =
        SetupOptions::default().transport(Transport::Tcp(Default::default())).frame_format(FrameFormat::MP4);
    session.setup(video, setup).await?;
    let mut units = session.play(PlayOptions::default()).await?.demuxed()?;
    let mut seen = false;
    while let Some(unit) = units.next().await {
        if let CodecItem::VideoFrame(frame) = unit?
            && frame.is_random_access_point()
            && !seen
        {
            seen = true;
            if waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
                println!("ready");
            }
        }
    }
    Ok(())
}

fn main() {
    let urls: Vec<url::Url> = std::env::args().skip(1).map(|text| text.parse().expect("an RTSP URL")).collect();
    let waiting = Arc::new(AtomicUsize::new(urls.len()));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = urls.into_iter().map(|url| tokio::spawn(watch(url, waiting.clone()))).collect();
        for task in tasks {
            if let Ok(Err(error)) = task.await {
                eprintln!("{error}");
            }
        }
    });
}
