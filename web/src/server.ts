/** The same question to a model server, by TensorFlow Serving's REST API. */

import type { Answer } from "./classifier";
import { SIDE, type Pixels } from "./prepare/image";

/** Why there is no answer, for people. */
export class ServerError extends Error {}

/**
 * Asks a server.
 *
 * https://www.tensorflow.org/tfx/serving/api_rest#predict_api
 */
export async function ask(
  address: string,
  model: string,
  pixels: Pixels,
  signal: AbortSignal,
): Promise<Answer> {
  const body = JSON.stringify({ instances: [nested(pixels)] });
  const started = performance.now();
  let response: Response;
  try {
    response = await fetch(`${address}/v1/models/${model}:predict`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ServerError(
      `No answer from ${address}. Is it running, and with --rest_api_enable_cors_support?`,
    );
  }
  const answer = await response.json().catch(() => ({}));
  const milliseconds = performance.now() - started;
  if (!response.ok) {
    throw new ServerError(`The server refused: ${answer.error ?? `HTTP ${response.status}`}`);
  }
  const scores: unknown = answer.predictions?.[0];
  if (!Array.isArray(scores)) throw new ServerError("The server’s answer has no predictions.");
  return { scores, milliseconds };
}

/** An address as people type it, without what they may leave out or add. */
export function tidyAddress(text: string): string {
  const trimmed = text.trim().replace(/\/+$/, "");
  return /^https?:\/\//.test(trimmed) ? trimmed : `http://${trimmed}`;
}

function nested(pixels: Pixels): number[][][] {
  return Array.from({ length: SIDE }, (_, y) =>
    Array.from({ length: SIDE }, (_, x) => [pixels[y * SIDE + x]!]),
  );
}
