import { createEffect, type JSX } from "solid-js";
import type { Still } from "./thumbnail-grid";

/** One still out of a grid, as large as its place. */
export function StillView(props: { still: Still }): JSX.Element {
  let canvas: HTMLCanvasElement | undefined;
  createEffect(() => {
    const { image, x, y, width, height } = props.still;
    const context = canvas?.getContext("2d");
    if (!canvas || !context) return;
    canvas.width = width;
    canvas.height = height;
    context.drawImage(image, x, y, width, height, 0, 0, width, height);
  });
  return <canvas ref={canvas} data-testid="still" class="absolute inset-0 h-full w-full object-contain" />;
}
