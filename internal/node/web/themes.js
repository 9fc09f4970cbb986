// Light and dark, as the user chooses; theme.js puts the choice in force before the page is drawn.
import { $, put } from "./dom.js";

const themes = ["system", "light", "dark"];

// startThemes makes the button work. changed is called after each press.
export function startThemes(changed) {
  const now = () => document.documentElement.dataset.theme || "system";
  const show = () => {
    put($("theme-now"), now());
    $("theme").setAttribute("aria-label", "Theme: " + now());
  };
  $("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(now()) + 1) % themes.length];
    if (next === "system") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("futago-theme");
    } else {
      document.documentElement.dataset.theme = next;
      localStorage.setItem("futago-theme", next);
    }
    show();
    changed();
  });
  show();
}
