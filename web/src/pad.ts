/** The paper: draws with mouse, touch, pen or the keyboard, and can take strokes back. */

import type { Drawing, Point, Stroke } from "./drawing";

/** The pad's side in its own units, whatever its size on the screen. */
export const PAD = 1000;
const LINE = 22;
const STEP = 20; // of the arrow keys; with Shift, a quarter

export class Pad {
  private strokes: Stroke[] = [];
  private cleared: Stroke[] = []; // what Clear took away, for Undo
  private current: Point[] | null = null;
  private pointer: number | null = null;
  private pen: Point = [PAD / 2, PAD / 2];
  private showsPen = false;

  /**
   * @param canvas Where to draw.
   * @param changed Called whenever the drawing is another, many times during a stroke.
   * @param announce Called with what happened, for people who can't see it.
   */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly changed: () => void,
    private readonly announce: (text: string) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.release(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.showPen(canvas.matches(":focus-visible")));
    canvas.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.render()).observe(canvas);
  }

  get drawing(): Drawing {
    return this.current ? [...this.strokes, this.current] : this.strokes;
  }

  get canUndo(): boolean {
    return this.strokes.length > 0 || this.cleared.length > 0;
  }

  undo(): void {
    if (this.strokes.length) {
      this.strokes = this.strokes.slice(0, -1);
      this.announce(`Stroke taken back, ${this.strokes.length} left`);
    } else {
      [this.strokes, this.cleared] = [this.cleared, []];
      this.announce("Drawing back");
    }
    this.update();
  }

  clear(): void {
    if (this.strokes.length) this.cleared = this.strokes;
    this.strokes = [];
    this.current = null;
    this.announce("Paper cleared");
    this.update();
  }

  /** Draws everything anew, in the colours that the page has now. */
  render(): void {
    const { width } = this.canvas.getBoundingClientRect();
    const pixels = Math.round(width * devicePixelRatio);
    if (this.canvas.width !== pixels) this.canvas.width = this.canvas.height = pixels;
    const context = this.canvas.getContext("2d")!;
    const style = getComputedStyle(this.canvas);
    context.setTransform(pixels / PAD, 0, 0, pixels / PAD, 0, 0);
    context.clearRect(0, 0, PAD, PAD);
    context.strokeStyle = style.color;
    context.lineWidth = LINE;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.drawing) {
      context.beginPath();
      trace(context, stroke);
      context.stroke();
    }
    if (this.showsPen) this.renderPen(context, style.getPropertyValue("--accent"));
  }

  private renderPen(context: CanvasRenderingContext2D, colour: string): void {
    const [x, y] = this.pen;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 5;
    context.beginPath();
    context.arc(x, y, LINE, 0, 2 * Math.PI);
    context.stroke();
    if (this.current) context.fill();
  }

  private update(): void {
    this.render();
    this.changed();
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0 || this.pointer !== null) return;
    this.finish();
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.showsPen = false;
    this.current = [this.point(event)];
    this.update();
  }

  private move(event: PointerEvent): void {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.current?.push(this.point(one));
    this.update();
  }

  private release(event: PointerEvent): void {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.finish();
    this.update();
  }

  private finish(): void {
    if (!this.current) return;
    this.strokes = [...this.strokes, this.current];
    this.cleared = [];
    this.current = null;
  }

  private key(event: KeyboardEvent): void {
    const step = event.shiftKey ? STEP / 4 : STEP;
    const moves: Record<string, Point> = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    };
    const move = moves[event.key];
    if (move) {
      const inside = (value: number) => Math.min(Math.max(value, 0), PAD);
      this.pen = [inside(this.pen[0] + move[0]), inside(this.pen[1] + move[1])];
      this.current?.push(this.pen);
    } else if (event.key === " ") {
      if (this.current) this.finish();
      else this.current = [this.pen];
      this.announce(this.current ? "Pen down" : "Pen up");
    } else {
      return;
    }
    event.preventDefault();
    this.showsPen = true;
    this.update();
  }

  private leave(): void {
    if (this.pointer === null) this.finish();
    this.showPen(false);
  }

  private showPen(shows: boolean): void {
    this.showsPen = shows;
    this.render();
  }

  private point(event: PointerEvent): Point {
    const { left, top, width } = this.canvas.getBoundingClientRect();
    const scale = PAD / width;
    return [(event.clientX - left) * scale, (event.clientY - top) * scale];
  }
}

/** A smooth line through the middles of the stroke's segments. */
function trace(context: CanvasRenderingContext2D, stroke: Stroke): void {
  const [first] = stroke;
  const last = stroke[stroke.length - 1];
  if (!first || !last) return;
  context.moveTo(...first);
  for (let i = 1; i < stroke.length - 1; i++) {
    const [x, y] = stroke[i]!;
    const [nextX, nextY] = stroke[i + 1]!;
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  context.lineTo(...last);
}
