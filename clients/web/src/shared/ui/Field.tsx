import { createUniqueId, type JSX, Show } from "solid-js";

/** A label over a control, with a hint or what is wrong with it under it. */
export function Field(props: {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
  class?: string;
  children: (attributes: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => JSX.Element;
}): JSX.Element {
  const id = createUniqueId();
  return (
    <div class={props.class}>
      <label for={id} class="mb-1 block text-[13px] font-medium text-muted">
        {props.label}
      </label>
      {props.children({
        id,
        "aria-describedby": `${id}-note`,
        get "aria-invalid"() {
          return Boolean(props.error);
        },
      })}
      <p id={`${id}-note`} class="text-[12.5px]">
        <Show when={props.error} fallback={props.hint && <span class="mt-1 block text-muted">{props.hint}</span>}>
          <span class="mt-1 block text-bad">{props.error}</span>
        </Show>
      </p>
    </div>
  );
}
