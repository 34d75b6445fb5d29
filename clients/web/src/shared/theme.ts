import { createEffect, createRoot, createSignal } from "solid-js";

export type Theme = "dark" | "light";

const STORAGE_KEY = "vms.theme";

function remembered(): Theme {
  try {
    return window.localStorage.getItem(STORAGE_KEY) === "light" ? "light" : "dark";
  } catch {
    return "dark";
  }
}

const [theme, setThemeSignal] = createSignal<Theme>(remembered());

/** The theme in use; dark unless chosen otherwise, since walls hang in dim rooms. */
export { theme };

export function setTheme(wanted: Theme): void {
  setThemeSignal(wanted);
  try {
    window.localStorage.setItem(STORAGE_KEY, wanted);
  } catch {
    // Not remembered then.
  }
}

createRoot(() => {
  createEffect(() => {
    document.documentElement.dataset.theme = theme();
    document
      .querySelector('meta[name="theme-color"]')
      ?.setAttribute("content", theme() === "dark" ? "#0c0f14" : "#eef1f5");
  });
});
