// Behaviours of the panel, each hung on a data-* attribute and delegated from the document, so that what htmx brings in
// later behaves as well. Everything works without this file; it only makes it quicker.
'use strict';

const on = (type, selector, handle) =>
  document.addEventListener(type, (event) => {
    const element = event.target instanceof Element && event.target.closest(selector);
    if (element) handle(element, event);
  });

// What only works with scripts is hidden until they run.
const reveal = (root) => {
  for (const element of root.querySelectorAll('[data-copy][hidden], [data-dismiss][hidden], [data-tile-filter][hidden]')) element.hidden = false;
};

// Copy buttons: the text is their neighbour.
on('click', '[data-copy]', async (button) => {
  const text = button.parentElement.querySelector('code').textContent;
  await navigator.clipboard.writeText(text);
  const label = button.getAttribute('aria-label');
  button.setAttribute('aria-label', 'Copied');
  button.dataset.done = '';
  setTimeout(() => {
    button.setAttribute('aria-label', label);
    delete button.dataset.done;
  }, 1500);
});

// Toasts go by a click.
on('click', '[data-dismiss]', (button) => button.closest('[data-toast]').remove());

// Tiles narrow as one types, and stay narrowed when news of them comes in.
const narrow = (input) => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const group of document.querySelectorAll('[data-tile-group]')) {
    let shown = 0;
    for (const tile of group.querySelectorAll('.tile')) {
      const text = `${tile.textContent} ${tile.dataset.words} ${group.querySelector('h2').textContent}`.toLowerCase();
      tile.hidden = !words.every((word) => text.includes(word));
      if (!tile.hidden) shown += 1;
    }
    group.hidden = shown === 0;
    left += shown;
  }
  document.querySelector('[data-tile-empty]').hidden = left > 0;
};
on('input', '[data-tile-filter] input', narrow);
on('keydown', '[data-tile-filter] input', (input, event) => {
  if (event.key === 'Enter') document.querySelector('[data-tile-group]:not([hidden]) .tile:not([hidden])')?.click();
});

// The search takes the cursor with / and Ctrl+K.
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof Element && event.target.closest('input, textarea, select, [contenteditable]');
  const slash = event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
  const k = event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey);
  const search = document.querySelector('[data-search]');
  if (search && (slash || k)) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// Lists are searched when a choice changes; typing waits for Enter.
on('change', 'form[data-auto] select', (select) => select.form.requestSubmit());

// The theme changes at once; the cookie is set behind it.
on('submit', '[data-theme-form]', (form, event) => {
  event.preventDefault();
  const theme = event.submitter.value;
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll('[data-theme-form] button')) button.setAttribute('aria-pressed', String(button.value === theme));
  void fetch(form.action, { method: 'POST', body: new URLSearchParams({ theme, back: form.elements.back.value }), redirect: 'manual' });
});

// A deletion waits until the name is typed.
const confirmable = (form) => {
  const typed = form.elements.confirm.value.trim().toLowerCase();
  form.querySelector('[type=submit]').disabled = !form.dataset.confirm.toLowerCase().split(' ').includes(typed);
};
on('input', 'form[data-confirm]', confirmable);

// A form is sent once, and the page is about to be left.
let leaving = false;
document.addEventListener('submit', (event) => {
  const button = event.submitter;
  if (event.defaultPrevented || !button || event.target.method !== 'post') return;
  leaving = true;
  button.setAttribute('aria-busy', 'true');
  setTimeout(() => (button.disabled = true));
});
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  leaving = false;
  for (const button of document.querySelectorAll('button[aria-busy]')) {
    button.disabled = false;
    button.removeAttribute('aria-busy');
  }
});

// What a chart says at the pointer, or moment by moment at the arrow keys. A moment's words stand between bars.
let reading = null;
const unread = () => {
  reading = null;
  document.querySelectorAll('.readout').forEach((shown) => shown.remove());
};
const read = (plot, moment) => {
  const moments = plot.dataset.readout.split('|');
  const at = Math.max(0, Math.min(moments.length - 1, moment));
  let readout = plot.querySelector('.readout');
  if (!readout) {
    unread();
    readout = plot.appendChild(document.createElement('span'));
    readout.className = 'readout';
    readout.setAttribute('role', 'status');
  }
  reading = { plot, at };
  readout.textContent = moments[at];
};
document.addEventListener('pointermove', (event) => {
  const plot = event.target instanceof Element && event.target.closest('[data-readout]');
  if (!plot) return document.activeElement?.matches('[data-readout]') ? undefined : unread();
  const box = plot.getBoundingClientRect();
  read(plot, Math.round(((event.clientX - box.left) / box.width) * (plot.dataset.readout.split('|').length - 1)));
});
on('keydown', '[data-readout]', (plot, event) => {
  const last = plot.dataset.readout.split('|').length - 1;
  const at = reading?.plot === plot ? reading.at : last + 1;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  read(plot, to);
});
document.addEventListener('focusout', (event) => {
  if (event.target instanceof Element && event.target.matches('[data-readout]')) unread();
});

// Times stay true while the page stays open. The words are those of views/components/time.rs.
const ago = (seconds) => {
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 172800) return 'yesterday';
  if (seconds < 2592000) return `${Math.floor(seconds / 86400)} days ago`;
  return null;
};
// The server's clock counts, not the browser's.
const skew = Date.parse(document.documentElement.dataset.now ?? '') - Date.now() || 0;
setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll('time[data-ago]')) {
    const text = ago(Math.max(0, Math.round((Date.now() + skew - Date.parse(time.dateTime)) / 1000)));
    if (text && time.textContent !== text) time.textContent = text;
  }
}, 5000);

// A dropped stream shows a quiet mark, after a moment in which it usually is back.
let dropped;
const reconnecting = (state) => {
  clearTimeout(dropped);
  const mark = document.querySelector('[data-reconnecting]');
  if (!mark) return;
  if (!state) mark.hidden = true;
  else dropped = setTimeout(() => (mark.hidden = document.hidden), 1500);
};

// What the page shows is gone, or the session is: the page is loaded again, and says so. Always by GET, also where the
// page is the answer to a form; and not while a form is on its way, such as the one that signs out.
const again = () => {
  if (!leaving) location.replace(location.pathname + location.search);
};
document.addEventListener('gone', (event) => {
  if (event.target instanceof Element && event.target.id === 'live') again();
});

document.addEventListener('htmx:sse:error', (event) => {
  if ([401, 403, 404].includes(event.detail?.status)) again();
  else reconnecting(true);
});
document.addEventListener('htmx:sse:after:connection', () => reconnecting(false));
document.addEventListener('htmx:sse:after:message', () => reconnecting(false));
document.addEventListener('htmx:after:swap', () => {
  reveal(document);
  document.querySelectorAll('[data-tile-filter] input').forEach(narrow);
  // News of a chart take away what it says.
  if (reading?.plot.isConnected) read(reading.plot, reading.at);
});

// What a person has unfolded, or folded away, stays so when news of it comes in.
window.htmx?.registerExtension('folds', {
  htmx_before_morph_attr: (element, { attrName }) => !(attrName === 'open' && element.matches('details')),
});

reveal(document);
document.querySelectorAll('form[data-confirm]').forEach(confirmable);
