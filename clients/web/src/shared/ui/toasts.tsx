import { createSignal, For, type JSX } from "solid-js";
import { Portal } from "solid-js/web";
import { Icon, type IconName } from "./Icon";

interface Toast {
  id: number;
  text: string;
  icon: IconName;
}

const SHOWN_MS = 4_500;
const [toasts, setToasts] = createSignal<Toast[]>([]);
let lastId = 0;

/** Says something in passing, in the corner; never the only place where a failure is told. */
export function say(text: string, icon: IconName = "check"): void {
  lastId += 1;
  const toast = { id: lastId, text, icon };
  setToasts((shown) => [...shown.slice(-2), toast]);
  setTimeout(() => setToasts((shown) => shown.filter((entry) => entry.id !== toast.id)), SHOWN_MS);
}

export function Toasts(): JSX.Element {
  return (
    <Portal>
      <div
        aria-live="polite"
        class="pointer-events-none fixed right-4 bottom-20 z-[60] grid justify-items-end gap-2 sm:bottom-4"
      >
        <For each={toasts()}>
          {(toast) => (
            <div class="panel dialog-in flex items-center gap-2.5 bg-raised px-3.5 py-2.5 shadow-xl">
              <Icon name={toast.icon} size={17} class="text-accent" />
              {toast.text}
            </div>
          )}
        </For>
      </div>
    </Portal>
  );
}
