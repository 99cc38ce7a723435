// Makes elements with text in them. A name from outside is never parsed as markup.

/** Make an element: properties (`class` and unknown ones become attributes), and children or texts. */
export function made(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
