"""Telephones that are not ours: sipp, which plays a scenario, and Debian's baresip, which a person would use."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from county import until

from connectors.bench.phone import free_port
from voice.audio import Sound, decode, from_pcm16, save_wav
from voice.telephone import LINE_RATE, to_alaw

_HEADER = 44
"""bytes of a WAV before its sound"""
SCENARIOS = Path(__file__).parent / "sipp"
_MODULES = Path("/usr/lib/baresip/modules"), Path("/usr/local/lib/baresip/modules")


def missing(program: str) -> str | None:
    """Why a test that needs it can't run here; None where it can."""
    return (
        None
        if shutil.which(program)
        else f"{program} is not installed and could not be (tools/system-packages)"
    )


@dataclass(frozen=True)
class Played:
    """How a run of sipp ended."""

    status: int
    """0: every call went as the scenario says."""
    told: str


async def sipp(
    scenario: str, port: int, folder: Path, *, calls: int = 1, at_once: int = 1, a_second: float = 5.0,
    says: str | None = None, within_s: float = 60.0, deaf: bool = False,
) -> Played:  # fmt: skip
    """Play a scenario against the service. `says`: a WAV that is spoken down the line.

    deaf: what comes and is not in the scenario is passed over, not taken for the end of the call.
    """
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    if says is not None:
        spoken = folder / "said.alaw"
        spoken.write_bytes(to_alaw(decode(Path(says))))
        text = text.replace("SAID", str(spoken))
    path = folder / f"{scenario}.xml"
    path.write_text(text)
    process = await asyncio.create_subprocess_exec(
        "sipp", f"127.0.0.1:{port}", "-sf", str(path), "-s", "xiangyin", "-i", "127.0.0.1", "-p", str(free_port()),
        "-m", str(calls), "-l", str(at_once), "-r", str(max(1, round(a_second))), "-nostdin",
        *(["-default_behaviors", "-abortunexp"] if deaf else []), "-timeout", f"{within_s:.0f}s", "-timeout_error", "-trace_err", "-error_file", str(folder / f"{scenario}.err"),
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    errors = folder / f"{scenario}.err"
    return Played(
        process.returncode or 0,
        (errors.read_text()[:2000] if errors.exists() else "") + told.decode(errors="replace")[-400:],
    )


@dataclass(frozen=True)
class Baresip:
    """Debian's baresip, one call at a time; its keys are typed into its console."""

    process: asyncio.subprocess.Process
    console: int
    folder: Path
    printed: list[str]

    def types(self, keys: str) -> None:
        """Into its console: `/dial …` and Enter, `b` to hang up."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(keys.encode(), ("127.0.0.1", self.console))

    async def presses(self, digit: str) -> None:
        """A tone, as long as a finger takes; its console knows the release of a key by a character of its own."""
        self.types(digit)
        await asyncio.sleep(0.15)
        self.types("\x04")

    async def calls(self, port: int) -> None:
        """Dial the service; returns once the call stands."""
        self.types(f"/dial sip:xiangyin@127.0.0.1:{port}\n")
        await self.prints("Call established")

    def heard(self) -> Sound:
        """What has come down the line so far."""
        found = [*self.folder.glob("*-dec.wav")]
        # The header is right only once the call is over; what follows it is right before.
        return from_pcm16(found[0].read_bytes()[_HEADER:] if found else b"", LINE_RATE)

    async def prints(self, words: str) -> None:
        """Until it says so."""
        await until(lambda: any(words in line for line in self.printed))


def _modules() -> Path:
    return next(path for path in _MODULES if path.is_dir())


@asynccontextmanager
async def baresip(folder: Path, number: str, says: str) -> AsyncIterator[Baresip]:
    """A telephone of Debian's, which speaks a WAV once it has been greeted and writes down what it hears."""
    console, said = free_port(), folder / "said.wav"
    spoken, silence = decode(Path(says)).at(LINE_RATE).samples, np.zeros(LINE_RATE * 90, np.float32)
    # Silence before it, while it is greeted, and behind it: at the end of the file the stream would stop.
    save_wav(Sound(np.concatenate([silence[: LINE_RATE * 7], spoken, silence]), LINE_RATE), said)
    (folder / "accounts").write_text(f"<sip:{number}@127.0.0.1>;regint=0;audio_codecs=pcma\n")
    (folder / "contacts").write_text("")
    (folder / "config").write_text(
        f"module_path {_modules()}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule cons.so\n"
        "module_app account.so\nmodule_app contact.so\nmodule_app menu.so\n"
        f"sip_listen 127.0.0.1:{free_port()}\nnet_interface 127.0.0.1\ncons_listen 127.0.0.1:{console}\n"
        f"audio_source aufile,{said}\naudio_player aubridge,none\nsnd_path {folder}\naudio_alert aufile,{folder / 'rings.wav'}\n"
    )
    process = await asyncio.create_subprocess_exec(
        "stdbuf", "-oL", "baresip", "-f", str(folder), cwd=folder,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed: list[str] = []

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            printed.append(line.decode(errors="replace"))

    reading = asyncio.create_task(read())
    one = Baresip(process, console, folder, printed)
    try:
        await one.prints("baresip is ready")
        yield one
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
