import { HashRouter, Navigate, Route } from "@solidjs/router";
import { createEffect, createSignal, type JSX, lazy, on, Show } from "solid-js";
import LoginPage from "@/features/login/LoginPage";
import WallPage from "@/features/wall/WallPage";
import { loggedIn, session } from "@/shared/api/client";
import { Toasts } from "@/shared/ui/toasts";
import { Shell } from "./Shell";

const AiPage = lazy(() => import("@/features/ai/AiPage"));
const AnalysisPage = lazy(() => import("@/features/analysis/AnalysisPage"));
const AnalyticsPage = lazy(() => import("@/features/analytics/AnalyticsPage"));
const CameraPage = lazy(() => import("@/features/camera/CameraPage"));
const CamerasPage = lazy(() => import("@/features/cameras/CamerasPage"));
const EventsPage = lazy(() => import("@/features/events/EventsPage"));
const ExportsPage = lazy(() => import("@/features/exports/ExportsPage"));
const StoragePage = lazy(() => import("@/features/storage/StoragePage"));

/** Log-in first, then the places. Addresses live behind the # so that any web server can serve the page. */
export function App(): JSX.Element {
  const [ended, setEnded] = createSignal(false);
  createEffect(
    on(
      () => loggedIn() !== null,
      (inside, before) => {
        if (inside) setEnded(false);
        else if (before) setEnded(session.endedByServer);
      },
    ),
  );
  return (
    <>
      <Show when={loggedIn() !== null} fallback={<LoginPage ended={ended()} />}>
        <HashRouter root={Shell}>
          <Route path="/" component={WallPage} />
          <Route path="/cameras" component={CamerasPage} />
          <Route path="/cameras/:id" component={CameraPage} />
          <Route path="/cameras/:id/analysis" component={AnalysisPage} />
          <Route path="/ai" component={AiPage} />
          <Route path="/analytics" component={AnalyticsPage} />
          <Route path="/events" component={EventsPage} />
          <Route path="/exports" component={ExportsPage} />
          <Route path="/storage" component={StoragePage} />
          <Route path="*" component={() => <Navigate href="/" />} />
        </HashRouter>
      </Show>
      <Toasts />
    </>
  );
}
