"use strict";
/* Sort and download tables; open the evidence of the linked claim, and all of it for printing. */

/* The value of a cell: its data-value, else its text. */
const valueOf = (cell) => cell.dataset.value ?? cell.textContent.trim().replace(/\s+/g, " ");

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

/* One cell of a CSV file. A leading quote keeps spreadsheets from evaluating words as a formula. */
function csvCell(text) {
  const safe = Number.isNaN(Number(text)) && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
  return /[",\n\r]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
}

function csv(table) {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map(valueOf));
  return [heads, ...rows].map((row) => row.map(csvCell).join(",") + "\r\n").join("");
}

function download(table) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
  link.download = table.dataset.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function button(words, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.addEventListener("click", act);
  return made;
}

function addTools(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const words = head.textContent.trim();
    head.replaceChildren(button(words, () => sortBy(table, column, head)));
  });
  const tools = document.createElement("p");
  tools.className = "tools";
  tools.append(button(`Download ${table.dataset.file}`, () => download(table)));
  table.before(tools);
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("tr")) target.querySelector("details")?.setAttribute("open", "");
}

document.querySelectorAll("table[data-file]").forEach(addTools);
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => one.setAttribute("open", "")));
openTarget();
