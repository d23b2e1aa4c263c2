"""Distil a teacher into a student, from pictures to a weights file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from visual_search import exceptions
from visual_search.encoders import base, network, weights
from visual_search.encoders.distillation import checkpoints, processes, training
from visual_search.encoders.distillation import lesson as lessons
from visual_search.encoders.distillation import plan as plans
from visual_search.images import pool


def distil(
    teacher: base.Encoder,
    student: network.Network,
    pictures: Sequence[bytes],
    *,
    out: Path,
    plan: plans.Plan | None = None,
    device: str = "cpu",
    resume: bool = False,
    logs: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> plans.Result:
    """
    Teach `student` what `teacher` sees in `pictures`, and write its weights to the `.safetensors` file `out`.

    A picture's bytes are read each time they are needed. `out` + ".checkpoint" holds all there is after each epoch;
    `resume` goes on from it. `logs` is a folder for TensorBoard. `progress` gets the steps done and in all, and a note.
    Started by torchrun, its processes share the work. Raises EncoderError: `distil_pictures`, `distil_checkpoint`,
    `distil_batch`, `distil_epochs` or `distil_unavailable`.
    """
    plan = plan or plans.Plan()
    if plan.epochs < 1:
        raise exceptions.EncoderError(
            f"Each picture is to be seen {plan.epochs} times. Give 1 epoch or more.", code="distil_epochs"
        )
    with processes.joined(device) as (rank, count), pool.Decoder(deadline=20) as decoder:
        lesson = lessons.Lesson(pictures, teacher, decoder, prepare=student.prepare, plan=plan, rank=rank, count=count)
        learner = training.Training(lesson, student, device)
        identity = base.fingerprint(
            teacher=teacher.fingerprint,
            student=weights.digest(student.body.state_dict()),
            preprocessing=dataclasses.asdict(student.prepare),
            plan=dataclasses.asdict(plan),
        )
        kept = checkpoints.Checkpoint(out.with_name(f"{out.name}.checkpoint"), identity=identity)
        state: dict[str, Any] = kept.read() if resume else {"epoch": 0, "before": learner.agreement()}
        if resume:
            learner.load(state)
        with checkpoints.writer(logs if rank == 0 else None, step=state["epoch"] * lesson.steps) as log:
            for epoch in range(state["epoch"], plan.epochs):
                for step, found in learner.epoch(epoch):
                    log(step, **found)
                    if rank == 0:
                        progress(step, plan.epochs * lesson.steps, f"loss {sum(found.values()):.3f}")
                after = learner.agreement()
                log((epoch + 1) * lesson.steps, agreement=after)
                if rank == 0:
                    kept.write({"epoch": epoch + 1, "before": state["before"], "after": after, **learner.state()})
                state |= {"after": after}
        saved = checkpoints.export(student.body, out) if rank == 0 else ""
        return plans.Result(sha256=saved, pictures=lesson.size, before=state["before"], after=state["after"])
