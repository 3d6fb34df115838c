// The table of the page. Everything is text: nothing that comes from a file or a server is ever read as HTML.
//
// A full message brings columns, rows and cells; a short one the cells that differ from the last full one. Rows are
// built once and then filled, so that scroll, focus, marked text and what is open stay as they are. Both bring what
// stands around the table, which is passed on. Of a large book both bring the cells of those rows alone that are seen.

const SIGNS = { error: '■', warning: '●' };
// In a cell that is told with the next refresh.
const WAITS = ['…', 'quiet', 'It is told with the next refresh.'];
const FILTER_PAUSE = 400; // milliseconds without a key, before the filter goes into the address

export default ({ parentElement, data, setStateValue, setTriggerValue }) => {
  const root = parentElement.querySelector('[data-board]');
  if (!root || !data) return;
  root.board ??= create(root);
  root.board.tell = setStateValue;
  take(root.board, JSON.parse(new TextDecoder().decode(data)), setTriggerValue);
};

function create(root) {
  const board = {
    root, key: null, seq: 0, columns: [], headings: '', cols: [], rows: new Map(), cells: {},
    view: null, layout: '', focused: null, head: 0, timer: 0, around: {},
  };
  board.scroll = element('div', 'scroll');
  board.table = element('table', '', board.scroll);
  board.table.setAttribute('role', 'treegrid');
  board.style = element('style', '', root);
  root.append(board.scroll);
  board.below = element('span', 'below', root);
  board.below.setAttribute('aria-hidden', 'true'); // who hears the rows has all of them
  board.empty = element('p', 'nothing', root);
  board.scroll.addEventListener('scroll', () => countBelow(board), { passive: true });
  const sized = new ResizeObserver(() => countBelow(board));
  sized.observe(board.scroll);
  sized.observe(board.table);
  board.scroll.addEventListener('keydown', (event) => onKey(board, event));
  board.scroll.addEventListener('click', (event) => onClick(board, event));
  return board;
}

function element(name, className, parent) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (parent) parent.append(made);
  return made;
}

function take(board, message, ask) {
  if (message.full) {
    board.key = message.key;
    board.cells = message.full.cells;
    board.around = message.around;
    lay(board, message.full);
    fill(board, null);
  } else if (message.key === board.key) {
    fill(board, message.changed);
  } else {
    // The full message that this one is told against never came here.
    ask('resync', message.key);
    return;
  }
  const detail = { key: board.key, ...board.around };
  for (const [name, piece] of Object.entries(message.around)) {
    detail[name] = Array.isArray(piece) ? patched(board.around[name], piece) : piece;
  }
  window.dispatchEvent(new CustomEvent('oh-refresh', { detail }));
}

// A long piece comes as what differs from that of the last full message: from where to where of its tags, and what
// stands between.
function patched(before, parts) {
  const tags = before.split('<');
  const made = [];
  for (let at = 0; at < parts.length; at += 1) {
    if (typeof parts[at] === 'string') made.push(parts[at]);
    else made.push(...tags.slice(parts[at], parts[at += 1]));
  }
  return made.join('<');
}

// ---- layout

function lay(board, full) {
  board.table.setAttribute('aria-label', full.label);
  for (const [name, colour] of Object.entries(full.colours)) board.root.style.setProperty(`--${name}`, colour);
  board.view ??= {
    sort: full.view.sort, find: full.view.find, selected: full.view.selected,
    toggled: new Set(full.view.rows.split(',').filter(Boolean).map(decodeURIComponent)),
  };
  const layout = JSON.stringify([full.columns, full.rows]);
  if (layout === board.layout) return;
  board.layout = layout;
  const typed = board.root.getRootNode().activeElement?.matches('input');
  const held = focusedKey(board);
  board.columns = full.columns;
  board.scroll.hidden = !full.columns.length;
  board.style.textContent = leaving(full.columns);
  // A figure that grows makes a column wider and no other table: a click that is half done would be lost with its row.
  const headings = JSON.stringify(full.columns.map(({ width, leaves, ...rest }) => rest));
  const isAnother = headings !== board.headings;
  if (isAnother) makeTable(board);
  board.headings = headings;
  full.columns.forEach(({ width }, place) => { board.cols[place].style.width = width ? `${width}px` : ''; });
  const before = board.rows;
  board.rows = new Map(full.rows.map((facts) => [facts.key, asBefore(before.get(facts.key), facts) ?? build(board, facts)]));
  for (const row of board.rows.values()) row.parentRow = board.rows.get(row.facts.parent) ?? null;
  show(board);
  if (typed && isAnother && full.columns.length) board.find.focus();
  else if (held !== undefined) focusAgain(board, held);
}

function makeTable(board) {
  board.table.replaceChildren();
  const group = element('colgroup', '', board.table);
  board.cols = board.columns.map((_, place) => element('col', `k${place}`, group));
  head(board, element('tr', '', element('thead', '', board.table)));
  board.body = element('tbody', '', board.table);
  board.foot = element('tfoot', '', board.table);
  board.rows = new Map();
}

const asBefore = (row, facts) => (row && JSON.stringify(row.facts) === JSON.stringify(facts) ? row : undefined);

// Columns leave in the order in which they can be missed, by the table's own width.
function leaving(columns) {
  return columns
    .map((column, place) => (column.leaves
      ? `@container board (max-width: ${column.leaves - 1}px) { .k${place} { display: none; }`
        + `${column.pills ? ' .board .sign { display: inline; }' : ''} }`
      : ''))
    .join('\n');
}

function head(board, row) {
  board.columns.forEach((column, place) => {
    const cell = element('th', `k${place}${column.words ? ' words' : ''}`, row);
    cell.scope = 'col';
    if (column.sort) cell.setAttribute('aria-sort', column.sort);
    const button = element('button', '', cell);
    button.type = 'button';
    button.dataset.place = place;
    button.dataset.heading = column.heading;
    button.tabIndex = place === board.head ? 0 : -1;
    button.textContent = column.heading;
    if (column.sort) element('span', 'way', button).textContent = column.sort === 'ascending' ? ' ▲' : ' ▼';
    if (column.help) cell.title = column.help.replaceAll('`', '');
    if (place) return;
    board.find = element('input', '', cell);
    board.find.type = 'search';
    board.find.placeholder = 'filter  /';
    board.find.setAttribute('aria-label', 'Show only rows with these words');
    board.find.value = board.view.find;
    board.find.addEventListener('input', () => onFilter(board));
  });
}

function build(board, facts) {
  const line = element('tr', facts.kind);
  line.setAttribute('aria-level', facts.level);
  line.dataset.key = facts.key;
  line.tabIndex = -1;
  const name = element('th', 'k0', line);
  name.scope = 'row';
  name.style.setProperty('--level', facts.level);
  const mark = element('span', 'mark', name);
  mark.setAttribute('aria-hidden', 'true');
  element('span', 'name', name).textContent = facts.name;
  const sign = element('span', 'sign', name);
  const cells = board.columns.slice(1).map((column, place) => {
    const cell = element('td', `k${place + 1}${column.words ? ' words' : ''}`, line);
    cell.dataset.heading = column.heading;
    return cell;
  });
  return { facts, line, mark, sign, cells, shown: cells.map(() => '') };
}

// ---- which rows are to be seen

const isOpen = (board, row) => row.facts.opens && row.facts.open !== board.view.toggled.has(row.facts.key);

function matches(board, row) {
  const words = board.view.find.toLowerCase().split(/\s+/).filter(Boolean);
  let text = row.facts.name;
  for (let one = row.parentRow; one; one = one.parentRow) text += ` ${one.facts.name}`;
  return words.every((word) => text.toLowerCase().includes(word));
}

function show(board) {
  const filtered = Boolean(board.view.find.trim());
  const wanted = new Set();
  for (const row of board.rows.values()) {
    if (filtered && matches(board, row)) for (let one = row; one; one = one.parentRow) wanted.add(one);
  }
  const seen = [];
  for (const row of board.rows.values()) {
    const { kind } = row.facts;
    if (kind === 'book') continue;
    const parent = row.parentRow;
    // Legs stay closed under a filter unless they are opened; a group that has a match is open.
    const open = !parent || (seen.includes(parent.line)
      && (isOpen(board, parent) || (filtered && parent.facts.kind === 'group')));
    if (open && (!filtered || wanted.has(row))) seen.push(row.line);
    const opened = isOpen(board, row) || (filtered && kind === 'group');
    row.mark.textContent = row.facts.opens ? (opened ? '▾' : '▸') : '';
    if (row.facts.opens) row.line.setAttribute('aria-expanded', opened);
  }
  place(board.body, seen);
  const sum = board.rows.get('book');
  // A filtered table must not look as if its last row added up what is seen.
  place(board.foot, sum ? [sum.line] : []);
  board.table.classList.toggle('filtered', filtered);
  for (const row of board.rows.values()) row.line.setAttribute('aria-selected', row.facts.key === board.view.selected);
  board.empty.textContent = filtered && !seen.length && board.columns.length ? 'No row has these words.' : '';
  rove(board);
}

// What stays is not moved: a row that is taken out and put back loses the focus.
function place(parent, lines) {
  const wanted = new Set(lines);
  for (const line of [...parent.children]) if (!wanted.has(line)) line.remove();
  lines.forEach((line, at) => {
    if (parent.children[at] !== line) parent.insertBefore(line, parent.children[at] ?? null);
  });
}

// How many rows lie between what is seen of them and the last one, which is always seen.
function countBelow(board) {
  const sum = board.foot?.querySelector('th'); // it stays in sight, and what holds it does not
  const end = sum ? sum.getBoundingClientRect().top + 1 : Infinity;
  let below = 0;
  for (let row = board.body?.lastElementChild; row && row.getBoundingClientRect().bottom > end;) {
    below += 1;
    row = row.previousElementSibling;
  }
  const said = below ? `${below} more ${below > 1 ? 'rows' : 'row'} below` : '';
  if (board.below.textContent !== said) board.below.textContent = said;
}

// ---- cells

function fill(board, changed) {
  for (const [key, row] of board.rows) {
    const full = board.cells[key];
    // Of a row that is closed away in a large book nothing is sent: opened, it says that it waits until it is told, and
    // is never old.
    const now = changed ? changed[key] : full && {};
    row.line.classList.toggle('waits', !now);
    if (now) row.line.removeAttribute('aria-busy'); else row.line.setAttribute('aria-busy', 'true');
    row.cells.forEach((cell, place) => {
      const wire = now ? now[place] ?? full[place] : WAITS;
      const written = typeof wire === 'string' ? wire : JSON.stringify(wire);
      if (row.shown[place] === written) return;
      row.shown[place] = written;
      write(cell, typeof wire === 'string' ? [wire] : wire);
      if (board.columns[place + 1].pills) sign(row, wire);
    });
  }
}

function write(cell, [text, tone = '', title = '', pills = null]) {
  if (tone) cell.dataset.tone = tone; else delete cell.dataset.tone;
  if (title) cell.title = title; else cell.removeAttribute('title');
  if (!pills) {
    cell.textContent = text;
    return;
  }
  cell.replaceChildren(...pills.map(([words, colour]) => {
    const pill = element('span', 'pill');
    pill.dataset.tone = colour;
    pill.textContent = words;
    return pill;
  }));
}

function sign(row, wire) {
  const worst = typeof wire === 'string' ? undefined : wire[3]?.[0];
  row.sign.textContent = worst ? ` ${SIGNS[worst[1]] ?? ''}` : '';
  row.sign.dataset.tone = worst ? worst[1] : '';
  row.sign.setAttribute('aria-label', worst ? worst[0] : '');
}

// ---- what the viewer does

function remember(board) {
  const { sort, find, selected, toggled } = board.view;
  board.tell('view', { sort, find, selected, rows: [...toggled].map(encodeURIComponent).join(',') });
}

function toggle(board, row) {
  if (!row?.facts.opens) return;
  const { toggled } = board.view;
  if (!toggled.delete(row.facts.key)) toggled.add(row.facts.key);
  show(board);
  remember(board);
}

// The row that the payoff is drawn of.
function select(board, row) {
  if (!row || row.facts.key === board.view.selected) return;
  board.view.selected = row.facts.key;
  show(board);
  remember(board);
}

function sortBy(board, place) {
  const { heading, sort } = board.columns[place];
  // Numbers from the largest first, words from A; a third press gives the file's order back.
  const ways = place ? ['descending', 'ascending', ''] : ['ascending', 'descending', ''];
  const way = ways[(ways.indexOf(sort) + 1) % 3] ?? ways[0];
  board.view.sort = way ? `${heading} ${way === 'descending' ? 'down' : 'up'}` : '';
  remember(board);
}

function onFilter(board) {
  const began = !board.view.find.trim();
  board.view.find = board.find.value;
  show(board);
  clearTimeout(board.timer);
  // A filter opens rows, whose cells the server is to send at once.
  if (began) remember(board);
  board.timer = setTimeout(() => remember(board), FILTER_PAUSE);
}

function onClick(board, event) {
  const button = event.target.closest('button[data-place]');
  if (button) {
    board.head = Number(button.dataset.place);
    sortBy(board, board.head);
    return;
  }
  const row = board.rows.get(event.target.closest('tr[data-key]')?.dataset.key);
  if (!row) return;
  focusRow(board, row.line);
  // Who marks text to copy it does not want a row to open.
  if (String(getSelection())) return;
  select(board, row);
  if (event.target.closest('th')) toggle(board, row);
}

function onKey(board, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('input')) {
    if (event.key === 'Escape' && board.find.value) {
      board.find.value = '';
      onFilter(board);
    } else if (event.key === 'ArrowDown') focusRow(board, board.body.firstElementChild);
    else return;
    event.preventDefault();
    return;
  }
  // A single letter would be taken by Streamlit as an order: r runs the page again.
  if (event.key.length === 1) event.stopPropagation();
  const act = event.key === '/' ? () => board.find.focus()
    : event.target.matches('button') ? headKeys(board, event) : rowKeys(board, event);
  if (!act) return;
  event.preventDefault();
  act();
}

function headKeys(board, event) {
  const buttons = [...board.table.querySelectorAll('thead button')].filter((one) => one.offsetParent);
  const at = buttons.indexOf(event.target);
  const go = (place) => () => {
    const next = buttons[Math.max(0, Math.min(place, buttons.length - 1))];
    board.head = Number(next.dataset.place);
    buttons.forEach((one) => { one.tabIndex = one === next ? 0 : -1; });
    next.focus();
  };
  return {
    ArrowRight: go(at + 1), ArrowLeft: go(at - 1), Home: go(0), End: go(buttons.length - 1),
    ArrowDown: () => focusRow(board, board.body.firstElementChild),
  }[event.key];
}

function rowKeys(board, event) {
  const lines = [...board.body.children, ...board.foot.children];
  const at = lines.indexOf(event.target);
  if (at < 0) return undefined;
  const row = board.rows.get(event.target.dataset.key);
  const go = (place) => () => focusRow(board, lines[Math.max(0, Math.min(place, lines.length - 1))]);
  return {
    ArrowDown: go(at + 1), ArrowUp: go(at - 1), Home: go(0), End: go(lines.length - 1),
    Enter: () => { select(board, row); toggle(board, row); }, ' ': () => toggle(board, row),
    ArrowRight: () => (row.facts.opens && !isOpen(board, row) ? toggle(board, row) : go(at + 1)()),
    ArrowLeft: () => (isOpen(board, row) ? toggle(board, row) : focusRow(board, row.parentRow?.line)),
  }[event.key];
}

// ---- the focus: the head, the filter and the rows are one stop of Tab each

const focusedKey = (board) => board.root.getRootNode().activeElement?.closest?.('tr[data-key]')?.dataset.key;

function focusRow(board, line) {
  if (!line) return;
  board.focused = line.dataset.key;
  rove(board);
  line.focus({ preventScroll: true });
  line.scrollIntoView({ block: 'nearest' });
}

function focusAgain(board, key) {
  const line = board.rows.get(key)?.line;
  if (line?.isConnected) line.focus({ preventScroll: true });
}

function rove(board) {
  const lines = [...board.body.children, ...board.foot.children];
  const held = board.rows.get(board.focused)?.line;
  const stop = lines.includes(held) ? held : lines[0];
  for (const line of lines) line.tabIndex = line === stop ? 0 : -1;
}
