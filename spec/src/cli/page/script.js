(() => {
  const form = document.querySelector(".filters");
  const rows = [...document.querySelectorAll("tr[data-id]")];
  const fields = new FormData(form).keys();
  const names = [...fields];
  const index = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const matches = (row, wanted) => {
    if (wanted.chapter && row.dataset.chapter !== wanted.chapter) return false;
    if (wanted.transport && row.dataset.transport !== wanted.transport) return false;
    if (wanted.level && row.dataset.level !== wanted.level) return false;
    if (wanted.basis && !row.dataset.basis.split(" ").includes(wanted.basis)) return false;
    if (wanted.grade) {
      const results = [...row.querySelectorAll("td.result")];
      const found = results.some(
        (cell) => cell.classList.contains(wanted.grade) && (!wanted.server || cell.dataset.server === wanted.server)
      );
      if (!found) return false;
    }
    return wanted.text.toLowerCase().split(/\s+/).every((word) => index.get(row).includes(word));
  };

  const filter = () => {
    const wanted = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const row of rows) {
      row.hidden = !matches(row, wanted);
      shown += row.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll("tbody")) {
      group.hidden = !group.querySelector("tr[data-id]:not([hidden])");
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
    const used = new URLSearchParams(names.filter((name) => wanted[name]).map((name) => [name, wanted[name]]));
    history.replaceState(null, "", used.size ? `?${used}${location.hash}` : location.pathname + location.hash);
  };

  for (const [name, value] of new URLSearchParams(location.search)) {
    if (form.elements[name]) form.elements[name].value = value;
  }
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
