/**
 * The service worker: the page works offline after the first load.
 *
 * At its installation it keeps all files of the page, one set a version. Online, the network has
 * the say, so that a new build shows at once; offline, what was kept answers.
 */

declare const self: ServiceWorkerGlobalScope;
declare const VERSION: string; // a digest of all files; the build puts it in
declare const FILES: readonly string[];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(VERSION)
      .then((cache) => cache.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name !== VERSION))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(fetch(request).catch(() => kept(request)));
});

async function kept(request: Request): Promise<Response> {
  const found = await caches.match(request, { ignoreSearch: true });
  return found ?? Response.error();
}

export {};
