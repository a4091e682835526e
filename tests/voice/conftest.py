"""What the voice tests share: a faulty web server, the real models."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from voice_helpers import FarEnd

from voice.models import ModelStore
from voice.speak import Speaker


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    far = FarEnd()
    server = ThreadingHTTPServer(("127.0.0.1", 0), far.handler())
    far.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield far
    far.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def models() -> ModelStore:
    default = Path.home() / ".cache" / "xiangyin" / "models"
    return ModelStore(
        Path(os.environ.get("XIANGYIN_MODELS") or default), os.environ.get("XIANGYIN_HUB_MIRROR")
    )


@pytest.fixture(scope="session")
def real_model(models: ModelStore) -> Callable[[str], Path]:
    """A model of the table, fetched if it isn't here."""
    return lambda name: models.fetch(name, progress=False)


@pytest.fixture(scope="session")
def speaker(
    models: ModelStore, real_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Speaker:
    real_model("kokoro-zh")
    spoken = Speaker(models, prefer="kokoro", cache=tmp_path_factory.mktemp("phrases"))
    spoken.load()
    return spoken
