"""The shapes and types that docstrings promise, checked in every iteration of every decoder."""

import pytest
import torch
from support.configs import second_models
from support.models import make_model, make_prompts

import psd_lib
from psd_lib import DECODERS
from psd_lib.core.engine import Engine

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
SHIFTED_OR_BIDIRECTIONAL = {"simsd": False}  # decoders that need one kind of attention


def is_tensor(value, dtype, *shape):
    assert isinstance(value, torch.Tensor)
    assert value.dtype == dtype and tuple(value.shape) == shape


def are_scores(scores, *shape):
    is_tensor(scores.token, torch.int64, *shape)
    for values in (scores.confidence, scores.margin, scores.entropy, scores.gap):
        assert values is None or (values.dtype, tuple(values.shape)) == (torch.float32, shape)


def check_step(step, s, w):
    is_tensor(step.tokens, torch.int64, s, w)
    is_tensor(step.open, torch.bool, s, w)
    is_tensor(step.node0, torch.int64, s, w)
    is_tensor(step.masked, torch.bool, s, w)
    is_tensor(step.committed, torch.int64, s)
    are_scores(step.scores, s, w)


def check_drafts(drafts, s, w):
    n = drafts.tokens.shape[1]
    is_tensor(drafts.tokens, torch.int64, s, n, w)
    is_tensor(drafts.valid, torch.bool, s, n)
    is_tensor(drafts.level, torch.int64, s, n)
    if drafts.log_prior is not None:
        is_tensor(drafts.log_prior, torch.float32, s, n)
    assert drafts.valid[:, 0].all()


def check_path(path, s, n):
    is_tensor(path.nodes, torch.int64, s, n)
    is_tensor(path.length, torch.int64, s)
    assert (path.length >= 1).all() and (path.length <= n).all() and (path.nodes < n).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_keeps_to_the_shapes(decoder, monkeypatch):
    model = make_model(2, sees_future=SHIFTED_OR_BIDIRECTIONAL.get(decoder, True))
    seen = []

    def checked(self, drafts, nodes, fresh):
        s, w = self.canvas.window()[0].shape
        n = drafts.tokens.shape[1]
        check_drafts(drafts, s, w)
        for part in (nodes.complete, nodes.final, nodes.valid):
            is_tensor(part, torch.bool, s, n)
        if fresh is not None:
            are_scores(fresh, s, n, w)
        path = accept(self, drafts, nodes, fresh)
        check_path(path, s, n)
        if path.scores is not None:
            are_scores(path.scores, s, n, w)
        seen.append(n)
        return path

    def policy_step(self, scores):
        step = take(self, scores)
        check_step(step, *self.canvas.window()[0].shape)
        return step

    accept, take = Engine._accept, Engine._policy_step
    monkeypatch.setattr(Engine, "_accept", checked)
    monkeypatch.setattr(Engine, "_policy_step", policy_step)
    options = second_models(decoder)
    psd_lib.generate(model, make_prompts(3, 3), decoder, gen_length=20, **options)
    assert seen
