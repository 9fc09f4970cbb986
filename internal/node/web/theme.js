// Runs before the page is drawn, so that it never shows in the wrong colours first. Without a choice the system's counts.
"use strict";
{
  const chosen = localStorage.getItem("futago-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
