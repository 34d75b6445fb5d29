import { formatInstant } from "@/shared/time/instant";
import type { Span } from "./cameras";
import { listAll } from "./cameras";
import { json, request, requestJson } from "./client";
import { isAbort, Problem } from "./problem";
import type { ExportFormat, ExportJob } from "./types";

const BASE = "/api/v1/exports";
const exportPath = (id: string, part = ""): string => `${BASE}/${encodeURIComponent(id)}${part}`;

export const listExports = (signal?: AbortSignal): Promise<ExportJob[]> => listAll<ExportJob>(BASE, signal);

export const getExport = (id: string, signal?: AbortSignal): Promise<ExportJob> =>
  requestJson(exportPath(id), signal ? { signal } : {});

export const orderExport = (cameraIds: string[], span: Span, format: ExportFormat): Promise<ExportJob> =>
  requestJson(
    BASE,
    json("POST", { camera_ids: cameraIds, start: formatInstant(span.start), end: formatInstant(span.end), format }),
  );

/** Cancels an export that runs, deletes one that is done. */
export async function removeExport(id: string): Promise<void> {
  await request(exportPath(id), { method: "DELETE" });
}

export const isFinal = (job: ExportJob): boolean =>
  job.state === "done" || job.state === "failed" || job.state === "cancelled";

/**
 * Hands the file to the browser's own downloads: by a signed address, so that the bytes go to the disk and never
 * through the page's memory; where the server signs none, through a blob.
 */
export async function downloadExport(job: ExportJob): Promise<void> {
  let address = job.download_url ?? null;
  if (address === null) {
    try {
      const link = await requestJson<{ url: string }>(exportPath(job.id, "/link"), { method: "POST" });
      address = link.url;
    } catch (error) {
      if (!(error instanceof Problem) || (error.status !== 404 && error.status !== 405)) throw error;
    }
  }
  if (address !== null) {
    // The server may know itself by another name than the one that this page was opened by.
    const link = new URL(address, location.href);
    save(link.pathname + link.search, "");
    return;
  }
  const response = await request(exportPath(job.id, "/download"));
  const name = fileName(response.headers.get("content-disposition")) ?? `export.${job.format ?? "mp4"}`;
  const url = URL.createObjectURL(await response.blob());
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function save(href: string, name: string): void {
  const anchor = document.createElement("a");
  anchor.href = href;
  anchor.download = name;
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}

/** The file name of a Content-Disposition header (RFC 6266), the UTF-8 form first. */
export function fileName(disposition: string | null): string | null {
  if (disposition === null) return null;
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended);
    } catch {
      // Badly encoded: the plain form is next.
    }
  }
  return /filename="?([^";]+)"?/i.exec(disposition)?.[1] ?? null;
}

/** Asks for an export until it ends; calls `report` with each answer. Resolves when it ended or `signal` says stop. */
export async function followExport(id: string, report: (job: ExportJob) => void, signal: AbortSignal): Promise<void> {
  let pauseMs = 400;
  while (!signal.aborted) {
    try {
      const job = await getExport(id, signal);
      report(job);
      if (isFinal(job)) return;
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Problem) || !error.isTemporary) throw error;
    }
    await new Promise<void>((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(2_000, pauseMs * 1.3);
  }
}
