import { createEffect, createSignal, type JSX, Show } from "solid-js";
import { Icon } from "./Icon";

/** A part that most people leave alone: folded, until it is opened or `forced` (something is wrong inside). */
export function Fold(props: {
  title: string;
  summary?: string;
  forced?: boolean;
  opened?: boolean;
  children: JSX.Element;
}): JSX.Element {
  const [open, setOpen] = createSignal(false);
  createEffect(() => {
    if (props.forced || props.opened) setOpen(true);
  });
  return (
    <details
      class="group min-w-0 rounded-lg border border-line"
      open={open()}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary class="flex min-h-10 list-none items-center gap-2 rounded-lg px-3 text-[13px] hover:bg-raised">
        <Icon name="chevronRight" size={15} class="shrink-0 text-muted transition-transform group-open:rotate-90" />
        <span class="shrink-0 font-medium">{props.title}</span>
        <Show when={!open() && props.summary}>
          <span class="ml-auto min-w-0 truncate text-muted">{props.summary}</span>
        </Show>
      </summary>
      <div class="grid gap-4 px-3 pt-1 pb-3">{props.children}</div>
    </details>
  );
}
