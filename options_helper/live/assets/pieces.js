// What stands around the table: the page's own HTML, in places that a full run of its script laid out. A refresh brings
// it with the table's message. Each is put in its place when it is another one than stands there.

// What a piece is made of; whatever else were in it, and whatever would run, is left out.
const TAGS = new Set([
  'b', 'br', 'div', 'em', 'h1', 'i', 'li', 'p', 'small', 'span', 'strong',
  'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul',
]);
const FACTS = /^(class|style|title|role|tabindex|colspan|scope|data-[a-z-]+|aria-[a-z]+)$/;

export default ({ parentElement }) => {
  const root = parentElement.querySelector('[data-pieces]');
  if (root) root.places ??= create(root);
};

function create(root) {
  const places = { newest: null };
  const refresh = ({ detail }) => {
    places.newest = detail;
    put(places);
  };
  window.addEventListener('oh-refresh', refresh);
  window.addEventListener('resize', countSoon);
  document.addEventListener('scroll', countSoon, { capture: true, passive: true });
  // What is laid out anew or opened has the piece of the last full run, until the newest is put there: at once.
  const observer = new MutationObserver(() => {
    if (root.isConnected) {
      put(places);
      return;
    }
    observer.disconnect();
    window.removeEventListener('oh-refresh', refresh);
    window.removeEventListener('resize', countSoon);
    document.removeEventListener('scroll', countSoon, { capture: true });
  });
  observer.observe(document.body, { childList: true, subtree: true });
  return places;
}

function put({ newest }) {
  countSoon();
  if (!newest) return;
  for (const place of document.querySelectorAll('[data-piece]')) {
    // What a full run drew comes before its table, which is filled a frame or more later: until then the place has what
    // belongs to the table that is seen, and both change at once.
    const html = newest[place.dataset.piece];
    if (html === undefined) continue;
    if (place.styled !== newest.style) {
      place.styled = newest.style;
      place.style.cssText = newest.style;
    }
    if (place.shown !== html) fill(place, html);
  }
}

// Once for all that changes before it is painted.
let counting = 0;

function countSoon() {
  counting ||= requestAnimationFrame(countBelow);
}

// Of a list that scrolls, how many entries are not seen to their end: nobody looks for what does not show.
function countBelow() {
  counting = 0;
  for (const list of document.querySelectorAll('.oh-items')) {
    const end = list.getBoundingClientRect().bottom + 1;
    const below = [...list.children].filter((entry) => entry.getBoundingClientRect().bottom > end).length;
    const { dataset } = list.previousElementSibling.lastElementChild;
    if (below) dataset.below = below;
    else delete dataset.below;
  }
}

function fill(place, html) {
  place.shown = html;
  becomeChildren(place, cleaned(html));
}

// Nodes that stay are changed and not made anew, so that focus, scroll and marked text stay as well; but for those that
// begin an animation at each refresh.
function become(node, made) {
  if (node.nodeName !== made.nodeName || node.dataset?.drawn) {
    node.replaceWith(made);
    return;
  }
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== made.data) node.data = made.data;
    return;
  }
  for (const { name } of [...node.attributes]) if (!made.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of made.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  becomeChildren(node, made);
}

function becomeChildren(node, made) {
  const before = [...node.childNodes];
  const after = [...made.childNodes];
  after.forEach((one, at) => (before[at] ? become(before[at], one) : node.append(one)));
  before.slice(after.length).forEach((one) => one.remove());
}

function cleaned(html) {
  const made = document.createElement('template');
  made.innerHTML = html;
  for (const one of made.content.querySelectorAll('*')) {
    if (!TAGS.has(one.localName)) one.remove();
    for (const { name } of [...one.attributes]) if (!FACTS.test(name)) one.removeAttribute(name);
  }
  return made.content;
}
