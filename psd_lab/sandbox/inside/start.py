"""The first program inside the sandbox.

It confines itself, reads the code, forks the candidate and becomes the judge.

The order is the security argument. Tests, expected values and the nonce lie unread in the pipe on
descriptor 0 while the process forks, and the candidate closes that pipe before it runs a line of
the code: its memory cannot contain them.
"""

from __future__ import annotations

import os
import sys

from . import candidate, judge, landlock, plain, privileges, seccomp


def main(verdict: int) -> None:
    """Run one check.

    The job arrives on descriptor 0, messages about the start go to descriptor 2, and the verdict to
    descriptor `verdict`.
    """
    alive = os.dup(2)
    job = plain.receive(0)
    confined = job["backend"] != "none"
    if confined:
        if job["parent"]:
            privileges.die_with(job["parent"])
        privileges.drop()
    if job["backend"] == "landlock":
        landlock.restrict(job["readable"])
    if "typing" in job["code"]:
        # Both processes will need it, and its import takes as long as the interpreter's start.
        import typing  # noqa: F401
    questions, answers = os.pipe(), os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    me = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _become_candidate(job, questions[0], answers[1], alive, null, me, confined)
        finally:
            os._exit(1)
    os.close(questions[0])
    os.close(answers[1])
    privileges.limit(job["cpu"] + judge.SPARE_SECONDS, job["memory"], strict=confined, notice=1)
    if confined:
        seccomp.install(seccomp.allow_list(me))
    # From here on nothing is said about the start any more, and the host must not wait for this
    # process to say it.
    os.dup2(null, 2)
    os.close(alive)
    judge.Judge(child, answers[0], questions[1], verdict, job["cpu"]).run()


def _become_candidate(
    job: dict, questions: int, answers: int, alive: int, null: int, parent: int, confined: bool
) -> None:
    for standard in range(3):
        os.dup2(null, standard)
    kept = sorted((questions, answers, alive))
    for low, high in zip([2, *kept], [*kept, 1 << 16], strict=True):
        os.closerange(low + 1, high)
    if confined:
        privileges.die_with(parent)
    # SIGXCPU at the limit tells the judge why this process ended. Code that ignores it is killed a
    # second later, and the judge refuses a pass that took longer than the limit.
    privileges.limit(job["cpu"], job["memory"], strict=confined, notice=1)
    if confined:
        seccomp.install(seccomp.allow_list(os.getpid()))
    candidate.serve(job["code"], job["packages"], questions, answers)


if __name__ == "__main__":
    main(int(sys.argv[1]))
