import type { Problem } from "@/shared/api/problem";
import { type Key, locale, t } from "./index";

const BY_CODE: Record<string, Key> = {
  "invalid-credentials": "problem.credentials",
  "invalid-token": "problem.session",
  "no-token": "problem.session",
  unreachable: "problem.unreachable",
  unreadable: "problem.unreadable",
  webrtc: "problem.webrtc",
  playback: "problem.playback",
  decode: "problem.decode",
  "camera-not-found": "problem.noCamera",
  "group-name-taken": "storage.groupTaken",
  "group-in-use": "problem.groupInUse",
  "analysis-off": "problem.analysisOff",
  "not-your-lock": "problem.notYourLock",
  "recording-off": "problem.recordingOff",
  "too-many-exports": "problem.tooManyExports",
};

const BY_STATUS: Record<number, Key> = {
  401: "problem.session",
  403: "problem.forbidden",
  404: "problem.notFound",
  409: "problem.conflict",
  413: "problem.invalid",
  422: "problem.invalid",
  400: "problem.invalid",
  429: "problem.rateLimit",
  500: "problem.server",
  502: "problem.unavailable",
  503: "problem.unavailable",
  504: "problem.unavailable",
};

/** A problem in the reader's language; the server's detail, which is in English, is added where it tells more. */
export function problemText(problem: Problem): { title: string; detail: string } {
  const known = BY_CODE[problem.code] ?? BY_STATUS[problem.status];
  const title = known ? t(known) : problem.title || t("problem.unknown");
  const told = problem.code === "invalid-credentials" || problem.code === "unreachable";
  const detail = told ? "" : problem.detail;
  return { title, detail: locale() === "en" && detail === title ? "" : detail };
}
