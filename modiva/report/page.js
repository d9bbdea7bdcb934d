"use strict";
(function () {
  // A phone shows a line as a card: ten of them are enough to scroll through.
  const PAGE = matchMedia("(max-width: 40rem)").matches ? 10 : 50;
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const find = document.getElementById("find");
  const choices = document.getElementById("choices");
  const shown = document.getElementById("shown");
  const sort = document.getElementById("sort");
  const back = document.getElementById("back");
  const next = document.getElementById("next");
  const all = document.getElementById("all");
  // Of every column its different cells [text, value, note, lower, upper], and of every line which
  // of them stands there. Lines are numbers; only those of one page become elements.
  const data = JSON.parse(document.getElementById("data").textContent);
  const total = data.columns.length ? data.columns[0].lines.length : 0;
  const cell = (column, line) => data.columns[column].cells[data.columns[column].lines[line]];
  const texts = Array.from({ length: total }, (_, line) =>
    data.columns.map((_, column) => cell(column, line)[0]).join("\u0000").toLowerCase());
  const selects = [];
  let order = Array.from({ length: total }, (_, line) => line);
  let kept = order;
  let first = 0;

  function element(name, text, kind) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    made.textContent = text;
    return made;
  }

  function bar(mean, lower, upper) {
    const made = element("span", "", "bar"), range = element("i", ""), dot = element("b", "");
    range.style.left = (100 * lower).toFixed(1) + "%";
    range.style.width = (100 * (upper - lower)).toFixed(1) + "%";
    dot.style.left = (100 * mean).toFixed(1) + "%";
    made.append(range, dot);
    return made;
  }

  function row(line) {
    const made = document.createElement("tr");
    data.columns.forEach(function (column, place) {
      const [text, value, note, lower, upper] = cell(place, line);
      const box = element("td", text, heads[place].className + (value === null ? " none" : ""));
      box.dataset.label = column.title;
      if (note) box.append(" ", element("small", note));
      if (column.kind === "rate" && lower !== null) box.append(bar(value, lower, upper));
      made.append(box);
    });
    return made;
  }

  function show(start) {
    first = Math.min(Math.max(start, 0), Math.max(kept.length - 1, 0));
    body.replaceChildren(...kept.slice(first, first + PAGE).map(row));
    say();
  }

  function say() {
    const last = Math.min(first + PAGE, kept.length);
    const part = kept.length > PAGE ? "Lines " + (first + 1) + "–" + last + " of " : "";
    const whole = kept.length === total ? "" : " (of " + total.toLocaleString("en") + ")";
    shown.textContent = part + kept.length.toLocaleString("en") + whole + (part ? "" : " lines");
    back.disabled = first === 0;
    next.disabled = last === kept.length;
    back.hidden = next.hidden = kept.length <= PAGE;
  }

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    kept = order.filter((line) => words.every((word) => texts[line].includes(word)) &&
      selects.every((box) => box.value === "" || String(data.columns[box.column].lines[line]) === box.value));
    show(0);
  }

  // Numbers sort by value and words by the reader's alphabet; what is missing is last either way.
  function arrange(column, down) {
    const { cells, lines, kind } = data.columns[column];
    const places = cells.map((_, place) => place).sort(function (one, other) {
      const a = cells[one][1], b = cells[other][1];
      if (a === null || b === null) return (a === null) - (b === null);
      return (down ? -1 : 1) * (kind === "text" ? a.localeCompare(b) : a - b);
    });
    const rank = [];
    places.forEach(function (place, turn) {
      const before = places[turn - 1];
      rank[place] = turn && cells[before][1] === cells[place][1] ? rank[before] : turn;
    });
    order = order.slice().sort((one, other) => rank[lines[one]] - rank[lines[other]]);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    filter();
  }

  heads.forEach(function (head, column) {
    const { title, kind, name, cells } = data.columns[column];
    const button = element("button", title);
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", function () {
      const state = head.getAttribute("aria-sort");
      arrange(column, state === "ascending" || (kind !== "text" && state !== "descending"));
      sort.value = "";
    });
    sort.add(new Option(title, column));
    if ((kind !== "text" && name !== "repetitions") || cells.length < 2 || cells.length > 40) return;
    const label = document.createElement("label");
    const box = document.createElement("select");
    box.column = column;
    box.setAttribute("aria-label", title);
    box.add(new Option("any", ""));
    cells.forEach((own, place) => box.add(new Option(own[0], place)));
    box.addEventListener("change", filter);
    label.append(title + " ", box);
    choices.append(label);
    selects.push(box);
  });

  // A spreadsheet runs a cell that begins so, in full width too; the apostrophe makes it text.
  function quoted(value) {
    if (typeof value !== "string") return value === null ? "" : String(value);
    const safe = /^['\s]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(value) ? "'" + value : value;
    return /[",\n\r]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  }

  function save() {
    const wide = data.columns.map((column) => column.cells.some((own) => own[3] !== null));
    const header = data.columns.flatMap((column, place) => wide[place] ?
      [column.name, column.name + "_lower", column.name + "_upper"] : [column.name]);
    const lines = kept.map((line) => data.columns.flatMap(function (_, place) {
      const own = cell(place, line);
      const value = own[1] === 1e308 ? "inf" : quoted(own[1]);
      return wide[place] ? [value, quoted(own[3]), quoted(own[4])] : [value];
    }).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([header.join(",") + "\n" + lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "cells.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // On paper nobody turns pages: every line that the filters keep is printed.
  addEventListener("beforeprint", () => body.replaceChildren(...kept.map(row)));
  addEventListener("afterprint", () => show(first));
  find.addEventListener("input", filter);
  sort.add(new Option("the order of the study", ""), 0);
  sort.value = "";
  sort.addEventListener("change", function () {
    if (sort.value !== "") arrange(Number(sort.value), data.columns[sort.value].kind !== "text");
  });
  back.addEventListener("click", () => show(first - PAGE));
  next.addEventListener("click", () => show(first + PAGE));
  document.getElementById("save").addEventListener("click", save);
  document.getElementById("reset").addEventListener("click", function () {
    find.value = sort.value = "";
    selects.forEach((box) => { box.value = ""; });
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    order = Array.from({ length: total }, (_, line) => line);
    filter();
  });
  find.form.addEventListener("submit", (event) => event.preventDefault());
  if (all) {
    table.classList.add("brief");
    all.addEventListener("change", () => table.classList.toggle("brief", !all.checked));
  }
  document.querySelectorAll(".filters").forEach((part) => { part.hidden = false; });
  if (body.rows.length > PAGE) show(0); else say();
})();
