import type { JSX } from "solid-js";

/** A bar that fills from 0 to 1. */
export function Progress(props: { value: number; label: string; tone?: "accent" | "ok" | "bad" }): JSX.Element {
  const percent = () => Math.round(Math.min(1, Math.max(0, props.value)) * 100);
  return (
    <div
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent()}
      class="h-1.5 w-full overflow-hidden rounded-full bg-hover"
    >
      <div
        class={`h-full rounded-full transition-[width] duration-300 ${props.tone === "bad" ? "bg-bad" : props.tone === "ok" ? "bg-ok" : "bg-accent"}`}
        style={{ width: `${percent()}%` }}
      />
    </div>
  );
}
