// What all pages begin with; `speechalign/assets/templates.py` puts it into each.
"use strict";
const view = JSON.parse(document.getElementById("data").textContent);

function element(tag, text, parent, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
}
