import type { Corner, Rule } from "@/shared/api/analysis-types";
import type { ShownBox } from "./box-timeline";
import { middleOf, type Rectangle, toPixels } from "./geometry";
import { labelColour, labelText } from "./labels";

// A picture narrower than this has no room for words.
const WORDS_FROM_PX = 240;
const EDGE = "rgb(0 0 0 / 0.55)";

/** Makes the canvas as fine as the screen and empty; null where it cannot be drawn on. Sizes in CSS pixels. */
export function prepare(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const fine = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * fine), Math.round(height * fine)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(fine, 0, 0, fine, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

/** Draws what is followed: a thin frame, and over it what it is and its number. */
export function drawBoxes(context: CanvasRenderingContext2D, boxes: readonly ShownBox[], picture: Rectangle): void {
  const withWords = picture.width >= WORDS_FROM_PX;
  context.lineJoin = "round";
  context.textBaseline = "middle";
  context.font = "600 11px system-ui, sans-serif";
  // What stands further down is nearer: it is drawn over what is behind.
  for (const box of [...boxes].sort((a, b) => a.box[3] - b.box[3])) {
    const [left, top, right, bottom] = box.box;
    const x = picture.left + left * picture.width;
    const y = picture.top + top * picture.height;
    const [width, height] = [(right - left) * picture.width, (bottom - top) * picture.height];
    if (width <= 0 || height <= 0) continue;
    context.globalAlpha = Math.min(1, Math.max(0, box.sureness));
    const colour = labelColour(box.label);
    const radius = Math.min(4, width / 4, height / 4);
    context.beginPath();
    context.roundRect(x, y, width, height, radius);
    context.strokeStyle = EDGE;
    context.lineWidth = 3.5;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = 1.6;
    context.stroke();
    if (withWords) drawWords(context, `${labelText(box.label)} ${box.number}`, x, y, colour, picture);
  }
  context.globalAlpha = 1;
}

function drawWords(
  context: CanvasRenderingContext2D,
  words: string,
  boxX: number,
  boxY: number,
  colour: string,
  picture: Rectangle,
): void {
  const width = context.measureText(words).width + 8;
  const x = Math.max(picture.left, Math.min(boxX - 0.8, picture.left + picture.width - width));
  // Over the box, or within where it touches the top of the picture.
  const y = boxY - 17 >= picture.top ? boxY - 17 : Math.max(picture.top, boxY) + 2;
  context.beginPath();
  context.roundRect(x, y, width, 15, 3);
  context.fillStyle = colour;
  context.fill();
  context.fillStyle = "#0b0e13";
  context.fillText(words, x + 4, y + 8);
}

/** Draws the rules' lines and zones, faintly: where somebody looks who wonders what is watched here. */
export function drawRules(context: CanvasRenderingContext2D, rules: readonly Rule[], picture: Rectangle): void {
  const at = (point: Corner): Corner => {
    const [x, y] = toPixels(point, picture);
    return [picture.left + x, picture.top + y];
  };
  const trace = (points: readonly Corner[], closed: boolean) => {
    context.beginPath();
    for (const [index, point] of points.entries()) {
      const [x, y] = at(point);
      if (index === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    }
    if (closed) context.closePath();
  };
  context.lineJoin = "round";
  for (const rule of rules) {
    if (!rule.enabled) continue;
    context.globalAlpha = 0.45;
    context.lineWidth = 1.4;
    context.strokeStyle = "#ffffff";
    if (rule.kind === "tripwire") {
      context.setLineDash([]);
      trace(rule.line, false);
      context.stroke();
      const { x, y, rightX, rightY } = middleOf(rule.line, picture);
      const reach = Math.min(14, picture.width / 24);
      for (const side of sidesOf(rule.direction)) {
        drawArrow(context, picture.left + x, picture.top + y, rightX * side, rightY * side, reach);
      }
    } else if ("zone" in rule) {
      context.setLineDash([5, 4]);
      trace(rule.zone, true);
      context.stroke();
      context.globalAlpha = 0.06;
      context.fillStyle = "#ffffff";
      context.fill();
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** 1 for the arrow to the right, -1 for that to the left. */
export const sidesOf = (direction: "both" | "left" | "right"): (1 | -1)[] =>
  direction === "both" ? [1, -1] : direction === "right" ? [1] : [-1];

function drawArrow(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  dx: number,
  dy: number,
  reach: number,
): void {
  const [tipX, tipY] = [x + dx * reach, y + dy * reach];
  const head = reach * 0.4;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(tipX, tipY);
  context.moveTo(tipX - dx * head - dy * head, tipY - dy * head + dx * head);
  context.lineTo(tipX, tipY);
  context.lineTo(tipX - dx * head + dy * head, tipY - dy * head - dx * head);
  context.stroke();
}
