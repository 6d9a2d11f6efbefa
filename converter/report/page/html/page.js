"use strict";
// A filter stands in the address, as #rule=NAME, #fate=NAME or #day=DATE; without one, all is shown.
(() => {
  const names = ["fate", "rule", "day"];
  const items = [...document.querySelectorAll("[data-fate]")];

  const apply = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const filters = names.filter((name) => asked.get(name)).map((name) => [name, asked.get(name)]);
    let count = 0;
    for (const item of items) {
      item.hidden = !filters.every(([name, value]) => item.dataset[name] === value);
      count += !item.hidden && item.matches("tr, .finding");
    }
    for (const link of document.querySelectorAll('a[href^="#"]')) {
      const own = new URLSearchParams(link.getAttribute("href").slice(1));
      const isCurrent = filters.length > 0 && filters.every(([name, value]) => own.get(name) === value);
      link.toggleAttribute("aria-current", isCurrent);
      if (isCurrent) link.setAttribute("aria-current", "true");
    }
    for (const note of document.querySelectorAll(".filter")) note.hidden = !filters.length;
    for (const note of document.querySelectorAll(".none")) {
      const rows = [...note.closest("section").querySelectorAll("tr[data-fate]")];
      note.hidden = !filters.length || rows.some((row) => !row.hidden);
    }
    const status = document.getElementById("filter");
    const words = filters.map(([name, value]) => `${name} ${value}`).join(", ");
    if (status) status.textContent = filters.length ? `Only ${words}: ${count} shown.` : "";
  };

  addEventListener("hashchange", apply);
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
  apply();
})();
