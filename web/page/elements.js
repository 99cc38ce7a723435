// Makes elements with text in them. Text from outside, like a file's name, is never parsed as markup.

/** Make an element with properties, and with children or texts. `class` and unknown properties become attributes. */
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
