import { createEffect, type JSX, on, onCleanup } from "solid-js";
import type { Rule } from "@/shared/api/analysis-types";
import { drawBoxes, drawRules, prepare } from "./box-drawing";
import { BoxPush, type PushedFrame } from "./box-push";
import { BoxTimeline } from "./box-timeline";
import { pictureIn } from "./geometry";
import { RtpClock } from "./rtp-clock";

// A message of a session before this one bears a timestamp that is nowhere near.
const FAR_MS = 15_000;

/** Boxes over a live picture, each on the picture that it belongs to; asks for them as long as it is there. */
export default function LiveBoxes(props: {
  video: HTMLVideoElement;
  cameraId: string;
  /** The live session that the element shows. */
  session: string | null;
  rules: readonly Rule[];
}): JSX.Element {
  let canvas: HTMLCanvasElement | undefined;
  const byPicture = new BoxTimeline();
  const asTheyCome = new BoxTimeline();
  const clock = new RtpClock();
  let knowsPicture = false;

  const take = (frame: PushedFrame) => {
    asTheyCome.add({ atMs: performance.now(), tracks: frame.tracks });
    if (frame.rtp == null) return;
    if (knowsPicture && Math.abs(clock.aheadMs(frame.rtp)) > FAR_MS) return;
    byPicture.add({ atMs: clock.msOf(frame.rtp), tracks: frame.tracks });
  };

  createEffect(
    on(
      () => props.cameraId,
      (cameraId) => {
        const push = new BoxPush(cameraId, props.session, take);
        void push.start();
        createEffect(
          on(
            () => props.session,
            (session) => {
              push.follow(session);
              // Another session counts its pictures from elsewhere.
              clock.reset();
              byPicture.clear();
              knowsPicture = false;
            },
            { defer: true },
          ),
        );
        onCleanup(() => {
          push.stop();
          byPicture.clear();
          asTheyCome.clear();
        });
      },
    ),
  );

  const draw = (rtp: number | undefined) => {
    const { video } = props;
    if (!canvas) return;
    const context = prepare(canvas, video.clientWidth, video.clientHeight);
    if (!context || video.videoWidth === 0) return;
    const fit = getComputedStyle(video).objectFit === "cover" ? "cover" : "contain";
    const element = { width: video.clientWidth, height: video.clientHeight };
    const picture = pictureIn(element, { width: video.videoWidth, height: video.videoHeight }, fit);
    drawRules(context, props.rules, picture);
    if (rtp !== undefined) {
      clock.shown(rtp);
      knowsPicture = true;
    }
    const boxes =
      rtp !== undefined && byPicture.newestMs !== null
        ? byPicture.at(clock.msOf(rtp))
        : asTheyCome.at(performance.now());
    drawBoxes(context, boxes, picture);
    canvas.dataset.boxes = String(boxes.length);
  };

  createEffect(() => {
    const { video } = props;
    let ended = false;
    let handle = 0;
    const byFrame = "requestVideoFrameCallback" in video;
    const next = () => {
      if (ended) return;
      handle = byFrame
        ? video.requestVideoFrameCallback((_now, metadata) => {
            draw(metadata.rtpTimestamp);
            next();
          })
        : requestAnimationFrame(() => {
            draw(undefined);
            next();
          });
    };
    next();
    onCleanup(() => {
      ended = true;
      if (byFrame) video.cancelVideoFrameCallback(handle);
      else cancelAnimationFrame(handle);
    });
  });

  return <canvas ref={canvas} class="pointer-events-none absolute inset-0 h-full w-full" data-testid="boxes" />;
}
