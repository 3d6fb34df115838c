"""Keep a keyboard where it was when a run begins or ends under it.

A component without a size, because only a script in the browser can move the focus.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

FOCUS_STYLE: Final = """
<style>
.st-key-run-focus { position: absolute; max-width: 1px; overflow: hidden; }
.st-key-lifecycle:focus { outline: none; }
.st-key-lifecycle:focus-visible { outline: 2px solid currentColor; outline-offset: 3px; border-radius: .4rem; }
</style>
"""

# A button that is pressed and then disabled loses the focus to the page as a whole, where Tab begins at the top. The
# group takes it, and no other button: a second Enter must not stop what the first began.
_RUN: Final = st.components.v2.component(
    "options_helper_run_focus",
    html="<span></span>",
    js="""export default ({ parentElement, data }) => {
  const group = parentElement.closest('.st-key-lifecycle');
  if (!group) return;
  if (!group.hasAttribute('tabindex')) {
    group.setAttribute('tabindex', '-1');
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', 'Start, Stop, Restart');
    document.addEventListener('focusin', ({ target }) => { group.dataset.held = group.contains(target); });
  }
  const before = parentElement.dataset.running;
  parentElement.dataset.running = data.running;
  if (before === undefined || before === String(data.running)) return;
  const keep = (frames) => {
    const focused = document.activeElement;
    const lost = !focused || focused === document.body || focused.disabled;
    if (lost && group.dataset.held === 'true') group.focus({ preventScroll: true });
    else if (frames) requestAnimationFrame(() => keep(frames - 1));
  };
  keep(300);
}""",
    isolate_styles=False,
)


def keep_focus(*, running: bool) -> None:
    """Draw within the run's buttons: the focus stays there when the one that was pressed is disabled."""
    _RUN(key="run-focus", data={"running": running})
