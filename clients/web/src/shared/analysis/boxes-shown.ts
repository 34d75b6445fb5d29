import { createSignal } from "solid-js";

const STORAGE_KEY = "vms.boxes";

function remembered(): boolean {
  try {
    return window.localStorage.getItem(STORAGE_KEY) !== "off";
  } catch {
    return true;
  }
}

const [boxesShown, setBoxesShown] = createSignal(remembered());

/** Whether boxes are drawn around what is followed; remembered in this browser. */
export { boxesShown };

export function showBoxes(wanted: boolean): void {
  setBoxesShown(wanted);
  try {
    window.localStorage.setItem(STORAGE_KEY, wanted ? "on" : "off");
  } catch {
    // Not remembered then.
  }
}
