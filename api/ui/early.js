// Before the first paint: the colours that were chosen, so that nothing flashes. Not a module, those come later.
try {
  const chosen = localStorage.getItem("worker-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: as the system has it.
}
