import { useNavigate, useParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { crossesItself } from "@/shared/analysis/geometry";
import { cameraAnalysis, listModels, saveAnalysis } from "@/shared/api/analysis";
import type { AnalysisSettings, CameraAnalysis, Model } from "@/shared/api/analysis-types";
import { may } from "@/shared/api/me";
import { isAbort, Problem } from "@/shared/api/problem";
import type { Camera } from "@/shared/api/types";
import { directory, refreshCameras } from "@/shared/cameras/directory";
import { regional, t } from "@/shared/i18n";
import { Button, IconButton } from "@/shared/ui/Button";
import { Icon, Spinner } from "@/shared/ui/Icon";
import { Empty, Notice, ProblemNotice } from "@/shared/ui/Notice";
import { say } from "@/shared/ui/toasts";
import { isTyping } from "@/shared/ui/typing";
import { check, memberOf } from "./check";
import { createHistory } from "./history";
import { copyOf, newRule, nextDirection, UNSET } from "./kinds";
import { MaskList, RuleList } from "./RuleList";
import { SettingsFields } from "./SettingsFields";
import { Stage } from "./Stage";
import { type Drawing, isEnough, replaceShape, stageShapes, type Target } from "./shapes";
import { at } from "./texts";

const STATE_EVERY_MS = 4_000;

/** How one camera's pictures are understood: the settings, and the rules drawn on its picture. */
export default function AnalysisPage(): JSX.Element {
  const parameters = useParams<{ id: string }>();
  const camera = createMemo(() => directory.cameras.find((entry) => entry.id === parameters.id));
  return (
    <Show
      when={camera()?.id}
      keyed
      fallback={
        <Show
          when={directory.loaded}
          fallback={
            <div class="grid h-full place-items-center text-muted">
              <Spinner size={28} />
            </div>
          }
        >
          <Empty icon="camera" title={t("camera.unknown")}>
            <a href="#/" class="text-accent hover:underline">
              {t("camera.toWall")}
            </a>
          </Empty>
        </Show>
      }
    >
      {(id) => <Editor cameraId={id} />}
    </Show>
  );
}

function Editor(props: { cameraId: string }): JSX.Element {
  const navigate = useNavigate();
  const camera = () => directory.cameras.find((entry) => entry.id === props.cameraId) as Camera;
  const history = createHistory(copyOf(camera().analysis ?? UNSET));
  const settings = history.now;
  const [selected, setSelected] = createSignal<Target | null>(null);
  const [drawing, setDrawing] = createSignal<Drawing | null>(null);
  const [held, setHeld] = createSignal(false);
  const [wrong, setWrong] = createSignal<ReadonlyMap<string, string>>(new Map());
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [models, setModels] = createSignal<Model[] | null>(null);
  const [state, setState] = createSignal<CameraAnalysis | null>(null);
  const readOnly = () => !may("cameras:edit");

  onMount(() => {
    const aborter = new AbortController();
    const ask = async () => {
      if (document.visibilityState !== "visible") return;
      try {
        setState(await cameraAnalysis(props.cameraId, aborter.signal));
      } catch (error) {
        // The line is left out until an answer comes.
        if (!(error instanceof Problem) && !isAbort(error)) throw error;
      }
    };
    listModels(aborter.signal).then(setModels, (error: unknown) => {
      // Without the list the detector's name alone is shown.
      if (!(error instanceof Problem) && !isAbort(error)) throw error;
    });
    void ask();
    const timer = setInterval(() => void ask(), STATE_EVERY_MS);
    onCleanup(() => {
      clearInterval(timer);
      aborter.abort();
    });
  });

  const detector = createMemo(() => {
    const detectors = models()?.filter((model) => model.task === "detect" && model.installed) ?? [];
    return detectors.find((model) => model.name === settings().detector) ?? detectors.find((model) => model.default);
  });
  // Catalogues of classes have numbers without a name.
  const known = createMemo(() => [...new Set(detector()?.labels.filter((label) => label !== ""))]);
  const change = (part: Partial<AnalysisSettings>, what = "") => history.change({ ...settings(), ...part }, what);

  const draw = (target: Target, name: Drawing["name"]) => {
    const shape = stageShapes(settings()).find(
      (entry) => entry.target.list === target.list && entry.target.index === target.index && entry.name === name,
    );
    if (!shape) return;
    setSelected(target);
    setDrawing({ target, name, closed: shape.closed, least: shape.least, most: shape.most, points: [] });
    document.querySelector("[data-testid=analysis-stage]")?.scrollIntoView({ block: "nearest" });
  };
  const drawn = (finished: Drawing) => {
    history.change(replaceShape(settings(), finished.target, finished.name, finished.points));
    setDrawing(null);
  };
  const addRule = (kind: Parameters<typeof newRule>[0]) => {
    const rule = newRule(kind, settings().rules);
    const target: Target = { list: "rules", index: settings().rules.length };
    change({ rules: [...settings().rules, rule] });
    setSelected(target);
    if (kind === "tripwire") draw(target, "line");
    else if ("zone" in rule) draw(target, "zone");
  };
  const addMask = () => {
    const target: Target = { list: "mask", index: settings().mask.length };
    const corner: AnalysisSettings["mask"][number] = [
      [0.02, 0.02],
      [0.3, 0.02],
      [0.3, 0.25],
      [0.02, 0.25],
    ];
    change({ mask: [...settings().mask, corner] });
    draw(target, "mask");
  };
  const remove = (target: Target) => {
    setSelected(null);
    setDrawing(null);
    setWrong(new Map());
    if (target.list === "mask") change({ mask: settings().mask.filter((_, index) => index !== target.index) });
    else change({ rules: settings().rules.filter((_, index) => index !== target.index) });
  };

  const save = async () => {
    const found = check(settings());
    setWrong(new Map([...found].map(([member, key]) => [member, at(key)])));
    setProblem(null);
    if (found.size > 0) return showFirstWrong();
    setBusy(true);
    try {
      const saved = await saveAnalysis(props.cameraId, settings());
      history.reset(copyOf(saved.analysis ?? settings()));
      setDrawing(null);
      say(at("saved", { name: camera().name }), "check");
      await refreshCameras();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const byMember = new Map<string, string>();
      for (const [pointer, detail] of error.fields) {
        const member = memberOf(pointer, settings());
        if (member && !byMember.has(member)) byMember.set(member, detail);
      }
      setWrong(byMember);
      if (byMember.size === 0) setProblem(error);
      showFirstWrong();
    } finally {
      setBusy(false);
    }
  };
  const showFirstWrong = () => {
    const first = [...wrong().keys()].find((member) => member.startsWith("rules/"));
    if (first) setSelected({ list: "rules", index: Number(first.split("/")[1]) });
    queueMicrotask(() => {
      const field = document.querySelector<HTMLElement>("#analysis-panel [aria-invalid=true]");
      field?.scrollIntoView({ block: "center" });
      field?.focus({ preventScroll: true });
    });
  };
  const crossed = createMemo(() => {
    const chosen = selected();
    return stageShapes(settings()).some(
      (shape) =>
        shape.target.list === chosen?.list &&
        shape.target.index === chosen.index &&
        crossesItself(shape.points, shape.closed),
    );
  });
  const help = (): string => {
    const shape = drawing();
    if (readOnly()) return at("help.readOnly");
    if (shape && shape.least === shape.most) {
      return at("help.exactly", { count: shape.most, left: shape.most - shape.points.length });
    }
    if (shape) return at(shape.closed ? "help.polygon" : "help.line");
    return at(selected() ? "help.edit" : "help.idle");
  };

  onMount(() => {
    const key = (event: KeyboardEvent) => {
      if (isTyping(event.target) || document.querySelector("[role=dialog]")) return;
      const shape = drawing();
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") history.undo();
      else if (event.ctrlKey || event.metaKey || event.altKey) return;
      else if (shape && event.key === "Escape") setDrawing(null);
      else if (shape && event.key === "Enter" && isEnough(shape)) drawn(shape);
      else if (shape && event.key === "Backspace") setDrawing({ ...shape, points: shape.points.slice(0, -1) });
      else if (event.key === "Escape" && selected()) setSelected(null);
      else if (event.key === "Escape" && !history.changed()) navigate(`/cameras/${encodeURIComponent(props.cameraId)}`);
      else return;
      event.preventDefault();
    };
    const leave = (event: BeforeUnloadEvent) => history.changed() && event.preventDefault();
    window.addEventListener("keydown", key);
    window.addEventListener("beforeunload", leave);
    onCleanup(() => {
      window.removeEventListener("keydown", key);
      window.removeEventListener("beforeunload", leave);
    });
  });
  // What is undone may be what was chosen.
  createEffect(
    on(settings, (now) => {
      const chosen = selected();
      if (chosen && chosen.index >= now[chosen.list].length) setSelected(null);
      const shape = drawing();
      if (shape && shape.target.index >= now[shape.target.list].length) setDrawing(null);
    }),
  );

  return (
    <div class="flex h-full flex-col">
      <header class="flex min-h-12 shrink-0 items-center gap-2 border-line border-b bg-surface px-2 sm:px-3">
        <a
          href={`#/cameras/${encodeURIComponent(props.cameraId)}`}
          class="grid h-9 w-9 shrink-0 place-items-center rounded-[7px] text-muted hover:bg-hover hover:text-ink"
          title={at("back")}
        >
          <Icon name="arrowLeft" size={19} />
          <span class="sr-only">{at("back")}</span>
        </a>
        <h1 class="min-w-0 truncate font-semibold text-[15px]">
          <span class="max-sm:sr-only">{at("title")}: </span>
          {camera().name}
        </h1>
        <Show when={state()}>
          {(shown) => (
            <span
              class="hidden min-w-0 items-center gap-2 truncate text-[13px] text-muted tabular-nums lg:inline-flex"
              title={shown().reason ?? ""}
            >
              <span
                class="h-2 w-2 shrink-0 rounded-full"
                classList={{
                  "bg-ok": shown().state === "running",
                  "bg-warn breathe": shown().state === "starting",
                  "bg-bad": shown().state === "failed",
                  "bg-muted": shown().state === "off",
                }}
              />
              {at(`state.${shown().state}`)}
              <Show when={shown().state === "running"}>
                <span class="truncate">
                  {at("running", {
                    fps: shown().frames_per_second.toLocaleString(regional(), { maximumFractionDigits: 1 }),
                    device: shown().device,
                    delay: Math.round(shown().delay_p50_ms).toLocaleString(regional()),
                  })}
                </span>
              </Show>
            </span>
          )}
        </Show>
        <Show when={!readOnly()}>
          <div class="ml-auto flex shrink-0 items-center gap-2">
            <Show when={history.changed()}>
              <span class="hidden text-[13px] text-warn md:inline">{at("unsaved")}</span>
              <Button
                class="max-sm:px-2.5"
                onClick={() => {
                  history.reset(copyOf(camera().analysis ?? UNSET));
                  setWrong(new Map());
                  setProblem(null);
                  setSelected(null);
                  setDrawing(null);
                }}
              >
                <span class="max-sm:hidden">{at("discard")}</span>
                <span class="sm:hidden">{t("action.cancel")}</span>
              </Button>
            </Show>
            <Button
              kind="primary"
              busy={busy()}
              disabled={!history.changed()}
              data-testid="save-analysis"
              onClick={() => void save()}
            >
              {at("save")}
            </Button>
          </div>
        </Show>
      </header>

      <div class="flex min-h-0 flex-1 flex-col overflow-y-auto lg:flex-row lg:overflow-hidden">
        <section class="min-w-0 bg-ground p-2 max-lg:sticky max-lg:top-0 max-lg:z-20 max-lg:border-line max-lg:border-b sm:p-3 lg:flex-1 lg:overflow-y-auto">
          <Stage
            cameraId={props.cameraId}
            cameraName={camera().name}
            settings={settings()}
            selected={selected()}
            drawing={drawing()}
            held={held()}
            readOnly={readOnly()}
            onSelect={setSelected}
            onDrawing={setDrawing}
            onDrawn={drawn}
            onBegin={history.begin}
            onShape={(shape, points) => history.set(replaceShape(settings(), shape.target, shape.name, points))}
            onDirection={(target) => {
              const rule = settings().rules[target.index];
              if (rule?.kind !== "tripwire") return;
              const direction = nextDirection(rule.direction);
              change({
                rules: settings().rules.map((was, index) => (index === target.index ? { ...rule, direction } : was)),
              });
            }}
          />
          <div class="mt-2 flex flex-wrap items-center gap-x-2 gap-y-1">
            <p
              class="min-w-0 flex-1 basis-48 text-[12.5px]"
              classList={{ "text-warn": crossed(), "text-muted": !crossed() }}
              role="status"
            >
              {crossed() ? at("warn.crosses") : help()}
              <Show when={selected() && !drawing() && !readOnly() && !crossed()}>
                <span class="max-lg:hidden"> {at("help.keys")}</span>
              </Show>
            </p>
            <div class="flex items-center gap-1">
              <Show when={drawing()}>
                {(shape) => (
                  <>
                    <Button class="min-h-8" onClick={() => setDrawing(null)}>
                      {t("action.cancel")}
                    </Button>
                    <Show when={shape().least !== shape().most}>
                      <Button
                        kind="primary"
                        class="min-h-8"
                        disabled={!isEnough(shape())}
                        data-testid="finish-drawing"
                        onClick={() => drawn(shape())}
                      >
                        {at("finish")}
                      </Button>
                    </Show>
                  </>
                )}
              </Show>
              <Show when={!readOnly()}>
                <IconButton
                  icon="undo"
                  label={at("undo")}
                  shortcut="Ctrl+Z"
                  disabled={!history.canUndo()}
                  data-testid="undo"
                  onClick={history.undo}
                />
              </Show>
              <IconButton
                icon={held() ? "play" : "pause"}
                label={at(held() ? "unfreeze" : "freeze")}
                active={held()}
                onClick={() => setHeld(!held())}
              />
            </div>
          </div>
        </section>

        <section
          id="analysis-panel"
          class="shrink-0 border-line bg-surface lg:w-[400px] lg:overflow-y-auto lg:border-l"
          aria-label={at("title")}
        >
          <div class="grid gap-5 p-4">
            <Show when={problem()}>{(found) => <ProblemNotice problem={found()} />}</Show>
            <Show when={state()?.state === "failed" && state()?.reason}>
              {(reason) => (
                <Notice kind="warn" title={at("state.failed")}>
                  {reason()}
                </Notice>
              )}
            </Show>
            <SettingsFields
              settings={settings()}
              models={models()}
              readOnly={readOnly()}
              known={known()}
              wrong={(member) => wrong().get(member)}
              onChange={change}
            />
            <RuleList
              rules={settings().rules}
              selected={selected()?.list === "rules" ? (selected()?.index ?? null) : null}
              known={known()}
              readOnly={readOnly()}
              wrong={(index, member) => wrong().get(member === "" ? `rules/${index}` : `rules/${index}/${member}`)}
              onSelect={(index) => {
                setDrawing(null);
                setSelected(index === null ? null : { list: "rules", index });
              }}
              onRule={(index, rule, what) =>
                change({ rules: settings().rules.map((was, place) => (place === index ? rule : was)) }, what)
              }
              onRemove={(index) => remove({ list: "rules", index })}
              onAdd={addRule}
              onDraw={(index, shape) => draw({ list: "rules", index }, shape)}
            />
            <MaskList
              count={settings().mask.length}
              selected={selected()?.list === "mask" ? (selected()?.index ?? null) : null}
              readOnly={readOnly()}
              onSelect={(index) => setSelected({ list: "mask", index })}
              onRemove={(index) => remove({ list: "mask", index })}
              onAdd={addMask}
              onDraw={(index) => draw({ list: "mask", index }, "mask")}
            />
          </div>
        </section>
      </div>
    </div>
  );
}
