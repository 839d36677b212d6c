/** The server's answer beside the browser's: one question at a time, the newest next. */

import { Bars, difference } from "./bars";
import type { Entry } from "./catalogue";
import type { Answer } from "./classifier";
import { Latency } from "./latency";
import type { Pixels } from "./prepare/image";
import { ask, ServerError, tidyAddress } from "./server";
import { element, remember, remembered } from "./document";

interface Question {
  readonly entry: Entry;
  readonly pixels: Pixels;
  readonly browser: Answer;
}

const PAUSE = 120; // ms between questions, so that a line in the drawing isn't a flood of them

export class Comparison {
  private readonly bars = new Bars(element("server-bars"));
  private readonly latency = new Latency();
  private readonly note = element("server-note");
  private readonly time = element("server-latency");
  private readonly toggle = element<HTMLInputElement>("compare");
  private readonly address = element<HTMLInputElement>("address");
  private latest: Question | null = null;
  private next: Question | null = null;
  private abort: AbortController | null = null;

  constructor() {
    this.address.value = remembered("address") ?? this.address.defaultValue;
    this.toggle.checked = remembered("compare") === "on";
    this.toggle.addEventListener("change", () => this.switch());
    this.address.addEventListener("change", () => this.switch());
    this.switch();
  }

  /** Asks the server what the browser has answered. */
  ask(question: Question): void {
    this.latest = question;
    if (!this.toggle.checked) return;
    this.next = question;
    if (!this.abort) void this.work();
  }

  /** Forgets the answer, since there is no drawing any more. */
  clear(): void {
    this.latest = this.next = null;
    this.abort?.abort();
    this.bars.show(null, []);
    this.latency.reset();
    this.time.textContent = "";
    this.note.textContent = "";
  }

  private switch(): void {
    remember("compare", this.toggle.checked ? "on" : "off");
    remember("address", this.address.value);
    element("server").classList.toggle("off", !this.toggle.checked);
    element("server-body").hidden = !this.toggle.checked;
    const latest = this.latest;
    this.clear();
    if (latest) this.ask(latest);
  }

  private async work(): Promise<void> {
    const abort = (this.abort = new AbortController());
    while (this.next && !abort.signal.aborted) {
      const question = this.next;
      this.next = null;
      await this.answer(question, abort.signal);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    if (this.abort === abort) this.abort = null;
    if (this.next) void this.work();
  }

  private async answer({ entry, pixels, browser }: Question, signal: AbortSignal): Promise<void> {
    try {
      const answer = await ask(tidyAddress(this.address.value), entry.name, pixels, signal);
      if (signal.aborted) return;
      this.latency.add(answer.milliseconds);
      this.bars.show(answer, entry.labels);
      this.time.textContent = this.latency.text;
      const most = difference(browser, answer);
      this.note.dataset.difference = String(most);
      this.note.textContent = `Largest difference in probability: ${most.toPrecision(2)}`;
    } catch (error) {
      if (signal.aborted) return;
      this.bars.show(null, []);
      this.time.textContent = "";
      this.note.textContent = error instanceof ServerError ? error.message : String(error);
    }
  }
}
