"use strict";
/* The page: cells drawn when they come into view, cards sorted and filtered by element, and everything shown in print. */

(function () {
  const data = JSON.parse(document.getElementById("crystals").textContent);
  const cards = [...document.querySelectorAll(".card")];
  const list = document.getElementById("cards");
  if (!list) return;
  const viewers = new Map();

  function viewerOf(card) {
    if (!viewers.has(card)) {
      const crystal = data.crystals[card.dataset.index];
      const canvas = card.querySelector("canvas");
      if (!canvas || !crystal.placed) return null;
      viewers.set(card, new CellViewer(canvas, crystal.placed, data.styles));
    }
    return viewers.get(card);
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) viewerOf(entry.target)?.draw();
  }, { rootMargin: "200px" });
  cards.forEach((card) => seen.observe(card));
  const redraw = () => viewers.forEach((viewer) => viewer.draw());
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const folded = [...document.querySelectorAll("details")];
  window.addEventListener("beforeprint", () => {
    cards.filter((card) => !card.hidden).forEach((card) => viewerOf(card)?.draw());
    folded.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    const card = button?.closest(".card");
    const viewer = card && viewerOf(card);
    if (!viewer) return;
    const act = button.dataset.act;
    if (act === "a" || act === "b" || act === "c") viewer.lookAlong("abc".indexOf(act));
    if (act === "reset") viewer.reset();
    if (act === "repeat") {
      const on = press(button);
      viewer.setRepeat(on ? 2 : 1);
    }
    if (act === "relaxed") {
      const on = press(button);
      viewer.show(data.crystals[card.dataset.index][on ? "relaxed" : "placed"]);
    }
  });

  function press(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    return on;
  }

  const more = document.getElementById("more");
  const sort = document.getElementById("sort");
  const tally = document.getElementById("tally");
  const clear = document.getElementById("clear");
  const step = Number(list.dataset.step);
  let wanted = new Set();
  let shown = step;

  function arrange() {
    const key = sort.value;
    const value = (card) => (card.dataset[key] === "" ? Infinity : Number(card.dataset[key]));
    const fitting = cards.filter((card) => {
      const own = card.dataset.elements.split(" ");
      return [...wanted].every((symbol) => own.includes(symbol));
    });
    cards.forEach((card) => { card.hidden = true; });
    fitting.sort((a, b) => value(a) - value(b) || a.dataset.rank - b.dataset.rank);
    fitting.forEach((card, place) => {
      card.hidden = place >= shown;
      list.append(card);
    });
    more.hidden = fitting.length <= shown;
    clear.hidden = wanted.size === 0;
    const which = wanted.size ? ` with ${[...wanted].join(" and ")}` : "";
    tally.textContent = `${Math.min(shown, fitting.length)} of ${fitting.length} candidates${which}`;
    for (const cell of document.querySelectorAll("[data-symbol]")) {
      cell.setAttribute("aria-pressed", String(wanted.has(cell.dataset.symbol)));
    }
  }

  sort.addEventListener("change", arrange);
  more.addEventListener("click", () => { shown += 2 * step; arrange(); });
  clear.addEventListener("click", () => { wanted = new Set(); arrange(); });
  for (const cell of document.querySelectorAll("button[data-symbol]")) {
    cell.addEventListener("click", () => {
      const symbol = cell.dataset.symbol;
      if (!wanted.delete(symbol)) wanted.add(symbol);
      shown = step;
      arrange();
    });
  }
  arrange();
})();
