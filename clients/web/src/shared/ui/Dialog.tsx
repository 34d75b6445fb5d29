import { Dialog as Primitive } from "@kobalte/core/dialog";
import type { JSX } from "solid-js";
import { t } from "@/shared/i18n";
import { Icon } from "./Icon";

/** A dialog in front of the page: traps focus, closes with Escape or a click beside it. */
export function Dialog(props: {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: string;
  wide?: boolean;
  children: JSX.Element;
}): JSX.Element {
  return (
    <Primitive open={props.open} onOpenChange={(open) => !open && props.onClose()}>
      <Primitive.Portal>
        <Primitive.Overlay class="fixed inset-0 z-40 bg-black/55" />
        <div class="fixed inset-0 z-50 grid items-end justify-center overflow-y-auto sm:items-center sm:p-6">
          <Primitive.Content
            class={`panel dialog-in max-h-[92dvh] w-screen overflow-y-auto rounded-b-none p-5 shadow-2xl sm:rounded-b-[10px] ${props.wide ? "sm:w-[600px]" : "sm:w-[440px]"}`}
          >
            <div class="mb-4 flex items-start justify-between gap-4">
              <div>
                <Primitive.Title class="text-[17px] font-semibold">{props.title}</Primitive.Title>
                {props.description && (
                  <Primitive.Description class="mt-1 text-muted">{props.description}</Primitive.Description>
                )}
              </div>
              <Primitive.CloseButton
                class="-mt-1 -mr-1 inline-flex h-9 w-9 items-center justify-center rounded-[7px] hover:bg-hover"
                aria-label={t("action.close")}
              >
                <Icon name="close" size={18} />
              </Primitive.CloseButton>
            </div>
            {props.children}
          </Primitive.Content>
        </div>
      </Primitive.Portal>
    </Primitive>
  );
}
