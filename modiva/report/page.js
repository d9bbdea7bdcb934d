"use strict";
(function () {
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const rows = Array.from(body.rows);
  const find = document.getElementById("find");
  const choices = document.getElementById("choices");
  const shown = document.getElementById("shown");
  const selects = [];

  // Numbers sort by value with what is missing last; words by the reader's alphabet.
  function compare(column, numeric, sign) {
    return function (one, other) {
      const a = one.cells[column].dataset.sort, b = other.cells[column].dataset.sort;
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (numeric ? Math.sign(Number(a) - Number(b)) || 0 : a.localeCompare(b));
    };
  }

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const keep = words.every((word) => text.includes(word)) &&
        selects.every((box) => box.value === "" || row.cells[box.column].dataset.sort === box.value);
      row.hidden = !keep;
      count += keep;
    }
    shown.textContent = count + " of " + rows.length + " lines";
  }

  heads.forEach(function (head, column) {
    const numeric = head.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", function () {
      const down = head.getAttribute("aria-sort") === "ascending" ||
        (numeric && head.getAttribute("aria-sort") !== "descending");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort(compare(column, numeric, down ? -1 : 1));
      body.append(...rows);
    });
    if (numeric && head.dataset.name !== "repetitions") return;
    const found = new Map(rows.map((row) => [row.cells[column].dataset.sort, row.cells[column].textContent.trim()]));
    if (found.size < 2 || found.size > 40) return;
    const label = document.createElement("label");
    const box = document.createElement("select");
    box.column = column;
    box.add(new Option("all", ""));
    found.forEach((text, value) => box.add(new Option(text, value)));
    box.addEventListener("change", filter);
    label.append(button.textContent + " ", box);
    choices.append(label);
    selects.push(box);
  });

  find.addEventListener("input", filter);
  document.getElementById("reset").addEventListener("click", function () {
    find.value = "";
    selects.forEach((box) => { box.value = ""; });
    filter();
  });
  document.querySelector(".filters").hidden = false;
  filter();
})();
