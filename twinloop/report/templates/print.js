// On paper nothing can be opened: unfold before printing, and fold again afterwards. The check tables of single images stay folded: they
// would take most of the pages, and the histograms and verdicts_iterN.json hold the same.
(() => {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open]):not(.checks)")];
    folded.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => { folded.forEach((part) => { part.open = false; }); });
})();
