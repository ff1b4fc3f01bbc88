// Elements, as text and never as markup; and what is shown is put in place of what was
// only where it differs, so that focus and fields stay.
export function h(tag, props, ...inner) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value == null || value === false) continue;
    if (typeof value === "function") e.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "hidden") e[name] = value;
    else e.setAttribute(name === "cls" ? "class" : name, value === true ? "" : value);
  }
  e.append(...inner.flat(9).filter((x) => x != null && x !== false && x !== ""));
  return e;
}

// show has parent hold items, {key, is, make}: is is anything that differs when it must be
// made anew.
export function show(parent, items) {
  const had = new Map([...parent.children].map((e) => [e.dataset.key, e]));
  const focus = document.activeElement?.id;
  let after = null;
  for (const { key, is, make } of items.filter(Boolean)) {
    let e = had.get(key);
    const now = JSON.stringify(is);
    if (!e || e.isNow !== now) {
      const made = make();
      made.dataset.key = key;
      made.isNow = now;
      if (e) e.replaceWith(made);
      e = made;
    }
    had.delete(key);
    const place = after ? after.nextSibling : parent.firstChild;
    if (place !== e) parent.insertBefore(e, place);
    after = e;
  }
  for (const e of had.values()) e.remove();
  if (focus && document.activeElement?.id !== focus) document.getElementById(focus)?.focus({ preventScroll: true });
}
