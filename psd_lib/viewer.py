"""Show one decoded answer: text coloured by commit step, as one self-contained piece of HTML.

No script, no network and no id is needed. The shade shows when a token was committed (from light to
dark, so that it survives grey print), a superscript which draft it came from, and the tooltip all
of it in words; a slider replays the steps where scripting is on.
"""

from __future__ import annotations

import html
from typing import Any

import numpy as np

# Seven shades of blue from light (early) to dark (late), each with the text colour that reads on it
# (WCAG AA).
SHADES = (
    ("#eff3fb", "#111"),
    ("#d3e0f3", "#111"),
    ("#b3ccea", "#111"),
    ("#8fb4de", "#111"),
    ("#4f86c1", "#fff"),
    ("#2f659f", "#fff"),
    ("#16406f", "#fff"),
)
_RULES = """<style>
.psd-trace{font:14px/1.9 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;
  max-width:60em;margin:.6em 0}
.psd-trace p{font:13px/1.5 system-ui,sans-serif;margin:.3em 0}
.psd-trace .psd-prompt{white-space:pre-wrap;opacity:.75;border-left:3px solid #999;
  padding-left:.6em;margin:.4em 0}
.psd-trace .psd-text{white-space:pre-wrap;overflow-wrap:anywhere}
.psd-trace .psd-t{border-radius:3px;padding:.12em .06em;margin-right:1px}
.psd-trace .psd-d{border-bottom:3px solid #d55e00}
.psd-trace sup{font-size:.62em;line-height:0;font-weight:bold}
.psd-trace .psd-later{background:#ddd!important;color:transparent!important;border-color:#ddd}
.psd-trace .psd-after{opacity:.45}
@media (scripting:none){.psd-trace .psd-slider{display:none}}
"""
_SHADES = "".join(
    f".psd-trace .psd-{i}{{background:{back};color:{text}}}"
    for i, (back, text) in enumerate(SHADES)
)
STYLE = f"{_RULES}{_SHADES}\n</style>"
SLIDE = (
    "const r=this.closest('.psd-trace'),v=+this.value;r.querySelectorAll('.psd-t').forEach("
    "e=>e.classList.toggle('psd-later',+e.dataset.step>v));this.nextElementSibling.textContent=v"
)


def trace_html(sequence: Any) -> str:
    """Return one `Sequence` as static HTML.

    It has the prompt, the answer with the commit step of every token, a legend, calls and TPF.
    Tokens behind the first EOS were decoded but do not belong to the answer: they are counted and
    not shown.
    """
    trace = sequence.trace
    done = np.flatnonzero(np.asarray(trace.step) >= 0)
    shown = done[done < sequence.n_tokens]
    last = int(np.max(trace.step[shown], initial=0))
    spans = "".join(_span(trace, int(i), last) for i in shown)
    ended = {"eos": "stopped at the end-of-text token", "length": "stopped at the length limit"}[
        sequence.stopped
    ]
    facts = (
        f"{html.escape(sequence.label)}: {sequence.n_tokens} tokens in {sequence.nfe} model calls "
        f"(TPF {sequence.tpf:.2f}), {sequence.rows} rows; {ended}"
    )
    beyond = len(done) - len(shown)
    facts += (
        f"; {beyond} position{'s' if beyond != 1 else ''} at or behind the end not shown."
        if beyond
        else "."
    )
    return (
        f'{STYLE}<div class="psd-trace" role="group" aria-label="decoded'
        f' answer"><p><b>{facts}</b></p><div'
        f' class="psd-prompt">{html.escape(sequence.prompt_text)}</div><div'
        f' class="psd-text">{spans}</div>{_slider(last)}{_legend(trace, shown, last)}</div>'
    )


def _span(trace: Any, i: int, last: int) -> str:
    step, depth = int(trace.step[i]), int(trace.depth[i])
    shade = min(step * len(SHADES) // (last + 1), len(SHADES) - 1)
    who = f"accepted draft {depth}" if depth else "policy's own step"
    title = (
        f"step {step}, call {int(trace.iteration[i])}, {who}, confidence"
        f" {float(trace.confidence[i]):.2f}"
    )
    text = html.escape(trace.text_tokens[i]).replace("\n", "↵\n")
    mark = f"<sup>{depth}</sup>" if depth else ""
    drafted = " psd-d" if depth else ""
    return (
        f'<span class="psd-t psd-{shade}{drafted}" data-step="{step}"'
        f' title="{title}">{text}{mark}</span>'
    )


def _slider(last: int) -> str:
    return (
        f'<p class="psd-slider"><label>after step <input type="range" min="0" max="{last}"'
        f' value="{last}" oninput="{SLIDE}"> <span>{last}</span></label></p>'
    )


def _legend(trace: Any, shown: np.ndarray, last: int) -> str:
    swatches = "".join(
        f'<span class="psd-{i}" style="padding:0 .5em">{_range(i, last)}</span>'
        for i in range(len(SHADES))
        if _range(i, last)
    )
    drafts = int((np.asarray(trace.depth)[shown] > 0).sum())
    note = (
        ' &nbsp; <span class="psd-d">token</span><sup>j</sup> came from the j-th accepted draft of'
        f" its call ({drafts} of {len(shown)} tokens)"
        if drafts
        else " &nbsp; no token came from a draft"
    )
    return f"<p>policy step: {swatches}{note}; hover a token for its step, call and confidence.</p>"


def _range(shade: int, last: int) -> str:
    """The steps that have this shade, as text; empty when none has."""
    steps = [
        s for s in range(last + 1) if min(s * len(SHADES) // (last + 1), len(SHADES) - 1) == shade
    ]
    if not steps:
        return ""
    return str(steps[0]) if len(steps) == 1 else f"{steps[0]}-{steps[-1]}"
