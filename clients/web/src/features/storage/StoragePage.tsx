import { createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { getStorage, listGroups, listLocks } from "@/shared/api/keeping";
import { may, me } from "@/shared/api/me";
import { Problem } from "@/shared/api/problem";
import type { EvidenceLock, Group, StorageUsage } from "@/shared/api/types";
import { t } from "@/shared/i18n";
import { Spinner } from "@/shared/ui/Icon";
import { Notice, ProblemNotice } from "@/shared/ui/Notice";
import { CameraTable } from "./CameraTable";
import { Groups } from "./Groups";
import { Locks } from "./Locks";
import { Volumes } from "./Volumes";

const EVERY_MS = 15_000;

/** What is kept: the volumes, what cameras take, groups with limits, evidence. */
export default function StoragePage(): JSX.Element {
  const [shown, setShown] = createStore<{ usage: StorageUsage | null; groups: Group[]; locks: EvidenceLock[] }>({
    usage: null,
    groups: [],
    locks: [],
  });
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [locksRefused, setLocksRefused] = createSignal(false);
  const aborter = new AbortController();
  const { signal } = aborter;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const loadLocks = async () => {
    try {
      setShown("locks", reconcile(await listLocks(signal), { key: "id" }));
      setLocksRefused(false);
    } catch (error) {
      // Not everybody may see them: the rest of the page is theirs all the same.
      if (!(error instanceof Problem) || error.status !== 403) throw error;
      setLocksRefused(true);
    }
  };
  const load = async () => {
    clearTimeout(timer);
    try {
      const [usage, groups] = await Promise.all([getStorage(signal), listGroups(signal), loadLocks()]);
      setShown("usage", reconcile(usage));
      setShown("groups", reconcile(groups, { key: "id" }));
      setProblem(null);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    }
    timer = setTimeout(() => void load(), EVERY_MS);
  };
  onMount(() => void load());
  onCleanup(() => {
    clearTimeout(timer);
    aborter.abort();
  });

  const Part = (part: { title: string; children: JSX.Element }) => (
    <section class="mb-7">
      <h2 class="mb-2.5 font-semibold text-[16px]">{part.title}</h2>
      {part.children}
    </section>
  );

  return (
    <div class="h-full overflow-y-auto">
      <div class="mx-auto max-w-6xl px-4 py-5 sm:px-6">
        <h1 class="mb-4 font-semibold text-[20px]">{t("storage.title")}</h1>
        <Show when={problem()}>
          {(found) => (
            <div class="mb-4">
              <ProblemNotice problem={found()} onRetry={() => void load()} />
            </div>
          )}
        </Show>
        <Show
          when={shown.usage}
          fallback={
            <Show when={!problem()}>
              <div class="grid place-items-center py-16 text-muted">
                <Spinner size={28} />
              </div>
            </Show>
          }
        >
          {(usage) => (
            <>
              <Show when={usage().removes_by_age === false}>
                <div class="mb-4">
                  <Notice kind="warn" title={t("storage.clockSet")} icon="clock">
                    {t("storage.clockSetText")}
                  </Notice>
                </div>
              </Show>
              <Part title={t("storage.volumes")}>
                <Volumes volumes={usage().volumes ?? []} />
              </Part>
              <Part title={t("storage.byCamera")}>
                <Show
                  when={(usage().cameras ?? []).length > 0}
                  fallback={<p class="text-[13px] text-muted">{t("storage.nothing")}</p>}
                >
                  <CameraTable cameras={usage().cameras ?? []} />
                </Show>
              </Part>
              <Part title={t("storage.groups")}>
                <Groups groups={shown.groups} onChanged={() => void load()} />
              </Part>
              <Show when={!locksRefused() && (may("recordings:lock") || me() === null)}>
                <Part title={t("lock.title")}>
                  <Locks locks={shown.locks} onChanged={() => void load()} />
                </Part>
              </Show>
            </>
          )}
        </Show>
      </div>
    </div>
  );
}
