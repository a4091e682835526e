"""espeak-ng without any system package: the library that comes with `espeakng-loader`, for pyttsx3's own driver."""

import ctypes
import os

from voice.errors import VoiceError

DRIVER = "espeak"
VOICE = "sit/cmn"
NORMAL_RATE = 175
"""words a minute at the engine's own pace"""


def prepare() -> None:
    """Make pyttsx3's espeak driver work in this process; raises VoiceError engine_failed."""
    try:
        import espeakng_loader

        os.environ["ESPEAK_DATA_PATH"] = espeakng_loader.get_data_path()
        # pyttsx3 asks for libespeak-ng.so.1 by name and gets the one that is loaded already.
        ctypes.CDLL(espeakng_loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)
        import pyttsx3.drivers.espeak as driver
    except (ImportError, OSError, RuntimeError) as error:
        raise VoiceError("engine_failed", "备用语音 espeak-ng 装不上，请重新安装程序的依赖。") from error
    # It prints the name of each file it wrote, into the output that our commands print JSON to.
    driver.print = lambda *_, **__: None
