"use strict";
/* Sort tables; open the evidence of the linked claim. */

/* The value of a cell: its data-value, else its text. */
const valueOf = (cell) => cell.dataset.value ?? cell.textContent.trim();

/* Numbers before words; empty cells last in both directions. */
function compare(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  if (Number.isNaN(x) !== Number.isNaN(y)) return direction * (Number.isNaN(x) - Number.isNaN(y));
  return direction * (Number.isNaN(x) ? a.localeCompare(b) : x - y);
}

function sortBy(table, column, head) {
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => compare(valueOf(a.cells[column]), valueOf(b.cells[column]), direction));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.stacked"))
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent.trim();
    button.addEventListener("click", () => sortBy(table, column, head));
    head.replaceChildren(button);
  });

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("tr")) target.querySelector("details").open = true;
}

addEventListener("hashchange", openTarget);
openTarget();
