"""Files appear whole or not at all, and a disk that refuses them is one sentence."""

import errno
import os
import resource
import signal

import pytest

from psd_lab.files import write_atomically
from psd_lab.interrupts import sigterm_as_interrupt
from psd_lib.errors import UserError


@pytest.mark.parametrize(
    "content", ["é\n", "é\n".encode(), lambda path: path.write_text("é\n", encoding="utf-8")]
)
def test_text_bytes_and_what_a_function_writes_replace_the_old_file(tmp_path, content):
    path = tmp_path / "new" / "a.txt"
    for _ in range(2):
        write_atomically(path, content)
        assert path.read_bytes() == "é\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_function_gets_a_path_with_the_suffix_of_the_file(tmp_path):
    seen = []
    write_atomically(tmp_path / "a.svg", lambda path: (seen.append(path), path.write_text("")))
    assert [path.suffix for path in seen] == [".svg"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def interrupted(draft):
        draft.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, interrupted)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_files():
    """Let this process write files of at most 1000 bytes, as a disk that is nearly full does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_a_file_that_does_not_fit_is_one_sentence_and_the_old_one_stays(tmp_path, small_files):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")
    with pytest.raises(UserError, match=r"a.txt cannot be written \(File too large\)") as error:
        write_atomically(path, "x" * 2000)
    assert "\n" not in str(error.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_not_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be created \(File exists\)"):
        write_atomically(tmp_path / "file" / "a.txt", "x")


def test_a_fault_of_ours_keeps_its_name(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("psd_lab.files.os.replace", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_atomically(tmp_path / "a.txt", "x")


def test_sigterm_counts_as_an_interrupt_inside_and_as_before_outside():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert signal.getsignal(signal.SIGTERM) == before
