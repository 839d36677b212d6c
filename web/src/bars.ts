/** The five likeliest classes of an answer, as bars. */

import type { Answer } from "./classifier";

export const SHOWN = 5;

export interface Ranked {
  readonly label: string;
  readonly probability: number;
}

/** Classes by probability, the likeliest first. */
export function rank(answer: Answer, labels: readonly string[]): Ranked[] {
  return probabilities(answer)
    .map((probability, index) => ({ label: labels[index] ?? String(index), probability }))
    .sort((one, other) => other.probability - one.probability);
}

/** From log-probabilities, normalised anew: float16 weights leave their sum a little off 1. */
export function probabilities({ scores }: Answer): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** The largest difference between two answers' probabilities. */
export function difference(one: Answer, other: Answer): number {
  const others = probabilities(other);
  return Math.max(...probabilities(one).map((value, index) => Math.abs(value - others[index]!)));
}

export function percent(probability: number): string {
  if (probability > 0 && probability < 0.01) return "< 1 %";
  return `${Math.round(100 * probability)} %`;
}

export class Bars {
  private readonly rows: { row: HTMLElement; label: Text; bar: HTMLElement; value: Text }[];

  constructor(private readonly list: HTMLElement) {
    this.rows = Array.from({ length: SHOWN }, () => {
      const row = document.createElement("li");
      const [name, track, bar, figure] = ["span", "span", "span", "span"].map((tag) =>
        document.createElement(tag),
      ) as [HTMLElement, HTMLElement, HTMLElement, HTMLElement];
      name.className = "name";
      track.className = "track";
      track.ariaHidden = "true";
      figure.className = "figure";
      const [label, value] = [new Text(), new Text()];
      name.append(label);
      figure.append(value);
      track.append(bar);
      row.append(name, track, figure);
      list.append(row);
      return { row, label, bar, value };
    });
    this.show(null, []);
  }

  /** Shows an answer, or that there is none; the raw scores stay readable in `data-scores`. */
  show(answer: Answer | null, labels: readonly string[]): void {
    this.list.classList.toggle("empty", !answer);
    this.list.dataset.scores = answer ? JSON.stringify(answer.scores) : "";
    const ranked = answer ? rank(answer, labels) : [];
    this.rows.forEach(({ row, label, bar, value }, index) => {
      const one = ranked[index];
      row.hidden = Boolean(answer) && !one;
      label.data = one?.label ?? " ";
      value.data = one ? percent(one.probability) : "";
      bar.style.transform = `scaleX(${one?.probability ?? 0})`;
    });
  }
}
