"use strict";
/* Open the statement of the linked claim, and its evidence. */

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target?.matches("tbody")) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.querySelector("details").open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", openTarget);
openTarget();
