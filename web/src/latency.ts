/** The median of the last latencies, which a single one says little about. */

const KEPT = 31;

export class Latency {
  private recent: number[] = [];

  add(milliseconds: number): void {
    this.recent = [...this.recent.slice(1 - KEPT), milliseconds];
  }

  reset(): void {
    this.recent = [];
  }

  /** For people, for example `0.6 ms`. */
  get text(): string {
    if (!this.recent.length) return "";
    const median = [...this.recent].sort((a, b) => a - b)[this.recent.length >> 1]!;
    return `${median < 10 ? median.toFixed(1) : Math.round(median)} ms`;
  }
}
