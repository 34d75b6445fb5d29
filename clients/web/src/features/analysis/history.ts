import { type Accessor, createMemo, createSignal } from "solid-js";
import type { AnalysisSettings } from "@/shared/api/analysis-types";

const MOST = 100;
// Changes of one field that follow each other this closely are one for Undo.
const TOGETHER_MS = 1_000;

export interface History {
  now: Accessor<AnalysisSettings>;
  changed: Accessor<boolean>;
  canUndo: Accessor<boolean>;
  /** What follows is one change, which one `undo` takes back. */
  begin: () => void;
  /** Goes on with the change that has begun. */
  set: (settings: AnalysisSettings) => void;
  /** A change of its own; quick ones of the same `what` are taken as one. */
  change: (settings: AnalysisSettings, what?: string) => void;
  undo: () => void;
  /** Begins anew with what is saved. */
  reset: (saved: AnalysisSettings) => void;
}

/** Settings that are changed step by step, with the way back. */
export function createHistory(saved: AnalysisSettings): History {
  const [base, setBase] = createSignal(saved);
  const [now, setNow] = createSignal(saved);
  const [before, setBefore] = createSignal<readonly AnalysisSettings[]>([]);
  let last = { what: "", atMs: 0 };

  const begin = () => {
    last = { what: "", atMs: 0 };
    if (before().at(-1) !== now()) setBefore([...before().slice(-MOST), now()]);
  };
  return {
    now,
    changed: createMemo(() => now() !== base() && JSON.stringify(now()) !== JSON.stringify(base())),
    canUndo: () => before().length > 0,
    begin,
    set: setNow,
    change: (settings, what = "") => {
      const atMs = performance.now();
      const goesOn = what !== "" && what === last.what && atMs - last.atMs < TOGETHER_MS;
      if (!goesOn) begin();
      last = { what, atMs };
      setNow(settings);
    },
    undo: () => {
      const was = before().at(-1);
      if (!was) return;
      last = { what: "", atMs: 0 };
      setBefore(before().slice(0, -1));
      setNow(was);
    },
    reset: (settings) => {
      setBase(settings);
      setNow(settings);
      setBefore([]);
    },
  };
}
