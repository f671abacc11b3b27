// What the tab `Compare` does in the browser alone.
window.talk = {
  names: ["q", "variant", "temperature", "top_p", "tokens", "seed"],
  defaults: {temperature: 0, top_p: 1, tokens: 128, seed: 42},
  place: `conversation ${location.pathname}`,

  address(values) {
    const pairs = this.names.map((name, at) => [name, values[at]]);
    const told = pairs.filter(([name, value]) => value !== "" && value != null && value != this.defaults[name]);
    return `${location.pathname}?${new URLSearchParams(told)}`;
  },

  // Once a question is being answered it leaves the box, unless something else was typed, and enters the address bar.
  // A stored question is named in its menu as long as its answers are on the page.
  accepted(question, accepted, ...settings) {
    const asked = accepted.split("\n").slice(1).join("\n");
    const kept = new URLSearchParams(location.search).get("__theme");
    const theme = kept ? `&__theme=${encodeURIComponent(kept)}` : "";
    // While a link's question waits in the box for Compare, the address stays the link, whatever stands below.
    const waits = question && question !== asked && question === new URLSearchParams(location.search).get("q");
    if (!waits) history.replaceState(null, "", asked ? this.address([asked, ...settings]) + theme : location.pathname);
    if (accepted.startsWith("stored")) this.settle();
    else if (asked) setTimeout(() => this.follow(), 150);
    return [question.trim() === asked ? "" : question, accepted.startsWith("stored") ? asked : null];
  },

  // What a question waits for stands at the end of both boxes; on a phone they have to be brought to the screen, too.
  follow() {
    for (const side of ["dense", "pruned"]) {
      const box = document.querySelector(`#${side} [role=log]`);
      if (box) box.scrollTop = box.scrollHeight;
    }
    if (innerWidth <= 640) document.getElementById("question")?.scrollIntoView({block: "start", behavior: "smooth"});
  },

  share(...values) {
    const asked = values.pop().split("\n").slice(1).join("\n");
    values[0] = values[0] || asked;
    navigator.clipboard.writeText(location.origin + this.address(values));
    return "<p>The link to this question is copied.</p>";
  },

  // What was said outlasts a reload of this tab. When both have ended, both boxes show where they part.
  keep(text) {
    try { text ? sessionStorage.setItem(this.place, text) : sessionStorage.removeItem(this.place); }
    catch { sessionStorage.clear(); }
    this.settle();
  },

  // A chat that is drawn anew shows its end, some moments later.
  settle() { [100, 400, 900].forEach(after => setTimeout(() => this.bring(), after)); },

  kept() { return sessionStorage.getItem(this.place) ?? ""; },

  bring() {
    for (const side of ["dense", "pruned"]) {
      const mark = [...document.querySelectorAll(`#${side} [data-testid=bot] mark`)].at(-1);
      let box = mark?.parentElement;
      while (box && !(box.scrollHeight > box.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(box).overflowY)))
        box = box.parentElement?.closest(`#${side} *`);
      if (!box) continue;
      const above = mark.getBoundingClientRect().top - box.getBoundingClientRect().top;
      if (above < 0 || above > box.clientHeight - 40) box.scrollTop += above - box.clientHeight / 3;
    }
  },
};
