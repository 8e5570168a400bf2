/** The colours: as the system has them, light, or dark. */

const PLACE = "worker-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const WORDS = { system: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };

/** The button that goes round the three. */
export function startTheme(button) {
  const root = document.documentElement;
  const show = () => {
    const words = WORDS[root.dataset.theme ?? "system"];
    button.title = words;
    button.setAttribute("aria-label", words);
  };
  button.addEventListener("click", () => {
    const next = NEXT[root.dataset.theme ?? "system"];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem(PLACE, next);
    } catch {
      // Without storage it lasts as long as the page.
    }
    show();
  });
  show();
}
