"""The one script of the HTML report: tables that sort, cases unfolded on paper. Without it nothing is lost but that.

Its hash stands in the page's policy, so that a browser runs this script and no other.
"""

from __future__ import annotations

import base64
import hashlib

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      sort(table, at, order === "ascending" ? 1 : -1, head.classList.contains("number"));
    });
  });
}
function sort(table, at, sign, numbers) {
  const key = row => {
    const text = row.cells[at].textContent.trim();
    return numbers ? Number.parseFloat(text.replace(/,/g, "").replace(/^(-?)inf.*/, "$1Infinity")) : text;
  };
  const missing = value => value === "\\u2013" || Number.isNaN(value);
  const rows = [...table.tBodies[0].rows].map(row => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return sign * (numbers ? (a > b) - (a < b) : a.localeCompare(b, "en", { numeric: true }));
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("article > details:not([open])")];
  folded.forEach(each => { each.open = true; });
});
addEventListener("afterprint", () => folded.forEach(each => { each.open = false; }));
"""

HASH = "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
