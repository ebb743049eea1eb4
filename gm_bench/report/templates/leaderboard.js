for (const section of document.querySelectorAll(".dataset")) {
  const table = section.querySelector("table"), body = table.querySelector(".rows");
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sort(table, body, button));
  }
  filter(section, table, [...body.rows]);
  const slider = section.querySelector(".time input");
  if (slider) overTime(section, slider);
}

function sort(table, body, button) {
  const head = button.closest("th");
  const other = {ascending: "descending", descending: "ascending"};
  const order = other[head.getAttribute("aria-sort")] || button.dataset.first;
  const sign = order === "ascending" ? 1 : -1, index = Number(button.dataset.key);
  const key = (row) => JSON.parse(row.dataset.keys)[index];
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x < y ? -1 : x > y ? 1 : 0);
  });
  for (const each of table.querySelectorAll("th[aria-sort]")) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  body.append(...rows);
}

function filter(section, table, rows) {
  const form = section.querySelector(".filter"), words = form.querySelector("[type=search]");
  const families = [...form.querySelectorAll("fieldset input")], spread = form.querySelector("select");
  const all = form.querySelector(".all-columns"), count = form.querySelector("output");
  const update = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), shown = new Set();
    const chosen = new Set(families.filter((box) => box.checked).map((box) => box.value));
    for (const row of rows) {
      const fits = wanted.every((word) => row.dataset.words.includes(word));
      if (fits && (!families.length || chosen.has(row.dataset.family))) shown.add(row.dataset.variant);
    }
    // Figures of something else than a variant, such as real images, stay.
    const known = new Set(rows.map((row) => row.dataset.variant));
    for (const each of section.querySelectorAll("[data-variant]")) {
      each.hidden = known.has(each.dataset.variant) && !shown.has(each.dataset.variant);
    }
    count.value = `${shown.size} of ${rows.length} shown`;
    table.classList.toggle("by-interval", spread.value === "by-interval");
    table.classList.toggle("by-sd", spread.value === "by-sd");
    table.classList.toggle("compact", Boolean(all) && !all.checked);
    for (const cell of table.querySelectorAll("[data-wide]")) {
      cell.colSpan = all && all.checked ? cell.dataset.wide : cell.dataset.narrow ??= cell.colSpan;
    }
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
}

function overTime(section, slider) {
  const times = JSON.parse(slider.dataset.times), tools = slider.closest(".time");
  const pictures = [...section.querySelectorAll(".frames[data-times]")].map((element) => {
    const picture = element.querySelector("img");
    return {element, picture, times: JSON.parse(element.dataset.times), text: picture.alt};
  });
  const show = () => {
    const now = times[Number(slider.value)];
    const words = `${now.toLocaleString("en")} ${slider.dataset.examples} shown`;
    tools.querySelector("output").value = words;
    slider.setAttribute("aria-valuetext", words);
    for (const each of pictures) {
      const frame = Math.max(0, each.times.findLastIndex((time) => time <= 1.01 * now));
      each.element.style.setProperty("--frame", frame);
      each.picture.alt = `${each.text}, after ${each.times[frame].toLocaleString("en")} ${slider.dataset.examples}`;
    }
  };
  const play = tools.querySelector(".play");
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === times.length - 1) slider.value = 0;
    show();
    play.textContent = "❚❚";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === times.length - 1) stop();
    }, 600);
  });
  slider.addEventListener("input", () => { stop(); show(); });
  tools.hidden = false;
  show();
}
