// What is around the page: the window's title and icon, what a screen reader hears, the browser's notifications.
// Text alone, whatever it is of.

const WANTED = 'oh-notify'; // of this browser
const TOLD = 'oh-told'; // of this tab, also after a reload
const TOLD_AT_MOST = 300;
const SHAPES = {
  circle: '<circle cx="16" cy="16" r="12"/>',
  triangle: '<path d="M16 4 29 28H3z"/>',
  cross: '<path d="M5 10 10 5l6 6 6-6 5 5-6 6 6 6-5 5-6-6-6 6-5-5 6-6z"/>',
  square: '<rect x="5" y="5" width="22" height="22"/>',
  ring: '<circle cx="16" cy="16" r="10" fill="none" stroke-width="5"/>',
};

export default ({ parentElement, data }) => {
  const root = parentElement.querySelector('[data-window]');
  if (!root || !data) return;
  if (data.button) {
    root.button ??= makeButton(root);
    return;
  }
  root.around ??= create(root);
  take(root.around, data);
};

function create(root) {
  const around = { root, title: '', icon: '', leads: false, told: null };
  // A refresh sends one message, the table's, and its script passes on what is for others.
  around.refresh = ({ detail }) => detail.window && take(around, detail.window);
  window.addEventListener('oh-refresh', around.refresh);
  around.status = spoken(root, 'status', 'polite');
  around.alert = spoken(root, 'alert', 'assertive');
  // A full run of the page's script puts its own title and icon there for a moment.
  around.observer = new MutationObserver(() => keep(around));
  around.observer.observe(document.head, {
    childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ['href'],
  });
  // One tab of this browser notifies; the next one does when it has gone.
  navigator.locks?.request('oh-notify', () => {
    around.leads = true;
    return new Promise(() => {});
  });
  return around;
}

function spoken(root, role, politeness) {
  const node = document.createElement('div');
  node.setAttribute('role', role);
  node.setAttribute('aria-live', politeness);
  node.style.cssText = 'position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap';
  root.append(node);
  return node;
}

function take(around, data) {
  say(around.status, data.words);
  say(around.alert, data.alert);
  around.title = data.title;
  around.icon = iconOf(data.icon);
  keep(around);
  notify(around, data.events);
}

function say(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function iconOf([shape, colour]) {
  const drawn = `<g fill="${colour}" stroke="${colour}" stroke-width="0">${SHAPES[shape]}</g>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${drawn}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

function keep(around) {
  if (!around.root.isConnected) {
    // Another page of the program is shown, which has a title of its own.
    around.observer.disconnect();
    window.removeEventListener('oh-refresh', around.refresh);
    return;
  }
  if (document.title !== around.title) document.title = around.title;
  const link = document.querySelector('link[rel~="icon"]');
  if (link && link.getAttribute('href') !== around.icon) link.setAttribute('href', around.icon);
}

function notify(around, events) {
  const stored = around.told ?? JSON.parse(sessionStorage.getItem(TOLD) ?? 'null');
  const told = new Set(stored ?? events.map((event) => event.id));
  const news = events.filter((event) => !told.has(event.id));
  for (const event of news) told.add(event.id);
  around.told = [...told].slice(-TOLD_AT_MOST);
  if (news.length || !stored) sessionStorage.setItem(TOLD, JSON.stringify(around.told));
  if (!around.leads || !isOn()) return;
  for (const event of news.filter((one) => !one.quiet)) show(event);
}

function isOn() {
  return 'Notification' in window && Notification.permission === 'granted' && localStorage.getItem(WANTED) === 'on';
}

function show(event) {
  try {
    const shown = new Notification('Live portfolio', { body: event.text, tag: event.id });
    shown.onclick = () => window.focus();
  } catch {
    // Some phones only let a service worker notify: the page says it all the same.
  }
}

function makeButton(root) {
  const button = document.createElement('button');
  button.type = 'button';
  button.style.cssText =
    'font:inherit;font-size:14px;color:inherit;background:none;border:1px solid currentColor;border-radius:.4rem;padding:.2rem .6rem;cursor:pointer';
  root.append(button);
  const draw = () => {
    const refused = !('Notification' in window) || Notification.permission === 'denied';
    button.disabled = refused;
    button.setAttribute('aria-pressed', String(isOn()));
    say(button, refused ? 'This browser blocks notifications' : isOn() ? 'Notifications are on' : 'Notify me here');
  };
  button.addEventListener('click', async () => {
    const wants = !isOn();
    localStorage.setItem(WANTED, wants ? 'on' : 'off');
    if (wants) await Notification.requestPermission();
    draw();
  });
  draw();
  return button;
}
