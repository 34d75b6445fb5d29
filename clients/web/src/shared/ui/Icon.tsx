import type { JSX } from "solid-js";

// Drawn on a grid of 24 with strokes of 1.8.
const PATHS = {
  wall: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  camera: "M3.5 8.5 15 5.2l2.4 7.6L6 16zM17.4 9.2l3.1.9-1 3.1M8.5 15.3V20M4.5 20h9",
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 20h14",
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  back10: "M4.5 12a7.5 7.5 0 1 0 2.6-5.7M4 4.5v4.3h4.3",
  forward10: "M19.5 12a7.5 7.5 0 1 1-2.6-5.7M20 4.5v4.3h-4.3",
  previousFrame: "M17.5 6v12L9 12zM6.5 6v12",
  nextFrame: "M6.5 6v12l8.5-6zM17.5 6v12",
  maximize: "M9 4.5H4.5V9M15 4.5h4.5V9M9 19.5H4.5V15M15 19.5h4.5V15",
  minimize: "M4.5 9H9V4.5M19.5 9H15V4.5M4.5 15H9v4.5M19.5 15H15v4.5",
  sound: "M4.5 9.5v5h3.3L12.5 18.5v-13L7.8 9.5zM16 9a4.2 4.2 0 0 1 0 6M18.6 6.4a7.9 7.9 0 0 1 0 11.2",
  mute: "M4.5 9.5v5h3.3L12.5 18.5v-13L7.8 9.5zM16.5 9.5l5 5M21.5 9.5l-5 5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  edit: "M5 19l.9-4L16 5l3 3L9 18zM13.5 7.5l3 3",
  trash: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v5.5M13.7 10.5v5.5",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5 10 17.5 19.5 7",
  warning: "M12 4.5 21 19.5H3zM12 10v4.5M12 16.9v.3",
  offline:
    "M4 4l16 16M8.2 9.8A8 8 0 0 0 4 12M12 6c4 0 7.3 1.6 9.5 4.3M2.5 10.3C3.5 9 4.7 8 6.1 7.3M9 15.3a4.5 4.5 0 0 1 5-.9M12 18.8v.4",
  lock: "M6.5 11h11v8.5h-11zM8.5 11V8.3a3.5 3.5 0 0 1 7 0V11",
  user: "M12 12.2a3.9 3.9 0 1 0 0-7.8 3.9 3.9 0 0 0 0 7.8zM4.8 20c.9-3.4 3.7-5 7.2-5s6.3 1.6 7.2 5",
  logout: "M14 5H5.5v14H14M10.5 12H20m0 0-3.5-3.5M20 12l-3.5 3.5",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.8v2M12 19.2v2M21.2 12h-2M4.8 12h-2M18.5 5.5l-1.4 1.4M6.9 17.1l-1.4 1.4M18.5 18.5l-1.4-1.4M6.9 6.9 5.5 5.5",
  moon: "M19.5 14.2A7.8 7.8 0 0 1 9.8 4.5a7.8 7.8 0 1 0 9.7 9.7z",
  globe:
    "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM3.5 12h17M12 3.5c2.6 2.5 3.7 5.3 3.7 8.5s-1.1 6-3.7 8.5c-2.6-2.5-3.7-5.3-3.7-8.5S9.4 6 12 3.5z",
  keyboard: "M3.5 6.5h17v11h-17zM7 10h.1M10.3 10h.1M13.7 10h.1M17 10h.1M8 14h8",
  arrowLeft: "M20 12H4m0 0 6-6m-6 6 6 6",
  arrowRight: "M4 12h16m0 0-6-6m6 6-6 6",
  chevronLeft: "M14.5 5.5 8 12l6.5 6.5",
  chevronRight: "M9.5 5.5 16 12l-6.5 6.5",
  calendar: "M4.5 6h15v13.5h-15zM4.5 10.5h15M8.5 3.5V7M15.5 3.5V7",
  scissors:
    "M6.5 9a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM6.5 20a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8.6 8 20 18M8.6 16 20 6",
  clock: "M12 3.8a8.2 8.2 0 1 0 0 16.4 8.2 8.2 0 0 0 0-16.4zM12 7.5V12l3 2.2",
  stack: "M12 4 3.5 8.5 12 13l8.5-4.5zM3.5 12.5 12 17l8.5-4.5M3.5 16.5 12 21l8.5-4.5",
  chart: "M4.5 4.5v15h15M8.5 15.5v-4M12.5 15.5v-8M16.5 15.5v-6",
  boxes:
    "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M12 7.6a2.1 2.1 0 1 0 0 4.2 2.1 2.1 0 0 0 0-4.2zM8 17c.4-2.2 1.9-3.2 4-3.2s3.6 1 4 3.2",
  chip: "M7 7h10v10H7zM10 10.3h4v3.4h-4zM9.5 7V4M14.5 7V4M9.5 20v-3M14.5 20v-3M7 9.5H4M7 14.5H4M20 9.5h-3M20 14.5h-3",
  analytics: "M4.5 4.5v15h15M7.5 14.5l3.6-4.2 3.2 2.4 4.7-6.2",
  undo: "M8.5 5.5 4.5 9.5l4 4M4.5 9.5h9.2a5 5 0 0 1 0 10H9",
  flip: "M8 4.5v13m0 0-3.5-3.5M8 17.5l3.5-3.5M16 19.5v-13m0 0-3.5 3.5M16 6.5l3.5 3.5",
  line: "M5 18.5 19 5.5M5 18.5h.1M19 5.5h.1",
  zone: "M5 7.5 13.5 4.5l6 7.5-4.5 7.5-9.5-2z",
  eye: "M2.8 12S6 5.8 12 5.8 21.2 12 21.2 12 18 18.2 12 18.2 2.8 12 2.8 12zM12 9.3a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4z",
  table: "M4.5 5.5h15v13h-15zM4.5 10h15M4.5 14.2h15M10 5.5v13",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.4 15.4 20 20",
  disk: "M4.5 14h15v5.5h-15zM4.5 14l2.6-9.5h9.8l2.6 9.5M8 16.8h.1M15 16.8h1.5",
  bell: "M6.2 16.5V11a5.8 5.8 0 0 1 11.6 0v5.5l1.4 1.5H4.8zM10 18.3a2 2 0 0 0 4 0",
  photo: "M4 6.5h3.5L9 4.5h6l1.5 2H20v12.5H4zM12 9a3.7 3.7 0 1 0 0 7.4A3.7 3.7 0 0 0 12 9z",
} as const;

export type IconName = keyof typeof PATHS;

/** A decorative drawing; what it stands for is said by the text or label beside it. */
export function Icon(props: { name: IconName; size?: number; class?: string; filled?: boolean }): JSX.Element {
  return (
    <svg
      width={props.size ?? 20}
      height={props.size ?? 20}
      viewBox="0 0 24 24"
      fill={props.filled ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      class={`shrink-0 ${props.class ?? ""}`}
      aria-hidden="true"
    >
      <path d={PATHS[props.name]} />
    </svg>
  );
}

/** The product's mark. */
export function Mark(props: { size: number }): JSX.Element {
  return (
    <svg width={props.size} height={props.size} viewBox="0 0 32 32" aria-hidden="true" class="shrink-0">
      <rect width="32" height="32" rx="7" fill="#12304f" />
      <path
        d="M6 9.5 13.2 23a3.2 3.2 0 0 0 5.6 0L26 9.5"
        fill="none"
        stroke="#8cc3ff"
        stroke-width="3.2"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
      <circle cx="16" cy="11" r="3.4" fill="#fff" />
    </svg>
  );
}

export function Spinner(props: { size?: number; class?: string }): JSX.Element {
  return (
    <svg
      width={props.size ?? 20}
      height={props.size ?? 20}
      viewBox="0 0 24 24"
      class={`spin shrink-0 ${props.class ?? ""}`}
      fill="none"
      stroke="currentColor"
      stroke-width="2.4"
      stroke-linecap="round"
      aria-hidden="true"
    >
      <circle cx="12" cy="12" r="8.5" opacity="0.22" />
      <path d="M20.5 12A8.5 8.5 0 0 0 12 3.5" />
    </svg>
  );
}
