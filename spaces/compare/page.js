() => {
  // Both chats carry the same name, and what stands below them changes at every token: each gets its own name, and
  // the line below is read out once, when it has come to rest.
  const NAMES = {dense: "Original (dense) answers", pruned: "Pruned answers"};
  const region = document.createElement("div");
  region.id = "announced";
  region.className = "unseen";
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  document.body.append(region);
  const named = () => Object.entries(NAMES).forEach(([side, name]) => {
    const chat = document.querySelector(`#${side} [role=log]`);
    chat?.setAttribute("aria-label", name);
    chat?.setAttribute("tabindex", "0");  // what scrolls must be reachable by the keyboard
    chat?.querySelectorAll('[aria-label*="<mark>"]').forEach(said =>  // Gradio names a message by its source
      said.setAttribute("aria-label", said.getAttribute("aria-label").replace(/<\/?mark>/g, "")));
  });
  // Gradio's menu has no words of its own for "nothing chosen".
  const hinted = () => document.querySelector("#examples input")
    ?.setAttribute("placeholder", "Choose a question");
  const told = () => ["notice", "status", "made"].map(id => document.getElementById(id)?.innerText.trim())
    .filter(Boolean).join(" ");
  let timer;
  const changed = () => {
    named();
    hinted();
    clearTimeout(timer);
    timer = setTimeout(() => { if (region.textContent !== told()) region.textContent = told(); }, 800);
  };
  const root = document.querySelector(".gradio-container") ?? document.body;
  new MutationObserver(changed).observe(root, {subtree: true, childList: true, characterData: true});
  changed();
  // A press on a variant's row or point chooses it: what stands in the hidden box is told to the app.
  document.addEventListener("click", event => {
    const name = event.target.closest("[data-variant]")?.dataset.variant;
    const box = document.querySelector("#pressed textarea, #pressed input");
    if (!name || !box) return;
    box.value = `${name}\n${Date.now()}`;
    box.dispatchEvent(new Event("input", {bubbles: true}));
  });
  // In the bias lens the arrow keys turn the items, except where they move in a field.
  const ways = {ArrowLeft: "lens-back", ArrowRight: "lens-next"};
  document.addEventListener("keydown", event => {
    const button = document.getElementById(ways[event.key]), at = event.target;
    const busy = at.closest("input, textarea, select, [role=tab], [role=listbox], [contenteditable]");
    if (button?.checkVisibility() && !busy && !event.ctrlKey && !event.altKey && !event.metaKey) button.click();
  });
}
