import type { JSX } from "solid-js";
import type { Problem } from "@/shared/api/problem";
import { t } from "@/shared/i18n";
import { problemText } from "@/shared/i18n/problems";
import { Button } from "./Button";
import { Icon, type IconName } from "./Icon";

/** Something to know, in the place that it is about. */
export function Notice(props: {
  kind: "bad" | "warn" | "info";
  title: string;
  icon?: IconName;
  children?: JSX.Element;
}): JSX.Element {
  const look = () =>
    props.kind === "bad"
      ? "border-bad/40 bg-bad-soft text-bad"
      : props.kind === "warn"
        ? "border-warn/40 bg-warn-soft text-warn"
        : "border-line bg-raised text-muted";
  return (
    <div
      role={props.kind === "bad" ? "alert" : "status"}
      class={`flex gap-2.5 rounded-lg border px-3 py-2.5 ${look()}`}
    >
      <Icon name={props.icon ?? "warning"} size={18} class="mt-px" />
      <div class="min-w-0">
        <p class="font-medium">{props.title}</p>
        {props.children && <div class="mt-0.5 break-words text-[13px] opacity-90">{props.children}</div>}
      </div>
    </div>
  );
}

/** A refused or failed request, in words, with the server's own detail. */
export function ProblemNotice(props: { problem: Problem; onRetry?: () => void }): JSX.Element {
  const said = () => problemText(props.problem);
  return (
    <Notice kind="bad" title={said().title}>
      {said().detail}
      {props.onRetry && (
        <Button class="mt-2" kind="plain" onClick={() => props.onRetry?.()}>
          {t("action.retry")}
        </Button>
      )}
    </Notice>
  );
}

/** What stands where a list would, when there is nothing to list. */
export function Empty(props: { icon: IconName; title: string; children?: JSX.Element }): JSX.Element {
  return (
    <div class="grid justify-items-center gap-2 px-6 py-16 text-center">
      <span class="mb-2 grid h-14 w-14 place-items-center rounded-full bg-raised text-muted">
        <Icon name={props.icon} size={26} />
      </span>
      <p class="text-[16px] font-medium">{props.title}</p>
      <div class="max-w-sm text-muted">{props.children}</div>
    </div>
  );
}
