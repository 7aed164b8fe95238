"""Managers' questions about the plan, answered beside the loop: by one process at a time, that may not last.

It reads the site as the pages do and has no way to the field; when it hangs or dies, the question says so, and the loop
has not noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from ems.store.questions import Answer, Questions

LOOK_EVERY_S = 2.0
LIMIT_S = 600.0  # real time for all that waits


async def keep_answering(site_folder: Path, buildings: Path) -> None:
    """Looks for questions until cancelled."""
    questions = Questions(site_folder)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        waiting = await asyncio.to_thread(questions.waiting)
        if not waiting:
            continue
        trouble = await _answered(site_folder, buildings)
        left = await asyncio.to_thread(questions.waiting)
        if trouble and left and left[0] == waiting[0]:  # nothing came of it: it is not asked for ever
            answer = Answer(waiting[0].at, 0.0, trouble=trouble)
            await asyncio.to_thread(questions.answer, waiting[0].number, answer)


async def _answered(site_folder: Path, buildings: Path) -> str:
    """Runs the one who answers; what went wrong in words, or nothing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ems", "what-if", "--folder", str(site_folder), "--buildings", str(buildings),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        code = await asyncio.wait_for(process.wait(), LIMIT_S)
    except TimeoutError:
        return f"no answer within {LIMIT_S:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return "" if code == 0 else f"the process that answers ended with {code}"
