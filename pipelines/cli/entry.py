"""How a command runs and ends: a user's mistake is one line, a bug shows its traceback."""

import errno
import signal
import sys
import threading
from typing import NoReturn

import click

from pipelines.cli.loading import announced_imports
from pipelines.cli.printing import escaping, one_line
from pipelines.cli.usage import usage_text
from pipelines.errors import PipelineError
from prep.errors import PrepError

SETTINGS = {"help_option_names": ["-h", "--help"], "color": True}  # as in _fail
EXTRAS = {  # which extra brings a package that may be missing
    "torch": "train",
    "torchvision": "train",
    "lightning_fabric": "train",
    "safetensors": "train",
    "yaml": "train",
    "torchmetrics": "lpips",
    "tensorboard": "tensorboard",
    "onnx": "export",
    "onnxscript": "export",
    "pillow_heif": "heif",
    "skimage": "dev",
    "pyiqa": "iqa",
    "spandrel": "peers",
    "spandrel_extra_arches": "peers",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)  # a full disk, or a quota
_NO_FOLDER = {  # where the system's message says little
    errno.EEXIST: "a file has this name, and a folder is needed; choose another path",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another path",
}
_NO_ROOM = ("failed to map segment", "cannot allocate memory")  # errors of the system's loader of libraries


def run(command: click.Command) -> None:
    """Run a command and exit."""
    try:
        with escaping(), announced_imports():
            _run(command, command.name or "cdg")
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # or a late Ctrl-C would show a traceback while Python exits


def _run(command: click.Command, name: str) -> NoReturn:
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # the help of a group, line by line
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else name
        hint = f" (see {where} --help)" if isinstance(error, click.UsageError) else ""
        text = usage_text(error) if isinstance(error, click.UsageError) else error.format_message()
        _fail(f"{where}: {' '.join(text.split())}{hint}", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(f"{name}: interrupted; run the same command again to continue", 130)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        _fail(f"{name}: {package} is not installed; run: pip install 'cdgnet[{EXTRAS[package]}]'", 1)
    except ImportError as error:
        if not any(words in str(error) for words in _NO_ROOM):
            raise
        _fail(
            f"{name}: out of memory while loading a library ({error}); free memory, or raise the limit (ulimit -v)", 1
        )
    except OSError as error:
        subject = f"{error.filename}: " if error.filename else ""
        cure = "; free some space, then run the same command again" if error.errno in _FULL else ""
        reason = _NO_FOLDER.get(error.errno or 0) or error.strerror or str(error)
        _fail(f"{name}: {subject}{reason}{cure}", 1)
    except Exception as error:
        if not _is_mistake(error):
            raise
        _fail(f"{name}: {error}", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _is_mistake(error: Exception) -> bool:
    """Whether the user can fix the error. Errors of ``cdgnet`` are looked up only if it is loaded: it needs torch."""
    kinds: tuple[type[Exception], ...] = (PrepError, PipelineError)
    if "cdgnet.errors" in sys.modules:
        from cdgnet.errors import CDGNetError

        kinds = (*kinds, CDGNetError)
    return isinstance(error, kinds)


def _fail(line: str, status: int) -> NoReturn:
    click.echo(one_line(line), err=True, color=True)  # or click drops escape sequences, which may be part of a name
    sys.exit(status)


def example(text: str) -> str:
    """The end of a help text: an example that works, kept on its own line."""
    return f"\b\nExample:\n  {text}"


def show_and_run(tool: click.Command, *words: object) -> None:
    """Show a command as a person would type it, and run it.

    Raises:
        ClickException: If it ends with another status than 0.
    """
    texts = [str(word) for word in words]
    name = tool.name or ""
    click.echo(f"\n$ {' '.join([name, *texts])}")
    status = tool.main(texts, prog_name=name, standalone_mode=False)
    if status:
        raise click.ClickException(f"{name} ended with status {status}")
