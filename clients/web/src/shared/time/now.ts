import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { InstantMs } from "./instant";

/** This machine's clock, looked at every so often. */
export function createNow(everyMs: number): Accessor<InstantMs> {
  const [now, setNow] = createSignal(Date.now());
  const timer = setInterval(() => setNow(Date.now()), everyMs);
  onCleanup(() => clearInterval(timer));
  return now;
}
