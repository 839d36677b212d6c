/** The page: from strokes to pixels to answers. */

import { Bars, percent, rank } from "./bars";
import { catalogue, examples, type Entry } from "./catalogue";
import { Classifier, start, type Answer } from "./classifier";
import { Comparison } from "./comparison";
import { element, remember, remembered } from "./document";
import { Latency } from "./latency";
import { Pad, PAD } from "./pad";
import * as picture from "./picture";
import { PREPARATIONS } from "./prepare";
import type { Pixels } from "./prepare/image";
import { initialiseTheme } from "./theme";

const QUIET = 700; // ms without a change before the answer is read out

// What the headline begins with from which probability on.
const OPENINGS: readonly [string, number][] = [
  ["That is ", 0.85],
  ["That looks like ", 0.5],
  ["Perhaps ", -1],
];

class Page {
  private readonly bars = new Bars(element("browser-bars"));
  private readonly latency = new Latency();
  private readonly comparison = new Comparison();
  private readonly canvas = element<HTMLCanvasElement>("pad");
  private readonly seen = element<HTMLCanvasElement>("seen");
  private readonly given = element<HTMLCanvasElement>("given");
  private readonly pad = new Pad(
    this.canvas,
    () => this.drew(),
    (text) => this.say(text),
  );
  private entry: Entry | null = null;
  private classifier: Classifier | null = null;
  private image: Pixels | null = null; // in place of a drawing
  private isWaiting = false;
  private timer = 0;

  constructor() {
    initialiseTheme(() => this.pad.render());
    element("undo").addEventListener("click", () => this.undo());
    element("clear").addEventListener("click", () => {
      this.clear();
      this.canvas.focus({ preventScroll: true });
    });
    element("file").addEventListener("change", (event) => void this.open(event));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  async run(): Promise<void> {
    const [entries] = await Promise.all([catalogue(), start()]);
    this.listModels(entries);
    const last = entries.find(({ name }) => name === remembered("model"));
    await this.choose(last ?? entries[0]!);
  }

  private listModels(entries: readonly Entry[]): void {
    element("models").append(
      ...entries.map((entry) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        Object.assign(input, { type: "radio", name: "model", value: entry.name });
        input.addEventListener("change", () => void this.choose(entry).catch(fail));
        label.append(input, entry.title);
        return label;
      }),
    );
  }

  private async choose(entry: Entry): Promise<void> {
    remember("model", entry.name);
    for (const input of element("models").querySelectorAll("input")) {
      input.checked = input.value === entry.name;
    }
    this.canvas.ariaBusy = "true";
    const classifier = await Classifier.load(entry.model);
    const isFirst = !this.classifier;
    this.classifier?.dispose();
    [this.entry, this.classifier] = [entry, classifier];
    if (isFirst) this.changed(); // somebody may have drawn already
    else this.clear();
    this.canvas.ariaBusy = "false";
    element("hint").textContent = hint(entry);
    element("caption").textContent = PREPARATIONS[entry.preparation]!.caption;
    await this.listExamples(entry);
    document.documentElement.dataset.ready = entry.name;
  }

  private async listExamples(entry: Entry): Promise<void> {
    const found = await examples(entry);
    element("examples").replaceChildren(
      ...found.map(({ label, pixels }) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        const canvas = document.createElement("canvas");
        button.type = "button";
        button.ariaLabel = button.title = `Example: ${label}`;
        canvas.ariaHidden = "true";
        picture.show(canvas, pixels);
        button.append(canvas);
        button.addEventListener("click", () => this.take(pixels));
        item.append(button);
        return item;
      }),
    );
  }

  /** Asks about an image instead of a drawing. */
  private take(pixels: Pixels): void {
    this.pad.clear();
    this.image = pixels;
    picture.show(this.given, pixels);
    this.changed();
  }

  private async open(event: Event): Promise<void> {
    const input = event.target as HTMLInputElement;
    const [file] = input.files ?? [];
    if (!file) return;
    try {
      this.take(await picture.read(file));
    } catch {
      this.say(`${file.name} is no image that this browser can read.`);
    }
    input.value = "";
  }

  private drew(): void {
    if (this.pad.drawing.length) this.image = null;
    this.changed();
  }

  private undo(): void {
    this.image = null;
    this.pad.undo();
  }

  private clear(): void {
    this.image = null;
    this.pad.clear();
  }

  private key(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement && event.target.type === "text") return;
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) this.undo();
    else if (event.key === "Escape" || event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  private changed(): void {
    this.given.hidden = !this.image;
    element("hint").hidden = Boolean(this.image) || this.pad.drawing.length > 0;
    element<HTMLButtonElement>("undo").disabled = !this.pad.canUndo;
    element<HTMLButtonElement>("clear").disabled = !this.image && !this.pad.drawing.length;
    if (this.isWaiting) return;
    this.isWaiting = true; // one answer a frame at most, about the newest drawing
    requestAnimationFrame(() => {
      this.isWaiting = false;
      void this.answer().catch(fail);
    });
  }

  private async answer(): Promise<void> {
    const { entry, classifier } = this;
    if (!entry || !classifier) return;
    const pixels = this.pixels(entry);
    element("seen-box").hidden = !pixels;
    if (!pixels) return this.forget();
    picture.show(this.seen, pixels);
    const answer = await classifier.classify(pixels);
    if (classifier !== this.classifier) return;
    this.latency.add(answer.milliseconds);
    this.bars.show(answer, entry.labels);
    element("browser-latency").textContent = this.latency.text;
    this.headline(entry, answer);
    this.comparison.ask({ entry, pixels, browser: answer });
  }

  /** What the model gets to see; null where there is no ink. */
  private pixels(entry: Entry): Pixels | null {
    const { drawing } = this.pad;
    if (this.image) return this.image;
    if (!drawing.length) return null;
    const pixels = PREPARATIONS[entry.preparation]!.prepare(drawing, PAD);
    return pixels.some((level) => level > 0) ? pixels : null;
  }

  private forget(): void {
    this.latency.reset();
    this.bars.show(null, []);
    this.comparison.clear();
    element("browser-latency").textContent = "";
    element("guess").replaceChildren("Draw something");
    clearTimeout(this.timer);
  }

  private headline(entry: Entry, answer: Answer): void {
    const { label, probability } = rank(answer, entry.labels)[0]!;
    const name = document.createElement("em");
    name.textContent = label;
    const [opening] = OPENINGS.find(([, least]) => probability > least)!;
    element("guess").replaceChildren(opening, article(label), name);
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.say(`${label}, ${percent(probability)}`), QUIET);
  }

  /** Tells people who use a screen reader. */
  private say(text: string): void {
    element("status").textContent = text;
  }
}

function article(label: string): string {
  if (/^\d/.test(label) || /^The /.test(label)) return "";
  return /^[aeiou]/i.test(label) ? "an " : "a ";
}

function hint(entry: Entry): string {
  if (entry.labels.every((label) => /^\d$/.test(label))) return "Draw a digit, 0 to 9";
  const [first, second, third] = entry.labels as [string, string, string];
  const names = [first, second, third].map((label) => article(label) + label);
  return `Draw ${names[0]}, ${names[1]} or ${names[2]}`;
}

function fail(error: unknown): void {
  console.error(error);
  element("guess").textContent = "Something went wrong";
  element("status").textContent = error instanceof Error ? error.message : String(error);
}

new Page().run().catch(fail);

// A single file has no worker and needs none.
if (location.protocol.startsWith("http") && "serviceWorker" in navigator) {
  addEventListener("load", () => void navigator.serviceWorker.register("worker.js").catch(fail));
}
