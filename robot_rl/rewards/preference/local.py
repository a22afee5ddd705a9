"""A vision-language model in this process, by Hugging Face's transformers."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from robot_rl.exceptions import ConfigError
from robot_rl.rewards.preference.chat import TOKENS, Refused
from robot_rl.rewards.preference.configuration import ServiceConfig
from robot_rl.rewards.preference.prompts import SYSTEM


class LocalModel:
    """`--model`: a name on the hub, or a folder that `save_pretrained` wrote, of an image-text-to-text model."""

    def __init__(self, config: ServiceConfig) -> None:
        """Raises `ConfigError` where it does not load; no code of a model's own is ever run."""
        self.name = f"{config.model}@local"
        try:
            import torch
            from PIL import Image
            from transformers import AutoModelForImageTextToText, AutoProcessor
        except ImportError as error:
            raise ConfigError(
                f"--judge local needs {error.name or error}: pip install 'robot_rl[perception,datasets]'"
            ) from error
        try:
            self._processor: Any = AutoProcessor.from_pretrained(config.model, trust_remote_code=False)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                config.model, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"the model {config.model} does not load ({said:.200}); check its name, or name a local copy"
            ) from error
        self._torch, self._image = torch, Image
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(self._device).eval()

    def ask(self, text: str, pictures: Sequence[bytes] = ()) -> str:
        """Its answer, the most likely word each time. Refused: it says nothing."""
        content: list[dict[str, Any]] = []
        for number in range(len(pictures)):
            content += [{"type": "text", "text": f"Image {number + 1}:"}] if len(pictures) > 1 else []
            content.append({"type": "image"})
        content.append({"type": "text", "text": f"{SYSTEM}\n{text}"})
        prompt = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        images = [self._image.open(BytesIO(picture)).convert("RGB") for picture in pictures] or None
        inputs = self._processor(text=prompt, images=images, return_tensors="pt").to(self._device)
        with self._torch.inference_mode():
            made = self._model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)
        answer = self._processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]
        if not answer.strip():
            raise Refused(f"{self.name} answered with nothing")
        return str(answer)
