/** Light or dark: as the system has it, until the reader says otherwise. */

import { element, remember, remembered } from "./document";

export function initialiseTheme(changed: () => void): void {
  const button = element<HTMLButtonElement>("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const choice = remembered("theme");
    const isDark = choice ? choice === "dark" : system.matches;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    button.ariaPressed = String(isDark);
    changed();
  };
  button.addEventListener("click", () => {
    remember("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
