"""Let a page look as it is: an alarm where nothing refreshes it any more, and its state for those who hear it.

No script stands behind the alarm. Each refresh puts the same hidden elements there anew, and what makes them seen is an
animation that begins with them: where the next refresh does not come, because the program has ended, hangs or cannot be
reached, nobody begins it again, and it runs out. The seconds count by themselves.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from apps.streamlit.components.style import tag
from options_helper.live.screen import ScreenModel, State
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase

MISSED_REFRESHES: Final = 3
LONGEST_SECONDS: Final = 86_400
REMEDY: Final = (
    "All figures are of then: the program has ended, hangs, or cannot be reached. "
    "If it has ended, start it again: options-helper&nbsp;ui"
)
ALARM_STYLE: Final = f"""
<style>
/* Streamlit drops a style with an opening angle bracket before a letter. */
@property --oh-late {{ syntax: '\\3c integer\\3e'; inherits: true; initial-value: 0; }}
@keyframes oh-appear {{ to {{ visibility: visible; }} }}
@keyframes oh-count {{ from {{ --oh-late: var(--oh-from); }} to {{ --oh-late: {LONGEST_SECONDS}; }} }}
.oh-veil, .oh-late {{ visibility: hidden; position: fixed; left: 0; right: 0; }}
.oh-veil {{ top: 0; bottom: 0; z-index: 999980; pointer-events: none; backdrop-filter: grayscale(1);
  background: color-mix(in srgb, Canvas 55%, transparent); animation: oh-appear 0s linear var(--oh-after) forwards; }}
/* Above everything, the dialog included with which Streamlit says that its server is gone. */
.oh-late {{ top: 0; z-index: 10000010; padding: .5rem 1rem; background: #b42318; color: #fff; line-height: 1.35;
  animation: oh-appear 0s linear var(--oh-after) forwards,
    oh-count calc({LONGEST_SECONDS}s - var(--oh-after)) linear var(--oh-after) forwards; }}
.oh-late b::after {{ counter-reset: oh-late var(--oh-late); content: " " counter(oh-late) " s"; }}
.oh-late .oh-label {{ border-color: #fff; color: #fff; margin-left: .6rem; white-space: nowrap; }}
.st-key-announcement {{ position: absolute; max-width: 1px; overflow: hidden; }}
</style>
"""
WHOSE_MARKET: Final = {
    MarketKind.LOCAL: ", on a market of this computer",
    MarketKind.SIMULATED: ", on a simulated market",
    MarketKind.REPLAY: ", on a replay",
}
# It stays: a reader hears what changes in it, and a node made anew says nothing. Text alone, whatever it is of.
_ANNOUNCER: Final = st.components.v2.component(
    "options_helper_announcement",
    html='<div role="status" aria-live="polite" style="position:absolute;width:1px;height:1px;overflow:hidden;'
    'clip-path:inset(50%);white-space:nowrap"></div>',
    js="""export default ({ parentElement, data }) => {
  const node = parentElement.querySelector('[role=status]');
  if (node.textContent !== data.words) node.textContent = data.words;
}""",
    isolate_styles=False,
)


def alarm(screen: ScreenModel) -> str:
    """The hidden elements that are seen when the next refreshes do not come; of each refresh its own."""
    after = MISSED_REFRESHES * screen.options.preferences.refresh_seconds
    # Without a difference the browser would keep the elements, and they would raise the alarm.
    facts = f'data-drawn="{screen.now.isoformat()}" style="--oh-after:{after}s;--oh-from:{after}"'
    labels = "".join(tag("span", label, "oh-label") for label in screen.labels)
    said = f"<b>NOT REFRESHED FOR</b>. {REMEDY}{labels}"
    return f'<div class="oh-veil" {facts}></div><div class="oh-late" role="alert" {facts}>{said}</div>'


def announce_state(screen: ScreenModel) -> None:
    """Tell a screen reader the state when it changes, and nothing that changes by itself."""
    _ANNOUNCER(key="announcement", data={"words": state_words(screen)})


def state_words(screen: ScreenModel) -> str:
    """The state in a sentence without a number that counts: each change of it is read aloud."""
    troubled = [
        f"{health.name} {health.phase}"
        for health in screen.snapshot.streams.values()
        if health.phase in (Phase.STALLED, Phase.RECONNECTING, Phase.FAILED)
    ]
    which = f": {', '.join(troubled)}" if troubled and screen.state is not State.STOPPED else ""
    return f"Live portfolio {screen.state}{which}{WHOSE_MARKET.get(screen.snapshot.market, '')}."
