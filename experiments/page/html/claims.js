"use strict";
/* Open the evidence of the linked claim. */

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("tr")) target.querySelector("details").open = true;
}

addEventListener("hashchange", openTarget);
openTarget();
