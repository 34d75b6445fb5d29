/** A refused or failed request. Refusals carry the problem document (RFC 9457) that the server sent. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The last part of the problem's type, such as `invalid-credentials`; empty when there was none. */
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    /** Seconds to wait before another try, where the server said so. */
    readonly retryAfterS: number | null = null,
    /** What is wrong with which member, by JSON pointer. */
    readonly fields: ReadonlyMap<string, string> = new Map(),
  ) {
    super(detail || title);
  }

  /** Whether trying the same again later may help. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

interface ProblemDocument {
  type?: unknown;
  title?: unknown;
  detail?: unknown;
  errors?: unknown;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The problem of an answer that is not a success. Reads the body. */
export async function problemOf(response: Response, nowMs: number = Date.now()): Promise<Problem> {
  let document: ProblemDocument = {};
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) document = body;
  } catch {
    // Not ours, or cut off: the status says what there is to say.
  }
  const type = text(document.type);
  const fields = new Map<string, string>();
  if (Array.isArray(document.errors)) {
    for (const entry of document.errors as unknown[]) {
      if (typeof entry !== "object" || entry === null) continue;
      const { pointer, detail } = entry as { pointer?: unknown; detail?: unknown };
      if (text(pointer)) fields.set(text(pointer), text(detail));
    }
  }
  return new Problem(
    response.status,
    type === "about:blank" ? "" : (type.split(/[:/#]/).pop() ?? ""),
    text(document.title) || response.statusText || `HTTP ${response.status}`,
    text(document.detail),
    retryAfterSeconds(response.headers.get("retry-after"), nowMs),
    fields,
  );
}

/** Seconds of a Retry-After header (RFC 9110 §10.2.3), which holds seconds or a date. */
export function retryAfterSeconds(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - nowMs) / 1_000));
}

/** The problem of a request that got no answer. */
export function unreachable(): Problem {
  return new Problem(0, "unreachable", "", "");
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
