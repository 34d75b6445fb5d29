import { type JSX, splitProps } from "solid-js";
import { Icon, type IconName, Spinner } from "./Icon";

type ButtonKind = "primary" | "plain" | "quiet" | "danger";

const KINDS: Record<ButtonKind, string> = {
  primary: "bg-accent text-accent-ink font-medium hover:brightness-110",
  plain: "border border-line-strong bg-raised hover:bg-hover",
  quiet: "hover:bg-hover",
  danger: "border border-bad/50 text-bad hover:bg-bad-soft",
};

export interface ButtonProps extends JSX.ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: ButtonKind;
  icon?: IconName;
  busy?: boolean;
}

/** A button with words. */
export function Button(props: ButtonProps): JSX.Element {
  const [own, rest] = splitProps(props, ["kind", "icon", "busy", "class", "children", "disabled"]);
  return (
    <button
      type="button"
      {...rest}
      disabled={own.disabled || own.busy}
      aria-busy={own.busy}
      class={`inline-flex min-h-9 items-center justify-center gap-2 rounded-[7px] px-3.5 transition-colors disabled:cursor-not-allowed disabled:opacity-50 ${KINDS[own.kind ?? "plain"]} ${own.class ?? ""}`}
    >
      {own.busy ? <Spinner size={17} /> : own.icon && <Icon name={own.icon} size={17} />}
      {own.children}
    </button>
  );
}

export interface IconButtonProps extends JSX.ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName;
  /** Said to those who do not see the drawing, and shown on hover; with the key where there is one. */
  label: string;
  shortcut?: string;
  size?: number;
  filled?: boolean;
  active?: boolean;
}

/** A button that is a drawing. */
export function IconButton(props: IconButtonProps): JSX.Element {
  const [own, rest] = splitProps(props, ["icon", "label", "shortcut", "size", "class", "filled", "active"]);
  return (
    <button
      type="button"
      {...rest}
      aria-label={own.label}
      aria-pressed={own.active}
      title={own.shortcut ? `${own.label} (${own.shortcut})` : own.label}
      class={`inline-flex h-9 min-w-9 items-center justify-center rounded-[7px] transition-colors hover:bg-hover disabled:cursor-not-allowed disabled:opacity-40 ${own.active ? "bg-accent-soft text-accent" : ""} ${own.class ?? ""}`}
    >
      <Icon name={own.icon} size={own.size ?? 19} filled={own.filled ?? false} />
    </button>
  );
}
