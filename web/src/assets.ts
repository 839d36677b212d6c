/** The page's files: fetched beside it, or held inside it where it is a single file. */

const INLINED = "assets"; // the id of the element with them, a JSON object of base64 by path

let inlined: Readonly<Record<string, string>> | undefined;

export async function asset(path: string): Promise<ArrayBuffer> {
  inlined ??= JSON.parse(document.getElementById(INLINED)?.textContent ?? "{}");
  const base64 = inlined![path];
  if (base64 !== undefined) {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer;
  }
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return response.arrayBuffer();
}

export async function jsonAsset<T>(path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await asset(path))) as T;
}

/** An address for code that fetches by itself. */
export async function assetUrl(path: string, type: string): Promise<string> {
  if (!document.getElementById(INLINED)) return new URL(path, document.baseURI).href;
  return URL.createObjectURL(new Blob([await asset(path)], { type }));
}
