// What the pages have in common: loaded before home.js and ops.js.

// Unchanged text stays: a screen reader says only what is new, and no selection is lost.
function write(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

function duration(seconds) {
  let left = Math.max(0, Math.floor(seconds)); // clocks differ
  const words = [];
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(left / length);
    if (count) words.push(`${count} ${unit}`);
    left -= count * length;
  }
  return words.slice(0, 2).join(" ") || "0 s";
}
