// Every call says which build this page came with, and hears which one answers. Once another build answers, this page
// goes no further: the next one is loaded anew, from the server.
"use strict";
(() => {
  const HEADER = "burnish-build";
  const { build } = document.documentElement.dataset;
  const send = window.fetch;
  let renewed = false, waiting = false, shown = location.pathname;

  window.fetch = async (what, how) => {
    const { origin, pathname } = new URL(what.url ?? what, location.href);
    if (origin !== location.origin || !pathname.startsWith("/api/")) return send(what, how);
    const request = new Request(what, how);
    request.headers.set(HEADER, build);
    const answer = await send(request);
    const answering = answer.headers.get(HEADER) ?? build;
    if (answering === build) {
      shown = location.pathname;
    } else {
      renewed = true;
      if (location.pathname !== shown) location.reload(); // a page that was just opened holds nothing yet
    }
    return answer;
  };

  // The router asks for the next page's data before it shows its address, or after.
  const { pushState } = history;
  history.pushState = (...given) => {
    pushState.apply(history, given);
    if (renewed) location.reload();
  };

  // Before the router, which would draw the next page with what this build knows of it.
  addEventListener("click", (event) => {
    if (renewed && event.target.closest?.("a[href]")) event.stopImmediatePropagation();
  }, true);

  // The script of this build could not be had: the server has another build by now, or was away. The page is loaded anew
  // as soon as it answers; with the same build only where it had been away, so that a script that fails is not tried for ever.
  async function healthy() {
    return (await send("/healthz").catch(() => undefined))?.headers.get(HEADER) ?? undefined;
  }
  addEventListener("unhandledrejection", async () => {
    if ("hydrated" in document.documentElement.dataset || waiting) return;
    waiting = true;
    let away = false;
    for (let tries = 0, answering; tries < 60; tries += 1, away = true) {
      answering = await healthy();
      if (answering) {
        if (away || answering !== build) location.reload();
        return;
      }
      await new Promise((done) => setTimeout(done, 1000));
    }
  });
})();
