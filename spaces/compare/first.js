// The first stored comparison goes when Gradio has drawn the page, or at once where another one is about to be shown.
(() => {
  const first = document.getElementById("first"), asked = new URLSearchParams(location.search);
  const theme = asked.get("__theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  first.className = theme;
  const another = asked.has("q") || asked.has("variant") || sessionStorage.getItem(`conversation ${location.pathname}`);
  if (another) return first.remove();
  new MutationObserver((_, watch) => {
    if (!document.querySelector("#pruned [data-testid=bot]")) return;
    watch.disconnect();
    first.remove();
  }).observe(document.body, {subtree: true, childList: true});
})();
