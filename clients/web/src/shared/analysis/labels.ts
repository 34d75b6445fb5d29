import { locale } from "@/shared/i18n";

/** The 80 classes of COCO in the order of its documentation, in English and in Brazilian Portuguese. */
const PORTUGUESE: Record<string, string> = {
  person: "pessoa",
  bicycle: "bicicleta",
  car: "carro",
  motorcycle: "moto",
  airplane: "avião",
  bus: "ônibus",
  train: "trem",
  truck: "caminhão",
  boat: "barco",
  "traffic light": "semáforo",
  "fire hydrant": "hidrante",
  "stop sign": "placa de pare",
  "parking meter": "parquímetro",
  bench: "banco",
  bird: "pássaro",
  cat: "gato",
  dog: "cachorro",
  horse: "cavalo",
  sheep: "ovelha",
  cow: "vaca",
  elephant: "elefante",
  bear: "urso",
  zebra: "zebra",
  giraffe: "girafa",
  backpack: "mochila",
  umbrella: "guarda-chuva",
  handbag: "bolsa",
  tie: "gravata",
  suitcase: "mala",
  frisbee: "frisbee",
  skis: "esquis",
  snowboard: "snowboard",
  "sports ball": "bola",
  kite: "pipa",
  "baseball bat": "taco de beisebol",
  "baseball glove": "luva de beisebol",
  skateboard: "skate",
  surfboard: "prancha de surfe",
  "tennis racket": "raquete de tênis",
  bottle: "garrafa",
  "wine glass": "taça",
  cup: "copo",
  fork: "garfo",
  knife: "faca",
  spoon: "colher",
  bowl: "tigela",
  banana: "banana",
  apple: "maçã",
  sandwich: "sanduíche",
  orange: "laranja",
  broccoli: "brócolis",
  carrot: "cenoura",
  "hot dog": "cachorro-quente",
  pizza: "pizza",
  donut: "rosquinha",
  cake: "bolo",
  chair: "cadeira",
  couch: "sofá",
  "potted plant": "vaso de planta",
  bed: "cama",
  "dining table": "mesa",
  toilet: "vaso sanitário",
  tv: "televisão",
  laptop: "notebook",
  mouse: "mouse",
  remote: "controle remoto",
  keyboard: "teclado",
  "cell phone": "celular",
  microwave: "micro-ondas",
  oven: "forno",
  toaster: "torradeira",
  sink: "pia",
  refrigerator: "geladeira",
  book: "livro",
  clock: "relógio",
  vase: "vaso",
  scissors: "tesoura",
  "teddy bear": "ursinho de pelúcia",
  "hair drier": "secador de cabelo",
  toothbrush: "escova de dentes",
};

/** What a camera's owner usually wants followed; the rest is a search away. */
export const USUAL_LABELS: readonly string[] = [
  "person",
  "bicycle",
  "motorcycle",
  "car",
  "bus",
  "truck",
  "dog",
  "cat",
  "backpack",
  "handbag",
  "suitcase",
];

export const ALL_LABELS: readonly string[] = Object.keys(PORTUGUESE);

/** What a class is called in the language in use; classes of other models are shown as they are. */
export const labelText = (label: string): string => (locale() === "pt-BR" ? (PORTUGUESE[label] ?? label) : label);

const COLOURS: Record<string, string> = {
  person: "#ffd166",
  bicycle: "#7ee787",
  motorcycle: "#56d4dd",
  car: "#79b8ff",
  bus: "#b392f0",
  truck: "#ff9e64",
  train: "#d2a8ff",
  dog: "#f78fb3",
  cat: "#f78fb3",
  backpack: "#ff8a80",
  handbag: "#ff8a80",
  suitcase: "#ff8a80",
};
const OTHERS = ["#9be7c4", "#e7c19b", "#c4e79b", "#e79bc4", "#9bc4e7"];

/** The colour of a class on pictures, which are dark or light by turns: every one of them is light, on a dark edge. */
export function labelColour(label: string): string {
  const known = COLOURS[label];
  if (known !== undefined) return known;
  let sum = 0;
  for (const letter of label) sum = (sum * 31 + letter.charCodeAt(0)) % 9_973;
  return OTHERS[sum % OTHERS.length] ?? "#e6ebf2";
}
