"""The one error of this package: a stable code for programs, a Chinese sentence for people."""


class VoiceError(Exception):
    """What went wrong with hearing, speaking or a model.

    `code` is stable and made for programs; `message` is Chinese, free of what people said, and tells how to
    mend it. Codes: not_audio, empty_audio, too_long, truncated_model, model_missing, unknown_model,
    fetch_failed, disk_full, folder_unwritable, engine_failed, no_player.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message
