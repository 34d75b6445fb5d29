import { labelText } from "@/shared/analysis/labels";
import type { CameraEvent } from "@/shared/api/types";
import { textsOf } from "./texts";

const en = {
  motion: "Motion",
  "line.crossed": "Line crossed",
  "zone.entered": "Zone entered",
  "zone.loitering": "Somebody stays around",
  "zone.crowded": "A crowd",
  "zone.occupancy": "Too many in a zone",
  "way.wrong": "Wrong way",
  "speed.exceeded": "Too fast",
  "object.abandoned": "Something left behind",
  "object.removed": "Something taken away",
  "object.parked": "Vehicle parked",
  "person.fell": "Somebody fell",
  "camera.covered": "Camera covered",
  "camera.moved": "Camera moved",
  "camera.defocused": "Camera out of focus",
  "camera.frozen": "Picture frozen",
  "scene.unusual": "Unusual scene",
};

const ptBR: Record<keyof typeof en, string> = {
  motion: "Movimento",
  "line.crossed": "Linha cruzada",
  "zone.entered": "Entrada em zona",
  "zone.loitering": "Permanência suspeita",
  "zone.crowded": "Aglomeração",
  "zone.occupancy": "Zona cheia demais",
  "way.wrong": "Contramão",
  "speed.exceeded": "Excesso de velocidade",
  "object.abandoned": "Objeto abandonado",
  "object.removed": "Objeto retirado",
  "object.parked": "Veículo estacionado",
  "person.fell": "Queda de pessoa",
  "camera.covered": "Câmera coberta",
  "camera.moved": "Câmera movida",
  "camera.defocused": "Câmera fora de foco",
  "camera.frozen": "Imagem congelada",
  "scene.unusual": "Cena incomum",
};

const words = textsOf(en, ptBR);

/** The types that understanding pictures makes, and motion. */
export const KNOWN_TYPES = Object.keys(en) as (keyof typeof en)[];

const isKnown = (type: string): type is keyof typeof en => Object.hasOwn(en, type);

/** What an event's type is called; types that nobody translated are shown as they are. */
export const eventTypeText = (type: string): string => (isKnown(type) ? words(type) : type);

/** What understanding pictures says of an event, in few words: the rule, what did it, how fast; empty where nothing. */
export function eventDetails(event: Pick<CameraEvent, "data">, regional: string): string {
  const { data } = event;
  if (!data) return "";
  const text = (member: string): string => (typeof data[member] === "string" ? (data[member] as string) : "");
  const label = text("label");
  const track = typeof data.track === "number" ? ` ${data.track}` : "";
  const speed =
    typeof data.kmh === "number" ? `${data.kmh.toLocaleString(regional, { maximumFractionDigits: 0 })} km/h` : "";
  return [text("rule_name"), label === "" ? "" : `${labelText(label)}${track}`, speed]
    .filter((part) => part !== "")
    .join(" · ");
}

/** An event's own words, where they are not the rule's name, which its details have. */
export const eventWords = (event: Pick<CameraEvent, "data" | "text">): string =>
  event.text === event.data?.rule_name ? "" : event.text;
